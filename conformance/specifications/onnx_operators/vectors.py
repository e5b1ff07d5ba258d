"""Vectors of ONNX's operators: few calls, chosen because most known departures give other numbers for them.

``vectors.json`` holds the plan of each; ``python -m tests.operator_vectors`` chooses them. ``export`` writes them in
the layout of ONNX's backend tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conformance.specifications.onnx_operators.calls import NodeCall, describe
from conformance.specifications.onnx_operators.forms import right
from conformance.specifications.onnx_operators.plans import planned

FILE = Path(__file__).with_name("vectors.json")
DTYPE = "float32"


@dataclass(frozen=True)
class Vector:
    """A call of one node with the documented outputs."""

    name: str
    kind: str
    plan: dict[str, Any]
    """The stored plan, as known failures keep it."""
    change: str = ""
    """The name of a change of the call in ``CHANGES``."""

    @property
    def call(self) -> NodeCall:
        """The call that the plan describes, changed."""
        call = planned(self.plan, self.kind, DTYPE)
        return CHANGES[self.change](call) if self.change else call


def _nan_past_the_ends(call: NodeCall) -> NodeCall:
    X = call.X.copy()
    for sample, length in enumerate(call.lengths):
        X[(sample, slice(length, None)) if call.config.layout else (slice(length, None), sample)] = np.nan
    return call.replace(X=X)


def _without_peepholes(call: NodeCall) -> NodeCall:
    P = call.parameters.get("P")
    return call if P is None else call.replace(parameters=call.parameters | {"P": np.zeros_like(P)})


CHANGES: dict[str, Callable[[NodeCall], NodeCall]] = {
    "without-y": lambda call: call.configured(outputs=("Y_h", "Y_c")),
    "y-alone": lambda call: call.configured(outputs=("Y",)),
    "clip-beyond-every-value": lambda call: call.configured(clip=1e3),
    "zeros-written": lambda call: call.configured(zeros=("input_forget", "linear_before_reset", "layout")),
    "nan-past-the-ends": _nan_past_the_ends,
    "peepholes-of-zeros": _without_peepholes,
}
"""Changes of a call that no plan has."""


def wanted(call: NodeCall) -> dict[str, np.ndarray]:
    """Return the documented outputs of a call by name, in float64."""
    given = {name: a.astype(np.float64) for name, a in call.parameters.items()}
    arrays = {n: a if n == "sequence_lens" or a is None else a.astype(np.float64) for n, a in call.arguments.items()}
    return right(call, given, **arrays)


def vectors() -> list[Vector]:
    """Return the stored vectors, in the order of their names."""
    stored = json.loads(FILE.read_text("utf-8"))
    return [Vector(name, found["kind"], found["plan"], found.get("change", "")) for name, found in stored.items()]


def model_of(call: NodeCall) -> tuple[Any, dict[str, np.ndarray]]:
    """Return the model of a call and its inputs by name, in the graph's order. W, R, B and P are inputs.

    A wrong order of the gates cannot hide behind constants, and the extents are free.
    """
    from conformance.onnx.graph import build_model

    found = call.arguments | {"sequence_lens": _lengths(call)} | call.parameters
    given = {name: np.asarray(a) for name, a in found.items() if a is not None}
    model = build_model(call.config.node(frozenset(given)), opset=call.config.opset, dtype=call.config.dtype)
    return model, {i.name: given[i.name] for i in model.graph.input}


def _lengths(call: NodeCall) -> np.ndarray | None:
    return None if call.sequence_lens is None else np.asarray(call.sequence_lens, np.int32)


def export(directory: Path) -> Iterator[tuple[str, str]]:
    """Write every vector into a folder; yield the name of each vector's folder, and its call in words."""
    from conformance.cases.onnx_export import write

    for vector in vectors():
        call = vector.call
        model, inputs = model_of(call)
        outputs = {name: a.astype(call.X.dtype) for name, a in wanted(call).items()}
        yield write(directory, vector.name, model, inputs, outputs), describe(call.config)
