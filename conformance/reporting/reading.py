"""Read reports from their JSON files and check them against the schema of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from conformance.reporting.report import Row, conforms, percent

SCHEMA = 1
MAX_ERROR_CHARACTERS = 200  # of a schema error
WORDS = {  # by status
    "failed": "failed",
    "blocked": "blocked",
    "known_failure": "known failure",
    "passed": "passed",
    "not_claimed": "not claimed",
}
MAX_FINITE_MARGIN = 1e300  # larger margins stand for infinity: a difference where the allowed error is 0


class BadReport(Exception):
    """A file that is no report, or reports that do not belong together; the message is one sentence."""


@dataclass(frozen=True)
class Report:
    """The report of one run about one backend: the object of the contract, its rows as Row."""

    name: str
    version: str
    suite: dict[str, Any]
    features: dict[str, Any]
    claims: dict[str, dict[str, Any]]
    """The backend's claims by the name of the specification."""
    rows: tuple[Row, ...]
    summary: dict[str, Any]

    @property
    def conformant(self) -> bool:
        return self.summary["conformant"]

    @property
    def complete(self) -> bool:
        """Whether every requirement that the backend claims was run."""
        return self.summary.get("complete", True)

    @property
    def run(self) -> str:
        """The suite and its settings in words."""
        names = ("version", "catalogue", "profile", "seed", "shard")
        parts = (f"{name} {self.suite[name]}" for name in names if name in self.suite)
        return ", ".join(parts).replace("version", "suite", 1)

    @property
    def failing(self) -> list[str]:
        """The ids of the requirements that failed."""
        return list(dict.fromkeys(row.id for row in self.rows if row.status == "failed"))

    @property
    def known(self) -> list[str]:
        """The ids of the requirements with a known failure."""
        return list(dict.fromkeys(row.id for row in self.rows if row.status == "known_failure"))

    @property
    def verdict(self) -> str:
        """The run's verdict in words."""
        if self.conformant:
            return conforms(len(self.known))
        if self.failing:
            return f"does not conform: {counted(len(self.failing), 'requirement')} failed"
        return "is not known to conform: not everything was run"


def counted(number: int, noun: str) -> str:
    """Write a number and its noun: ``1 requirement``, ``2 requirements``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def read(path: str | Path) -> list[Report]:
    """Read the reports of a file, which holds one report or a list. Raises BadReport."""
    try:
        return reports_of(Path(path).read_text("utf-8"), str(path))
    except OSError as error:
        raise BadReport(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise BadReport(f"{path} is not JSON ({error}).") from None


def reports_of(text: str, path: str) -> list[Report]:
    """Read the reports in the text of a file. Raises BadReport, which names ``path``."""
    try:
        data = json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise BadReport(f"{path} is not JSON ({error}).") from None
    found = data if isinstance(data, list) else [data]
    if not found:
        raise BadReport(f"{path} is an empty list: it holds no report.")
    return [_report(one, f"{path}, report {n}" if len(found) > 1 else f"{path}") for n, one in enumerate(found, 1)]


def read_all(paths: Iterable[str | Path]) -> list[Report]:
    """Read the reports of several files, in their order. Raises BadReport."""
    return [report for path in paths for report in read(path)]


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _report(data: Any, place: str) -> Report:
    if not isinstance(data, dict) or "schema" not in data:
        raise BadReport(f"{place} is not a conformance report: it has no schema number.")
    if data["schema"] != SCHEMA or isinstance(data["schema"], bool):
        raise BadReport(f"{place} has schema {data['schema']!r}; this version reads schema {SCHEMA}.")
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(data))
    if error is not None:
        text = error.message
        if len(text) > MAX_ERROR_CHARACTERS:
            text = f"{text[:MAX_ERROR_CHARACTERS]}..."
        raise BadReport(f"{place} is not a conformance report: at {error.json_path}: {text}.")
    names = [field.name for field in fields(Row)]
    rows = tuple(Row(**{name: raw[name] for name in names if name in raw}) for raw in data["requirements"])
    backend, summary = data["backend"], data["summary"]
    keys = [(row.id, row.kind, row.dtype, row.specification) for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadReport(f"{place} is not a conformance report: it has {' '.join(twice[:3])} twice.")
    return Report(
        name=backend["name"],
        version=backend["version"],
        suite=data["suite"],
        features=backend["features"],
        claims=backend.get("claims") or {"torch.nn": backend["features"]},
        rows=rows,
        summary=summary,
    )


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(Path(__file__).with_name("report.schema.json").read_text("utf-8")))


def margin_text(margin: float | None) -> str:
    """Return a margin in words, also an infinite one."""
    return "beyond any" if margin is not None and margin > MAX_FINITE_MARGIN else percent(margin)
