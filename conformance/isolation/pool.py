"""The pool of a run's isolated backends: started, handed out, taken back, ended."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis.database import ExampleDatabase

from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.system import default_memory, processors

MAX_PROCESSES = 8  # more than there are kinds helps where there are several backends


class Over(Exception):
    """The run ended before this was done."""


class WorkerPool:
    """The isolated backends of a run, by the position of their name; the first of each is started at once.

    ``processes`` of a backend run at a time. Where they are several, one more of the first backend is started in
    reserve. A database of examples serves them all.
    """

    def __init__(self, names: Sequence[str], seconds: float, memory: float | None, processes: int) -> None:
        self.names, self.seconds, self.processes = tuple(names), seconds, processes
        self.memory = memory or default_memory(processes)
        self.threads = None if processes == 1 else max(1, processors() // processes)
        self.database: ExampleDatabase | None = None
        self.first = [self._started(name) for name in self.names]
        self._idle = {index: [backend] for index, backend in enumerate(self.first)}
        self._every = list(self.first)
        self._reserve: IsolatedBackend | None = None
        self._lock, self._over = threading.Lock(), threading.Event()

    def _started(self, name: str) -> IsolatedBackend:
        return IsolatedBackend(name, self.seconds, self.memory, self.threads)

    def start_reserve(self) -> None:
        """Start one more of the first backend, which imports while the suite does."""
        if self.processes > 1 and self._reserve is None:
            self._reserve = self._started(self.names[0])

    @property
    def over(self) -> bool:
        """Whether the run is over."""
        return self._over.is_set()

    def take(self, index: int) -> IsolatedBackend:
        """Return an isolated backend that nobody uses, or one more. Raises Over."""
        with self._lock:
            if self._idle[index]:
                found = self._idle[index].pop()
                found.database = self.database
                return found
            reserve = self._reserve
            taken = reserve is not None and reserve.name == self.names[index]
            if taken:
                self._reserve = None
        found = reserve if taken and reserve is not None else self._started(self.names[index])
        found.database = self.database
        with self._lock:
            self._every.append(found)
        if self.over:  # nobody else knows of it yet
            found.abandon()
            raise Over
        return found

    def give_back(self, index: int, backend: IsolatedBackend, wanted: bool) -> None:
        """Keep the backend for the next who takes it; end it, and what it holds, if it is no longer ``wanted``."""
        if wanted:
            with self._lock:
                self._idle[index].append(backend)
        else:
            backend.close()

    def wait_until_over(self) -> None:
        """Return when the run is over: a thread that ended before would end its processes."""
        self._over.wait()

    def abandon(self) -> None:
        """Kill every process, in whatever thread it is used."""
        self._over.set()
        for backend in self._all():
            backend.abandon()

    def close(self) -> None:
        """End every process."""
        self._over.set()
        for backend in self._all():
            backend.close()

    def _all(self) -> list[IsolatedBackend]:
        with self._lock:
            return [*self._every, *([self._reserve] if self._reserve else [])]
