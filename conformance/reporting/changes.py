"""Two runs of a backend compared: what got worse, what got better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.reporting.reading import WORDS, BadReport, Report
from conformance.reporting.report import Row, percent

UNRESOLVED = ("failed", "blocked")
UNCLAIMED = ("not_claimed", None)  # None: not in the report
MARGIN_MOVED = 0.1  # a tenth of the tolerance: less is not worth a line


@dataclass(frozen=True)
class Change:
    """What is different, for the kinds and dtypes of one requirement that differ alike: both sides in words."""

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
        return tuple(f"{row.kind} {row.dtype}" for row in rows)

    @property
    def status(self) -> str | None:
        """What it is now; None where it is not in the newer report."""
        return self.now[0] and self.now[0].status


@dataclass(frozen=True)
class Comparison:
    """Two reports, the older first, and what is different, by whether it is better or worse."""

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
        """Which runs they are."""
        if self.old.name != self.new.name:
            return f"{self.old.name} ({self.old.version}) and {self.new.name} ({self.new.version})"
        versions = [self.old.version, self.new.version]
        return f"{self.new.name} ({' and '.join(dict.fromkeys(versions))})"

    @property
    def caution(self) -> str:
        """Why the two runs are not quite alike; empty if they are."""
        return "" if self.old.run == self.new.run else f"The runs differ: {self.old.run}, then {self.new.run}."


def compare(old: Report, new: Report) -> Comparison:
    """Every row of either run that differs, alike ones in one Change."""
    before, after = ({(row.id, row.kind, row.dtype): row for row in report.rows} for report in (old, new))
    groups: dict[str, dict[tuple[str, ...], list]] = {"worse": {}, "better": {}, "other": {}, "margins": {}}
    for key in dict.fromkeys([*after, *before]):
        was, now = before.get(key), after.get(key)
        change = _change(was, now)
        if change is not None:
            group, told = change
            groups[group].setdefault((key[0], *told), []).append((was, now))
    return Comparison(
        old,
        new,
        **{
            group: tuple(
                Change(id_, (rows[-1][1] or rows[-1][0]).statement, *words, *zip(*rows, strict=True))
                for (id_, *words), rows in found.items()
            )
            for group, found in groups.items()
        },
    )


def _change(was: Row | None, now: Row | None) -> tuple[str, tuple[str, str]] | None:
    """The group that the change of a row belongs to, with both sides in words; None if nothing changed."""
    if was is None or now is None or was.status != now.status:
        told = tuple("not in the report" if row is None else WORDS[row.status] for row in (was, now))
        return direction(was and was.status, now and now.status), told
    if now.status != "passed":
        return None
    if now.examples < was.examples:  # the same verdict on less is not the same verdict
        return "worse", (f"passed {was.examples:,} examples", f"passed {now.examples:,}")
    if None not in (was.margin, now.margin) and abs(now.margin - was.margin) >= MARGIN_MOVED:
        return "margins", (percent(was.margin), percent(now.margin))
    return None


def direction(was: str | None, now: str | None) -> str:
    """``better``, ``worse`` or ``other``, of two different statuses, None for a row that is not there.

    A failure that becomes a known one is neither, and so is what is passed by the newer run alone. What is claimed no
    longer or no longer run is worse, whatever it was.
    """
    if now == "passed":
        return "other" if was is None else "better"
    if was == "passed" or (now in UNRESOLVED and was not in UNRESOLVED):
        return "worse"
    if now in UNCLAIMED and was not in UNCLAIMED:
        return "worse"
    return "other"


def pairs(old: Sequence[Report], new: Sequence[Report]) -> list[tuple[Report, Report]]:
    """Reports of the same backend, or the only ones of each side. Raises BadReport if there are none."""
    if len(old) == len(new) == 1:
        return [(old[0], new[0])]
    found = [(was, now) for now in new for was in old if was.name == now.name]
    if not found:
        raise BadReport(f"nothing to compare: {_names(old)} before, {_names(new)} after.")
    return found


def _names(reports: Iterable[Report]) -> str:
    return ", ".join(report.name for report in reports)
