"""Earlier failures, and the later failures that they explain, so that one root cause is reported once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import TopologicalSorter
from typing import TypeVar

from conformance.engine.cause import Cause
from conformance.engine.compare import signature
from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.engine.verdict import Verdict
from reference.catalogue import Requirement

ByRequirement = Mapping[str, Requirement]
BySpecification = Mapping[str, ByRequirement]
Found = TypeVar("Found")


def ranks(requirements: ByRequirement) -> dict[str, int]:
    """Return a rank for each requirement: 0 without prerequisites, otherwise one more than their highest rank."""
    found: dict[str, int] = {}
    for id_ in TopologicalSorter({r.id: r.builds_on for r in requirements.values()}).static_order():
        found[id_] = 1 + max((found[other] for other in requirements[id_].builds_on), default=-1)
    return found


class Prerequisites:
    """The failures of a run so far.

    ``requirements`` holds every requirement by the name of its specification and by its id.
    """

    def __init__(self, requirements: BySpecification) -> None:
        self.requirements = requirements
        self._causes: dict[Key, dict[str, str]] = {}  # a key without its dtype -> dtype -> first cause
        self._failures: dict[Key, dict[str, Cause]] = {}  # a key without its dtype -> dtype -> failure
        self._explained: dict[Key, dict[str, str]] = {}  # a key without its dtype -> dtype -> what explains its failure
        self._lock = threading.Lock()  # the kinds of a run have their own threads

    def failed(self, key: Key, verdict: Verdict | Finding | None = None) -> None:
        """Record a failure."""
        cause = Cause(key.requirement)
        if verdict is not None:
            named = tuple(fault["fault"] for fault in verdict.diagnosis)
            if isinstance(verdict, Finding):
                raised, depends = raised_in(verdict.message), False
            else:
                raised, depends = verdict.raised, verdict.depends
            carries, pattern = (False, None) if isinstance(verdict, Finding) else (verdict.carries, verdict.pattern)
            cause = Cause(key.requirement, named, raised, verdict.margin, depends, carries, pattern)
        with self._lock:
            self._note(key, key.requirement)
            self._failures.setdefault(key._replace(dtype=""), {})[key.dtype] = cause

    def explained(self, key: Key, cause: str) -> None:
        """Record that the failure of ``cause`` explains the failure of a key, and of the requirements above it."""
        with self._lock:
            self._explained.setdefault(key._replace(dtype=""), {})[key.dtype] = cause

    def cause(self, key: Key) -> str | None:
        """Return the failed requirement that this one builds on, directly or indirectly, or None.

        A failure of a requirement that is checked in one dtype only counts for all dtypes.
        """
        for other in self.requirements[key.specification][key.requirement].builds_on:
            cause = self._of(key, other, self._causes.get(key._replace(requirement=other, dtype=""), {}))
            if cause is not None:
                self._note(key, cause)
                return cause
        return None

    def _of(self, key: Key, requirement: str, by_dtype: Mapping[str, Found]) -> Found | None:
        """Return the entry of a key's dtype; of any dtype if the requirement is checked in one only."""
        found = by_dtype.get(key.dtype)
        if found is None and not self.requirements[key.specification][requirement].every_dtype:
            return next(iter(by_dtype.values()), None)
        return found

    def _note(self, key: Key, cause: str) -> None:
        self._causes.setdefault(key._replace(dtype=""), {})[key.dtype] = cause

    def causes(self, key: Key) -> list[Cause]:
        """Return the failures that may explain a failure of this key.

        The failures that it builds on come first, then the subject's others.
        """
        if not self._failures:
            return []
        direct, found = self._ancestors(key), list[Cause]()
        with self._lock:
            failures = {place: dict(by_dtype) for place, by_dtype in self._failures.items()}
            explained = {one: dict(self._explained.get(key._replace(requirement=one, dtype=""), {})) for one in direct}
        direct |= {cause for one, causes in explained.items() if (cause := self._of(key, one, causes)) is not None}
        for place, by_dtype in failures.items():
            if place._replace(requirement="") != key._replace(requirement="", dtype=""):
                continue
            failure = self._of(key, place.requirement, by_dtype)
            if failure is not None:
                found.append(replace(failure, direct=place.requirement in direct))
        return sorted(found, key=lambda cause: not cause.direct)

    def _ancestors(self, key: Key) -> set[str]:
        """Return every requirement that a key builds on, directly or indirectly."""
        requirements, found = self.requirements[key.specification], set[str]()
        left = list(requirements[key.requirement].builds_on)
        while left:
            id_ = left.pop()
            if id_ not in found:
                found.add(id_)
                left += requirements[id_].builds_on
        return found


def raised_in(message: str) -> str:
    """Return the exception that a failure's message reports, without its numbers; empty if there is none."""
    first = message.partition("\n")[0]
    found = re.search(r" raised (\w+: .*)", first)
    refused = re.search(r" was refused though it is claimed: (.*)", first)
    text = found[1] if found else f"Unsupported: {refused[1]}" if refused else ""
    return signature(text)


def blocked(key: Key, cause: str) -> Finding:
    """Return the finding of a key that was not run because of a failed prerequisite."""
    message = f"not run: it builds on {cause}, which failed"
    return Finding.at(key, Status.BLOCKED, message=message, prerequisite=cause)


def explained(cause: str, message: str = "") -> str:
    """Return the message of a failure that another requirement's failure explains."""
    return f"it fails as well: the failure of {cause} explains it" + (f"\n{message}" if message else "")


def explains(cause: Cause, found: Finding) -> bool:
    """Return whether an earlier failure explains a finding, as far as separate runs show it."""
    if cause.raised:
        return raised_in(found.message) == cause.raised
    named = {fault["fault"] for fault in found.diagnosis}
    if cause.faults:
        return bool(named & set(cause.faults))
    if not cause.direct or named or raised_in(found.message):
        return False
    return not cause.is_exceeded_by(found.margin)


def settle(results: dict[Key, Finding], requirements: BySpecification, order: Iterable[Key] | None = None) -> None:
    """Mark failures that another one explains as blocked, in a run whose parts did not know of each other.

    ``order`` is the order of the whole run; by default prerequisites come first.
    """
    prerequisites = Prerequisites(requirements)
    rank = {name: ranks(by_id) for name, by_id in requirements.items()}
    for key in order or sorted(results, key=lambda key: rank[key.specification][key.requirement]):
        found = results[key]
        if found.status is not Status.FAILED or not found.departs:
            continue
        causes = prerequisites.causes(key)
        cause = next((cause for cause in causes if explains(cause, found)), None)
        if cause is None or found.also:
            prerequisites.failed(key, found)
        else:
            message = explained(cause.requirement, found.message)
            prerequisites.explained(key, cause.requirement)
            results[key] = replace(
                found, status=Status.BLOCKED, message=message, prerequisite=cause.requirement, diagnosis=()
            )
        if results[key].status is Status.FAILED and any(cause.direct for cause in causes):
            results[key] = replace(results[key], also=True)
