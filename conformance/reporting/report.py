"""The report: the findings of a run as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.engine.finding import Finding
from conformance.engine.specification import Specification
from conformance.version import __version__
from reference.catalogue import Requirement

DIAGNOSIS = "diagnosis: "  # begins a sentence of it in a message
MAX_FLOAT = sys.float_info.max  # JSON has no infinity


def diagnosed(told: Row | Finding) -> str:
    """Return the first sentence of a failure's diagnosis; empty without one."""
    lines = (line.strip() for line in told.message.splitlines())
    said = next((line.removeprefix(DIAGNOSIS) for line in lines if line.startswith(DIAGNOSIS)), "")
    if not said and told.diagnosis:
        return f"these are the numbers of {told.diagnosis[0]['explanation']}"
    return said


@dataclass
class Row:
    """One requirement in a report: its entry, and the finding for one kind and dtype."""

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
    specification: str = "torch.nn"
    also: bool = False

    @classmethod
    def of(cls, requirement: Requirement, finding: Finding) -> Row:
        """Make the row of a requirement and its finding."""
        r, f = requirement, finding
        return cls(
            r.id,
            r.area,
            r.statement,
            r.source,
            f.kind,
            f.dtype,
            str(f.status),
            examples=f.examples,
            margin=f.margin,
            diagnosis=list(f.diagnosis),
            message=f.message,
            reproducer=f.reproducer,
            seconds=f.seconds,
            steps=None if f.steps is None else list(f.steps),
            specification=f.specification,
            also=f.also,
        )

    @property
    def diagnosed(self) -> str:
        """The first sentence of the diagnosis; empty without one."""
        return diagnosed(self)

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON data. An infinite margin, a difference with no allowed error, becomes MAX_FLOAT."""
        data = dict(vars(self))
        if self.margin is not None:
            data["margin"] = min(self.margin, MAX_FLOAT)
        data["seconds"] = round(self.seconds, 4)
        if not self.also:
            del data["also"]
        if self.steps is None:
            del data["steps"]
        else:
            data["steps"] = [min(float(f"{margin:.3g}"), MAX_FLOAT) for margin in self.steps]
        return data


@dataclass
class Outcome:
    """The results of a run about one backend."""

    name: str
    version: str
    claims: dict[str, Any]
    """The backend's claims by the name of the specification."""
    rows: list[Row]
    complete: bool
    """Whether every requirement that the backend claims was run."""
    seconds: dict[str, float]
    unmatched: tuple[str, ...] = ()
    """The known failures that match no requirement of the run."""
    campaign: dict[str, Any] | None = None
    areas: tuple[str, ...] = ()
    """The areas of the rows' specifications, in their order."""

    @property
    def conformant(self) -> bool:
        return self.complete and not any(row.status in ("failed", "blocked") for row in self.rows)

    def as_json(self, suite: dict[str, Any], run: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the object of the contract, schema 1.

        ``suite`` describes the run's suite, ``run`` its date and machine.
        """
        counted = Counter(row.status for row in self.rows)
        claims = {name: features.as_json() for name, features in self.claims.items()}
        return {
            "schema": 1,
            "suite": suite,
            **({"run": run} if run else {}),
            "backend": {
                "name": self.name,
                "version": str(self.version),
                "features": next(iter(claims.values())),
                "claims": claims,
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


def catalogues(specifications: Sequence[Specification]) -> str:
    """Return the version of the catalogue, or the versions of several specifications' catalogues with their names."""
    if len(specifications) == 1:
        return specifications[0].catalogue.version
    return ", ".join(f"{s.name} {s.catalogue.version}" for s in specifications)


def suite_of(catalogue: str, profile: str, examples: int, seed: int, shard: str = "") -> dict[str, Any]:
    """Return the description of a run's suite and settings; ``shard`` is ``1/2`` for the first of two."""
    suite = {"version": __version__, "catalogue": catalogue, "profile": profile, "examples": examples, "seed": seed}
    return suite | ({"shard": shard} if shard else {})


def as_text(outcomes: list[Outcome], suite: dict[str, Any], run: dict[str, Any] | None = None) -> str:
    """Write the report's JSON, one requirement on a line: an object for one backend, a list of objects for several."""
    texts = [text_of(outcome.as_json(suite, run)) for outcome in outcomes]
    return (texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]") + "\n"


def text_of(data: dict[str, Any]) -> str:
    """Write the JSON of a report on one backend, one requirement on a line."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in data["requirements"])
    head = json.dumps({name: value for name, value in data.items() if name != "requirements"}, indent=1)
    return head.removesuffix("\n}") + f',\n "requirements": [\n{rows}\n ]\n}}'


def ids_of(rows: Iterable[Row], status: str) -> list[str]:
    """Return the requirements with a row of that status: the number that every verdict tells."""
    return list(dict.fromkeys(row.id for row in rows if row.status == status))


def counted(number: int, noun: str) -> str:
    """Write a number and its noun: ``1 requirement``, ``2 requirements``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verdict_of(rows: Sequence[Row], conformant: bool) -> str:
    """Return the verdict on a backend in words, to follow its name."""
    failing, known = ids_of(rows, "failed"), ids_of(rows, "known_failure")
    if conformant:
        but = f" but for {counted(len(known), 'known failure')}" if known else ""
        return f"conforms in all that it claims{but}"
    if failing:
        return f"does not conform: {counted(len(failing), 'requirement')} failed"
    return "is not known to conform: not everything was run"


def percent(margin: float | None) -> str:
    """Write a margin as a share of the tolerance, or as a multiple from ten on."""
    if margin is None:
        return "-"
    return f"{margin:.0%}" if margin < 10 else f"{margin:.2g} x"
