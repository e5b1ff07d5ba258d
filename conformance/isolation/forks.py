"""Detect processes that the adapter forks and that return into the suite."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from select import select

STRAY_SECONDS = 0.5  # to wait for a process forked by the adapter to return into the suite


def renew_thread_pools() -> None:
    """Renew torch's pool of threads in a forked process.

    torch replaces the pool in the first thread that computes: where two threads begin at once, one of them can find
    none ("Invalid thread pool!").
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):
        torch.set_num_threads(torch.get_num_threads())


class ForkWatch:
    """A watch on the adapter's forks: a forked process must not leave the call that forked it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._forked: list[int] = []  # descriptors that end with the processes that the adapter forks
        self._pipe: tuple[int, int] | None = None
        self._kept: tuple[int, int] | None = None
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def own_fork(self) -> int:
        """Fork for the suite; return the same as ``os.fork``."""
        self._pipe = (-1, -1)
        child = os.fork()
        if child == 0:
            self.pid = os.getpid()
            renew_thread_pools()
        return child

    def end_if_stray(self) -> None:
        """End this process if the adapter forked it."""
        if os.getpid() != self.pid:
            with suppress(OSError, TypeError):
                os.write(self._kept[1], b"!")  # type: ignore[index]  # suppressed
            os._exit(0)

    def came_back(self) -> bool:
        """Return whether a process that the adapter forked returned into the suite; forget all of them."""
        back = False
        for pipe in self._forked:  # readable after a write, or when no process has the other end open
            ready, _, _ = select([pipe], [], [], STRAY_SECONDS)
            back = back or bool(ready and os.read(pipe, 1))
            os.close(pipe)
        self._forked.clear()
        return back

    def _before(self) -> None:
        if self._pipe is None and os.getpid() == self.pid:
            self._pipe = os.pipe()

    def _in_parent(self) -> None:
        if self._pipe is not None and self._pipe[0] >= 0:
            self._forked.append(self._pipe[0])
            os.close(self._pipe[1])
        self._pipe = None

    def _in_child(self) -> None:
        # The adapter's process keeps the writing end open until it ends or executes another program.
        self._kept, self._pipe = self._pipe, None
