"""How close a backend comes to its tolerance, as SVG drawn by Matplotlib that is at home in the page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from conformance.reporting import order
from conformance.reporting.reading import Report, margin_told
from conformance.reporting.report import Row

# Colours stand for the page's own: dark or light is its affair.
INK, FAINT, MARK, WRONG = "#000001", "#000002", "#000003", "#000004"
VARIABLES = {INK: "--ink", FAINT: "--line", MARK: "--accent", WRONG: "--failed"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "conformance",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
}
BEYOND = 1.04  # where what is beyond the tolerance is drawn
ENOUGH_STEPS = 8  # fewer show no course
MOST_POINTS = 125
SHOWN = 1e9  # larger margins are drawn there
WIDTH, ROW, PANEL, REST = 4.6, 0.21, 0.95, 0.62  # inches
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Margins:
    """The margins of one kind and dtype on one backend."""

    kind: str
    dtype: str
    rows: tuple[Row, ...]

    @property
    def largest(self) -> Row:
        """The row that came closest to the tolerance, or went furthest beyond."""
        return max(self.rows, key=lambda row: row.margin)

    @property
    def middle(self) -> str:
        """The median, in words."""
        return margin_told(median(row.margin for row in self.rows))


def margins(report: Report) -> list[Margins]:
    """The margins by dtype and kind, where there are any."""
    numeric = [row for row in report.rows if row.margin is not None]
    found = (
        Margins(kind, dtype, tuple(row for row in numeric if (row.kind, row.dtype) == (kind, dtype)))
        for dtype in order.dtypes(report.rows)
        for kind in order.kinds(report.rows)
    )
    return [one for one in found if one.rows]


def longest_worst(report: Report) -> list[Row]:
    """Of each kind the row with the largest margin among those that tell it by step, for ENOUGH_STEPS or more."""
    told = [row for row in report.rows if len(row.steps or ()) >= ENOUGH_STEPS]
    kinds = order.kinds(report.rows)
    found = (max((row for row in told if row.kind == kind), key=lambda row: row.margin, default=None) for kind in kinds)
    return [row for row in found if row is not None]


def margins_picture(shown: Sequence[Margins], prefix: str) -> str:
    """An svg element: a row for each kind and dtype, a stroke for each requirement, a mark at the largest.

    ``prefix`` keeps its ids apart from those of other pictures.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, ROW * len(shown) + REST), layout="constrained")
        axes = figure.subplots()
        for y, one in enumerate(shown):
            _row(axes, y, [row.margin for row in one.rows])
        axes.axvline(1, color=WRONG, linewidth=1)
        axes.set(xlim=(0, 1.35), ylim=(len(shown) - 0.4, -0.6), xlabel="error as a part of the tolerance")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_yticks(range(len(shown)), [f"{one.kind} {one.dtype}" for one in shown])
        axes.spines[["top", "right", "left"]].set_visible(False)
        return _svg(figure, prefix)


def _row(axes, y: int, values: list[float]) -> None:
    """Strokes to a hundredth of the tolerance, so that many alike are one; what is beyond it stands apart."""
    within = sorted({round(value, 2) for value in values if value <= 1})
    strokes = [(x, at) for x in within for at in (y - 0.3, y + 0.3, float("nan"))]
    axes.axhline(y, color=FAINT, linewidth=0.5, zorder=0)
    if strokes:
        axes.plot(*zip(*strokes, strict=True), color=MARK, linewidth=0.8, alpha=0.8)
    if max(values) <= 1:
        axes.plot([max(values)], [y], "o", color=MARK, markersize=5)
    else:
        axes.plot([BEYOND], [y], ">", color=WRONG, markersize=5)
        axes.text(BEYOND + 0.04, y, margin_told(max(values)), color=WRONG, verticalalignment="center")


def steps_picture(rows: Sequence[Row], prefix: str) -> str:
    """An svg element: for each row the margin at each time step."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, PANEL * len(rows) + REST / 2), layout="constrained")
        for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True):
            together = -(-len(row.steps) // MOST_POINTS)  # steps, of which the largest is drawn
            starts = range(0, len(row.steps), together)
            values = [min(max(row.steps[start : start + together]), SHOWN) for start in starts]
            axes.plot(starts, values, ".-", color=MARK, linewidth=0.8, markersize=3)
            axes.axhline(1, color=WRONG, linewidth=1)
            if max(values) <= 1:
                axes.set(ylim=(0, 1.08), yticks=[0, 0.5, 1])
                axes.yaxis.set_major_formatter(PercentFormatter(1))
            else:
                axes.set_yscale("symlog", linthresh=1)
            axes.set_title(f"{row.kind} {row.dtype}", loc="left", fontsize=9)
            axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("time step")
        return _svg(figure, prefix)


def _svg(figure: Figure, prefix: str) -> str:
    file = io.StringIO()
    for axes in figure.axes:
        axes.tick_params(length=0)
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _at_home(file.getvalue(), prefix)


def _at_home(text: str, prefix: str) -> str:
    """The svg element without names from elsewhere, in the page's colours, numbers to a hundredth."""
    root = ET.fromstring(text)
    for parent in root.iter():
        for child in list(parent):
            if child.tag.removeprefix(SVG) in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r"#([\w-]+)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        if LINK in element.attrib:
            element.set("href", element.attrib.pop(LINK))
        if element.get("id") not in used:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            value = re.sub(r"(-?\d+\.\d{3,})", lambda number: f"{float(number[0]):.2f}", value)
            for colour, variable in VARIABLES.items():
                value = value.replace(colour, f"var({variable})")
            value = f"{prefix}-{value}" if key == "id" else value.replace("#", f"#{prefix}-")
            element.set(key, value.strip())
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"aria-hidden": "true", "focusable": "false"}
    return ET.tostring(root, encoding="unicode")
