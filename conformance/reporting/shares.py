"""Count what a backend fulfils: the one source of every figure about a backend, on terminal, page, summary and badge.

A *statement* is a requirement for one kind and dtype: one row of a report. A backend *departs* from a statement whose
check failed, a known failure included, although a gate forgives it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.reporting.report import Row, counted


@dataclass(frozen=True)
class Shares:
    """The numbers of statements that a backend fulfils, departs from or does not claim."""

    fulfilled: int = 0
    failed: int = 0
    known: int = 0
    """Departures that a file of known failures lists, with a reason."""
    blocked: int = 0
    """Statements whose failure an earlier departure explains."""
    not_claimed: int = 0

    @classmethod
    def of(cls, statuses: Iterable[str]) -> Shares:
        """Count the statuses of a report's rows."""
        count = Counter(statuses)
        return cls(count["passed"], count["failed"], count["known_failure"], count["blocked"], count["not_claimed"])

    @property
    def departures(self) -> int:
        """The statements whose own check failed, whether the gate knows of it or not."""
        return self.failed + self.known

    @property
    def claimed(self) -> int:
        """The statements that the backend claims to fulfil."""
        return self.fulfilled + self.departures + self.blocked

    @property
    def total(self) -> int:
        """All statements that the run put to the backend."""
        return self.claimed + self.not_claimed

    @property
    def percent(self) -> str:
        """The fulfilled part of the claimed statements: ``98.6 %``. ``100 %`` means every one."""
        if not self.claimed:
            return "nothing claimed"
        return "100 %" if self.fulfilled == self.claimed else f"{tenths(self.fulfilled, self.claimed)} %"

    @property
    def text(self) -> str:
        """The share and the number of claimed statements: ``98.6 % of 1,604``."""
        return f"{self.percent} of {self.claimed:,}" if self.claimed else self.percent

    @property
    def sentence(self) -> str:
        """All numbers, to follow the name of the backend or of the specification."""
        parts = [f"{self.text} fulfilled" if self.claimed else self.percent]
        if self.departures:
            known = "" if not self.known else ", all known" if not self.failed else f", {self.known:,} of them known"
            parts.append(f"{counted(self.departures, 'departure')}{known}")
        if self.blocked:
            parts.append(f"{self.blocked:,} blocked")
        if self.not_claimed:
            parts.append(f"{self.not_claimed:,} not claimed")
        return "; ".join(parts)


def tenths(part: int, whole: int) -> str:
    """Return a percentage with one decimal, cut and not rounded, so that 100.0 is never written for less."""
    cut = 1000 * part // whole
    return f"{cut // 10}.{cut % 10}"


def by_specification(rows: Iterable[Row]) -> dict[str, Shares]:
    """Return the shares by the name of the specification, in the order of the rows."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.specification, []).append(row.status)
    return {name: Shares.of(statuses) for name, statuses in found.items()}
