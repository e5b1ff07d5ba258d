"""Mistakes of those who load weights, hand over arguments and collect results, beyond the faults of the bank.

They have the form of the bank's faults, so that both can be combined. The kill matrix does not have them: most are no
mistakes of a backend, which gets its weights by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import rounded_to, time_first
from conformance.specifications.torch_nn.faults.equations import by_step, gru_with, lstm_with
from conformance.specifications.torch_nn.faults.gates import COMMON, GRU_ORDERS, LSTM_ORDERS, in_order
from conformance.specifications.torch_nn.faults.recurrence import stepping
from reference import cells
from reference.cells import blocks, relu, tanh, σ
from reference.config import numpy_dtype
from reference.parameters import GATES

MISTAKES: list[Fault] = []
gates, weights, biases, equations, recurrence, layout, results, precision = (
    Family(MISTAKES, name)
    for name in ("gates", "weights", "biases", "equations", "recurrence", "layout", "results", "precision")
)  # fmt: skip
Arrays = dict[str, np.ndarray]
Parts = dict[str, Any]

# --- blocks of gates ----------------------------------------------------------------------------------

PARTS = {
    "weight-ih": ("weight_ih",),
    "weight-hh": ("weight_hh",),
    "weights": ("weight_ih", "weight_hh"),
    "biases": ("bias",),
    "bias-ih": ("bias_ih",),
    "bias-hh": ("bias_hh",),
}
WORDS = {
    "weight-ih": "weight_ih alone",
    "weight-hh": "weight_hh alone",
    "weights": "weight_ih and weight_hh, but not of the biases,",
    "biases": "the biases alone",
    "bias-ih": "bias_ih alone",
    "bias-hh": "bias_hh alone",
}
IN_THE_BANK = {("lstm", "biases", "iofg"), ("lstm", "weight-hh", "iofg"), ("gru", "biases", "zrn")}


def _of_part(order: str, prefixes: tuple[str, ...]) -> Parts:
    load = in_order(order)["load"]

    def part(config: Any, arrays: Arrays) -> Arrays:
        moved = load(config, arrays)
        return {name: moved[name] if name.startswith(prefixes) else a for name, a in arrays.items()}

    return {"load": part}


def _add_orders_of_parts(kind: str, known: dict[str, tuple[str, str]]) -> None:
    documented = GATES[kind]
    for letters in permutations(documented):
        order = "".join(letters)
        if order == documented:
            continue
        ordered = known[order][0] if order in known else "|".join(order)
        article = "an LSTM" if kind == "lstm" else "a GRU"
        for part, prefixes in PARTS.items():
            if (kind, part, order) in IN_THE_BANK:
                continue
            gates.add(
                f"{kind}-gates-of-{part}-{order}",
                f"{kind.upper()}-GATE-ORDER",
                f"{article} that reads the blocks of {WORDS[part]} as {ordered}",
                "a converter that treats the arrays of a layer differently",
                lambda order=order, prefixes=prefixes: _of_part(order, prefixes),  # type: ignore[misc]
                kinds=kind,
                common=order in COMMON and part in ("weights", "biases"),
            )


_add_orders_of_parts("lstm", LSTM_ORDERS)
_add_orders_of_parts("gru", GRU_ORDERS)


def _has_gates(name: str) -> bool:
    return name.startswith(("weight_ih", "weight_hh", "bias"))


def _regrouped(config: Any, arrays: Arrays) -> Arrays:
    """Reorder rows of blocks as if they were stored unit by unit."""
    H, G = config.hidden_size, len(GATES[config.kind])
    take = np.arange(G * H).reshape(G, H).T.ravel()
    return {name: a[take] if _has_gates(name) else a for name, a in arrays.items()}


@gates(
    "LSTM-GATE-ORDER",
    "a layer whose loaded blocks of gates were regrouped unit by unit before they were read as blocks",
    "a reshape to (G, H) and a transposition too many",
    kinds=("lstm", "gru"),
)
def gates_regrouped() -> Parts:
    return {"load": _regrouped}


# --- matrices -----------------------------------------------------------------------------------------


def _column_major(a: np.ndarray) -> np.ndarray:
    return a.T.reshape(a.shape)


def _on(change: Callable[[np.ndarray], np.ndarray], *prefixes: str) -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        return {name: change(a) if name.startswith(prefixes) else a for name, a in arrays.items()}

    return {"load": load}


@weights(
    "FORWARD-EQUATION",
    "a layer whose weights were reshaped to (in, out) where they should have been transposed",
    "W.reshape(in, out) for W.T, or a buffer of another memory order",
    common=True,
)
def weights_column_major() -> Parts:
    return _on(_column_major, "weight_ih", "weight_hh")


def _reshaped(a: np.ndarray) -> np.ndarray:
    """Return the matrix whose transpose is ``a`` reshaped to (in, out)."""
    return a.reshape(a.shape[::-1]).T


@weights(
    "FORWARD-EQUATION",
    "a layer whose weight_ih and weight_hh, stored (out, in) row by row, were read as (in, out)",
    "W.reshape(in, out) for W.T, or the order of a flat buffer mistaken",
    common=True,
)
def weights_reshaped() -> Parts:
    return _on(_reshaped, "weight_ih", "weight_hh")


@weights(
    "FORWARD-EQUATION",
    "a layer whose weight_ih, stored (out, in) row by row, was read as (in, out)",
    "W.reshape(in, out) for W.T",
)
def weight_ih_reshaped() -> Parts:
    return _on(_reshaped, "weight_ih")


@weights(
    "FORWARD-EQUATION",
    "a layer whose weight_hh, stored (out, in) row by row, was read as (in, out)",
    "W.reshape(in, out) for W.T",
)
def weight_hh_reshaped() -> Parts:
    return _on(_reshaped, "weight_hh")


def _gates_transposed(a: np.ndarray) -> np.ndarray:
    """Transpose each square block of rows."""
    n = a.shape[1]
    return np.concatenate([a[k : k + n].T for k in range(0, len(a), n)])


def _square(config: Any, a: np.ndarray) -> bool:
    return a.shape[1] == config.hidden_size


@weights(
    "FORWARD-EQUATION",
    "a layer that uses the transpose of every gate's W_ih and W_hh, which are square",
    "kernels that store (in, out), taken over without a transposition",
    common=True,
)
def square_weights_transposed() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        def turned(name: str, a: np.ndarray) -> np.ndarray:
            matrix = name.startswith(("weight_ih", "weight_hh"))
            return _gates_transposed(a) if matrix and _square(config, a) else a

        return {name: turned(name, a) for name, a in arrays.items()}

    return {"load": load}


@weights(
    "FORWARD-EQUATION",
    "a layer that uses the transpose of every gate's W_ih, which is square",
    "kernels that store (in, out), taken over without a transposition",
)
def square_weight_ih_of_every_layer_transposed() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        return {
            name: _gates_transposed(a) if name.startswith("weight_ih") and _square(config, a) else a
            for name, a in arrays.items()
        }

    return {"load": load}


@weights(
    "FORWARD-EQUATION",
    "a layer in which weight_ih and weight_hh, of one shape, have changed places",
    "two arrays unpacked in the wrong order",
    common=True,
)
def weights_exchanged() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        found = dict(arrays)
        for name, a in arrays.items():
            other = name.replace("weight_ih", "weight_hh")
            if name.startswith("weight_ih") and arrays[other].shape == a.shape:
                found[name], found[other] = arrays[other], a
        return found

    return {"load": load}


@weights("FORWARD-EQUATION", "a layer that leaves weight_hh out", "a product forgotten", common=True)
def weight_hh_dropped() -> Parts:
    return _on(np.zeros_like, "weight_hh")


@weights(
    "MULTILAYER-EQUATION",
    "a stack whose layers all use the first layer's parameters, where the shapes allow",
    "one cell in a loop over layers",
    features={"multilayer"},
    common=True,
)
def layers_share_the_first() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        found = dict(arrays)
        for name, a in arrays.items():
            for layer in range(1, getattr(config, "num_layers", 1)):
                first = name.replace(f"_l{layer}", "_l0")
                if f"_l{layer}" in name and arrays[first].shape == a.shape:
                    found[name] = arrays[first]
        return found

    return {"load": load}


@weights(
    "MULTILAYER-EQUATION",
    "a stack whose layers use each other's parameters, the last layer's first, where the shapes allow",
    "a list of layers walked from the end",
    features={"multilayer"},
)
def layers_parameters_reversed() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        found, L = dict(arrays), getattr(config, "num_layers", 1)
        for name, a in arrays.items():
            for layer in range(L):
                other = name.replace(f"_l{layer}", f"_l{L - 1 - layer}")
                if name.removesuffix("_reverse").endswith(f"_l{layer}") and arrays[other].shape == a.shape:
                    found[name] = arrays[other]
        return found

    return {"load": load}


def _rounded(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda a: rounded_to(numpy_dtype(name), a)


@precision("FORWARD-EQUATION", "a layer whose matrices, and not its biases, are rounded to float16",
           "weights stored in half precision")  # fmt: skip
def matrices_in_float16() -> Parts:
    return _on(_rounded("float16"), "weight")


@precision("FORWARD-EQUATION", "a layer whose weights are rounded to bfloat16", "weights stored in bfloat16")
def weights_in_bfloat16() -> Parts:
    return _on(_rounded("bfloat16"), "weight", "bias")


@precision("FORWARD-EQUATION", "a layer whose matrices, and not its biases, are rounded to bfloat16",
           "weights stored in bfloat16")  # fmt: skip
def matrices_in_bfloat16() -> Parts:
    return _on(_rounded("bfloat16"), "weight")


# --- biases -------------------------------------------------------------------------------------------


@biases(
    "GRU-EQUATION",
    "a GRU without b_hn, the new gate's bias inside the reset",
    "one bias for two, as in cells with a single bias",
    kinds="gru",
    common=True,
)
def gru_bias_hn_dropped() -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        H = config.hidden_size

        def cut(a: np.ndarray) -> np.ndarray:
            return np.concatenate([a[: 2 * H], np.zeros_like(a[2 * H :])])

        return {name: cut(a) if name.startswith("bias_hh") else a for name, a in arrays.items()}

    return {"load": load}


def _for_both(one: str, other: str) -> Parts:
    def load(config: Any, arrays: Arrays) -> Arrays:
        return {name: arrays[name.replace(other, one)] if name.startswith(other) else a for name, a in arrays.items()}

    return {"load": load}


@biases("FORWARD-EQUATION", "a layer that uses bias_ih in place of bias_hh as well", "a name copied")
def bias_ih_for_both() -> Parts:
    return _for_both("bias_ih", "bias_hh")


@biases("FORWARD-EQUATION", "a layer that uses bias_hh in place of bias_ih as well", "a name copied")
def bias_hh_for_both() -> Parts:
    return _for_both("bias_hh", "bias_ih")


@biases(
    "STATE-STEPWISE",
    "a layer that adds its biases at the first step alone",
    "a bias added to the initial state's sum",
)
def biases_at_the_first_step_only() -> Parts:
    def change(equation: Any, given: Any) -> Any:
        _, _, b_ih, b_hh, _ = given
        steps: list[bool] = []

        def first_alone(x: Any, u: Any, h: Any, c: Any) -> Any:
            if steps and b_ih is not None:
                x, u = x - b_ih, u - b_hh
            steps.append(True)
            return equation(x, u, h, c)

        return first_alone

    return stepping(change)


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


# --- axes ---------------------------------------------------------------------------------------------


def _exchanged(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
    if x.ndim == 2 or layer.config.batch_first:
        return layer.plain(x, h_0, c_0, lengths)
    N = x.shape[0]
    fitted = [None if s is None else np.resize(s, (s.shape[0], N, s.shape[2])) for s in (h_0, c_0)]
    ends = None if lengths is None else [min(n, x.shape[1]) for n in np.resize(lengths, N)]
    return layer.plain_of(replace(layer.config, batch_first=True), layer.given, x, *fitted, ends)


@layout(
    "FORWARD-EQUATION",
    "a layer that reads x as (N, T, I), samples before steps, where it is (T, N, I)",
    "batch_first=True in one of two places, or Keras's layout",
    common=True,
)
def axes_exchanged() -> Parts:
    return {"forward": _exchanged}


@layout(
    "FORWARD-EQUATION",
    "a layer for which x was reshaped from (N, T, I) to (T, N, I), not transposed",
    "reshape where transpose is meant",
)
def input_reshaped() -> Parts:
    def arguments(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        if x.ndim == 3 and not layer.config.batch_first:
            x = np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(x.shape)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@layout(
    "FORWARD-EQUATION",
    "a layer whose output was reshaped from (N, T, D*O) to (T, N, D*O), not transposed",
    "reshape where transpose is meant",
)
def output_reshaped() -> Parts:
    def result(layer: Any, got: Any, lengths: Any) -> Any:
        if got.output.ndim == 3 and not layer.config.batch_first:
            output = np.ascontiguousarray(np.swapaxes(got.output, 0, 1)).reshape(got.output.shape)
            return Result(output, *got[1:])
        return got

    return {"result": result}


@layout("FORWARD-EQUATION", "a layer that reads h_0 and c_0 as (N, D*L, feature)",
        "samples first in the states as well", features={"initial_state"})  # fmt: skip
def initial_states_samples_first() -> Parts:
    def arguments(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        def read(s: Any) -> Any:
            return None if s is None else np.ascontiguousarray(s).reshape(s.shape[1], s.shape[0], -1).swapaxes(0, 1)

        if x.ndim == 3 and not layer.config.batch_first:
            h_0, c_0 = read(h_0), read(c_0)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


# --- results of other shapes ----------------------------------------------------------------------------


def _with_states(got: Any, change: Callable[[np.ndarray], np.ndarray]) -> Result:
    h_n, c_n = got[1:]
    return Result(got.output, change(h_n), None if c_n is None else change(c_n))


def _result(change: Callable[[Any, Any], Any]) -> Parts:
    return {"result": lambda layer, got, lengths: change(layer, got)}


@results("SHAPE-OUTPUT", "a layer whose output is that of the last step alone", "return_sequences=False of Keras",
         common=True)  # fmt: skip
def output_of_the_last_step_only() -> Parts:
    return _result(lambda layer, got: Result(time_first(layer, got.output)[-1], *got[1:]))


@results("SHAPE-OUTPUT", "a layer whose output is (N, T, feature), samples before steps, without batch_first",
         "Keras's layout, or a transposition too many", common=True)  # fmt: skip
def output_samples_first() -> Parts:
    def turned(layer: Any, got: Any) -> Any:
        if layer.config.batch_first or got.output.ndim == 2:
            return got
        return Result(np.swapaxes(got.output, 0, 1), *got[1:])

    return _result(turned)


@results("SHAPE-FINAL-STATES", "a layer whose h_n and c_n are (N, D*L, feature)", "samples first in the states as well")
def final_states_samples_first() -> Parts:
    def turned(layer: Any, got: Any) -> Any:
        if layer.config.batch_first or got.output.ndim == 2:
            return got
        return _with_states(got, lambda s: np.swapaxes(s, 0, 1))

    return _result(turned)


@results("SHAPE-FINAL-STATES", "a stack that returns h_n and c_n of the last layer alone", "one variable for all",
         features={"multilayer"})  # fmt: skip
def final_states_of_the_last_layer_only() -> Parts:
    return _result(lambda layer, got: _with_states(got, lambda s: s[-layer.config.directions :]))


def _merged(merge: Callable[[Any, Any], Any]) -> Parts:
    def change(layer: Any, got: Any) -> Any:
        if not layer.config.bidirectional:
            return got
        return Result(merge(*np.split(got.output, 2, axis=-1)), *got[1:])

    return _result(change)


DIRECTIONS = {"features": {"bidirectional"}}


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the sum of the two directions",
         "merge_mode='sum' of Keras", **DIRECTIONS)  # fmt: skip
def directions_summed() -> Parts:
    return _merged(lambda a, b: a + b)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the mean of the two directions",
         "merge_mode='ave' of Keras", **DIRECTIONS)  # fmt: skip
def directions_averaged() -> Parts:
    return _merged(lambda a, b: (a + b) / 2)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the product of the two directions",
         "merge_mode='mul' of Keras", **DIRECTIONS)  # fmt: skip
def directions_multiplied() -> Parts:
    return _merged(lambda a, b: a * b)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is that of the forward direction alone",
         "the reverse direction not joined", **DIRECTIONS)  # fmt: skip
def forward_direction_only() -> Parts:
    return _merged(lambda a, b: a)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose reverse half of the output is zero",
         "a buffer of both directions filled by one", **DIRECTIONS)  # fmt: skip
def reverse_half_zero() -> Parts:
    return _merged(lambda a, b: np.concatenate([a, 0 * b], axis=-1))


@results("SHAPE-OUTPUT", "a bidirectional layer whose output is (T, D, N, O), as ONNX's Y", "Y taken for output",
         **DIRECTIONS)  # fmt: skip
def output_of_onnx() -> Parts:
    def change(layer: Any, got: Any) -> Any:
        output = time_first(layer, got.output)
        if output.ndim != 3:
            return got
        return Result(np.stack(np.split(output, layer.config.directions, axis=-1), axis=1), *got[1:])

    return _result(change)
