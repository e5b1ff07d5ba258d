"""Measure which requirement fails which fault, for docs/kill-matrix.json and .md: ``python -m tests.kill_matrix``.

The script runs the whole suite in ``quick`` on every fault of the bank, in the touched kind with the most requirements.
``standard`` draws the same examples and then more, so every failure in quick is one in standard too. Only faults that
quick does not decide run in standard; with ``--standard`` all do. Results are stored, so that an interrupted run
continues.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from statistics import median

from conformance.engine.key import Key
from conformance.runs.prerequisites import Prerequisites, ranks
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK, Fault
from tests.harness import QUICK, STANDARD, all_checks, built, verdicts

DOCS = Path(__file__).parents[1] / "docs"
MATRIX = DOCS / "kill-matrix.json"
PAGE = DOCS / "kill-matrix.md"
ONNX = DOCS / "kill-matrix-onnx.json"
RICHEST = ("lstm", "gru", "rnn_tanh", "rnn_relu")  # the kind with the most requirements first
ASKED = [id_ for id_, entry in CATALOGUE.items() if entry.area not in TORCH_NN.undiagnosed_areas]
"""The requirements that a fault of the bank can fail."""
FURTHER_KIND = {
    "acceptance": "gru",
    "values": "rnn_relu",
}  # by family: a second kind, which alone has some requirements


def kinds_of(fault: Fault) -> tuple[str, ...]:
    """Return the kinds in which the suite runs on a fault."""
    touched = [kind for kind in RICHEST if kind in fault.kinds]
    return tuple(kind for kind in touched if kind in (touched[0], FURTHER_KIND.get(fault.family)))


def row(identifier: str, profile, requirements: Collection[str] | None = None) -> dict:
    """Run the suite, or some requirements, on a fault; return its row.

    The row has the number of examples until each requirement failed.
    """
    fault, failed, seconds, first = BANK[identifier], {}, 0.0, None
    backend = built(fault, kinds_of(fault))
    checks = None if requirements is None else [check for check in all_checks() if check.requirement in requirements]
    for requirement, kind, _, verdict, took in verdicts(backend, profile, checks):
        seconds += took
        if not verdict.passed:
            failed[requirement] = min(verdict.examples, failed.get(requirement, verdict.examples))
            if first is None:
                first = {"requirement": requirement, "kind": kind, "examples": verdict.examples, "seconds": seconds}
    return {"kinds": backend.features.as_json()["kinds"], "seconds": seconds, "first": first, "failed": failed}


def rows(task: tuple[str, bool]) -> tuple[str, dict]:
    """Return the rows of a fault by profile."""
    identifier, standard = task
    found = {"quick": row(identifier, QUICK)}
    if standard or BANK[identifier].requirement not in found["quick"]["failed"]:
        found["standard"] = row(identifier, STANDARD)
    return identifier, found


def updated(task: tuple[str, dict, frozenset[str]]) -> tuple[str, dict]:
    """Return the rows of a fault with some requirements run again in quick."""
    identifier, kept, requirements = task
    fresh = row(identifier, QUICK, requirements)
    for name in kept:  # a failure in quick is one in standard too
        others = {id_: examples for id_, examples in kept[name]["failed"].items() if id_ not in requirements}
        kept[name]["failed"] = others | fresh["failed"]
    kept["quick"]["seconds"] += fresh["seconds"]
    return identifier, kept


def update(processes: int, nice: int, requirements: frozenset[str], kept: dict[str, dict]) -> Iterator[dict[str, dict]]:
    """Yield the matrix after some requirements have been run again on each further fault that it has."""
    started = time.monotonic()
    order = sorted(kept, key=lambda identifier: RICHEST.index(kinds_of(BANK[identifier])[0]))
    with multiprocessing.get_context("spawn").Pool(processes, os.nice, (nice,)) as pool:
        tasks = [(identifier, kept[identifier], requirements) for identifier in order]
        for count, (identifier, found) in enumerate(pool.imap_unordered(updated, tasks), 1):
            kept[identifier] = found
            print(f"{count}/{len(tasks)} {identifier}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            yield kept


def run(processes: int, nice: int, standard: bool, kept: dict[str, dict]) -> Iterator[dict[str, dict]]:
    """Yield the matrix after each further fault."""
    wanted = [identifier for identifier, fault in BANK.items() if identifier not in kept or (
        standard and "standard" not in kept[identifier])]  # fmt: skip
    wanted.sort(key=lambda identifier: RICHEST.index(kinds_of(BANK[identifier])[0]))  # a kind's faults share examples
    started = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(processes, os.nice, (nice,)) as pool:
        tasks = [(identifier, standard) for identifier in wanted]
        for count, (identifier, found) in enumerate(pool.imap_unordered(rows, tasks), 1):
            kept[identifier] = found
            print(f"{count}/{len(tasks)} {identifier}, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            yield {known: kept[known] for known in BANK if known in kept}


def rounded(value):
    """Round all floating-point numbers of JSON data to two digits."""
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(value, 2) if isinstance(value, float) else value


def as_json(matrix) -> str:
    """Return the matrix as JSON, one line for each fault."""
    lines = (f"{json.dumps(identifier)}: {json.dumps(rounded(found))}" for identifier, found in matrix.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def page(matrix: dict[str, dict]) -> Iterator[str]:
    """Yield the lines of docs/kill-matrix.md."""
    quick = {i: r["quick"]["failed"] for i, r in matrix.items()}
    standard = {i: r.get("standard", r["quick"])["failed"] for i, r in matrix.items()}
    decided = {name: sum(BANK[i].requirement in failed[i] for i in matrix) for name, failed in
               (("quick", quick), ("standard", standard))}  # fmt: skip
    killed = {name: sum(bool(failed[i]) for i in matrix) for name, failed in (("quick", quick), ("standard", standard))}
    yield from INTRODUCTION.format(faults=len(matrix), requirements=len(ASKED)).splitlines()
    yield from (
        "",
        "| profile | failed | by the requirement that decides | processor seconds, median and most |",
    )
    yield "| --- | --- | --- | --- |"
    for name in ("quick", "standard"):
        seconds = sorted(r[name]["seconds"] for r in matrix.values() if name in r)
        middle = f"{median(seconds):.1f}, {seconds[-1]:.1f} ({len(seconds)} faults)" if seconds else "not run"
        yield f"| {name} | {killed[name]} of {len(matrix)} | {decided[name]} | {middle} |"
    counts = [len(unblocked(failed)) for failed in quick.values()]
    one, two = (sum(count <= most for count in counts) for most in (1, 2))
    mean = sum(map(len, quick.values())) / len(quick)
    yield from (
        "",
        *PREREQUISITES.format(mean=mean, one=one, two=two, faults=len(matrix), most=max(counts)).splitlines(),
    )
    yield from ("", "## Fault by fault", "")
    yield from FAULT_BY_FAULT.splitlines()
    families: dict[str, list[str]] = {}
    for identifier in matrix:
        families.setdefault(BANK[identifier].family, []).append(identifier)
    for family, mine in families.items():
        yield from ("", f"### {family.capitalize()}", "", HEAD, "| --- | --- | --- | --- | --- |")
        for identifier in mine:
            yield _fault_line(identifier, matrix[identifier])
    yield from ("", "## Requirement by requirement", "")
    yield from REQUIREMENT_BY_REQUIREMENT.splitlines()
    yield from ("", "| requirement | number of faults | faults |", "| --- | --- | --- |")
    for requirement in ASKED:
        failing = [i for i in matrix if requirement in standard[i]]
        failing.sort(key=lambda i, r=requirement: BANK[i].requirement != r)
        shown = ", ".join(f"`{i}`" for i in failing[:SHOWN])
        more = f" and {len(failing) - SHOWN} more" if len(failing) > SHOWN else ""
        yield f"| `{requirement}` | {len(failing)} | {shown}{more} |"
    yield from ("", "## ONNX's node tests", "")
    yield from onnx_paragraph(json.loads(ONNX.read_text("utf-8")), standard).splitlines()


def unblocked(failed: Iterable[str]) -> list[str]:
    """Return the failing requirements that a run reports as failed; the others build on them and are blocked."""
    reported, entries, key = [], CATALOGUE, lambda identifier: Key(identifier, "", "", "")
    prerequisites, rank = Prerequisites({"torch.nn": entries}), ranks(entries)
    for identifier in sorted(entries, key=rank.__getitem__):
        if prerequisites.cause(key(identifier)) is None and identifier in failed:
            prerequisites.failed(key(identifier))
            reported.append(identifier)
    return reported


def onnx_paragraph(data: dict, failed: dict[str, dict]) -> str:
    """Return the paragraph on the same faults under the node tests of ONNX."""
    caught = data["caught"]
    noticed = [identifier for identifier, names in caught.items() if names]
    orders = [i for i in caught if i.startswith("lstm-gates-") and BANK[i].family == "gates"]
    seen = sum(bool(caught[i]) for i in orders)
    return ONNX_PARAGRAPH.format(
        faults=len(caught), vectors=len(data["vectors"]), onnx=data["onnx"], noticed=len(noticed),
        part=len(noticed) / len(caught), suite=sum(bool(failed[i]) for i in caught if i in failed),
        orders=len(orders), seen=seen, steps=data["most_steps"],
    )  # fmt: skip


def _fault_line(identifier: str, found: dict) -> str:
    fault = BANK[identifier]
    decisive = found["quick"] if fault.requirement in found["quick"]["failed"] else found["standard"]
    by = f"`{fault.requirement}`, {decisive['failed'].get(fault.requirement, '-')} examples"
    by += "" if decisive is found["quick"] else " (standard)"
    first = found["quick"]["first"] or found["standard"]["first"]
    shown = f"`{first['requirement']}`, {first['examples']} examples, {first['seconds']:.1f} s" if first else "nothing"
    counts = [len(found[name]["failed"]) if name in found else "" for name in ("quick", "standard")]
    what = f"{fault.explanation}; {fault.who}".replace("|", r"\|")
    return f"| `{identifier}` | {what} | {by} | {shown} | {', '.join(str(n) for n in counts if n != '')} |"


SHOWN = 12
HEAD = "| fault | explanation; origin | decided by | first failure | failures in quick, standard |"
INTRODUCTION = """\
# Kill matrix

`python -m tests.kill_matrix` writes this page from `kill-matrix.json`. The bank
(`conformance/specifications/torch_nn/faults/`) holds {faults} departures from the documentation, called faults; the
literature calls them mutants. Each is a small change of the oracle and a backend
(`pytest conformance --backend conformance.faults:lstm-gates-f-i`). The script puts each to the suite's {requirements}
requirements in float32, in the kind with the most requirements among the kinds that it touches (LSTM before GRU before
RNN). Faults of acceptance also run in a GRU, faults of values in an RNN with ReLU. Gradients are tested only for faults
of gradients.

The profile standard draws the examples of quick first and then more, so a requirement that fails in quick fails in
standard. The whole suite runs in standard only for faults whose deciding requirement does not fail in quick."""
PREREQUISITES = """\
A fault fails {mean:.0f} requirements in the mean. In a run, failed prerequisites block most of them: {one} of the
{faults} faults are reported as one failure, {two} as one or two. The maximum, {most}, belongs to backends that accept
every argument: each of their failures is a separate mistake."""
FAULT_BY_FAULT = """\
*Decided by* is the requirement that names the mistake, with the number of examples until it failed. *First failure* is
the first failing requirement in the suite's order; its seconds are the time up to that failure on a shared core, with
the oracle's results cached from fault to fault. The last column counts the failing requirements."""
ONNX_PARAGRAPH = """\
`python -m tests.onnx_vectors` measures this. {faults} faults of the bank change the numbers of a layer that a single
ONNX node can express. onnx {onnx} ships {vectors} node tests of RNN, LSTM and GRU that a documented layer can express.
With the comparison of ONNX's runner (rtol 1e-3, atol 1e-7), {noticed} of these faults fail a test: {part:.0%}. This
suite fails {suite}. ONNX's tests notice {seen} of {orders} wrong orders of an LSTM's gates, because their weights are
constant and all blocks are equal. No test has an initial state or a length; the longest has {steps} steps."""
REQUIREMENT_BY_REQUIREMENT = """\
The faults that fail each requirement in quick or standard; the faults that it decides come first. Every requirement
fails at least one fault. The requirements `TORCH-...` are left out: they ask for autograd and other parts of torch that
no fault of the bank has. `tests/torch_faults.py` holds a wrong module of torch for each of them, and
`tests/test_torch_behaviors.py` shows that it fails its requirement and none that does not build on that one."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill_matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--standard", action="store_true", help="the whole suite in standard for every fault")
    parser.add_argument("--from-scratch", action="store_true", help="ignore the stored results")
    parser.add_argument("--requirements", nargs="+", metavar="ID", help="run these again on the faults that are stored")
    parser.add_argument("--page", action="store_true", help="write the page only")
    options = parser.parse_args()
    kept = json.loads(MATRIX.read_text("utf-8")) if MATRIX.exists() and not options.from_scratch else {}
    if options.requirements:
        for matrix in update(options.processes, options.nice, frozenset(options.requirements), kept):
            MATRIX.write_text(as_json(matrix), "utf-8")
    if not options.page:
        for matrix in run(options.processes, options.nice, options.standard, kept):
            MATRIX.write_text(as_json(matrix), "utf-8")
    matrix = json.loads(MATRIX.read_text("utf-8"))
    PAGE.write_text("\n".join(page(matrix)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
