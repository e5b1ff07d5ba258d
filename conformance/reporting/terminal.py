"""The run on a terminal: a line of progress, and a summary that fits a screen."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import shorten
from typing import Any

from conformance import specifications
from conformance.engine.finding import HUNG_BEFORE, Finding, Status
from conformance.reporting.report import Outcome, Row, counted, diagnosed, percent, verdict_of
from conformance.reporting.severity import accepted, cure, grossest_first, severity
from conformance.reporting.shares import by_specification

MAX_FAILURE_PARAGRAPHS = 4  # failing requirements with a paragraph each, in pytest's list of failures and in ours
MAX_LIST_LINES = 10  # of any other list
MAX_NAMED_IDS = 8  # in a line
MAX_TEXT_CHARACTERS = 200
ESTIMATE_AFTER_SECONDS = 3.0  # before that the remaining time cannot be estimated


def and_more(number: int, report: str | None) -> str:
    """Return the last line of a list that was cut."""
    return f"and {number} more, {source(report)}"


def source(report: str | None) -> str:
    """Return the place of the whole list."""
    return f"see {report}" if report else "--conformance-report FILE keeps all"


def cut(lines: Sequence[str], most: int, report: str | None) -> Iterator[str]:
    """Yield the first ``most`` lines, then the number of the others."""
    yield from lines[:most]
    if len(lines) > most:
        yield and_more(len(lines) - most, report)


def named(ids: Iterable[str]) -> str:
    """Return the first MAX_NAMED_IDS of different ids, and the number of the others."""
    ids = list(dict.fromkeys(ids))
    more = len(ids) - MAX_NAMED_IDS
    return ", ".join(ids[:MAX_NAMED_IDS]) + (f" and {more} more" if more > 0 else "")


def alike(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """Group the rows by a key, in the order of each group's first row."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def where(rows: Iterable[Row]) -> str:
    """Return the kinds and dtypes of the rows: ``lstm float32, gru float32``."""
    return ", ".join(dict.fromkeys(f"{row.kind} {row.dtype}" for row in rows))


def failure_lines(row: Row) -> Iterator[str]:
    """Yield at most three lines on a failure: the statement, the message, the first sentence of the diagnosis."""
    yield shorten(row.statement, MAX_TEXT_CHARACTERS, placeholder="...")
    yield shorten(row.message.splitlines()[0], MAX_TEXT_CHARACTERS, placeholder="...")
    if row.diagnosed:
        yield shorten(row.diagnosed, 2 * MAX_TEXT_CHARACTERS, placeholder="...")


def summary(outcomes: Sequence[Outcome], report: str | None = None) -> Iterator[str]:
    """Yield the lines of the summary: a paragraph for each failing requirement, then a table for each backend."""
    for outcome in outcomes:
        yield from failures(outcome, report)
    for outcome in outcomes:
        yield from table(outcome, report)
        yield ""


def failures(outcome: Outcome, report: str | None) -> Iterator[str]:
    """Yield the lines on the requirements that failed, and on the requirements that these block."""
    by_id = grossest_first(row for row in outcome.rows if row.status == "failed")
    as_one = accepted(by_id)
    paragraphs = [*([id_] for id_ in by_id if id_ not in as_one), *([as_one] if as_one else [])]
    not_run = [row.id for row in outcome.rows if row.status == "blocked" and _hung_before(row)]
    blocked = [row.id for row in outcome.rows if row.status == "blocked" and not _hung_before(row)]
    if not by_id and not blocked and not not_run:
        return
    yield f"{outcome.name} ({outcome.version})"
    cut_off = MAX_FAILURE_PARAGRAPHS - bool(as_one)
    told = [*paragraphs[:cut_off], *([as_one] if as_one and as_one not in paragraphs[:cut_off] else [])]
    for ids in told:
        rows = [row for id_ in ids for row in by_id[id_]]
        yield f"  FAILED {named(ids)} ({where(rows)})"
        if len(ids) > 1:
            yield f"    {cure(len(ids), rows)}"
        yield from (f"    {line}" for line in failure_lines(rows[0]))
        if rows[0].reproducer:
            yield f"    reproducer: {rows[0].reproducer}"
    if rest := [id_ for ids in paragraphs if ids not in told for id_ in ids]:
        yield f"  FAILED besides: {named(rest)}; {source(report)}"
    if blocked:
        count = counted(len(set(blocked)), "requirement")
        yield f"  blocked: {count} whose failures these explain: {named(blocked)}"
    if not_run:
        count = counted(len(set(not_run)), "requirement")
        yield f"  not run: {count} of kinds and dtypes in which too many calls hung: {named(not_run)}"
    yield ""


def _hung_before(row: Row) -> bool:
    """Return whether a blocked requirement was not run because the backend hung too often."""
    return row.message.partition("\n")[0].endswith(HUNG_BEFORE)


def table(outcome: Outcome, report: str | None) -> Iterator[str]:
    """Yield a line for each area, the notes and known failures, the shares, and the verdict."""
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
    for claims in outcome.claims.values():
        yield from (f"  claims: {limit}" for limit in getattr(claims, "limits", list)())
    noted = alike((row for row in rows if row.status == "passed" and row.message), lambda row: row.message)
    notes = [
        f"  noted: {shorten(message, MAX_TEXT_CHARACTERS, placeholder='...')} ({where(group)})"
        for message, group in noted.items()
    ]
    yield from cut(notes, MAX_LIST_LINES, report)
    known = [row for row in rows if row.status == "known_failure"]
    reasons = [
        f"  known: {id_} ({where(group)}): {shorten(reason, MAX_TEXT_CHARACTERS, placeholder='...')}"
        for (id_, reason), group in alike(known, lambda row: (row.id, row.message.splitlines()[0])).items()
    ]
    yield from cut(reasons, MAX_LIST_LINES, report)
    yield from (f"  {name}: {shares.sentence}" for name, shares in by_specification(rows).items())
    yield f"  {outcome.name} {verdict(outcome)}."


def verdict(outcome: Outcome) -> str:
    """Return the verdict on the backend, to follow its name."""
    return verdict_of(outcome.rows, outcome.conformant)


def unmatched(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each entry of known failures that matches nothing."""
    for entry in dict.fromkeys(entry for outcome in outcomes for entry in outcome.unmatched):
        yield f"known failure {entry} matches no requirement of this run: mend or remove it."


@contextmanager
def screenful(reporter: Any, report: str | None) -> Iterator[None]:
    """Cut pytest's lists of failures to the suite's grossest MAX_FAILURE_PARAGRAPHS; leave its count unchanged."""
    failed = reporter.stats.get("failed", [])
    ours = [one for one in failed if hasattr(one, "conformance")]
    if len(ours) <= MAX_FAILURE_PARAGRAPHS or reporter.config.get_verbosity() > 0:
        yield
        return
    shown = sorted(ours, key=_severity_of_report)[:MAX_FAILURE_PARAGRAPHS]
    reporter.stats["failed"] = [*(one for one in failed if not hasattr(one, "conformance")), *shown]
    try:
        yield
    finally:
        reporter.stats["failed"] = failed


def _severity_of_report(report: Any) -> tuple[int, bool, float]:
    found = Finding.of_json(json.loads(report.conformance))
    entry = specifications.named(found.specification).requirements.get(found.requirement)
    return severity("" if entry is None else entry.area, found.margin, found.message, found.also)


class Progress:
    """A line at the foot of a terminal: the checks done, the failures so far, the time spent and the time left.

    ``reporter`` is pytest's terminal reporter; ``costs`` holds the relative cost of each check by the name of its
    trial.
    """

    def __init__(self, reporter: Any, costs: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self.reporter, self.costs, self.clock = reporter, costs, clock
        self.started: float | None = None
        self.count = self.done = 0
        self.cost = self.spent = 0.0
        self.failed: list[str] = []

    def expect(self, tests: Iterable[str]) -> None:
        """Set the tests that are going to run; a test's name ends in the name of its trial, in brackets."""
        costs = [self.costs[name] for name in map(trial_name, tests) if name in self.costs]
        self.count, self.cost, self.started = len(costs), sum(costs), self.clock()

    def running(self, test: str) -> None:
        """Show the test that starts."""
        if self.started is not None and (name := trial_name(test)) in self.costs:
            self._write(f"{self.line()} - {name}")

    def ended(self, test: str, finding: Finding) -> None:
        """Count a test that has ended; show the failures and diagnoses of the first MAX_FAILURE_PARAGRAPHS."""
        self.done += 1
        self.spent += self.costs.get(trial_name(test), 0.0)
        if finding.status is Status.FAILED:
            self.failed.append(finding.requirement)
            if len(set(self.failed)) <= MAX_FAILURE_PARAGRAPHS and self.failed.count(finding.requirement) == 1:
                self._write("")
                first = shorten(finding.message.splitlines()[0], MAX_TEXT_CHARACTERS, placeholder="...")
                self.reporter.write("\r")
                where = f"{finding.kind} {finding.dtype}"
                self.reporter.write_line(f"FAILED {finding.requirement} ({where}): {first}", red=True)
                if said := diagnosed(finding):
                    self.reporter.write_line("  " + shorten(said, 2 * MAX_TEXT_CHARACTERS, placeholder="..."))

    def line(self) -> str:
        """Return the current line."""
        assert self.started is not None
        passed = self.clock() - self.started
        parts = [f"{self.done} of {self.count} checks"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        parts.append(minutes(passed))
        if self.spent and passed >= ESTIMATE_AFTER_SECONDS:
            parts.append(f"about {minutes(passed * (self.cost - self.spent) / self.spent)} left")
        return f"{self.spent / self.cost if self.cost else 1:4.0%} " + ", ".join(parts)

    def end(self) -> None:
        """Erase the line."""
        if self.started is not None:
            self._write("")
            self.reporter.write("\r", flush=True)
            self.started = None

    def _write(self, line: str) -> None:
        self.reporter.rewrite(line[: self.reporter._tw.fullwidth - 1], erase=True)
        self.reporter.flush()


def trial_name(test: str) -> str:
    """Return the name of the trial at the end of a test's name."""
    return test[test.find("[") + 1 : -1] if test.endswith("]") else ""


def minutes(seconds: float) -> str:
    """Write seconds as ``1:05`` or ``2:00:10``."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
