"""torch.nn's layers on an ONNX runtime: each layer of a stack is one node.

The operators have no (D*L, N, H) states and no stack, so these exist here only: states are cut and joined in NumPy, and
so is the last Y, (T, D, N, H), brought into the documented layout. A single layer is therefore a model of one node.
Parameters go through conformance.layouts.to_onnx, and a GRU has linear_before_reset=1. batch_first becomes layout=1,
lengths sequence_lens, h_0 and c_0 initial_h and initial_c. There is no unbatched input and no projection.

A runtime that does not take B computes the biases of RNN and LSTM as two more columns of W, for an input of ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.backend import Backend, Features, Layer, LayerConfig, Result, Unsupported
from conformance.layouts import split, to_onnx
from conformance.onnx.features import OnnxFeatures
from conformance.onnx.prepared import PreparedModels, extents
from conformance.onnx.runtime import OnnxRuntime, Prepared, output_of
from reference.config import DTYPES, KINDS, require
from reference.layers import check_inputs

if TYPE_CHECKING:
    from conformance.onnx.graph import Node

OPERATOR_OF = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
# The claim of a runtime from which a claim about layers follows: what is claimed, and the field that has it.
CLAIMS = {
    "bidirectional": ("directions", "bidirectional"),
    "batch_first": ("attributes", "layout"),
    "initial_state": ("inputs", "initial_h"),
    "lengths": ("inputs", "sequence_lens"),
    "no_bias": ("inputs", "B"),
}
ADDED = 2  # columns of W for the biases, without B
Arrays = dict[str, np.ndarray]


def layer_features(claimed: OnnxFeatures) -> Features | None:
    """Return the claims about torch.nn's layers that follow from a runtime's claims; None if they make up no layer."""
    of_kinds = {
        kind: own
        for kind in KINDS
        if OPERATOR_OF[kind] in claimed.operators
        and (own := _claims_of(kind, claimed.of(OPERATOR_OF[kind]))) is not None
    }
    if not of_kinds:
        return None
    common = next(iter(of_kinds.values()))
    by_kind = {
        kind: {name: value for name, value in own.items() if value != common[name]} for kind, own in of_kinds.items()
    }
    return Features(of_kinds, **common, by_kind={kind: changes for kind, changes in by_kind.items() if changes})


def _claims_of(kind: str, claimed: OnnxFeatures) -> dict[str, Any] | None:
    """Return the claims of one kind that follow from the claims about its operator; None if they make up no layer."""
    inputs, attributes = frozenset(claimed.inputs), frozenset(claimed.attributes)
    dtypes = {dtype for dtype in claimed.dtypes if claimed.opsets_for(dtype)}
    expressible = {
        "rnn_relu": "activations" in attributes and "Relu" in claimed.activations,
        "gru": "linear_before_reset" in attributes and "B" in inputs,
    }
    sizes = claimed.input_sizes
    if sizes is not None and "B" not in inputs:
        sizes = {size - ADDED for size in sizes if size > ADDED}
    if not dtypes or sizes == set() or "forward" not in claimed.directions or not expressible.get(kind, True):
        return None
    states = {"initial_h", "initial_c"} if kind == "lstm" else {"initial_h"}
    declared = claimed.float32_arithmetic
    arithmetic = declared if isinstance(declared, str) else declared.get(OPERATOR_OF[kind], "float32")
    return {
        "dtypes": dtypes,
        "multilayer": claimed.stacks and "B" in inputs,
        "bidirectional": "bidirectional" in claimed.directions,
        "batch_first": "layout" in attributes and bool(claimed.opsets_for(attributes={"layout"})),
        "unbatched": False,
        "projection": False,
        "initial_state": states <= inputs,
        "lengths": "sequence_lens" in inputs,
        "deterministic": claimed.deterministic,
        "configurations": claimed.configurations,
        "fixed_shapes": claimed.fixed_shapes,
        "most_steps": claimed.most_steps,
        "float32_arithmetic": arithmetic,
        "hidden_sizes": claimed.hidden_sizes,
        "input_sizes": sizes,
        "boundaries": claimed.boundaries,
    }


def state_letters(config: LayerConfig) -> str:
    """Return h and, for lstm, c."""
    return "hc" if config.kind == "lstm" else "h"


def nodes_of(config: LayerConfig, inputs: frozenset[str] = frozenset()) -> list[Node]:
    """Return the nodes of a layer's stack, each with these optional inputs, and with B if the layer has biases."""
    from conformance.onnx.graph import Node

    attributes: dict[str, Any] = {}
    if config.kind == "gru":
        attributes["linear_before_reset"] = 1
    if config.kind == "rnn_relu":
        attributes["activations"] = ["Relu"] * config.directions
    if config.batch_first:
        attributes["layout"] = 1
    return [
        Node(
            OPERATOR_OF[config.kind],
            config.input_size if k == 0 else config.directions * config.hidden_size,
            config.hidden_size,
            "bidirectional" if config.bidirectional else "forward",
            attributes,
            inputs | ({"B"} if config.bias else frozenset()),
        )
        for k in range(config.num_layers)
    ]


def native_parameters(config: LayerConfig, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """Return a layer's parameters under the names of the graph: W, R, B of a single layer, W_l0, R_l0, ... of a stack.

    Raises ValueError for missing, superfluous or misshapen parameters.
    """
    from conformance.onnx.graph import name_in

    weights, D, L = split(config, parameters), config.directions, config.num_layers
    return {
        name_in(k, L, name): array
        for k in range(L)
        for name, array in to_onnx(config.kind, weights[k * D : (k + 1) * D]).items()
    }


class OnnxLayer(Layer):
    """A stack of nodes with its parameters."""

    def __init__(self, backend: OnnxLayers, config: LayerConfig, parameters: Mapping[str, np.ndarray]) -> None:
        self.backend, self.config, self.claimed = backend, config, backend.claims_of(config)
        self.widened = config.bias and "B" not in self.claimed.inputs and config.kind != "gru"
        if self.widened:
            parameters = _without_biases(config, parameters)
            if config.num_layers > 1:
                raise Unsupported("a stack of layers with biases needs the input B")
            config = replace(config, bias=False, input_size=config.input_size + ADDED)
        self.built = replace(config, dropout=0.0)
        self.native = native_parameters(self.built, parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        """Run the model that these arguments need."""
        config, backend = self.config, self.backend
        self._check(x, h_0, c_0, lengths)
        if x.ndim == 2:
            raise Unsupported("ONNX's recurrent operators take batches only")
        from conformance.onnx.graph import name_in

        if self.widened:
            x = np.concatenate([x, np.ones((*x.shape[:-1], ADDED), x.dtype)], axis=-1)
        given, L, D = {"X": np.ascontiguousarray(x)}, config.num_layers, config.directions
        inputs = set()
        for letter, state in (("h", h_0), ("c", c_0)):
            if state is not None:
                inputs.add(f"initial_{letter}")
                rows = [state] if L == 1 else [state[k * D : (k + 1) * D] for k in range(L)]
                for k, own in enumerate(rows):
                    turned = np.swapaxes(own, 0, 1) if config.batch_first else own
                    given[name_in(k, L, f"initial_{letter}")] = np.ascontiguousarray(turned)
        if lengths is not None:
            inputs.add("sequence_lens")
            given["sequence_lens"] = np.asarray(lengths).astype(np.int32)
        steps, samples = (x.shape[axis] for axis in ((1, 0) if config.batch_first else (0, 1)))
        run = backend.prepared(self.built, self.native, frozenset(inputs), steps, samples)
        with backend.refusing(self.built, inputs):
            came = run(given if self.claimed.parameters == "initializers" else given | self.native)
        # ONNX's operators may compute what torch.nn's layers refuse. The runtime was asked, so that its process must
        # survive the call.
        require(steps > 0, "x", "at least 1 step", x.shape)
        require(lengths is None or 0 not in lengths, "lengths", "at least 1", lengths)
        return self._result(came)

    def _check(self, x: Any, h_0: Any, c_0: Any, lengths: Any) -> None:
        """Reject arguments that do not fit the layer; if the runtime checks its inputs, only what has no input."""
        config = self.config
        if not self.claimed.checks_inputs:
            check_inputs(config, x, h_0, c_0, lengths)
            return
        given = {f"{s}_0": state for s, state in (("h", h_0), ("c", c_0)) if state is not None}
        fits = set(given) in (set(), {f"{s}_0" for s in state_letters(config)})
        require(fits, "h_0, c_0", "both or neither for lstm, h_0 or none for others", list(given))
        if lengths is not None:
            require(np.asarray(lengths).dtype.kind in "iu", "lengths", "integers", lengths)
        if config.num_layers > 1:
            rows = config.num_layers * config.directions
            for name, state in given.items():
                require(len(state) == rows, name, f"{rows} rows", np.shape(state))

    def _result(self, came: Any) -> Result:
        """Return the outputs of the graph in the documented layout. Raises TypeError or ValueError, one sentence."""
        from conformance.onnx.graph import name_in

        config, L = self.config, self.config.num_layers
        y = output_of(came, "Y", 4)
        if not config.batch_first:
            y = y.transpose(0, 2, 1, 3)  # (T, D, N, H) to (T, N, D, H)
        output = y.reshape(*y.shape[:2], y.shape[2] * y.shape[3])
        states = []
        for letter in state_letters(config):
            last = [output_of(came, name_in(k, L, f"Y_{letter}"), 3) for k in range(L)]
            states.append(np.concatenate([np.swapaxes(s, 0, 1) if config.batch_first else s for s in last]))
        return Result(output, *states)


def _without_biases(config: LayerConfig, parameters: Mapping[str, np.ndarray]) -> Arrays:
    """Return the parameters with both biases as two more columns of weight_ih."""
    split(config, parameters)  # raises ValueError
    return {
        name: np.concatenate(
            [array, *(parameters[name.replace("weight_ih", b)][:, None] for b in ("bias_ih", "bias_hh"))], axis=1
        )
        if name.startswith("weight_ih")
        else array
        for name, array in parameters.items()
        if not name.startswith("bias")
    }


class OnnxLayers(Backend):
    """torch.nn's layers on a runtime, with the claims that follow from the claims of the runtime."""

    def __init__(self, runtime: OnnxRuntime, features: Features) -> None:
        self.runtime, self.features, self.claimed = runtime, features, runtime.features
        self.name, self.version, self.forks = runtime.name, runtime.version, runtime.forks
        self.asked_as = runtime.asked_as
        self._prepared = PreparedModels(runtime)

    def layer(self, config: LayerConfig, parameters: dict[str, np.ndarray]) -> OnnxLayer:
        """Build a layer; its models are prepared when it is called."""
        config.validate()
        if config.proj_size > 0:
            raise Unsupported("ONNX's LSTM has no projection")
        if not self._opsets(config):
            raise Unsupported(f"no claimed opset has {config.dtype}{' and layout=1' if config.batch_first else ''}")
        return OnnxLayer(self, config, parameters)

    def claim_of(self, feature: str, claimed: bool = True) -> str:
        """Return the runtime's claim, or the claim without it, that a claim about layers follows from, in words."""
        if feature == "multilayer":
            return f"stacks={claimed}"
        field, name = CLAIMS.get(feature, ("", feature))
        if feature in OPERATOR_OF:
            field, name = "operators", OPERATOR_OF[feature]
        elif feature in DTYPES:
            field = "dtypes"
        if feature == "rnn_relu" and "RNN" in self.claimed.operators:
            field, name = "attributes", "activations"
        if feature == "gru" and "GRU" in self.claimed.operators:
            field, name = "attributes", "linear_before_reset"
        if not field:
            return f"{name}={claimed}"
        more = " and 'initial_c'" if feature == "initial_state" and "LSTM" in self.claimed.operators else ""
        return f"{field} {'with' if claimed else 'without'} {name!r}{more}"

    def claims_of(self, config: LayerConfig) -> OnnxFeatures:
        """Return the runtime's claims for the operator of a layer."""
        return self.claimed.of(OPERATOR_OF[config.kind])

    def _opsets(self, config: LayerConfig) -> list[int]:
        return self.claims_of(config).opsets_for(config.dtype, {"layout"} if config.batch_first else ())

    @contextmanager
    def refusing(self, config: LayerConfig, inputs: Iterable[str]) -> Iterator[None]:
        """Raise Unsupported for an error of the runtime inside, if the model uses an unclaimed feature."""
        features, claimed = self.features.of(config.kind), self.claims_of(config)
        used = {
            config.kind: config.kind in features.kinds,
            config.dtype: config.dtype in features.dtypes,
            "a stack": features.multilayer or config.num_layers == 1,
            "bidirectional": features.bidirectional or not config.bidirectional,
            "layout": features.batch_first or not config.batch_first,
            **{name: name in claimed.inputs for name in sorted(inputs)},
        }
        unclaimed = [what for what, is_claimed in used.items() if not is_claimed]
        try:
            yield
        except Exception as error:
            if unclaimed:
                raise Unsupported(f"{' and '.join(unclaimed)}: {error}") from error
            raise

    def prepared(
        self, config: LayerConfig, native: Arrays, inputs: frozenset[str], steps: int, samples: int
    ) -> Prepared:
        """Return the prepared model of a configuration and form of call, prepared at its first use."""
        claimed = self.claims_of(config)
        fixed = extents(claimed, steps, samples)
        constants = native if claimed.parameters == "initializers" else {}

        def model() -> bytes:
            from conformance.onnx.graph import build_model

            opsets = self._opsets(config)
            spread = config.input_size + config.hidden_size + config.num_layers + config.directions
            opset = opsets[spread % len(opsets)]
            nodes = nodes_of(config, inputs)
            return build_model(nodes, opset=opset, dtype=config.dtype, constants=constants, **fixed).SerializeToString()

        with self.refusing(config, inputs):
            return self._prepared.get((config, inputs, *fixed.items()), constants, model)


def layers_of(runtime: OnnxRuntime) -> OnnxLayers | None:
    """Return torch.nn's layers on a runtime, always the same object; None if its claims make up no layer."""
    mine: OnnxLayers | None = vars(runtime).get("_layers")
    if mine is None or mine.claimed is not runtime.features:
        features = layer_features(runtime.features)
        mine = None if features is None else OnnxLayers(runtime, features)
        vars(runtime)["_layers"] = mine
    return mine
