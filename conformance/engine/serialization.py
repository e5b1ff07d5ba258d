"""A call as plain data, for reproducers and for the entries of known failures, and back.

``{"call": "layer", "config": {...}, "parameters": {...}, "x": [...], ...}`` is a call with its arrays, numbers in
nested lists, those of many numbers compressed. ``{"plan": {...}}`` is what it was built from, structure and seed:
a ``LayerPlan`` or ``CellPlan`` with the arguments of its configuration among its own, and ``given`` for gradients;
it is the same call for every kind and dtype.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.specifications.torch_nn.strategies import (
    COTANGENTS,
    CellCall,
    CellPlan,
    GradientCall,
    GradientPlan,
    LayerCall,
    LayerPlan,
)
from reference.config import numpy_dtype
from reference.parameters import check_parameters

FORMS = {"layer": LayerCall, "gradients": GradientCall, "cell": CellCall}
ARRAYS = {"layer": ("x", "h_0", "c_0"), "gradients": ("x", "h_0", "c_0", *COTANGENTS), "cell": ("x", "h", "c")}
MOST_NUMBERS = 200  # of an array that is written out

Example = dict[str, Any]


class BrokenExample(ValueError):
    """Data that is no example; the message says what to mend."""


def form_of(call) -> str:
    """``layer``, ``gradients`` or ``cell``."""
    return next(name for name, form in FORMS.items() if type(call) is form)


def config_data(config: LayerConfig | CellConfig) -> dict[str, Any]:
    """The arguments of a configuration that are not the default."""
    defaults = type(config)("", 0, 0)
    given = {f.name: getattr(config, f.name) for f in fields(config)}
    return {name: v for name, v in given.items() if v != getattr(defaults, name) or name in ("kind", "dtype")}


def array_data(array: np.ndarray) -> Any:
    """Nested lists of numbers; of many numbers their shape and compressed float64."""
    exact = np.asarray(array, np.float64)
    if exact.size <= MOST_NUMBERS:
        return exact.tolist()
    packed = base64.b64encode(zlib.compress(exact.astype("<f8").tobytes(), 9)).decode()
    return {"shape": list(exact.shape), "packed": packed}


def array_of(data: Any, dtype: np.dtype) -> np.ndarray:
    """The inverse of ``array_data``."""
    if isinstance(data, Mapping):
        flat = np.frombuffer(zlib.decompress(base64.b64decode(data["packed"])), "<f8")
        return flat.reshape(data["shape"]).astype(dtype)
    return np.array(data, np.float64).astype(dtype)


def example_of(call) -> Example:
    """A call as data."""
    form = form_of(call)
    arrays = {name: array_data(a) for name in ARRAYS[form] if (a := getattr(call, name)) is not None}
    parameters = {name: array_data(value) for name, value in call.parameters.items()}
    example: Example = {"call": form, "config": config_data(call.config), "parameters": parameters, **arrays}
    if getattr(call, "lengths", None) is not None:
        example["lengths"] = list(call.lengths)
    return example | {"values": call.values}


def call_of(example: Example, kind: str, dtype: str):
    """The call of an example for that kind and dtype; None if it is another's. Raises BrokenExample."""
    try:
        call = _planned(example["plan"], kind, dtype) if "plan" in example else _written(example, kind, dtype)
        if call is not None:
            call.config.validate()
            check_parameters(call.config, call.parameters)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise BrokenExample(f"the example is none ({type(error).__name__}: {error})") from None
    return call


def _written(example: Example, kind: str, dtype: str):
    form = example["call"]
    config = (CellConfig if form == "cell" else LayerConfig)(**example["config"])
    if (config.kind, config.dtype) != (kind, dtype):
        return None
    number = numpy_dtype(dtype)
    parameters = {name: array_of(data, number) for name, data in example["parameters"].items()}
    arrays = {name: array_of(example[name], number) for name in ARRAYS[form] if name in example}
    lengths = {"lengths": tuple(example["lengths"])} if "lengths" in example else {}
    return FORMS[form](config, parameters, **arrays, **lengths, values=example.get("values", ""))


def _planned(data: Mapping[str, Any], kind: str, dtype: str):
    data = {"regime": "readable", "seed": 0} | data
    given = data.pop("given", None)
    form, config = (LayerPlan, LayerConfig) if "T" in data else (CellPlan, CellConfig)
    arguments = {f.name: data.pop(f.name) for f in fields(config) if f.name in data}
    data = {"N": None} | data  # unbatched
    if form is LayerPlan:
        data = {"with_lengths": False} | data
    plan = form(config(kind, dtype=dtype, **arguments), **({"with_states": False} | data))
    return (plan if given is None else GradientPlan(plan, tuple(given))).build(kind, dtype)


# --- as text ------------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as TOML, a table in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {toml(v)}" for name, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def entry(requirement: str, backend: str, kind: str, dtype: str, example: Example | None) -> str:
    """An entry for a file of known failures, its reason and issue still to be written."""
    where = {"requirement": requirement, "backend": backend, "kind": kind, "dtype": dtype}
    lines = ["[[known_failure]]", *(f"{name} = {toml(value)}" for name, value in where.items())]
    lines += ['reason = ""', 'issue = ""']
    if example is not None:
        lines.append(f"example = {toml(example)}")
    return "\n".join(lines) + "\n"


def python(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    """The lines of an assignment of a dict, one of its items a line; nan and inf are names that the script has."""
    yield f"{name} = {{"
    for key, item in value.items():
        yield f"    {key!r}: {item!r},"
    yield "}"
