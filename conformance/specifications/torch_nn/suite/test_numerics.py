"""Numerics: the formulas, each gate alone and all together, within computed tolerances."""

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.wrong_elements import is_right
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.plans import witnesses
from conformance.specifications.torch_nn.strategies import (
    isolated_gate,
    large_batches,
    long_layers,
    plain_layers,
    saturating_layers,
    wide_layers,
)
from conformance.specifications.torch_nn.suite.test_state import agrees_or
from reference.dialects import speaking


def from_zeros_without_projection(call):
    return call.h_0 is None and not call.config.proj_size


@decides("STATE-RANGE", draw=saturating_layers, when=from_zeros_without_projection)
def test_states_stay_in_range(trial):
    output = np.abs(trial.got.output.astype(np.float64))
    if not np.all(output <= 1):
        index = tuple(int(i) for i in np.argwhere(~(output <= 1))[0])
        raise Failed(
            f"output[{', '.join(map(str, index))}], {trial.where('output', index)}: got an absolute value of "
            f"{output[index]:.9g}, expected at most 1"
        )


@decides("RNN-TANH-EQUATION", draw=plain_layers)
@decides("RNN-RELU-EQUATION", draw=plain_layers)
@decides("LSTM-EQUATION", draw=plain_layers)
@decides("GRU-EQUATION", draw=plain_layers)
def test_equation(trial):
    trial.agrees()


def with_biases(call):
    """Return whether the call has biases, by which gates are held open or closed."""
    return call.config.bias


def gate_decides(requirement, gate):
    def test(trial):
        """A failure counts if another gate with the same numbers is right; otherwise more than this gate is wrong."""

        def another_is_right():
            with speaking(trial.subject.dialects):
                others = witnesses(trial.call, gate)
            return any(is_right(trial.other(call)) for call in others)

        agrees_or(trial, another_is_right)

    return decides(requirement, draw=isolated_gate(gate), when=with_biases)(test)


test_forget_gate = gate_decides("LSTM-FORGET-GATE", "f")
test_cell_gate = gate_decides("LSTM-CELL-GATE", "g")
test_input_gate = gate_decides("LSTM-INPUT-GATE", "i")
test_output_gate = gate_decides("LSTM-OUTPUT-GATE", "o")
test_update_gate = gate_decides("GRU-UPDATE-GATE", "z")
test_reset_gate = gate_decides("GRU-RESET-GATE", "r")
test_new_gate = gate_decides("GRU-NEW-GATE", "n")


@decides("MULTILAYER-EQUATION")
@decides("BIDIRECTIONAL-EQUATION")
@decides("FORWARD-EQUATION")
@decides("LONG-SEQUENCE-EQUATION", draw=long_layers, share=0.2)
@decides("LARGE-BATCH-EQUATION", draw=large_batches, share=0.2)
@decides("LARGE-HIDDEN-EQUATION", draw=wide_layers, share=0.2)
@decides("SATURATION-EQUATION", when=lambda call: "saturating" in call.values)
def test_agrees_with_the_formula(trial):
    trial.agrees()
