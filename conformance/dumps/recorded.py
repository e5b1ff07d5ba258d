"""Make calls of the flat values of a dump: the configuration follows from the shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.dumps import foreign
from conformance.dumps.calls import cell_call, check_finite, check_size, layer_call, layer_or_cell, output_from_onnx
from conformance.dumps.files import BrokenDump, numbers, plain, typed
from conformance.dumps.foreign import Reading
from conformance.dumps.settings import (
    ALIASES,
    CELL_RESULTS,
    RESULTS,
    arithmetic_in,
    arithmetic_of,
    check_names,
    check_redundant,
    choice_of,
    dtype_of,
    flag_of,
    kind_of,
)
from conformance.onnx.features import OUTPUTS
from conformance.specifications.torch_nn.calls import CellCall, describe
from reference.config import DTYPES, numpy_dtype
from reference.precision import Arithmetic

REDUNDANT = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size")
MAX_CALLS = 64
NUMBERED = re.compile(r"(\d{1,6})/(.+)", re.S)


@dataclass(frozen=True)
class Recorded:
    """One call of a dump with its results."""

    label: str
    """The call's number and a slash, in messages; empty for a single call."""
    call: Any
    """The call in float64, which holds the numbers of every dtype: of a layer, a cell or a node."""
    results: dict[str, np.ndarray]
    """The recorded results in float64, of any shape, by the names of the form's results."""
    names: dict[str, str]
    """The names of the results in the dump."""
    dtype: str
    arithmetic: Arithmetic
    readings: tuple[Reading, ...]
    """The ways to read the parameters. The call has the first one."""
    notes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    """Questions that the dump leaves open, as sentences."""

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


def recorded(values: Mapping[str, Any], read: Callable[[Mapping[str, Any], str], Recorded]) -> list[Recorded]:
    """Return the calls of a dump, each read by ``read(values, label)``. Raises BrokenDump."""
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
        return [_labelled(read, shared, "")]
    if len(by_number) > MAX_CALLS:
        raise BrokenDump(f"it holds {len(by_number)} calls; dump at most {MAX_CALLS}")
    loose = [name for name in shared if ALIASES.get(name, name) in (*RESULTS, *OUTPUTS)]
    if loose:
        raise BrokenDump(f"{loose[0]}: its call is not said where calls are numbered; name it 0/{loose[0]}")
    return [_labelled(read, {**shared, **by_number[number]}, f"{number}/") for number in sorted(by_number)]


def _labelled(read: Callable[[Mapping[str, Any], str], Recorded], values: Mapping[str, Any], label: str) -> Recorded:
    try:
        return read(values, label)
    except BrokenDump as error:
        message = str(error)
        raise BrokenDump(message if not label or message.startswith(label) else f"{label}{message}") from error


def recorded_layer(given: Mapping[str, Any], label: str) -> Recorded:
    """Return the call of a layer or a cell. Raises BrokenDump."""
    values, notes = foreign.renamed({name: value for name, value in given.items() if value is not None})
    for alias, name in ALIASES.items():
        if alias in values and name not in values:
            values[name] = values.pop(alias)
    kind, dtype, arithmetic = kind_of(values), choice_of(values, "dtype", DTYPES), arithmetic_of(values)
    batch_first = flag_of(values, "batch_first")
    redundant = {name: plain(values.pop(name)) for name in REDUNDANT if name in values and _is_one(values[name])}
    chosen = [numbers(name, value) for name, value in values.items() if name != "lengths" and typed(value)]
    own, framework = foreign.by_name(kind, values)
    if framework is not None:
        own = framework.parameters
        whose = framework.layout if framework.id == "separate-gates" else f"in {framework.layout} layout"
        notes += [f"the parameters are {whose}: they are read so", *framework.notes]
    check_names(values)
    if "x" not in values:
        raise BrokenDump("x is missing; dump the input")
    if not own:
        raise BrokenDump("the parameters are missing; dump weight_ih_l0, weight_hh_l0 and so on")
    arrays = {name: numbers(name, values[name]) for name in values if name != "lengths"}
    if not any(name in arrays for name in RESULTS):
        raise BrokenDump("nothing that came is given; dump output, h_n or c_n")
    own, cell = layer_or_cell(own, arrays, notes)
    if framework is not None and framework.id == "onnx-names":
        output_from_onnx(arrays, notes)
    own_dtype = dtype or dtype_of(chosen, [arrays[n] for n in RESULTS if n in arrays])
    used = arithmetic_in(own_dtype, arithmetic)
    make = cell_call if cell else layer_call
    call, readings, asked = make(kind, own, arrays, values.get("lengths"), batch_first)
    notes += [word for word in asked if " is read as " in word]
    asked = [word for word in asked if word not in notes]
    if framework is not None:
        readings = [replace(framework, parameters=each.parameters) for each in readings]
    check_redundant(call.config, redundant)
    check_finite(call)
    check_size(call)
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


def _is_one(value: Any) -> bool:
    return value.size == 1 if isinstance(value, np.ndarray) else isinstance(value, (bool, int, float, np.generic))


def as_dtype(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return float64 numbers rounded to a dtype, in float64."""
    with np.errstate(over="ignore"):
        return array.astype(numpy_dtype(dtype)).astype(np.float64)
