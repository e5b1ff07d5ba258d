"""The run's side of a host: start it, ask it, watch it, end it."""

from __future__ import annotations

import array
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance import specifications
from conformance.engine.cause import Cause
from conformance.engine.compare import signature
from conformance.engine.files import working_folder
from conformance.engine.text import one_line
from conformance.engine.verdict import Verdict
from conformance.isolation.channel import BadMessage, RunChannel
from conformance.isolation.messages import integer, record, text
from conformance.isolation.output import Output
from conformance.isolation.status import SharedStatus
from conformance.isolation.system import (
    GIB,
    MARK,
    end_descriptor,
    end_marked,
    guarded,
    how_it_ended,
    kill,
    parent_of,
)
from conformance.isolation.task import Description
from conformance.isolation.tree import ProcessTree
from conformance.registry import UnknownBackend

MAX_PROCESS, MAX_STATUS = 1 << 22, (1 << 16) - 1  # the largest id of a process, and status of waitpid, on Linux
END_SECONDS = CLOSED_SECONDS = 5.0  # for a process to end that was told to, or that closed its connection
TICK_SECONDS = 0.05  # between two looks at a worker
BUILD_LIMITS = 5  # for the import and building of the backend, in limits of a call
MAX_PRINTED_BYTES = 16 << 20  # in one call, or in one check

START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from conformance.isolation.host import main; "


def indented(title: str, text: str) -> str:
    """Return lines to follow a sentence, under a title; nothing if there are none."""
    return "".join(f"\n    {line}" if n else f"\n  {title}:\n    {line}" for n, line in enumerate(text.splitlines()))


@dataclass(frozen=True)
class Limits:
    """The limits of a backend's process: seconds for a call, GiB of memory."""

    seconds: float
    memory: float


@dataclass
class Ended:
    """The end of a process without an answer: the reason, the call and the example."""

    why: str
    by_itself: bool = True
    hung: bool = False
    what: str = ""
    example: str = ""
    judged: int = 0
    printed: str = ""

    @property
    def end(self) -> str:
        """The end of the process in words."""
        return f"the backend's process {self.why}"

    def follows(self, cause: Cause) -> bool:
        """Return whether an earlier end explains this one: of the same call, or of what this requirement builds on."""
        mine = signature(self.end)
        return cause.raised.endswith(mine) and (cause.direct or cause.raised == self.verdict().raised)

    def verdict(self) -> Verdict:
        """Return the failure of the check."""
        where = self.what or "outside of any call"
        failure = f"{where}: {self.end}"
        raised = signature(failure)
        failure += indented("printed", self.printed)
        return Verdict(examples=max(self.judged, 1), failure=failure, raised=raised, example=self.example)


def _tuples(value: Any) -> Any:
    """Return JSON data with tuples for lists: claims are hashable."""
    if isinstance(value, dict):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def process_id(value: Any) -> int:
    """Return the id of a process in a message. Raises BadMessage for a value that cannot be one."""
    if integer(value, MAX_PROCESS) < 2:  # 0 is the caller's group
        raise BadMessage("no id of a process")
    return value


class HostProcess:
    """The process that imports and builds a backend. Making the object starts it.

    ``look()`` is called again and again while the run waits for a message; it may raise to end the wait.
    """

    def __init__(
        self, name: str, limits: Limits, environment: dict[str, str], look: Callable[[], object] = lambda: None
    ) -> None:
        self.name, self.limits, self.look = name, limits, look
        self.mark = f"{os.getpid()}-{secrets.token_hex(8)}"
        ours, theirs = socket.socketpair()
        printed, prints = os.pipe()
        with tempfile.TemporaryFile() as shared:
            shared.truncate(SharedStatus.SIZE_BYTES)
            self.status = SharedStatus(shared.fileno())
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-u", "-c", f"{START}main({theirs.fileno()}, {shared.fileno()})"),
                    json.dumps([path or str(working_folder()) for path in sys.path]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=prints,
                stderr=prints,
                pass_fds=(theirs.fileno(), shared.fileno()),
                start_new_session=True,
                env=environment | {MARK: self.mark},
            )
        theirs.close()
        os.close(prints)
        self.channel, self.output = RunChannel(ours), Output(printed)
        self.described = False
        """Whether it has described the backend; before that it reads no messages."""
        self.main = self.pid
        """The id of the process that imports the adapter, known from its first message."""
        self.channel.send(name)

    @property
    def pid(self) -> int:
        """The id of the process that was started, on Linux of the guard."""
        return self.process.pid

    def describe(self) -> Description:
        """Wait for the description of the backend. Without one, end the process and raise UnknownBackend."""
        limit = self.limits.seconds * BUILD_LIMITS
        answer = self.listen(self.channel, self.pid, limit)
        if isinstance(answer, list) and len(answer) == 2 and answer[0] == "process":  # before it imports the adapter
            with suppress(BadMessage):  # another value is no description either, and told as that
                self.main = process_id(answer[1])
                answer = self.listen(self.channel, self.pid, limit)
        if isinstance(answer, Ended):
            if answer.by_itself:
                answer.why = how_it_ended(self.status_of_end())
            self.close()
            raise UnknownBackend(f"backend {self.name!r}: its process {answer.why} while it was imported and built.")
        try:
            description = self._description(answer)
        except (UnknownBackend, BadMessage) as error:
            printed = self.output.excerpt() if self.name.startswith("exec:") else ""
            self.close()
            bad = f"backend {self.name!r}: its process sent {error}." if isinstance(error, BadMessage) else str(error)
            raise UnknownBackend(bad + indented("its standard error", printed)) from None
        self.described = True
        return description

    def _description(self, message: Any) -> Description:
        """Return the description in a message. Raises UnknownBackend with what the message says, and BadMessage."""
        kind, content = message if isinstance(message, list) and len(message) == 2 else (None, None)
        if kind == "unknown":
            raise UnknownBackend(text(content))
        if kind != "built":
            raise BadMessage("a message that is not the suite's")
        found = record(Description, content)
        try:
            claims = {name: specifications.named(name).features(**_tuples(data)) for name, data in found.claims.items()}
        except (specifications.UnknownSpecification, TypeError, ValueError) as error:
            raise BadMessage(f"claims that cannot be read ({one_line(error)})") from None
        return replace(found, claims=claims)

    def fork(self) -> tuple[RunChannel, int]:
        """Fork a worker; return its channel and its id. Raises OSError or EOFError if the host has ended."""
        ours, theirs = socket.socketpair()
        try:
            self.channel.send("fork")
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))
            self.channel.connection.sendmsg([b"!"], [rights])
            pid = process_id(self.channel.receive())
            if guarded() and parent_of(pid) != self.main:
                raise EOFError  # it names a process that is not its own
        except BadMessage:
            ours.close()
            raise EOFError from None
        except (OSError, EOFError):
            ours.close()
            raise
        finally:
            theirs.close()
        return RunChannel(ours), pid

    def reap(self, pid: int) -> int:
        """Return a worker's status from waitpid. Raises OSError or EOFError if the host has ended."""
        self.channel.send(pid)
        try:
            return integer(self.channel.receive(), MAX_STATUS)
        except BadMessage:
            raise EOFError from None

    def status_of_end(self) -> int:
        """Wait for the process; return its status in the encoding of waitpid."""
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # the guard is stopped, or waits for what cannot be killed
            kill(self.main)
            kill(self.pid)
            code = self.process.wait()
        return -code if code < 0 else code << 8

    def kill(self) -> None:
        """Kill the process and all that it started; do not wait."""
        if guarded():
            with suppress(OSError):
                self.process.send_signal(signal.SIGTERM)  # the guard ends all of it, and then itself
        else:
            kill(self.pid)

    def close(self) -> None:
        """End the process and its workers."""
        if not self.described:
            self.kill()
        self.channel.connection.close()  # the process then ends its children and itself
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.kill()
            self.status_of_end()
        self.release()

    def sent(self, error: BadMessage) -> Ended:
        """Return the end of a process that sent such a message; the caller must kill it."""
        return Ended(f"sent {error}, and was killed", False, printed=self.output.excerpt())

    def release(self) -> None:
        """Close the descriptors of a process that has ended; end the processes that it left."""
        self.channel.connection.close()
        with suppress(OSError):
            os.close(self.output.descriptor)
        end_marked(f"{MARK}={self.mark}")

    # --- watching -------------------------------------------------------------------------------------

    def listen(self, channel: RunChannel, pid: int, outside_seconds: float) -> Any:
        """Return the next message of this host or its worker, or the Ended of the process.

        ``outside_seconds`` is its time limit outside of calls. The caller must kill a process that exceeded a limit. If
        the process ended by itself, ``why`` is empty.
        """
        gone = end_descriptor(pid)
        seen, printed, looked = -1, 0, 0.0
        tree = ProcessTree(pid)
        output, limits, numbers = self.output, self.limits, self.status.numbers
        try:
            while True:
                waiting: list[Any] = [channel.connection, output.descriptor] + ([gone] if gone is not None else [])
                self.look()
                ready, _, _ = select.select(waiting, [], [], TICK_SECONDS)
                if output.descriptor in ready:
                    output.read()
                if channel.connection in ready:
                    message = channel.receive()
                    output.read()
                    return message
                if gone in ready:
                    break
                now = time.monotonic()
                if now - looked < TICK_SECONDS and ready:
                    continue
                looked = now
                events, inside = numbers[SharedStatus.EVENTS], numbers[SharedStatus.DEPTH]
                tree.look(now)
                if events != seen:
                    seen, printed = events, output.total
                    tree.begin(now)
                limit = limits.seconds if inside else outside_seconds
                if why := tree.hangs(now, limit):
                    self._print_place(self.main if pid == self.pid else pid)
                    return Ended(f"{why} and was killed", False, True, printed=output.excerpt())
                if output.total - printed > MAX_PRINTED_BYTES:
                    why = f"printed more than {MAX_PRINTED_BYTES >> 20} MiB in one call and was killed"
                    return Ended(why, False, printed=output.excerpt())
                grown = tree.memory()
                if grown > limits.memory * GIB:
                    allowed = f"beyond the {limits.memory:.3g} GiB allowed"
                    why = f"grew to {grown / GIB:.1f} GiB, {allowed}, and was killed"
                    return Ended(why, False, printed=output.excerpt())
        except BadMessage as error:
            return self.sent(error)
        except (EOFError, OSError):
            if gone is not None and not select.select([gone], [], [], CLOSED_SECONDS)[0]:
                why = "closed its connection to the suite and was killed"
                return Ended(why, False, printed=output.excerpt())
        finally:
            if gone is not None:
                os.close(gone)
        output.read()
        return Ended("", printed=output.excerpt())

    def _print_place(self, pid: int) -> None:
        """Make a hanging process print its stack: Python's fault handler does so on this signal.

        A program in another language gets no signal: the printed stack would belong to the suite.
        """
        if self.name.startswith("exec:"):
            return
        with suppress(OSError):
            os.kill(pid, signal.SIGABRT)
            time.sleep(4 * TICK_SECONDS)
            self.output.read()
