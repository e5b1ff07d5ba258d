"""A backend under test, for one specification, kind and dtype, with time and watch around every call.

An exception of the adapter, a refusal of a claimed feature and a wrong type each become Failed with one sentence.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from typing import Any

import numpy as np

from conformance.backend import Unsupported
from conformance.engine.compare import Failed, require_plain, signature
from conformance.engine.deadline import Deadline, OutOfTime
from conformance.engine.form import Call, Form
from conformance.engine.specification import Specification, claims_of
from conformance.engine.text import one_line
from reference.dialects import speaking
from reference.precision import Arithmetic


class Broken(BaseException):
    """The adapter itself broke, which is neither a result nor a refusal. The message says how, in words."""


class Clock:
    """Seconds of work by name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the time inside under ``name``, and not under the name around it."""
        self._stop()
        self._running.append(name)
        try:
            yield
        finally:
            self._stop()
            self._running.pop()

    def add(self, name: str, seconds: float) -> None:
        """Count seconds under ``name``."""
        self.seconds[name] += seconds  # type: ignore[assignment]  # a Counter of floats

    def _stop(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.add(self._running[-1], now - self._since)
        self._since = now


class Subject:
    """A backend, one of its kinds and one of its dtypes. ``watch(what)`` surrounds all work of the adapter."""

    def __init__(
        self,
        specification: Specification,
        backend: Any,
        kind: str,
        dtype: str,
        clock: Clock | None = None,
        watch: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.specification, self.backend, self.kind, self.dtype = specification, backend, kind, dtype
        self.features = claims_of(backend.features, kind)
        """The backend's claims for this kind."""
        self.arithmetic = backend.features.arithmetic(kind, dtype)
        self.dialects = getattr(backend.features, "dialects", {})
        """The equations other than PyTorch's by which the backend is judged, by kind."""
        self.speaks: Mapping[str, tuple[str, ...]] = {}
        """The dialects that the backend's own code must speak: those in force while a backend of the suite works."""
        self.clock, self.watch = clock or Clock(), watch
        self.heard: list[Any] | None = None
        """The calls that laws make, in order, where they are recorded."""
        self.compares = True
        """False if a law runs to record its calls, and no numbers are compared."""
        self.deadline = Deadline()
        """The time for explaining the failure in question; endless by default."""

    def judged_in(self, arithmetic: Arithmetic) -> Subject:
        """Return the same subject whose numbers are judged in another arithmetic."""
        other = self.beside(self.backend)
        other.arithmetic = arithmetic
        return other

    def beside(self, backend: Any) -> Subject:
        """Return another backend as a subject of the same specification, kind and dtype.

        It is one of the suite's own backends, such as a fault, and computes in the dialects of this one.
        """
        other = Subject(self.specification, backend, self.kind, self.dtype)
        other.dialects = self.dialects
        if backend is not self.backend:
            other.speaks = self.dialects
        return other

    def oracle(self) -> Subject:
        """Return the oracle as a subject. It has this backend's claims, on which laws depend."""
        right = self.specification.oracle()
        right.features = self.backend.features
        return self.beside(right)

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """Time and watch the adapter's code. SystemExit, Broken and pytest's Skipped become Failed.

        Raises OutOfTime if the deadline is enforced and over, and lets a Ctrl-C pass.
        """
        self.deadline.check()
        with self.clock("backend"), self.watch(what), speaking(self.speaks):
            try:
                yield
            except (Exception, KeyboardInterrupt):
                raise
            except Broken as error:
                raise _raised(f"{what}: {error}", error) from error
            except BaseException as error:
                if isinstance(error, OutOfTime) and self.deadline.is_enforced:
                    raise
                raise _raised(f"{what} raised {type(error).__name__}: {one_line(error)}", error) from error

    @contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Surround a call that must return: every exception becomes Failed."""
        with self.at_work(what):
            try:
                yield
            except Failed:
                raise
            except Unsupported as refusal:
                said = f"{what} was refused though it is claimed: {one_line(refusal)}"
                raise _raised(said, refusal) from refusal
            except Exception as error:
                raise _raised(f"{what} raised {type(error).__name__}: {one_line(error)}", error) from error

    def build(self, form: Form, call: Call) -> tuple[Any, dict[str, np.ndarray]]:
        """Build the object of a call; return it and the copies of the parameters that it was given.

        The configuration is a copy too: an adapter may write into it.
        """
        parameters = {name: value.copy() for name, value in call.parameters.items()}
        with self.calling(f"building {form.describe(call.config)}"):
            built = getattr(self.backend, form.build)(copy(call.config), parameters)
        return built, parameters


def _raised(message: str, error: BaseException) -> Failed:
    """Return the failure of a call that raised an exception."""
    failure = Failed(message)
    failure.raised = signature(f"{type(error).__name__}: {one_line(error)}")
    return failure


def copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Copy arguments before the adapter gets them: new arrays, and lists in place of tuples."""
    fresh = {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in arguments.items()}
    return {name: list(a) if isinstance(a, tuple) else a for name, a in fresh.items()}


def changed(arguments: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Return the names of the arguments that differ from ``before``."""
    return [
        name
        for name, a in arguments.items()
        if not (a == list(before[name]) if isinstance(a, list) else same_bits(a, before[name]))
    ]


def same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    """Return whether two arrays have the same shape and bytes, or both are None."""
    return a is b or (a is not None and b is not None and a.shape == b.shape and a.tobytes() == b.tobytes())


def own_array(name: str, value: object, optional: bool = False) -> np.ndarray | None:
    """Copy an array that the adapter returned, because a backend may use its buffers again.

    Raises Failed unless it is a plain array of numbers, or None and ``optional``.
    """
    if value is None and optional:
        return None
    array = require_plain(name, value)
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise Failed(f"{name}: got dtype {array.dtype}, expected numbers")
    return array.copy()
