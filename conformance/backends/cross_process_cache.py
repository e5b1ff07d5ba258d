"""A cache that all processes of a backend share, for results that are slow to compute."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
import weakref
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

try:
    import fcntl
except ImportError:  # systems without fork
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

LENGTH = struct.Struct("<Q")


class CrossProcessCache:
    """Results by key, shared by this process and all processes forked from it.

    Each result is computed once, by the first process that needs it. The results are kept in an unnamed file that the
    system deletes with the last of these processes, so none outlives the run. An exception of a computation is kept
    too, as a RuntimeError.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.file = os.dup(file.fileno())  # a descriptor: open as long as this object is, in each process
        weakref.finalize(self, os.close, self.file)
        self.known: dict[Hashable, Any] = {}
        self.read, self.lock = 0, Lock()

    def __call__(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the value of a key; compute it first if no process has. Raises RuntimeError if computing it raised."""
        with self.lock:
            if key not in self.known:
                if fcntl is not None:
                    fcntl.lockf(self.file, fcntl.LOCK_EX)  # released as well when the process ends
                try:
                    self._catch_up()
                    if key not in self.known:
                        self._append(key, self._outcome(compute))
                finally:
                    if fcntl is not None:
                        fcntl.lockf(self.file, fcntl.LOCK_UN)
            value, error = self.known[key]
        if error:
            raise RuntimeError(error)
        return value

    @staticmethod
    def _outcome(compute) -> tuple[Any, str]:
        try:
            return compute(), ""
        except Exception as error:
            return None, f"{type(error).__name__}: {error}"

    def _catch_up(self) -> None:
        """Read the records of other processes.

        Stop at an incomplete record, whose writer was killed; the next record overwrites it.
        """
        end = os.fstat(self.file).st_size
        while self.read + LENGTH.size <= end:
            (length,) = LENGTH.unpack(self._at(self.read, LENGTH.size))
            start = self.read + LENGTH.size
            if start + length > end:
                return
            key, outcome = pickle.loads(self._at(start, length))
            self.known[key] = outcome
            self.read = start + length

    def _at(self, position: int, count: int) -> bytes:
        return os.pread(self.file, count, position)

    def _append(self, key: Hashable, outcome: tuple[Any, str]) -> None:
        data = pickle.dumps((key, outcome))
        record = LENGTH.pack(len(data)) + data
        os.ftruncate(self.file, self.read)
        written = 0
        while written < len(record):
            written += os.pwrite(self.file, record[written:], self.read + written)
        self.read += len(record)
        self.known[key] = outcome
