"""The far side of isolation: the process that imports a backend, and the workers that put it to checks.

Started by ``conformance.isolation.process``. It builds the backend, tells what it claims, and then forks a worker
whenever it is told to; where the backend does not survive a fork, it is itself the worker.
"""

from __future__ import annotations

import array
import ctypes
import faulthandler
import importlib
import mmap
import os
import pickle
import pkgutil
import signal
import socket
import struct
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from select import select
from typing import Any

from hypothesis.database import ExampleDatabase

from conformance import registry
from conformance.backend import Backend, Features
from conformance.engine.check import Check, Plans, Profile, Verdict
from conformance.engine.compare import Failed
from conformance.engine.subject import Broken, Clock, Subject, one_line
from conformance.specifications.torch_nn import suite

LENGTH = struct.Struct("<Q")
STRAY = 0.5  # seconds that a process forked by the adapter has to come back where it does not belong
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Channel:
    """Pickled messages, each after its length, over a socket; for the process alone that made it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.owner = connection, os.getpid()

    def send(self, message: Any) -> None:
        if os.getpid() != self.owner:
            os._exit(0)  # a process that the adapter forked has come back into the suite
        data = pickle.dumps(message)
        self.connection.sendall(LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """The next message. Raises EOFError where the other side is gone."""
        if os.getpid() != self.owner:
            os._exit(0)
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                more = self.connection.recv(min(count - len(data), 1 << 20))
            except ConnectionError:
                more = b""
            if not more:
                raise EOFError
            data += more
        return bytes(data)


class Note:
    """What a worker is doing, in memory that outlives it: written around every call, read where the worker ended."""

    SIZE = 8192
    EVENTS, DEPTH, JUDGED = range(3)  # numbers: calls begun and ended, how deep in calls, examples judged in this check
    WHAT, EXAMPLE = (64, 1000), (1100, 7000)  # texts: where, and the most bytes of them

    def __init__(self, descriptor: int) -> None:
        self.memory = mmap.mmap(descriptor, self.SIZE)
        self.numbers = memoryview(self.memory)[:64].cast("Q")

    def write(self, place: tuple[int, int], text: str) -> None:
        start, most = place
        data = text.encode("utf-8", "replace")[:most]
        self.memory[start : start + 8 + len(data)] = LENGTH.pack(len(data)) + data

    def read(self, place: tuple[int, int]) -> str:
        start, most = place
        (length,) = LENGTH.unpack(self.memory[start : start + 8])
        return self.memory[start + 8 : start + 8 + min(length, most)].decode("utf-8", "replace")

    def clear(self) -> None:
        self.memory[:] = bytes(self.SIZE)


@dataclass(frozen=True)
class Task:
    """A check of a module of the suite, by the name of its test and its number there, and what it is put to.

    ``careful``: each example in a process of its own, so that one that ends it can be made smaller.
    """

    module: str
    test: str
    number: int
    kind: str
    dtype: str
    profile: Profile
    seed: int
    careful: bool = False
    example: dict[str, Any] | None = None  # of a known failure
    database: bool = False  # whether there is one


class AskedDatabase(ExampleDatabase):
    """The database of the other side."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel

    def _ask(self, name: str, *arguments: bytes) -> Any:
        self.channel.send(("database", name, arguments))
        return self.channel.receive()

    def fetch(self, key: bytes) -> list[bytes]:
        """The examples that are kept under a key."""
        return self._ask("fetch", key)

    def save(self, key: bytes, value: bytes) -> None:
        """Keep an example under a key."""
        self._ask("save", key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Keep it no longer."""
        self._ask("delete", key, value)


class AskedPlans(Plans):
    """Plans that the other side draws and keeps: those of a worker would end with it.

    It draws those of the check that is run; what diagnosis needs besides is drawn here.
    """

    def __init__(self, task: Task, channel: Channel, draw) -> None:
        super().__init__(task.seed, AskedDatabase(channel) if task.database else None)
        self.channel, self.draw = channel, draw

    def block(self, draw, features: Features, number: int) -> list:
        """BLOCK plans of a way of drawing."""
        if draw is not self.draw:
            return super().block(draw, features, number)
        self.channel.send(("plans", number))
        return self.channel.receive()


def how_it_ended(status: int) -> str:
    """A process's end in words, from what waitpid says of it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in list(signal.Signals) else "unknown"
        return f"ended by signal {number} ({name})"
    return f"ended with exit status {os.waitstatus_to_exitcode(status)}"


class Worker:
    """Runs checks on the backend, in this process, and tells their verdicts."""

    def __init__(self, backend: Backend, channel: Channel, note: Note) -> None:
        self.backend, self.channel, self.note = backend, channel, note
        self.pid = os.getpid()
        self.clock = Clock()
        self.subject: Subject | None = None
        self.streams: dict[Any, Any] = {}
        self.examples: tuple[str, str, int] | None = None  # whose streams these are: kind, dtype, seed
        self.uncaught: list[str] = []  # exceptions that Python reports and goes on
        self.forked: list[int] = []  # descriptors that end with the processes that the adapter forks
        self._pipe: tuple[int, int] | None = None
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._in_a_thread
        os.register_at_fork(before=self._before_fork, after_in_parent=self._forked, after_in_child=self._in_child)

    def serve(self) -> None:
        """Run what is asked for until the other side is gone."""
        warnings.simplefilter("ignore")  # an adapter may warn as it likes
        faulthandler.enable(2)
        while True:
            try:
                task = self.channel.receive()
            except EOFError:
                return
            self.clock.seconds.clear()
            self.uncaught.clear()
            try:
                with self.clock("suite"):
                    verdict = self.verdict(task)
            except Exception:
                self.channel.send(("broke", traceback.format_exc()))
                continue
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            self.channel.send(("verdict", verdict, dict(self.clock.seconds)))

    def verdict(self, task: Task) -> Verdict:
        """What the check finds, and what it could not see: stray processes, exceptions outside of calls."""
        examples = task.kind, task.dtype, task.seed
        if self.examples != examples:
            self.streams = {}  # first the old examples: their layers end in this requirement
            self.examples = examples
            self.subject = Subject(self.backend, task.kind, task.dtype, self.clock, self.watch)
        check = getattr(importlib.import_module(task.module), task.test).checks[task.number]
        if isinstance(check, Check):
            check = replace(check, law=self.judged(check.law, task.careful), apart=task.careful)
        else:
            self.note.numbers[Note.JUDGED] = 1
        plans = AskedPlans(task, self.channel, getattr(check, "draw", None))
        for stream in self.streams.values():
            stream.plans = plans
        example = () if task.example is None else (task.example,)
        verdict = check.run(self.subject, plans, self.streams, task.profile, *example)
        if self.forked and self.came_back() and verdict.passed:
            verdict.failure = "the backend forked, and the new process returned from the call as well"
        if self.uncaught and verdict.passed:
            verdict.failure = self.uncaught[0]
        return verdict

    def judged(self, law, careful: bool):
        """The law, its examples noted; if careful, each judged in a process of its own."""

        def noted(trial) -> None:
            self.note.numbers[Note.JUDGED] += 1
            self.note.write(Note.EXAMPLE, repr(trial.call))
            if careful:
                self.apart(law, trial)
            else:
                law(trial)

        return noted

    def apart(self, law, trial) -> None:
        """The law in a process of its own. Raises Failed where that ends before it has judged, and for nothing else."""
        ours, theirs = os.pipe()
        self._pipe = (-1, -1)  # this fork is none of the adapter's
        child = os.fork()
        if child == 0:
            self.pid = os.getpid()
            with suppress(BaseException):
                law(trial)
            os.write(theirs, b"!")
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            _, status = os.waitpid(child, 0)
            judged = select([pipe], [], [], 0)[0] and pipe.read(1)
        if not judged:
            what = self.note.read(Note.WHAT) if self.note.numbers[Note.DEPTH] else "outside of any call"
            self.note.numbers[Note.DEPTH] = 0
            raise Failed(f"{what}: the backend's process {how_it_ended(status)}")

    @contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """Around a call: notes that it is made, and catches what would end the worker or leave it twice."""
        note, before = self.note, self.note.read(Note.WHAT) if self.note.numbers[Note.DEPTH] else ""
        note.write(Note.WHAT, what)
        note.numbers[Note.EVENTS] += 1
        note.numbers[Note.DEPTH] += 1
        try:
            yield
        except (Exception, SystemExit, Broken):
            raise
        except BaseException as error:  # here nobody presses Ctrl-C: whatever it is, the adapter raised it
            raise Failed(f"{what} raised {type(error).__name__}: {one_line(error)}") from error
        finally:
            if os.getpid() != self.pid:
                self._returned()
            note.numbers[Note.EVENTS] += 1
            note.numbers[Note.DEPTH] -= 1
            if before:
                note.write(Note.WHAT, before)

    # --- processes that the adapter forks -------------------------------------------------------------

    def _before_fork(self) -> None:
        if self._pipe is None and os.getpid() == self.pid:
            self._pipe = os.pipe()

    def _forked(self) -> None:
        if self._pipe is not None and self._pipe[0] >= 0:
            self.forked.append(self._pipe[0])
            os.close(self._pipe[1])
        self._pipe = None

    def _in_child(self) -> None:
        # A process of the adapter's keeps the writing end open as long as it lives, or until it is another program.
        self._kept, self._pipe = self._pipe, None

    def _returned(self) -> None:
        with suppress(OSError, TypeError):
            os.write(self._kept[1], b"!")
        os._exit(0)

    def came_back(self) -> bool:
        """Whether a process that the adapter forked came back into the suite."""
        back = False
        for pipe in self.forked:  # readable when something is written to it, or when no process has it open
            ready, _, _ = select([pipe], [], [], STRAY)
            back = back or bool(ready and os.read(pipe, 1))
            os.close(pipe)
        self.forked.clear()
        return back

    # --- exceptions outside of calls ------------------------------------------------------------------

    def _unraisable(self, event) -> None:
        where = getattr(event.object, "__qualname__", None) or type(event.object).__name__
        error = event.exc_value or event.exc_type()
        self.uncaught.append(f"{where} raised {type(error).__name__} where nobody can catch it: {one_line(error)}")

    def _in_a_thread(self, event) -> None:
        error = event.exc_value or event.exc_type()
        self.uncaught.append(f"a thread of the backend raised {type(error).__name__}: {one_line(error)}")


def build(name: str) -> tuple[Backend | None, tuple]:
    """The backend, and what is told of it: plain data, or the sentence that says why there is none."""
    try:
        backend = registry.backend(name)
        claims = {f.name: getattr(backend.features, f.name) for f in fields(Features)}
        told = {"name": str(backend.name), "version": str(backend.version), "features": Features(**claims)}
    except registry.UnknownBackend as error:
        return None, ("unknown", str(error))
    except BaseException as error:
        return None, ("unknown", f"backend {name!r} cannot be built ({type(error).__name__}: {one_line(error)}).")
    return backend, ("built", told | {"forks": forks(backend)})


def forks(backend: Backend) -> bool:
    """Whether workers are forked for this backend; on macOS frameworks of the system do not survive it."""
    return hasattr(os, "fork") and sys.platform != "darwin" and bool(backend.forks)


def main(control: int, shared: int) -> None:
    """Build the backend that the other side names, then serve it."""
    end_with_the_parent()
    channel, note = Channel(socket.socket(fileno=control)), Note(shared)
    for module in pkgutil.iter_modules(suite.__path__):
        if module.name.startswith("test_"):
            importlib.import_module(f"{suite.__name__}.{module.name}")  # before the adapter: in every worker at once
    faulthandler.enable(2)
    try:
        backend, told = build(channel.receive())
        channel.send(told)
        if backend is not None and forks(backend):
            supply(backend, channel, note)
        elif backend is not None:
            Worker(backend, channel, note).serve()
    except (EOFError, OSError):
        pass
    end_children()
    os._exit(0)


def supply(backend: Backend, channel: Channel, note: Note) -> None:
    """Fork a worker whenever a socket for it comes; tell how one ended when asked."""
    prctl(PR_SET_PDEATHSIG, 0)  # from here on the end of the channel says it, and the children are ended first
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    while True:
        message = channel.receive()
        if message == "fork":
            _, ancillary, _, _ = channel.connection.recvmsg(1, socket.CMSG_LEN(4))
            descriptor = array.array("i", ancillary[0][2])[0]
            child = os.fork()
            if child == 0:
                channel.connection.close()
                become_a_worker(backend, descriptor, note)
            os.close(descriptor)
            with suppress(OSError):
                os.setpgid(child, child)
            channel.send(child)
        else:
            channel.send(os.waitpid(message, 0)[1])


def become_a_worker(backend: Backend, descriptor: int, note: Note) -> None:
    """In the forked process: a group of its own, so that what the adapter starts ends with it."""
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        end_with_the_parent()
        Worker(backend, Channel(socket.socket(fileno=descriptor)), note).serve()
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def prctl(option: int, value: int) -> None:
    """On Linux, a wish about this process's parents or children; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def end_with_the_parent() -> None:
    """Be killed when the process that started this one ends, however it does."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def children(pid: int | str) -> list[int]:
    """The processes that a process's threads have started and not waited for; none where the system does not say."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
    return found


def end_children() -> None:
    """Kill what is left of this process's descendants, those that left their group too."""
    for _ in range(100):
        left = children(os.getpid())
        if not left:
            return
        for child in left:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in left:
            with suppress(OSError):
                os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
