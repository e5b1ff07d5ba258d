"""Skip requirements whose prerequisites failed, so that one root cause is reported once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter

from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from reference.catalogue import Requirement

ByRequirement = Mapping[str, Requirement]
BySpecification = Mapping[str, ByRequirement]


def ranks(requirements: ByRequirement) -> dict[str, int]:
    """Return a rank for each requirement: 0 without prerequisites, otherwise one more than their highest rank."""
    found: dict[str, int] = {}
    for id_ in TopologicalSorter({r.id: r.builds_on for r in requirements.values()}).static_order():
        found[id_] = 1 + max((found[other] for other in requirements[id_].builds_on), default=-1)
    return found


class Prerequisites:
    """The failures of a run so far, and the requirements that they block.

    ``requirements`` holds every requirement by the name of its specification and by its id.
    """

    def __init__(self, requirements: BySpecification) -> None:
        self.requirements = requirements
        self._causes: dict[Key, dict[str, str]] = {}  # a key without its dtype -> dtype -> first cause

    def failed(self, key: Key) -> None:
        """Record a failure."""
        self._note(key, key.requirement)

    def cause(self, key: Key) -> str | None:
        """Return the failed requirement that this one builds on, directly or indirectly, or None.

        A failure of a requirement that is checked in one dtype only counts for all dtypes.
        """
        requirements = self.requirements[key.specification]
        for other in requirements[key.requirement].builds_on:
            causes = self._causes.get(key._replace(requirement=other, dtype=""), {})
            cause = causes.get(key.dtype)
            if cause is None and causes and not requirements[other].every_dtype:
                cause = next(iter(causes.values()))
            if cause is not None:
                self._note(key, cause)
                return cause
        return None

    def _note(self, key: Key, cause: str) -> None:
        self._causes.setdefault(key._replace(dtype=""), {})[key.dtype] = cause


def blocked(key: Key, cause: str) -> Finding:
    """Return the finding of a key that was not run because of a failed prerequisite."""
    message = f"not run: it builds on {cause}, which failed"
    return Finding.at(key, Status.BLOCKED, message=message, prerequisite=cause)


def replay(results: dict[Key, Finding], order: Iterable[Key], requirements: BySpecification) -> None:
    """Change the results of separate runs to the results of one run in that order, which skips blocked requirements."""
    prerequisites = Prerequisites(requirements)
    for key in order:
        cause = prerequisites.cause(key)
        if cause is not None:
            results[key] = blocked(key, cause)
        elif results[key].departs:
            prerequisites.failed(key)


def settle(results: dict[Key, Finding], requirements: BySpecification) -> None:
    """Mark failures behind a failed prerequisite as blocked, in a run whose parts did not know of each other."""
    prerequisites = Prerequisites(requirements)
    rank = {name: ranks(by_id) for name, by_id in requirements.items()}
    for key in sorted(results, key=lambda key: rank[key.specification][key.requirement]):
        found = results[key]
        if found.status not in (Status.FAILED, Status.BLOCKED):
            continue
        cause = prerequisites.cause(key)
        if cause is None:
            if found.departs:
                prerequisites.failed(key)
        elif found.status is Status.FAILED:
            message = f"{cause}, on which it builds, failed as well\n{found.message}"
            results[key] = replace(found, status=Status.BLOCKED, message=message)
