"""Known failures: departures that are known, with reason and issue, and strict about both.

An entry may keep an example of the failure. It is replayed before anything is drawn, so that whether the entry is
mended does not hang on what is drawn.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from conformance.engine.serialization import BrokenExample, Example, call_of
from reference.config import DTYPES, KINDS

KEYS = ("requirement", "backend", "kind", "dtype", "reason", "issue", "example")


class BrokenFile(Exception):
    """A known-failures file that cannot be used; the message is one sentence that says what to mend."""


@dataclass(frozen=True)
class KnownFailure:
    """One entry: what it matches, why it fails, and where that is discussed."""

    requirement: str
    reason: str
    issue: str
    backend: str | None = None
    kind: str | None = None
    dtype: str | None = None
    example: Example | None = field(default=None, hash=False)

    def matches(self, requirement: str, backend: str, kind: str, dtype: str) -> bool:
        asked = ((self.backend, backend), (self.kind, kind), (self.dtype, dtype))
        return self.requirement == requirement and all(mine in (None, theirs) for mine, theirs in asked)

    def __str__(self) -> str:
        where = [part for part in (self.backend, self.kind, self.dtype) if part]
        return f"{self.requirement} ({', '.join(where)})" if where else self.requirement


def read(path: str | Path, requirements: Iterable[str]) -> list[KnownFailure]:
    """The entries of a file. Raises BrokenFile, naming the file and the entry."""
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BrokenFile(f"known failures: {path} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BrokenFile(f"known failures: {path} is not TOML ({error}).") from None
    entries = data.get("known_failure", [])
    if set(data) - {"known_failure"} or not isinstance(entries, list):
        raise BrokenFile(f"known failures: {path} may hold nothing but [[known_failure]] tables.")
    known, found = set(requirements), []
    for number, entry in enumerate(entries, 1):
        place = f"known failures: {path}, entry {number}"
        unknown = sorted(set(entry) - set(KEYS))
        if unknown:
            raise BrokenFile(f"{place}: unknown key {unknown[0]!r}; the keys are {', '.join(KEYS)}.")
        for key in KEYS:
            if key != "example" and key in entry and not isinstance(entry[key], str):
                raise BrokenFile(f"{place}: {key} must be a string.")
            if key in ("requirement", "reason", "issue") and not entry.get(key, "").strip():
                raise BrokenFile(f"{place}: {key} is missing or empty.")
        if entry["requirement"] not in known:
            raise BrokenFile(f"{place}: there is no requirement {entry['requirement']!r}.")
        if "example" in entry:
            entry["example"] = _example(entry, Path(path).parent, place)
        found.append(KnownFailure(**entry))
    return found


def _example(entry: dict, folder: Path, place: str) -> Example:
    """The example of an entry, read from a JSON file beside it if it is a path. Raises BrokenFile."""
    example = entry["example"]
    try:
        if isinstance(example, str):
            example = json.loads((folder / example).read_text("utf-8"))
        if not isinstance(example, dict):
            raise BrokenExample("the example is none: it must be a table, or the path of a JSON file with one object")
        config = example.get("config", {})
        kind, dtype = (
            entry.get("kind", config.get("kind", KINDS[2])),
            entry.get("dtype", config.get("dtype", DTYPES[0])),
        )
        if call_of(example, kind, dtype) is None:
            raise BrokenExample(f"the example is not of kind {kind} and dtype {dtype}")
    except OSError as error:
        raise BrokenFile(f"{place}: {entry['example']} cannot be read ({error.strerror}).") from None
    except (BrokenExample, ValueError) as error:
        raise BrokenFile(f"{place}: {error}.") from None
    return example
