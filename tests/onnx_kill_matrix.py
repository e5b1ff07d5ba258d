"""Measure which faults of ONNX's operators fail the requirement that names them: ``python -m tests.onnx_kill_matrix``.

It writes docs/kill-matrix-operators.json and .md. The script puts every fault of the bank to its deciding requirement
in ``quick``, in float32 and in the operator with the most requirements among those that the fault touches. A fault that
passes is put to it in ``standard``, which draws the same examples and then more. ``--whole`` runs the whole suite on
each fault, in about five seconds of a processor a fault, and stores all failures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.faults import BANK, Fault
from tests.harness import QUICK, STANDARD, all_checks, verdicts
from tests.kill_matrix import as_json

DOCS = Path(__file__).parents[1] / "docs"
MATRIX = DOCS / "kill-matrix-operators.json"
PAGE = DOCS / "kill-matrix-operators.md"
RICHEST = ("LSTM", "GRU", "RNN")  # the operator with the most requirements first
SHOWN = 12


def built(fault: Fault):
    """Build a fault in float32, and in the richest operator that it touches unless it is about unclaimed ones."""
    backend = fault.build()
    touched = [kind for kind in RICHEST if kind in backend.features.operators]
    operators = touched if ONNX.catalogue[fault.requirement].unless == "kinds" else touched[:1]
    backend.features = replace(backend.features, operators=operators, dtypes={"float32"})
    return backend


def deciding(fault: Fault):
    """Return the checks of the requirement that decides a fault."""
    return ONNX.checks_of(fault.requirement)


def failures(fault: Fault, profile, checks=None) -> dict[str, int]:
    """Return the requirements that a fault fails, each with the number of examples until it failed."""
    failed: dict[str, int] = {}
    for requirement, _, _, verdict, _ in verdicts(built(fault), profile, checks, ONNX):
        if not verdict.passed:
            failed[requirement] = min(verdict.examples, failed.get(requirement, verdict.examples))
    return failed


def row(task: tuple[str, bool]) -> tuple[str, dict]:
    """Return the failures of a fault by profile, under its deciding requirement or the whole suite."""
    identifier, whole = task
    fault = BANK[identifier]
    found = {"quick": failures(fault, QUICK, all_checks(ONNX) if whole else deciding(fault))}
    if fault.requirement not in found["quick"]:
        found["standard"] = found["quick"] | failures(fault, STANDARD, deciding(fault))
    return identifier, found


def measured(processes: int, nice: int, whole: bool) -> dict[str, dict]:
    """Return the rows of all faults."""
    kept, started = {}, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, os.nice, (nice,)) as pool:
        for identifier, found in pool.imap_unordered(row, [(i, whole) for i in BANK], chunksize=8):
            kept[identifier] = found
            print(f"{len(kept)} {identifier}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return {identifier: kept[identifier] for identifier in BANK}


INTRODUCTION = """\
# Kill matrix of the ONNX operators

`python -m tests.onnx_kill_matrix` writes this page from `kill-matrix-operators.json`. The bank
(`conformance/specifications/onnx_operators/faults/`) holds {faults} departures from the pages of the operators RNN,
LSTM and GRU. Each is a small change of the oracle and a backend, for example
`--backend conformance.specifications.onnx_operators.faults:onnx-clip-ignored`. The script puts each to the requirement
that names its mistake, one of {requirements}, in float32 and in one of the operators that it touches (LSTM before GRU
before RNN).

In the profile quick {quick} of {faults} faults fail this requirement, in standard {standard}. Every requirement is
failed by at least one fault. `--whole` puts each fault to all requirements."""


def page(matrix: dict[str, dict]) -> Iterator[str]:
    """Yield the lines of docs/kill-matrix-operators.md."""
    every = {identifier: found["quick"] | found.get("standard", {}) for identifier, found in matrix.items()}
    numbers = {
        "quick": sum(BANK[i].requirement in found["quick"] for i, found in matrix.items()),
        "standard": sum(BANK[i].requirement in failed for i, failed in every.items()),
    }
    yield from INTRODUCTION.format(faults=len(matrix), requirements=len(ONNX.catalogue), **numbers).splitlines()
    yield from ("", "## Fault by fault", "")
    yield from ("| fault | explanation | fails |", "| --- | --- | --- |")
    for identifier, found in matrix.items():
        fault = BANK[identifier]
        examples = every[identifier].get(fault.requirement, "-")
        where = "" if fault.requirement in found["quick"] else " (standard)"
        explanation = fault.explanation.replace("|", r"\|")
        yield f"| `{identifier}` | {explanation} | `{fault.requirement}`, {examples} examples{where} |"
    yield from ("", "## Requirement by requirement", "")
    yield from ("| requirement | number of faults | faults |", "| --- | --- | --- |")
    for requirement in ONNX.catalogue:
        failing = [identifier for identifier in matrix if requirement in every[identifier]]
        failing.sort(key=lambda identifier, r=requirement: BANK[identifier].requirement != r)
        more = f" and {len(failing) - SHOWN} more" if len(failing) > SHOWN else ""
        yield f"| `{requirement}` | {len(failing)} | {', '.join(f'`{i}`' for i in failing[:SHOWN])}{more} |"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.onnx_kill_matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--whole", action="store_true", help="run the whole suite on each fault")
    parser.add_argument("--page", action="store_true", help="write the page only")
    options = parser.parse_args()
    if not options.page:
        MATRIX.write_text(as_json(measured(options.processes, options.nice, options.whole)), "utf-8")
    matrix = json.loads(MATRIX.read_text("utf-8"))
    PAGE.write_text("\n".join(page(matrix)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
