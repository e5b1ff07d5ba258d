"""The figures of hand-written documents, from the reports, catalogues and banks that they count.

``python -m tests.regenerate figures`` writes them. ``MEASURED`` lists the counts that only a measurement
renews.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import shorten

from conformance import specifications
from conformance.reporting import order, terminal
from conformance.reporting.reading import Report, read
from conformance.reporting.report import Outcome
from conformance.reporting.shares import Shares
from conformance.specifications.torch_nn.faults import BANK

ROOT = Path(__file__).parents[1]
MAIN_JOB = ROOT / "docs" / "main-job.md"
DEFAULT = ("torch-cpu", "onnxruntime")  # the backends of the main job
WIDTH = 120
COUNT = re.compile(
    r"(?<![\w.,-])(\d[\d,]*) (?:known |wrong |numeric |cheap |other )?"
    r"(requirements|faults|backends|departures|mistakes|implementations|checks|known failures)\b"
)
GENERATED = re.compile(r"requirements(-onnx)?\.md|kill-matrix(-operators)?\.md|hostile\.md|cases\.md|performance\.md")


@dataclass(frozen=True)
class Figure:
    """A figure in a document: a pattern whose group is the figure, and the right figure."""

    document: str
    pattern: str
    value: Callable[[], str]

    def written(self, text: str) -> str:
        """Return the document's text with the figure. Raises ValueError if the pattern does not match once."""
        found = list(re.finditer(self.pattern, text))
        if len(found) != 1:
            raise ValueError(f"{self.document} has {len(found)} places for the figure {self.pattern}")
        start, end = found[0].span(1)
        return text[:start] + self.value() + text[end:]


@cache
def committed(name: str) -> Report:
    """Return the committed report of a backend."""
    return read(ROOT / "results" / f"{name}.json")[0]


def hundreds(number: int) -> str:
    """Return the number cut to hundreds."""
    return f"{number // 100 * 100:,}"


def numeric() -> int:
    """Count the faults of torch.nn's bank that change numbers."""
    return sum(fault.numeric for fault in BANK.values())


def faults() -> int:
    """Count the faults that change numbers, of all specifications."""
    other = {f.id for s in specifications.every().values() for kind in s.kinds for f in s.faults(kind)} - set(BANK)
    return numeric() + len(other)


def of_torch() -> Shares:
    """Return the figures of torch-cpu, which stand as an example."""
    return committed("torch-cpu").shares["torch.nn"]


FIGURES = (
    Figure("README.md", r"more than (\d+) known\s+mistakes", lambda: hundreds(faults())),
    Figure("docs/gate.md", r"claims everything has over ([\d,]+) checks", lambda: hundreds(of_torch().total)),
    Figure("docs/gate.md", r"of (\d+) wrong implementations in the bank", lambda: f"{len(BANK):,}"),
    Figure("docs/gate.md", r"`torch\.nn: (\S+ % of [\d,]+)`", lambda: of_torch().text),
    Figure("docs/reports.md", r"`torch\.nn: (\S+ % of [\d,]+)`", lambda: of_torch().text),
    Figure("docs/reports.md", r"(?m)^torch\.nn: (.* fulfilled.*)$", lambda: of_torch().sentence),
    Figure("docs/explain.md", r"Each of about (\d+) known mistakes", lambda: f"{round(numeric(), -2)}"),
)

MEASURED = {
    ("docs/diagnosis.md", "219 known departures"): "an example of a message",
    ("docs/diagnosis.md", "252 numeric faults"): "python -m tests.diagnosing",
    ("docs/diagnosis.md", "170 numeric departures"): "python -m tests.onnx_diagnosing",
    ("docs/diagnosis.md", "114 faults"): "python -m tests.told",
    ("docs/gate.md", "1,132 checks"): "the processor seconds of smoke and quick",
    ("docs/gate.md", "86 checks"): "the same",
    ("docs/isolation.md", "1,128 requirements"): "the cost of isolation",
    ("docs/onnx.md", "45 requirements"): "an example of a summary",
    ("docs/reports.md", "30 backends"): "what was looked at",
    ("docs/scale.md", "202 checks"): "the speed of a campaign",
    ("docs/scale.md", "58 checks"): "the same",
    ("docs/scale.md", "9 checks"): "the same",
    ("docs/scale.md", "26 checks"): "the same",
    ("docs/scale.md", "26 cheap checks"): "the memory of a campaign",
    ("docs/scale.md", "662 checks"): "a campaign",
}


def main_job(text: str) -> str:
    """Return docs/main-job.md with the tables of the committed reports, cut to the width of a page."""
    start, end = text.index(f"{DEFAULT[0]} ("), text.index("report: conformance-report.json")
    reports = [committed(name) for name in DEFAULT]
    lines = [line for report in reports for line in (*_table(report), "")]
    shares = [shares for report in reports for shares in report.shares.values()]
    tests = f"{sum(s.fulfilled for s in shares)} passed, {sum(s.known for s in shares)} xfailed"
    made = text[:start] + "\n".join(lines) + "\n" + text[end:]
    return re.sub(r"(?m)^\d+ passed, \d+ xfailed", tests, made)


def _table(report: Report) -> Iterator[str]:
    areas = tuple(order.areas(report.rows))
    seconds = report.summary.get("seconds", {})
    outcome = Outcome(report.name, report.version, {}, list(report.rows), report.complete, seconds, areas=areas)
    for line in terminal.table(outcome, "conformance-report.json"):
        indent = len(line) - len(line.lstrip())
        yield line if len(line) <= WIDTH else line[:indent] + shorten(line, WIDTH - indent, placeholder="...")


def documents() -> Iterator[tuple[Path, str]]:
    """Yield the documents that have figures, with the figures written."""
    texts: dict[str, str] = {}
    for figure in FIGURES:
        text = texts.get(figure.document) or (ROOT / figure.document).read_text("utf-8")
        texts[figure.document] = figure.written(text)
    yield from ((ROOT / document, text) for document, text in texts.items())
    yield MAIN_JOB, main_job(MAIN_JOB.read_text("utf-8"))


def unaccounted(document: str, text: str) -> list[str]:
    """Return the counts in a hand-written document that are neither generated nor listed as measured."""
    places = [match.span(1) for f in FIGURES if f.document == document for match in re.finditer(f.pattern, text)]
    return [
        match[0]
        for match in COUNT.finditer(text)
        if (document, " ".join(match[0].split())) not in MEASURED
        and not any(start <= match.start(1) < end for start, end in places)
    ]
