"""PyTorch's parameters to and from the layouts of ONNX, Keras, Flax, MLX, cuDNN, oneDNN and Paddle.

Everything goes by ``Weights``, one direction of one layer or a cell, which ``split`` takes out of the documented
parameters and ``join`` puts back. ``to_X(kind, ...)`` gives the arrays of X under X's names; ``from_X`` is its inverse.
ONNX and oneDNN keep both directions of a layer in one array: theirs take and give a sequence of one or two Weights.

Where X has one bias for the documented two, ``to_X`` adds them if they only ever occur as a sum, and raises
Unsupported if not: a GRU's b_hn is multiplied by the reset gate. ``from_X`` cannot know the summands: it returns the
sum as bias_ih and zeros as bias_hh, or under ``gradient=True``, for gradients in X's layout, the same for both.

All functions are NumPy only, return arrays of their own and raise ValueError for arrays that do not fit each other.
Letters as in conformance.backend, and G gates. PyTorch's gate letters are used for every layout: i f g o, r z n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from conformance.backend import CellConfig, LayerConfig, Unsupported
from reference.config import KINDS, require
from reference.parameters import GATES, check_parameters, layer_directions, parameter_shapes, parameter_suffix

# The order in which a layout has the gates' blocks, by kind; kinds of one gate have none.
GATE_ORDERS: dict[str, Mapping[str, str]] = {
    "pytorch": {kind: GATES[kind] for kind in ("lstm", "gru")},
    "onnx": {"lstm": "iofg", "gru": "zrn"},
    "keras": {"lstm": "ifgo", "gru": "zrn"},
    "flax": {"lstm": "ifgo", "gru": "rzn"},
    "mlx": {"lstm": "ifgo", "gru": "rzn"},
    "cudnn": {"lstm": "ifgo", "gru": "rzn"},
    "onednn": {"lstm": "ifgo", "gru": "zrn"},
    "paddle": {"lstm": "ifgo", "gru": "rzn"},
}


class Weights(NamedTuple):
    """One direction of one layer, or a cell, in PyTorch's layout.

    weight_ih (G*H, I), weight_hh (G*H, O), bias_ih and bias_hh (G*H) or both None, weight_hr (P, H) or None.
    """

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray | None = None
    bias_hh: np.ndarray | None = None
    weight_hr: np.ndarray | None = None


def split(config: LayerConfig | CellConfig, parameters: Mapping[str, np.ndarray]) -> list[Weights]:
    """The Weights of a layer's every layer and direction, in the order of the rows of h_n, or of a cell.

    Raises ValueError for parameters that are not those of the configuration.
    Source: torch.nn.LSTM, "Attributes".
    """
    check_parameters(config, parameters)
    return [Weights(*(parameters.get(f"{name}{s}") for name in Weights._fields)) for s in _suffixes(config)]


def join(config: LayerConfig | CellConfig, weights: Sequence[Weights]) -> dict[str, np.ndarray]:
    """The documented parameters, or gradients of them, by name and in their order: the inverse of ``split``.

    Biases are left out where the configuration has none. Raises ValueError for another number of Weights, or
    shapes, than the configuration has.
    """
    suffixes = _suffixes(config)
    require(len(weights) == len(suffixes), "weights", f"{len(suffixes)} of them", len(weights))
    named = {f"{name}{s}": a for s, w in zip(suffixes, weights, strict=True) for name, a in w._asdict().items()}
    shapes = parameter_shapes(config)
    for name, shape in shapes.items():
        require(np.shape(named[name]) == shape, name, f"shape {shape}", np.shape(named[name]))
    return {name: named[name] for name in shapes}


def reorder_gates(array: np.ndarray, kind: str, source: str, target: str, axis: int = 0) -> np.ndarray:
    """``array`` with the gates' blocks along ``axis`` brought from one layout's order to another's.

    Raises ValueError for an unknown kind or layout, and where the axis does not hold G equal blocks.
    """
    for name in (source, target):
        require(name in GATE_ORDERS, "layout", f"one of {', '.join(GATE_ORDERS)}", name)
    require(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", kind)
    have, want = (GATE_ORDERS[name].get(kind, GATES[kind]) for name in (source, target))
    require(array.shape[axis] % len(have) == 0, "array", f"{len(have)} equal blocks along axis {axis}", array.shape)
    blocks = np.split(array, len(have), axis)
    return np.concatenate([blocks[have.index(gate)] for gate in want], axis)


# ONNX


def to_onnx(kind: str, directions: Sequence[Weights]) -> dict[str, np.ndarray]:
    """The inputs W (D, G*H, I), R (D, G*H, H) and, with biases, B (D, 2*G*H) of an ONNX RNN, GRU or LSTM node.

    B is the input's biases followed by the recurrence's. A GRU node needs linear_before_reset=1 to compute
    PyTorch's equation. Raises Unsupported for a projection, which the operator has not.
    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html, "Inputs".
    """
    _check(kind, directions, "ONNX's operators have no projection")
    native = {"W": [], "R": [], "B": []}
    for w in directions:
        native["W"].append(_out(kind, "onnx", w.weight_ih))
        native["R"].append(_out(kind, "onnx", w.weight_hh))
        if w.bias_ih is not None:
            native["B"].append(np.concatenate([_out(kind, "onnx", b) for b in (w.bias_ih, w.bias_hh)]))
    return {name: np.stack(arrays) for name, arrays in native.items() if arrays}


def from_onnx(kind: str, native: Mapping[str, np.ndarray]) -> list[Weights]:
    """The Weights of each direction from W, R and B, B left out where there are no biases: ``to_onnx``'s inverse."""
    biases = native.get("B", [None] * len(native["W"]))
    return [
        Weights(_in(kind, "onnx", W), _in(kind, "onnx", R), *([_in(kind, "onnx", b) for b in _halves(B)]))
        for W, R, B in zip(native["W"], native["R"], biases, strict=True)
    ]


# Keras


def to_keras(kind: str, weights: Weights) -> dict[str, np.ndarray]:
    """kernel (I, G*H), recurrent_kernel (H, G*H) and, with biases, bias, of keras.layers.SimpleRNN, LSTM or GRU.

    bias is (G*H), the sum, but for a GRU, which must have reset_after=True: (2, 3*H), the input's and the
    recurrence's. Without biases the layer has use_bias=False. A keras.layers.Bidirectional has the weights of the
    forward layer before those of the backward one. Raises Unsupported for a projection.
    Source: https://keras.io/api/layers/recurrent_layers/gru/, reset_after; the gates' order is told by
    keras/src/layers/rnn/lstm.py (i, f, c, o) and gru.py (z, r, h).
    """
    _check(kind, [weights], "Keras's layers have no projection")
    native = {
        "kernel": _out(kind, "keras", weights.weight_ih).T.copy(),
        "recurrent_kernel": _out(kind, "keras", weights.weight_hh).T.copy(),
    }
    if weights.bias_ih is not None:
        both = [_out(kind, "keras", b) for b in (weights.bias_ih, weights.bias_hh)]
        native["bias"] = np.stack(both) if kind == "gru" else both[0] + both[1]
    return native


def from_keras(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> Weights:
    """The Weights of kernel, recurrent_kernel and bias, if any: ``to_keras``'s inverse but for summed biases."""
    bias = native.get("bias")
    biases = (None, None) if bias is None else bias if kind == "gru" else _summands(bias, gradient)
    matrices = (native[name].T for name in ("kernel", "recurrent_kernel"))
    return Weights(*(_in(kind, "keras", a) for a in (*matrices, *biases)))


# Flax


def to_flax_linen(kind: str, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """The params of flax.linen's SimpleCell, OptimizedLSTMCell or LSTMCell, or GRUCell: a kernel (in, H) a gate.

    Under i and h for SimpleCell, else under ii, if, ig, io, hi, ... and ir, iz, in, hr, ...; one bias (H) a gate, at
    h* of an LSTM, at i* of the others, but for a GRU's b_hn, which is there too, at hn. The cells always have
    biases: zeros where Weights has none. Raises Unsupported for a projection.
    Source: https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html, GRUCell, OptimizedLSTMCell
    and SimpleCell, the equations; the names are told by flax/linen/recurrent.py.
    """
    _check(kind, [weights], "Flax's cells have no projection")
    single, b_hn = _joined_biases(kind, _with_biases(weights))
    native: dict[str, dict[str, np.ndarray]] = {}
    for side, matrix in (("i", weights.weight_ih), ("h", weights.weight_hh)):
        for gate, block in _by_gate(kind, "flax", matrix):
            native[_linen(kind, side, gate)] = {"kernel": block.T.copy()}
    for gate, block in _by_gate(kind, "flax", single):
        native[_linen(kind, "h" if kind == "lstm" else "i", gate)]["bias"] = block.copy()
    if b_hn is not None:
        native["hn"]["bias"] = b_hn
    return native


def from_flax_linen(kind: str, native: Mapping[str, Mapping[str, Any]], *, gradient: bool = False) -> Weights:
    """The Weights of a flax.linen cell's params: ``to_flax_linen``'s inverse but for summed biases."""

    def stacked(side: str, name: str) -> np.ndarray:
        return np.concatenate([np.asarray(native[_linen(kind, side, g)][name]).T for g in _gates(kind, "flax")])

    kernels = (_in(kind, "flax", stacked(side, "kernel")) for side in "ih")
    single = _in(kind, "flax", stacked("h" if kind == "lstm" else "i", "bias"))
    b_hn = np.asarray(native["hn"]["bias"]) if kind == "gru" else None
    return Weights(*kernels, *_parted_biases(single, b_hn, gradient))


def to_flax_nnx(kind: str, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of flax.nnx's SimpleCell, OptimizedLSTMCell or GRUCell: dense_i and dense_h.

    Each has a kernel (in, G*H); one bias (G*H), in dense_h of an LSTM, in dense_i of the others. The cells always
    have biases: zeros where Weights has none. Raises Unsupported for a projection, and for a GRU whose b_hn is not
    zero: nnx.GRUCell has none, though its page prints one.
    Source: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/recurrent.html; flax/nnx/nn/recurrent.py.
    """
    _check(kind, [weights], "Flax's cells have no projection")
    single, b_hn = _joined_biases(kind, _with_biases(weights))
    if b_hn is not None and np.any(b_hn):
        raise Unsupported("flax.nnx.GRUCell has no b_hn, and a bias inside r * (W_hn h + b_hn) cannot be moved out")
    kernels = (_out(kind, "flax", W).T.copy() for W in (weights.weight_ih, weights.weight_hh))
    native = {dense: {"kernel": kernel} for dense, kernel in zip(("dense_i", "dense_h"), kernels, strict=True)}
    native["dense_h" if kind == "lstm" else "dense_i"]["bias"] = _out(kind, "flax", single)
    return native


def from_flax_nnx(kind: str, native: Mapping[str, Mapping[str, Any]], *, gradient: bool = False) -> Weights:
    """The Weights of dense_i and dense_h: ``to_flax_nnx``'s inverse but for summed biases."""
    kernels = (_in(kind, "flax", np.asarray(native[dense]["kernel"]).T) for dense in ("dense_i", "dense_h"))
    single = _in(kind, "flax", np.asarray(native["dense_h" if kind == "lstm" else "dense_i"]["bias"]))
    b_hn = np.zeros_like(np.split(single, 3)[0]) if kind == "gru" else None
    return Weights(*kernels, *_parted_biases(single, b_hn, gradient))


# MLX


def to_mlx(kind: str, weights: Weights) -> dict[str, np.ndarray]:
    """The parameters of mlx.nn.RNN, LSTM or GRU, matrices as PyTorch has them.

    RNN: Wxh (H, I), Whh (H, H), bias (H), the sum. LSTM: Wx (4*H, I), Wh (4*H, H), bias (4*H), the sum. GRU:
    Wx (3*H, I), Wh (3*H, H), b (3*H) of the gates' sums and b_in, bhn (H). Without biases the layer has bias=False.
    Raises Unsupported for a projection.
    Source: https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.GRU.html, mlx.nn.LSTM.html,
    mlx.nn.RNN.html; shapes and order are told by mlx/nn/layers/recurrent.py (0.32, earlier ones transposed).
    """
    _check(kind, [weights], "MLX's layers have no projection")
    Wx, Wh, b = _mlx_names(kind)
    native = {Wx: _out(kind, "mlx", weights.weight_ih), Wh: _out(kind, "mlx", weights.weight_hh)}
    if weights.bias_ih is not None:
        single, b_hn = _joined_biases(kind, weights)
        native[b] = _out(kind, "mlx", single)
        if b_hn is not None:
            native["bhn"] = b_hn
    return native


def from_mlx(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> Weights:
    """The Weights of an mlx.nn layer's parameters: ``to_mlx``'s inverse but for summed biases."""
    Wx, Wh, b = _mlx_names(kind)
    single = _in(kind, "mlx", native.get(b))
    biases = (None, None) if single is None else _parted_biases(single, native.get("bhn"), gradient)
    return Weights(_in(kind, "mlx", native[Wx]), _in(kind, "mlx", native[Wh]), *biases)


# cuDNN


def to_cudnn(kind: str, weights: Weights) -> dict[str, list[np.ndarray]]:
    """What cudnnGetRNNWeightParams addresses for one pseudoLayer, by linLayerID: matrices and biases.

    matrices: G of (H, I), then G of (H, O), then with a projection one of (P, H), linLayerID 8. biases: 2*G of (H), as
    under CUDNN_RNN_DOUBLE_BIAS, or none, CUDNN_RNN_NO_BIAS. The pseudoLayer of a direction is layer * D + direction.
    Source: https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-adv-library.html,
    cudnnGetRNNWeightParams: LSTM 0 to 3 input, forget, new cell, output gate; GRU 0 to 2 reset, update, new.
    """
    _check(kind, [weights])
    matrices = [block for W in (weights.weight_ih, weights.weight_hh) for _, block in _by_gate(kind, "cudnn", W)]
    if weights.weight_hr is not None:
        matrices.append(weights.weight_hr.copy())
    biases = [b for b in (weights.bias_ih, weights.bias_hh) if b is not None]
    return {"matrices": matrices, "biases": [block for b in biases for _, block in _by_gate(kind, "cudnn", b)]}


def from_cudnn(kind: str, native: Mapping[str, Sequence[np.ndarray]]) -> Weights:
    """The Weights of one pseudoLayer's matrices and biases: ``to_cudnn``'s inverse."""
    G = len(_gates(kind, "cudnn"))
    matrices, biases = native["matrices"], native["biases"]
    require(len(matrices) in (2 * G, 2 * G + (kind == "lstm")), "matrices", f"{2 * G} of {kind}", len(matrices))
    require(len(biases) in (0, 2 * G), "biases", f"none or {2 * G} of {kind}", len(biases))
    halves = [_in(kind, "cudnn", np.concatenate(matrices[k : k + G])) for k in (0, G)]
    both = [_in(kind, "cudnn", np.concatenate(biases[k : k + G])) for k in (0, G)] if biases else [None, None]
    return Weights(*halves, *both, matrices[2 * G].copy() if len(matrices) > 2 * G else None)


# oneDNN


def to_onednn(kind: str, directions: Sequence[Weights]) -> dict[str, np.ndarray]:
    """The memories of a oneDNN vanilla_rnn, lstm or lbr_gru primitive of one layer, in their logical dimensions.

    weights_layer (1, D, I, G, H) and weights_iter (1, D, O, G, H), as the tag ldigo has them; bias (1, D, G, H), the
    sums, but for lbr_gru (1, D, 4, H): u, r, o and u', which is b_hn; weights_projection (1, D, H, P), tag ldio.
    Without biases there is no bias memory. One layer, as bidirectional_concat runs the directions of a stack apart,
    which is not PyTorch's stack.
    Source: https://uxlfoundation.github.io/oneDNN/dev_guide_rnn.html, "Cell Functions" and "Data Representation".
    """
    _check(kind, directions)
    native: dict[str, list[np.ndarray]] = {}
    for w in directions:
        for name, W in (("weights_layer", w.weight_ih), ("weights_iter", w.weight_hh)):
            native.setdefault(name, []).append(np.stack([block.T for _, block in _by_gate(kind, "onednn", W)], 1))
        if w.bias_ih is not None:
            single, b_hn = _joined_biases(kind, w)
            blocks = [block for _, block in _by_gate(kind, "onednn", single)] + ([] if b_hn is None else [b_hn])
            native.setdefault("bias", []).append(np.stack(blocks))
        if w.weight_hr is not None:
            native.setdefault("weights_projection", []).append(w.weight_hr.T.copy())
    return {name: np.stack(arrays)[None] for name, arrays in native.items()}


def from_onednn(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> list[Weights]:
    """The Weights of each direction of a primitive of one layer: ``to_onednn``'s inverse but for summed biases."""
    layers = native["weights_layer"].shape[0]
    require(layers == 1, "weights_layer", "one layer", layers)
    found = []
    for direction in range(native["weights_layer"].shape[1]):
        own = {name: array[0, direction] for name, array in native.items()}
        matrices = []
        for name in ("weights_layer", "weights_iter"):
            I, G, H = own[name].shape
            matrices.append(_in(kind, "onednn", own[name].transpose(1, 2, 0).reshape(G * H, I)))
        biases: Sequence[np.ndarray | None] = (None, None)
        if "bias" in own:
            blocks, b_hn = (own["bias"][:3], own["bias"][3].copy()) if kind == "gru" else (own["bias"], None)
            biases = _parted_biases(_in(kind, "onednn", blocks.reshape(-1)), b_hn, gradient)
        projection = own.get("weights_projection")
        found.append(Weights(*matrices, *biases, None if projection is None else projection.T.copy()))
    return found


# Paddle


def to_paddle(kind: str, weights: Weights) -> dict[str, np.ndarray]:
    """The parameters of paddle.nn.SimpleRNNCell, LSTMCell or GRUCell, also those inside paddle.nn's layers.

    weight_ih, weight_hh, bias_ih and bias_hh as PyTorch has them, weight_ho (H, P) for a projection, transposed.
    Without biases bias_ih_attr=False and bias_hh_attr=False.
    Source: https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/LSTMCell_en.html, "Variables".
    """
    _check(kind, [weights])
    gated = zip(Weights._fields[:4], weights[:4], strict=True)
    native = {name: _out(kind, "paddle", a) for name, a in gated if a is not None}
    if weights.weight_hr is not None:
        native["weight_ho"] = weights.weight_hr.T.copy()
    return native


def from_paddle(kind: str, native: Mapping[str, np.ndarray]) -> Weights:
    """The Weights of a paddle.nn cell's parameters: ``to_paddle``'s inverse."""
    own = {name: _in(kind, "paddle", native[name]) for name in Weights._fields[:4] if name in native}
    projection = native.get("weight_ho")
    weights = Weights(**own, weight_hr=None if projection is None else projection.T.copy())
    _check(kind, [weights])
    return weights


def _suffixes(config: LayerConfig | CellConfig) -> list[str]:
    return [""] if isinstance(config, CellConfig) else [parameter_suffix(*where) for where in layer_directions(config)]


def _check(kind: str, directions: Sequence[Weights], unprojected: str = "") -> None:
    """Raise ValueError for Weights whose arrays do not fit each other, Unsupported for a projection if that is said."""
    require(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", kind)
    require(len(directions) in (1, 2), "directions", "one or two Weights", len(directions))
    for w in directions:
        require(w.weight_ih.shape[0] % len(GATES[kind]) == 0, "weight_ih", f"the gates of {kind}", w.weight_ih.shape)
        GH = w.weight_ih.shape[0]
        H = GH // len(GATES[kind])
        O = H if w.weight_hr is None else w.weight_hr.shape[0]
        require(w.weight_hh.shape == (GH, O), "weight_hh", f"shape {(GH, O)}", w.weight_hh.shape)
        require((w.bias_ih is None) == (w.bias_hh is None), "bias_hh", "both biases or neither", None)
        for name, b in (("bias_ih", w.bias_ih), ("bias_hh", w.bias_hh)):
            require(b is None or b.shape == (GH,), name, f"shape {(GH,)}", np.shape(b))
        if w.weight_hr is not None:
            require(kind == "lstm", "weight_hr", f"None, as {kind} has no projection", w.weight_hr.shape)
            require(w.weight_hr.shape[1:] == (H,), "weight_hr", f"shape {(O, H)}", w.weight_hr.shape)
            if unprojected:
                raise Unsupported(unprojected)


def _gates(kind: str, layout: str) -> str:
    return GATE_ORDERS[layout].get(kind, GATES[kind])


def _out(kind: str, layout: str, array: np.ndarray) -> np.ndarray:
    return reorder_gates(array, kind, "pytorch", layout)


def _in(kind: str, layout: str, array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else reorder_gates(array, kind, layout, "pytorch")


def _by_gate(kind: str, layout: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The gates' letters and blocks, in the layout's order."""
    gates = _gates(kind, layout)
    blocks = np.split(_out(kind, layout, array), len(gates))
    return [(gate, block.copy()) for gate, block in zip(gates, blocks, strict=True)]


def _halves(both: np.ndarray | None) -> Sequence[np.ndarray | None]:
    return (None, None) if both is None else np.split(both, 2)


def _with_biases(weights: Weights) -> Weights:
    """The same, with zeros for biases that it has not."""
    if weights.bias_ih is not None:
        return weights
    zeros = np.zeros_like(weights.weight_ih[:, 0])
    return weights._replace(bias_ih=zeros, bias_hh=zeros)


def _joined_biases(kind: str, weights: Weights) -> tuple[np.ndarray, np.ndarray | None]:
    """The sum of the biases (G*H) and None; for a GRU the sums of r and z and b_in, and apart from them b_hn (H)."""
    if kind != "gru":
        return weights.bias_ih + weights.bias_hh, None
    r, z, b_hn = np.split(weights.bias_hh, 3)
    return weights.bias_ih + np.concatenate([r, z, np.zeros_like(b_hn)]), b_hn.copy()


def _parted_biases(single: np.ndarray, b_hn: np.ndarray | None, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    """bias_ih and bias_hh from what ``_joined_biases`` gives."""
    bias_ih, bias_hh = _summands(single, gradient)
    if b_hn is not None:
        bias_hh[-b_hn.size :] = b_hn
    return bias_ih, bias_hh


def _summands(bias: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    return bias.copy(), bias.copy() if gradient else np.zeros_like(bias)


def _linen(kind: str, side: str, gate: str) -> str:
    return side + (gate if len(GATES[kind]) > 1 else "")


def _mlx_names(kind: str) -> tuple[str, str, str]:
    return ("Wx", "Wh", "b" if kind == "gru" else "bias") if len(GATES[kind]) > 1 else ("Wxh", "Whh", "bias")
