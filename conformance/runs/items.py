"""Requirements as items of pytest: the suite in the tests of another project."""

from __future__ import annotations

import atexit
import warnings
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import pytest

from conformance.engine.finding import Finding, Status
from conformance.runs.api import prepared
from conformance.runs.job import Job
from conformance.runs.session import Session


def settle_item(finding: Finding) -> None:
    """End a pytest test with the outcome of its finding: passed, skipped, xfailed or failed."""
    if finding.status is Status.BLOCKED and finding.prerequisite:
        pytest.skip(finding.message)
    if finding.status is Status.KNOWN_FAILURE:
        # pytest.xfail would have pytest read the sources of its own stack: 30 ms each
        raise pytest.xfail.Exception(finding.message.splitlines()[0], pytrace=False)
    if finding.status in (Status.FAILED, Status.BLOCKED):
        left = f"\n  reproducer: {finding.reproducer}" if finding.reproducer else ""
        pytest.fail(finding.message + left, pytrace=False)


class LazyRun:
    """The run of one decorated test: prepared at collection, started by the first check.

    Jobs run in the suite's order, prerequisites first; the order of the items has no effect.
    """

    every: list[LazyRun] = []  # noqa: RUF012  shared on purpose: all runs of this process

    def __init__(self, backend: Any, profile: str, options: dict[str, Any]) -> None:
        self.session: Session = prepared(backend, profile, options)
        self.jobs: list[Job] = self.session.jobs()
        self.expected: list[Job] | None = None
        """The jobs that pytest is going to check, None for all."""
        self._findings: dict[Job, Finding | Exception] = {}
        self.every.append(self)
        atexit.register(self.session.close)

    def expect(self, jobs: Iterable[Job]) -> None:
        """Restrict the run to these jobs."""
        wanted = set(jobs)
        self.expected = [job for job in self.jobs if job in wanted]

    @cached_property
    def _left(self) -> list[Job]:
        """The jobs that have not run yet, the next one last; the first access starts them."""
        jobs = self.jobs if self.expected is None else self.expected
        self.session.start(jobs)
        return list(reversed(jobs))

    def finding(self, job: Job) -> Finding:
        """Run the jobs up to this one and return its finding, or raise the exception that ended it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # adapters may warn
            while job not in self._findings:
                self._judge(self._left[-1])
                self._left.pop()
        found = self._findings[job]
        if isinstance(found, Exception):
            raise found
        return found

    def _judge(self, job: Job) -> None:
        """Keep the job's finding; an exception, which is the suite's own, is kept for the job's item."""
        try:
            self._findings[job] = self.session.finding(job)
        except Exception as error:
            self._findings[job] = error

    def close(self) -> None:
        """End the processes of the run."""
        self.session.close()
        atexit.unregister(self.session.close)


class RequirementItem:
    """One requirement put to a backend, for one kind and dtype."""

    def __init__(self, run: LazyRun, job: Job) -> None:
        self.run, self.job = run, job

    @property
    def id(self) -> str:
        """The id of the requirement."""
        return self.job.requirement.id

    def check(self) -> None:
        """Run the requirement's check. A failure fails the test, a known failure is an xfail, a blocked one a skip."""
        settle_item(self.run.finding(self.job))

    def __str__(self) -> str:
        return str(self.job)

    def __repr__(self) -> str:
        return f"<requirement {self.job}>"


def parametrize_with_requirements(backend: Any, profile: str = "standard", **options: Any) -> Callable[[Any], Any]:
    """Make a test ``def test_...(requirement)`` run once for each requirement, kind and dtype that a backend claims.

    The test calls ``requirement.check()``. ``backend``, ``profile`` and ``options`` are as in ``conformance.run``. The
    first check runs all collected requirements in the suite's order; each process of pytest-xdist runs them by itself.
    Raises ValueError, one sentence, for an option or a backend that cannot be used.
    """
    if options.get("report") is not None:
        raise ValueError("report: tests of requirements write none; give it to conformance.run or check_backend.")
    run = LazyRun(backend, profile, options)
    items = [RequirementItem(run, job) for job in run.jobs]
    return pytest.mark.parametrize("requirement", items, ids=[str(item) for item in items])


def expect_items(items: Iterable[pytest.Item]) -> None:
    """Restrict each run of this process to the requirements that pytest is going to check."""
    asked: dict[LazyRun, list[Job]] = {run: [] for run in LazyRun.every}
    for item in items:
        callspec = getattr(item, "callspec", None)
        for value in callspec.params.values() if callspec else ():
            if isinstance(value, RequirementItem):
                asked[value.run].append(value.job)
    for run, jobs in asked.items():
        run.expect(jobs)


def close_runs() -> None:
    """End the processes of every run of this process."""
    while LazyRun.every:
        LazyRun.every.pop().close()
