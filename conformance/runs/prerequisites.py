"""Cascades told apart: what builds on a requirement that failed is blocked, so that one cause reads as one failure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from reference.catalogue import Requirement

Key = tuple[str, str, str, str]  # requirement, backend, kind, dtype


def ranks(requirements: Mapping[str, Requirement]) -> dict[str, int]:
    """A rank for each requirement, above the ranks of all that it builds on; as low as that allows."""
    found: dict[str, int] = {}
    for id_ in TopologicalSorter({r.id: r.builds_on for r in requirements.values()}).static_order():
        found[id_] = 1 + max((found[other] for other in requirements[id_].builds_on), default=-1)
    return found


class Cascade:
    """What failed so far, and what is blocked by that."""

    def __init__(self, requirements: Mapping[str, Requirement]) -> None:
        self.requirements = requirements
        self._causes: dict[tuple[str, str, str], dict[str, str]] = {}  # (id, backend, kind) -> dtype -> first cause

    def failed(self, key: Key) -> None:
        """Note a failure."""
        self._note(key, key[0])

    def cause(self, key: Key) -> str | None:
        """The failed requirement that this one, directly or not, builds on, None if there is none.

        A requirement that is checked in one dtype stands for all of them.
        """
        id_, backend, kind, dtype = key
        for other in self.requirements[id_].builds_on:
            causes = self._causes.get((other, backend, kind), {})
            cause = causes.get(dtype)
            if cause is None and causes and not self.requirements[other].every_dtype:
                cause = next(iter(causes.values()))
            if cause is not None:
                self._note(key, cause)
                return cause
        return None

    def _note(self, key: Key, cause: str) -> None:
        id_, backend, kind, dtype = key
        self._causes.setdefault((id_, backend, kind), {})[dtype] = cause


def not_run(cause: str) -> dict[str, Any]:
    """What is found where nothing is run, because of that cause."""
    return {"status": "blocked", "message": f"not run: it builds on {cause}, which failed"}


def blocks(found: Mapping[str, Any]) -> bool:
    """Whether it is a failure that says that the backend is wrong, so that what builds on it says nothing.

    Such a one leaves a reproducer; a known failure that passes now and a traceback of the suite itself do not.
    """
    return found["status"] == "failed" and found.get("reproducer") is not None


def replay(results: dict[Key, dict[str, Any]], order: Iterable[Key], requirements: Mapping[str, Requirement]) -> None:
    """Make the results of separate runs those of one, which would have gone in that order and skipped the blocked."""
    cascade = Cascade(requirements)
    for key in order:
        cause = cascade.cause(key)
        if cause is not None:
            results[key] = not_run(cause)
        elif blocks(results[key]):
            cascade.failed(key)


def settle(results: dict[Key, dict[str, Any]], requirements: Mapping[str, Requirement]) -> None:
    """Mark as blocked what failed of another failure in a run whose parts did not know of each other."""
    cascade, rank = Cascade(requirements), ranks(requirements)
    for key in sorted(results, key=lambda key: rank[key[0]]):
        found = results[key]
        if found["status"] not in ("failed", "blocked"):
            continue
        cause = cascade.cause(key)
        if cause is None:
            if blocks(found):
                cascade.failed(key)
        elif found["status"] == "failed":
            found["status"] = "blocked"
            found["message"] = f"{cause}, on which it builds, failed as well\n{found['message']}"
