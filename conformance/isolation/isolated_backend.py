"""A backend in other processes, where no crash or hang of an adapter can end or stop the run.

Isolation is around a whole check, not around each call: a worker gets plans from this process, calls the backend in its
own process and sends a verdict. So a call costs no more than without isolation.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis.database import ExampleDatabase

from conformance.engine.cause import Cause
from conformance.engine.finding import HUNG_BEFORE
from conformance.engine.subject import Clock
from conformance.engine.text import printable
from conformance.engine.verdict import Verdict
from conformance.isolation.channel import BadMessage, RunChannel
from conformance.isolation.host_process import MAX_PRINTED_BYTES, Ended, HostProcess, Limits
from conformance.isolation.messages import MAX_INTEGER, integer, seconds, text, unpacked, verdict_of
from conformance.isolation.status import SharedStatus
from conformance.isolation.system import ends, environment, how_it_ended, kill
from conformance.isolation.task import Description, Question, Task
from conformance.registry import UnknownBackend

OUTSIDE_LIMITS = 10  # for the suite's own work and for destructors, in limits of a call
MAX_HANGS = 3  # of a kind and dtype, each as long as the limit; then its other requirements are blocked
MAX_SHRUNK_CRASHES = 2  # of a kind and dtype; each attempt needs a process
MAX_CRASH_ATTEMPTS = 60  # to shrink such an example
MAX_REQUESTS, MAX_REQUESTS_OF_AN_EXAMPLE = 10_000, 100  # for plans and the database in one check
DATABASE_ARGUMENTS = {"fetch": 1, "save": 2, "delete": 2}  # the requests to it, and how many arguments they have


@dataclass(frozen=True)
class Supply:
    """What a worker may ask for in a check."""

    block: Callable[[int], list[Any]]
    """Draws the plans of a block."""
    causes: Sequence[Cause] = ()
    """The earlier failures that may explain a failure of the check."""


NOTHING = Supply(lambda number: [])


class SuiteBroke(Exception):
    """The suite itself failed in the worker; the message is the traceback."""


@dataclass(frozen=True)
class WorkerHandle:
    """The run's side of a worker; ``forked`` is False if the host itself is the worker."""

    channel: RunChannel
    pid: int
    forked: bool


class IsolatedBackend:
    """A backend and its processes. Making the object starts the host.

    ``description`` waits until the host has imported and built the backend. Raises UnknownBackend, one sentence, if the
    host cannot build it.
    """

    def __init__(self, name: str, seconds: float, memory: float, threads: int | None = None) -> None:
        """Start the host. ``threads`` is the number of OpenMP threads unless the environment sets it."""
        self.name, self.limits = name, Limits(seconds, memory)
        self.environment = environment(threads)
        self.print: Callable[[str], object] = lambda text: sys.stdout.write(text)
        """Receives the backend's output in a check."""
        self.look: Callable[[], object] = lambda: None
        """Called again and again while the caller waits; it may raise to end the wait."""
        self.database: ExampleDatabase | None = None
        """The database of failing examples; None without one."""
        self.abandoned = False
        self.crashes: Counter[tuple[str, str]] = Counter()
        self.hangs: Counter[tuple[str, str]] = Counter()
        self._description: Description | None = None
        self.ran: list[tuple[tuple[str, str, str], str]] = []
        """The requirements whose checks the present worker has run, each with specification, kind and dtype."""
        self._worker: WorkerHandle | None = None
        self._host: HostProcess | None = self._started()

    def _started(self) -> HostProcess:
        return HostProcess(self.name, self.limits, self.environment, lambda: self.look())

    @property
    def description(self) -> Description:
        """The backend's description; waits for it the first time."""
        if self._description is None:
            self._description = self._described(self._host or self._started())
        return self._description

    def _described(self, host: HostProcess) -> Description:
        self._host = host
        if self.abandoned:  # ``abandon`` may have missed it
            host.kill()
        try:
            return host.describe()
        except UnknownBackend:
            self._host = None
            raise

    # --- processes ------------------------------------------------------------------------------------

    def _ready(self) -> tuple[HostProcess, WorkerHandle]:
        """Return the host and a worker. Raises UnknownBackend if the backend cannot be started again."""
        if self.abandoned:
            raise UnknownBackend(f"backend {self.name!r}: the run is over.")
        forks = self.description.forks
        host = self._host
        if host is None:
            host = self._started()
            self._description = self._described(host)
        if self._worker is None:
            self.ran = []
            if forks:
                try:
                    self._worker = WorkerHandle(*host.fork(), forked=True)
                except (OSError, EOFError):
                    self.close()
                    message = f"backend {self.name!r}: the process that imported it is gone."
                    raise UnknownBackend(message) from None
            else:
                self._worker = WorkerHandle(host.channel, host.main, forked=False)
        return host, self._worker

    def abandon(self) -> None:
        """Kill the processes from another thread; a thread that waits for them notices, and starts no new ones."""
        self.abandoned = True
        if (host := self._host) is not None:
            host.kill()

    def close(self) -> None:
        """End every process of the backend."""
        self.end_worker()
        if (host := self._host) is not None:
            self._host = None
            host.close()

    def end_worker(self) -> int | None:
        """Kill the worker and the processes that it started. Returns its status from waitpid, or None."""
        worker, host = self._worker, self._host
        if worker is None or host is None:
            return None
        self._worker = None
        if not worker.forked:
            self._host = None
            host.kill()
            status = host.status_of_end()
            host.release()
            return status
        kill(worker.pid)
        worker.channel.connection.close()
        try:
            return host.reap(worker.pid)
        except (OSError, EOFError):
            self.close()
            return None

    # --- checks ---------------------------------------------------------------------------------------

    def run(self, task: Task, supply: Supply, clock: Clock, patient: bool) -> tuple[Verdict, bool]:
        """Return the verdict on a task, and whether the backend ran.

        With ``patient`` a hang is a known failure and is not counted.
        """
        subject = (task.kind, task.dtype)
        if self.hangs[subject] >= MAX_HANGS:
            failure = f"not run: {MAX_HANGS} requirements of {task.kind} {task.dtype} {HUNG_BEFORE}"
            return Verdict(failure=failure), False
        started, before = time.perf_counter(), sum(clock.seconds.values())
        try:
            found = self._attempt(task, supply, clock)
            if isinstance(found, Verdict):
                self.ran.append(((task.specification, task.kind, task.dtype), task.requirement))
                return found, True
            verdict = found.verdict()
            cause = next((cause for cause in supply.causes if found.follows(cause)), None)
            if cause is not None:  # the earlier crash or hang; the calls that were left are not judged
                verdict.excused = 1
                verdict.failure, verdict.cause = "", cause.requirement
            if found.hung:
                self.hangs[subject] += not patient
            elif found.by_itself and cause is None:
                verdict = self._shrunk(task, supply, clock, verdict, found)
            return verdict, True
        finally:
            spent = sum(clock.seconds.values()) - before
            clock.add("isolation", time.perf_counter() - started - spent)

    def _shrunk(self, task: Task, supply: Supply, clock: Clock, verdict: Verdict, found: Ended) -> Verdict:
        """Return the verdict on a crash with a smaller example, if a smaller one crashes a separate process as well."""
        subject = (task.kind, task.dtype)
        self.crashes[subject] += 1
        attempts = min(task.profile.shrink_attempts, MAX_CRASH_ATTEMPTS)
        few = self.crashes[subject] <= MAX_SHRUNK_CRASHES
        if not (found.example and attempts and self.description.forks and few):
            return verdict
        profile = replace(task.profile, shrink_attempts=attempts)
        again = self._attempt(replace(task, profile=profile, careful=True), supply, clock)
        if isinstance(again, Ended) or again.passed:
            return verdict
        _, *printed = verdict.failure.partition("\n")
        return replace(again, failure="".join((again.failure, *printed)), raised=verdict.raised)

    def afresh(self, task: Task, supply: Supply, clock: Clock) -> Verdict | None:
        """Return the verdict on a task in a new process, or None if there is none; the present worker stays."""
        kept, host, ran = self._worker, self._host, self.ran
        if kept is None or not kept.forked:
            return None
        self._worker = None
        try:
            found = self._attempt(replace(task, alone=True), supply, clock)
        finally:
            self.end_worker()
            if self._host is host:
                self._worker, self.ran = kept, ran
            else:  # the host has ended, and with it the kept worker
                kept.channel.connection.close()
                self.ran = []
        return found if isinstance(found, Verdict) else found.verdict()

    def ask(self, question: Question) -> tuple[Any, str]:
        """Put a question to the worker; return its answer or the Ended of the process, and what was printed."""
        found = self._put(question, NOTHING)
        return (found, found.printed) if isinstance(found, Ended) else (found[0], self._printed())

    def _printed(self) -> str:
        if self._host is None:
            return ""
        self._host.output.read()
        return self._host.output.excerpt()

    def _attempt(self, task: Task, supply: Supply, clock: Clock) -> Verdict | Ended:
        """Put the task to a worker; return its verdict or its end."""
        started = time.perf_counter()
        found = self._put(task, supply)
        if isinstance(found, Ended):
            clock.add("backend", time.perf_counter() - started)
            return found
        verdict, seconds = found
        clock.seconds.update(seconds)
        output = self._host.output  # type: ignore[union-attr]  # it gave the verdict
        output.read()
        if output.total > MAX_PRINTED_BYTES and verdict.passed:  # faster than ``listen`` looks
            verdict.failure = f"the backend's process printed more than {MAX_PRINTED_BYTES >> 20} MiB in one check"
        if not (task.careful or task.alone):
            self.print(printable(output.text))
        return verdict

    def _put(self, task: Task | Question, supply: Supply) -> tuple[Any, dict[str, float]] | Ended:
        """Put a task or question to a worker; return its answer and the seconds by name, or its end."""
        if self._host is not None:
            self._host.output.read()
        try:
            host, worker = self._ready()
        except UnknownBackend as error:
            return Ended(f"cannot be started again: {error}", by_itself=False)
        status, output = host.status, host.output
        status.clear()
        output.forget()
        found: tuple[Any, dict[str, float]] | Ended = Ended("")
        try:
            found = self._served(host, worker, task, supply)
            if worker.forked and not isinstance(found, Ended) and ends(host.main):
                found = Ended("")  # the worker was faster than its own end
        finally:
            if isinstance(found, Ended):  # also after an interrupt of the run, while the worker is busy
                end = self.end_worker()
        if not isinstance(found, Ended):
            return found
        if found.by_itself:
            found.why = how_it_ended(end) if end is not None else "ended, and what started it as well"
        found.what = text(status.read(SharedStatus.WHAT)) if status.numbers[SharedStatus.DEPTH] else ""
        found.example = text(status.read(SharedStatus.EXAMPLE))
        found.judged = min(status.numbers[SharedStatus.JUDGED], MAX_INTEGER)  # the backend can write there
        return found

    def _served(
        self, host: HostProcess, worker: WorkerHandle, task: Task | Question, supply: Supply
    ) -> tuple[Any, dict[str, float]] | Ended:
        """Send the task or question, answer the worker's requests, and return its verdict or answer, and seconds."""
        most = MAX_REQUESTS + MAX_REQUESTS_OF_AN_EXAMPLE * (task.profile.examples if isinstance(task, Task) else 0)
        try:
            worker.channel.send(task)
            for _ in range(most):
                message = host.listen(worker.channel, worker.pid, self.limits.seconds * OUTSIDE_LIMITS)
                if isinstance(message, Ended):
                    return message
                kind, *content = message if isinstance(message, list) else [None]
                if kind == "plans" and len(content) == 1:
                    worker.channel.send(supply.block(integer(content[0], most)))
                elif kind == "causes" and not content:
                    worker.channel.send(tuple(supply.causes))
                elif kind == "database" and len(content) == 2:
                    worker.channel.send(self._from_database(*content))
                elif kind == "found" and len(content) == 2:
                    data, spent = content
                    found = verdict_of(data) if isinstance(task, Task) else task.read(data)
                    return found, seconds(spent)
                elif kind == "broke" and len(content) == 1:
                    raise SuiteBroke(text(content[0]))
                else:
                    raise BadMessage("a message that is not the suite's")
            raise BadMessage(f"more than {most} requests in one check")
        except BadMessage as error:
            return host.sent(error)
        except OSError:
            return Ended("")

    def _from_database(self, name: Any, arguments: Any) -> list[bytes] | None:
        """Return what the database answers to a request of the worker. Raises BadMessage."""
        if not isinstance(arguments, list) or name not in DATABASE_ARGUMENTS or self.database is None:
            raise BadMessage("a request that is not the suite's")
        if len(arguments) != DATABASE_ARGUMENTS[name]:
            raise BadMessage("a request that is not the suite's")
        kept = getattr(self.database, name)(*map(unpacked, arguments))
        return None if kept is None else list(kept)
