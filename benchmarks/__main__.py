"""``python -m benchmarks``: measure the suite's cost into docs/performance.json and .md; ``--check`` compares.

Sections: runs (time to a verdict in quick and standard), imports, oracle, growth, examples, backends, shards, redis,
adapters, explanation, tests, faults, peers, campaign (of ``--examples``, an hour for a million, with each backend after
``--campaign``).
The named sections are measured, the others keep their figures. A yardstick, the milliseconds of a fixed piece of
NumPy's work, is measured together with every figure. ``--check`` measures again, prints what takes more yardsticks than
before, and exits with 1 if there is anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import adapters, campaign, farm, faults, layers, peers, runs
from benchmarks.page import page
from benchmarks.pictures import draw
from conformance.campaign.campaign import EXAMPLES_PER_CHECK

DOCS = Path(__file__).parents[1] / "docs"
FILE, PAGE, PICTURES = DOCS / "performance.json", DOCS / "performance.md", DOCS / "performance"
SLOWER = 1.5  # times as many yardsticks: smaller factors are noise on a busy machine


SEVERAL = {
    "examples": (farm.examples, (6, 25, 100, 400)),
    "backends": (
        farm.backends,
        (["reference"], ["reference", "torch-cpu"], ["reference", "torch-cpu", "onnx-ops-ort"]),
    ),
    "shards": (farm.shards, (1, 2, 4, 8)),
    "redis": (farm.redis, (1, 10, 50)),
    "adapters": (adapters.quick, ("Right", "Wrong")),
    "explanation": (adapters.explanation, ("SlowCall", "SlowBuild")),
    "tests": (runs.tests, ("fast", "all")),
}
"""Sections of several runs: the function that measures one, and its arguments."""


def measured(section: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure a section and return its rows."""
    if section == "runs":
        asked = [(b, p, n) for b in args.backend for p in args.profile for n in args.processes]
        return [timed(lambda b=b, p=p, n=n: runs.suite(b, p, n), f"{b}, {p}, {n} at a time") for b, p, n in asked]
    if section == "imports":
        return [timed(runs.imports, "imports")]
    if section == "oracle":
        sizes = (layers.SMALL, layers.MIDDLE, layers.LARGE)
        asked = [(k, s) for k in ("lstm", "gru", "rnn_tanh") for s in sizes]
        return [timed(lambda k=k, s=s: layers.against_torch(k, s), f"{k} {s}") for k, s in asked]
    if section == "growth":
        asked = [(k, a, v) for k in ("lstm", "gru") for a, values in layers.AXES.items() for v in values]
        return [timed(lambda k=k, a=a, v=v: layers.growth(k, a, v), f"{k} {a}={v}") for k, a, v in asked]
    if section in SEVERAL:
        measure, asked = SEVERAL[section]
        return [timed(lambda one=one: measure(one), f"{section}: {one}") for one in asked]
    if section == "campaign":
        return [row for name in args.campaign for row in long_campaign(name, args)]
    if section == "faults":
        return [timed(faults.distribution, section)]
    others = [timed(peers.onnx_node_tests, "ONNX's node tests")]
    if args.array_api_tests:
        others.append(timed(lambda: peers.array_api_tests(args.array_api_tests), "array-api-tests"))
    return others


def long_campaign(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Run a campaign with a backend and return its rows."""
    label = f"a campaign of {args.examples:,} examples with {name}"
    return several(lambda: campaign.growth(name, args.examples, each=args.each), label)


def timed(function, label: str) -> dict[str, Any]:
    """Return the function's row with the yardstick, measured before and after it; print the label first."""
    return several(lambda: [function()], label)[0]


def several(function, label: str) -> list[dict[str, Any]]:
    """Return the function's rows with the yardstick, measured before and after them; print the label first."""
    print(label, flush=True, file=sys.stderr)
    before = layers.yardstick()
    rows = function()
    yardstick = (before + layers.yardstick()) / 2
    return [rounded(row | {"yardstick": yardstick}) for row in rows]


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


# The fields that identify a row, and the figures to compare.
WHAT = ("peer", "backend", "profile", "processes", "kind", "axis", "value", "T", "N", "hidden_size", "milestone",
        "shards", "clients", "adapter", "tests")  # fmt: skip
COMPARED = ("wall", "oracle forward", "oracle gradient", "oracle", "tolerance")


def slower(before: dict[str, list], now: dict[str, list]) -> list[str]:
    """Return a sentence for each figure that takes more yardsticks than before."""
    found = []
    for section, rows in now.items():
        old = {tuple(row.get(n) for n in WHAT): row for row in before.get(section, [])}
        for row in rows:
            was = old.get(tuple(row.get(n) for n in WHAT))
            for name in COMPARED if was else ():
                if name in row:
                    factor = (row[name] / row["yardstick"]) / (was[name] / was["yardstick"])
                    if factor > SLOWER:
                        where = ", ".join(f"{n} {row[n]}" for n in WHAT if n in row)
                        found.append(f"{section}: {name} of {where} takes {factor:.2f} times as long as committed")
    return found


def keep(committed: dict[str, list], section: str, rows: list[dict[str, Any]]) -> None:
    """Write the figures and the page, with these rows in place of the old rows that they measure again."""
    what = ("backend",) if section == "campaign" else WHAT  # a campaign's rows belong together
    of = [tuple(row.get(n) for n in what) for row in rows]
    kept = [r for r in committed.get(section, []) if tuple(r.get(n) for n in what) not in of]
    committed[section] = rows if section == "examples" else kept + rows
    FILE.write_text(json.dumps(committed, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(committed), "utf-8")
    draw(committed, PICTURES)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    names = ("runs", "imports", "oracle", "growth", *SEVERAL, "faults", "peers", "campaign")
    parser.add_argument("sections", nargs="*", choices=[*names, []], default=[], help="what to measure (default: all)")
    parser.add_argument("--backend", action="append", help="of runs (default: torch-cpu and onnxruntime)")
    parser.add_argument("--profile", action="append", choices=["smoke", "quick", "standard"])
    parser.add_argument("--processes", action="append", type=int)
    parser.add_argument("--campaign", action="append", metavar="NAME", help="a backend of campaign (reference)")
    parser.add_argument("--examples", type=int, default=100_000, help="of campaign (default: 100000)")
    parser.add_argument("--each", type=int, default=EXAMPLES_PER_CHECK, help="examples for each check in a round (125)")
    parser.add_argument("--array-api-tests", type=Path, metavar="FOLDER", help="of peers: a checkout, with submodules")
    parser.add_argument("--check", action="store_true", help="compare with the committed figures and write nothing")
    args = parser.parse_args()
    args.backend = args.backend or ["torch-cpu", "onnxruntime"]
    args.campaign = args.campaign or ["reference"]
    args.profile = args.profile or ["quick", "standard"]
    args.processes = args.processes or [1, 2]
    committed = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    now = {}
    for section in args.sections or names:
        now[section] = measured(section, args)
        if not args.check:  # keep each section at once, in case a later one fails
            keep(committed, section, now[section])
    if args.check:
        told = slower(committed, now)
        print("\n".join(told) or "nothing became slower")
        return int(bool(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
