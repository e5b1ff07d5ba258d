"""``onnx-oracle``: the oracle of ONNX's operators as a backend of nodes, with results rounded to the dtype.

It runs the specification ``onnx`` without a runtime. Its conformance proves nothing, because the suite compares every
backend with the oracle.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.backend import Unsupported
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, DIRECTIONS, INPUTS, VERSIONS, OnnxFeatures
from conformance.onnx.nodes import NodeBackend, NodeConfig, uses_of
from conformance.version import __version__
from reference.config import DTYPES, numpy_dtype
from reference.onnx import forward

KNOWN = {*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS}
FEATURES = OnnxFeatures(
    opsets=VERSIONS, dtypes=DTYPES, activations=ACTIVATIONS, checks_inputs=True, parameters="inputs"
)


class OracleNode:
    """A node that calls ``reference.onnx.forward``."""

    def __init__(self, config: NodeConfig, parameters: dict[str, np.ndarray], claims: OnnxFeatures) -> None:
        self.config, self.claims = config, claims
        self.parameters = {name: value.copy() for name, value in parameters.items()}

    def run(self, X, sequence_lens=None, initial_h=None, initial_c=None):
        given = {"X": X, "sequence_lens": sequence_lens, "initial_h": initial_h, "initial_c": initial_c}
        return self.evaluate({name: value for name, value in given.items() if value is not None})

    def evaluate(self, given: dict[str, Any]) -> dict[str, np.ndarray]:
        """Return the outputs of the node for these inputs by name."""
        refuse(self.config, {**given, **self.parameters}, self.claims)
        return outputs_of(self.config, forward(self.config.operator, **given, **self.parameters))


def outputs_of(config: NodeConfig, came: Any) -> dict[str, np.ndarray]:
    """Return the outputs that a node has, in its dtype."""
    dtype = numpy_dtype(config.dtype)
    return {name: getattr(came, name).astype(dtype) for name in config.output_names}


def refuse(config: NodeConfig, given: dict[str, Any], claims: OnnxFeatures) -> None:
    """Raise Unsupported for what the claims leave out."""
    names = (name for name, value in given.items() if value is not None)
    unclaimed = sorted(name for name in uses_of(config, names) & KNOWN if not claims.claims(name))
    unclaimed += [config.kind] * (config.kind not in claims.operators) + [config.dtype] * (
        config.dtype not in claims.dtypes
    )
    if unclaimed:
        raise Unsupported(f"{', '.join(unclaimed)} is not claimed")


class OnnxOracle(NodeBackend):
    """The oracle of ONNX's operators as a backend."""

    name, version, features = "onnx-oracle", __version__, FEATURES

    def node(self, config, parameters):
        return OracleNode(config, parameters, self.features.of(config.kind))
