"""Make calls of the flat values of a dump: the configuration follows from the shapes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.backend import FLOAT32_ARITHMETICS, CellConfig, LayerConfig
from conformance.dumps import foreign
from conformance.dumps.files import BrokenDump, numbers, plain, typed
from conformance.dumps.foreign import Reading
from conformance.specifications.torch_nn.calls import CellCall, LayerCall, describe
from reference.config import DTYPES, KINDS, is_integer, numpy_dtype
from reference.parameters import GATES, parameter_shapes
from reference.precision import ARITHMETICS, Arithmetic

SETTINGS = ("kind", "batch_first", "dtype", "arithmetic")
REDUNDANT = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size")
ARGUMENTS, RESULTS = ("x", "h_0", "c_0", "lengths"), ("output", "h_n", "c_n")
CELL_ARGUMENTS, CELL_RESULTS = ("x", "h", "c"), ("h", "c")
ALIASES = {"h0": "h_0", "c0": "c_0", "hn": "h_n", "cn": "c_n", "h": "h_0", "c": "c_0", "h_1": "h_n", "c_1": "c_n"}
COARSEST_FIRST = ("bfloat16", "float16", "float32", "float64")
MAX_NUMBERS = 1 << 22  # T * D * L * G * H of one sample
MAX_CALLS = 64
NUMBERED = re.compile(r"(\d{1,6})/(.+)", re.S)


@dataclass(frozen=True)
class Recorded:
    """One call of a dump with what came."""

    label: str
    """The call's number and a slash, in messages; empty for a single call."""
    call: LayerCall | CellCall
    """The call in float64, which holds the numbers of every dtype."""
    results: dict[str, np.ndarray]
    """What came, in float64, by the names of the form's results; of any shape."""
    names: dict[str, str]
    """The names of the results in the dump."""
    dtype: str
    arithmetic: Arithmetic
    readings: tuple[Reading, ...]
    """The ways to read the parameters, of which the call has the first."""
    notes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    """What the dump leaves open and a word in it would settle."""

    def read_as(self, reading: Reading) -> Recorded:
        """Return the call with the parameters of another reading."""
        parameters = {name: a.astype(np.float64) for name, a in reading.parameters.items()}
        readings = (reading, *(other for other in self.readings if other is not reading))
        return replace(self, call=self.call.replace(parameters=parameters), readings=readings)

    @property
    def described(self) -> str:
        """The configuration and the sizes of the call, in words."""
        call = self.call
        config = describe(replace(call.config, dtype=self.dtype))
        if isinstance(call, CellCall):
            sizes = "unbatched" if call.unbatched else f"N = {len(call.x)}"
            given = call.h is not None
        else:
            sizes = f"T = {call.T}, " + ("unbatched" if call.unbatched else f"N = {call.N}")
            given = call.h_0 is not None
        lengths = getattr(call, "lengths", None)
        parts = [config, sizes, "initial state given" if given else "no initial state"]
        if lengths is not None:
            parts.append(f"lengths {', '.join(map(str, lengths[:8]))}{', ...' if len(lengths) > 8 else ''}")
        if self.arithmetic.name != self.dtype:
            parts.append(f"arithmetic {self.arithmetic.name}")
        return "; ".join(parts)


def recorded(values: Mapping[str, Any]) -> list[Recorded]:
    """Return the calls of a dump. Raises BrokenDump."""
    by_number: dict[int, dict[str, Any]] = {}
    shared: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise BrokenDump(f"{name!r}: the names of arrays are strings; rename it")
        match = NUMBERED.fullmatch(name)
        if match:
            by_number.setdefault(int(match[1]), {})[match[2]] = value
        else:
            shared[name] = value
    if not values:
        raise BrokenDump("it holds nothing; dump kind, the parameters, x and output")
    if not by_number:
        return [_recorded(shared, "")]
    if len(by_number) > MAX_CALLS:
        raise BrokenDump(f"it holds {len(by_number)} calls; dump at most {MAX_CALLS}")
    loose = [name for name in shared if ALIASES.get(name, name) in RESULTS]
    if loose:
        raise BrokenDump(f"{loose[0]}: its call is not said where calls are numbered; name it 0/{loose[0]}")
    return [_recorded({**shared, **by_number[number]}, f"{number}/") for number in sorted(by_number)]


def _recorded(values: Mapping[str, Any], label: str) -> Recorded:
    try:
        return _one(values, label)
    except BrokenDump as error:
        message = str(error)
        raise BrokenDump(message if not label or message.startswith(label) else f"{label}{message}") from error


def _one(given: Mapping[str, Any], label: str) -> Recorded:
    values, notes = foreign.renamed({name: value for name, value in given.items() if value is not None})
    for alias, name in ALIASES.items():
        if alias in values and name not in values:
            values[name] = values.pop(alias)
    kind, dtype, arithmetic = _kind(values), _choice(values, "dtype", DTYPES), _arithmetic(values)
    batch_first = _flag(values, "batch_first")
    redundant = {name: plain(values.pop(name)) for name in REDUNDANT if name in values and np.size(values[name]) == 1}
    chosen = [numbers(name, value) for name, value in values.items() if name != "lengths" and typed(value)]
    own, framework = foreign.by_name(kind, values)
    if framework is not None:
        own = framework.parameters
        whose = framework.layout if framework.id == "separate-gates" else f"in {framework.layout} layout"
        notes += [f"the parameters are {whose}: they are read so", *framework.notes]
    _known_names(values)
    if "x" not in values:
        raise BrokenDump("x is missing; dump the input")
    if not own:
        raise BrokenDump("the parameters are missing; dump weight_ih_l0, weight_hh_l0 and so on")
    arrays = {name: numbers(name, values[name]) for name in values if name != "lengths"}
    if not any(name in arrays for name in RESULTS):
        raise BrokenDump("nothing that came is given; dump output, h_n or c_n")
    own, cell = _layer_or_cell(own, arrays, notes)
    if framework is not None and framework.id == "onnx-names":
        _from_onnx(arrays, notes)
    own_dtype = dtype or _dtype(chosen, [arrays[n] for n in RESULTS if n in arrays])
    if own_dtype != "float32" and arithmetic != "float32":
        raise BrokenDump(f"arithmetic: {arithmetic} is one of float32, and these numbers are {own_dtype}; leave it out")
    used = ARITHMETICS[arithmetic if own_dtype == "float32" else own_dtype]
    make = _cell if cell else _layer
    call, readings, asked = make(kind, own, arrays, values.get("lengths"), batch_first)
    notes += [word for word in asked if " is read as " in word]
    asked = [word for word in asked if word not in notes]
    if framework is not None:
        readings = [replace(framework, parameters=each.parameters) for each in readings]
    _consistent(call.config, redundant)
    _finite(call)
    _size(call)
    names = dict(zip(CELL_RESULTS, ("h_n", "c_n"), strict=True)) if cell else {n: n for n in RESULTS}
    results = {ours: arrays[name].astype(np.float64) for ours, name in names.items() if name in arrays}
    if cell and "output" in arrays:
        if "h" in results and not np.array_equal(results["h"], arrays["output"].astype(float), equal_nan=True):
            raise BrokenDump("output: a cell has one new state, and h_n holds other numbers; leave one of them out")
        results.setdefault("h", arrays["output"].astype(np.float64))
        names = {"h": "output", **names} if "h_n" not in arrays else names
    names = {ours: next((a for a, n in ALIASES.items() if n == name and a in given), name)
             for ours, name in names.items() if ours in results}  # fmt: skip
    ordered = {name: results[name] for name in (*RESULTS, *CELL_RESULTS) if name in results}
    return Recorded(label, call, ordered, names, own_dtype, used, tuple(readings), tuple(notes), tuple(asked))


# --- settings -----------------------------------------------------------------------------------------


def _kind(values: dict[str, Any]) -> str:
    every = ", ".join(KINDS)
    if "kind" not in values:
        recurrent = values.get("weight_hh_l0", values.get("weight_hh"))
        shape = np.shape(recurrent) if isinstance(recurrent, np.ndarray) else ()
        fits = [k for k in KINDS if len(shape) == 2 and shape[0] == len(GATES[k]) * shape[1]]
        like = f", of which {' and '.join(fits)} fit{'s' * (len(fits) == 1)} weight_hh_l0" if fits else ""
        raise BrokenDump(f"kind is missing; add one of {every}{like}")
    kind = plain(values.pop("kind"))
    found = kind.lower() if isinstance(kind, str) else kind
    if isinstance(found, str):
        found = found.strip().removesuffix("cell")
    if found not in KINDS:
        raise BrokenDump(f"kind: got {_said(kind)}, expected one of {every}")
    return str(found)


def _said(value: Any) -> str:
    text = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _choice(values: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    if name not in values:
        return ""
    value = plain(values.pop(name))
    found = value.removeprefix("torch.") if isinstance(value, str) else value
    if found not in known:
        raise BrokenDump(f"{name}: got {_said(value)}, expected one of {', '.join(known)}")
    return str(found)


def _arithmetic(values: dict[str, Any]) -> str:
    return _choice(values, "arithmetic", FLOAT32_ARITHMETICS) or "float32"


def _flag(values: dict[str, Any], name: str) -> bool | None:
    if name not in values:
        return None
    value = plain(values.pop(name))
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise BrokenDump(f"{name}: got {_said(value)}, expected true or false")


def _known_names(values: Mapping[str, Any]) -> None:
    known = (*SETTINGS, *ARGUMENTS, *RESULTS, *CELL_ARGUMENTS, "h_1", "c_1")
    for name in values:
        if name in (*ARGUMENTS, *RESULTS):
            continue
        parameters = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih", "weight_hh", "bias_ih")
        near = difflib.get_close_matches(str(name), [*known, *parameters], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        other = "the same array as another name" if name in known else "no name of an array"
        raise BrokenDump(f"{str(name)[:60]}: this is {other}{hint or '; leave it out'} ({_names_in_words()})")


def _names_in_words() -> str:
    return (
        "known are kind, weight_ih_l0 and so on, x, h_0, c_0, lengths, output, h_n, c_n, batch_first, dtype, arithmetic"
    )


def _consistent(config: LayerConfig | CellConfig, redundant: Mapping[str, Any]) -> None:
    for name, value in redundant.items():
        follows = getattr(config, name, None)
        if follows is not None and value != follows:
            raise BrokenDump(f"{name}: got {_said(value)}, but the shapes of the arrays are those of {follows}")


def _dtype(arrays: list[np.ndarray], results: list[np.ndarray]) -> str:
    """Return the coarsest dtype; float32 without one, and where float64 holds results that float32 has, too."""
    names = {a.dtype.name for a in arrays}
    if not names:
        return "float32"
    found = next((name for name in COARSEST_FIRST if name in names), "float64")
    if found == "float64":
        with np.errstate(over="ignore"):
            exact = all(np.array_equal(a, a.astype(np.float32), equal_nan=True) for a in results)
        return "float32" if exact else "float64"
    return found


# --- layers and cells -----------------------------------------------------------------------------------


def _layer_or_cell(
    own: dict[str, np.ndarray], arrays: Mapping[str, np.ndarray], notes: list[str]
) -> tuple[dict[str, np.ndarray], bool]:
    """Return the parameters under the names of a layer or of a cell, and whether it is a cell."""
    plain_names = [name for name in own if "_l" not in name]
    if plain_names and len(plain_names) < len(own):
        layered = next(name for name in own if "_l" in name)
        raise BrokenDump(f"{plain_names[0]}: {layered} is a layer's parameter and this one a cell's; rename one")
    if not plain_names:
        h = arrays.get("h_0", arrays.get("h_n"))
        one = set(own) <= {f"{n}_l0" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        x = arrays["x"]
        step = one and x.ndim <= 2 and h is not None and h.ndim == x.ndim and "output" not in arrays
        if step and h is not None and (x.ndim == 1 or h.shape[0] == x.shape[0] > 1):
            notes.append("the call is read as one step of a cell: x and the states have the same samples")
            return {name.removesuffix("_l0"): a for name, a in own.items()}, True
        return own, False
    if arrays["x"].ndim == 3:
        notes.append("the parameters have a cell's names, x the steps of a layer: it is read as one layer")
        return {f"{name}_l0": a for name, a in own.items()}, False
    return own, True


def _from_onnx(arrays: dict[str, np.ndarray], notes: list[str]) -> None:
    """Bring an output of ONNX's shape (T, D, N, H) into the documented one."""
    output = arrays.get("output")
    if output is not None and output.ndim == 4:
        T, D, N, H = output.shape
        arrays["output"] = np.ascontiguousarray(np.moveaxis(output, 1, 2)).reshape(T, N, D * H)
        notes.append("Y of the shape (T, D, N, H) is read as output (T, N, D*H)")


def _cell(
    kind: str,
    own: dict[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    lengths: Any,
    batch_first: bool | None,
) -> tuple[CellCall, list[Reading], list[str]]:
    if lengths is not None:
        raise BrokenDump("lengths: a cell takes one step; leave them out")
    x = arrays["x"]
    bias = _both_biases(own, "")
    if x.ndim not in (1, 2):
        raise BrokenDump(f"x: got the shape {x.shape}, expected (N, I) or (I) of a cell")
    config = CellConfig(kind, x.shape[-1], foreign.hidden_size(kind, own, ""), bias, "float64")
    readings = _readings(config, own, x)
    states = _states(kind, arrays, dict.fromkeys(("h_0", "c_0"), (*x.shape[:-1], config.hidden_size)))
    call = CellCall(config, _as64(readings[0].parameters), x.astype(np.float64), states[0], states[1])
    return call, readings, []


def _layer(
    kind: str,
    own: dict[str, np.ndarray],
    arrays: Mapping[str, np.ndarray],
    lengths: Any,
    batch_first: bool | None,
) -> tuple[LayerCall, list[Reading], list[str]]:
    x = arrays["x"]
    if x.ndim not in (2, 3):
        raise BrokenDump(f"x: got the shape {x.shape}, expected (T, N, I), (N, T, I) or (T, I)")
    if 0 in x.shape:
        raise BrokenDump(f"x: the shape {x.shape} holds no number; dump at least one step of one sample")
    L, bidirectional = _stack(own)
    bias = _both_biases(own, "_l0")
    H = foreign.hidden_size(kind, own, "_l0")
    P = _projection(kind, own, H)
    config = LayerConfig(
        kind, x.shape[-1], H, L, bias, bidirectional=bidirectional, proj_size=P, dtype="float64"
    )  # fmt: skip
    readings = _readings(config, own, x)
    ends = _lengths(lengths)
    if x.ndim == 2:
        batch_first, asked = bool(batch_first), list[str]()
        if ends is not None:
            raise BrokenDump("lengths: x has no axis of samples, (T, I); leave them out, or give x one")
    else:
        batch_first, asked = _order_of_axes(x, arrays, ends, batch_first)
    config = replace(config, batch_first=batch_first)
    T, N = (x.shape[0], 1) if x.ndim == 2 else (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
    if ends is not None and (len(ends) != N or not all(1 <= n <= T for n in ends)):
        raise BrokenDump(f"lengths: got {len(ends)} of them up to {max(ends)}, expected {N}, each from 1 to {T}")
    rows, batch = config.directions * L, () if x.ndim == 2 else (N,)
    states = _states(kind, arrays, {"h_0": (rows, *batch, config.output_size), "c_0": (rows, *batch, H)})
    call = LayerCall(config, _as64(readings[0].parameters), x.astype(np.float64), states[0], states[1], ends)
    return call, readings, asked


def _as64(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: a.astype(np.float64) for name, a in parameters.items()}


def _stack(own: Mapping[str, np.ndarray]) -> tuple[int, bool]:
    places = {(int(m[1]), bool(m[2])) for name in own if (m := re.search(r"_l(\d+)(_reverse)?$", name))}
    L, bidirectional = max(k for k, _ in places) + 1, any(reverse for _, reverse in places)
    if L > 1000:
        raise BrokenDump(f"the parameters are those of {L} layers; number them from _l0 on")
    for layer in range(L):
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[: 1 + bidirectional]:
            for name in ("weight_ih", "weight_hh"):
                if f"{name}{suffix}" not in own:
                    raise BrokenDump(f"{name}{suffix} is missing; dump the parameters of every layer and direction")
    return L, bidirectional


def _both_biases(own: Mapping[str, np.ndarray], suffix: str) -> bool:
    for name in (f"weight_ih{suffix}", f"weight_hh{suffix}"):
        if name not in own:
            raise BrokenDump(f"{name} is missing; dump all parameters of the layer")
    sides = [side for side in ("ih", "hh") if f"bias_{side}{suffix}" in own]
    if len(sides) == 1:
        other = "hh" if sides == ["ih"] else "ih"
        raise BrokenDump(
            f"bias_{other}{suffix} is missing beside bias_{sides[0]}{suffix}; dump both, zeros for the one that your "
            "code does not have"
        )
    return bool(sides)


def _projection(kind: str, own: Mapping[str, np.ndarray], H: int) -> int:
    W_hr = own.get("weight_hr_l0")
    if W_hr is None:
        return 0
    if kind != "lstm" or W_hr.ndim != 2 or H not in W_hr.shape:
        raise BrokenDump(f"weight_hr_l0: got the shape {W_hr.shape}, expected (P, {H}) of an lstm; leave it out")
    P = W_hr.shape[0] if W_hr.shape[1] == H else W_hr.shape[1]
    if not 0 < P < H:
        raise BrokenDump(f"weight_hr_l0: got the shape {W_hr.shape}, expected (P, {H}) with P below {H}")
    return P


def _readings(config: LayerConfig | CellConfig, own: Mapping[str, np.ndarray], x: np.ndarray) -> list[Reading]:
    shapes = parameter_shapes(config)
    for name in shapes:
        if name not in own:
            raise BrokenDump(f"{name} is missing; dump all of {', '.join(list(shapes)[:5])} and so on")
    for name in own:
        if name not in shapes:
            raise BrokenDump(
                f"{name}: a layer of these parameters has none of this name; leave it out or dump them all"
            )
    first = next(iter(shapes))
    W, expected = own[first], shapes[first]
    if W.ndim == 2 and W.size != expected[0] * expected[1] and expected[0] in W.shape:
        features = W.shape[1] if W.shape[0] == expected[0] else W.shape[0]
        raise BrokenDump(
            f"x: its last axis has {x.shape[-1]} features, {first} of the shape {W.shape} takes {features}; dump the x "
            "and the parameters of the same call"
        )
    return foreign.by_shape(config, own)


def _states(
    kind: str, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    found: list[np.ndarray | None] = []
    if kind != "lstm" and (extra := [name for name in ("c_0", "c_n") if name in arrays]):
        raise BrokenDump(f"{extra[0]}: {kind} has no cell state; leave it out, or check the kind")
    for name, expected in shapes.items():
        state = arrays.get(name)
        if state is not None and state.shape != expected:
            if state.size != np.prod(expected) or [n for n in state.shape if n > 1] != [n for n in expected if n > 1]:
                raise BrokenDump(
                    f"{name}: got the shape {state.shape}, expected {expected}; dump the state of this call"
                )
            state = state.reshape(expected)
        found.append(None if state is None else state.astype(np.float64))
    if kind == "lstm" and (found[0] is None) != (found[1] is None):
        missing, there = ("h_0", "c_0") if found[0] is None else ("c_0", "h_0")
        raise BrokenDump(f"{missing} is missing beside {there}; dump both, or neither for zeros")
    return found[0], found[1]


def _lengths(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    array = np.atleast_1d(numbers("lengths", value)).astype(np.float64)
    if array.ndim != 1 or not np.all(np.isfinite(array)) or not np.all(array == np.floor(array)) or not array.size:
        raise BrokenDump("lengths: expected a list of one integer for each sample")
    return tuple(int(n) for n in array)


def _order_of_axes(
    x: np.ndarray, arrays: Mapping[str, np.ndarray], ends: tuple[int, ...] | None, given: bool | None
) -> tuple[bool, list[str]]:
    """Return batch_first: the given one, or the one that the shapes of states and lengths say; and what stays open."""
    if given is not None:
        return given, []
    first, second = x.shape[:2]
    votes: list[int] = []
    for name in ("h_0", "c_0", "h_n", "c_n"):
        a = arrays.get(name)
        if a is not None and a.ndim == 3 and not votes:
            votes.append(a.shape[1])
    if ends is not None:
        votes.insert(0, len(ends))
    if first != second:
        for N in votes:
            if N in (first, second):
                return first == N, [f"x {x.shape} is read as (N, T, I): {N} samples are in the states"] * (first == N)
        if ends is not None and max(ends) > first:
            return True, [f"x {x.shape} is read as (N, T, I) because of the lengths"]
    return False, [f"x {x.shape} is taken as (T, N, I): give batch_first if it is (N, T, I)"]


# --- values -------------------------------------------------------------------------------------------


def _finite(call: LayerCall | CellCall) -> None:
    for name, array in {**call.parameters, **call.arguments}.items():
        if not isinstance(array, np.ndarray) or np.isfinite(array).all():
            continue
        ends = getattr(call, "lengths", None)
        if name == "x" and ends is not None and isinstance(call, LayerCall):
            time = np.swapaxes(array, 0, 1) if call.config.batch_first else array
            if all(np.isfinite(time[:n, k]).all() for k, n in enumerate(ends)):
                continue
        bad = int(np.sum(~np.isfinite(array)))
        at = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise BrokenDump(
            f"{name}: {bad} of {array.size} numbers {'is' if bad == 1 else 'are'} NaN or infinite, the first at [{at}], so"
            " that nothing can be expected of the results; dump a call of finite numbers"
        )


def _size(call: LayerCall | CellCall) -> None:
    if isinstance(call, LayerCall):
        config = call.config
        size = call.T * config.directions * config.num_layers * len(GATES[config.kind]) * config.hidden_size
        if size > MAX_NUMBERS:
            raise BrokenDump(f"x: {call.T} steps of this layer are too many to judge; dump the first {call.T // 10}")


def as_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return float64 numbers rounded to a dtype, in float64."""
    with np.errstate(over="ignore"):
        return array.astype(numpy_dtype(dtype)).astype(np.float64)


__all__ = ["BrokenDump", "Recorded", "as_dtype", "is_integer", "recorded"]
