"""Workers: the processes that call a backend and judge it."""

from __future__ import annotations

import errno
import faulthandler
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from select import select
from typing import Any

from hypothesis.database import ExampleDatabase

from conformance import specifications
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import examined
from conformance.engine.cause import Cause, Causes
from conformance.engine.check import Check, fails_after
from conformance.engine.compare import Failed
from conformance.engine.deadline import Deadline, OutOfTime
from conformance.engine.drawing import Plans, Streams
from conformance.engine.form import Draw
from conformance.engine.serialization import call_of
from conformance.engine.specification import Specification
from conformance.engine.subject import Broken, Clock, Subject
from conformance.engine.text import one_line
from conformance.engine.verdict import Verdict
from conformance.isolation.channel import BackendChannel
from conformance.isolation.forks import ForkWatch
from conformance.isolation.messages import data_of, packed, without_call
from conformance.isolation.status import SharedStatus
from conformance.isolation.system import how_it_ended
from conformance.isolation.task import Question, Task

Law = Callable[[Any], None]


class RemoteDatabase(ExampleDatabase):
    """The database of examples of the run's process."""

    def __init__(self, channel: BackendChannel) -> None:
        super().__init__()
        self.channel = channel

    def _ask(self, name: str, *arguments: bytes) -> Any:
        self.channel.send(("database", name, [packed(one) for one in arguments]))
        return self.channel.receive()

    def fetch(self, key: bytes) -> list[bytes]:
        """Return the examples under a key."""
        return self._ask("fetch", key)

    def save(self, key: bytes, value: bytes) -> None:
        """Save an example under a key."""
        self._ask("save", key, value)

    def delete(self, key: bytes, value: bytes) -> None:
        """Delete an example."""
        self._ask("delete", key, value)


class RemotePlans(Plans):
    """Plans drawn and cached by the run's process. A worker's own cache would be lost when it exits.

    The run's process draws the plans of the check; this process draws the further plans for diagnosis.
    """

    def __init__(self, task: Task, channel: BackendChannel, draw: Draw | None) -> None:
        super().__init__(task.seed, RemoteDatabase(channel) if task.database else None)
        self.channel, self.draw = channel, draw

    def block(self, specification: Specification, draw: Draw, features: Any, number: int) -> list[Any]:
        """Return BLOCK plans of a way of drawing."""
        if draw is not self.draw:
            return super().block(specification, draw, features, number)
        self.channel.send(("plans", number))
        return self.channel.receive()


def restore(path: Sequence[str]) -> None:
    """Append what ``sys.path`` lacks, so that the suite finds its modules after a backend that cleared it."""
    sys.path += [place for place in path if place not in sys.path]


def harm() -> str:
    """Return in words which resource of this process the backend used up, or an empty text."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        why = f"the backend left its process no file to open ({error.strerror}): close what each call opens"
        return why if error.errno in (errno.EMFILE, errno.ENFILE) else ""
    return ""


class Worker:
    """The server of one worker process: it runs checks on the backend and sends their verdicts."""

    def __init__(self, backend: Any, channel: BackendChannel, status: SharedStatus, path: Sequence[str]) -> None:
        """Make the server. ``path`` is ``sys.path`` as it was before the backend was imported."""
        self.backend, self.channel, self.status, self.path = backend, channel, status, path
        self.clock = Clock()
        self.diagnostician: Diagnostician | None = None
        self.examples: tuple[str, str, str, int] | None = None  # the diagnostician's subject and seed
        self.uncaught: list[str] = []  # exceptions that Python reports without raising them
        self.forks = ForkWatch()
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._in_a_thread

    def serve(self) -> None:
        """Run tasks until the other side ends."""
        warnings.simplefilter("ignore")  # adapters may warn
        faulthandler.enable(2)
        while True:
            try:
                task = self.channel.receive()
            except EOFError:
                return
            self.clock.seconds.clear()
            self.uncaught.clear()
            asked = isinstance(task, Question)
            restore(self.path)
            try:
                with self.clock("suite"):
                    found = task.answer(self.backend, self.watch) if asked else self.verdict(task)
            except Exception:
                if asked or not (why := harm()):
                    self.channel.send(("broke", traceback.format_exc()))
                    continue
                found = Verdict(examples=1, failure=why)
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            self.send(found)

    def send(self, found: Any) -> None:
        """Send a verdict or an answer; of a verdict whose call is too large, the rest."""
        seconds = dict(self.clock.seconds)
        try:
            self.channel.send(("found", data_of(found), seconds))
        except (TypeError, ValueError):
            if not isinstance(found, Verdict):
                raise
            self.channel.send(("found", without_call(found), seconds))

    def verdict(self, task: Task) -> Verdict:
        """Return the verdict of the check. Stray processes and exceptions outside of calls fail it as well."""
        specification = specifications.named(task.specification)
        check = specification.checks_of(task.requirement)[task.number]
        if isinstance(check, Check):
            check = replace(check, law=self.noting(check.law, task.careful), apart=task.careful)
        else:
            self.status.numbers[SharedStatus.JUDGED] = 1
        plans = RemotePlans(task, self.channel, getattr(check, "draw", None))
        diagnostician = self.diagnostician_for(specification, task, plans)
        if task.alone:
            return self.alone(check, task, diagnostician)
        deadline = Deadline(task.explaining)
        verdict = examined(check, diagnostician, task.profile, task.example, Causes(self.causes), deadline)
        if self.forks.came_back() and verdict.passed:
            verdict.failure = "the backend forked, and the new process returned from the call as well"
        if self.uncaught and verdict.passed:
            verdict.failure = self.uncaught[0]
        return verdict

    def causes(self) -> Sequence[Cause]:
        """Ask the run's process for the causes of a failure. It waits until the earlier checks have ended."""
        with self.clock("isolation"):
            self.channel.send(("causes",))
            return self.channel.receive()

    def alone(self, check: Any, task: Task, diagnostician: Diagnostician) -> Verdict:
        """Return the verdict on an example, or on drawn calls, after the calls that the task names."""
        streams, subject = diagnostician.streams, diagnostician.subject
        drawn = replace(task.profile, shrink_attempts=0)
        for earlier in (c for name in task.before for c in subject.specification.checks_of(name)):
            earlier.run(streams, drawn)
        if task.example is None:
            return check.run(streams, drawn)[0]
        call = call_of(subject.specification, task.example, task.kind, task.dtype)
        failure = None if call is None else fails_after(check, subject, call, task.after)
        return Verdict(examples=1, failure="" if failure is None else str(failure))

    def diagnostician_for(self, specification: Specification, task: Task, plans: Plans) -> Diagnostician:
        """Return the subject's examples and evidence; drop another subject's first."""
        examples = task.specification, task.kind, task.dtype, task.seed
        if self.diagnostician is None or self.examples != examples:
            self.diagnostician = None  # delete the old layers here, so that a crash counts for this requirement
            self.examples = examples
            backend = specifications.adapted(self.backend, specification)
            subject = Subject(specification, backend, task.kind, task.dtype, self.clock, self.watch)
            self.diagnostician = Diagnostician(Streams(subject, plans))
        self.diagnostician.streams.use(plans)
        return self.diagnostician

    def noting(self, law: Law, careful: bool) -> Law:
        """Return a law that records its examples; if ``careful``, it judges each in a separate process."""

        def noted(trial: Any) -> None:
            self.status.add(SharedStatus.JUDGED, 1)
            self.status.write(SharedStatus.EXAMPLE, repr(trial.call))
            if careful:
                self.apart(law, trial)
            else:
                law(trial)

        return noted

    def apart(self, law: Law, trial: Any) -> None:
        """Run the law in a separate process. Raises Failed only if that process ends before the law does."""
        ours, theirs = os.pipe()
        child = self.forks.own_fork()
        if child == 0:
            with suppress(BaseException):
                law(trial)
            os.write(theirs, b"!")
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            _, status = os.waitpid(child, 0)
            judged = select([pipe], [], [], 0)[0] and pipe.read(1)
        if not judged:
            inside = self.status.numbers[SharedStatus.DEPTH]
            what = self.status.read(SharedStatus.WHAT) if inside else "outside of any call"
            self.status.numbers[SharedStatus.DEPTH] = 0
            raise Failed(f"{what}: the backend's process {how_it_ended(status)}")

    @contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """Record a call; catch exceptions that would end the worker, and forked processes that leave the call."""
        status = self.status
        before = status.read(SharedStatus.WHAT) if status.numbers[SharedStatus.DEPTH] else ""
        status.write(SharedStatus.WHAT, what)
        status.add(SharedStatus.EVENTS, 1)
        status.add(SharedStatus.DEPTH, 1)
        try:
            yield
        except (Exception, SystemExit, Broken, OutOfTime):
            raise
        except BaseException as error:  # KeyboardInterrupt as well: here only the adapter can raise it
            raise Failed(f"{what} raised {type(error).__name__}: {one_line(error)}") from error
        finally:
            self.forks.end_if_stray()
            status.add(SharedStatus.EVENTS, 1)
            status.add(SharedStatus.DEPTH, -1)
            if before:
                status.write(SharedStatus.WHAT, before)

    # --- exceptions outside of calls ------------------------------------------------------------------

    def _unraisable(self, event: Any) -> None:
        where = getattr(event.object, "__qualname__", None) or type(event.object).__name__
        error = event.exc_value or event.exc_type()
        self.uncaught.append(f"{where} raised {type(error).__name__} where nobody can catch it: {one_line(error)}")

    def _in_a_thread(self, event: Any) -> None:
        error = event.exc_value or event.exc_type()
        self.uncaught.append(f"a thread of the backend raised {type(error).__name__}: {one_line(error)}")
