"""Compare two runs of a backend: the requirements that got worse, and the ones that got better."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from conformance.reporting.reading import WORDS, BadReport, Report
from conformance.reporting.report import Row, percent

UNRESOLVED = ("failed", "blocked")
UNCLAIMED = ("not_claimed", None)  # None: not in the report
MIN_MARGIN_CHANGE = 0.1  # a tenth of the tolerance: smaller changes are not reported
Pair = tuple[Row | None, Row | None]
"""The older and the newer row of a requirement, kind and dtype; None where a report has no such row."""


@dataclass(frozen=True)
class Change:
    """One change of a requirement, for all kinds and dtypes that changed in the same way; both sides in words."""

    id: str
    statement: str
    before: str
    after: str
    was: tuple[Row | None, ...]
    now: tuple[Row | None, ...]

    @property
    def where(self) -> tuple[str, ...]:
        """The kinds and dtypes."""
        rows = (now or was for was, now in zip(self.was, self.now, strict=True))
        return tuple(f"{row.kind} {row.dtype}" for row in rows if row is not None)

    @property
    def status(self) -> str | None:
        """The status in the newer report; None if the requirement is not in it."""
        return _status(self.now[0])


@dataclass(frozen=True)
class Comparison:
    """Two reports, the older first, and their changes: worse, better, neither, and margins."""

    old: Report
    new: Report
    worse: tuple[Change, ...]
    better: tuple[Change, ...]
    other: tuple[Change, ...]
    margins: tuple[Change, ...]

    @property
    def parts(self) -> tuple[tuple[str, tuple[Change, ...]], ...]:
        """The changes under their headings."""
        return (
            ("Worse", self.worse),
            ("Better", self.better),
            ("Neither better nor worse", self.other),
            ("Margins that moved", self.margins),
        )

    @property
    def title(self) -> str:
        """The names and versions of the two runs."""
        if self.old.name != self.new.name:
            return f"{self.old.name} ({self.old.version}) and {self.new.name} ({self.new.version})"
        versions = [self.old.version, self.new.version]
        return f"{self.new.name} ({' and '.join(dict.fromkeys(versions))})"

    @property
    def caution(self) -> str:
        """A sentence on the differences between the two runs' settings; empty without differences."""
        return "" if self.old.run == self.new.run else f"The runs differ: {self.old.run}, then {self.new.run}."


def compare(old: Report, new: Report) -> Comparison:
    """Compare two reports row by row; rows of a requirement that changed in the same way make one Change."""
    before, after = ({(row.id, row.kind, row.dtype): row for row in report.rows} for report in (old, new))
    groups: dict[str, dict[tuple[str, str, str], list[Pair]]] = {"worse": {}, "better": {}, "other": {}, "margins": {}}
    for key in dict.fromkeys([*after, *before]):
        was, now = before.get(key), after.get(key)
        change = _change(was, now)
        if change is not None:
            group, words = change
            groups[group].setdefault((key[0], *words), []).append((was, now))
    worse, better, other, margins = (tuple(_changes(found)) for found in groups.values())
    return Comparison(old, new, worse, better, other, margins)


def _changes(found: Mapping[tuple[str, str, str], Sequence[Pair]]) -> Iterator[Change]:
    for (id_, before, after), pairs_ in found.items():
        last = pairs_[-1][1] or pairs_[-1][0]
        assert last is not None
        was, now = (tuple(pair[side] for pair in pairs_) for side in (0, 1))
        yield Change(id_, last.statement, before, after, was, now)


def _change(was: Row | None, now: Row | None) -> tuple[str, tuple[str, str]] | None:
    """Return the group of a row's change, with both sides in words; None if nothing changed."""
    if was is None or now is None or was.status != now.status:
        before, after = ("not in the report" if row is None else WORDS[row.status] for row in (was, now))
        return direction(_status(was), _status(now)), (before, after)
    if now.status != "passed":
        return None
    if now.examples < was.examples:  # the same verdict on fewer examples says less
        return "worse", (f"passed {was.examples:,} examples", f"passed {now.examples:,}")
    if was.margin is not None and now.margin is not None and abs(now.margin - was.margin) >= MIN_MARGIN_CHANGE:
        return "margins", (percent(was.margin), percent(now.margin))
    return None


def _status(row: Row | None) -> str | None:
    return None if row is None else row.status


def direction(was: str | None, now: str | None) -> str:
    """Return ``better``, ``worse`` or ``other`` for two different statuses; None stands for a missing row.

    Other: a failure that becomes a known failure, and a requirement that only the newer run has and passes. Worse: a
    requirement that is no longer claimed or no longer run.
    """
    if now == "passed":
        return "other" if was is None else "better"
    if was == "passed" or (now in UNRESOLVED and was not in UNRESOLVED):
        return "worse"
    if now in UNCLAIMED and was not in UNCLAIMED:
        return "worse"
    return "other"


def pairs(old: Sequence[Report], new: Sequence[Report]) -> list[tuple[Report, Report]]:
    """Pair reports on the same backend, or the only report of each side. Raises BadReport without a pair."""
    if len(old) == len(new) == 1:
        return [(old[0], new[0])]
    found = [(was, now) for now in new for was in old if was.name == now.name]
    if not found:
        raise BadReport(f"nothing to compare: {_names(old)} before, {_names(new)} after.")
    return found


def _names(reports: Iterable[Report]) -> str:
    return ", ".join(report.name for report in reports)
