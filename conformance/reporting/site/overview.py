"""The first screen: a bar for each backend and specification, the gravest departures, the shares of each area."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path

from conformance.reporting import order
from conformance.reporting.history import former, slug
from conformance.reporting.reading import Report
from conformance.reporting.report import Row
from conformance.reporting.shares import Shares
from conformance.reporting.site.departures import Departure, departures
from conformance.reporting.site.findings import Findings
from reference.dialects import judged_by

MAX_GRAVEST = 2  # causes beside a bar; the backend's page has all
PARTS = ("fulfilled", "failed", "known", "blocked", "not_claimed")  # of a bar, from left to right


@dataclass(frozen=True)
class Links:
    """The way from the page to files of the project that it names."""

    root: Path | None = None
    """The folder that paths in reports are relative to; None: a path is shown as text."""
    folder: Path = Path()
    """The folder that the page is written to."""

    def to(self, path: str) -> str:
        """Return the relative address of a project's file; empty if no such file exists."""
        return self.to_file(self.root / path) if self.root is not None and path else ""

    def to_file(self, path: Path) -> str:
        """Return the relative address of a file; empty if it does not exist."""
        return Path(relpath(path, self.folder)).as_posix() if self.root is not None and path.is_file() else ""


@dataclass(frozen=True)
class Bar:
    """One backend under one specification."""

    report: Report
    shares: Shares
    causes: tuple[Departure, ...]
    areas: dict[str, Shares]
    specification: str

    @property
    def widths(self) -> list[tuple[str, float]]:
        """The bar's parts and their widths in percent."""
        counts = [(name, getattr(self.shares, name)) for name in PARTS]
        return [(name, round(100 * count / self.shares.total, 2)) for name, count in counts if count]

    @property
    def judged(self) -> list[str]:
        """Sentences on the kinds that are judged by another equation than the specification's."""
        return judged(self.report, self.specification)

    @property
    def first_causes(self) -> tuple[Departure, ...]:
        """The gravest causes."""
        return self.causes[:MAX_GRAVEST]


@dataclass(frozen=True)
class Chapter:
    """One specification on the first screen: its backends, the one with the most departures first."""

    name: str
    areas: tuple[str, ...]
    requirements: int
    bars: tuple[Bar, ...] = field(default=())


def chapters(reports: Sequence[Report], findings: Findings) -> list[Chapter]:
    """Return a chapter for each specification that a report speaks of."""
    every = [row for report in reports for row in report.rows]
    found = []
    for name in order.names(every):
        rows = [row for row in every if row.specification == name]
        of_chapter = {row.area for row in rows}
        areas = tuple(area for area in order.areas(rows) if area in of_chapter)
        bars = [bar(report, name, areas, findings) for report in reports if name in report.shares]
        bars.sort(key=lambda one: (-one.shares.departures - one.shares.blocked, one.report.name))
        found.append(Chapter(name, areas, len({row.id for row in rows}), tuple(bars)))
    return found


def bar(report: Report, specification: str, areas: Sequence[str], findings: Findings) -> Bar:
    """Return the bar of a report under one specification."""
    rows = [row for row in report.rows if row.specification == specification]
    of_area: dict[str, list[Row]] = {area: [] for area in areas}
    for row in rows:
        of_area[row.area].append(row)
    shares = {area: Shares.of(row.status for row in mine) for area, mine in of_area.items()}
    return Bar(report, report.shares[specification], tuple(departures(rows, findings)), shares, specification)


def judged(report: Report, specification: str) -> list[str]:
    """Return sentences on the kinds of a backend that are judged by a dialect; none if its claims have no dialects."""
    claims = report.claims.get(specification, {})
    return [*judged_by(claims.get("dialects", {}), claims.get("dialect_sources", {})).values()]


def places(cause: Departure, subjects: Sequence[tuple[str, str, str]]) -> str:
    """Return how many statements of a cause are at each subject's place: ``0:2 4:1``."""
    found = Counter(subjects.index((row.specification, row.kind, row.dtype)) for row in cause.rows)
    return " ".join(f"{place}:{number}" for place, number in sorted(found.items()))


def level(shares: Shares) -> str:
    """Return the name of a cell's colour: by the fulfilled part of the claimed statements, in steps."""
    if not shares.claimed:
        return "none"
    part = shares.fulfilled / shares.claimed
    steps = ((1.0, "all"), (0.95, "most"), (0.8, "many"), (0.5, "half"), (0.0, "few"))
    return next(name for least, name in steps if part >= least)


def short_percent(shares: Shares) -> str:
    """Return a cell's number: the whole percent, cut so that 100 means all, and ``–`` where nothing is claimed."""
    return str(100 * shares.fulfilled // shares.claimed) if shares.claimed else "–"


def keys(runs: Sequence[Report]) -> list[str]:
    """Return a key for each run of a backend, for addresses: its version and catalogue, numbered where they recur."""
    found: list[str] = []
    for report in runs:
        key = former(report).stem
        same = sum(one == key or one.startswith(f"{key}~") for one in found)
        found.append(f"{key}~{same + 1}" if same else key)
    return found


def slugs(names: Sequence[str]) -> dict[str, str]:
    """Return a file name for each backend; two names that differ only in odd characters have different ones."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        own = slug(name)
        while own.lower() in (other.lower() for other in found.values()):
            own += "_"
        found[name] = own
    return found
