"""Run the checks of several kinds at a time, ahead of the caller, who takes their verdicts in order.

A backend's kinds share plans, but neither examples nor earlier failures. So each kind runs in a separate process, with
one thread for each process. Where there are one and a half times as many processes as kinds, or more, a kind runs in
parts. A job of one part waits for the earlier jobs of the others only if it fails, because their failures may explain
its own. Only the caller's thread draws plans, while it waits for a verdict, because Hypothesis does not support several
threads.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from conformance.isolation.interrupt import Interrupt
from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.pool import Over, WorkerPool

LOOK_SECONDS = 0.5  # between two tests whether the run is over

JobType = TypeVar("JobType", bound=Hashable)
Found = TypeVar("Found")
Drawing = Callable[[Callable[[], list[Any]]], list[Any]]
"""Makes the waiting thread call a function that draws plans, and returns the plans."""


class Order(Generic[JobType]):
    """The order of a unit's jobs, and which of them have ended."""

    def __init__(self, jobs: Sequence[JobType], over: Callable[[], bool]) -> None:
        self._places = {job: place for place, job in enumerate(jobs)}
        self._left, self._over = set(range(len(jobs))), over
        self._changed = threading.Condition()

    def end(self, job: JobType) -> None:
        """Note that a job has ended."""
        with self._changed:
            self._left.discard(self._places[job])
            self._changed.notify_all()

    def wait_before(self, job: JobType) -> None:
        """Wait until every earlier job has ended. Raises Over if the run is over."""
        place = self._places[job]
        with self._changed:
            while min(self._left, default=place) < place:
                self._changed.wait(LOOK_SECONDS)
                if self._over():
                    raise Over


class Scheduler(Generic[JobType, Found]):
    """The threads that run jobs. The jobs of a unit know of each other's failures; those of a part run in one process.

    ``unit(job)`` returns the position of the job's backend, and a key that the jobs of a unit share.
    ``split(jobs, count)`` returns at most so many parts of a unit's jobs, each in the order of the jobs.
    ``judge(job, isolated, draw, earlier)`` runs a job; ``earlier()`` waits for the unit's earlier jobs. The caller's
    ``interrupt`` is used, if it has one.
    """

    def __init__(
        self,
        jobs: Iterable[JobType],
        pool: WorkerPool,
        unit: Callable[[JobType], tuple[int, Hashable]],
        split: Callable[[list[JobType], int], list[list[JobType]]],
        judge: Callable[[JobType, IsolatedBackend, Drawing, Callable[[], None]], Found],
        interrupt: Interrupt | None = None,
    ) -> None:
        units: dict[tuple[int, Hashable], list[JobType]] = defaultdict(list)
        for job in jobs:
            units[unit(job)].append(job)
        every = sum(map(len, units.values()))
        # The parts of a unit follow each other. If one waits for the other, a thread is or becomes free for that.
        self._parts: deque[tuple[int, list[JobType], Order[JobType]]] = deque()
        for (index, _), mine in units.items():
            several = round(pool.processes * len(mine) / every)
            order = Order(mine, lambda: pool.over)
            parts = split(mine, several) if several > 1 else [mine]
            self._parts += [(index, part, order) for part in parts]
        self._pool, self._judge = pool, judge
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._ready: dict[JobType, tuple[Found | BaseException, str]] = {}
        self._lock = threading.Lock()
        self._own_interrupt = Interrupt() if interrupt is None else None
        self._interrupt = interrupt or self._own_interrupt
        count = min(pool.processes, len(self._parts))
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def found(self, job: JobType) -> Found:
        """Wait for a job and return the judge's result; raise the judge's exception."""
        while job not in self._ready:
            if self._interrupt is not None:
                self._interrupt.raise_if_pressed()
            with suppress(queue.Empty):
                ask, *content = self._inbox.get(timeout=LOOK_SECONDS)
                ask(*content)
        found, printed = self._ready.pop(job)
        sys.stdout.write(printed)  # pytest captures it for a failing test
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the threads and their processes."""
        if self._own_interrupt is not None:
            self._own_interrupt.close()
        self._pool.abandon()
        for thread in self._threads:
            thread.join()

    # --- in the threads -------------------------------------------------------------------------------

    def _work(self) -> None:
        """Run one part after the other; then wait for the end of the run, because processes end with their thread."""
        while not self._pool.over and (part := self._next_part()) is not None:
            index, jobs, order = part
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
                    found = self._judge(job, isolated, self._draw, partial(order.wait_before, job))
                except Over:
                    return
                except BaseException as error:
                    found = error
                order.end(job)
                self._inbox.put((self._ready.__setitem__, job, (found, "".join(printed))))
            if isolated is not None:
                self._pool.give_back(index, isolated, self._wanted(index))
        self._pool.wait_until_over()

    def _next_part(self) -> tuple[int, list[JobType], Order[JobType]] | None:
        with self._lock:
            return self._parts.popleft() if self._parts else None

    def _wanted(self, index: int) -> bool:
        """Return whether another part needs the backend at that position."""
        with self._lock:
            return any(other == index for other, _, _ in self._parts)

    def _draw(self, block: Callable[[], list[Any]]) -> list[Any]:
        """Let the waiting thread draw the plans. Raises Over if the run is over."""
        answer: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

        def drawn() -> None:
            try:
                answer.put(block())
            except Exception as error:  # the job of this thread fails
                answer.put(error)

        self._inbox.put((drawn,))
        while not self._pool.over:
            try:
                found = answer.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found
        raise Over
