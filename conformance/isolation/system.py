"""Ask the operating system about processes: their ends, their children, their memory."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from conformance.isolation.cgroups import memory_limits

GIB = 1 << 30
MAX_DEFAULT_MEMORY_GIB = 16.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
MARK = "RNN_CONFORMANCE_HOST"  # the variable that marks a host and all that it starts
MAX_ROUNDS, ROUND_SECONDS = 20, 0.02  # of killing: a process may start another one meanwhile


def available() -> bool:
    """Return whether the system supports isolation: it needs sockets that a child inherits."""
    return os.name == "posix"


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_memory(processes: int = 1) -> float:
    """Return the GiB to which each of that many workers may grow.

    It is MAX_DEFAULT_MEMORY_GIB, or a worker's share of three quarters of the machine's memory, or of the container's
    limit, if that is less.
    """
    machine = min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *memory_limits())
    return min(MAX_DEFAULT_MEMORY_GIB, 0.75 * machine / GIB / processes)


def environment(threads: int | None) -> dict[str, str]:
    """Return the environment of a backend's process, which uses that many threads of OpenMP by default."""
    return dict(os.environ) if threads is None else {"OMP_NUM_THREADS": str(threads)} | dict(os.environ)


def how_it_ended(status: int) -> str:
    """Describe the end of a process from its status of waitpid."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in list(signal.Signals) else "unknown"
        return f"ended by signal {number} ({name})"
    return f"ended with exit status {os.waitstatus_to_exitcode(status)}"


def kill(pid: int) -> None:
    """Kill a process and its group, which it may not have made yet, or may have left."""
    for send in (os.kill, os.killpg):
        with suppress(OSError):
            send(pid, signal.SIGKILL)


def guarded() -> bool:
    """Return whether a guard stands between the run and a host: Linux gives it the processes that others leave."""
    return sys.platform == "linux"


class Figures(NamedTuple):
    """What the system tells of a process: its state, a letter; its parent; the seconds of processor time that it and
    the children that it waited for have used."""

    state: str
    parent: int
    seconds: float


def figures_of(pid: int | str) -> Figures | None:
    """Return the figures of a process, or of ``pid/task/thread``; None if it has ended, or on another system."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            after_the_name = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = sum(map(int, after_the_name[11:15]))
    return Figures(after_the_name[0], int(after_the_name[1]), ticks / os.sysconf("SC_CLK_TCK"))


def parent_of(pid: int) -> int | None:
    """Return the id of a process's parent; None if the process has ended, or on another system than Linux."""
    found = figures_of(pid)
    return None if found is None else found.parent


def ends(pid: int) -> bool:
    """Return whether a process has ended or is stopped, or will be by a signal on its way; False off Linux."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            found = dict(line.split(":", 1) for line in file)
    except OSError:
        return guarded()
    pending = int(found["SigPnd"], 16) | int(found["ShdPnd"], 16)
    return found["State"].strip()[0] in "ZXTt" or any(pending >> (n - 1) & 1 for n in (signal.SIGKILL, signal.SIGSTOP))


def memory_of(pid: int) -> int:
    """Return the bytes of memory of a process; 0 if the system does not report them."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def end_descriptor(pid: int) -> int | None:
    """Return a descriptor that becomes readable when a process ends, on Linux; None elsewhere."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def prctl(option: int, value: int) -> None:
    """Set an option of this process on Linux; do nothing on other systems."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_with_the_parent() -> None:
    """Let the system kill this process when its parent ends."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def children(pid: int) -> list[int]:
    """Return the ids of a process's children that it has not waited for; none on another system than Linux."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    except OSError:  # the process or a thread ends, or the system was built without these files
        return [other for other in _numbers_in("/proc") if parent_of(other) == pid]
    return found


def descendants(pid: int) -> list[int]:
    """Return the ids of a process's children, of their children, and so on."""
    found = children(pid)
    for other in found:
        found += children(other)
    return found


def end_marked(mark: str) -> None:
    """Kill every process that has ``NAME=value`` in the environment with which it started, on Linux.

    It finds what a process started and left: in a session of its own, or whose parents have ended.
    """
    for _ in range(MAX_ROUNDS):
        left = [pid for pid in _numbers_in("/proc") if mark.encode() in _environment_of(pid)]
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(ROUND_SECONDS)


def _numbers_in(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit() and int(name) != os.getpid()]
    except OSError:
        return []


def _environment_of(pid: int) -> list[bytes]:
    """Return the variables with which a process started; none if it has ended or belongs to another user."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def end_children(kept: Collection[int] = ()) -> None:
    """Kill the children of this process but for some, and what they leave to it, in any group."""
    for _ in range(100):
        left = [child for child in children(os.getpid()) if child not in kept]
        if not left:
            return
        for child in left:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in left:
            with suppress(OSError):
                os.waitpid(child, 0)
