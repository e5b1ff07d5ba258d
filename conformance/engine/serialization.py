"""A call as plain data, for reproducers and for the entries of known failures, and back.

``{"call": "layer", "config": {...}, "parameters": {...}, "x": [...], ...}`` is a call with its arrays as nested lists
of numbers, large arrays compressed; ``call`` names the form. ``{"plan": {...}}`` is the structure and seed from which
a call was built; it gives a call for every kind and dtype.
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

from conformance.engine.files import Damaged, bounded_count, shown
from conformance.engine.form import Form
from conformance.engine.specification import Specification
from conformance.engine.text import one_line
from reference.config import numpy_dtype

MAX_WRITTEN_NUMBERS = 200  # of an array that is stored as a list
COMPRESSION = 5  # of zlib: 9 takes 25 times as long for numbers of float32, and saves 5 %

MAX_SIZE, MAX_SIZES = 1 << 16, 1 << 24  # of an example: each one, and multiplied
MAX_PACKED_NUMBERS = 1 << 24  # of an array that is stored compressed
# Raised where data do not describe a call.
UNREADABLE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    zlib.error,
)

Example = dict[str, Any]


class BrokenExample(ValueError):
    """Data that do not describe an example; the message names the error."""


def config_data(config: Any) -> dict[str, Any]:
    """Return the arguments of a configuration that differ from the default, and always kind and dtype."""
    given = {f.name: (getattr(config, f.name), f.default) for f in fields(config)}
    return {name: v for name, (v, default) in given.items() if v != default or name in ("kind", "dtype")}


def array_data(array: np.ndarray) -> Any:
    """Return nested lists of numbers; for a large array its shape and compressed float64 numbers."""
    exact = np.asarray(array, np.float64)
    if exact.size <= MAX_WRITTEN_NUMBERS:
        return exact.tolist()
    packed = base64.b64encode(zlib.compress(exact.astype("<f8").tobytes(), COMPRESSION)).decode()
    return {"shape": list(exact.shape), "packed": packed}


def array_of(data: Any, dtype: np.dtype) -> np.ndarray:
    """Invert ``array_data``."""
    if isinstance(data, Mapping):
        count = bounded_count(data["shape"], MAX_PACKED_NUMBERS)
        packed = zlib.decompressobj().decompress(base64.b64decode(data["packed"]), 8 * count + 1)
        return np.frombuffer(packed, "<f8", count).reshape(data["shape"]).astype(dtype)
    return np.array(data, np.float64).astype(dtype)


def example_of(form: Form, call: Any) -> Example:
    """Return a call as data."""
    arrays = {name: array_data(a) for name, a in form.array_arguments(call).items() if a is not None}
    parameters = {name: array_data(value) for name, value in call.parameters.items()}
    example: Example = {"call": form.name, "config": config_data(call.config), "parameters": parameters, **arrays}
    for name in form.integers:
        if (given := getattr(call, name)) is not None:
            example[name] = list(given)
    return example | {"values": call.values}


def call_of(specification: Specification, example: Example, kind: str, dtype: str) -> Any:
    """Return the call of an example for a kind and dtype; None if the example is for another. Raises BrokenExample."""
    try:
        _require_small(example.get("plan", example.get("config")))
        if "plan" in example:
            call = specification.planned(example["plan"], kind, dtype)
        else:
            call = _written(specification.form(example["call"]), example, kind, dtype)
        if call is not None:
            specification.form_of(call).validate(call)
    except UNREADABLE as error:
        raise BrokenExample(f"the example is none ({type(error).__name__}: {one_line(error)})") from None
    return call


def _require_small(sizes: Any) -> None:
    """Raise Damaged for sizes that no example has, before anything of these sizes is made."""
    if not isinstance(sizes, Mapping):
        raise Damaged(f"its plan or config is {shown(sizes)}, and must be a table")
    numbers = [value for name, value in sizes.items() if name != "seed" and isinstance(value, int) and value > 0]
    if any(number > MAX_SIZE for number in numbers) or math.prod(numbers) > MAX_SIZES:
        raise Damaged(f"its sizes {shown(dict(sizes))} are too large")


def _written(form: Form, example: Example, kind: str, dtype: str) -> Any:
    config = form.config(**example["config"])
    if (config.kind, config.dtype) != (kind, dtype):
        return None
    number = numpy_dtype(dtype)
    parameters = {name: array_of(data, number) for name, data in example["parameters"].items()}
    arrays = {name: array_of(example[name], number) for name in form.arrays if name in example}
    integers = {name: tuple(example[name]) for name in form.integers if name in example}
    return form.call(config, parameters, **arrays, **integers, values=example.get("values", ""))


# --- as text ------------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """Write a value as TOML, a table in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {toml(v)}" for name, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def entry(requirement: str, backend: str, kind: str, dtype: str, example: Example | None) -> str:
    """Write an entry for a file of known failures, its reason and issue left open."""
    where = {"requirement": requirement, "backend": backend, "kind": kind, "dtype": dtype}
    lines = ["[[known_failure]]", *(f"{name} = {toml(value)}" for name, value in where.items())]
    lines += ['reason = ""', 'issue = ""']
    if example is not None:
        lines.append(f"example = {toml(example)}")
    return "\n".join(lines) + "\n"


def python(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that assign a dict, one item a line; the script must define the names nan and inf."""
    yield f"{name} = {{"
    for key, item in value.items():
        yield f"    {key!r}: {item!r},"
    yield "}"
