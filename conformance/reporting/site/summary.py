"""The short forms of a report: Markdown for the summary of a CI step, and the badge."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import shorten

from conformance.reporting.changes import Change, Comparison
from conformance.reporting.reading import WORDS, Report
from conformance.reporting.report import counted
from conformance.reporting.severity import grossest_first
from conformance.reporting.shares import Shares
from conformance.reporting.site.matrix import MARKS, Area, matrix

MAX_LISTED = 20  # requirements under one heading, so that a step summary stays readable
MAX_TEXT_CHARACTERS = 400
LABEL = "rnn-conformance"
COLORS = ((1.0, "brightgreen"), (0.95, "yellowgreen"), (0.8, "yellow"), (0.0, "orange"))  # from this share on


def markdown(reports: Sequence[Report], comparisons: Sequence[Comparison] = ()) -> Iterator[str]:
    """Yield the lines of the step summary: verdicts, changes, counts by area, failures, known failures."""
    yield "# Conformance"
    yield ""
    for report in reports:
        mark = MARKS["passed" if report.conformant else "failed" if report.failing else "blocked"]
        said = "; ".join(f"{name}: {shares.sentence}" for name, shares in report.shares.items())
        yield (
            f"- {mark} **{_safe(report.name)}** ({_safe(report.version)}) {report.verdict}. {_safe(said)}. "
            f"{_safe(report.run)}."
        )
    for comparison in comparisons:
        yield from _changes(comparison)
    areas = matrix(reports)
    several = len({area.specification for area in areas})
    yield from ("", "## By area", "", f"| area | {' | '.join(_safe(r.name) for r in reports)} |")
    yield "| --- |" + " --- |" * len(reports)
    for area in areas:
        cells = (_counts(area, column) for column in range(len(reports)))
        title = area.name if several < 2 else f"{area.specification}: {area.name}"
        yield f"| {_safe(title)} | {' | '.join(cells)} |"
    for status, title in (("failed", "Failed"), ("known_failure", "Known failures")):
        for report in reports:
            yield from _requirements(report, status, title)


def badge(reports: Sequence[Report]) -> dict[str, object]:
    """Return the object of shields' endpoint badge: the fulfilled share of the claimed statements.

    For several backends it has the least and the largest share of each specification. The least share decides the
    colour; a failure that no file of known failures lists is red, a run that is not complete grey.
    """
    spoken = list(dict.fromkeys(name for report in reports for name in report.shares))
    parts = [f"{name}: {_shares_text([r.shares[name] for r in reports if name in r.shares])}" for name in spoken]
    message = "; ".join(parts) or "nothing was run"
    if len(reports) > 1:
        message = f"{len(reports)} backends, {message}"
    if not all(report.complete for report in reports):
        message, color = f"{message}, incomplete", "lightgrey"
    elif any(report.failing for report in reports):
        color = "red"
    else:
        part = min((_part(shares) for report in reports for shares in report.shares.values()), default=0.0)
        color = next(color for least, color in COLORS if part >= least)
    return {"schemaVersion": 1, "label": LABEL, "message": message, "color": color}


def _shares_text(shares: Sequence[Shares]) -> str:
    if len(shares) == 1:
        return shares[0].text
    least, most = min(shares, key=_part), max(shares, key=_part)
    return most.percent if least.percent == most.percent else f"{least.percent} to {most.percent}"


def _part(shares: Shares) -> float:
    return shares.fulfilled / shares.claimed if shares.claimed else 0.0


def _counts(area: Area, column: int) -> str:
    return (
        ", ".join(f"{MARKS[s]} {number} {WORDS[s]}" for s, number in area.counts(column) if s != "not_claimed")
        or (WORDS["not_claimed"])
    )


def _requirements(report: Report, status: str, title: str) -> Iterator[str]:
    """Yield a list of the requirements with that status; known failures are folded."""
    by_id = grossest_first(row for row in report.rows if row.status == status)
    if not by_id:
        return
    folded = status == "known_failure"
    heading = f"{title}: {_safe(report.name)}, {counted(len(by_id), 'requirement')}"
    yield from ("", f"<details><summary>{heading}</summary>" if folded else f"## {heading}", "")
    for rows in list(by_id.values())[:MAX_LISTED]:
        first = rows[0]
        where = ", ".join(f"{row.kind} {row.dtype}" for row in rows)
        yield f"- **{_safe(first.id)}** ({_safe(where)}): {_safe(first.statement)}"
        if first.message:
            yield f"  - {_safe(first.message.splitlines()[0])}"
        for said in dict.fromkeys(row.diagnosed for row in rows if row.diagnosis):
            yield f"  - Diagnosis: {_safe(said)}"
        for path in [row.reproducer for row in rows if row.reproducer][:1]:
            yield f"  - Reproducer: {_safe(path)}"
    if len(by_id) > MAX_LISTED:
        yield f"- and {len(by_id) - MAX_LISTED} more"
    if folded:
        yield from ("", "</details>")


def _changes(comparison: Comparison) -> Iterator[str]:
    yield from ("", f"## Compared: {_safe(comparison.title)}", "")
    if comparison.caution:
        yield from (_safe(comparison.caution), "")
    if not any(changes for _, changes in comparison.parts):
        yield "Nothing changed."
    for title, changes in comparison.parts:
        if changes:
            yield f"- {title}: {counted(len({change.id for change in changes}), 'requirement')}"
            yield from (f"  - {_change(change)}" for change in changes[:MAX_LISTED])
            if len(changes) > MAX_LISTED:
                yield f"  - and {len(changes) - MAX_LISTED} more"


def _change(change: Change) -> str:
    where = _safe(", ".join(change.where))
    return f"**{_safe(change.id)}** ({where}): {_safe(change.before)} → {_safe(change.after)}"


def _safe(text: str) -> str:
    """Escape Markdown, and cut the text to one line of MAX_TEXT_CHARACTERS."""
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", shorten(text, MAX_TEXT_CHARACTERS, placeholder="..."))
