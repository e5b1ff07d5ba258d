"""Mistakes of loading: orders of gates, matrices, biases."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import rounded_to
from conformance.specifications.torch_nn.faults.gates import COMMON, GRU_ORDERS, LSTM_ORDERS, in_order
from conformance.specifications.torch_nn.faults.recurrence import stepping
from reference.config import numpy_dtype
from reference.parameters import GATES

MISTAKES: list[Fault] = []
gates, weights, biases, precision = (Family(MISTAKES, name) for name in ("gates", "weights", "biases", "precision"))
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
