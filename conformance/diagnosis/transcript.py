"""Transcripts: a law's calls of a backend with their results.

To record one, the law runs once more, with the backend, a fault or the oracle behind a ``Listener``. Its verdict is
ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.backend import Result, Unsupported
from conformance.engine.compare import Failed
from conformance.engine.noise import Noise
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of

Entry = tuple[str, Any]  # a name; the numbers, or a word for an exception or another type
Law = Callable[[Any], None]

UNORDERED = {"gradients", "gradients_training"}  # methods whose names may come in any order


class Listener:
    """A stand-in for a backend that records its calls and results; ``noise`` disturbs both.

    It has the name and the claims of ``claimed``, whose ``missing`` results are not recorded. It also records the calls
    of objects that methods in ``builders`` return. Gradients are recorded in the ``order`` of the call's names,
    whatever order they come in, and only those that ``wants`` says are looked at.
    """

    def __init__(
        self,
        inner: Any,
        claimed: Any,
        builders: frozenset[str],
        noise: Noise | None = None,
        order: Sequence[str] = (),
        wants: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self.wants = wants
        self.inner, self.builders, self.noise, self.order = inner, builders, noise, order
        self.name, self.version, self.features = claimed.name, claimed.version, claimed.features
        self.missing = frozenset(getattr(claimed, "missing", ()))
        self.heard: list[Entry] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name not in self.builders:
            return _listening(self, name, method) if callable(method) else method
        return lambda *arguments: ListenedObject(self, self.listen("building", method, *arguments))

    def listen(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function and return its value; record the value or its exception, and changed arguments."""
        if self.noise:
            arguments = tuple(self.noise.spread(a) for a in arguments)
        before = [_bits(a) for a in arguments]
        try:
            returned = function(*arguments)
        except Unsupported:
            self.heard.append((what, "Unsupported"))
            raise
        except (Exception, SystemExit) as error:
            self.heard.append((what, "SystemExit" if isinstance(error, SystemExit) else "an error"))
            raise
        if what != "building":
            named = [(name, value) for name, value in _named(returned) if name not in self.missing]
            if what in UNORDERED:
                named = [item for item in named if self.wants(item[0])]
                named.sort(key=lambda item: self.order.index(item[0]) if item[0] in self.order else len(self.order))
            self.heard += [(f"{what}: {name}", _number(value)) for name, value in named]
        if not self.noise and [_bits(a) for a in arguments] != before:
            self.heard.append((what, "arguments written"))
        return returned


class ListenedObject:
    """An object that a backend built, with recorded calls."""

    def __init__(self, listener: Listener, inner: Any) -> None:
        self._listener, self._inner = listener, inner

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return _listening(self._listener, name, attribute) if callable(attribute) else attribute


def _listening(listener: Listener, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def listened(*arguments: Any, **keywords: Any) -> Any:
        return listener.listen(name, lambda *a: method(*a, **keywords), *arguments)

    return listened


def _bits(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [_bits(v) for v in value.values()]
    return value.tobytes() if isinstance(value, np.ndarray) else None


def _named(returned: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(returned, Mapping):
        return iter(returned.items())
    if hasattr(returned, "output"):
        return ((name, getattr(returned, name, None)) for name in ("output", "h_n", "c_n"))
    if isinstance(returned, tuple):
        return iter((str(k), value) for k, value in enumerate(returned))
    return iter([("result", returned)])


def _number(value: Any) -> Any:
    if value is None or isinstance(value, np.ndarray):
        return None if value is None else np.array(value, np.float64 if value.dtype.kind in "fViu" else object)
    return type(value).__name__


def plain(trial: Any) -> None:
    """Make one call of the backend: the simplest law."""
    trial.got  # noqa: B018


def transcript_of(trial: Any) -> list[Entry] | None:
    """Return the transcript of ``plain`` on a layer's trial that has been called, or None."""
    if not (trial.called and isinstance(trial.returned, Result)):
        return None
    heard = [(f"{trial.form.ask}: {name}", _number(value)) for name, value in _named(trial.returned)]
    return [*heard, ("the law ended", "as it should")]


def transcript(backend: Any, subject: Subject, law: Law, call: Any, noise: Noise | None = None) -> list[Entry]:
    """Return the transcript of a law on a call, with another backend in place of the subject's backend."""
    builders = frozenset(form.build for form in subject.specification.forms)
    order = (*call.arguments, *call.parameters)
    wants = getattr(trial_of(subject, call).call, "wants", lambda name: True)
    listener = Listener(backend, subject.backend, builders, noise, order, wants)
    rehearsal = Subject(subject.specification, listener, subject.kind, subject.dtype, watch=subject.watch)
    rehearsal.compares, rehearsal.deadline, rehearsal.dialects = False, subject.deadline, subject.dialects
    if backend is not subject.backend:
        rehearsal.speaks = subject.dialects
    ended = "as it should"
    try:
        with np.errstate(all="ignore"):
            law(trial_of(rehearsal, call))
    except Failed:
        ended = "by a failure"
    except Exception:  # laws need not handle wrong results
        ended = "by an error"
    return [*listener.heard, ("the law ended", ended)]


def alike(a: Sequence[Entry], b: Sequence[Entry]) -> bool:
    """Return whether two transcripts are equal except for their numbers."""
    return len(a) == len(b) and all(
        x == y and _shape(mine) == _shape(its) for (x, mine), (y, its) in zip(a, b, strict=True)
    )


def _shape(value: Any) -> Any:
    return value.shape if isinstance(value, np.ndarray) else value


def differ(a: Any, b: Any) -> bool:
    """Return whether two entries are arrays of different numbers."""
    return isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def same(a: Sequence[Entry], b: Sequence[Entry]) -> bool:
    """Return whether two transcripts are equal bit by bit."""
    return alike(a, b) and not any(differ(mine, its) for (_, mine), (_, its) in zip(a, b, strict=True))
