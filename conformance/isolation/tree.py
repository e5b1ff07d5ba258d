"""The processes of a backend while the run waits for one of them: their memory, and whether a call hangs."""

from __future__ import annotations

import os
from contextlib import suppress

from conformance.isolation.system import Figures, descendants, figures_of, memory_of

SAMPLE_SECONDS = 0.5  # between two samples
STARVED_LIMITS = 10  # after so many limits of the clock a call hangs, however little processor time it got
WORKING = "RD"  # the states of a process that would go on if the machine let it: running, waiting for a disk


class ProcessTree:
    """A process and its descendants, sampled again and again.

    A call hangs when it has used its limit. What counts is processor time while the processes would run: on a busy
    machine they wait for it. While all of them sleep the clock counts. After STARVED_LIMITS limits by the clock a call
    hangs in any case.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pids = [pid]
        self._begun = self._counted = self._sampled = self._used = self._seconds = 0.0

    def begin(self, now: float) -> None:
        """Begin to count for another call; ``now`` is in seconds of a clock that does not go back."""
        self._begun = self._counted = now
        self._used = 0.0

    def look(self, now: float) -> None:
        """Take a sample if it is time."""
        if now - self._sampled < SAMPLE_SECONDS:
            return
        before, passed = self._seconds, now - self._counted
        found = self._sample()
        used = max(0.0, self._seconds - before)
        self._used += min(passed, used) if self._works(found) else passed
        self._sampled = self._counted = now

    def hangs(self, now: float, limit: float) -> str:
        """Return how a call that has begun exceeds a limit of seconds; empty if it does not."""
        if self._used > limit:
            return f"gave no answer within {limit:g} s"
        if now - self._begun > STARVED_LIMITS * limit:
            got = f"in which the machine gave it {self._used:.0f} s of processor time"
            return f"gave no answer within {STARVED_LIMITS * limit:g} s, {got},"
        return ""

    def memory(self) -> int:
        """Return the bytes of memory in use."""
        return sum(map(memory_of, self.pids))

    def _sample(self) -> list[Figures]:
        self.pids = [self.pid, *descendants(self.pid)]
        found = [figures for pid in self.pids if (figures := figures_of(pid)) is not None]
        self._seconds = sum(figures.seconds for figures in found)
        return found

    def _works(self, found: list[Figures]) -> bool:
        """Return whether a process or a thread of one would go on if the machine let it."""
        if any(figures.state in WORKING for figures in found):
            return True
        return any(figures.state in WORKING for pid in self.pids for figures in _threads(pid))


def _threads(pid: int) -> list[Figures]:
    with suppress(OSError):
        names = [f"{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
        return [figures for name in names if (figures := figures_of(name)) is not None]
    return []
