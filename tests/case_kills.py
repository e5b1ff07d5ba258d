"""Measure which faults of the bank the generated cases notice, and choose the cases: ``python -m tests.case_kills``.

The script replays every vector of the pool (cases/vectors.py) on every fault, greedily chooses few vectors that cover
the same as the pool, and writes cases/data/chosen.json and docs/case-kills.json. Then ``python cases/generate.py``
writes the files, and ``python -m tests.case_kills --page`` writes docs/cases.md. A vector notices a fault under the
suite's rules: in float32 a replay raises, returns something of another form, or exceeds the tolerance.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from cases.vectors import Vector, pool
from conformance.backends.oracle import OracleBackend
from conformance.cases import Case, check, check_read_back, replay
from conformance.cases.coverage import NOT_CARRIED
from conformance.cases.load import case_of
from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK, Fault
from reference.config import KINDS
from reference.precision import ARITHMETICS
from tests.harness import remembered

ROOT = Path(__file__).parents[1]
CHOSEN = ROOT / "cases" / "data" / "chosen.json"
KILLS = ROOT / "docs" / "case-kills.json"
KEPT = ROOT / ".conformance"
PAGE = ROOT / "docs" / "cases.md"
MATRIX = ROOT / "docs" / "kill-matrix.json"
ONNX = ROOT / "docs" / "kill-matrix-onnx.json"
RANDOM = "what is dropped, or drawn for a new layer, is random: no number can be stored for it"
MEMORY = "it is about the memory, the threads or the layout of arrays, not about their numbers"
OTHER_DTYPE = "it is about float16, and the cases are replayed in float32"
CLAIMS = "it is about what a backend does not claim, and data do not know what it claims"
DETERMINED = {  # the faults of dropout that show where the numbers do not depend on the masks
    "dropout-after-the-last-layer", "dropout-with-one-layer", "dropout-on-the-input", "dropout-on-the-recurrence",
    "dropout-in-inference", "dropout-left-on", "dropout-divides-by-zero", "dropout-zero-is-half",
}  # fmt: skip
OF_MEMORY = {
    "layout-ignored", "results-in-one-buffer", "results-in-place-of-the-state", "one-workspace-for-all",
    "one-workspace-for-large-calls", "arguments-written", "lengths-written", "padding-cleared-in-place",
    "cotangent-written",
}  # fmt: skip
BEYOND = (
    "it needs what a case does not have: thousands of numbers, exchanged parameters, further layers between calls, "
    "gradients of cells and of training calls, or an optional method that PyTorch's layers do not have"
)
FAMILIES_BEYOND = {
    "loading", "gradients of cells", "gradients of training calls", "reverse direction alone", "masks", "kept states",
    "last output alone",
}  # fmt: skip
FAULTS_BEYOND = {
    "units-past-1024-zero", "samples-past-1024-zero", "samples-past-65535-zero", "steps-counted-in-16-bits",
    "layers-past-the-fourth-like-it", "gradients-of-the-first-512-samples", "cell-units-past-512-zero",
    "biases-of-another-layer-of-these-sizes", "samples-of-the-first-call", "biases-fused-in-place",
    "first-inference-as-in-training",
}  # fmt: skip
OF_CLAIMS = {
    "ignores-what-it-does-not-claim", "trains-though-it-does-not-claim-to", "initial-values-though-not-claimed",
    "other-kinds-and-dtypes-halved", "unclaimed-cotangent-ignored",
}  # fmt: skip


def left_out(fault: Fault) -> str:
    """Return the reason why no data can show a fault; "" if data can."""
    if fault.id in OF_CLAIMS:
        return CLAIMS
    if fault.id in OF_MEMORY:
        return MEMORY
    if fault.id in FAULTS_BEYOND or fault.family in FAMILIES_BEYOND:
        return BEYOND
    if "float32" not in fault.build().features.dtypes:
        return OTHER_DTYPE
    random = fault.family == "initialization" or (fault.family == "dropout" and fault.id not in DETERMINED)
    return RANDOM if random else ""


SHOWN = {identifier: fault for identifier, fault in BANK.items() if not left_out(fault)}


def notices(case: Case, backend, dtype: str = "float32") -> bool:
    """Return whether a backend fails a case."""
    try:
        check(case, replay(case, dtype, backend.layer, backend.cell), ARITHMETICS[dtype])
        if backend.features.claims("parameters"):
            check_read_back(case, dtype, backend.layer)
    except Failed:
        return True
    except Exception:  # any exception fails the case, as in the suite
        return True
    return False


def put_to(case: Case, fault: Fault) -> bool | None:
    """Return whether a case notices a fault; None if the case does not apply to it."""
    if not fault.features <= case.features | {"parameters"}:
        return None
    backend = fault.build()
    claimed = case.kinds <= fault.kinds and case.kinds <= set(backend.features.kinds)
    if not claimed or not all(backend.features.claims(feature) for feature in case.features):
        return None
    return notices(case, backend)


def killed(case: Case, faults: Iterable[str]) -> list[str]:
    """Return the faults that a case notices."""
    with warnings.catch_warnings(), remembered():
        warnings.simplefilter("ignore")
        return [identifier for identifier in faults if put_to(case, BANK[identifier])]


def measure(kind: str) -> dict[str, list[str]]:
    """Return the faults that each vector of a kind notices. Stored results let an interrupted run continue."""
    os.nice(10)
    started, found = time.monotonic(), {}
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"case-kills-{kind}.jsonl"
    kept = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    known = {(entry["digest"], entry["faults"]): entry["killed"] for entry in kept}
    faults = _digest(list(SHOWN))
    for vector in pool():
        if vector.kind != kind:
            continue
        key = _digest(vector.document), faults
        if key not in known:
            case = case_of(vector.document, vector.id)
            assert not notices(case, OracleBackend()), f"{vector.id}: the oracle itself fails it"
            known[key] = killed(case, SHOWN)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"digest": key[0], "faults": key[1], "killed": known[key]}) + "\n")
            print(f"{vector.id}: {len(known[key])} faults, {time.monotonic() - started:.0f} s", file=sys.stderr)
        found[vector.id] = known[key]
    return found


def _digest(data) -> str:
    return blake2b(json.dumps(data).encode(), digest_size=12).hexdigest()


def failing(matrix: dict, fault: str) -> set[str]:
    """Return the requirements that a fault fails according to docs/kill-matrix.json, and the one that decides it."""
    row = matrix.get(fault, {})
    return {BANK[fault].requirement, *(r for profile in row.values() for r in profile["failed"])}


def choose(vectors: dict[str, Vector], kills: dict[str, list[str]]) -> tuple[dict[str, set], list[str]]:
    """Return the requirements that each vector carries, and few vectors that cover all faults, kinds and requirements.

    A vector carries a requirement that it uses if it notices a fault that this requirement decides. If no vector of the
    pool notices one, a fault that fails the requirement in the suite (docs/kill-matrix.json) is enough.
    """
    matrix = json.loads(MATRIX.read_text("utf-8"))
    failed = {identifier: failing(matrix, identifier) for identifier in SHOWN}
    carried = [r for r in CATALOGUE.values() if r.id not in NOT_CARRIED]
    usable: dict[str, set[str]] = {}
    decides: dict[str, set[str]] = {}
    implies: dict[str, set[str]] = {}
    for identifier, vector in vectors.items():
        usable[identifier] = {r.id for r in carried if vector.puts_to_use(r)}
        decides[identifier] = {
            r for r in usable[identifier] if any(BANK[f].requirement == r for f in kills[identifier])
        }
        implies[identifier] = {r for r in usable[identifier] if any(r in failed[f] for f in kills[identifier])}
    decided = set().union(*decides.values())
    covers = {i: {(f, vectors[i].kind) for f in kills[i]} | decides[i] | (implies[i] - decided) for i in vectors}
    size = {i: len(json.dumps(v.document)) for i, v in vectors.items()}
    missing, taken = set().union(*covers.values()), []
    while missing:
        best = max(vectors, key=lambda i: (len(covers[i] & missing), -size[i]))
        taken.append(best)
        missing -= covers[best]
    for candidate in sorted(taken, key=lambda i: -size[i]):
        others = set().union(*(covers[i] for i in taken if i != candidate))
        if covers[candidate] <= others:
            taken.remove(candidate)
    carries = {i: decides[i] | (implies[i] - decided) or implies[i] or usable[i] for i in vectors}
    return carries, [i for i in vectors if i in taken]


def fewest(kills: dict[str, list[str]], share: float) -> int:
    """Return the number of vectors, chosen greedily, that notice that share of the faults in any kind."""
    found, taken = set(), 0
    while len(found) < share * len(SHOWN):
        found |= max((set(names) - found for names in kills.values()), key=len)
        taken += 1
    return taken


def result(taken: list[str], vectors: dict[str, Vector], kills: dict[str, list[str]]) -> dict:
    """Return the content of docs/case-kills.json, with the first chosen vector that notices each fault in each kind."""
    caught: dict[str, dict[str, str]] = {identifier: {} for identifier in SHOWN}
    for i in taken:
        for fault in kills[i]:
            caught[fault].setdefault(vectors[i].kind, i)
    reasons: dict[str, list[str]] = {}
    for fault in BANK.values():
        if left_out(fault):
            reasons.setdefault(left_out(fault), []).append(fault.id)
    return {
        "faults": len(BANK),
        "left_out": reasons,
        "pool": len(vectors),
        "vectors": len(taken),
        "fewest_for_95_percent": fewest(kills, 0.95),
        "caught": caught,
    }


def page(data: dict, onnx: dict, size: int) -> Iterator[str]:
    """Yield the lines of docs/cases.md."""
    caught = data["caught"]
    noticed = {identifier for identifier, kinds in caught.items() if kinds}
    of_onnx = {identifier for identifier, names in onnx["caught"].items() if names}
    yield from INTRODUCTION.format(
        vectors=data["vectors"], size=round(size / 1024), pool=data["pool"], fewest=data["fewest_for_95_percent"],
        shown=len(caught), faults=data["faults"], onnx=onnx["onnx"], theirs=len(onnx["vectors"]),
    ).splitlines()  # fmt: skip
    yield from (
        "",
        "| faults | number | generated cases notice | ONNX's vectors notice |",
        "| --- | --- | --- | --- |",
    )
    rows = [("all that data can show", set(caught))]
    rows += [(f"of these, in `{kind}` alone", {i for i in caught if kind in BANK[i].kinds}) for kind in KINDS]
    rows += [("all that a single ONNX node can have", set(onnx["caught"]) & set(caught))]
    for name, faults in rows:
        kind = next((kind for kind in KINDS if f"`{kind}`" in name), None)
        ours = {i for i in faults & noticed if kind is None or kind in caught[i]}
        theirs = "" if kind else _share(len(faults & of_onnx), len(faults))
        yield f"| {name} | {len(faults)} | {_share(len(ours), len(faults))} | {theirs} |"
    yield from ("", *DENOMINATORS.splitlines(), "", "## Surviving faults", "")
    missing = {
        identifier: [kind for kind in KINDS if kind in BANK[identifier].kinds and kind not in kinds]
        for identifier, kinds in caught.items()
    }
    if not any(missing.values()):
        yield "No fault survives in any kind."
    else:
        yield from ("| fault | kinds | why |", "| --- | --- | --- |")
    for identifier, kinds in missing.items():
        if kinds:
            yield f"| `{identifier}` | {', '.join(kinds)} | {WHY[identifier]} |"
    yield from ("", "## Left out", "", "No data can show these faults of the bank:", "")
    for reason, faults in data["left_out"].items():
        yield f"- {len(faults)}, because {reason}: {', '.join(f'`{i}`' for i in faults)}."
    yield from ("", "Requirements that no case can carry:", "")
    reasons: dict[str, list[str]] = {}
    for identifier, reason in NOT_CARRIED.items():
        reasons.setdefault(reason, []).append(f"`{identifier}`")
    for reason, identifiers in reasons.items():
        yield f"- {', '.join(identifiers)}. {reason}"


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})"


WHY: dict[str, str] = {  # why a fault survives in some kind
    "cell-states-of-any-rank": "no candidate of the pool gives a cell states of another rank than x",
}
INTRODUCTION = """\
# The generated cases

`python -m tests.case_kills --page` writes this page; the data are in `case-kills.json`. How to replay the files:
[cases/README.md](../cases/README.md).

`cases/generated/` holds {vectors} cases, {size} KB, chosen greedily from a pool of {pool} candidates. They are the
fewest that notice, in each of the four kinds by itself, every fault that the pool notices, and that together use every
requirement that data can carry. So a library with one kind, to which the cases of the other kinds do not apply, gets an
equally close look. {fewest} vectors would notice 95% of the faults if neither kinds nor requirements counted.

A case notices a fault if the fault's backend, replayed in float32, raises, returns something of another form, or is off
by more than the file allows. The bank has {faults} faults; data can show {shown} of them. ONNX's vectors are the
{theirs} node tests of RNN, LSTM and GRU that onnx {onnx} ships and that a documented layer expresses, compared as its
runner compares. The authors of the pool knew the bank: the rates show how well these few vectors represent the pool,
not how many unforeseen mistakes they would notice. The suite's drawn examples go further."""
DENOMINATORS = """\
The last row has the same denominator for both columns: faults that show in the numbers of one layer, without stack,
projection or unbatched input. ONNX's vectors have no place for the others and cannot notice them."""


def main() -> None:
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.case_kills", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--page", action="store_true", help="write the page alone, of the files that there are")
    parser.add_argument("--anew", action="store_true", help="forget what was found before")
    asked = parser.parse_args()
    for path in KEPT.glob("case-kills-*.jsonl") if asked.anew else ():
        path.unlink()
    if not asked.page:
        vectors = {vector.id: vector for vector in pool()}
        with multiprocessing.get_context("spawn").Pool(asked.processes) as workers:
            kills = {i: names for found in workers.imap(measure, ("lstm", "gru", "rnn_tanh", "rnn_relu"), 1)
                     for i, names in found.items()}  # fmt: skip
        uses, taken = choose(vectors, kills)
        chosen = {i: [r for r in CATALOGUE if r in uses[i]] for i in taken}
        CHOSEN.write_text(_lines(chosen), "utf-8")
        KILLS.write_text(_lines(result(taken, vectors, kills)), "utf-8")
    data = json.loads(KILLS.read_text("utf-8"))
    size = sum(path.stat().st_size for path in (ROOT / "cases" / "generated").glob("*.json"))
    onnx = json.loads(ONNX.read_text("utf-8"))
    PAGE.write_text("\n".join(page(data, onnx, size)) + "\n", "utf-8")


def _lines(data: dict) -> str:
    """Return JSON with one entry a line, broken into lines in the two outer levels."""

    def text(value, depth: int) -> str:
        if depth == 2 or not isinstance(value, dict):
            return json.dumps(value)
        inner = ",\n".join(f"{' ' * (depth + 1)}{json.dumps(k)}: {text(v, depth + 1)}" for k, v in value.items())
        return "{\n" + inner + "\n" + " " * depth + "}"

    return text(data, 0) + "\n"


if __name__ == "__main__":
    main()
