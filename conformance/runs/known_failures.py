"""Known failures: listed departures, each with a reason and an issue, both required.

An entry may keep an example of the failure. The suite replays it before it draws others, so that the entry does not
depend on the drawn examples. An entry whose check passes is an error, unless the failure ``varies`` with the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.engine.files import Damaged, json_data, read_text, require_schema, toml_data
from conformance.engine.key import Key
from conformance.engine.serialization import BrokenExample, Example, call_of
from conformance.engine.specification import Specification
from conformance.engine.text import OneSentence

SCHEMA = Path(__file__).with_name("known_failures.schema.json")
HEADER = re.compile(r"\s*\[\[\s*known_failure\s*\]\]")


class BrokenFile(OneSentence):
    """A known-failures file that cannot be used; the message is one sentence that names the error."""


@dataclass(frozen=True)
class KnownFailure:
    """One entry: the keys that it matches, the reason of the failure, and the issue that discusses it."""

    requirement: str
    reason: str
    issue: str
    specification: str | None = None
    backend: str | None = None
    kind: str | None = None
    dtype: str | None = None
    varies: str = ""
    """What decides whether it fails, such as the processor; then the check may pass as well."""
    example: Example | None = field(default=None, hash=False)

    def matches(self, key: Key) -> bool:
        """Return whether the entry matches a key."""
        pairs = (
            (self.specification, key.specification),
            (self.backend, key.backend),
            (self.kind, key.kind),
            (self.dtype, key.dtype),
        )
        return self.requirement == key.requirement and all(mine in (None, theirs) for mine, theirs in pairs)

    def __str__(self) -> str:
        where = [part for part in (self.specification, self.backend, self.kind, self.dtype) if part]
        return f"{self.requirement} ({', '.join(where)})" if where else self.requirement


def read(path: str | Path, specifications: Mapping[str, Specification]) -> list[KnownFailure]:
    """Return the entries of a file. Raises BrokenFile, naming file and entry."""
    try:
        text = read_text(Path(path))
        data = toml_data(text)
        require_schema(SCHEMA, data)
    except OSError as error:
        raise BrokenFile(f"known failures: {path} cannot be read ({error.strerror}).") from None
    except Damaged as error:
        number = re.match(r"known_failure\[(\d+)\]\.?", error.place)
        if number is None:
            raise BrokenFile(f"known failures: {path}: {error}.") from None
        rest, index = error.place[number.end() :], int(number[1])
        place = _places(path, text, index + 1)[index]
        raise BrokenFile(f"{place}: {rest}{': ' * bool(rest)}{error.what}.") from None
    entries = data.get("known_failure", [])
    places = _places(path, text, len(entries))
    return [_entry(e, Path(path).parent, place, specifications) for e, place in zip(entries, places, strict=True)]


def _places(path: str | Path, text: str, count: int) -> list[str]:
    """Return the places of the first entries in words, with the line of its header if an entry has one."""
    headers = [f" (line {number})" for number, line in enumerate(text.splitlines(), 1) if HEADER.match(line)]
    lines = (headers + [""] * count)[:count]
    return [f"known failures: {path}, entry {number}{line}" for number, line in enumerate(lines, 1)]


def _entry(entry: dict[str, Any], folder: Path, place: str, known: Mapping[str, Specification]) -> KnownFailure:
    named = entry.get("specification")
    if named is not None and named not in known:
        raise BrokenFile(f"{place}: there is no specification {named!r}; the known ones are {', '.join(known)}.")
    spoken = [s for s in known.values() if named in (None, s.name) and entry["requirement"] in s.requirements]
    if not spoken:
        raise BrokenFile(f"{place}: there is no requirement {entry['requirement']!r}.")
    if "example" in entry:
        entry = entry | {"example": _example(entry, folder, place, spoken[0])}
    return KnownFailure(**entry)


def _example(entry: dict[str, Any], folder: Path, place: str, specification: Specification) -> Example:
    """Return the example of an entry; read it from a JSON file in ``folder`` if it is a path. Raises BrokenFile."""
    example = entry["example"]
    try:
        if isinstance(example, str):
            example = json_data(read_text(folder / example))
        if not isinstance(example, dict):
            raise BrokenExample("the example is none: it must be a table, or the path of a JSON file with one object")
        config: Any = example.get("config", {})
        if not isinstance(config, dict):
            raise BrokenExample("the example is none: its config must be a table")
        first = specification.requirements[entry["requirement"]].kinds[0]
        kind: Any = entry.get("kind", config.get("kind", first))
        dtype: Any = entry.get("dtype", config.get("dtype", specification.dtypes[0]))
        if call_of(specification, example, kind, dtype) is None:
            raise BrokenExample(f"the example is not of kind {kind} and dtype {dtype}")
    except OSError as error:
        raise BrokenFile(f"{place}: {entry['example']} cannot be read ({error.strerror}).") from None
    except ValueError as error:  # BrokenExample, Damaged, and a path with NUL
        raise BrokenFile(f"{place}: {error}.") from None
    return example
