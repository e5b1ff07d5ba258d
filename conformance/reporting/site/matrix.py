"""The matrix of requirements by backend; a cell shows one status for all its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from conformance.reporting import order
from conformance.reporting.reading import Report
from conformance.reporting.report import Row

TORCH_PAGES = "https://docs.pytorch.org/docs/stable/generated/"
ONNX_PAGES = "https://onnx.ai/onnx/operators/"
WORST_FIRST = ("failed", "blocked", "known_failure", "passed", "not_claimed")
MARKS = {"failed": "✗", "blocked": "◌", "known_failure": "△", "passed": "✓", "not_claimed": "–"}
MEANINGS = {
    "failed": "departs from the documentation",
    "blocked": "was not run, because something that it builds on failed",
    "known_failure": "fails, as a known failure with reason and issue says",
    "passed": "every example passed",
    "not_claimed": "the backend does not claim what is needed",
}


@dataclass(frozen=True)
class Cell:
    """The rows of one requirement and backend; the cell shows their worst status."""

    rows: tuple[Row, ...]

    @cached_property
    def status(self) -> str | None:
        """The worst status of the rows; None without rows."""
        return worst(row.status for row in self.rows)

    @property
    def part(self) -> str:
        """The share of the rows with that status, ``2/3``; empty if all have it."""
        of_it = sum(row.status == self.status for row in self.rows)
        return "" if of_it == len(self.rows) else f"{of_it}/{len(self.rows)}"


@dataclass(frozen=True)
class Line:
    """One requirement with a cell for each report."""

    id: str
    area: str
    statement: str
    source: str
    ruling: str
    builds_on: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Area:
    """The requirements of one area of a specification."""

    name: str
    specification: str
    lines: tuple[Line, ...]

    def counts(self, column: int) -> list[tuple[str, int]]:
        """Return pairs (status, number of requirements) for one backend, the worst status first."""
        found = Counter(line.cells[column].status for line in self.lines)
        return [(status, found[status]) for status in WORST_FIRST if found[status]]


def worst(statuses: Iterable[str]) -> str | None:
    """Return the worst of the statuses; None without statuses."""
    return min(statuses, key=WORST_FIRST.index, default=None)


def matrix(reports: Sequence[Report]) -> list[Area]:
    """Return the areas of each specification; requirements in the catalogue's order, unknown ones last."""
    rows_of_all = [row for report in reports for row in report.rows]
    return [area for name in order.names(rows_of_all) for area in _areas(reports, name)]


def _areas(reports: Sequence[Report], specification: str) -> Iterator[Area]:
    """Yield the areas of one specification."""
    rows_of_all = [row for report in reports for row in report.rows if row.specification == specification]
    entries = order.entries(rows_of_all)
    places = {id_: place for place, id_ in enumerate(entries)}
    found: dict[str, list[list[Row]]] = {}
    for column, report in enumerate(reports):
        for row in report.rows:
            if row.specification == specification:
                found.setdefault(row.id, [[] for _ in reports])[column].append(row)
    areas: dict[str, list[Line]] = {}
    for id_ in sorted(found, key=lambda id_: places.get(id_, len(places))):  # stable: unknown ones keep their order
        rows = next(rows for rows in reversed(found[id_]) if rows)
        entry, first = entries.get(id_), rows[0]
        line = Line(
            id=id_,
            area=first.area,
            statement=first.statement,
            source=first.source,
            ruling=entry.ruling if entry else "",
            builds_on=entry.builds_on if entry else (),
            cells=tuple(Cell(tuple(rows)) for rows in found[id_]),
        )
        areas.setdefault(line.area, []).append(line)
    yield from (Area(area, specification, tuple(areas[area])) for area in order.areas(rows_of_all) if area in areas)


def columns(reports: Sequence[Report]) -> tuple[list[Report], list[tuple[Report, Report]]]:
    """Return the last report of each backend, for the columns, and for each with more the last two, to compare."""
    runs = runs_of(reports)
    return [of_backend[-1] for of_backend in runs], [(r[-2], r[-1]) for r in runs if len(r) > 1]


def runs_of(reports: Sequence[Report]) -> list[list[Report]]:
    """Group the reports by backend, the oldest of each first.

    An older catalogue comes before a newer one, then an earlier date if all of them have one; otherwise they keep the
    order in which they were given.
    """
    by_name: dict[str, list[Report]] = {}
    for report in reports:
        by_name.setdefault(report.name, []).append(report)
    return [_oldest_first(of_backend) for of_backend in by_name.values()]


def _oldest_first(reports: Sequence[Report]) -> list[Report]:
    dated = all("date" in report.made for report in reports)

    def age(report: Report) -> tuple[list[int], str]:
        numbers = re.search(r"\d+(?:\.\d+)*", str(report.suite.get("catalogue", "")))
        catalogue = [int(part) for part in numbers[0].split(".")] if numbers else []
        return catalogue, str(report.made["date"]) if dated else ""

    return sorted(reports, key=age)


def documented_at(source: str, specification: str = "torch.nn") -> list[tuple[str, str]]:
    """Return the pages that a source names, with their addresses: two in ``torch.nn.RNN, LSTM: Inputs``.

    A source that is an address has no other pages.
    """
    if source.startswith("http"):
        return []
    names: list[str] = []
    if specification == "onnx":
        operators = re.match(r"((?:RNN|LSTM|GRU)(?:, (?:RNN|LSTM|GRU))*)\b", source)
        names = operators[1].split(", ") if operators else []
        return [(name, f"{ONNX_PAGES}onnx__{name}.html") for name in names]
    for match in re.finditer(r"(torch(?:\.[A-Za-z_]+)+)((?:, (?:RNN|LSTM|GRU)(?:Cell)?)*)", source):
        names += [match[1], *(f"torch.nn.{name}" for name in match[2].split(", ") if name)]
    return [(name, f"{TORCH_PAGES}{name}.html") for name in dict.fromkeys(names)]
