"""Runners put a job to its backend, in this process or in a worker, and return the verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hypothesis.database import ExampleDatabase

from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import examined
from conformance.engine.cause import Cause
from conformance.engine.deadline import Deadline
from conformance.engine.drawing import Plans, Streams
from conformance.engine.profiles import Profile
from conformance.engine.subject import Clock, Subject
from conformance.engine.verdict import Verdict
from conformance.isolation.channel import BadMessage
from conformance.isolation.isolated_backend import IsolatedBackend, Supply
from conformance.isolation.task import Task
from conformance.runs.confirmation import confirm
from conformance.runs.explanation_time import ExplanationTime
from conformance.runs.job import Job
from conformance.runs.known_failures import KnownFailure

_clock_lock = threading.Lock()


class Drawn:
    """The seed, the profile and the plans of a run, or of one round of a campaign; the time for explaining failures."""

    def __init__(
        self,
        profile: Profile,
        seed: int,
        database: ExampleDatabase | None = None,
        time: ExplanationTime | None = None,
    ) -> None:
        self.profile, self.seed, self.database = profile, seed, database
        self.time = time or ExplanationTime.endless()
        self.plans = Plans(seed, database)


class Runner(Protocol):
    """A way to put jobs to their backend."""

    drawn: Drawn

    def run(self, job: Job, known: KnownFailure | None, causes: Sequence[Cause] = ()) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the backend ran.

        ``known`` is the job's known failure: its example is replayed first, and a hang is not counted. ``causes`` are
        the earlier failures that may explain a failure of this job.
        """


class InProcessRunner:
    """The runner in this process. It keeps the examples of a subject until a job of another subject runs."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn
        self._diagnostician: Diagnostician | None = None
        self._subject: Subject | None = None

    def forget(self) -> None:
        """Drop the examples."""
        self._diagnostician = self._subject = None

    def run(self, job: Job, known: KnownFailure | None, causes: Sequence[Cause] = ()) -> tuple[Verdict, bool]:
        """Return the verdict, and True."""
        if self._diagnostician is None or self._subject is not job.subject:
            self._subject, self._diagnostician = job.subject, Diagnostician(Streams(job.subject, self.drawn.plans))
        example = None if known is None else known.example
        with job.subject.clock("suite"):
            deadline = Deadline(self.drawn.time.of_next())
            verdict = examined(job.check, self._diagnostician, self.drawn.profile, example, causes, deadline)
        self.drawn.time.spend(verdict.explaining)
        return verdict, True


class WorkerRunner:
    """The runner of an isolated backend. This process draws the examples, through ``draw``."""

    def __init__(
        self,
        drawn: Drawn,
        isolated: IsolatedBackend,
        draw: Callable[[Callable[[], list[Any]]], list[Any]] = lambda block: block(),
    ) -> None:
        self.drawn, self.isolated, self.draw = drawn, isolated, draw

    def run(self, job: Job, known: KnownFailure | None, causes: Sequence[Cause] = ()) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the backend ran."""
        subject, drawn = job.subject, self.drawn
        task = Task(
            job.key.specification,
            job.key.requirement,
            job.number,
            subject.kind,
            subject.dtype,
            drawn.profile,
            drawn.seed,
            example=None if known is None else known.example,
            database=drawn.database is not None,
            explaining=drawn.time.of_next(),
        )

        def block(number: int) -> list[Any]:
            if not hasattr(job.check, "draw"):
                raise BadMessage("a request that is not the suite's")  # a case draws nothing
            features, specification = subject.features, subject.specification
            return self.draw(lambda: drawn.plans.block(specification, job.check.draw, features, number))

        clock, supply = Clock(), Supply(block, causes)
        try:
            verdict, asked = self.isolated.run(task, supply, clock, known is not None)
            drawn.time.spend(verdict.explaining)
            refusal = any(named.area == "refusals" for named in (job.requirement, *job.exemplified))
            if not verdict.passed and asked and known is None and not (verdict.raised and verdict.call is None):
                mine = (task.specification, task.kind, task.dtype)
                ran = [name for subject_, name in self.isolated.ran[:-1] if subject_ == mine]
                deadline = Deadline(task.explaining)
                deadline.start()

                def afresh(alone: Task) -> Verdict | None:
                    return self.isolated.afresh(alone, supply, clock)

                confirm(task, verdict, afresh, ran, causes, lambda: deadline.over)
                drawn.time.spend(deadline.spent)
            if refusal and (verdict.excused or not verdict.passed):
                self.isolated.end_worker()  # a kernel that accepts a wrong argument may have written out of bounds
            return verdict, asked
        finally:
            with _clock_lock:
                subject.clock.seconds.update(clock.seconds)
