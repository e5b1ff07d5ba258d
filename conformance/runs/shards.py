"""Split a run into shards for several machines, and merge the reports of the shards."""

from __future__ import annotations

import argparse
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from typing import Any

from conformance import specifications
from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.engine.text import one_line
from conformance.isolation.task import RemoteBackend
from conformance.reporting.reading import BadReport, Report, read
from conformance.reporting.report import Outcome, as_text, catalogues, counted
from conformance.runs.prerequisites import settle
from conformance.runs.selection import Speaker, costs_of, keys_of, outcome, requirements_of


@dataclass(frozen=True)
class Shard:
    """One of ``count`` parts of a run; the first has index 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def of(cls, text: str) -> Shard:
        """Parse ``1/2``. Raises ValueError."""
        match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text)
        if not match or int(match[1]) > int(match[2]):
            raise ValueError(f"{text!r} is no shard: write i/n, such as 1/4 for the first of four.")
        return cls(int(match[1]), int(match[2]))

    def part(self, keys: Sequence[Key], costs: Sequence[float]) -> list[Key]:
        """Return the keys of this shard: at least one, in one stretch so that checks share examples, of equal cost.

        ``costs`` holds a number for each key. Raises ValueError if there are more shards than keys.
        """
        if self.count > len(keys):
            raise ValueError(f"there are only {counted(len(keys), 'check')} to split.")
        sums = list(accumulate(costs))
        bounds = [0]
        for number in range(1, self.count):
            even = bisect_left(sums, sums[-1] * number / self.count)
            bounds.append(min(max(even, bounds[-1] + 1), len(keys) - self.count + number))
        first, end = list(pairwise([*bounds, len(keys)]))[self.index - 1]
        return list(keys[first:end])


@dataclass(frozen=True)
class Piece:
    """The reports of one shard and their file."""

    path: str
    shard: Shard
    reports: tuple[Report, ...]

    @property
    def suite(self) -> dict[str, Any]:
        return {name: value for name, value in self.reports[0].suite.items() if name != "shard"}


def merge(paths: Sequence[str]) -> tuple[list[Outcome], dict[str, Any], dict[str, Any]]:
    """Return the outcomes of the whole run of these shards, its suite, and its date and machine. Raises BadReport."""
    pieces = sorted((piece_of(path) for path in paths), key=lambda piece: piece.shard.index)
    for one, other in combinations(pieces, 2):
        require_one_run(one, other)
    here, count = pieces[0], pieces[0].shard.count
    missing = [str(Shard(i, count)) for i in range(1, count + 1) if i not in {piece.shard.index for piece in pieces}]
    if missing:
        which = "shard " + missing[0] if len(missing) == 1 else "shards " + ", ".join(missing)
        raise BadReport(f"{which} of the run {'is' if len(missing) == 1 else 'are'} missing.")
    speakers = [_speakers(place, report, here.path) for place, report in enumerate(here.reports)]
    asked = keys_of([speaker for of_backend in speakers for speaker in of_backend])
    spoken = {s.specification.name: s.specification for of_backend in speakers for s in of_backend}
    costs = costs_of(spoken.values(), asked)
    results: dict[Key, Finding] = {}
    for piece in pieces:
        results |= results_of(piece, piece.shard.part(asked, costs))
    settle(results, requirements_of(spoken.values()), asked)
    outcomes = [
        outcome(
            of_backend,
            results,
            asked,
            added(piece.reports[place].summary.get("seconds", {}) for piece in pieces),
            here.reports[place].summary.get("unmatched_known_failures", ()),
        )
        for place, of_backend in enumerate(speakers)
    ]
    return outcomes, here.suite, made_by(report for piece in pieces for report in piece.reports)


def made_by(reports: Iterable[Report]) -> dict[str, Any]:
    """Return the last date of the reports, and their machine if all have the same."""
    every = [report.made for report in reports]
    dates = [one["date"] for one in every if "date" in one]
    machines = [one.get("machine") for one in every]
    found: dict[str, Any] = {"date": max(dates)} if dates else {}
    return found | ({"machine": machines[0]} if machines[0] and all(m == machines[0] for m in machines) else {})


def piece_of(path: str) -> Piece:
    """Read the reports of a shard, which this suite must have run. Raises BadReport."""
    from conformance.version import __version__

    reports = read(path)
    for report in reports:
        suite = report.suite
        if not isinstance(suite.get("shard"), str):
            raise BadReport(f"{path} is no shard of a run: it was written without --shard.")
        spoken = [s for s in specifications.every().values() if s.name in report.claims]
        for name, wanted in (("version", __version__), ("catalogue", catalogues(spoken))):
            if suite[name] != wanted:
                what = "suite" if name == "version" else name
                raise BadReport(f"{path} is of {what} {suite[name]}, this is {wanted}: merge with what ran it.")
        if suite != reports[0].suite:
            raise BadReport(f"{path} holds reports of different runs.")
    try:
        return Piece(path, Shard.of(reports[0].suite["shard"]), tuple(reports))
    except ValueError as error:
        raise BadReport(f"{path}: {error}") from None


def require_one_run(one: Piece, other: Piece) -> None:
    """Raise BadReport unless these are two shards of one run."""
    both = f"{one.path} and {other.path}"
    for name in sorted({*one.suite, *other.suite}):
        mine, theirs = one.suite.get(name), other.suite.get(name)
        if mine != theirs:
            raise BadReport(f"{both} are of different runs: {name} {mine} and {theirs}.")
    if one.shard.count != other.shard.count:
        raise BadReport(f"{both} are of different runs: shard {one.shard} and {other.shard}.")
    if one.shard == other.shard:
        raise BadReport(f"{both} overlap: both are shard {one.shard}.")
    names = [[report.name for report in piece.reports] for piece in (one, other)]
    if names[0] != names[1]:
        raise BadReport(f"{both} are of different runs: backends {', '.join(names[0])} and {', '.join(names[1])}.")
    for mine, theirs in zip(one.reports, other.reports, strict=True):
        if mine.version != theirs.version:
            difference = f"{mine.name} in version {mine.version} and in {theirs.version}"
        elif mine.features != theirs.features:
            difference = f"{mine.name} claims other features"
        elif mine.summary.get("unmatched_known_failures") != theirs.summary.get("unmatched_known_failures"):
            difference = "with other known failures"
        else:
            continue
        raise BadReport(f"{both} are of different runs: {difference}.")


def _speakers(place: int, report: Report, path: str) -> list[Speaker]:
    """Return the backend of a report as a speaker for each of its specifications. Raises BadReport, with the path."""
    found = []
    for name, claims in report.claims.items():
        try:
            specification = specifications.named(name)
            backend = RemoteBackend(report.name, report.version, specification.features(**claims))
        except (specifications.UnknownSpecification, TypeError, ValueError) as error:
            why = f"the claims of {report.name} cannot be read by this suite ({one_line(error)})"
            raise BadReport(f"{path}: {why}.") from None
        found.append(Speaker(specification, backend, place))
    return found


def results_of(piece: Piece, wanted: Sequence[Key]) -> dict[Key, Finding]:
    """Return the findings of a shard by key. Raises BadReport unless their keys are ``wanted``."""
    found: dict[Key, Finding] = {}
    for report in piece.reports:
        for row in report.rows:
            if row.status != Status.NOT_CLAIMED:
                key = Key(row.id, report.name, row.kind, row.dtype, row.specification)
                found[key] = Finding.at(
                    key,
                    Status(row.status),
                    examples=row.examples,
                    margin=row.margin,
                    message=row.message,
                    diagnosis=tuple(row.diagnosis),
                    reproducer=row.reproducer,
                    steps=None if row.steps is None else tuple(row.steps),
                    seconds=row.seconds,
                    also=row.also,
                )
    expected = set(wanted)
    for key in found:
        if key not in expected:
            raise BadReport(f"{piece.path} overlaps with another shard: {key} is not of shard {piece.shard}.")
    if len(found) < len(expected):
        missing = counted(len(expected) - len(found), "check")
        raise BadReport(f"{piece.path} has gaps: {missing} of shard {piece.shard} not run.")
    return found


def added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Add up seconds by name."""
    sums: dict[str, float] = {}
    for seconds in parts:
        for name, value in seconds.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def add_to(commands: Any) -> None:
    """Add the command ``merge`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "merge",
        help="make one report of those of all shards of a run",
        description="Make one report of those of all shards of a run, as if it had been run in one piece. Exit "
        "status: 0 conforming, 1 not, as of a run; 2 if these are not all the shards of one run.",
    )
    parser.add_argument("reports", nargs="+", metavar="REPORT.json", help="what a run with --shard i/n wrote")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.json", help="the report of the whole run")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command and exit with its status."""
    from conformance.reporting.site.command import write
    from conformance.reporting.terminal import summary, unmatched

    try:
        outcomes, suite, made = merge(arguments.reports)
        write(Path(arguments.output), as_text(outcomes, suite, made))
    except BadReport as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for line in (*summary(outcomes, arguments.output), *unmatched(outcomes), f"report: {arguments.output}"):
        print(line)
    parser.exit(int(not all(outcome.conformant and not outcome.unmatched for outcome in outcomes)))
