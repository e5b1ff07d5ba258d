"""Write the table of docs/adapters-results.md from the committed reports: ``python -m tests.adapter_results``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, REPORTS = ROOT / "docs" / "adapters-results.md", ROOT / "results"
HEAD = "| backend | passed | failed, all known | not claimed | time | of it in the framework | report |\n| --- |"
# remarks that the figures alone do not show
REMARKS = {"onnx-ops-reference": ", of one cause: lengths are ignored, which the diagnosis says"}


def rows() -> Iterator[str]:
    """Yield a row for each committed report."""
    for path in sorted(REPORTS.glob("*.json"), key=lambda path: path.stem):
        summary = json.loads(path.read_text("utf-8"))["summary"]
        seconds, name = summary["seconds"], path.stem
        taken = sum(seconds.values())
        yield (
            f"| `{name}` | {summary['passed']:,} | {summary['known_failures']}{REMARKS.get(name, '')} "
            f"| {summary['not_claimed']} | {taken:.0f} s | {seconds['backend'] / taken:.0%} "
            f"| [results/{path.name}](../results/{path.name}) |"
        )


def table() -> str:
    """Return the table, head and rows."""
    return "\n".join([HEAD + " --- |" * 6, *rows()]) + "\n"


def written(page: str) -> str:
    """Return the page with a new table of the committed reports."""
    start = page.index(HEAD.partition("\n")[0])
    return page[:start] + table() + re.sub(r"\A(\|.*\n)+", "", page[start:])


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
