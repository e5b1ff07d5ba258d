"""The guard: the process between the run and a host. It ends what the host leaves, however the host or the run ends."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from conformance.isolation.system import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, end_children, prctl


def guard(*descriptors: int) -> None:
    """Return in a new process, the host, in a group of its own. This one becomes its guard and closes the descriptors.

    The guard gets SIGTERM when the run ends or wants the host to end. Then it kills the host. When the host has ended,
    the guard kills all that the host has left, in any session, and ends in the same way.
    """
    host: list[int] = []
    told: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        told.append(number)
        for process in host:
            os.kill(process, signal.SIGKILL)  # it has not been waited for

    run = os.getppid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, end)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        return
    host.append(child)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if told or os.getppid() != run:
        end(signal.SIGTERM, None)
    nothing = os.open(os.devnull, os.O_RDWR)
    for output in (1, 2):
        os.dup2(nothing, output)  # the run reads the backend's output until nobody can write to it
    for descriptor in descriptors:
        os.close(descriptor)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    host.clear()
    _, status = os.waitpid(child, 0)
    end_children()
    _end_likewise(status)


def _end_likewise(status: int) -> NoReturn:
    """End with the same exit status, or by the same signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):  # of the signals that cannot be handled
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
