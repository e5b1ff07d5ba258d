"""Build models of ONNX's operators RNN, LSTM and GRU: one node, or a stack of them.

Needs onnx. Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html, versions 7, 14, 22.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, defs, helper, numpy_helper

from conformance.onnx.features import (
    ATTRIBUTES,
    BFLOAT16_OPSET,
    DIRECTIONS,
    INPUTS,
    LAYOUT_OPSET,
    OLDEST_OPSET,
    OPERATORS,
    OUTPUTS,
    WEIGHTS,
)
from reference.config import DTYPES, is_integer, require

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
ORDER = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
"""The inputs in the order of the operators; RNN and GRU end at initial_h."""
PARAMETERS = WEIGHTS
SHARED = ("X", "sequence_lens")
"""The inputs that a stack has once; the others it has for each layer."""
ALONE = {"input_forget": "LSTM", "linear_before_reset": "GRU", "initial_c": "LSTM", "P": "LSTM", "Y_c": "LSTM"}
"""The operator of an attribute, input or output that only one has."""
OLDEST_IR = 4  # initializers that are no inputs


@dataclass(frozen=True)
class Node:
    """One RNN, LSTM or GRU node. Raises ValueError for a name that the operator does not have.

    X is (T, N, I), or (N, T, I) with layout=1; W (D, G*H, I), R (D, G*H, H), B (D, 2*G*H), P (D, 3*H), sequence_lens
    (N), initial_h and initial_c (D, N, H), or (N, D, H) with layout=1. D is 2 if bidirectional, G the number of gates.
    """

    operator: str
    input_size: int
    hidden_size: int
    direction: str = "forward"
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """Further attributes by name; an absent one is absent in the node."""
    inputs: Iterable[str] = ("B",)
    """The optional inputs that the node has."""
    outputs: Iterable[str] = OUTPUTS
    """The outputs that the node has; Y_c counts for LSTM alone."""

    def __post_init__(self) -> None:
        require(self.operator in OPERATORS, "operator", f"one of {', '.join(OPERATORS)}", self.operator)
        require(self.direction in DIRECTIONS, "direction", f"one of {', '.join(DIRECTIONS)}", self.direction)
        for name in ("input_size", "hidden_size"):
            size = getattr(self, name)
            require(is_integer(size) and size > 0, name, "an integer of at least 1", size)
        for name in ("inputs", "outputs"):
            given = getattr(self, name)
            object.__setattr__(self, name, frozenset({given} if isinstance(given, str) else given))
        for what, known in (("attributes", ATTRIBUTES), ("inputs", INPUTS), ("outputs", OUTPUTS)):
            given = set(getattr(self, what))
            mine = [name for name in known if ALONE.get(name, self.operator) == self.operator]
            right = given <= {*mine, "Y_c"} if what == "outputs" else given <= set(mine)
            require(right and bool(given or what != "outputs"), what, f"some of {', '.join(mine)}", sorted(given))

    @property
    def directions(self) -> int:
        """D: 2 if bidirectional, otherwise 1."""
        return 2 if self.direction == "bidirectional" else 1

    @property
    def layout(self) -> int:
        """The attribute layout: 1 if the samples come first."""
        return int(self.attributes.get("layout", 0))

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs that the node has, in the operator's order."""
        return [name for name in ORDER if name in ("X", "W", "R") or name in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs that the node has, in the operator's order."""
        return [name for name in OUTPUTS if name in self.outputs and ALONE.get(name, self.operator) == self.operator]

    def shape(self, name: str, steps: int | str, samples: int | str) -> list[int | str]:
        """Return the shape of an input or output for numbers of steps and samples, or names of them."""
        D, G, H, I = self.directions, GATES[self.operator], self.hidden_size, self.input_size
        first = self.layout == 1
        state = [samples, D, H] if first else [D, samples, H]
        shapes: dict[str, list[int | str]] = {
            "X": [samples, steps, I] if first else [steps, samples, I],
            "W": [D, G * H, I],
            "R": [D, G * H, H],
            "B": [D, 2 * G * H],
            "P": [D, 3 * H],
            "sequence_lens": [samples],
            "Y": [samples, steps, D, H] if first else [steps, D, samples, H],
        }
        return shapes.get(name, state)


def name_in(layer: int, layers: int, name: str) -> str:
    """Return the name of a layer's input or output in the graph: ``W`` of a single node, ``W_l1`` in a stack."""
    alone = layers == 1 or name in SHARED or name == "Y"
    return name if alone else f"{name}_l{layer}"


def build_model(
    nodes: Node | Sequence[Node],
    *,
    opset: int = BFLOAT16_OPSET,
    dtype: str = "float32",
    steps: int | str = "T",
    samples: int | str = "N",
    constants: Mapping[str, np.ndarray] = MappingProxyType({}),
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> ModelProto:
    """Return the model of a node, or of a stack of nodes of which each has the Y of the one before as its X.

    A single node's graph has the operator's own names: X, W, R, B, ... and Y, Y_h, Y_c. A stack has X, sequence_lens
    and the last Y once, and all else for each layer: W_l0, Y_h_l0, W_l1, ... Between layers Transpose and Reshape join
    the directions: (T, D, N, H) becomes (T, N, D*H).

    ``steps`` and ``samples`` are numbers, which fix the extents, or names of free extents. ``constants`` are arrays by
    the graph's names: they become initializers, and the other inputs stay inputs. ``shapes`` replace documented shapes
    of inputs, for models that a runtime must reject.
    Raises ValueError for nodes that do not fit each other, an unknown dtype, an opset that does not have it or that
    onnx does not know, and constants of other names or shapes.
    """
    stack = [nodes] if isinstance(nodes, Node) else list(nodes)
    require(bool(stack), "nodes", "at least one", stack)
    _check(stack, opset, dtype)
    L, protos = len(stack), []
    inputs: dict[str, list[int | str]] = {}
    outputs: dict[str, list[int | str]] = {}
    initializers = dict(constants)
    x = "X"
    for k, node in enumerate(stack):
        last = k == L - 1
        names = {name: name_in(k, L, name) for name in (*node.input_names, *node.output_names)}
        documented = {names[name]: node.shape(name, steps, samples) for name in names}
        inputs |= {names[name]: documented[names[name]] for name in node.input_names if name != "X" or k == 0}
        outputs |= {names[n]: documented[names[n]] for n in node.output_names if n != "Y" or last}
        results = names if last else {**names, "Y": f"Y_l{k}"}
        protos.append(_proto(node, {**names, "X": x}, results))
        if not last:
            x = f"X_l{k + 1}"
            protos += _joined(node, f"Y_l{k}", x)
            initializers[f"Y_l{k}_joined"] = np.array([0, 0, node.directions * node.hidden_size])
    inputs |= {name: list(shape) for name, shape in shapes.items()}
    for name, array in constants.items():
        require(name in inputs, "constants", f"some of {', '.join(inputs)}", name)
        extents = zip(np.shape(array), inputs[name], strict=False)
        fits = np.ndim(array) == len(inputs[name]) and all(isinstance(e, str) or n == e for n, e in extents)
        require(fits, name, f"shape {tuple(inputs[name])}", np.shape(array))
    graph = helper.make_graph(
        protos,
        "_".join(dict.fromkeys(node.operator for node in stack)),
        [_info(name, dtype, shape) for name, shape in inputs.items() if name not in constants],
        [_info(name, dtype, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in initializers.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph, opset_imports=opsets, ir_version=max(OLDEST_IR, helper.find_min_ir_version_for(opsets))
    )


def _check(stack: Sequence[Node], opset: int, dtype: str) -> None:
    newest = defs.onnx_opset_version()
    require(is_integer(opset) and opset >= OLDEST_OPSET, "opset", f"one of {OLDEST_OPSET} to {newest}", opset)
    require(opset <= newest, "opset", f"one that the installed onnx knows, at most {newest}", opset)
    require(dtype in DTYPES, "dtype", f"one of {', '.join(DTYPES)}", dtype)
    require(dtype != "bfloat16" or opset >= BFLOAT16_OPSET, "opset", f"{BFLOAT16_OPSET} or newer for bfloat16", opset)
    for below, node in pairwise(stack):
        joined = below.directions * below.hidden_size
        require(node.input_size == joined, "input_size", f"{joined}, the joined Y of the layer below", node.input_size)
        require(node.layout == below.layout, "layout", "the same in every layer", node.layout)
        require("Y" in below.outputs, "outputs", "Y of every layer that another one reads", sorted(below.outputs))
    for node in stack:
        right = "layout" not in node.attributes or opset >= LAYOUT_OPSET
        require(right, "opset", f"{LAYOUT_OPSET} or newer for layout", opset)


def _proto(node: Node, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> NodeProto:
    """Return the node with these names. A missing input or output has an empty name, or none at the end."""
    names = [inputs[name] if name in node.input_names else "" for name in ORDER]
    results = [outputs[name] if name in node.output_names else "" for name in OUTPUTS]
    for listed in (names, results):
        while listed and not listed[-1]:
            listed.pop()
    return helper.make_node(
        node.operator, names, results, direction=node.direction, hidden_size=node.hidden_size, **node.attributes
    )


def _joined(node: Node, y: str, x: str) -> list[NodeProto]:
    """Return the nodes that join the directions of a layer's Y, for the next layer's X."""
    if node.layout == 1:  # (N, T, D, H)
        return [helper.make_node("Reshape", [y, f"{y}_joined"], [x])]
    return [
        helper.make_node("Transpose", [y], [f"{y}_first"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", [f"{y}_first", f"{y}_joined"], [x]),
    ]


def _info(name: str, dtype: str, shape: list[int | str]) -> ValueInfoProto:
    type_ = TensorProto.INT32 if name == "sequence_lens" else TYPES[dtype]
    return helper.make_tensor_value_info(name, type_, shape)
