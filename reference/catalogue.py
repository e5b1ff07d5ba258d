"""The catalogue of requirements: every documented statement that can be checked from outside."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

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
    every_dtype says whether it is checked in each claimed dtype or in one; ruling, where the
    documentation is silent or contradicts itself, says what the suite holds for right and why.
    """

    id: str
    area: str
    statement: str
    source: str
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    unless: str = ""
    every_dtype: bool = False
    ruling: str = ""


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Requirement]:
    """Every entry of requirements.toml by its id, in the file's order, which is that of the areas.

    Raises ValueError for an entry with an unknown area, kind or key, or an id that came before.
    """
    entries: dict[str, Requirement] = {}
    for raw in tomllib.loads(PATH.read_text("utf-8"))["requirement"]:
        require(raw["id"] not in entries, "id", "an id of its own", raw["id"])
        require(raw["area"] in AREAS, "area", f"one of {', '.join(AREAS)}", raw["area"])
        kinds = tuple(raw.get("kinds", KINDS))
        require(set(kinds) <= set(KINDS), "kinds", f"some of {', '.join(KINDS)}", kinds)
        known = set(Requirement.__dataclass_fields__)
        require(set(raw) <= known, raw["id"], f"keys among {', '.join(sorted(known))}", sorted(set(raw) - known))
        raw |= {"kinds": kinds, "needs": frozenset(raw.get("needs", ()))}
        entries[raw["id"]] = Requirement(**raw)
    return entries
