"""Give each call of a law a new object, to see whether an object carries something from one call to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.engine.check import failure_of
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of


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
    backend = Renewed(subject.backend, frozenset(form.build for form in subject.specification.forms))
    other = Subject(subject.specification, backend, subject.kind, subject.dtype, subject.clock, subject.watch)
    other.dialects, other.deadline = subject.dialects, subject.deadline
    return other


def passes_renewed(check: Any, subject: Subject, call: Any) -> bool:
    """Return whether a call passes a check if every call that the law makes has a new object."""
    return failure_of(check, trial_of(renewed(subject), call)) is None
