"""Run a law once more: with a new object for each of its calls, or to learn which calls it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from conformance.diagnosis.survey import MAX_COST, RESULT, RIGHT, WRONG, cost, manner
from conformance.diagnosis.transcript import Law
from conformance.engine.check import failure_of
from conformance.engine.compare import Failed
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of

MOST_PARTS = 8  # of a law's calls, the smallest ones, that are put to the backend by themselves


class Renewed:
    """A stand-in for a backend that builds a new object for each call of a method.

    ``builders`` names the backend's methods that build objects.
    """

    def __init__(self, inner: Any, builders: frozenset[str]) -> None:
        self._inner, self._builders = inner, builders

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._builders:
            return method
        return lambda *arguments: _RenewedObject(lambda: method(*arguments))


class _RenewedObject:
    """An object of which each method is called on a new one."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build, self._first = build, build()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._first, name)
        if not callable(attribute):
            return attribute
        return lambda *arguments, **keywords: getattr(self._build(), name)(*arguments, **keywords)


def renewed(subject: Subject) -> Subject:
    """Return the subject with a new object for each call."""
    return _again(subject, Renewed(subject.backend, frozenset(form.build for form in subject.specification.forms)))


def _again(subject: Subject, backend: Any) -> Subject:
    """Return a subject like another, with the adapter behind ``backend``."""
    other = Subject(subject.specification, backend, subject.kind, subject.dtype, subject.clock, subject.watch)
    other.dialects, other.deadline = subject.dialects, subject.deadline
    return other


def passes_renewed(check: Any, subject: Subject, call: Any) -> bool:
    """Return whether a call passes a check if every call that the law makes has a new object."""
    return failure_of(check, trial_of(renewed(subject), call)) is None


def wrong_parts(law: Law, trial: Any) -> Iterator[Any]:
    """Yield trials of the further calls that a law makes of a trial's call and whose results are wrong by themselves.

    The smallest ones come first. Every trial has a new object.
    """
    subject: Subject = trial.subject
    rehearsal = _again(subject, subject.backend)
    rehearsal.heard = []
    own = trial_of(rehearsal, trial.call)
    with suppress(Failed):
        law(own)
    parts = {id(call): call for call in rehearsal.heard if call is not own.call}
    trials = sorted((trial_of(subject, call) for call in parts.values()), key=cost)
    for part in trials[:MOST_PARTS]:
        how = manner(part) if cost(part) <= MAX_COST else RIGHT
        if how == WRONG or how.startswith(RESULT):
            yield part
