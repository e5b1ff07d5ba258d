"""The host: a process that imports and builds a backend, and forks workers that run checks on it.

``conformance.isolation.host_process`` starts it. It describes the backend and then forks a worker on request. For a
backend that does not survive a fork, the host itself is the worker.
"""

from __future__ import annotations

import array
import faulthandler
import gc
import importlib
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

from conformance import registry, specifications
from conformance.engine.garbage import rarely_collected
from conformance.engine.text import name_text, one_line
from conformance.isolation.channel import BackendChannel, written
from conformance.isolation.forks import renew_thread_pools
from conformance.isolation.guard import guard
from conformance.isolation.messages import data_of
from conformance.isolation.status import SharedStatus
from conformance.isolation.system import (
    PR_SET_CHILD_SUBREAPER,
    children,
    end_children,
    end_with_the_parent,
    guarded,
    prctl,
)
from conformance.isolation.task import Description
from conformance.isolation.worker import Worker
from reference.precision import draw_errors

BROKEN_WORKER_STATUS = 70  # of a worker in which the suite itself failed


def build(name: str) -> tuple[Any, tuple[str, Any]]:
    """Build a backend; return it or None, and the message for the run: ("built", data) or ("unknown", why)."""
    try:
        backend = specifications.backend(name)
        claims = {
            s.name: _plain(specifications.adapted(backend, s).features).as_json()
            for s in specifications.spoken_by(backend)
        }
        written(claims)  # raises TypeError for data that cannot cross
        description = data_of(Description(backend.name, name_text(backend.version), claims, forks(backend)))
    except (registry.UnknownBackend, specifications.UnknownSpecification) as error:
        return None, ("unknown", str(error))
    except BaseException as error:
        return None, ("unknown", f"backend {name!r} cannot be built ({type(error).__name__}: {one_line(error)}).")
    return backend, ("built", description)


def _plain(features: Any) -> Any:
    """Return the claims as an instance of the specification's own class, not of a subclass in the adapter."""
    known = {s.features for s in specifications.every().values()}
    claims_class = next(base for base in type(features).__mro__ if base in known)
    return claims_class(**{f.name: getattr(features, f.name) for f in fields(claims_class) if f.init})


def forks(backend: Any) -> bool:
    """Return whether this backend's workers are forked. On macOS the system's frameworks do not survive a fork."""
    return hasattr(os, "fork") and sys.platform != "darwin" and bool(backend.forks)


def main(control: int, shared: int) -> None:
    """Build the backend that the run names, then serve it."""
    if guarded():
        guard(control, shared)
    end_with_the_parent()
    channel, status = BackendChannel(socket.socket(fileno=control)), SharedStatus(shared)
    with suppress(specifications.UnknownSpecification):  # ``build`` reports it
        for specification in specifications.every().values():
            _ = specification.modules  # imported before the fork, so that every worker has them
    faulthandler.enable(2)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    path = tuple(sys.path)
    try:
        channel.send(("process", os.getpid()))
        name = channel.receive()
        with rarely_collected():
            backend, message = build(name)
        channel.send(message)
        if backend is not None and forks(backend):
            supply(backend, channel, status, path)
        elif backend is not None:
            Worker(backend, channel, status, path).serve()
    except (EOFError, OSError):
        pass
    end_children()
    os._exit(0)


def supply(backend: Any, channel: BackendChannel, status: SharedStatus, path: Sequence[str]) -> None:
    """Fork a worker for each socket that arrives; on request send the status with which one ended.

    What a worker started and left ends with it, and what the adapter started when it was built, at the end.
    """
    kept = {*children(os.getpid())}
    forked = 0
    while True:
        message = channel.receive()
        if message == "fork":
            if forked == 1:  # a run of few checks needs one worker, and not these modules and numbers
                import_late(backend)
                draw_errors()
            forked += 1
            gc.freeze()  # a search for garbage in a worker would copy the memory that it shares with this process
            _, ancillary, _, _ = channel.connection.recvmsg(1, socket.CMSG_LEN(4))
            descriptor = array.array("i", ancillary[0][2])[0]
            child = os.fork()
            if child == 0:
                channel.connection.close()
                become_a_worker(backend, descriptor, status, path)
            os.close(descriptor)
            with suppress(OSError):
                os.setpgid(child, child)
            kept.add(child)
            channel.send(child)
        else:
            ended = os.waitpid(message, 0)[1]
            kept.discard(message)
            end_children(kept)
            channel.send(ended)


def import_late(backend: Any) -> None:
    """Import what the backend's calls import only when they need it, once for all further workers."""
    with suppress(Exception):  # ``late_imports`` is the adapter's, which may be mistaken about it
        for module in backend.late_imports:
            with suppress(Exception, SystemExit):  # the call that needs the module raises it again
                importlib.import_module(module)


def become_a_worker(backend: Any, descriptor: int, status: SharedStatus, path: Sequence[str]) -> None:
    """Serve in the forked process, in a new group, so that what the adapter starts ends with it."""
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        end_with_the_parent()
        renew_thread_pools()
        Worker(backend, BackendChannel(socket.socket(fileno=descriptor)), status, path).serve()
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN_WORKER_STATUS)
    os._exit(0)
