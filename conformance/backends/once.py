"""What is dear is computed once in a run, whichever of the processes of a backend asks for it first."""

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
except ImportError:  # a system without forks
    fcntl = None

LENGTH = struct.Struct("<Q")


class Once:
    """Results by key, of this process and of those that are forked from it, before or after they are computed.

    They lie in a file without a name, which is gone with the last of these processes, so that nothing in it is older
    than the run. What a computation raises is kept as a RuntimeError.
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.file = os.dup(file.fileno())  # a descriptor: open as long as this object is, in each process
        weakref.finalize(self, os.close, self.file)
        self.known: dict[Hashable, Any] = {}
        self.read, self.lock = 0, Lock()

    def __call__(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value of a key. Raises RuntimeError, the same each time, where there is none."""
        with self.lock:
            if key not in self.known:
                if fcntl:
                    fcntl.lockf(self.file, fcntl.LOCK_EX)  # let go of where a process ends, too
                try:
                    self._catch_up()
                    if key not in self.known:
                        self._append(key, self._outcome(compute))
                finally:
                    if fcntl:
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
        """Read what other processes wrote. A record that one was killed over is none, and is written over."""
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
