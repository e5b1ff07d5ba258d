"""Make the files beside the page, scripts that hand over data: the requirements with all statuses, and each backend.

A page that is opened from a file may load scripts and nothing else, so a file of data is a call of a function.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from conformance import specifications
from conformance.reporting import order
from conformance.reporting.changes import compare
from conformance.reporting.reading import MAX_FINITE_MARGIN, Report, margin_text
from conformance.reporting.report import Row
from conformance.reporting.shares import Shares
from conformance.reporting.site.departures import Departure, departures
from conformance.reporting.site.findings import Findings
from conformance.reporting.site.matrix import documented_at, matrix
from conformance.reporting.site.overview import Links, judged, keys
from conformance.reporting.site.picture import longest_worst, margins, margins_picture, steps_picture

CALL = "conformanceData"
LETTERS = {"failed": "f", "blocked": "b", "known_failure": "k", "passed": "p", "not_claimed": "n"}
ABSENT = "."


class Numbered:
    """Different values with their numbers, so that a file holds each value once."""

    def __init__(self) -> None:
        self.values: dict[Hashable, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self.values.setdefault(value, len(self.values))


def as_script(name: str, value: Any) -> str:
    """Return the text of a file that hands ``value`` to the page under a name. No text in it ends a script."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"{CALL}({json.dumps(name)},{text});\n"


def subjects_of(reports: Iterable[Report]) -> list[tuple[str, str, str]]:
    """Return the pairs of kind and dtype of all rows with their specification, in the specifications' order."""
    rows = [row for report in reports for row in report.rows]
    found = {(row.specification, row.kind, row.dtype) for row in rows}
    return [
        (name, kind, dtype)
        for name in order.names(rows)
        for kind in order.kinds([row for row in rows if row.specification == name])
        for dtype in order.dtypes(rows)
        if (name, kind, dtype) in found
    ]


def letters(rows: Iterable[Row], places: Mapping[tuple[str, str, str], int]) -> str:
    """Return the statuses of a requirement's rows, a letter at each subject's place; absent ones at the end are cut."""
    found = [ABSENT] * len(places)
    for row in rows:
        if (place := places.get((row.specification, row.kind, row.dtype))) is not None:
            found[place] = LETTERS[row.status]
    return "".join(found).rstrip(ABSENT)


def cells(report: Report, subjects: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Return the statuses of a report by requirement."""
    places = {subject: place for place, subject in enumerate(subjects)}
    found: dict[str, list[Row]] = {}
    for row in report.rows:
        found.setdefault(row.id, []).append(row)
    return {id_: letters(rows, places) for id_, rows in found.items()}


def faults(names: Iterable[str]) -> dict[str, list[list[str]]]:
    """Return the known faults that each requirement names: id, explanation, and the implementations that had it."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        specification = specifications.every().get(name)
        if specification is None:
            continue
        for kind in specification.kinds:
            for fault in specification.faults(kind):
                decides = getattr(fault, "requirement", None)
                if decides:
                    told = [fault.id, fault.explanation, getattr(fault, "who", "")]
                    found.setdefault(decides, {})[fault.id] = told
    return {decides: list(those.values()) for decides, those in found.items()}


def matrix_data(reports: Sequence[Report], subjects: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """Return every requirement with its words, and the statuses of every backend's newest report."""
    areas = matrix(reports)
    caught = faults({area.specification for area in areas})
    return {
        "requirements": {
            line.id: {
                "specification": area.specification,
                "area": line.area,
                "statement": line.statement,
                "source": line.source,
                "documented": documented_at(line.source, area.specification),
                "ruling": line.ruling,
                "builds": line.builds_on,
                "faults": caught.get(line.id, []),
            }
            for area in areas
            for line in area.lines
        },
        "cells": {report.name: cells(report, subjects) for report in reports},
    }


def backend_data(
    runs: Sequence[Report], subjects: Sequence[tuple[str, str, str]], findings: Findings, links: Links
) -> dict[str, Any]:
    """Return everything about one backend: the rows of its newest run, its claims, departures, margins and history."""
    report = runs[-1]
    texts, known_faults = Numbered(), Numbered()
    places = {subject: place for place, subject in enumerate(subjects)}
    empty = texts("")

    def row(r: Row) -> list[Any]:
        margin = None if r.margin is None else float(f"{min(r.margin, 10 * MAX_FINITE_MARGIN):.4g}")
        told = [known_faults((fault["fault"], fault["explanation"])) for fault in r.diagnosis]
        rest: list[Any] = [texts(r.message), told, texts(r.reproducer or "")]
        while rest and rest[-1] in (empty, []):
            rest.pop()
        return [places[r.specification, r.kind, r.dtype], r.examples, margin, *rest]

    rows: dict[str, list[list[Any]]] = {}
    for one in report.rows:
        rows.setdefault(one.id, []).append(row(one))
    shown, over_time = margins(report), longest_worst(report)
    return {
        "rows": rows,
        "texts": list(texts.values),
        "faults": list(known_faults.values),
        "claims": report.claims,
        "judged": [sentence for name in report.shares for sentence in judged(report, name)],
        "departures": [
            departure_data(one, links) | {"specification": name}
            for name in report.shares
            for one in departures([r for r in report.rows if r.specification == name], findings)
        ],
        "margins": {
            "picture": margins_picture(shown, "m") if shown else "",
            "rows": [
                [one.kind, one.dtype, len(one.rows), one.middle, margin_text(one.largest.margin), one.largest.id]
                for one in shown
            ],
        },
        "steps": {
            "picture": steps_picture(over_time, "t") if over_time else "",
            "rows": [
                [r.kind, r.dtype, r.id, len(r.steps or ()), *map(margin_text, _ends(r.steps or []))] for r in over_time
            ],
        },
        "history": history(runs, subjects),
    }


def _ends(steps: Sequence[float]) -> tuple[float, float, float]:
    """Return the margins at the first step, at the last one, and the largest."""
    return steps[0], steps[-1], max(steps)


def departure_data(one: Departure, links: Links) -> dict[str, Any]:
    """Return a cause of departures as data."""
    return {
        "words": one.words,
        "status": one.status,
        "statements": len(one.rows),
        "requirements": one.requirements,
        "script": one.script,
        "scriptLink": links.to(one.script),
        "issues": one.issues,
        "related": one.related,
        "finding": one.finding.slug if one.finding else "",
    }


def history(runs: Sequence[Report], subjects: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return the runs of a backend, the oldest first, each with the changes since the run before."""
    found = []
    for place, (key, report) in enumerate(zip(keys(runs), runs, strict=True)):
        newest = place == len(runs) - 1
        found.append(
            run_data(report)
            | {"key": key, "cells": None if newest else cells(report, subjects)}
            | ({"changes": changes(runs[place - 1], report)} if place else {})
        )
    return found


def run_data(report: Report) -> dict[str, Any]:
    """Return a run's settings and figures as data."""
    return {
        "version": report.version,
        "date": report.date,
        "suite": report.suite.get("version", ""),
        "catalogue": report.suite.get("catalogue", ""),
        "profile": report.suite.get("profile", ""),
        "examples": sum(row.examples for row in report.rows),
        "seed": report.suite.get("seed"),
        "machine": report.machine,
        "complete": report.complete,
        "shares": {name: share_data(shares) for name, shares in report.shares.items()},
    }


def share_data(shares: Shares) -> list[int]:
    """Return the five numbers of shares: fulfilled, failed, known, blocked, not claimed."""
    return [shares.fulfilled, shares.failed, shares.known, shares.blocked, shares.not_claimed]


def changes(old: Report, new: Report) -> dict[str, Any]:
    """Return what changed between two runs, in words."""
    found = compare(old, new)
    parts = [
        [title, [[one.id, one.before, one.after, list(one.where)] for one in those]]
        for title, those in found.parts
        if those
    ]
    return {"caution": found.caution, "parts": parts}


def findings_data(findings: Findings, links: Links) -> dict[str, Any]:
    """Return the documented findings by their slug."""
    return {
        one.slug: {
            "title": one.title,
            "text": one.text,
            "document": [one.document.name, links.to_file(one.document)],
            "scripts": [[path.name, links.to_file(path)] for path in one.scripts],
        }
        for one in findings.every
    }
