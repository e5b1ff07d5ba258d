"""Checks run ahead of pytest, several kinds at a time: pytest asks for one verdict after the other, and finds it there.

A backend's kinds have nothing in common but plans: neither examples nor what failed before. So each is put to a process
of its own, as many at a time as there are processors; a thread for each sees to its process. Plans are drawn by the
thread that pytest runs in, alone, while it waits for a verdict: Hypothesis is not made for several.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from conformance.isolation.interrupt import Interrupt
from conformance.isolation.process import Isolated

Found = dict[str, Any]
LOOK = 1.0  # seconds between looks whether the run is over


class Over(Exception):
    """The run ended before this was done."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Ahead:
    """Runs jobs in ``count`` threads, those of a backend and kind in their order by one process.

    ``judge(job, isolated, draw)`` finds out what is to be said of a job; ``draw(block)`` has ``block()`` called by the
    thread that waits. ``another(index)`` makes one more process for that backend.
    """

    def __init__(
        self,
        jobs: Iterable[Any],
        count: int,
        isolated: list[Isolated],
        another: Callable[[int], Isolated],
        judge: Callable[..., Found],
    ) -> None:
        units: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for job in jobs:
            units[job.backend_index, job.subject.kind].append(job)
        self.units = deque(units.items())
        self.another, self.judge = another, judge
        self.idle = {index: [process] for index, process in enumerate(isolated)}
        self.every = list(isolated)
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self.ready: dict[Any, tuple[Found | BaseException, str]] = {}
        self.lock, self.over = threading.Lock(), threading.Event()
        self.interrupt = Interrupt()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(min(count, len(units)))]
        for thread in self.threads:
            thread.start()

    def found(self, job: Any) -> Found:
        """What is to be said of a job, as soon as it is known; raises what its judge raised."""
        while job not in self.ready:
            self.interrupt.look()
            with suppress(queue.Empty):
                ask, *content = self.inbox.get(timeout=LOOK)
                ask(*content)
        found, printed = self.ready.pop(job)
        sys.stdout.write(printed)  # where pytest shows what a failing test printed
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        """End the threads and their processes, wherever they are."""
        self.over.set()
        self.interrupt.close()
        for process in self.every:
            process.abandon()
        for thread in self.threads:
            thread.join()
        for process in self.every:
            process.close()

    # --- in the threads -------------------------------------------------------------------------------

    def work(self) -> None:
        """One unit after the other; the thread stays until the run is over, as its processes would end with it."""
        while not self.over.is_set() and (unit := self.next_unit()) is not None:
            (index, _), jobs = unit
            process = None
            for job in jobs:
                if self.over.is_set():
                    return
                printed: list[str] = []
                try:
                    if process is None:
                        process = self.take(index)
                    process.tell = printed.append
                    found = self.judge(job, process, self.draw)
                except Over:
                    return
                except BaseException as error:
                    found = error
                self.inbox.put((self.ready.__setitem__, job, (found, "".join(printed))))
            if process is not None:
                self.give_back(index, process)
        self.over.wait()

    def next_unit(self):
        with self.lock:
            return self.units.popleft() if self.units else None

    def take(self, index: int) -> Isolated:
        """A process of that backend that nobody uses, or one more."""
        with self.lock:
            if self.idle[index]:
                return self.idle[index].pop()
        process = self.another(index)
        with self.lock:
            self.every.append(process)
        if self.over.is_set():  # nobody else knows of it yet
            process.abandon()
            raise Over
        return process

    def give_back(self, index: int, process: Isolated) -> None:
        """To whoever comes next; without anybody to come it ends, and what it holds is free."""
        with self.lock:
            wanted = any(other == index for (other, _), _ in self.units)
            if wanted:
                self.idle[index].append(process)
        if not wanted:
            process.close()

    def draw(self, block: Callable[[], list]) -> list:
        """The plans, drawn by the thread that waits. Raises Over where nobody does any more."""
        answer: queue.SimpleQueue = queue.SimpleQueue()
        self.inbox.put((lambda: answer.put(block()),))
        while not self.over.is_set():
            try:
                return answer.get(timeout=LOOK)
            except queue.Empty:
                continue
        raise Over
