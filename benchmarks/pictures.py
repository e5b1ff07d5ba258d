"""The pictures of docs/performance.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
STYLE: dict[str, Any] = {
    "svg.hashsalt": "performance",
    "svg.fonttype": "none",
    "axes.grid": True,
    "grid.alpha": 0.3,
    "font.size": 9,
}
SIZES = {"T": "steps T", "N": "samples N", "hidden_size": "units H"}


def draw(data: dict[str, Rows], folder: Path) -> None:
    """Draw a picture of each measured section that has one into the folder, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    folder.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for section, picture in PICTURES.items():
            if rows := data.get(section):
                figure = picture(rows)
                figure.tight_layout()
                figure.savefig(
                    folder / f"{section}.svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
                )


def _axes(count: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * count, 2.6))
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _growth(rows: Rows) -> Any:
    figure, axes = _axes(len(SIZES))
    for place, (axis, title) in zip(axes, SIZES.items(), strict=True):
        for kind, style in (("lstm", "-"), ("gru", "--")):
            mine = sorted((r for r in rows if r["axis"] == axis and r["kind"] == kind), key=lambda r: r["value"])
            for what, colour in (("oracle", "#0072b2"), ("tolerance", "#d55e00")):
                place.loglog(
                    [r["value"] for r in mine],
                    [r[what] for r in mine],
                    style, color=colour, marker="o", markersize=3, label=f"{what}, {kind}",
                )  # fmt: skip
        place.set(xlabel=title, ylabel="ms")
    axes[0].legend(fontsize=7)
    return figure


def _examples(rows: Rows) -> Any:
    figure, (place,) = _axes(1)
    place.loglog([r["examples"] for r in rows], [r["processor"] for r in rows], marker="o", color="#0072b2")
    place.set(xlabel="examples for each check", ylabel="s of processor")
    return figure


def _shards(rows: Rows) -> Any:
    figure, (place,) = _axes(1)
    for what, label, colour in (("longest", "longest shard", "#0072b2"), ("processor", "all shards", "#d55e00")):
        place.plot([r["shards"] for r in rows], [r[what] for r in rows], marker="o", color=colour, label=label)
    place.set(xlabel="shards", ylabel="s of processor", ylim=(0, None))
    place.legend(fontsize=7)
    return figure


PICTURES = {"growth": _growth, "examples": _examples, "shards": _shards}
