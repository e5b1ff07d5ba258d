"""Draw a backend's margins with Matplotlib, as SVG in the style of the page."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from conformance.reporting import order
from conformance.reporting.reading import Report, margin_text
from conformance.reporting.report import Row

# Placeholders for the page's colours, which depend on its dark or light mode.
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
BEYOND_X = 1.04  # the place of the mark for margins above 1, in margins
MIN_STEPS = 8  # fewer steps are not worth a picture
MAX_POINTS = 125
MAX_TICKS = 3  # of a logarithmic axis
MAX_DRAWN_MARGIN = 1e9  # larger margins are drawn at this height
WIDTH_INCHES, ROW_INCHES, PANEL_INCHES, REST_INCHES = 4.6, 0.21, 0.95, 0.62
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
        """The row with the largest margin."""
        return max(self.rows, key=_margin)

    @property
    def middle(self) -> str:
        """The median of the margins, in words."""
        return margin_text(median(map(_margin, self.rows)))


def _margin(row: Row) -> float:
    return row.margin or 0.0


def _largest_step(row: Row) -> float:
    return max(row.steps or (0.0,))


def margins(report: Report) -> list[Margins]:
    """Return the margins of each dtype and kind that has any."""
    numeric = [row for row in report.rows if row.margin is not None]
    found = (
        Margins(kind, dtype, tuple(row for row in numeric if (row.kind, row.dtype) == (kind, dtype)))
        for dtype in order.dtypes(report.rows)
        for kind in order.kinds(report.rows)
    )
    return [one for one in found if one.rows]


def longest_worst(report: Report) -> list[Row]:
    """Return for each kind the row with the largest margin of a step, among rows of at least MIN_STEPS steps."""
    long = [row for row in report.rows if len(row.steps or ()) >= MIN_STEPS]
    kinds = order.kinds(report.rows)
    found = (max((row for row in long if row.kind == kind), key=_largest_step, default=None) for kind in kinds)
    return [row for row in found if row is not None]


def margins_picture(shown: Sequence[Margins], prefix: str) -> str:
    """Draw an svg element: a row for each kind and dtype, a stroke for each requirement, a mark at the largest margin.

    ``prefix`` makes the ids of the element unique in the page.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * len(shown) + REST_INCHES), layout="constrained")
        axes = figure.subplots()
        for y, one in enumerate(shown):
            _row(axes, y, [_margin(row) for row in one.rows])
        axes.axvline(1, color=WRONG, linewidth=1)
        axes.set(xlim=(0, 1.35), ylim=(len(shown) - 0.4, -0.6), xlabel="error as a part of the tolerance")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_yticks(range(len(shown)), [f"{one.kind} {one.dtype}" for one in shown])
        axes.spines[["top", "right", "left"]].set_visible(False)
        return _svg(figure, prefix)


def _row(axes: Any, y: int, values: list[float]) -> None:
    """Draw a stroke for each margin, rounded to a hundredth, and one mark if a margin is above 1."""
    within = sorted({round(value, 2) for value in values if value <= 1})
    strokes = [(x, at) for x in within for at in (y - 0.3, y + 0.3, float("nan"))]
    axes.axhline(y, color=FAINT, linewidth=0.5, zorder=0)
    if strokes:
        axes.plot(*zip(*strokes, strict=True), color=MARK, linewidth=0.8, alpha=0.8)
    if max(values) <= 1:
        axes.plot([max(values)], [y], "o", color=MARK, markersize=5)
    else:
        axes.plot([BEYOND_X], [y], ">", color=WRONG, markersize=5)
        axes.text(BEYOND_X + 0.04, y, margin_text(max(values)), color=WRONG, verticalalignment="center")


def steps_picture(rows: Sequence[Row], prefix: str) -> str:
    """Draw an svg element: for each row the margin at each time step."""
    with mpl.rc_context(STYLE):
        height = PANEL_INCHES * len(rows) + REST_INCHES / 2
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        for axes, row in zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True):
            steps = row.steps or []
            together = -(-len(steps) // MAX_POINTS)  # steps in one point, which shows the largest margin of them
            starts = range(0, len(steps), together)
            values = [min(max(steps[start : start + together]), MAX_DRAWN_MARGIN) for start in starts]
            axes.plot(starts, values, ".-", color=MARK, linewidth=0.8, markersize=3)
            axes.axhline(1, color=WRONG, linewidth=1)
            if max(values) <= 1:
                axes.set(ylim=(0, 1.08), yticks=[0, 0.5, 1])
                axes.yaxis.set_major_formatter(PercentFormatter(1))
            else:
                axes.set_yscale("symlog", linthresh=1)
                axes.yaxis.get_major_locator().set_params(numticks=MAX_TICKS)
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
    """Return the svg element without foreign names, in the page's colours, with numbers rounded to a hundredth."""
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
