"""Read files that people write or that a crash cut short. Every kind of damage becomes one sentence with its place."""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from conformance.engine.text import cut, printable

MAX_DEPTH = 60  # of lists and objects in each other
MAX_SHOWN_CHARACTERS = 60  # of a value in a message
MAX_NAMES_CHARACTERS = 200  # of a list of names in a message
MAX_ABRIDGED = 16  # items of a list of numbers that the schema sees
LINE = re.compile(r"\(at line (\d+), column (\d+)\)")


def working_folder() -> Path:
    """Return the working folder; the one of the start, or the root, if it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return globals().get("STARTED_IN", Path(os.sep))


STARTED_IN = working_folder()
"""The working folder when this module was imported; an adapter or a test may change it."""


class Damaged(ValueError):
    """Data that are not what they should be: the message begins with the place, unless it is the whole file."""

    def __init__(self, what: str, place: str = "") -> None:
        self.what, self.place = what, place
        super().__init__(f"{place}: {what}" if place else what)


def read_text(path: Path) -> str:
    """Return the text of a file. Raises OSError, or Damaged if it is no UTF-8."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        place = f"line {line}, byte {error.start}"
        raise Damaged("this is no UTF-8; save the file as UTF-8", place) from None


def json_data(text: str | bytes) -> Any:
    """Return the data of JSON, with printable text.

    Raises Damaged also for NaN, infinities, numbers of thousands of digits, a name that stands twice in one object, and
    nesting deeper than MAX_DEPTH.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Damaged(f"this is no JSON: {error.msg}; mend it", place) from None
    except UnicodeDecodeError as error:
        raise Damaged("this is no UTF-8; save the file as UTF-8", f"byte {error.start}") from None
    except RecursionError:
        raise _too_deep() from None
    except Damaged:
        raise
    except ValueError:  # of int()
        raise Damaged("an integer has more than 4,300 digits; no number here needs so many") from None
    return _safe(data)


def toml_data(text: str) -> dict[str, Any]:
    """Return the data of TOML, with printable text. Raises Damaged as ``json_data`` does; NaN and infinity are TOML."""
    try:
        return _safe(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        found = LINE.search(str(error))
        what = LINE.sub("", str(error)).strip()
        place = f"line {found[1]}, column {found[2]}" if found else f"line {text.count(chr(10)) + 1}"
        raise Damaged(f"this is no TOML: {cut(what, MAX_NAMES_CHARACTERS)}; mend it", place) from None
    except RecursionError:
        raise _too_deep() from None
    except Damaged:
        raise
    except (ValueError, OverflowError):
        raise Damaged("a number or a date in it cannot be read; no number here needs thousands of digits") from None


def _no_constant(name: str) -> None:
    raise Damaged(f"{name} is no JSON number; write a finite one")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Damaged(f"{cut(text, MAX_SHOWN_CHARACTERS)} is larger than any float64; write a smaller number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Damaged(f"{cut(repr(twice), MAX_SHOWN_CHARACTERS)} stands twice in one object; remove one of them")
    return found


def _too_deep() -> Damaged:
    return Damaged(
        f"lists or objects are nested too deeply, more than {MAX_DEPTH} in each other; nothing here needs that"
    )


def _safe(value: Any, depth: int = 0) -> Any:
    """Return the data with printable text. Raises Damaged for data that are nested too deeply."""
    if depth > MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(name): _safe(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_safe(part, depth + 1) if type(part) in (str, dict, list) else part for part in value]
    return value


# Schemas


@cache
def validator(path: Path) -> Any:
    """Return the validator of a JSON Schema's file."""
    from jsonschema import Draft202012Validator, validators  # here, so that importing conformance needs NumPy alone

    def is_integer(_: Any, value: object) -> bool:  # JSON Schema accepts 3.0, NumPy does not accept it as a size
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    schema = json.loads(path.read_text("utf-8"))
    return validators.extend(Draft202012Validator, type_checker=types)(schema)


def require_schema(path: Path, document: Any) -> None:
    """Raise Damaged, with the most telling place, where a document departs from the schema in a file."""
    checker = validator(path)
    if checker.is_valid(_abridged(document)):
        return
    from jsonschema.exceptions import best_match, by_relevance

    # of a misspelled name the wrong one says more than the one that is missing
    error = best_match(checker.iter_errors(document), key=by_relevance(strong={"additionalProperties"}))
    if error is not None:
        raise Damaged(_what(error), place_of(error.absolute_path))


def _what(error: Any) -> str:
    """Say what is wrong with a value that departs from a schema, and the correction."""
    value, schema = error.instance, error.schema
    title = schema.get("title", "") if isinstance(schema, dict) else ""
    match error.validator:
        case "maxLength":
            return f"has {len(value)} characters; shorten it to at most {error.validator_value}"
        case "required":
            return f"lacks {_names(n for n in error.validator_value if n not in value)}; add it"
        case "additionalProperties":
            unknown = [n for n in value if n not in schema.get("properties", {})]
            return f"holds {_names(unknown)}, which has no meaning here; remove or rename it"
        case "enum":
            return f"{shown(value)} should be one of {', '.join(map(str, error.validator_value))}"
        case "oneOf" if all("required" in choice for choice in error.validator_value):
            choices = [repr(choice["required"][0]) for choice in error.validator_value]
            return f"should hold exactly one of {', '.join(choices)}"
        case "not":
            return f"should be {error.validator_value['title']}"
        case "type" | "pattern" | "minimum" | "maximum" if title:
            meaning = title[0].lower() + title[1:]
            return f"{shown(value)} should be {meaning} ({error.validator}: {error.validator_value})"
    return f"{shown(value)} should satisfy {error.validator}: {shown(error.validator_value)}"


def _names(names: Iterable[str]) -> str:
    return cut(", ".join(map(repr, names)), MAX_NAMES_CHARACTERS)


def _abridged(value: Any) -> Any:
    """Return the document with long lists of numbers cut to the items that decide whether the schema accepts all."""
    if isinstance(value, dict):
        return {name: _abridged(part) for name, part in value.items()}
    if not isinstance(value, list):
        return value
    types = set(map(type, value))
    if len(value) <= MAX_ABRIDGED or not types <= {int, float, str}:
        return [_abridged(part) for part in value]
    numbers = [part for part in value if type(part) is not str]
    telling = [next(part for part in value if type(part) is t) for t in types - {str}]
    return [*telling, *([min(numbers), max(numbers)] if numbers else ()), *{p for p in value if type(p) is str}]


def shown(value: object) -> str:
    """Return a value as JSON in a few characters."""
    return cut(json.dumps(value, ensure_ascii=False, default=str), MAX_SHOWN_CHARACTERS)


def place_of(path: Any) -> str:
    """Return the place of a value in a document, such as ``arrays.x.shape[0]``; empty for the whole document."""
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{cut(part, MAX_SHOWN_CHARACTERS)}" for part in path
    ).lstrip(".")


def bounded_count(shape: Any, most: int) -> int:
    """Return the number of elements of a shape, a list of integers. Raises Damaged if there are more than ``most``."""
    count = 1
    if len(shape) > MAX_DEPTH:
        raise Damaged(f"a shape of {len(shape)} axes is no array's; NumPy has at most {MAX_DEPTH} or so")
    for extent in shape:
        count *= extent
        if count > most or extent > most:
            raise Damaged(f"the shape {shown(list(shape))} has more than {most:,} numbers; give a smaller array")
    return count
