"""The configuration and the call that follow from the shapes of the arrays of a dump."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.dumps import foreign
from conformance.dumps.files import BrokenDump, numbers
from conformance.dumps.foreign import Reading
from conformance.specifications.torch_nn.calls import CellCall, LayerCall
from reference.parameters import GATES, parameter_shapes

MAX_NUMBERS = 1 << 22  # T * D * L * G * H of one sample


def layer_or_cell(
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


def output_from_onnx(arrays: dict[str, np.ndarray], notes: list[str]) -> None:
    """Bring an output of ONNX's shape (T, D, N, H) into the documented one."""
    output = arrays.get("output")
    if output is not None and output.ndim == 4:
        T, D, N, H = output.shape
        arrays["output"] = np.ascontiguousarray(np.moveaxis(output, 1, 2)).reshape(T, N, D * H)
        notes.append("Y of the shape (T, D, N, H) is read as output (T, N, D*H)")


def cell_call(
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
    call = CellCall(config, as64(readings[0].parameters), x.astype(np.float64), states[0], states[1])
    return call, readings, []


def layer_call(
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
    ends = lengths_of("lengths", lengths)
    if x.ndim == 2:
        batch_first, asked = bool(batch_first), list[str]()
        if ends is not None:
            raise BrokenDump("lengths: x has no axis of samples, (T, I); leave them out, or give x one")
    else:
        batch_first, asked = _order_of_axes(x, arrays, ends, batch_first)
    config = replace(config, batch_first=batch_first)
    T, N = (x.shape[0], 1) if x.ndim == 2 else (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
    if ends is not None and (len(ends) != N or not all(1 <= n <= T for n in ends)):
        raise BrokenDump(f"lengths: got {len(ends)} from {min(ends)} to {max(ends)}, expected {N}, each from 1 to {T}")
    rows, batch = config.directions * L, () if x.ndim == 2 else (N,)
    states = _states(kind, arrays, {"h_0": (rows, *batch, config.output_size), "c_0": (rows, *batch, H)})
    call = LayerCall(config, as64(readings[0].parameters), x.astype(np.float64), states[0], states[1], ends)
    return call, readings, asked


def as64(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
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


def lengths_of(name: str, value: Any) -> tuple[int, ...] | None:
    """Return the lengths of the samples, None for None. Raises BrokenDump unless they are whole numbers in a list."""
    if value is None:
        return None
    array = np.atleast_1d(numbers(name, value)).astype(np.float64)
    if array.ndim != 1 or not np.all(np.isfinite(array)) or not np.all(array == np.floor(array)) or not array.size:
        raise BrokenDump(f"{name}: expected a list of one integer for each sample")
    return tuple(int(n) for n in array)


def _order_of_axes(
    x: np.ndarray, arrays: Mapping[str, np.ndarray], ends: tuple[int, ...] | None, given: bool | None
) -> tuple[bool, list[str]]:
    """Return batch_first: the given one, or the one that states and lengths show; and an open question."""
    first, second = x.shape[:2]
    if given is not None:
        N, other = (first, second) if given else (second, first)
        for name in ("h_0", "c_0"):
            a = arrays.get(name)
            if a is not None and a.ndim == 3 and a.shape[1] == other != N:
                axes, right = ("(T, N, I)", "false") if given else ("(N, T, I)", "true")
                raise BrokenDump(
                    f"batch_first: {name} has {other} samples, so x {x.shape} is {axes}; set it to {right}"
                )
        return given, []
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


def check_finite(call: LayerCall | CellCall) -> None:
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
        are = "is" if bad == 1 else "are"
        raise BrokenDump(
            f"{name}: {bad} of {array.size} numbers {are} NaN or infinite, the first at [{at}], so that nothing can be "
            "expected of the results; dump a call of finite numbers"
        )


def check_size(call: LayerCall | CellCall) -> None:
    if isinstance(call, LayerCall):
        config = call.config
        size = call.T * config.directions * config.num_layers * len(GATES[config.kind]) * config.hidden_size
        if size > MAX_NUMBERS:
            raise BrokenDump(
                f"x: {call.T} steps of this layer are too many to judge; dump the first {max(1, call.T // 10)}"
            )
