"""The pool of a run's isolated backends."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hypothesis.database import ExampleDatabase

from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.system import default_memory, processors

MAX_PROCESSES = 8  # more than the number of kinds, for runs of several backends


class Over(Exception):
    """The end of the run, raised in a thread that still works for it."""


class WorkerPool:
    """The isolated backends of a run by the position of their name. Making the object starts one of each.

    ``processes`` is the number of a backend's processes that run at a time. If it is above 1, one more of the first
    backend is started in reserve. All share a database of examples.
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
        """Start one more of the first backend, which imports its packages while the suite does."""
        if self.processes > 1 and self._reserve is None:
            self._reserve = self._started(self.names[0])

    @property
    def over(self) -> bool:
        """Whether the run is over."""
        return self._over.is_set()

    def take(self, index: int) -> IsolatedBackend:
        """Return an idle isolated backend, or start another. Raises Over."""
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
        if self.over:  # ``abandon`` may have missed it
            found.abandon()
            raise Over
        return found

    def give_back(self, index: int, backend: IsolatedBackend, wanted: bool) -> None:
        """Keep the backend for the next ``take`` if ``wanted``, otherwise end its processes."""
        if wanted:
            with self._lock:
                self._idle[index].append(backend)
        else:
            backend.close()

    def wait_until_over(self) -> None:
        """Wait for the end of the run. A thread must not end before, because its processes would end with it."""
        self._over.wait()

    def abandon(self) -> None:
        """Kill every process, also while another thread uses it."""
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
