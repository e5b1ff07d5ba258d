"""Recognize the parameters of other frameworks in a dump, by their names or by their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance import layouts
from conformance.backend import CellConfig, LayerConfig
from conformance.dumps.files import BrokenDump, numbers
from conformance.layouts.gates import gates_of
from reference.parameters import GATES, parameter_shapes

PARAMETER = re.compile(r"(?:weight|bias)_(?:ih|hh)(?:_l\d+(?:_reverse)?)?|weight_hr_l\d+(?:_reverse)?")
SEPARATE = re.compile(r"(W|w|weight|b|bias)_?([ih])([ifgocrznh])(_l\d+(?:_reverse)?)?")
ONNX_NAMES = {
    "X": "x", "initial_h": "h_0", "initial_c": "c_0", "sequence_lens": "lengths",
    "Y": "output", "Y_h": "h_n", "Y_c": "c_n",
}  # fmt: skip


FLAT = 'in JSON as {"shape": [...], "data": [...]}'


@dataclass(frozen=True)
class Reading:
    """One way to read the parameters of a dump."""

    parameters: dict[str, np.ndarray]
    """The parameters by documented name, in the documented shapes."""
    layout: str = ""
    """The layout in which the dump has them, in words; empty for the documented one."""
    id: str = ""
    advice: str = ""
    """The way to turn them into the documented ones, in words."""
    named: bool = False
    """Whether the dump has them under the framework's own names, so that nothing is wrong with them."""
    notes: tuple[str, ...] = field(default=())


def renamed(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values of a call under documented names, with notes about the names.

    A prefix that all parameters have, such as a module's name, is left out, and ONNX's names are translated.
    """
    found, notes = dict(values), list[str]()
    prefixes = {name[: -len(match)] for name in values if (match := _ending(name)) is not None}
    if len(prefixes) == 1 and (prefix := prefixes.pop()):
        found = {name.removeprefix(prefix) if _ending(name) else name: value for name, value in values.items()}
        notes.append(f"{prefix}NAME is read as NAME")
    if "W" in found and "R" in found:
        for theirs, ours in ONNX_NAMES.items():
            if theirs in found and ours not in found:
                found[ours] = found.pop(theirs)
    return found, notes


def _ending(name: str) -> str | None:
    match = re.search(rf"(?:^|[./])({PARAMETER.pattern})$", name)
    return match[1] if match else None


def by_name(kind: str, values: dict[str, Any]) -> tuple[dict[str, np.ndarray], Reading | None]:
    """Take the parameters of a framework out of ``values``, by that framework's names.

    Returns parameters under documented names as they are, or the reading of another framework's arrays.
    """
    own = {name: numbers(name, values.pop(name)) for name in list(values) if PARAMETER.fullmatch(name)}
    for recognize in (_keras, _onnx, _flax_linen, _flax_nnx, _separate):
        if not own and (reading := recognize(kind, values)) is not None:
            return {}, reading
    return own, None


def _taken(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Take arrays out of ``values``: those under the keys of ``names``, returned under its values."""
    return {ours: numbers(name, values.pop(name)) for name, ours in names.items() if name in values}


def _keras(kind: str, values: dict[str, Any]) -> Reading | None:
    if "kernel" not in values:
        return None
    native = _taken(values, {name: name for name in ("kernel", "recurrent_kernel", "bias")})
    if "recurrent_kernel" not in native:
        return _tensorflow(kind, native)
    bias = native.get("bias")
    before = kind == "gru" and bias is not None and bias.ndim == 1
    if bias is not None and before:  # reset_after=False has one bias
        native["bias"] = np.stack([bias, np.zeros_like(bias)])
    weights = _converted("kernel", layouts.from_keras, kind, native)
    notes = ("a bias of one row is that of reset_after=False, which is not the documented equation",) if before else ()
    return _reading([weights], "Keras's", "transpose the kernels", notes=notes)


def _tensorflow(kind: str, native: dict[str, np.ndarray]) -> Reading:
    kernel, bias = native["kernel"], native.get("bias")
    G = len(GATES[kind])
    H = kernel.shape[-1] // G
    if kernel.ndim != 2 or kernel.shape[-1] % G or kernel.shape[0] <= H or kind == "gru":
        raise BrokenDump("kernel: recurrent_kernel is missing; dump both matrices")
    ours = layouts.Weights(
        *(_order(kind, "igfo", a) for a in (kernel[:-H].T, kernel[-H:].T)),
        *(() if bias is None else (_order(kind, "igfo", bias), np.zeros_like(bias))),
    )
    return _reading([ours], "TensorFlow's BasicLSTMCell's", "take it apart below the rows of x, and transpose")


def _order(kind: str, order: str, a: np.ndarray) -> np.ndarray:
    """Return the blocks of an LSTM in that order as documented ones; other kinds unchanged."""
    if kind != "lstm":
        return a
    blocks = np.split(a, 4)
    return np.concatenate([blocks[order.index(gate)] for gate in GATES[kind]])


def _onnx(kind: str, values: dict[str, Any]) -> Reading | None:
    if not ("W" in values and "R" in values):
        return None
    native = _taken(values, {name: name for name in "WRB"})
    return _reading(_converted("W", layouts.from_onnx, kind, native), "ONNX's", "reorder the gates")


def _flax_linen(kind: str, values: dict[str, Any]) -> Reading | None:
    gates = gates_of(kind, "flax")
    if len(gates) == 1 or f"i{gates[0]}/kernel" not in values:
        return None
    native: dict[str, dict[str, np.ndarray]] = {}
    for side in "ih":
        for gate in gates:
            named = {f"{side}{gate}/{part}": part for part in ("kernel", "bias")}
            native[side + gate] = _taken(values, named)
    return _reading([_converted("kernel", layouts.from_flax_linen, kind, native)], "Flax's", "stack the gates")


def _flax_nnx(kind: str, values: dict[str, Any]) -> Reading | None:
    if "dense_i/kernel" not in values:
        return None
    native = {
        dense: _taken(values, {f"{dense}/{part}": part for part in ("kernel", "bias")})
        for dense in ("dense_i", "dense_h")
    }
    return _reading([_converted("kernel", layouts.from_flax_nnx, kind, native)], "Flax's", "transpose the kernels")


def _converted(name: str, convert: Any, kind: str, native: Any) -> Any:
    try:
        return convert(kind, native)
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in native.items() if isinstance(a, np.ndarray))
        raise BrokenDump(
            f"{name}: {shapes or 'these arrays'} do not fit each other in an {kind}; dump all of its arrays"
        ) from error


def _separate(kind: str, values: dict[str, Any]) -> Reading | None:
    """Join gates that are stored separately: W_ii, W_if, ..., b_hn, with or without the suffix of a layer."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for name in values:
        match = SEPARATE.fullmatch(name)
        if match:
            matrix = "weight" if match[1].lower().startswith("w") else "bias"
            gate = "g" if kind == "lstm" and match[3] == "c" else match[3]
            found.setdefault((matrix, match[2], match[4] or ""), {})[gate] = name
    gates = GATES[kind]
    if not any(matrix == "weight" for matrix, _, _ in found) or len(gates) == 1:
        return None
    parameters: dict[str, np.ndarray] = {}
    turned = False
    for (matrix, side, suffix), by_gate in found.items():
        missing = [gate for gate in gates if gate not in by_gate]
        if missing:
            some = next(iter(by_gate.values()))
            raise BrokenDump(f"{some}: the matrices of the gates {', '.join(missing)} are missing; dump those of all")
        arrays = [numbers(by_gate[gate], values.pop(by_gate[gate])) for gate in gates]
        if len({a.shape for a in arrays}) > 1:
            raise BrokenDump(f"{by_gate[gates[0]]}: the gates' matrices differ in shape; dump those of one layer")
        if matrix == "weight" and side == "i" and (bias := found.get(("bias", "i", suffix))):
            size = np.size(values.get(next(iter(bias.values())), ()))
            turned = arrays[0].ndim == 2 and size == arrays[0].shape[1] != arrays[0].shape[0]
        parameters[f"{matrix}_{side}h{suffix}"] = np.concatenate([a.T if turned and a.ndim == 2 else a for a in arrays])
    return Reading(parameters, "the documented ones, each gate by itself", "separate-gates", "stack them", True)


def _reading(weights: Any, whose: str, advice: str, notes: tuple[str, ...] = ()) -> Reading:
    parameters: dict[str, np.ndarray] = {}
    for suffix, one in zip(("_l0", "_l0_reverse"), weights, strict=False):
        for name, array in one._asdict().items():
            if array is not None:
                parameters[f"{name}{suffix}"] = np.ascontiguousarray(array)
    return Reading(parameters, whose, f"{whose.split(chr(39))[0].lower()}-names", advice, True, notes)


# --- shapes -------------------------------------------------------------------------------------------


def hidden_size(kind: str, own: Mapping[str, np.ndarray], suffix: str) -> int:
    """Return H by the shape of a recurrent matrix in any known layout. Raises BrokenDump."""
    G = len(GATES[kind])
    name = f"weight_hh{suffix}"
    R = own[name]
    projection = own.get(f"weight_hr{suffix}")
    P = None if projection is None or projection.ndim != 2 else projection.shape
    if R.ndim == 2:
        a, b = R.shape
        for rows, columns in ((a, b), (b, a)):
            H = rows // G
            if rows % G == 0 and H > 0 and columns == H and P is None:
                return H
            if rows % G == 0 and H > 0 and P is not None and sorted(P) == sorted((columns, H)):
                return H
    elif R.ndim == 3 and P is None:
        if R.shape[0] in (1, 2) and R.shape[1] == G * R.shape[2]:
            return R.shape[2]
        if R.shape[0] == G and R.shape[1] == R.shape[2]:
            return R.shape[1]
        if R.shape[0] in (1, 2) and R.shape[2] == G * R.shape[1]:
            return R.shape[1]
    if R.ndim == 1:
        raise BrokenDump(f"{name}: the shape {R.shape} is flat; dump it with its two axes, {FLAT}")
    raise BrokenDump(
        f"{name}: the shape {R.shape} is that of no {kind}, which has {G} gate{'s' * (G > 1)} and the shape "
        f"({f'{G}*H' if G > 1 else 'H'}, H); check the kind and dump the matrix as it is documented"
    )


def by_shape(config: LayerConfig | CellConfig, own: Mapping[str, np.ndarray]) -> list[Reading]:
    """Return the readings of parameters under documented names: one if they have the documented shapes.

    Parameters in another layout have a reading for each order of gates that this layout has. Raises BrokenDump for
    shapes of no known layout.
    """
    shapes = parameter_shapes(config)
    fitted: dict[str, np.ndarray] = {}
    how: dict[str, list[str]] = {}
    G = len(GATES[config.kind])
    for name, expected in shapes.items():
        way, fitted[name] = _fitted(name, own[name], expected, G)
        if way:
            how.setdefault(way, []).append(name)
    if not how:
        return [Reading(fitted)]
    found: list[Reading] = []
    ways = sorted(how, key=lambda way: -len(how[way]))
    weights = [name for name in shapes if name.startswith("weight_")]
    every = len(how.get("transposed", ())) == len(weights)
    square = [n for n in weights if "weight_hh" in n and n not in how.get("transposed", ())]
    kernels = G == 1 and len(how.get("transposed", ())) + len(square) == len(weights)
    names = [name for way in ways for name in how[way]]
    shown = f"{names[0]} has the shape {own[names[0]].shape}, documented is {shapes[names[0]]}"
    if kernels:  # a square matrix does not show whether it is transposed
        turned = {n: np.ascontiguousarray(a.T) if n in square else a for n, a in fitted.items()}
        found = [Reading(turned, f"{shown}: these are Keras's kernels", "keras-kernels", "transpose them")]
    orders = dict.fromkeys(gates_of(config.kind, layout) for layout in ("pytorch", "keras"))
    if "with an axis of directions" in how:
        orders = dict.fromkeys((*orders, gates_of(config.kind, "onnx")))
    for order in orders:
        if every or "with an axis of directions" in how:
            whose = f"these are {'Keras' if every else 'ONNX'}'s {'kernels' if every else 'W and R'}"
        else:
            whose = f"{', '.join(names[:3])} {'is' if len(names) == 1 else 'are'} {ways[0]}"
        them = "it" if len(names) == 1 else "them"
        advice = f"transpose {them}" if "transposed" in how else f"bring {them} into the documented shape"
        if order != GATES[config.kind]:
            advice += f" and reorder the gates from {'|'.join(order)} to {'|'.join(GATES[config.kind])}"
        identity = "keras-kernels" if every else "onnx-weights" if "axis" in ways[0] else "weights-transposed"
        moved = {n: a if n.startswith("weight_hr") else reordered(config.kind, order, a) for n, a in fitted.items()}
        found.append(Reading(moved, f"{shown}: {whose}", identity, advice))
    return found


def reordered(kind: str, order: str, array: np.ndarray) -> np.ndarray:
    """Return an array with gate blocks in an order of letters as the documented one; others unchanged."""
    gates = GATES[kind]
    if order == gates or array.shape[0] % len(gates):
        return array
    blocks = np.split(array, len(gates))
    return np.concatenate([blocks[order.index(gate)] for gate in gates])


def _fitted(name: str, array: np.ndarray, expected: tuple[int, ...], G: int) -> tuple[str, np.ndarray]:
    """Return how an array departs from the documented shape, in a word, and the array in that shape."""
    if array.shape == expected:
        return "", array
    for way, fits, turned in _ways(array, expected, G):
        if fits:
            return way, np.ascontiguousarray(turned())
    if array.ndim == 1 and array.size == np.prod(expected):
        raise BrokenDump(f"{name}: the shape {array.shape} is flat; dump it as {expected}, {FLAT}")
    raise BrokenDump(f"{name}: got the shape {array.shape}, expected {expected}; dump the array of this layer")


def _ways(a: np.ndarray, expected: tuple[int, ...], G: int) -> Iterator[tuple[str, bool, Any]]:
    one = a.ndim == len(expected) + 1 and a.shape[0] == 1
    yield "transposed", a.ndim == 2 and a.shape[::-1] == expected, lambda: a.T
    yield "with an axis of directions", one and a.shape[1:] == expected, lambda: a[0]
    yield "transposed", one and a.ndim == 3 and a.shape[:0:-1] == expected, lambda: a[0].T
    yield (
        "stacked by gate",
        a.size == np.prod(expected)
        and a.ndim == len(expected) + 1
        and a.shape[0] == G
        and (a.shape[1] * G == expected[0]),
        lambda: a.reshape(expected),
    )
    yield (
        "transposed",
        a.ndim == 3 and len(expected) == 2 and a.shape == (G, expected[1], expected[0] // G),
        (lambda: np.swapaxes(a, 1, 2).reshape(expected)),
    )
    yield "as a column", len(expected) == 1 and a.shape == (*expected, 1), lambda: a[:, 0]
