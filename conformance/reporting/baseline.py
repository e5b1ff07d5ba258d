"""Compare a run with an earlier report, the baseline: the gate fails only for changes for the worse."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from conformance.reporting.changes import Change, Comparison, compare
from conformance.reporting.reading import BadReport, Report, read
from conformance.reporting.report import counted
from conformance.reporting.terminal import (
    MAX_FAILURE_PARAGRAPHS,
    MAX_LIST_LINES,
    MAX_TEXT_CHARACTERS,
    cut,
    failure_lines,
    named,
)

SUITE = ("version", "catalogue")  # the keys of a report's suite that decide the requirements


@dataclass(frozen=True)
class Judged:
    """A backend in both reports: its comparison, and the changes for the worse that are excused."""

    comparison: Comparison

    @property
    def other_suite(self) -> bool:
        """Whether the two runs had different requirements."""
        old, new = self.comparison.old.suite, self.comparison.new.suite
        return any(old.get(name) != new.get(name) for name in SUITE)

    def excuse(self, change: Change) -> str:
        """Return the reason why a change for the worse does not fail the gate; empty if it does.

        A known failure is excused by its entry with reason and issue. With another suite or catalogue, a requirement
        that the baseline lacks or states differently cannot have got worse.
        """
        if change.status == "known_failure":
            return "a known failure now"
        if not self.other_suite:
            return ""
        old, new = self.comparison.old, self.comparison.new
        before, after = ({row.id: row.statement for row in report.rows} for report in (old, new))
        if change.id not in before:
            return "a new requirement"
        if change.id not in after and new.complete:
            return "no requirement any more"
        if change.id in after and before[change.id] != after[change.id]:
            return "a requirement that states something else now"
        return ""

    @property
    def worse(self) -> list[Change]:
        """The changes that fail the gate."""
        return [change for change in self.comparison.worse if not self.excuse(change)]

    def lines(self, report: str | None) -> Iterator[str]:
        """Yield a paragraph for each failure, then the other changes for the worse, the excused and the better ones."""
        old, new = self.comparison.old, self.comparison.new
        yield f"{new.name} ({new.version}; in the baseline {old.version})"
        if self.comparison.caution:
            yield f"  {self.comparison.caution}"
        blocked = [change.id for change in self.worse if change.status == "blocked"]
        failed = [change for change in self.worse if change.status == "failed"]
        less = [change for change in self.worse if change.status not in ("failed", "blocked")]
        for change in failed[:MAX_FAILURE_PARAGRAPHS]:
            yield f"  WORSE {_line(change)}"
            if (row := change.now[0]) is not None:
                yield from (f"    {line}" for line in failure_lines(row))
        rest = (*failed[MAX_FAILURE_PARAGRAPHS:], *less)
        yield from cut([f"  WORSE {_line(change)}" for change in rest], MAX_LIST_LINES, report)
        if blocked:
            yield f"  WORSE {counted(len(set(blocked)), 'requirement')} blocked by what failed: {named(blocked)}"
        excused = [f"  not counted, {why}: {_line(c)}" for c in self.comparison.worse if (why := self.excuse(c))]
        yield from cut(excused, MAX_LIST_LINES, report)
        yield from cut([f"  better {_line(change)}" for change in self.comparison.better], MAX_LIST_LINES, report)


@dataclass(frozen=True)
class Gate:
    """The comparison of all backends of a run with the baseline."""

    judged: tuple[Judged, ...]
    new: tuple[Report, ...]
    """The reports on backends that the baseline lacks: each has to conform."""
    missing: tuple[str, ...]
    """The names of the backends that only the baseline has."""

    @property
    def worse(self) -> int:
        """The number of requirements and backends that got worse."""
        own = [row.id for report in self.new for row in report.rows if row.status in ("failed", "blocked")]
        return sum(len({change.id for change in one.worse}) for one in self.judged) + len(set(own)) + len(self.missing)

    def lines(self, report: str | None = None) -> Iterator[str]:
        """Yield the gate in words, at most a screen for each backend."""
        for one in self.judged:
            yield from one.lines(report)
        for mine in self.new:
            yield f"{mine.name} ({mine.version}) is not in the baseline: it counts by itself, and {mine.verdict}."
        for name in self.missing:
            yield f"WORSE {name} is in the baseline and was not run."
        better = len({change.id for one in self.judged for change in one.comparison.better})
        if self.worse:
            yield f"Against the baseline {self.worse} got worse."
        elif better:
            yield f"Against the baseline nothing got worse and {counted(better, 'requirement')} better: tighten it,"
            yield "make this run's report the baseline."
        else:
            yield "Against the baseline nothing got worse."


def _line(change: Change) -> str:
    where = shorten(", ".join(change.where), MAX_TEXT_CHARACTERS, placeholder="...")
    return f"{change.id} ({where}): {change.before}, now {change.after}"


def baseline(path: str, profile: str | None = None) -> list[Report]:
    """Read the reports of a baseline for a run in that profile. Raises BadReport if they cannot serve as one."""
    reports = read(path)
    for report in reports:
        if "shard" in report.suite:
            raise BadReport(f"{path} is shard {report.suite['shard']} of a run: merge the shards first.")
        if [other.name for other in reports].count(report.name) > 1:
            raise BadReport(f"{path} holds two reports of {report.name}: a baseline holds one of each backend.")
        if profile not in (None, report.suite["profile"]):
            raise BadReport(
                f"{path} is a run in profile {report.suite['profile']}, this one is in {profile}: "
                "a baseline is compared with the same profile alone."
            )
    return reports


def judge(old: Sequence[Report], new: Sequence[Report]) -> Gate:
    """Compare newer reports with older ones."""
    before = {report.name: report for report in old}
    now = {report.name for report in new}
    return Gate(
        tuple(Judged(compare(before[report.name], report)) for report in new if report.name in before),
        tuple(report for report in new if report.name not in before),
        tuple(name for name in before if name not in now),
    )


def add_to(commands: Any) -> None:
    """Add the command ``compare`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "compare",
        help="hold a report against an earlier one",
        description="Hold a report against an earlier one. Exit status: 0 if nothing got worse, 1 if something did, "
        "2 if the two cannot be compared.",
    )
    parser.add_argument("old", metavar="OLD.json", help="the report of the earlier run, the baseline")
    parser.add_argument("new", metavar="NEW.json", help="the report of the newer run")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command and exit with its status."""
    try:
        new = baseline(arguments.new)
        for profile in {report.suite["profile"] for report in new}:
            old = baseline(arguments.old, profile)
    except BadReport as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    gate = judge(old, new)
    for line in gate.lines(arguments.new):
        print(line)
    parser.exit(int(gate.worse > 0))
