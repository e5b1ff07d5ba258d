"""Read reports from their JSON files and check them against the schema of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from conformance.engine.files import Damaged, json_data, read_text, require_schema, shown
from conformance.engine.text import OneSentence
from conformance.reporting.report import Row, counted, ids_of, percent, verdict_of
from conformance.reporting.shares import Shares, by_specification

SCHEMA = 1
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
WORDS = {  # by status
    "failed": "failed",
    "blocked": "blocked",
    "known_failure": "known failure",
    "passed": "passed",
    "not_claimed": "not claimed",
}
MAX_FINITE_MARGIN = 1e300  # larger margins stand for infinity: a difference where the allowed error is 0


class BadReport(OneSentence):
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
    made: dict[str, Any] = field(default_factory=dict)
    """The run's date and machine; empty in reports of earlier suites."""

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
    def date(self) -> str:
        """The day of the run, ``2026-11-21``; empty if the report does not say it."""
        return str(self.made.get("date", ""))[: len("2026-11-21")]

    @property
    def machine(self) -> str:
        """The run's machine in words; empty if the report does not say it."""
        machine = self.made.get("machine", {})
        cores = counted(machine["cores"], "core") if "cores" in machine else ""
        names = {"python": "Python", "numpy": "NumPy"}
        versions = (f"{name} {machine[key]}" for key, name in names.items() if key in machine)
        return ", ".join(filter(None, [machine.get("processor"), cores, machine.get("system"), *versions]))

    @cached_property
    def shares(self) -> dict[str, Shares]:
        """The figures for each specification that the backend speaks, by its name."""
        return by_specification(self.rows)

    @property
    def share_text(self) -> str:
        """The shares in words: ``torch.nn: 98.6 % of 1,604``; several specifications one after the other."""
        return "; ".join(f"{name}: {shares.text}" for name, shares in self.shares.items()) or "nothing was run"

    @property
    def failing(self) -> list[str]:
        """The ids of the requirements that failed."""
        return ids_of(self.rows, "failed")

    @property
    def known(self) -> list[str]:
        """The ids of the requirements with a known failure."""
        return ids_of(self.rows, "known_failure")

    @property
    def verdict(self) -> str:
        """The run's verdict in words."""
        return verdict_of(self.rows, self.conformant)


def read(path: str | Path) -> list[Report]:
    """Read the reports of a file, which holds one report or a list. Raises BadReport."""
    try:
        text = read_text(Path(path))
    except (OSError, ValueError) as error:  # a path with NUL is a ValueError
        raise BadReport(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    return reports_of(text, str(path))


def reports_of(text: str, path: str) -> list[Report]:
    """Read the reports in the text of a file. Raises BadReport, which names ``path``."""
    try:
        data = json_data(text)
    except Damaged as error:
        raise BadReport(f"{path}: {error}.") from None
    found = data if isinstance(data, list) else [data]
    if not found:
        raise BadReport(f"{path} is an empty list: it holds no report.")
    return [_report(one, f"{path}, report {n}" if len(found) > 1 else f"{path}") for n, one in enumerate(found, 1)]


def read_all(paths: Iterable[str | Path]) -> list[Report]:
    """Read the reports of several files, in their order. Raises BadReport."""
    return [report for path in paths for report in read(path)]


def _report(data: Any, place: str) -> Report:
    if not isinstance(data, dict) or "schema" not in data:
        raise BadReport(f"{place} is not a conformance report: it has no schema number.")
    if data["schema"] != SCHEMA or isinstance(data["schema"], bool):
        raise BadReport(f"{place} has schema {shown(data['schema'])}; this version reads schema {SCHEMA}.")
    try:
        require_schema(SCHEMA_FILE, data)
    except Damaged as error:
        raise BadReport(f"{place} is not a conformance report: {error}.") from None
    names = [one.name for one in fields(Row)]
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
        made=data.get("run", {}),
    )


def margin_text(margin: float | None) -> str:
    """Return a margin in words, also an infinite one."""
    return "infinite" if margin is not None and margin > MAX_FINITE_MARGIN else percent(margin)
