"""The end of the time in which a failure is explained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class OutOfTime(BaseException):
    """The time for explaining a failure is over. No exception of an adapter, so that no law catches it."""


class Deadline:
    """The time for explaining one failure. It runs from ``start``, which is called where the failure is found."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._started: float | None = None
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

    def leaves(self, seconds: float) -> bool:
        """Return whether so many seconds are left."""
        return self.spent + seconds < self.seconds

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
        """Raise OutOfTime inside of ``enforced`` if the time is over."""
        if self.is_enforced and self.over:
            raise OutOfTime
