"""Write the table of docs/adapters-results.md from the committed reports: ``python -m tests.adapter_results``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from conformance.reporting.reading import read

ROOT = Path(__file__).parents[1]
PAGE, REPORTS = ROOT / "docs" / "adapters-results.md", ROOT / "results"
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
    "report",
)
HEAD = f"| {' | '.join(COLUMNS)} |"
# remarks that the figures alone do not show
REMARKS = {"onnx-ops-reference": ", mostly of one cause: lengths are ignored, which the diagnosis says"}


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
                f"| [results/{path.name}](../results/{path.name}) |"
            )


def table() -> str:
    """Return the table, head and rows."""
    return "\n".join([HEAD, "| --- " * len(COLUMNS) + "|", *rows()]) + "\n"


def written(page: str) -> str:
    """Return the page with a new table of the committed reports."""
    start = re.search(r"^\| backend \| (?:specification|passed) \|.*$", page, re.MULTILINE)
    assert start, "docs/adapters-results.md has no table of the reports"
    rest = re.sub(r"\A(\|.*\n)+", "", page[start.start() :])
    return page[: start.start()] + table() + rest


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
