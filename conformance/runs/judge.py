"""Turn verdicts, known failures and prerequisites into findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from conformance.engine.cause import Cause, Causes
from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.engine.verdict import Verdict
from conformance.runs.failure_message import FailureWriter
from conformance.runs.job import Job
from conformance.runs.known_failures import KnownFailure
from conformance.runs.prerequisites import Prerequisites, blocked, explained
from conformance.runs.runner import Runner

ANOTHER = "another requirement"


class Verdicts(Protocol):
    """The stored verdicts of a campaign; a run gets its verdicts from a runner."""

    def blocked(self, key: Key) -> str | None:
        """Return the failed prerequisite for which the key was not run."""

    def verdict(self, key: Key) -> tuple[Verdict, bool]:
        """Return the verdict, and whether the backend ran."""


class Judge:
    """The judge of a run's jobs, in its order: prerequisites come first."""

    def __init__(
        self,
        prerequisites: Prerequisites,
        known: Sequence[KnownFailure],
        writer: FailureWriter,
        run_blocked: bool = False,
    ) -> None:
        """Make the judge. With ``run_blocked`` no failure explains another."""
        self.prerequisites, self.known, self.writer = prerequisites, tuple(known), writer
        self.run_blocked = run_blocked

    def known_failure(self, key: Key) -> KnownFailure | None:
        """Return the known failure of a key, if there is one."""
        return next((entry for entry in self.known if entry.matches(key)), None)

    def judge(self, job: Job, runner: Runner, earlier: Callable[[], object] = lambda: None) -> Finding:
        """Run a job and return its finding. Failures that earlier ones explain make it blocked.

        ``earlier()`` waits until the jobs have ended whose failures may explain one of this job.
        """
        started = time.perf_counter()

        def ask() -> Sequence[Cause]:
            earlier()
            return self.prerequisites.causes(job.key)

        causes = Causes(ask)
        known = self.known_failure(job.key)
        excuses = () if self.run_blocked or known is not None else causes
        verdict, asked = runner.run(job, known, excuses)
        before = next((cause for cause in excuses if cause.depends), None) if verdict.depends else None
        if before is not None:
            return replace(self._depends(job, verdict, before.requirement), seconds=time.perf_counter() - started)
        found = self.found(job, verdict, asked, causes)
        return replace(found, seconds=time.perf_counter() - started)

    def _depends(self, job: Job, verdict: Verdict, cause: str) -> Finding:
        """Return the finding of a failure that depends on earlier calls, as an earlier failure did."""
        message = f"{explained(cause)}: both depend on earlier calls\n{self.writer.message(job, verdict)}"
        found = {"examples": verdict.examples, "margin": verdict.margin, "message": message, "prerequisite": cause}
        return Finding.at(job.key, Status.BLOCKED, **found)

    def look_up(self, job: Job, verdicts: Verdicts) -> Finding:
        """Return the finding of a job whose verdict a campaign keeps."""
        cause = verdicts.blocked(job.key)
        return blocked(job.key, cause) if cause is not None else self.found(job, *verdicts.verdict(job.key))

    def found(self, job: Job, verdict: Verdict, asked: bool, causes: Sequence[Cause] = ()) -> Finding:
        """Return the finding of a verdict. Record a failure as a possible cause of others, and write its reproducer.

        ``causes`` are the earlier failures.
        """
        known = self.known_failure(job.key)
        status, message = self._status(job, verdict, asked, known)
        failed = status is Status.FAILED and not verdict.passed
        also = failed and any(cause.direct for cause in causes)
        if failed:
            self.prerequisites.failed(job.key, verdict)
        elif status is Status.BLOCKED and verdict.cause:
            self.prerequisites.explained(job.key, verdict.cause)
        reproducer = self.writer.reproducer(job, verdict) if not verdict.passed and asked else None
        return Finding.at(
            job.key,
            status,
            examples=verdict.examples,
            margin=verdict.margin,
            message=message,
            diagnosis=tuple(verdict.diagnosis),
            reproducer=reproducer,
            steps=None if verdict.steps is None else tuple(verdict.steps),
            prerequisite=(verdict.cause or ANOTHER) if status is Status.BLOCKED and asked else "",
            also=also,
        )

    def _status(self, job: Job, verdict: Verdict, asked: bool, known: KnownFailure | None) -> tuple[Status, str]:
        """Return the status and the message."""
        elsewhere = (
            f"{verdict.elsewhere} of {verdict.examples} calls are wrong in more than this requirement speaks of: "
            "another one decides"
        )
        if verdict.passed and verdict.elsewhere and known is not None:
            return Status.KNOWN_FAILURE, f"{known.reason} ({known.issue})\n{elsewhere}"
        if verdict.passed and known is not None and not known.varies:
            why = f"known failure {known} passes now: take the entry out of the file ({known.issue})"
            return Status.FAILED, why
        if verdict.passed and verdict.excused:
            return _explained(verdict)
        if verdict.passed and verdict.elsewhere:
            return Status.BLOCKED, elsewhere
        if verdict.passed:
            return Status.PASSED, verdict.note
        message = self.writer.message(job, verdict)
        if not asked:
            return Status.BLOCKED, message
        if known is not None and not self.is_known(job, verdict):
            why = f"known failure {known}: its example {verdict.replayed}, and another call fails; correct the entry"
            return Status.FAILED, f"{why} ({known.issue})\n{message}"
        if known is not None:
            return Status.KNOWN_FAILURE, f"{known.reason} ({known.issue})\n{message}"
        if (cause := self.excuse(job)) is not None:
            why = f"{cause.requirement}: {cause.reason} ({cause.issue})"
            return Status.KNOWN_FAILURE, f"{why}\n{message}"
        return Status.FAILED, message

    def is_known(self, job: Job, verdict: Verdict) -> bool:
        """Return whether a failure of the backend is a known one, of its requirement or of one that it exemplifies."""
        known = self.known_failure(job.key)
        if known is None:
            return self.excuse(job) is not None
        return bool(known.varies) or verdict.replayed in ("", "fails")

    def excuse(self, job: Job) -> KnownFailure | None:
        """Return the known failure of a requirement that a failing case is an example of, if there is one."""
        first = job.subject.specification.combinations(job.subject.backend.features, job.requirement)[0][1]
        for named in job.exemplified:
            key = job.key._replace(requirement=named.id, dtype=job.key.dtype if named.every_dtype else first)
            if (known := self.known_failure(key)) is not None:
                return known
        return None


def _explained(verdict: Verdict) -> tuple[Status, str]:
    """Return the status and the message of a check whose failures an earlier one explains.

    Calls that the backend refuses, as it did for the earlier requirement, are left out; the others decide.
    """
    counted = f"{verdict.excused} of {verdict.examples} calls"
    if verdict.refused == verdict.excused < verdict.examples:
        return Status.PASSED, f"{counted} left out: they raise as in {verdict.cause}"
    return Status.BLOCKED, f"{explained(verdict.cause)} ({counted})"
