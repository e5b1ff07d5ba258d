"""Choose the vectors of ONNX's operators: ``python -m tests.operator_vectors``.

Candidates are small drawn calls of the suite. A vector notices a fault whose outputs differ by more than the vector's
tolerance, or that raises. The script takes the candidate that notices most of what is left, until each operator's
faults that any candidate shows are noticed, and writes conformance/specifications/onnx_operators/vectors.json and
docs/operator-vectors.json and .md; ``--page`` writes the page alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from conformance.backends.onnx_oracle import OnnxOracle
from conformance.cases.onnx_export import BOUND
from conformance.engine.drawing import Plans
from conformance.onnx.nodes import NodeBackend
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.onnx_operators.faults import BANK, faults
from conformance.specifications.onnx_operators.plans import NodePlan
from conformance.specifications.onnx_operators.vectors import CHANGES, DTYPE, FILE, Vector, vectors, wanted
from reference.onnx import OPERATORS
from tests.harness import all_checks

TABLE = Path(__file__).parents[1] / "docs" / "operator-vectors.json"
PAGE = TABLE.with_suffix(".md")
SEED, MOST_NUMBERS, OF_ONE_DRAW = 3, 160, 5
EVERY = 4  # plans to one that is also changed
SMALL = {"input_size": 2, "hidden_size": 2, "T": 3, "N": 3}
BY_HAND = (
    NodePlan(**SMALL | {"hidden_size": 65}, regime="ordinary"),
    NodePlan(**SMALL, inputs=("B", "sequence_lens", "initial_h", "initial_c"), lengths="zero", regime="ordinary"),
    NodePlan(**SMALL, names=("Relu", "Relu", "Relu"), regime="strong"),
    *(
        NodePlan(**SMALL, direction="bidirectional", names=names, numbers=numbers, regime="ordinary", seed=seed)
        for names in (
            ("LeakyRelu", "Tanh", "Tanh", "ScaledTanh", "Elu", "Sigmoid"),
            ("Tanh", "Elu", "Sigmoid", "LeakyRelu", "Tanh", "ScaledTanh"),
            ("HardSigmoid", "ScaledTanh", "Tanh", "HardSigmoid", "LeakyRelu", "Elu"),
        )
        for numbers in ("some", "all")
        for seed in (1, 2)
    ),
)
SHOWN = 5  # departures in a row of the page
HEAD = """# Vectors that ONNX's tests could have

Each row is one of the vectors of `python -m conformance cases export --specification onnx --onnx DIR`
([onnx.md](onnx.md#vectors-without-the-suite)), ready to be proposed upstream: a model of one node with free extents,
whose parameters are inputs. The columns say how many known departures the vector notices, how many the vectors up to
it notice together, and which it is the first to notice; [kill-matrix-operators.md](kill-matrix-operators.md) explains
each. The order is that of use: the first three of each operator notice most. ONNX's own tests of these operators have
no `activations`, alpha, beta, `clip`, `input_forget` nor `sequence_lens`, and constant weights.
`python -m tests.operator_vectors --page` writes this page."""
# What a vector cannot show: a refusal, a claim, the memory of the arrays, a second run.
NOT_NUMBERS = {"refusals", "unclaimed", "robustness"}
SECOND_RUN = {"onnx-runs-differ", "onnx-states-left-behind", "onnx-x-written"}


def showing(kind: str) -> list[str]:
    """Return the ids of an operator's faults that numbers can show."""
    found = [fault for fault in faults(kind) if fault.id not in SECOND_RUN]
    return [fault.id for fault in found if ONNX.catalogue[fault.requirement].area not in NOT_NUMBERS]


def notices(call: NodeCall, want: dict[str, np.ndarray], backend: NodeBackend) -> bool:
    """Return whether a backend fails a vector, as ONNX's test runner decides it."""
    try:
        given = {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in call.arguments.items()}
        got = backend.node(call.config, dict(call.parameters)).run(**given)
    except Exception:
        return True
    return any(
        np.shape(got.get(n)) != a.shape
        or np.asarray(got[n]).dtype != call.X.dtype
        or not np.allclose(got[n], a, rtol=BOUND, atol=BOUND, equal_nan=True)
        for n, a in want.items()
    )


def plain(plan: NodePlan) -> dict:
    """Return the fields of a plan that differ from their defaults, as JSON has them."""
    defaults = asdict(NodePlan())
    return {f.name: v for f in fields(plan) if (v := getattr(plan, f.name)) != defaults[f.name]}


def small_plans(kind: str) -> Iterator[NodePlan]:
    """Yield drawn plans of small calls, some by every way of drawing, and one of many units."""
    plans, seen = Plans(SEED), set()
    for draw in dict.fromkeys(check.draw for check in all_checks(ONNX)):
        few = 0
        for plan in plans.block(ONNX, draw, OnnxOracle().features, 0):
            call = plan.build(kind, DTYPE)
            numbers = call.X.size + sum(a.size for a in call.parameters.values())
            if plan in seen or numbers > MOST_NUMBERS or call.T < 2 or few == OF_ONE_DRAW:
                continue
            seen.add(plan)
            few += 1
            yield plan
    yield from BY_HAND


def candidates(kind: str) -> Iterator[tuple[Vector, dict[str, np.ndarray]]]:
    """Yield vectors of an operator with their outputs, each right for the oracle in float32."""
    right = OnnxOracle()
    for number, plan in enumerate(small_plans(kind)):
        for change in ("", *CHANGES) if number % EVERY == 0 or plan in BY_HAND else ("",):
            vector = Vector("", kind, plain(plan), change)
            call = vector.call
            want = wanted(call)
            if all(np.isfinite(a).all() for a in want.values()) and not notices(call, want, right):
                yield vector, want


def chosen(kind: str) -> tuple[dict[str, dict], dict[str, list[str]], int]:
    """Return an operator's vectors, the faults that each notices, and the number of faults that numbers can show."""
    bank = showing(kind)
    backends = {id_: BANK[id_].build() for id_ in bank}
    found = []
    for vector, want in candidates(kind):
        found.append((vector, {i for i, b in backends.items() if notices(vector.call, want, b)}))
        print(kind, len(found), len(found[-1][1]), file=sys.stderr, flush=True)
    left, picked, noticed = set().union(*(n for _, n in found)), {}, {}
    while left:
        vector, seen = max(found, key=lambda one: len(one[1] & left))
        name = f"{kind.lower()}-{len(picked) + 1:02}"
        picked[name] = {"kind": kind, "plan": vector.plan} | ({"change": vector.change} if vector.change else {})
        noticed[name] = sorted(seen)
        left -= seen
    return picked, noticed, len(bank)


def page(table: dict) -> Iterator[str]:
    """Yield the lines of the page that lists the vectors."""
    calls = {vector.name: vector.call for vector in vectors()}
    yield from HEAD.splitlines()
    for kind, row in table.items():
        yield from ("", f"## {kind}", "", "| vector | call | notices | first notices |", "| --- | --- | --- | --- |")
        known: set[str] = set()
        for name, noticed in row["vectors"].items():
            new = [id_.removeprefix("onnx-") for id_ in noticed if id_ not in known]
            known.update(noticed)
            more = f" and {len(new) - SHOWN} more" if len(new) > SHOWN else ""
            share = f"{len(known)} of {row['faults']}"
            yield f"| {name} | {calls[name]!r} | {len(noticed)}; so far {share} | {', '.join(new[:SHOWN])}{more} |"
        yield from ("", f"No vector notices: {', '.join(id_.removeprefix('onnx-') for id_ in row['missed'])}.")


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--page"]:
        PAGE.write_text("\n".join(page(json.loads(TABLE.read_text("utf-8")))) + "\n", "utf-8")
        return
    stored, table = {}, {}
    for kind in OPERATORS:
        picked, noticed, most = chosen(kind)
        stored |= picked
        every = set().union(*noticed.values())
        table[kind] = {"faults": most, "noticed": len(every), "missed": sorted(set(showing(kind)) - every)}
        table[kind]["vectors"] = noticed
    FILE.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    TABLE.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    PAGE.write_text("\n".join(page(table)) + "\n", "utf-8")
    for kind, row in table.items():
        print(f"{kind}: {len(row['vectors'])} vectors notice {row['noticed']} of {row['faults']}: {row['missed']}")
    assert len(vectors()) == len(stored)


if __name__ == "__main__":
    main()
