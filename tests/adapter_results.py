"""Write the tables of docs/adapters-results.md from the committed reports: ``python -m tests.adapter_results``.

``docs/installs.json`` has the seconds and megabytes of a fresh ``tox -e adapter-NAME --notest``, measured by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.reporting.reading import read

ROOT = Path(__file__).parents[1]
PAGE, REPORTS = ROOT / "docs" / "adapters-results.md", ROOT / "results"
INSTALLS = ROOT / "docs" / "installs.json"
COLUMNS = (
    "backend",
    "specification",
    "fulfilled",
    "departs",
    "blocked",
    "not claimed",
    "share",
    "time",
    "of it in the framework",
    "install",
    "report",
)
HEAD = f"| {' | '.join(COLUMNS)} |"
# remarks that the figures alone do not show
REMARKS = {
    "onnx-ops-reference": ", mostly of one cause: lengths are ignored, which the diagnosis says",
}


def rows() -> Iterator[str]:
    """Yield a row for each committed report and specification."""
    for path in sorted(REPORTS.glob("*.json"), key=lambda path: path.stem):
        (report,) = read(path)
        seconds, name = report.summary["seconds"], path.stem
        taken = sum(seconds.values())
        for specification, s in report.shares.items():
            yield (
                f"| `{name}` | `{specification}` | {s.fulfilled:,} | {s.departures:,}{REMARKS.get(name, '')} "
                f"| {s.blocked:,} | {s.not_claimed:,} | {s.percent} | {taken:.0f} s | {seconds['backend'] / taken:.0%} "
                f"| {installed(name)} | [results/{path.name}](../results/{path.name}) |"
            )


def installed(name: str) -> str:
    """Return the time and size of a backend's environment, or a dash where it was not measured."""
    measured = json.loads(INSTALLS.read_text("utf-8"))["environments"].get(f"adapter-{name}")
    return f"{measured['seconds']:.0f} s, {measured['megabytes']:,} MB" if measured else "-"


# The features that torch.nn has not, and the claims that are finer than yes or no.
OPTIONAL = {
    "masks": "masks",
    "stateful": "stateful",
    "reverse_alone": "reverse alone",
    "parameters_set": "parameters set",
    "cell_gradients": "cell gradients",
    "training_gradients": "training gradients",
}
FEATURES_HEAD = f"| backend | catalogue | {' | '.join(OPTIONAL.values())} | outputs | gradients | arithmetic |"


def features() -> Iterator[str]:
    """Yield a row for each committed report under torch.nn: the optional features that it claims."""
    for path in sorted(REPORTS.glob("*.json"), key=lambda path: path.stem):
        report = json.loads(path.read_text("utf-8"))
        claims: dict[str, Any] = report["backend"].get("claims", {}).get("torch.nn", report["backend"]["features"])
        catalogue = re.sub(r"torch\.nn (\S+),.*", r"\1", report["suite"]["catalogue"])
        marks = ["yes" if claims.get(name) else "" for name in OPTIONAL]
        gradients = claims.get("gradients", False)
        some = ", ".join(gradients) if isinstance(gradients, list) else "yes" if gradients else ""
        outputs = " and ".join(claims.get("output", ["all"]))
        cells = [f"`{path.stem}`", catalogue, *marks, outputs, some, _arithmetic(claims["float32_arithmetic"])]
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def _arithmetic(claimed: str | dict[str, str]) -> str:
    if isinstance(claimed, str):
        return claimed
    return ", ".join(f"{kind}: {arithmetic}" for kind, arithmetic in claimed.items())


def table() -> str:
    """Return the table, head and rows."""
    return "\n".join([HEAD, "| --- " * len(COLUMNS) + "|", *rows()]) + "\n"


def written(page: str) -> str:
    """Return the page with new tables of the committed reports."""
    page = _replaced(page, r"^\| backend \| (?:specification|passed) \|.*$", table())
    rule = "| --- " * FEATURES_HEAD.count(" | ") + "| --- |"
    return _replaced(page, r"^\| backend \| catalogue \|.*$", "\n".join([FEATURES_HEAD, rule, *features()]) + "\n")


def _replaced(page: str, head: str, made: str) -> str:
    """Return the page with a new table in place of the one with that head."""
    start = re.search(head, page, re.MULTILINE)
    assert start, f"docs/adapters-results.md has no table with the head {head}"
    rest = re.sub(r"\A(\|.*\n)+", "", page[start.start() :])
    return page[: start.start()] + made + rest


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
