"""ONNX's operators RNN, LSTM and GRU as one value."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from conformance.backends.onnx_oracle import OnnxOracle
from conformance.engine.specification import Bridge, Specification
from conformance.onnx.features import OnnxFeatures
from conformance.onnx.nodes import NodeBackend, nodes_of
from conformance.onnx.runtime import OnnxRuntime
from conformance.specifications.onnx_operators.calls import CALL_FEATURES
from conformance.specifications.onnx_operators.catalogue import CATALOGUE
from conformance.specifications.onnx_operators.forms import FORMS
from conformance.specifications.onnx_operators.plans import planned
from reference.catalogue import Requirement
from reference.config import DTYPES
from reference.onnx.activations import WITHOUT_DEFAULT


def _faults(kind: str) -> Sequence[Any]:
    from conformance.specifications.onnx_operators.faults import faults  # needed only after a failure

    # A fault that ignores silently what it does not claim has the numbers of the one that claims and ignores it.
    return [fault for fault in faults(kind) if not fault.id.startswith("onnx-silent-")]


def _compose(a: Any, b: Any) -> NodeBackend:
    from conformance.specifications.onnx_operators.faults import compose

    return compose(a, b)


# Claims that a requirement's law needs beside those of the drawn call: for the calls that it makes of that one.
FURTHER = {
    "ONNX-ACTIVATIONS-DEFAULT": ("Tanh", "Sigmoid"),
    "ONNX-REVERSE-FLIPPED": ("forward",),
    "ONNX-BIDIRECTIONAL-PARTS": ("forward", "reverse"),
}


def _drawn_from(features: OnnxFeatures) -> Hashable:
    sets = features.attributes, features.inputs, features.directions, features.activations, features.opsets
    limits = features.configurations, features.fixed_shapes, features.most_steps
    return sets, limits, (features.hidden_sizes, features.input_sizes, features.boundaries)


def _speaks_to(claims: OnnxFeatures, requirement: Requirement, operator: str) -> bool:
    """Return whether the claims leave a call that the requirement speaks of."""
    if not all(map(claims.claims, FURTHER.get(requirement.id, ()))):
        return False
    if requirement.id == "ONNX-OPSETS":
        return len(claims.opsets_for()) > 1
    if requirement.unless in WITHOUT_DEFAULT:
        return claims.claims("activation_alpha") and claims.claims("activation_beta")
    if "ThresholdedRelu" in requirement.needs and not {"float32", "float64"} & set(claims.dtypes):
        return False
    return not ("layout" in requirement.needs and not claims.opsets_for(attributes={"layout"}))


SPECIFICATION = ONNX = Specification(
    name="onnx",
    documentation="https://onnx.ai/onnx/operators/",
    catalogue=CATALOGUE,
    dtypes=DTYPES,
    features=OnnxFeatures,
    call_features=CALL_FEATURES,
    forms=FORMS,
    suite=f"{__name__}.suite",
    adapter=NodeBackend,
    bridges=(Bridge(OnnxRuntime, OnnxFeatures, nodes_of),),
    oracle=OnnxOracle,
    speaks_to=_speaks_to,
    faults=_faults,
    compose=_compose,
    drawn_from=_drawn_from,
    planned=planned,
    cost_of_area={"refusals": 0.5, "outputs": 0.7},
    cost_of_kind={"RNN": 0.7, "LSTM": 1.3},
)
