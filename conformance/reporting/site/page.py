"""The page: one HTML file, with the matrix as a table and the rows of its cells as data."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.reporting import order
from conformance.reporting.changes import Comparison
from conformance.reporting.reading import MAX_FINITE_MARGIN, WORDS, Report, margin_text
from conformance.reporting.report import Row, counted
from conformance.reporting.site.matrix import MARKS, MEANINGS, WORST_FIRST, Area, documented_at, matrix
from conformance.reporting.site.picture import longest_worst, margins, margins_picture, steps_picture

DOCUMENTATION = "https://docs.pytorch.org/docs/stable/generated/"


def page(reports: Sequence[Report], comparisons: Sequence[Comparison] = ()) -> str:
    """Return the page with a column for each report, and with the changes between runs."""
    environment = Environment(
        loader=PackageLoader("conformance.reporting.site"),
        autoescape=lambda name: name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"counted": counted, "margin": margin_text}
    areas = matrix(reports)
    drawn = [
        (report, shown, margins_picture(shown, f"m{n}"))
        for n, report in enumerate(reports)
        if (shown := margins(report))
    ]
    over_time = [
        (report, rows, steps_picture(rows, f"t{n}"))
        for n, report in enumerate(reports)
        if (rows := longest_worst(report))
    ]
    rows = [row for report in reports for row in report.rows]
    return environment.get_template("page.html").render(
        reports=reports,
        areas=areas,
        comparisons=comparisons,
        drawn=drawn,
        over_time=over_time,
        data=data(reports, areas),
        statuses=WORST_FIRST,
        marks=MARKS,
        words=WORDS,
        meanings=MEANINGS,
        kinds=order.kinds(rows),
        dtypes=order.dtypes(rows),
    )


class Numbered:
    """Different values with their numbers, so that the page holds each value once."""

    def __init__(self) -> None:
        self.values: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self.values.setdefault(value, len(self.values))


def data(reports: Sequence[Report], areas: Sequence[Area]) -> dict[str, Any]:
    """Return the data of the page's script: the requirements, and the rows of each cell.

    A row is [kind, dtype, status, examples, margin, message, faults, reproducer]. The first three and the last three
    are indices into lists.
    """
    texts, faults = Numbered(), Numbered()
    every_row = [row for report in reports for row in report.rows]
    kinds, dtypes = order.kinds(every_row), order.dtypes(every_row)

    def row(r: Row) -> list[Any]:
        margin = None if r.margin is None else float(f"{min(r.margin, 10 * MAX_FINITE_MARGIN):.4g}")
        found = [faults((fault["fault"], fault["explanation"])) for fault in r.diagnosis]
        place = [kinds.index(r.kind), dtypes.index(r.dtype), WORST_FIRST.index(r.status)]
        rest: list[Any] = [texts(r.message), found, texts(r.reproducer or "")]
        while rest and rest[-1] in (empty, []):
            rest.pop()
        return [*place, r.examples, margin, *rest]

    empty = texts("")
    requirements = {
        line.id: {
            "source": line.source,
            "documented": documented_at(line.source),
            "ruling": line.ruling,
            "builds": line.builds_on,
            "cells": [[row(r) for r in cell.rows] for cell in line.cells],
        }
        for area in areas
        for line in area.lines
    }
    return {
        "documentation": DOCUMENTATION,
        "backends": [report.name for report in reports],
        "kinds": kinds,
        "dtypes": dtypes,
        "statuses": [{"key": s, "word": WORDS[s], "mark": MARKS[s]} for s in WORST_FIRST],
        "requirements": requirements,
        "texts": list(texts.values),
        "faults": list(faults.values),
    }
