"""Known failures: listed departures, each with a reason and an issue, both required.

An entry may keep an example of the failure. The suite replays it before it draws others, so that the entry does not
depend on the drawn examples. An entry whose check passes is an error, unless the failure ``varies`` with the machine.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.engine.key import Key
from conformance.engine.serialization import BrokenExample, Example, call_of
from conformance.engine.specification import Specification

KEYS = ("requirement", "specification", "backend", "kind", "dtype", "reason", "issue", "varies", "example")


class BrokenFile(Exception):
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
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BrokenFile(f"known failures: {path} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"known failures: {path} is not TOML ({error}).") from None
    entries = data.get("known_failure", [])
    if set(data) - {"known_failure"} or not isinstance(entries, list):
        raise BrokenFile(f"known failures: {path} may hold nothing but [[known_failure]] tables.")
    places = ((f"known failures: {path}, entry {number}", entry) for number, entry in enumerate(entries, 1))
    return [_entry(entry, Path(path).parent, place, specifications) for place, entry in places]


def _entry(entry: dict[str, Any], folder: Path, place: str, known: Mapping[str, Specification]) -> KnownFailure:
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise BrokenFile(f"{place}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}.")
    for key in KEYS:
        if key != "example" and key in entry and not isinstance(entry[key], str):
            raise BrokenFile(f"{place}: {key} must be a string.")
        if key in ("requirement", "reason", "issue") and not entry.get(key, "").strip():
            raise BrokenFile(f"{place}: {key} is missing or empty.")
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
            example = json.loads((folder / example).read_text("utf-8"))
        if not isinstance(example, dict):
            raise BrokenExample("the example is none: it must be a table, or the path of a JSON file with one object")
        config = example.get("config", {})
        first = specification.requirements[entry["requirement"]].kinds[0]
        kind = entry.get("kind", config.get("kind", first))
        dtype = entry.get("dtype", config.get("dtype", specification.dtypes[0]))
        if call_of(specification, example, kind, dtype) is None:
            raise BrokenExample(f"the example is not of kind {kind} and dtype {dtype}")
    except OSError as error:
        raise BrokenFile(f"{place}: {entry['example']} cannot be read ({error.strerror}).") from None
    except (BrokenExample, ValueError) as error:
        raise BrokenFile(f"{place}: {error}.") from None
    return example
