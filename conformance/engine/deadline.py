"""The end of the time in which a failure is explained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

FEW_CALLS = 4
SHARE_OF_SHRINKING = 0.4  # of the time for explaining a failure


class OutOfTime(BaseException):
    """The time for explaining a failure is over. No exception of an adapter, so that no law catches it."""


class Deadline:
    """The time for explaining one failure. It runs from ``start``, which is called where the failure is found."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._started: float | None = None
        self._calls = 0
        self.last = 0.0
        """The seconds that the last block with calls of a backend took."""
        self.is_enforced = False

    def start(self) -> None:
        """Start the time, unless it runs already."""
        if self._started is None:
            self._started = self._clock()

    @property
    def spent(self) -> float:
        """The seconds since the start; 0 before it."""
        return 0.0 if self._started is None else self._clock() - self._started

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self._started is not None and self.spent >= self.seconds

    def part(self, share: float) -> Part:
        """Begin a part of the explanation that may take this share of the time that is left."""
        spent = self.spent
        return Part(self, spent + share * max(self.seconds - spent, 0.0))

    @cached_property
    def shrinking(self) -> Part:
        """The part for finding the smallest failing call, begun where it is first asked for."""
        return self.part(SHARE_OF_SHRINKING)

    @property
    def is_short(self) -> bool:
        """Whether the time that is left is enough for few calls only."""
        return self.seconds - self.spent < FEW_CALLS * self.last

    @contextmanager
    def call(self) -> Iterator[None]:
        """Take the time of a block that may call the backend."""
        started, before = self._clock(), self._calls
        try:
            yield
        finally:
            if self._calls > before:
                self.last = self._clock() - started

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Start the time; leave the block at the first call of a backend after its end."""
        self.start()
        before, self.is_enforced = self.is_enforced, True
        try:
            yield
        except OutOfTime:
            pass
        finally:
            self.is_enforced = before

    def check(self) -> None:
        """Count a call of a backend. Raise OutOfTime inside of ``enforced`` if the time is over."""
        self._calls += 1
        if self.is_enforced and self.over:
            raise OutOfTime


class Part:
    """A part of the time for explaining a failure. It ends early enough for one more call like the last one."""

    def __init__(self, deadline: Deadline, end: float) -> None:
        self._deadline, self._end = deadline, end

    @property
    def over(self) -> bool:
        """Whether a further call would take too long."""
        return self._deadline.spent + self._deadline.last >= self._end
