"""The catalogue of requirements: every documented statement that can be checked from outside."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from hashlib import blake2b
from pathlib import Path
from typing import Any

from reference.config import KINDS, require

AREAS = (
    "shapes",
    "state",
    "parameters",
    "numerics",
    "lengths",
    "projection",
    "cells",
    "gradients",
    "dropout",
    "initialization",
    "refusals",
    "robustness",
    "cases",
)
PATH = Path(__file__).with_name("requirements.toml")


@dataclass(frozen=True)
class Requirement:
    """One documented statement.

    id names it; source says where the documentation states it; kinds are those it speaks of; needs are
    the features a backend must claim for it to apply; unless, on the contrary, is one that it must not
    claim, or "kinds" or "dtypes": then it is put to the backend in those that it does not claim;
    every_dtype says whether it is checked in each claimed dtype or in one; builds_on names those that
    must hold for it to say anything of its own; ruling, where the documentation is silent or contradicts
    itself, says what the suite holds for right and why.
    """

    id: str
    area: str
    statement: str
    source: str
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    unless: str = ""
    every_dtype: bool = False
    builds_on: tuple[str, ...] = ()
    ruling: str = ""
    steps: int = 0
    """The most steps of its calls, where that is no matter of drawing: of a case."""


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Requirement]:
    """Every entry of requirements.toml by its id, in the file's order, which is that of the areas.

    Raises ValueError for an entry with an unknown area, kind or key, an id that came before, or one that
    builds on what there is not or on itself.
    """
    entries: dict[str, Requirement] = {}
    for raw in _file()["requirement"]:
        require(raw["id"] not in entries, "id", "an id of its own", raw["id"])
        require(raw["area"] in AREAS, "area", f"one of {', '.join(AREAS)}", raw["area"])
        kinds = tuple(raw.get("kinds", KINDS))
        require(set(kinds) <= set(KINDS), "kinds", f"some of {', '.join(KINDS)}", kinds)
        known = set(Requirement.__dataclass_fields__)
        require(set(raw) <= known, raw["id"], f"keys among {', '.join(sorted(known))}", sorted(set(raw) - known))
        raw = raw | {"kinds": kinds, "needs": frozenset(raw.get("needs", ()))}
        raw["builds_on"] = ids(raw.get("builds_on", ()))
        entries[raw["id"]] = Requirement(**raw)
    for entry in entries.values():
        unknown = sorted(set(entry.builds_on) - set(entries))
        require(not unknown, entry.id, "builds_on of ids or groups", unknown)
    try:
        tuple(TopologicalSorter({entry.id: entry.builds_on for entry in entries.values()}).static_order())
    except CycleError as error:
        raise ValueError(f"builds_on: expected no circle, got {' -> '.join(error.args[1])}") from None
    return entries


def version() -> str:
    """The version of the catalogue, which reports name: ``1.0``. docs/changes.md says when which part is raised."""
    return _file()["version"]


def fingerprint() -> str:
    """16 hexadecimal digits that change with whatever of a requirement decides a verdict; not with its source."""
    fields = ("id", "statement", "ruling", "kinds", "needs", "unless", "every_dtype", "builds_on")
    content = [[getattr(entry, name) for name in fields] for entry in catalogue().values()]
    return blake2b(json.dumps(content, default=sorted).encode(), digest_size=8).hexdigest()  # needs is a set


def fingerprints() -> dict[str, str]:
    """The fingerprint of every version of the catalogue there was, the present one last."""
    return dict(_file()["fingerprints"])


def ids(names: Iterable[str]) -> tuple[str, ...]:
    """The ids that these ids and groups of ids stand for."""
    groups = _file()["groups"]
    found = (ids(groups[name]) if name in groups else (name,) for name in names)
    return tuple(dict.fromkeys(id_ for those in found for id_ in those))


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    return tomllib.loads(PATH.read_text("utf-8"))
