"""What a reader of the terminal sees: a line that moves while the run goes on, and a summary that fits a screen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

from conformance.engine.finding import Finding, Status
from conformance.reporting.report import Outcome, Row, conforms, percent

MOST_TOLD = 4  # failing requirements with a paragraph each, in pytest's list of failures and in ours
MOST_LINES = 10  # of any other list
MOST_NAMED = 8  # ids in a line
LONGEST = 200  # characters of a text
PATIENCE = 3.0  # seconds before the time that is left is told: the first checks say little


def and_more(number: int, report: str | None) -> str:
    """What ends a list that was cut."""
    return f"and {number} more, {source(report)}"


def source(report: str | None) -> str:
    """Where all of it is."""
    return f"see {report}" if report else "--conformance-report FILE keeps all"


def cut(lines: Sequence[str], most: int, report: str | None) -> Iterator[str]:
    """The first of these lines, and how many there are besides."""
    yield from lines[:most]
    if len(lines) > most:
        yield and_more(len(lines) - most, report)


def named(ids: Iterable[str]) -> str:
    """The first of these ids, and how many there are besides."""
    ids = list(dict.fromkeys(ids))
    return ", ".join(ids[:MOST_NAMED]) + (f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else "")


def alike(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """The rows by what they have in common, in the order of the first of each."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def where(rows: Iterable[Row]) -> str:
    """Kinds and dtypes of the rows: ``lstm float32, gru float32``."""
    return ", ".join(f"{row.kind} {row.dtype}" for row in rows)


def told(row: Row) -> Iterator[str]:
    """What is wrong, in at most three lines: what was stated, what came, which fault that is."""
    yield shorten(row.statement, LONGEST, placeholder="...")
    yield shorten(row.message.splitlines()[0], LONGEST, placeholder="...")
    for fault in row.diagnosis[:1]:
        yield f"these are the numbers of {fault['explanation']}"


def summary(outcomes: Sequence[Outcome], report: str | None = None) -> Iterator[str]:
    """The lines of the summary: failures first, a paragraph a requirement, then a table for each backend."""
    for outcome in outcomes:
        yield from failures(outcome, report)
    for outcome in outcomes:
        yield from table(outcome, report)
        yield ""


def failures(outcome: Outcome, report: str | None) -> Iterator[str]:
    """The requirements that failed, and those that could say nothing for that."""
    by_id = alike((row for row in outcome.rows if row.status == "failed"), lambda row: row.id)
    blocked = [row.id for row in outcome.rows if row.status == "blocked"]
    if not by_id and not blocked:
        return
    yield f"{outcome.name} ({outcome.version})"
    for id_, those in list(by_id.items())[:MOST_TOLD]:
        yield f"  FAILED {id_} ({where(those)})"
        yield from (f"    {line}" for line in told(those[0]))
        if those[0].reproducer:
            yield f"    reproducer: {those[0].reproducer}"
    if len(by_id) > MOST_TOLD:
        rest = list(by_id)[MOST_TOLD:]
        yield f"  FAILED besides: {named(rest)}; {source(report)}"
    if blocked:
        count = len(set(blocked))
        yield f"  blocked: {count} requirements that build on what failed: {named(blocked)}"
    yield ""


def table(outcome: Outcome, report: str | None) -> Iterator[str]:
    """A line for each area, what is known and noted, and the verdict."""
    rows = outcome.rows
    yield f"{outcome.name} ({outcome.version})"
    yield (
        f"  {'area':<14}{'passed':>8}{'failed':>8}{'blocked':>8}{'known':>8}{'unclaimed':>10}"
        f"{'examples':>10}{'margin':>9}"
    )
    for area in outcome.areas:
        mine = [row for row in rows if row.area == area]
        if not mine:
            continue
        count = Counter(row.status for row in mine)
        margins = [r.margin for r in mine if r.margin is not None and r.status == "passed"]
        yield (
            f"  {area:<14}{count['passed']:>8}{count['failed']:>8}{count['blocked']:>8}{count['known_failure']:>8}"
            f"{count['not_claimed']:>10}{sum(r.examples for r in mine):>10}{percent(max(margins, default=None)):>9}"
        )
    if outcome.seconds:
        yield "  time: " + ", ".join(f"{name} {s:.1f} s" for name, s in outcome.seconds.items())
    noted = alike((row for row in rows if row.status == "passed" and row.message), lambda row: row.message)
    notes = [f"  noted: {shorten(m, LONGEST, placeholder='...')} ({where(those)})" for m, those in noted.items()]
    yield from cut(notes, MOST_LINES, report)
    known = [row for row in rows if row.status == "known_failure"]
    reasons = [
        f"  known: {id_} ({where(those)}): {shorten(reason, LONGEST, placeholder='...')}"
        for (id_, reason), those in alike(known, lambda row: (row.id, row.message.splitlines()[0])).items()
    ]
    yield from cut(reasons, MOST_LINES, report)
    yield f"  {outcome.name} {verdict(outcome)}."


def verdict(outcome: Outcome) -> str:
    """What is to be said of the backend, after its name."""
    failed = len({row.id for row in outcome.rows if row.status == "failed"})
    if outcome.conformant:
        return conforms(len({row.id for row in outcome.rows if row.status == "known_failure"}))
    if failed:
        return f"does not conform: {failed} requirement{'' if failed == 1 else 's'} failed"
    return "is not known to conform: not everything was run"


def unmatched(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The known failures of a run that are those of nothing."""
    for entry in dict.fromkeys(entry for outcome in outcomes for entry in outcome.unmatched):
        yield f"known failure {entry} matches no requirement of this run: mend or remove it."


@contextmanager
def screenful(reporter, report: str | None) -> Iterator[None]:
    """pytest's own lists of failures cut after the first of the suite's, its count of them left as it is."""
    failed = reporter.stats.get("failed", [])
    ours = [one for one in failed if hasattr(one, "conformance")]
    if len(ours) <= MOST_TOLD or reporter.config.get_verbosity() > 0:
        yield
        return
    hidden = {id(one) for one in ours[MOST_TOLD:]}
    reporter.stats["failed"] = [one for one in failed if id(one) not in hidden]
    try:
        yield
    finally:
        reporter.stats["failed"] = failed


class Progress:
    """One line at the foot of a terminal: how far the run is, what failed so far, and how long it takes yet.

    reporter is pytest's; costs are those of the checks by the name of their trial.
    """

    def __init__(self, reporter, costs: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self.reporter, self.costs, self.clock = reporter, costs, clock
        self.started: float | None = None
        self.count = self.done = 0
        self.cost = self.spent = 0.0
        self.failed: list[str] = []

    def expect(self, tests: Iterable[str]) -> None:
        """These tests are going to be run; their names end in the name of the trial, in brackets."""
        costs = [self.costs[name] for name in map(trial_name, tests) if name in self.costs]
        self.count, self.cost, self.started = len(costs), sum(costs), self.clock()

    def running(self, test: str) -> None:
        """That test begins."""
        if self.started is not None and (name := trial_name(test)) in self.costs:
            self._write(f"{self.line()} - {name}")

    def ended(self, test: str, finding: Finding) -> None:
        """Count a test that has ended, and show its failure if it is one of the first."""
        self.done += 1
        self.spent += self.costs.get(trial_name(test), 0.0)
        if finding.status is Status.FAILED:
            self.failed.append(finding.requirement)
            if len(set(self.failed)) <= MOST_TOLD and self.failed.count(finding.requirement) == 1:
                self._write("")
                first = shorten(finding.message.splitlines()[0], LONGEST, placeholder="...")
                self.reporter.write("\r")
                where = f"{finding.kind} {finding.dtype}"
                self.reporter.write_line(f"FAILED {finding.requirement} ({where}): {first}", red=True)

    def line(self) -> str:
        """The line as it is now."""
        passed = self.clock() - self.started
        parts = [f"{self.done} of {self.count} checks"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        parts.append(minutes(passed))
        if self.spent and passed >= PATIENCE:
            parts.append(f"about {minutes(passed * (self.cost - self.spent) / self.spent)} left")
        return f"{self.spent / self.cost if self.cost else 1:4.0%} " + ", ".join(parts)

    def end(self) -> None:
        """Leave nothing behind."""
        if self.started is not None:
            self._write("")
            self.reporter.write("\r", flush=True)
            self.started = None

    def _write(self, line: str) -> None:
        self.reporter.rewrite(line[: self.reporter._tw.fullwidth - 1], erase=True)
        self.reporter.flush()


def trial_name(test: str) -> str:
    """The name of the trial that a test's name ends in."""
    return test[test.find("[") + 1 : -1] if test.endswith("]") else ""


def minutes(seconds: float) -> str:
    """``1:05`` or ``2:00:10``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
