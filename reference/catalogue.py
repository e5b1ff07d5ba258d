"""A catalogue of requirements: every documented statement of a specification that can be checked from outside."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from pathlib import Path
from typing import Any

from reference.config import require

# The fields that decide a verdict: a change of one of them is a new version of the catalogue.
DECIDING = ("id", "statement", "ruling", "kinds", "needs", "unless", "every_dtype", "builds_on")


@dataclass(frozen=True)
class Requirement:
    """One documented statement."""

    id: str
    area: str
    statement: str
    source: str
    """Where the documentation states it."""
    kinds: tuple[str, ...]
    """The kinds that it speaks of."""
    needs: frozenset[str] = frozenset()
    """The features that a backend must claim for it to apply."""
    unless: str = ""
    """A feature that a backend must not claim; with "kinds" or "dtypes" the requirement is about the unclaimed ones."""
    every_dtype: bool = False
    """Whether it is checked in each claimed dtype, or in one."""
    builds_on: tuple[str, ...] = ()
    """The ids of its prerequisites: where one of them fails, this requirement says nothing more."""
    ruling: str = ""
    """The suite's decision and its reason, if the documentation is silent or contradicts itself."""
    steps: int = 0
    """The most steps of its calls where these are fixed, as in a case."""
    sizes: tuple[tuple[int, int], ...] = ()
    """The pairs (input_size, hidden_size) of its calls where these are fixed, as in a case."""


class Catalogue(Mapping[str, Requirement]):
    """The requirements of a TOML file by id, in the file's order, area by area.

    ``kinds`` and ``areas`` are the only ones allowed. Reading is lazy. Raises ValueError, on first use, for an unknown
    area, kind or key, an id that occurs twice, and prerequisites that do not exist or form a circle.
    """

    def __init__(self, path: Path, kinds: Sequence[str], areas: Sequence[str]) -> None:
        self.path, self.kinds, self.areas = path, tuple(kinds), tuple(areas)

    def __getitem__(self, id_: str) -> Requirement:
        return self.entries[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def entries(self) -> dict[str, Requirement]:
        """Every requirement by its id."""
        entries: dict[str, Requirement] = {}
        for raw in self._file["requirement"]:
            require(raw["id"] not in entries, "id", "a new id", raw["id"])
            require(raw["area"] in self.areas, "area", f"one of {', '.join(self.areas)}", raw["area"])
            kinds = tuple(raw.get("kinds", self.kinds))
            require(set(kinds) <= set(self.kinds), "kinds", f"some of {', '.join(self.kinds)}", kinds)
            known = set(Requirement.__dataclass_fields__)
            require(set(raw) <= known, raw["id"], f"keys among {', '.join(sorted(known))}", sorted(set(raw) - known))
            needs, builds_on = frozenset(raw.get("needs", ())), self.ids(raw.get("builds_on", ()))
            entries[raw["id"]] = Requirement(**(raw | {"kinds": kinds, "needs": needs, "builds_on": builds_on}))
        for entry in entries.values():
            unknown = sorted(set(entry.builds_on) - set(entries))
            require(not unknown, entry.id, "builds_on of ids or groups", unknown)
        try:
            tuple(TopologicalSorter({entry.id: entry.builds_on for entry in entries.values()}).static_order())
        except CycleError as error:
            raise ValueError(f"builds_on: expected no circle, got {' -> '.join(error.args[1])}") from None
        return entries

    @property
    def version(self) -> str:
        """The version, which reports name: ``1.0``. docs/changes.md says when which part is raised."""
        return self._file["version"]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with everything that decides a verdict; a source does not."""
        content = [[getattr(entry, name) for name in DECIDING] for entry in self.values()]
        return blake2b(json.dumps(content, default=sorted).encode(), digest_size=8).hexdigest()  # needs is a set

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every version so far, the present one last."""
        return dict(self._file["fingerprints"])

    def ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """Replace each name of a group by the ids of that group; keep ids."""
        groups = self._file.get("groups", {})
        found = (self.ids(groups[name]) if name in groups else (name,) for name in names)
        return tuple(dict.fromkeys(id_ for those in found for id_ in those))

    @cached_property
    def _file(self) -> dict[str, Any]:
        return tomllib.loads(self.path.read_text("utf-8"))
