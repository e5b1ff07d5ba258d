"""A single node on an ONNX runtime: the calls of the specification ``onnx``.

``NodeConfig`` is a node with its attributes, ``NodeBackend`` what the specification calls, and ``RuntimeNodes`` is an
``OnnxRuntime`` as one: it builds the model of a node, prepares it and runs it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.onnx.features import INPUTS, LAYOUT_OPSET, OUTPUTS, WEIGHTS, OnnxFeatures
from conformance.onnx.prepared import PreparedModels, extents
from conformance.onnx.runtime import OnnxRuntime, Prepared, output_of
from reference.onnx import Operator, input_shapes

if TYPE_CHECKING:
    from conformance.onnx.graph import Node

GIVEN = ("X", "sequence_lens", "initial_h", "initial_c")
"""The inputs that a call gives; the others are parameters."""
LISTS = ("activations", "activation_alpha", "activation_beta")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class NodeConfig:
    """A node with its attributes, its outputs, and the opset of its model. ``kind`` is the operator.

    Building one never raises; ``operator.validate`` raises ValueError for what the pages do not allow.
    """

    kind: str
    input_size: int
    hidden_size: int
    direction: str = "forward"
    activations: Sequence[str] | None = None
    activation_alpha: Sequence[float] | None = None
    activation_beta: Sequence[float] | None = None
    clip: float | None = None
    input_forget: int = 0
    linear_before_reset: int = 0
    layout: int = 0
    outputs: Sequence[str] = OUTPUTS
    """The outputs that the node has; Y_c counts for LSTM alone."""
    opset: int = 22
    static: bool = False
    """True if the model fixes the numbers of steps and samples."""
    zeros: Sequence[str] = ()
    """The attributes of 0 that the node has all the same, some of input_forget, linear_before_reset and layout."""
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in (*LISTS, "outputs", "zeros"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))

    @cached_property
    def operator(self) -> Operator:
        """The node as the oracle takes it."""
        shared = {f.name: getattr(self, f.name) for f in fields(Operator) if f.name != "op_type"}
        return Operator(self.kind, **shared)

    @property
    def directions(self) -> int:
        """D: 2 if bidirectional, otherwise 1."""
        return self.operator.num_directions

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs that the node has, in the operator's order."""
        return tuple(name for name in OUTPUTS if name in self.outputs and (name != "Y_c" or self.kind == "LSTM"))

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes by name, other than direction and hidden_size."""
        given: dict[str, Any] = {n: list(v) for n in LISTS if (v := getattr(self, n)) is not None}
        if self.clip is not None:
            given["clip"] = self.clip
        own = {"LSTM": ("input_forget", "layout"), "GRU": ("linear_before_reset", "layout")}.get(self.kind, ("layout",))
        for name in own:
            written = name in self.zeros and (name != "layout" or self.opset >= LAYOUT_OPSET)
            if getattr(self, name) or written:
                given[name] = getattr(self, name)
        return given

    def shapes(self, T: int, N: int) -> dict[str, tuple[int, ...]]:
        """Return the documented shapes of the inputs and outputs, by name."""
        D, H, operator = self.directions, self.hidden_size, self.operator
        state = (N, D, H) if self.layout else (D, N, H)
        outputs = {"Y": (N, T, D, H) if self.layout else (T, D, N, H), "Y_h": state, "Y_c": state}
        return input_shapes(operator, T, N) | {name: outputs[name] for name in self.output_names}

    def node(self, inputs: Sequence[str] | frozenset[str]) -> Node:
        """Return the node of the graph with these optional inputs."""
        from conformance.onnx.graph import Node

        optional = frozenset(inputs) - {"X", "W", "R"}
        given = self.attributes
        return Node(self.kind, self.input_size, self.hidden_size, self.direction, given, optional, self.output_names)


def uses_of(config: NodeConfig, inputs: Iterable[str]) -> frozenset[str]:
    """Return the names of the claims that a node with these inputs needs: attributes, functions, inputs, direction."""
    attributes = {name for name, value in config.attributes.items() if value not in (0, [])} | (
        {"clip"} if config.clip == 0 else set()
    )
    return frozenset(attributes | {config.direction} | set(config.activations or ()) | (set(inputs) & set(INPUTS)))


class NodeBackend:
    """What the specification ``onnx`` calls: a backend that builds nodes."""

    name: str = ""
    version: str = "unknown"
    features: OnnxFeatures = OnnxFeatures()
    asked_as: str = ""
    forks: bool = True

    def node(self, config: NodeConfig, parameters: Arrays) -> Any:
        """Build a node with its parameters W, R and, if it has them, B and P.

        The result has ``run(X, sequence_lens, initial_h, initial_c)``, each but X an array or None, which returns a
        dict with the node's outputs by name. Raises any exception for what the backend does not support.
        """
        raise NotImplementedError(f"{type(self).__name__} has no node(config, parameters)")

    def snippet(self, call: Any) -> str | None:
        """Return the lines of a script that makes the call without the suite, or None."""
        return None


class RuntimeNodes(NodeBackend):
    """An ONNX runtime as a backend of nodes."""

    def __init__(self, runtime: OnnxRuntime) -> None:
        self.runtime, self.features = runtime, runtime.features
        self.name, self.version, self.forks = runtime.name, runtime.version, runtime.forks
        self.asked_as = runtime.asked_as
        self.models = PreparedModels(runtime)

    def node(self, config: NodeConfig, parameters: Arrays) -> RuntimeNode:
        """Build a node; its model is prepared when it is called."""
        return RuntimeNode(self, config, parameters)

    def snippet(self, call: Any) -> str:
        """Return lines that build the smallest model of the call with onnx and run it."""
        return snippet(call, self.runtime)


class RuntimeNode:
    """A node with its parameters on a runtime."""

    def __init__(self, backend: RuntimeNodes, config: NodeConfig, parameters: Mapping[str, np.ndarray]) -> None:
        self.backend, self.config = backend, config
        self.claimed = backend.features.of(config.kind)
        self.parameters = {name: np.ascontiguousarray(parameters[name]) for name in WEIGHTS if name in parameters}

    def run(
        self,
        X: np.ndarray,
        sequence_lens: Sequence[int] | None = None,
        initial_h: np.ndarray | None = None,
        initial_c: np.ndarray | None = None,
    ) -> Arrays:
        """Run the model of these inputs; return its outputs by name. Raises what the runtime raises."""
        lengths = None if sequence_lens is None else np.asarray(sequence_lens, np.int32)
        found = {"X": X, "sequence_lens": lengths, "initial_h": initial_h, "initial_c": initial_c}
        given = {name: np.ascontiguousarray(a) for name, a in found.items() if a is not None}
        run = self._prepared(given)
        came = run(given | self.parameters if self.claimed.parameters == "inputs" else given)
        axes = {"Y": 4}
        return {name: output_of(came, name, axes.get(name, 3)) for name in self.config.output_names}

    def _prepared(self, given: Mapping[str, np.ndarray]) -> Prepared:
        config, optional = self.config, frozenset({*given, *self.parameters} - {"X", "W", "R"})
        constants = self.parameters if self.claimed.parameters == "initializers" else {}
        steps, samples = given["X"].shape[:2] if given["X"].ndim == 3 else (1, 1)  # another number is to be rejected
        if config.layout:
            steps, samples = samples, steps
        fixed = extents(self.claimed, steps, samples, config.static)
        documented = config.shapes(steps, samples)
        # The shapes of parameters that do not fit the attributes: the model says them, and is to be rejected.
        other = {name: a.shape for name, a in self.parameters.items() if a.shape != documented.get(name)}

        def model() -> bytes:
            from conformance.onnx.graph import build_model

            node, opset = config.node(optional), config.opset
            built = build_model(node, opset=opset, dtype=config.dtype, constants=constants, shapes=other, **fixed)
            return built.SerializeToString()

        return self.backend.models.get((config, optional, *fixed.items(), *other.items()), constants, model)


def nodes_of(runtime: OnnxRuntime) -> RuntimeNodes:
    """Return a runtime as a backend of nodes, always the same object."""
    mine: RuntimeNodes | None = vars(runtime).get("_nodes")
    if mine is None or mine.features is not runtime.features:
        mine = vars(runtime)["_nodes"] = RuntimeNodes(runtime)
    return mine


# --- reproducers ----------------------------------------------------------------------------------------

SNIPPET = """
import onnx
from onnx import TensorProto, helper


def compute():
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.{type})
    inputs = {{name: array(value).astype(dtype) for name, value in parameters.items()}}
    for name, value in arguments.items():
        if value is not None:
            inputs[name] = array(value).astype("int32" if name == "sequence_lens" else dtype)
    outputs = {outputs!r}
    node = helper.make_node(
        {kind!r}, {inputs!r}, outputs, hidden_size={hidden_size}, {attributes}
    )
    types = {{name: TensorProto.INT32 if name == "sequence_lens" else TensorProto.{type} for name in inputs}}
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info(name, types[name], a.shape) for name, a in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.{type}, None) for name in outputs if name],
    )
    opsets = [helper.make_opsetid("", {opset})]
    version = helper.find_min_ir_version_for(opsets)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version).SerializeToString()
{run}
    return outputs
"""
PREPARED = """
import sys

from conformance.specifications import backend

sys.path.insert(0, "")
outputs = backend({name!r}).prepare(model)(inputs)
"""


def snippet(call: Any, runtime: OnnxRuntime) -> str:
    """Return the source of ``compute()``, which builds the model of a call and runs it in the runtime."""
    from onnx import TensorProto

    from conformance.onnx.graph import ORDER, TYPES

    config = call.config
    given = {"W", "R", *call.parameters, *(name for name in GIVEN if call.arguments[name] is not None)}
    inputs = [name if name in given else "" for name in ORDER]
    outputs = [name if name in config.output_names else "" for name in OUTPUTS]
    for listed in (inputs, outputs):
        while not listed[-1]:
            listed.pop()
    attributes = {"direction": config.direction} | config.attributes
    run = runtime.script or PREPARED.format(name=runtime.asked_as or runtime.name)
    return SNIPPET.format(
        type=TensorProto.DataType.Name(TYPES[config.dtype]),
        kind=config.kind,
        hidden_size=config.hidden_size,
        inputs=inputs,
        outputs=outputs,
        opset=config.opset,
        attributes=", ".join(f"{name}={value!r}" for name, value in attributes.items()),
        run=textwrap.indent(run.strip("\n"), "    "),
    )
