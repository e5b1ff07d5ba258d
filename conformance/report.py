"""The report: what was found, as JSON for machines and as a page of text for the terminal."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from conformance import __version__
from conformance.backend import Backend
from reference.catalogue import AREAS, Requirement

MOST_NAMED = 8  # of the blocked
LARGEST = sys.float_info.max


@dataclass
class Row:
    """What one requirement came to for one kind and dtype."""

    id: str
    area: str
    statement: str
    source: str
    kind: str
    dtype: str
    status: str
    examples: int = 0
    margin: float | None = None
    diagnosis: list[dict[str, str]] = field(default_factory=list)
    message: str = ""
    reproducer: str | None = None
    seconds: float = 0.0
    steps: list[float] | None = None

    @classmethod
    def of(cls, requirement: Requirement, kind: str, dtype: str, status: str, **found: Any) -> Row:
        r = requirement
        return cls(r.id, r.area, r.statement, r.source, kind, dtype, status, **found)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON data; a margin that is infinite (a difference where none is allowed) is the largest float."""
        data = asdict(self)
        if self.margin is not None:
            data["margin"] = min(self.margin, LARGEST)
        data["seconds"] = round(self.seconds, 4)
        if self.steps is None:
            del data["steps"]
        else:
            data["steps"] = [min(float(f"{margin:.3g}"), LARGEST) for margin in self.steps]
        return data


@dataclass
class Outcome:
    """Everything that a run found about one backend."""

    backend: Backend
    rows: list[Row]
    complete: bool
    seconds: dict[str, float]
    campaign: dict[str, Any] | None = None

    @property
    def conformant(self) -> bool:
        return self.complete and not any(row.status in ("failed", "blocked") for row in self.rows)

    def as_json(self, profile: str, seed: int) -> dict[str, Any]:
        """The object of the contract, schema 1."""
        counted = Counter(row.status for row in self.rows)
        return {
            "schema": 1,
            "suite": {"version": __version__, "profile": profile, "seed": seed},
            "backend": {
                "name": self.backend.name,
                "version": str(self.backend.version),
                "features": self.backend.features.as_json(),
            },
            "summary": {
                "conformant": self.conformant,
                "complete": self.complete,
                "passed": counted["passed"],
                "failed": counted["failed"],
                "blocked": counted["blocked"],
                "known_failures": counted["known_failure"],
                "not_claimed": counted["not_claimed"],
                "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            },
            **({} if self.campaign is None else {"campaign": self.campaign}),
            "requirements": [row.as_json() for row in self.rows],
        }


def as_text(outcomes: list[Outcome], profile: str, seed: int) -> str:
    """The report's JSON, a requirement on a line: an object for one backend, a list of them for several."""
    texts = []
    for outcome in outcomes:
        data = outcome.as_json(profile, seed)
        rows = ",\n".join(f"  {json.dumps(row)}" for row in data["requirements"])
        head = json.dumps(data | {"requirements": []}, indent=1)
        texts.append(head.removesuffix("[]\n}") + f"[\n{rows}\n ]\n}}")
    return (texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]") + "\n"


def percent(margin: float | None) -> str:
    """A margin as one reads it: how much of the tolerance was used."""
    if margin is None:
        return "-"
    return f"{margin:.0%}" if margin < 10 else f"{margin:.2g} x"


def _alike(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    """The rows by what they have in common, in the order of the first of each."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _where(rows: Iterable[Row]) -> str:
    return ", ".join(f"{row.kind} {row.dtype}" for row in rows)


def lines(outcome: Outcome, width: int = 100) -> Iterable[str]:
    """The terminal's summary of one backend: a line per area, then a paragraph per failing requirement."""
    backend, rows = outcome.backend, outcome.rows
    yield f"{backend.name} ({backend.version})"
    yield (
        f"  {'area':<14}{'passed':>8}{'failed':>8}{'blocked':>8}{'known':>8}{'unclaimed':>10}"
        f"{'examples':>10}{'margin':>9}"
    )
    for area in AREAS:
        mine = [row for row in rows if row.area == area]
        if not mine:
            continue
        count = Counter(row.status for row in mine)
        margins = [r.margin for r in mine if r.margin is not None and r.status == "passed"]
        yield (
            f"  {area:<14}{count['passed']:>8}{count['failed']:>8}{count['blocked']:>8}{count['known_failure']:>8}"
            f"{count['not_claimed']:>10}{sum(r.examples for r in mine):>10}{percent(max(margins, default=None)):>9}"
        )
    spent = ", ".join(f"{name} {s:.1f} s" for name, s in outcome.seconds.items())
    yield f"  time: {spent}"
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        yield ""
    by_id = _alike(failed, lambda row: row.id)
    for id_, those in by_id.items():
        yield f"  FAILED {id_} ({_where(those)})"
        yield f"    {those[0].statement}"
        yield f"    {those[0].message.splitlines()[0]}"
        for fault in those[0].diagnosis[:1]:
            yield f"    these are the numbers of {fault['explanation']}"
    blocked = [row for row in rows if row.status == "blocked"]
    if blocked:
        ids = list(dict.fromkeys(row.id for row in blocked))
        shown = ", ".join(ids[:MOST_NAMED]) + (f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else "")
        yield f"  blocked: {len(ids)} requirements that build on what failed: {shown}"
    noted = [row for row in rows if row.status == "passed" and row.message]
    for message, those in _alike(noted, lambda row: row.message).items():
        yield f"  noted: {message} ({_where(those)})"
    known = [row for row in rows if row.status == "known_failure"]
    for (id_, reason), those in _alike(known, lambda row: (row.id, row.message.splitlines()[0])).items():
        yield f"  known: {id_} ({_where(those)}): {reason}"
    if outcome.conformant:
        verdict = "conforms in all that it claims"
    elif failed:
        verdict = f"does not conform: {len(by_id)} requirements failed"
    else:
        verdict = "is not known to conform: not everything was run"
    yield f"  {backend.name} {verdict}."
