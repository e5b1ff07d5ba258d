"""Checks run ahead of the caller, several kinds at a time: whoever asks for one verdict after the other finds it there.

A backend's kinds have nothing in common but plans: neither examples nor what failed before. So each is put to a process
of its own, as many at a time as there are processors; a thread for each looks after its process. Plans are drawn by the
caller's thread alone, while it waits for a verdict: Hypothesis is not made for several threads.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from conformance.isolation.interrupt import Interrupt
from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.pool import Over, WorkerPool

LOOK_SECONDS = 1.0  # between looks whether the run is over

JobType = TypeVar("JobType", bound=Hashable)
Found = TypeVar("Found")
Drawing = Callable[[Callable[[], list[Any]]], list[Any]]
"""Has a function that draws plans called by the thread that waits, and returns them."""


class Scheduler(Generic[JobType, Found]):
    """Runs jobs in threads, those of a backend and kind in their order by one process.

    ``unit(job)`` is the position of its backend, and what is put to one process together.
    ``judge(job, isolated, draw)`` judges a job.
    """

    def __init__(
        self,
        jobs: Iterable[JobType],
        pool: WorkerPool,
        unit: Callable[[JobType], tuple[int, Hashable]],
        judge: Callable[[JobType, IsolatedBackend, Drawing], Found],
    ) -> None:
        units: dict[tuple[int, Hashable], list[JobType]] = defaultdict(list)
        for job in jobs:
            units[unit(job)].append(job)
        self._units = deque(units.items())
        self._pool, self._judge = pool, judge
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._ready: dict[JobType, tuple[Found | BaseException, str]] = {}
        self._lock = threading.Lock()
        self._interrupt = Interrupt()
        count = min(pool.processes, len(units))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def found(self, job: JobType) -> Found:
        """Return what a job's judge found, as soon as it is known; raise what it raised."""
        while job not in self._ready:
            self._interrupt.look()
            with suppress(queue.Empty):
                ask, *content = self._inbox.get(timeout=LOOK_SECONDS)
                ask(*content)
        found, printed = self._ready.pop(job)
        sys.stdout.write(printed)  # where pytest shows what a failing test printed
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the threads and their processes, wherever they are."""
        self._interrupt.close()
        self._pool.abandon()
        for thread in self._threads:
            thread.join()

    # --- in the threads -------------------------------------------------------------------------------

    def _work(self) -> None:
        """Take one unit after the other; stay until the run is over, as the processes of a thread end with it."""
        while not self._pool.over and (unit := self._next_unit()) is not None:
            (index, _), jobs = unit
            isolated: IsolatedBackend | None = None
            for job in jobs:
                if self._pool.over:
                    return
                printed: list[str] = []
                found: Found | BaseException
                try:
                    if isolated is None:
                        isolated = self._pool.take(index)
                    isolated.print = printed.append
                    found = self._judge(job, isolated, self._draw)
                except Over:
                    return
                except BaseException as error:
                    found = error
                self._inbox.put((self._ready.__setitem__, job, (found, "".join(printed))))
            if isolated is not None:
                self._pool.give_back(index, isolated, self._wanted(index))
        self._pool.wait_until_over()

    def _next_unit(self) -> tuple[tuple[int, Hashable], list[JobType]] | None:
        with self._lock:
            return self._units.popleft() if self._units else None

    def _wanted(self, index: int) -> bool:
        """Return whether another unit waits for the backend at that position."""
        with self._lock:
            return any(other == index for (other, _), _ in self._units)

    def _draw(self, block: Callable[[], list[Any]]) -> list[Any]:
        """Have the thread that waits draw the plans. Raises Over where nobody waits any more."""
        answer: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._inbox.put((lambda: answer.put(block()),))
        while not self._pool.over:
            try:
                return answer.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
        raise Over
