"""The form of ONNX's operators: a call of one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.form import Form
from conformance.engine.subject import own_array
from conformance.engine.trial import Trial
from conformance.onnx.nodes import NodeConfig
from conformance.specifications.onnx_operators import attributes
from conformance.specifications.onnx_operators.calls import NodeCall, describe
from conformance.specifications.onnx_operators.strategies import plain_nodes
from reference.onnx import check_inputs, evaluate


class NodeTrial(Trial):
    """A call of a node. Its results are mappings by the names of the node's outputs."""


def received(returned: Any) -> dict[str, np.ndarray | None]:
    """Copy the outputs of a node by name. Raises Failed for another type."""
    if not isinstance(returned, Mapping):
        raise Failed(f"run returned {type(returned).__name__}, expected a dict of the outputs by name")
    return {str(name): own_array(str(name), value) for name, value in returned.items()}


def right(call: NodeCall, parameters: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """Return the outputs of the call's node by the oracle."""
    came = evaluate(call.config.operator, **given, **parameters)
    return {name: getattr(came, name) for name in call.config.output_names}


def validate(call: NodeCall) -> None:
    """Raise ValueError for a call that the pages do not allow."""
    call.config.operator.validate()
    given = {name: call.parameters.get(name) for name in ("W", "R", "B", "P")}
    check_inputs(call.config.operator, call.arguments | given)


NODE = Form(
    name="node",
    call=NodeCall,
    config=NodeConfig,
    trial=NodeTrial,
    # Diagnosis compares plain calls and those of the failed check: a backend that has several departures shows one.
    draw=plain_nodes,
    build="node",
    ask="run",
    receive=received,
    parts=lambda returned: tuple(returned.values()),
    oracle=right,
    arrays=("X", "initial_h", "initial_c"),
    integers=("sequence_lens",),
    validate=validate,
    locate=attributes.place,
    describe=describe,
    attributes=attributes.of_node,
    elements=attributes.elements,
    ends=attributes.ends,
    cost=attributes.cost,
    controls=lambda features: True,
    snippet="return node.run(**given)",
)
FORMS = (NODE,)
