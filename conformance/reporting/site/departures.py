"""A backend's departures in words, one for each cause, the gravest first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from textwrap import shorten

from conformance.reporting.report import Row
from conformance.reporting.severity import REFUSALS, of_row
from conformance.reporting.site.findings import DocumentedFinding, Findings

MAX_WORDS_CHARACTERS = 180
OF_ANOTHER = re.compile(r"^[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+: ")  # a reason that another requirement's entry gave
CRASH = re.compile(r"the backend's process ended|gave no answer")
SCRIPT = re.compile(r";? *reproducer: (?P<script>\S+\.\w+)")
NONE_KNOWN = re.compile(r"\bnone known\b", re.IGNORECASE)
ADDRESS = re.compile(r"https?://[^\s)>\]]+")


@dataclass(frozen=True)
class Departure:
    """The departing rows of one cause: of one reason among known failures, otherwise of one diagnosis or message."""

    words: str
    rows: tuple[Row, ...]
    script: str = ""
    """The script's path as the report names it; empty if it names none."""
    issues: tuple[str, ...] = ()
    """Addresses of upstream issues about it."""
    related: tuple[str, ...] = ()
    """Addresses of other issues, where none is known to be about it."""
    finding: DocumentedFinding | None = None

    @property
    def status(self) -> str:
        """``failed`` if a row failed, otherwise ``known_failure``."""
        return "failed" if any(row.status == "failed" for row in self.rows) else "known_failure"

    @property
    def requirements(self) -> list[str]:
        """The ids of the requirements, the gravest first."""
        return list(dict.fromkeys(row.id for row in self.rows))


def departures(rows: Iterable[Row], findings: Findings) -> list[Departure]:
    """Return the causes of the departures among rows, the gravest first."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    departing = (row for row in rows if row.status in ("failed", "known_failure"))
    for row in sorted(departing, key=_severity):
        groups.setdefault(_cause(row), []).append(row)
    found = []
    by_gravity = sorted(groups.items(), key=lambda group: (_severity(group[1][0]), -len(group[1])))
    for (words, script, issue), of_cause in by_gravity:
        finding = findings.of(script, [row.id for row in of_cause])
        told = [issue, *([] if finding is None else [finding.public_issue])]
        about = tuple(dict.fromkeys(a for one in told for a in addresses(one)[0]))
        related = tuple(a for a in dict.fromkeys(a for one in told for a in addresses(one)[1]) if a not in about)
        found.append(Departure(words, tuple(of_cause), script, about, related, finding))
    return found


def _severity(row: Row) -> tuple[int, float]:
    """Return the place of a row. The first line of a known failure is its reason, and the backend's failure follows."""
    if row.status == "known_failure" and "\n" in row.message:
        row = replace(row, message=row.message.partition("\n")[2])
    rank, _, size = of_row(row)
    return (rank, -inf) if rank == REFUSALS and CRASH.search(row.message) else (rank, size)


def addresses(issue: str) -> tuple[list[str], list[str]]:
    """Return the addresses in a text on public issues: those about the departure, and others if none is known."""
    found = ADDRESS.findall(issue)
    return ([], found) if NONE_KNOWN.search(issue) else (found, [])


def _cause(row: Row) -> tuple[str, str, str]:
    """Return the words, the script and the text on the issue of a departing row."""
    first = row.message.partition("\n")[0]
    if row.status == "known_failure":
        reason, issue = split_issue(first)
        script = SCRIPT.search(reason)
        words = OF_ANOTHER.sub("", SCRIPT.sub("", reason)).strip(" ;.")
        return words or row.statement, script["script"] if script else "", issue
    words = row.diagnosed if row.diagnosis else first
    return shorten(words or row.statement, MAX_WORDS_CHARACTERS, placeholder="..."), row.reproducer or "", ""


def split_issue(text: str) -> tuple[str, str]:
    """Split ``reason (issue)``, the first line of a known failure's message; the issue may hold parentheses."""
    if not text.endswith(")"):
        return text, ""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if not depth:
            return text[:place].rstrip(), text[place + 1 : -1]
    return text, ""
