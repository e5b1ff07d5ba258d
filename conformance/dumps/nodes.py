"""Read recorded calls of one ONNX node, under the names of the operator's page, and make further calls of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.dumps.calls import lengths_of
from conformance.dumps.files import BrokenDump, numbers, plain, short, typed
from conformance.dumps.foreign import Reading
from conformance.dumps.recorded import Recorded
from conformance.dumps.settings import arithmetic_in, arithmetic_of, choice_of, dtype_of, said
from conformance.onnx.features import ATTRIBUTES, INPUTS, NEEDED_INPUTS, OUTPUTS, WEIGHTS
from conformance.onnx.nodes import LISTS, NodeConfig
from conformance.specifications.onnx_operators.calls import NodeCall, describe
from conformance.specifications.onnx_operators.forms import validate
from reference.config import DTYPES
from reference.onnx.attributes import DIRECTIONS, OPERATORS

OP_TYPE = "op_type"
"""The name that makes a dump one of a node."""
SETTINGS = (OP_TYPE, "direction", "hidden_size", "opset", "dtype", "arithmetic", *ATTRIBUTES)
ARRAYS = (*NEEDED_INPUTS, *INPUTS, *OUTPUTS)
INTEGERS = ("input_forget", "linear_before_reset", "layout", "hidden_size", "opset")
MAX_NUMBERS = 1 << 22  # T * N * D * G * H
EIGHTHS = 8  # arguments of further calls are multiples of an eighth: short to write, exact in every dtype
SEEDS = 3  # sets of arguments that are tried of each sort


@dataclass(frozen=True)
class RecordedNode(Recorded):
    """One call of a node with its results."""

    @property
    def described(self) -> str:
        """The node and the sizes of the call, in words."""
        call: Any = self.call
        given = [name for name in ("B", "P", "initial_h", "initial_c") if name in {*call.parameters, *call.states}]
        parts = [describe(replace(call.config, dtype=self.dtype)), f"T = {call.T}, N = {call.N}"]
        parts.append(f"with {', '.join(given)}" if given else "without B and initial states")
        if call.sequence_lens is not None:
            shown = ", ".join(map(str, call.sequence_lens[:8]))
            parts.append(f"sequence_lens {shown}{', ...' if call.N > 8 else ''}")
        if self.arithmetic.name != self.dtype:
            parts.append(f"arithmetic {self.arithmetic.name}")
        return "; ".join(parts)


def is_node(values: Mapping[str, Any]) -> bool:
    """Return whether a call of a dump is one of a node."""
    return OP_TYPE in values


def recorded_node(given: Mapping[str, Any], label: str) -> RecordedNode:
    """Return the call of a node. Raises BrokenDump."""
    values = {name: value for name, value in given.items() if value is not None}
    _check_names(values)
    settings = {name: values.pop(name) for name in SETTINGS if name in values}
    op_type = plain(settings.pop(OP_TYPE))
    if op_type not in OPERATORS:
        raise BrokenDump(f"{OP_TYPE}: got {said(op_type)}, expected one of {', '.join(OPERATORS)}")
    dtype, arithmetic = choice_of(settings, "dtype", DTYPES), arithmetic_of(settings)
    for name in NEEDED_INPUTS:
        if name not in values:
            raise BrokenDump(f"{name} is missing; dump all inputs of the node")
    names = [name for name in OUTPUTS if name in values]
    if not names:
        raise BrokenDump("nothing that came is given; dump Y, Y_h or Y_c")
    chosen = [numbers(name, value) for name, value in values.items() if name != "sequence_lens" and typed(value)]
    arrays = {name: numbers(name, value) for name, value in values.items() if name != "sequence_lens"}
    own_dtype = dtype or dtype_of(chosen, [arrays[name] for name in names])
    used = arithmetic_in(own_dtype, arithmetic)
    for name in ("X", "W", "R"):
        if arrays[name].ndim != 3:
            raise BrokenDump(f"{name}: got the shape {arrays[name].shape}, expected three axes as on the page")
    config = _config(str(op_type), settings, arrays)
    arrays = {name: a.astype(np.float64) for name, a in arrays.items()}
    lengths = lengths_of("sequence_lens", values.get("sequence_lens"))
    call = NodeCall(
        config,
        {name: arrays[name] for name in WEIGHTS if name in arrays},
        arrays["X"],
        lengths,
        arrays.get("initial_h"),
        arrays.get("initial_c"),
    )
    try:
        validate(call)
    except ValueError as error:
        raise BrokenDump(f"{error}; dump the inputs and the attributes of the same call") from None
    _check_size(call)
    _check_finite(call)
    if op_type != "LSTM" and "Y_c" in names:
        raise BrokenDump(f"Y_c: {op_type} has no such output; leave it out, or check {OP_TYPE}")
    results = {name: arrays[name] for name in names}
    readings = (Reading(call.parameters),)
    return RecordedNode(label, call, results, {name: name for name in names}, own_dtype, used, readings)


def _check_names(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in (*SETTINGS, *ARRAYS):
            near = difflib.get_close_matches(str(name), [*SETTINGS, *ARRAYS], 1)
            hint = f"did you mean {near[0]}?" if near else "leave it out"
            raise BrokenDump(
                f"{str(name)[:60]}: this is no input, output or attribute of a node; {hint} (known are "
                f"{', '.join(ARRAYS)}, the attributes, opset, dtype and arithmetic)"
            )


def _config(op_type: str, settings: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> NodeConfig:
    given: dict[str, Any] = {}
    for name, value in settings.items():
        if name in LISTS:
            given[name] = _list(name, value)
        elif name in INTEGERS:
            given[name] = _number(name, value, whole=True)
        elif name == "clip":
            given[name] = _number(name, value)
        else:
            given[name] = _direction(value)
    H = arrays["R"].shape[2]
    if given.setdefault("hidden_size", H) != H:
        raise BrokenDump(f"hidden_size: got {given['hidden_size']}, but R {arrays['R'].shape} is that of {H} units")
    two = arrays["W"].shape[0] == 2
    if two and "direction" not in given:
        given["direction"] = "bidirectional"
    zeros = tuple(name for name in ("input_forget", "linear_before_reset", "layout") if given.get(name) == 0)
    return NodeConfig(op_type, arrays["X"].shape[2], dtype="float64", zeros=zeros, **given)


def _direction(value: Any) -> str:
    found = plain(value)
    if found not in DIRECTIONS:
        raise BrokenDump(f"direction: got {said(found)}, expected one of {', '.join(DIRECTIONS)}")
    return str(found)


def _number(name: str, value: Any, whole: bool = False) -> Any:
    found = plain(value)
    if isinstance(found, (bool, int, float)) and (not whole or found == int(found)):
        return int(found) if whole else float(found)
    raise BrokenDump(f"{name}: got {said(found)}, expected {'an integer' if whole else 'a number'}")


def _list(name: str, value: Any) -> tuple[Any, ...]:
    found = value.ravel().tolist() if isinstance(value, np.ndarray) else value
    if isinstance(found, (str, bytes)) or not isinstance(found, Sequence):
        raise BrokenDump(f"{name}: got {short(value)}, expected a list")
    kind = str if name == "activations" else (int, float)
    parts = tuple(plain(part) for part in found)
    if not all(isinstance(part, kind) and not isinstance(part, bool) for part in parts):
        raise BrokenDump(f"{name}: expected a list of {'names' if kind is str else 'numbers'}")
    return parts


def _check_size(call: NodeCall) -> None:
    config = call.config
    if call.T * call.N * config.directions * len(config.operator.gates) * config.hidden_size > MAX_NUMBERS:
        raise BrokenDump(
            f"X: {call.T} steps of {call.N} samples are too many to judge; dump the first {max(1, call.T // 10)} steps "
            "of fewer samples"
        )


def _check_finite(call: NodeCall) -> None:
    """Raise BrokenDump for NaN and infinity, except in X past the end of a sample."""
    runs = np.arange(call.T)[:, None] < np.array(call.lengths)
    X = np.where((runs.T if call.config.layout else runs)[..., None], call.X, 0.0)
    for name, array in {**call.parameters, "X": X, **call.states}.items():
        if bad := int(np.sum(~np.isfinite(array))):
            raise BrokenDump(
                f"{name}: {bad} of {array.size} numbers {'is' if bad == 1 else 'are'} NaN or infinite, so that nothing "
                "can be expected of the results; dump a call of finite numbers"
            )


# --- what a call can show -----------------------------------------------------------------------------


def lacking(calls: Sequence[NodeCall]) -> list[str]:
    """Return what none of the calls has, in words."""
    lacks = []
    if not any(call.states for call in calls):
        lacks.append("initial_h")
    if all(call.T == 1 for call in calls):
        lacks.append("T >= 2")
    if all(call.N == 1 for call in calls):
        lacks.append("N >= 2")
    if not any(np.any(call.parameters["B"]) for call in calls if "B" in call.parameters):
        lacks.append("B other than zero")
    return lacks


def order(call: NodeCall, name: str, index: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the place of an element in the order of computation: states after the steps that lead to them."""
    if name != "Y":
        return (1, call.T, name, index)
    t, d = (index[1], index[2]) if call.config.layout else (index[0], index[1])
    backward = call.config.direction == "reverse" or d == 1
    return (0, call.T - 1 - t if backward else t, name, index)


def eighths(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw multiples of an eighth from -1 to 1, none of them 0."""
    drawn = rng.integers(-EIGHTHS, EIGHTHS + 1, shape)
    return np.where(drawn == 0, EIGHTHS // 2, drawn) / EIGHTHS


def further_calls(base: NodeCall) -> Iterator[tuple[tuple[str, ...], NodeCall, bool]]:
    """Yield what a call has that the recorded ones may lack, in words, the call, and whether its weights are new.

    Simple calls come first. The arguments are multiples of an eighth.
    """
    for own in (False, True):
        for N, T in ((1, 1), (1, 2), (2, 1), (2, 3)):
            for states, lengths in ((False, False), (True, False), (True, True)):
                if lengths and T < 3:
                    continue
                for seed in range(SEEDS):
                    words = ("other weights, with B",) * own
                    words += ("initial_h",) if states else ("no initial_h",)
                    words += ("T >= 2",) * (T > 1) + ("N >= 2",) * (N > 1) + ("sequence_lens",) * lengths
                    yield words, _made(base, own, N, T, states, lengths, seed), own


def _made(base: NodeCall, own: bool, N: int, T: int, states: bool, lengths: bool, seed: int) -> NodeCall:
    rng = np.random.Generator(np.random.SFC64([seed, T, N, int(own), int(states)]))
    config = replace(base.config, input_size=2, hidden_size=3) if own else base.config
    shapes = config.shapes(T, N)
    parameters = dict(base.parameters)
    if own:
        parameters = {name: eighths(rng, shapes[name]) for name in WEIGHTS if name in base.parameters or name == "B"}
    initial = {name: eighths(rng, shapes[name]) for name in ("initial_h", "initial_c") if states and name in shapes}
    ends = tuple(range(T, T - N, -1))[::-1] if lengths else None
    return NodeCall(
        config, parameters, eighths(rng, shapes["X"]), ends, initial.get("initial_h"), initial.get("initial_c")
    )
