"""The report: what was found, as JSON for machines."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from conformance import __version__
from conformance.backend import Backend
from reference.catalogue import Requirement, version

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
    unmatched: tuple[str, ...] = ()
    """The known failures that match no requirement of the run."""
    campaign: dict[str, Any] | None = None

    @property
    def conformant(self) -> bool:
        return self.complete and not any(row.status in ("failed", "blocked") for row in self.rows)

    def as_json(self, suite: dict[str, Any]) -> dict[str, Any]:
        """The object of the contract, schema 1, of a run of that suite."""
        counted = Counter(row.status for row in self.rows)
        return {
            "schema": 1,
            "suite": suite,
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
                "unmatched_known_failures": list(self.unmatched),
                "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            },
            **({} if self.campaign is None else {"campaign": self.campaign}),
            "requirements": [row.as_json() for row in self.rows],
        }


def suite_of(profile: str, examples: int, seed: int, shard: str = "") -> dict[str, Any]:
    """Which suite it is and how hard it looks; ``1/2`` if it is the first shard of two."""
    suite = {"version": __version__, "catalogue": version(), "profile": profile, "examples": examples, "seed": seed}
    return suite | ({"shard": shard} if shard else {})


def as_text(outcomes: list[Outcome], suite: dict[str, Any]) -> str:
    """The report's JSON, a requirement on a line: an object for one backend, a list of them for several."""
    texts = []
    for outcome in outcomes:
        data = outcome.as_json(suite)
        rows = ",\n".join(f"  {json.dumps(row)}" for row in data["requirements"])
        head = json.dumps(data | {"requirements": []}, indent=1)
        texts.append(head.removesuffix("[]\n}") + f"[\n{rows}\n ]\n}}")
    return (texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]") + "\n"


def conforms(known: int) -> str:
    """The verdict on a backend that conforms, and what it is known not to do."""
    but = f" but for {known} known failure{'' if known == 1 else 's'}" if known else ""
    return f"conforms in all that it claims{but}"


def percent(margin: float | None) -> str:
    """A margin as one reads it: how much of the tolerance was used."""
    if margin is None:
        return "-"
    return f"{margin:.0%}" if margin < 10 else f"{margin:.2g} x"
