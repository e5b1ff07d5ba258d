"""A backend in processes of its own: nothing that an adapter does ends the run, or holds it up for long.

What is isolated is a whole check, not a call: a worker (``conformance.isolation.worker``) draws from here, calls the
backend in its own process and sends back a verdict, so that a call costs what it costs without isolation.
Here is who watches it: how it ends, how long a call takes, how much it prints and how large it grows.
"""

from __future__ import annotations

import array
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from hypothesis.database import ExampleDatabase

from conformance.backend import Backend
from conformance.engine.check import Verdict
from conformance.engine.subject import Clock
from conformance.isolation.worker import Channel, Note, Task, children, how_it_ended
from conformance.registry import UnknownBackend

ANSWER = 20.0  # seconds, for a message that is on its way and for a fork
TICK = 0.05  # seconds between looks at a worker
TO_BUILD = 5  # times the limit of a call, for the import and building of the backend
BETWEEN_CALLS = 10  # times the limit of a call, for the suite's own work and for destructors
HANGS = 3  # of a kind and dtype, each the limit long; what is left of its requirements is blocked then
MADE_SMALLER = 2  # crashes of a kind and dtype; each attempt is a process
ATTEMPTS = 60  # to make such an example smaller
FLOOD = 16 << 20  # bytes printed in one call, or in one check
GIB = 1 << 30
EXCERPT = 6  # lines, of the first and of the last that were printed

# In what Python's fault handler prints: frames of the suite, and the list of everything imported.
OWN = re.compile(
    rf'  File "(<string>|{re.escape(os.path.dirname(os.path.dirname(__file__)))}/[\w/]+\.py)"|Extension modules:'
)

PLACES = re.compile(r'(?<=")/[^"\n]*/site-packages/')

START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from conformance.isolation.worker import main; "


def available() -> bool:
    """Whether the system has what this module needs: sockets that a child inherits."""
    return os.name == "posix"


def default_memory(processes: int = 1) -> float:
    """GiB that each of so many workers may grow to: 16, or its share of three quarters of the machine's memory."""
    return min(16.0, 0.75 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB / processes)


def environment(threads: int | None) -> dict[str, str]:
    """That of a backend's process, which may use so many threads of OpenMP unless the environment says it."""
    return dict(os.environ) if threads is None else {"OMP_NUM_THREADS": str(threads)} | dict(os.environ)


class Described(Backend):
    """What the suite knows of a backend that lives elsewhere."""

    def __init__(self, name: str, version: str, features, forks: bool) -> None:
        self.name, self.version, self.features, self.forks = name, version, features, forks


class SuiteBroke(Exception):
    """The suite itself failed in the worker; the message is the traceback."""


@dataclass
class Ended:
    """A worker that gave no verdict: why, of itself or killed, in what and on which example."""

    why: str
    by_itself: bool = True
    hung: bool = False
    what: str = ""
    example: str = ""
    judged: int = 0
    printed: str = ""

    def verdict(self) -> Verdict:
        """The failure that it is."""
        where = self.what or "outside of any call"
        told = f"{where}: the backend's process {self.why}"
        if self.printed:
            told += "\n  printed:\n" + "\n".join(f"    {line}" for line in self.printed.splitlines())
        return Verdict(examples=max(self.judged, 1), failure=told, example=self.example)


class Output:
    """What a process prints: read as it comes, its beginning and end kept."""

    KEPT = 8000

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.forget()

    def forget(self) -> None:
        self.first, self.last, self.total = b"", b"", 0

    def read(self) -> None:
        """What has come, at most some megabytes of it: there is more to look after."""
        for _ in range(64):
            try:
                data = os.read(self.descriptor, 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.total += len(data)
            self.first += data[: self.KEPT - len(self.first)]
            self.last = (self.last + data)[-self.KEPT :]

    @property
    def text(self) -> str:
        """The whole, or its beginning and its end."""
        if self.total <= self.KEPT:
            return self.first.decode("utf-8", "replace")
        left_out = f"\n[... {self.total} bytes ...]\n"
        return self.first.decode("utf-8", "replace") + left_out + self.last.decode("utf-8", "replace")

    def excerpt(self) -> str:
        """The first and the last lines, without the suite's own frames, and what changes from run to run and place."""
        printed = re.sub(r"\b0x[0-9a-f]+", "0x...", self.text).splitlines()
        here = os.path.join(os.getcwd(), "")
        lines = [
            PLACES.sub("", line).replace(here, "")[:200] for line in printed if line.strip() and not OWN.match(line)
        ]
        if len(lines) > 2 * EXCERPT:
            lines[EXCERPT:-EXCERPT] = ["[...]"]
        return "\n".join(lines)


class Isolated:
    """A backend that runs in other processes, the first of which is started at once.

    ``backend``, what is known of it, is there as soon as that one has imported and built it. Raises UnknownBackend, one
    sentence, where it cannot.
    """

    def __init__(self, name: str, seconds: float, memory: float, threads: int | None = None) -> None:
        """``threads``: how many OpenMP's libraries may use there, unless the environment says it."""
        self.name, self.seconds, self.memory = name, seconds, memory
        self.environment = environment(threads)
        self.tell: Callable[[str], object] = lambda text: sys.stdout.write(text)  # what it prints in a check
        self.abandoned = False
        self.process: subprocess.Popen | None = None
        self.control: Channel | None = None
        self.worker: Channel | None = None
        self.pid = 0
        self.crashes: Counter[tuple[str, str]] = Counter()
        self.hangs: Counter[tuple[str, str]] = Counter()
        self.database: ExampleDatabase | None = None  # of failing examples, where one is used
        self.described: Described | None = None
        self.start()

    @property
    def backend(self) -> Described:
        """What it claims, once it is heard."""
        if self.described is None:
            self.described = self.hear()
        return self.described

    # --- processes ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process that imports and builds the backend."""
        ours, theirs = socket.socketpair()
        printed, prints = os.pipe()
        with tempfile.TemporaryFile() as shared:
            shared.truncate(Note.SIZE)
            self.note = Note(shared.fileno())
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-u", "-c", f"{START}main({theirs.fileno()}, {shared.fileno()})"),
                    json.dumps([path or os.getcwd() for path in sys.path]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=prints,
                pass_fds=(theirs.fileno(), shared.fileno()),
                start_new_session=True,
                env=self.environment,
            )
        theirs.close()
        os.close(prints)
        ours.settimeout(ANSWER)
        self.control, self.output = Channel(ours), Output(printed)
        self.control.send(self.name)
        self.pid = self.process.pid

    def hear(self) -> Described:
        """Wait for the process that was started, and hear what the backend claims."""
        came = self.listen(self.control, self.seconds * TO_BUILD)
        if isinstance(came, Ended):
            self.close()
            raise UnknownBackend(f"backend {self.name!r}: its process {came.why} while it was imported and built.")
        told, claims = came
        if told == "unknown":
            self.close()
            raise UnknownBackend(claims)
        self.pid = 0
        described = Described(**claims)
        described.asked_as = self.name
        return described

    def renew(self) -> None:
        """A worker that can be put to a check. Raises UnknownBackend where the backend cannot be started again."""
        if self.abandoned:
            raise UnknownBackend(f"backend {self.name!r}: the run is over.")
        if self.worker is not None:
            return
        if self.process is None:
            self.start()
            self.described = self.hear()
        if not self.backend.forks:
            self.worker, self.pid = self.control, self.process.pid
            return
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWER)
        try:
            self.control.send("fork")
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
            self.control.connection.sendmsg([b"!"], [rights])
            self.pid = self.control.receive()
        except (OSError, EOFError):
            ours.close()
            self.close()
            raise UnknownBackend(f"backend {self.name!r}: the process that imported it is gone.") from None
        finally:
            theirs.close()
        self.worker = Channel(ours)

    def abandon(self) -> None:
        """Kill its processes from another thread; whoever waits for them finds them gone, and starts no others."""
        self.abandoned = True
        if (process := self.process) is not None:
            kill_group(process.pid)

    def close(self) -> None:
        """End every process of the backend, at once."""
        self.end_worker()
        if self.process is not None:
            if self.described is None:  # it listens to nobody yet
                kill_group(self.process.pid)
            self.control.connection.close()  # at which it ends its children and itself
            try:
                self.process.wait(1)
            except subprocess.TimeoutExpired:
                kill_group(self.process.pid)
                self.process.wait()
            kill_group(self.process.pid)
            os.close(self.output.descriptor)
            self.process = None

    def end_worker(self) -> int | None:
        """Kill the worker and what it has started. Returns its status, as waitpid has it, if it can be told."""
        if self.worker is None:
            return None
        kill_group(self.pid)
        self.worker.connection.close()
        status = None
        if self.backend.forks:
            try:
                self.control.send(self.pid)
                status = self.control.receive()
            except (OSError, EOFError):
                self.worker = None
                self.close()
        else:
            code = self.process.wait()
            status = -code if code < 0 else code << 8
            os.close(self.output.descriptor)
            self.process = None
        self.worker, self.pid = None, 0
        return status

    # --- checks ---------------------------------------------------------------------------------------

    def run(self, task: Task, block: Callable[[bool, int], list], clock: Clock, patient: bool) -> tuple[Verdict, bool]:
        """The verdict on a task, and whether it was put to the backend at all.

        ``block(number)`` draws plans. ``patient``: a hang is known, and does not count.
        """
        subject = (task.kind, task.dtype)
        if self.hangs[subject] >= HANGS:
            told = f"not run: {HANGS} requirements of {task.kind} {task.dtype} hung before"
            return Verdict(failure=told), False
        started, before = time.perf_counter(), sum(clock.seconds.values())
        try:
            found = self.attempt(task, block, clock)
            if isinstance(found, Ended):
                verdict = found.verdict()
                if found.hung:
                    self.hangs[subject] += not patient
                elif found.by_itself:
                    verdict = self.made_smaller(task, block, clock, verdict, found)
            else:
                verdict = found
        finally:
            spent = sum(clock.seconds.values()) - before
            clock.seconds["isolation"] += time.perf_counter() - started - spent
        return verdict, True

    def made_smaller(self, task: Task, block, clock: Clock, verdict: Verdict, found: Ended) -> Verdict:
        """The verdict on a crash with a smaller example, if that crashes as well in a process of its own."""
        subject = (task.kind, task.dtype)
        self.crashes[subject] += 1
        attempts = min(task.profile.shrink_attempts, ATTEMPTS)
        if not (found.example and attempts and self.backend.forks and self.crashes[subject] <= MADE_SMALLER):
            return verdict
        profile = replace(task.profile, shrink_attempts=attempts)
        again = self.attempt(replace(task, profile=profile, careful=True), block, clock)
        if isinstance(again, Ended) or again.passed:
            return verdict
        told = verdict.failure.partition("\n")
        return replace(again, failure="".join((again.failure, *told[1:])))

    def attempt(self, task: Task, block, clock: Clock) -> Verdict | Ended:
        """Put the task to a worker, and see it through."""
        started = time.perf_counter()
        self.output.read() if self.process is not None else None
        try:
            self.renew()
        except UnknownBackend as error:
            return Ended(f"cannot be started again: {error}", by_itself=False)
        self.note.clear()
        self.output.forget()
        done = False
        try:
            found = self.see_through(task, block)
            done = not isinstance(found, Ended)
        finally:
            if not done:  # an interrupt of the run too: whatever is under way there is over
                status = self.end_worker()
        if done:
            verdict, seconds = found
            clock.seconds.update(seconds)
            self.output.read()
            if self.output.total > FLOOD and verdict.passed:  # too fast to be seen at it
                verdict.failure = f"the backend's process printed more than {FLOOD >> 20} MiB in one check"
            if not task.careful:
                self.tell(self.output.text)
            return verdict
        clock.seconds["backend"] += time.perf_counter() - started
        if found.by_itself:
            found.why = how_it_ended(status) if status is not None else "ended, and what started it as well"
        found.what = self.note.read(Note.WHAT) if self.note.numbers[Note.DEPTH] else ""
        found.example, found.judged = self.note.read(Note.EXAMPLE), self.note.numbers[Note.JUDGED]
        return found

    def see_through(self, task: Task, block) -> tuple[Verdict, dict[str, float]] | Ended:
        """Send the task, answer what the worker asks for, and return what it says."""
        try:
            self.worker.send(task)
            while True:
                came = self.listen(self.worker, self.seconds * BETWEEN_CALLS)
                if isinstance(came, Ended):
                    return came
                said, *content = came
                if said == "plans":
                    self.worker.send(block(*content))
                elif said == "database":
                    name, arguments = content
                    kept = getattr(self.database, name)(*arguments)
                    self.worker.send(None if kept is None else list(kept))
                elif said == "verdict":
                    return tuple(content)
                else:
                    raise SuiteBroke(content[0])
        except OSError:
            return Ended("")

    def listen(self, channel: Channel, patience: float) -> Any:
        """The next message of a process, or how it ended or had to be.

        ``patience``: the seconds it may take outside of calls.
        """
        gone = _descriptor_of(self.pid)
        seen, since, printed = None, 0.0, 0
        looked = 0.0
        try:
            while True:
                waiting = [channel.connection, self.output.descriptor] + ([gone] if gone is not None else [])
                ready, _, _ = select.select(waiting, [], [], TICK)
                if self.output.descriptor in ready:
                    self.output.read()
                if channel.connection in ready:
                    message = channel.receive()
                    self.output.read()
                    return message
                if gone in ready:
                    break
                now = time.monotonic()
                if now - looked < TICK and ready:
                    continue
                looked = now
                events, inside = self.note.numbers[Note.EVENTS], self.note.numbers[Note.DEPTH]
                if events != seen:
                    seen, since, printed = events, now, self.output.total
                if now - since > (self.seconds if inside else patience):
                    self.say_where()
                    what = f"gave no answer within {self.seconds if inside else patience:g} s and was killed"
                    return Ended(what, False, True, printed=self.output.excerpt())
                if self.output.total - printed > FLOOD:
                    what = f"printed more than {FLOOD >> 20} MiB in one call and was killed"
                    return Ended(what, False, printed=self.output.excerpt())
                grown = memory_of(self.pid)
                if grown > self.memory * GIB:
                    what = f"grew to {grown / GIB:.1f} GiB, beyond the {self.memory:.3g} GiB allowed, and was killed"
                    return Ended(what, False, printed=self.output.excerpt())
        except (EOFError, OSError):
            pass
        finally:
            if gone is not None:
                os.close(gone)
        return self.gone()

    def gone(self) -> Ended:
        """The end of a process that ended by itself; of a worker, how is found out when it is reaped."""
        if self.worker is None and self.process is not None:
            kill_group(self.process.pid)
            code = self.process.wait()
            return Ended(how_it_ended(-code if code < 0 else code << 8), printed=self.output.excerpt())
        self.output.read()
        return Ended("", printed=self.output.excerpt())

    def say_where(self) -> None:
        """Let a process that hangs print where it is: Python's fault handler does so at this signal."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGABRT)
            time.sleep(4 * TICK)
            self.output.read()


def kill_group(pid: int) -> None:
    """Kill a process and those of its group."""
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def memory_of(pid: int) -> int:
    """Bytes of memory in use by a process and its descendants; 0 where the system does not say."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory_of(child) for child in children(pid))


def _descriptor_of(pid: int) -> int | None:
    """What becomes readable when a process ends, on Linux; elsewhere the end of its channel has to do."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
