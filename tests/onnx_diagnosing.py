"""Diagnose each fault of the operators' bank as if it were an unknown runtime, in four arithmetics.

``python -m tests.onnx_diagnosing [--every N] [--arithmetic NAME] [--only ID]`` prints a line for each fault that is not
named first, and then a table with a row for each arithmetic. ``tests.onnx_diagnosing:right__in__float32`` names the
oracle in one of the arithmetics as a backend.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np

from conformance.backends.onnx_oracle import OnnxOracle
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import examined
from conformance.diagnosis.transcript import plain, transcript
from conformance.engine.drawing import Streams
from conformance.engine.profiles import PROFILES
from conformance.onnx.nodes import NodeBackend
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.faults import BANK, compose
from conformance.specifications.onnx_operators.forms import NODE
from reference.onnx import activations, nodes
from tests.arithmetics import ARITHMETICS, is_numbers
from tests.diagnosing import made, parser_of, table
from tests.diagnosing import same_numbers as same_transcripts
from tests.harness import PLANS, subject_of

RIGHT = "right__in__"
PLAIN_CALLS, CALLS = 20, 40  # on which faults that cannot be told apart give the same numbers


def __getattr__(name):
    """Return a factory of the oracle in an arithmetic."""
    arithmetic = name.removeprefix(RIGHT).replace("_", "-")
    if not name.startswith(RIGHT) or arithmetic not in ARITHMETICS:
        raise AttributeError(name)
    return lambda: NodesIn(OnnxOracle(), arithmetic)


class NodesIn(NodeBackend):
    """A backend of the oracle's equations that computes float32 in another arithmetic."""

    def __init__(self, inner, name):
        self.inner, self.arithmetic = inner, ARITHMETICS[name]
        self.name, self.version, self.features = f"{inner.name} in {name}", inner.version, inner.features

    def node(self, config, parameters):
        built = self.inner.node(config, parameters)
        return built if self.arithmetic is None or config.dtype != "float32" else NodeIn(built, self.arithmetic)


class NodeIn:
    """A node that computes in an arithmetic."""

    def __init__(self, inner, arithmetic):
        self.inner, self.arithmetic = inner, arithmetic

    def run(self, *given, **named):
        with exchanged(self.arithmetic):
            return self.inner.run(*given, **named)


@contextmanager
def exchanged(arithmetic):
    """Exchange the arithmetic of the oracle of the operators inside this context."""
    evaluate = nodes.evaluate

    def computed(operator, *given, **named):
        given = [arithmetic.of(a)[0] if is_numbers(a) else a for a in given]
        named = {name: arithmetic.of(a)[0] if is_numbers(a) else a for name, a in named.items()}
        came = evaluate(operator, *given, **named)
        return type(came)(*(None if a is None else np.asarray(a, np.float64) for a in came))

    def sigmoid(x, alpha, beta):
        return arithmetic.sigmoid(x)

    with (
        mock.patch.object(nodes, "evaluate", computed),
        mock.patch.dict(activations.FUNCTIONS, Sigmoid=sigmoid),
        np.errstate(all="ignore"),
    ):
        yield


def explained(fault, arithmetic):
    """Return the verdict of the requirement that decides a fault, with its diagnosis, and the subject."""
    kind = sorted(fault.kinds)[0]
    backend = NodesIn(fault.build(), arithmetic)
    dtype = "float32" if "float32" in backend.features.dtypes else sorted(backend.features.dtypes)[0]
    subject = subject_of(backend, kind, dtype, specification=ONNX)
    (check,) = ONNX.checks_of(fault.requirement)
    return examined(check, Diagnostician(Streams(subject, PLANS)), PROFILES["standard"]), subject


def same_numbers(subject, *names):
    """Return whether faults give the same numbers for plain calls and for the calls of their checks."""
    streams, laws = Streams(subject, PLANS), [plain]
    trials = [trial for _, trial in streams.of(NODE.draw).applicable(lambda call: True, PLAIN_CALLS)]
    for fault in sorted({part for name in names for part in name.split("+")}):
        (check,) = ONNX.checks_of(BANK[fault].requirement)
        laws.append(check.law)
        trials += [trial for _, trial in streams.of(check.draw).applicable(check.applies, CALLS)]

    def numbers(call, law):
        return (transcript(made(name, BANK, compose), subject, law, call) for name in names)

    return all(same_transcripts(*numbers(trial.call, law)) for trial in trials for law in laws)


@dataclass
class Row:
    """The counts of one arithmetic."""

    arithmetic: str
    faults: int = 0
    first: int = 0
    tied: int = 0
    wrong: int = 0
    none: int = 0
    seconds: float = 0.0

    def add(self, fault):
        """Diagnose a fault, count the result, and return words if it is not named first."""
        started = time.process_time()
        verdict, subject = explained(fault, self.arithmetic)
        self.seconds += time.process_time() - started
        if verdict.passed:
            return "not failed"
        self.faults += 1
        found = verdict.diagnosis or []
        names = [entry["fault"] for entry in found]
        if names[:1] == [fault.id]:
            self.first += 1
            return ""
        if names and same_numbers(subject, names[0], fault.id):
            self.tied += 1
            return f"{names[0]} (the same numbers)"
        self.none += not names
        self.wrong += bool(names)
        return ", ".join(names) or "none"

    def cells(self):
        """Return the cells of the row in the table."""
        shares = [f"{count / max(1, self.faults):.1%}" for count in (self.first, self.tied, self.wrong, self.none)]
        return [self.arithmetic, str(self.faults), *shares, f"{self.seconds / max(1, self.faults):.1f}"]


HEADS = ("arithmetic", "faults", "named first", "another of the same numbers first", "a wrong name", "none", "s each")


def main():
    """Diagnose the bank and print the results."""
    options = parser_of("python -m tests.onnx_diagnosing", __doc__.splitlines()[0]).parse_args()
    faults = [BANK[id_] for id_ in options.only] if options.only else list(numeric_faults())[:: options.every]
    rows = [Row(name) for name in options.arithmetic or ARITHMETICS]
    for row in rows:
        for number, fault in enumerate(faults, 1):
            if told := row.add(fault):
                print(f"{number}/{len(faults)} {row.arithmetic} {fault.id}: {told}", flush=True)
    print("\n".join(table(HEADS, [row.cells() for row in rows])))


def numeric_faults():
    """Yield the faults whose requirement compares numbers: refusals and claims are decided without."""
    for fault in BANK.values():
        apart = ("ONNX-REFUSE-", "ONNX-UNCLAIMED-", "ONNX-OUTPUTS", "ONNX-STATIC")
        if not fault.requirement.startswith(apart):
            yield fault


if __name__ == "__main__":
    main()
