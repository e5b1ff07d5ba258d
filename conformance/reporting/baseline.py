"""A run held against an earlier report: the gate fails on what got worse, and on nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten

from conformance.reporting.changes import Change, Comparison, compare
from conformance.reporting.reading import BadReport, Report, counted, read
from conformance.reporting.terminal import LONGEST, MOST_LINES, MOST_TOLD, cut, named, told

SUITE = ("version", "catalogue")  # of a report's suite: what is asked at all hangs on them


@dataclass(frozen=True)
class Judged:
    """A backend that both reports have: its comparison, and what of the worse does not fail the gate, and why."""

    comparison: Comparison

    @property
    def other_suite(self) -> bool:
        """Whether the two runs asked different things of the backend."""
        old, new = self.comparison.old.suite, self.comparison.new.suite
        return any(old.get(name) != new.get(name) for name in SUITE)

    def excuse(self, change: Change) -> str:
        """Why a change for the worse does not fail the gate; empty if it does.

        A known failure has been owned to, with reason and issue. Under another suite or catalogue a requirement that
        the baseline has not, or has with another statement, says nothing about what the backend did before.
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
        """What fails the gate."""
        return [change for change in self.comparison.worse if not self.excuse(change)]

    def lines(self, report: str | None) -> Iterator[str]:
        """What got worse, a paragraph each, then what did not count, then what got better."""
        old, new = self.comparison.old, self.comparison.new
        yield f"{new.name} ({new.version}; in the baseline {old.version})"
        if self.comparison.caution:
            yield f"  {self.comparison.caution}"
        blocked = [change.id for change in self.worse if change.status == "blocked"]
        failed = [change for change in self.worse if change.status == "failed"]
        less = [change for change in self.worse if change.status not in ("failed", "blocked")]
        for change in failed[:MOST_TOLD]:
            yield f"  WORSE {_told(change)}"
            yield from (f"    {line}" for line in told(change.now[0]))
        yield from cut([f"  WORSE {_told(change)}" for change in (*failed[MOST_TOLD:], *less)], MOST_LINES, report)
        if blocked:
            yield f"  WORSE {counted(len(set(blocked)), 'requirement')} blocked by what failed: {named(blocked)}"
        excused = [f"  not counted, {why}: {_told(c)}" for c in self.comparison.worse if (why := self.excuse(c))]
        yield from cut(excused, MOST_LINES, report)
        yield from cut([f"  better {_told(change)}" for change in self.comparison.better], MOST_LINES, report)


@dataclass(frozen=True)
class Gate:
    """All backends of a run held against the baseline."""

    judged: tuple[Judged, ...]
    new: tuple[Report, ...]
    """Those that the baseline has not: each is held against nothing, and has to pass."""
    missing: tuple[str, ...]
    """Those that the baseline has and the run has not."""

    @property
    def worse(self) -> int:
        """How many requirements and backends got worse."""
        own = [row.id for report in self.new for row in report.rows if row.status in ("failed", "blocked")]
        return sum(len({change.id for change in one.worse}) for one in self.judged) + len(set(own)) + len(self.missing)

    def lines(self, report: str | None = None) -> Iterator[str]:
        """The gate in words, at most a screen a backend."""
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


def _told(change: Change) -> str:
    where = shorten(", ".join(change.where), LONGEST, placeholder="...")
    return f"{change.id} ({where}): {change.before}, now {change.after}"


def baseline(path: str, profile: str | None = None) -> list[Report]:
    """The reports that a run in that profile may be held against. Raises BadReport."""
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
    """The newer reports held against the older."""
    before = {report.name: report for report in old}
    now = {report.name for report in new}
    return Gate(
        tuple(Judged(compare(before[report.name], report)) for report in new if report.name in before),
        tuple(report for report in new if report.name not in before),
        tuple(name for name in before if name not in now),
    )


def add_to(commands) -> None:
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
    """The command: ends with its exit status."""
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
