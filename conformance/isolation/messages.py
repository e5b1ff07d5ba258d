"""The content of the messages that a backend's process sends, checked by the annotations of the classes they fill."""

from __future__ import annotations

import base64
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from math import isfinite, isnan
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from conformance.engine.text import printable
from conformance.engine.verdict import Verdict
from conformance.isolation.channel import BadMessage

Record = TypeVar("Record")
Check = Callable[[Any], Any]  # returns a value of the right type, or raises BadMessage
MAX_INTEGER = 1 << 53


def data_of(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that differ from their defaults as JSON data."""
    given = ((f, getattr(record, f.name)) for f in fields(record))
    return {f.name: _data(value) for f, value in given if value != _default(f)}


def _data(value: Any) -> Any:
    if isinstance(value, list):
        return [_data(item) for item in value]
    return data_of(value) if is_dataclass(value) else value


def _default(of: Field[Any]) -> Any:
    return of.default if of.default_factory is MISSING else of.default_factory()


def without_call(verdict: Verdict) -> dict[str, Any]:
    """Return the data of a verdict whose failing call is too large to send, without that call."""
    left_out = ("call", "reproducer", "known_failure")
    return {name: value for name, value in data_of(verdict).items() if name not in left_out}


def record(cls: type[Record], data: Any) -> Record:
    """Make an object of a dataclass from JSON data. Raises BadMessage for other fields and other types."""
    checks = _checks(cls)  # type: ignore[arg-type]  # a class is hashable
    if not isinstance(data, dict) or not data.keys() <= checks.keys():
        raise BadMessage(f"what is no {cls.__name__}")
    try:
        return cls(**{name: checks[name](value) for name, value in data.items()})
    except TypeError:
        raise BadMessage(f"a {cls.__name__} with missing fields") from None


def verdict_of(data: Any) -> Verdict:
    """Make a verdict from JSON data. Raises BadMessage, also for a diagnosis that lacks a part."""
    found = record(Verdict, data)
    if not all(entry.keys() == {"fault", "explanation"} for entry in found.diagnosis):
        raise BadMessage("a diagnosis that is none")
    return found


def text(value: Any) -> str:
    """Return a text that is safe to print and to write. Raises BadMessage for another value."""
    if type(value) is not str:
        raise BadMessage(f"{type(value).__name__} for a text")
    return printable(value)


def integer(value: Any, most: int = MAX_INTEGER) -> int:
    """Return a number from 0 to ``most``. Raises BadMessage for another value."""
    if type(value) is not int or not 0 <= value <= most:
        raise BadMessage(f"another value for a number from 0 to {most}")
    return value


def seconds(value: Any) -> dict[str, float]:
    """Return seconds by name. Raises BadMessage for another value."""
    found = _check(dict[str, float])(value)
    if not all(isfinite(one) and one >= 0 for one in found.values()):
        raise BadMessage("seconds that are none")
    return found


def packed(value: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(value).decode()


def unpacked(value: Any) -> bytes:
    """Invert ``packed``. Raises BadMessage for another value."""
    try:
        return base64.b64decode(text(value), validate=True)
    except ValueError:
        raise BadMessage("a text that is not base64") from None


@cache
def _checks(cls: type[Any]) -> dict[str, Check]:
    hints = get_type_hints(cls)
    return {f.name: _check(hints[f.name]) for f in fields(cls)}


@cache
def _check(kind: Any) -> Check:
    """Return the check for an annotation."""
    if kind is Any:
        return _clean
    simple: dict[Any, Check] = {str: text, int: _signed, float: _number, bool: _flag, type(None): _nothing}
    if kind in simple:
        return simple[kind]
    if is_dataclass(kind):
        return lambda value: record(kind, value)  # type: ignore[arg-type]  # a class
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (other,) = (one for one in of if one is not type(None))
        inner = _check(other)
        return lambda value: None if value is None else inner(value)
    inner = _check(of[-1])
    if origin is list:
        return lambda value: [inner(item) for item in _of(list, value)]
    if origin is dict:
        return lambda value: {text(name): inner(item) for name, item in _of(dict, value).items()}
    raise AssertionError(f"no check for {kind}")


def _clean(value: Any) -> Any:
    """Return JSON data whose texts are safe to print and to write."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {printable(name): _clean(item) for name, item in value.items()}
    return value


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise BadMessage(f"{type(value).__name__} for {kind.__name__}")
    return value


def _signed(value: Any) -> int:
    if not abs(_of(int, value)) <= MAX_INTEGER:
        raise BadMessage("a number beyond all bounds")
    return value


def _number(value: Any) -> float:
    """Return a number, which may be infinite: JSON, and so the report, has no NaN."""
    number = float(_signed(value)) if type(value) is int else _of(float, value)
    if isnan(number):
        raise BadMessage("NaN for a number")
    return number


def _flag(value: Any) -> bool:
    return _of(bool, value)


def _nothing(value: Any) -> None:
    return _of(type(None), value)
