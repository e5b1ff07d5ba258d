"""ONNX's LSTM, GRU and RNN operators, built directly: one model builder for every runtime.

A layer is one node. The operators have no stack, so a stack is a graph of several nodes, with the output of each
transposed and reshaped for the next; the feature ``multilayer`` tests this graph and its runtime. Parameters are inputs
of the graph, so a runtime compiles once for each configuration. The operators have no unbatched input and no
projection: neither is claimed.

Parameters go through conformance.layouts.to_onnx, and a GRU has linear_before_reset=1. batch_first becomes
``layout=1``, lengths ``sequence_lens``, h_0 and c_0 ``initial_h`` and ``initial_c``.
Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html, version 22.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from conformance.backend import Backend, Features, Layer, LayerConfig, Result, Unsupported
from conformance.layouts import split, to_onnx
from reference.config import require

OPSET, IR_VERSION = 22, 10
OPERATORS = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
Arrays = dict[str, np.ndarray]
Compiled = Callable[[Arrays], list[np.ndarray]]


def native_parameters(config: LayerConfig, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """Return the parameters in ONNX's layout, W_l0, R_l0, B_l0, W_l1, ..., both directions of a layer in one array.

    Raises ValueError for missing, superfluous or misshapen parameters.
    """
    weights, D = split(config, parameters), config.directions
    return {
        f"{name}_l{k}": array
        for k in range(config.num_layers)
        for name, array in to_onnx(config.kind, weights[k * D : (k + 1) * D]).items()
    }


def model(config: LayerConfig, native: Arrays, *, states: bool, lengths: bool) -> ModelProto:
    """Return the layer's graph.

    Its inputs are x as in ``Layer.forward``, with ``lengths`` lengths (N) of int32, with ``states`` h_0 and, for lstm,
    c_0 (D*L, N, H), and the native parameters. Its outputs are output, h_n and, for lstm, c_n, as documented.
    """
    D, L, H, letters = config.directions, config.num_layers, config.hidden_size, state_letters(config)
    batch = ["N", "T"] if config.batch_first else ["T", "N"]
    inputs = {"x": [*batch, config.input_size]}
    inputs |= {"lengths": ["N"]} if lengths else {}
    inputs |= {f"{s}_0": [D * L, "N", H] for s in letters} if states else {}
    inputs |= {name: list(array.shape) for name, array in native.items()}
    outputs = {"output": [*batch, D * H], **{f"{s}_n": [D * L, "N", H] for s in letters}}

    nodes, constants = [], {"rows": np.array([D] * L), "joined": np.array([0, 0, D * H])}
    if states:
        for s in letters:
            initial = [f"{s}_0_l{k}" for k in range(L)]
            nodes += [helper.make_node("Split", [f"{s}_0", "rows"], initial, axis=0)] if L > 1 else []
    x = "x"
    for k in range(L):
        last = "output" if k == L - 1 else f"x_l{k + 1}"
        nodes += _layer(config, k, x, last, states, lengths)
        x = last
    if L > 1:
        for s in letters:
            nodes.append(helper.make_node("Concat", [f"{s}_n_l{k}" for k in range(L)], [f"{s}_n"], axis=0))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        config.kind,
        [_info(name, TensorProto.INT32 if name == "lengths" else TYPES[config.dtype], s) for name, s in inputs.items()],
        [_info(name, TYPES[config.dtype], shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def with_constants(graph: ModelProto, native: Arrays) -> ModelProto:
    """Change a model's parameters from inputs to constants of the graph, in place; return the model."""
    inputs = [i for i in graph.graph.input if i.name not in native]
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)
    graph.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in native.items())
    return graph


def _layer(config: LayerConfig, k: int, x: str, output: str, states: bool, lengths: bool) -> list:
    """Return layer k's node and the nodes that bring its results into the documented layout."""
    letters, L = state_letters(config), config.num_layers
    initial, final = ([f"{s}_{n}" + (f"_l{k}" if L > 1 else "") for s in letters] for n in "0n")
    initial = initial if states else []
    nodes = []
    if config.batch_first:  # layout=1 has states (N, D, H)
        nodes += [helper.make_node("Transpose", [s], [f"{s}_first"], perm=[1, 0, 2]) for s in initial]
        initial = [f"{s}_first" for s in initial]
    options = {"direction": "bidirectional" if config.bidirectional else "forward", "hidden_size": config.hidden_size}
    if config.kind == "gru":
        options["linear_before_reset"] = 1
    if config.kind == "rnn_relu":
        options["activations"] = ["Relu"] * config.directions
    if config.batch_first:
        options["layout"] = 1
    own = [x, f"W_l{k}", f"R_l{k}", f"B_l{k}" if config.bias else "", "lengths" if lengths else "", *initial]
    results = [f"{s}_first" for s in final] if config.batch_first else final
    nodes.append(helper.make_node(OPERATORS[config.kind], own, [f"Y_l{k}", *results], **options))
    if config.batch_first:
        nodes += [helper.make_node("Transpose", [f"{s}_first"], [s], perm=[1, 0, 2]) for s in final]
        joined = f"Y_l{k}"  # (N, T, D, H)
    else:
        joined = f"Y_l{k}_joined"  # (T, D, N, H) to (T, N, D, H)
        nodes.append(helper.make_node("Transpose", [f"Y_l{k}"], [joined], perm=[0, 2, 1, 3]))
    return [*nodes, helper.make_node("Reshape", [joined, "joined"], [output])]


def state_letters(config: LayerConfig) -> str:
    return "hc" if config.kind == "lstm" else "h"


def _info(name: str, type_: int, shape: list[int | str]):
    return helper.make_tensor_value_info(name, type_, shape)


class OnnxOpsLayer(Layer):
    """A graph of ONNX's operators with its parameters.

    The runtime decides which arguments fit the graph. The adapter rejects only arguments without an input of the
    operators: one of lstm's states without the other, a cell state of another kind, lengths that are no integers.
    """

    def __init__(self, backend: OnnxOps, config: LayerConfig, parameters: Mapping[str, np.ndarray]) -> None:
        self.backend, self.config = backend, replace(config, dropout=0.0)
        self.native = native_parameters(config, parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        if x.ndim == 2:
            raise Unsupported("ONNX's recurrent operators take batches only")
        self.backend.check(self.config, x, h_0, c_0, lengths)
        given = {f"{s}_0": state for s, state in (("h", h_0), ("c", c_0)) if state is not None}
        fits = set(given) in (set(), {f"{s}_0" for s in state_letters(self.config)})
        require(fits, "h_0, c_0", "both or neither for lstm, h_0 or none for others", list(given))
        feeds = {"x": x, **given}
        if lengths is not None:
            lengths = np.asarray(lengths)
            require(lengths.dtype.kind in "iu", "lengths", "integers", lengths)
            feeds["lengths"] = lengths.astype(np.int32)
        compiled = self.backend.compiled(self.config, self.native, states=bool(given), lengths=lengths is not None)
        return Result(*compiled(feeds | self.native))


class OnnxOps(Backend):
    """ONNX's operators in a runtime. A subclass implements ``compile``."""

    features: Features

    def __init__(self) -> None:
        self._compiled: dict[tuple, Compiled] = {}

    def compile(self, model: ModelProto) -> Compiled:
        """Return a function from the graph's inputs by name to its outputs in their order."""
        raise NotImplementedError

    def check(self, config: LayerConfig, x, h_0, c_0, lengths) -> None:
        """Raise ValueError for invalid arguments that the runtime would accept. By default, accept all."""

    def compiled(self, config: LayerConfig, native: Arrays, **form: bool) -> Compiled:
        """Return the compiled graph of a configuration and form of call, compiled at its first use."""
        key = config, *form.values()
        if key not in self._compiled:
            self._compiled[key] = self.compile(model(config, native, **form))
        return self._compiled[key]

    def layer(self, config, parameters):
        config.validate()
        if config.proj_size > 0:
            raise Unsupported("ONNX's LSTM has no projection")
        if config.batch_first and not self.features.batch_first:
            raise Unsupported("this runtime does not do layout=1")
        for name in ("kind", "dtype"):
            if getattr(config, name) not in getattr(self.features, f"{name}s"):
                raise Unsupported(f"this runtime has no {OPERATORS[config.kind]} of {name} {getattr(config, name)}")
        return OnnxOpsLayer(self, config, parameters)
