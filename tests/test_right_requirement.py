"""A wrong implementation fails the requirement that speaks of what is wrong, and none that speaks of something else."""

from dataclasses import replace

import numpy as np
import pytest

from conformance.backends.oracle import OracleBackend
from conformance.backends.torch_eager import TorchCPU
from conformance.specifications.torch_nn.faults import BANK
from tests.harness import QUICK, all_checks, failures
from tests.kill_matrix import unblocked

AREAS = ("state", "parameters", "numerics", "shapes", "lengths")
CHECKS = [check for check in all_checks() if check.entry.area in AREAS and not check.requirement.startswith("SHAPE-")]

# The one failure of each fault that is left when what builds on a failure is not told.
TOLD = {
    "initial-state-ignored": "STATE-INITIAL",
    "initial-states-exchanged": "STATE-INITIAL",
    "initial-state-of-reverse-ignored": "STATE-INITIAL",
    "initial-states-of-directions-exchanged": "STATE-INITIAL",
    "batch-first-initial-states-too": "BATCH-FIRST-STATES",
    "initial-states-sorted-by-length": "LENGTHS-STATES-ORDER",
    "omitted-state-is-ones": "STATE-OMITTED",
    "initial-states-direction-major": "STATE-INITIAL",
    "initial-states-of-layers-reversed": "STATE-INITIAL",
    "reverse-starts-in-the-padding": "LENGTHS-SAMPLE-ALONE",
    "lstm-gates-f-o-i-g": "LSTM-GATE-ORDER",
    "gru-gates-n-z": "GRU-GATE-ORDER",
    "lstm-gates-interleaved": "LSTM-GATE-ORDER",
    "gru-update-inverted": "GRU-UPDATE-GATE",
    "gru-reset-unused": "GRU-RESET-GATE",
    "gru-bias-hn-outside-reset": "GRU-NEW-GATE",
    "gru-bias-in-inside-reset": "GRU-NEW-GATE",
    "gru-new-gate-hard": "GRU-NEW-GATE",
    "biases-exchanged": "GRU-NEW-GATE",
    "lstm-forget-inverted": "LSTM-FORGET-GATE",
    "lstm-forget-bias-one": "LSTM-FORGET-GATE",
    "lstm-input-forget-coupled": "LSTM-INPUT-GATE",
    "lstm-cell-gate-sigmoid": "LSTM-CELL-GATE",
    "lstm-cell-gate-relu": "LSTM-CELL-GATE",
    "lstm-peephole": "LSTM-EQUATION",
    "biases-dropped": "PARAM-BIASES-ADD",
    "biases-doubled": "PARAM-BIASES-ADD",
    "weights-in-float16": "LSTM-EQUATION",
}


def claiming(backend, kind, **claims):
    backend.features = replace(backend.features, kinds={kind}, dtypes={"float32"}, gradients=False, **claims)
    return backend


def told(backend):
    return unblocked(failures(backend, QUICK, CHECKS))


@pytest.mark.parametrize("identifier", TOLD)
def test_one_cause_is_told_by_the_requirement_that_speaks_of_it(identifier):
    fault = BANK[identifier]
    kind = "lstm" if "lstm" in fault.kinds else "gru"
    assert told(claiming(fault.build(), kind)) == [TOLD[identifier]]


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_are_isolated_without_initial_states_too(kind):
    """Without the claim of initial states, a gate that acts on the state alone needs a state of its own."""
    assert told(claiming(TorchCPU(), kind, initial_state=False)) == []
    fault = BANK["lstm-forget-inverted" if kind == "lstm" else "gru-reset-unused"]
    assert told(claiming(fault.build(), kind, initial_state=False)) == [fault.requirement]


@pytest.mark.parametrize("kind", ["rnn_relu", "rnn_tanh"])
def test_a_wrong_recurrence_is_no_wrong_initial_state(kind):
    """Units of relu that sleep hide it without initial states."""
    fault = BANK["state-updated-in-place"]
    assert "STATE-INITIAL" not in failing(claiming(fault.build(), kind), "STATE-INITIAL", fault.requirement)


def failing(backend, *requirements):
    checks = [check for check in all_checks() if check.requirement in requirements]
    return failures(backend, QUICK, checks)


class WrongCells(OracleBackend):
    """The oracle with cells that are wrong whether states are given or not."""

    def cell(self, config, parameters):
        return super().cell(config, {name: -value for name, value in parameters.items()})


class OnesForOmittedStates(OracleBackend):
    """The oracle with cells that start from ones where the states are omitted."""

    def cell(self, config, parameters):
        cell = super().cell(config, parameters)
        step = cell.step

        def starting(x, h=None, c=None):
            if h is None:
                h = np.ones((*x.shape[:-1], config.hidden_size), x.dtype)
                c = h if config.kind == "lstm" else None
            return step(x, h, c)

        cell.step = starting
        return cell


def test_omitted_states_of_a_cell_are_told_apart_from_its_numbers():
    both = ("CELL-EQUATION", "CELL-OMITTED")
    assert list(failing(claiming(WrongCells(), "gru", unbatched=False), *both)) == ["CELL-EQUATION"]
    assert set(failing(claiming(OnesForOmittedStates(), "gru"), *both)) == set(both)


class RaisingGradients(OracleBackend):
    """The oracle with gradients that raise."""

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)

        def gradients(*arguments):
            raise ValueError("no kernel for this shape")

        layer.gradients = gradients
        return layer


def test_gradients_that_raise_have_no_wrong_names():
    backend = RaisingGradients()
    backend.features = replace(backend.features, kinds={"gru"}, dtypes={"float32"})
    found = failing(backend, "GRADIENT-NAMES", "GRADIENT-SHAPES")
    assert list(found) == ["GRADIENT-SHAPES"]
    assert "no kernel for this shape" in found["GRADIENT-SHAPES"]


class IgnoringStrides(OracleBackend):
    """The oracle, which reads weight_hh of an LSTM as if its elements lay side by side."""

    def layer(self, config, parameters):
        read = dict(parameters)
        for name, value in parameters.items():
            if name.startswith("weight_hh") and not value.flags.c_contiguous:
                read[name] = np.full_like(value, 7)
        return super().layer(config, read)


def test_the_array_whose_layout_matters_is_named():
    found = failing(claiming(IgnoringStrides(), "lstm", multilayer=False, bidirectional=False), "ROBUST-STRIDED")
    assert found["ROBUST-STRIDED"].endswith("it fails with each of these alone: weight_hh_l0")
