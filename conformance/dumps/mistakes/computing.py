"""Mistakes of computing: the equations, and the states between steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.equations import by_step, gru_with, lstm_with
from conformance.specifications.torch_nn.faults.gates import in_order
from conformance.specifications.torch_nn.faults.recurrence import stepping
from reference import cells
from reference.cells import blocks, relu, tanh, σ

MISTAKES: list[Fault] = []
equations, recurrence = (Family(MISTAKES, name) for name in ("equations", "recurrence"))
Arrays = dict[str, np.ndarray]
Parts = dict[str, Any]

# --- equations ----------------------------------------------------------------------------------------


@equations(
    "LSTM-EQUATION",
    "TensorFlow's BasicLSTMCell: blocks ordered i|c|f|o, and one added to the forget gate's sum",
    "weights of TensorFlow 1 taken for PyTorch's, or the other way round",
    kinds="lstm",
    common=True,
)
def lstm_tensorflow() -> Parts:
    return {**in_order("igfo"), "equation": {"lstm": lstm_with(f=lambda a: σ(a + 1))}}


def _reset_before(x: Any, u: Any, h: Any, c: Any, given: Any) -> tuple[Any, None]:
    _, W_hh, _, b_hh, _ = given
    H = h.shape[-1]
    (x_r, x_z, x_n), (u_r, u_z, _) = blocks(x, 3), blocks(u, 3)
    r_t, z_t = σ(x_r + u_r), σ(x_z + u_z)
    u_n = (r_t * h) @ W_hh[:, 2 * H :]
    n_t = tanh(x_n + u_n if b_hh is None else x_n + u_n + b_hh[2 * H :])
    return (1 - z_t) * n_t + z_t * h, None


@equations(
    "GRU-EQUATION",
    "a GRU with blocks ordered z|r|h that resets h before the product, as ONNX by default and Keras with "
    "reset_after=False have it",
    "a GRU node or layer without linear_before_reset=1 or reset_after=True",
    kinds="gru",
    common=True,
)
def gru_keras_reset_before() -> Parts:
    return {**in_order("zrn"), **by_step(_reset_before, "gru")}


@equations(
    "LSTM-EQUATION", "an LSTM with sigmoid for the last tanh, h' = o sigmoid(c')", "one function for all", kinds="lstm"
)
def lstm_output_sigmoid() -> Parts:
    return {"equation": {"lstm": lstm_with(h=σ)}}


@equations("LSTM-EQUATION", "an LSTM whose output gate is tanh", "one function for all", kinds="lstm")
def lstm_output_gate_tanh() -> Parts:
    return {"equation": {"lstm": lstm_with(o=tanh)}}


@equations("LSTM-EQUATION", "an LSTM with ReLU for both tanh, as Keras has it with activation='relu'",
           "an activation taken over for a layer that has another", kinds="lstm")  # fmt: skip
def lstm_relu() -> Parts:
    return {"equation": {"lstm": lstm_with(g=relu, h=relu)}}


@equations("LSTM-EQUATION", "an LSTM whose c' is tanh(f c + i g), so that tanh is taken twice",
           "a tanh at the wrong place", kinds="lstm")  # fmt: skip
def lstm_cell_state_squashed() -> Parts:
    return {"equation": {"lstm": lstm_with(c=tanh)}}


@equations("LSTM-EQUATION", "an LSTM without a forget gate, c' = c + i g", "the first paper's equation", kinds="lstm")
def lstm_without_forget_gate() -> Parts:
    return {"equation": {"lstm": lstm_with(f=lambda a: 1.0 + 0 * a)}}


@equations("GRU-EQUATION", "a GRU whose new gate is a sigmoid", "one function for all", kinds="gru")
def gru_new_gate_sigmoid() -> Parts:
    return {"equation": {"gru": gru_with(n=σ)}}


@equations("GRU-EQUATION", "a GRU whose h' leaves the old state out, h' = (1 - z) n", "a term forgotten", kinds="gru")
def gru_old_state_left_out() -> Parts:
    return {"equation": {"gru": gru_with(mix=lambda z, n, h: (1 - z) * n)}}


@equations("RNN-EQUATION", "an RNN without a nonlinearity", "an activation forgotten", kinds=("rnn_tanh", "rnn_relu"))
def rnn_linear() -> Parts:
    def linear(x: Any, u: Any, h: Any, c: Any) -> Any:
        return x + u, None

    return {"equation": {"rnn_tanh": linear, "rnn_relu": linear}}


# --- steps --------------------------------------------------------------------------------------------


def _stepwise(change: Callable[[Any, Any, Any, Any, Any], Any]) -> Parts:
    """Return the parts of a mistake whose steps are ``change(equation, x, u, h, c)``."""
    return stepping(lambda equation, given: lambda x, u, h, c: change(equation, x, u, h, c))


@recurrence("LSTM-EQUATION", "an LSTM that starts every step from a cell state of zeros", "c not carried on",
            kinds="lstm")  # fmt: skip
def cell_state_lost() -> Parts:
    return _stepwise(lambda equation, x, u, h, c: equation(x, u, h, 0 * c))


@recurrence("LSTM-EQUATION", "an LSTM that starts every step from c_0, the cell state not carried on",
            "a variable of the loop not updated", kinds="lstm")  # fmt: skip
def cell_state_not_carried() -> Parts:
    def change(equation: Any, given: Any) -> Any:
        first: list[Any] = []

        def from_the_first(x: Any, u: Any, h: Any, c: Any) -> Any:
            first.extend([] if first else [c])
            return equation(x, u, h, first[0])

        return from_the_first

    return stepping(change)


@recurrence("LSTM-EQUATION", "an LSTM that exchanges h and c after every step", "(c, h) unpacked as (h, c)",
            kinds="lstm")  # fmt: skip
def states_exchanged_at_every_step() -> Parts:
    return _stepwise(lambda equation, x, u, h, c: equation(x, u, h, c)[::-1])


@recurrence("LSTM-EQUATION", "an LSTM whose output holds c at every step", "the wrong one of two states collected",
            kinds="lstm")  # fmt: skip
def output_is_cell_state() -> Parts:
    def direction(go: Any, kind: Any, given: Any, inputs: Any, h: Any, c: Any, running: Any, reverse: bool,
                  record: Any = None) -> Any:  # fmt: skip
        kept, seen = cells.EQUATIONS[kind], list[Any]()

        def watched(*terms: Any) -> Any:
            found = kept(*terms)
            seen.append(found[1])
            return found

        cells.EQUATIONS[kind] = watched
        try:
            output, h, c = go(kind, given, inputs, h, c, running, reverse, record)
        finally:
            cells.EQUATIONS[kind] = kept
        collected = np.stack(seen[::-1] if reverse else seen)
        return (collected if collected.shape == output.shape else output), h, c

    return {"direction": direction}


@recurrence("FORWARD-EQUATION", "a layer whose output is one step behind, the initial state first",
            "a state collected before it is updated", common=True)  # fmt: skip
def output_one_step_behind() -> Parts:
    def direction(go: Any, kind: Any, given: Any, inputs: Any, h: Any, c: Any, running: Any, reverse: bool,
                  record: Any = None) -> Any:  # fmt: skip
        output, h_n, c_n = go(kind, given, inputs, h, c, running, reverse, record)
        first = (np.zeros_like(output[0]) + h)[None]
        moved = np.concatenate([output[1:], first]) if reverse else np.concatenate([first, output[:-1]])
        return moved, h_n, c_n

    return {"direction": direction}


@recurrence("FORWARD-EQUATION", "a layer that reads x from the last step to the first", "go_backwards of Keras",
            common=True)  # fmt: skip
def input_reversed_in_time() -> Parts:
    def arguments(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        return np.ascontiguousarray(_along_time(layer, x)), h_0, c_0, lengths

    return {"arguments": arguments}


def _along_time(layer: Any, x: np.ndarray) -> np.ndarray:
    return x[:, ::-1] if layer.config.batch_first and x.ndim == 3 else x[::-1]


@recurrence("MULTILAYER-EQUATION", "a stack whose layers all read x, where the sizes allow",
            "a variable of the loop not handed on", features={"multilayer"})  # fmt: skip
def layers_all_read_x() -> Parts:
    first: list[Any] = []

    def arguments(layer: Any, *given: Any) -> Any:
        first.clear()
        return given

    def direction(go: Any, kind: Any, given: Any, inputs: Any, *others: Any, **more: Any) -> Any:
        first.append(inputs)
        read = first[0] if first[0].shape == inputs.shape else inputs
        return go(kind, given, read, *others, **more)

    return {"arguments": arguments, "direction": direction}
