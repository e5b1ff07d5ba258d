"""The layouts of cuDNN and oneDNN, libraries of kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from conformance.layouts.biases import biases_of, joined, parted
from conformance.layouts.gates import blocks_by_gate, from_order, gates_of
from conformance.layouts.weights import Weights, check_weights
from reference.config import require


def to_cudnn(kind: str, weights: Weights) -> dict[str, list[np.ndarray]]:
    """Return the arrays that cudnnGetRNNWeightParams addresses for one pseudoLayer, by linLayerID: matrices and biases.

    matrices: G of (H, I), then G of (H, O), then with a projection one of (P, H), linLayerID 8. biases: 2*G of (H),
    for CUDNN_RNN_DOUBLE_BIAS, or an empty list, for CUDNN_RNN_NO_BIAS. The pseudoLayer of a direction is
    layer * D + direction.
    Source: https://docs.nvidia.com/deeplearning/cudnn/backend/latest/api/cudnn-adv-library.html,
    cudnnGetRNNWeightParams: LSTM 0 to 3 input, forget, new cell, output gate; GRU 0 to 2 reset, update, new.
    """
    check_weights(kind, [weights])
    matrices = [block for W in (weights.weight_ih, weights.weight_hh) for _, block in blocks_by_gate(kind, "cudnn", W)]
    if weights.weight_hr is not None:
        matrices.append(weights.weight_hr.copy())
    biases = biases_of(weights) or ()
    return {"matrices": matrices, "biases": [block for b in biases for _, block in blocks_by_gate(kind, "cudnn", b)]}


def from_cudnn(kind: str, native: Mapping[str, Sequence[np.ndarray]]) -> Weights:
    """Return the Weights of one pseudoLayer's matrices and biases: the inverse of ``to_cudnn``.

    Raises ValueError if their number does not fit the kind.
    """
    G = len(gates_of(kind, "cudnn"))
    matrices, biases = native["matrices"], native["biases"]
    require(len(matrices) in (2 * G, 2 * G + (kind == "lstm")), "matrices", f"{2 * G} of {kind}", len(matrices))
    require(len(biases) in (0, 2 * G), "biases", f"none or {2 * G} of {kind}", len(biases))

    def halves(blocks: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [from_order(kind, "cudnn", np.concatenate(blocks[k : k + G])) for k in (0, G)]

    weights = Weights(*halves(matrices), *(halves(biases) if biases else ()))
    return weights if len(matrices) == 2 * G else weights._replace(weight_hr=matrices[2 * G].copy())


def to_onednn(kind: str, directions: Sequence[Weights]) -> dict[str, np.ndarray]:
    """Return the memories of a oneDNN vanilla_rnn, lstm or lbr_gru primitive of one layer, in logical dimensions.

    weights_layer (1, D, I, G, H) and weights_iter (1, D, O, G, H), tag ldigo; weights_projection (1, D, H, P), tag
    ldio; with biases, bias (1, D, G, H), the sums. The bias of lbr_gru is (1, D, 4, H): u, r, o and u', which is b_hn.
    One layer only: bidirectional_concat runs the directions of a stack apart from each other, as PyTorch does not.
    Source: https://uxlfoundation.github.io/oneDNN/dev_guide_rnn.html, "Cell Functions" and "Data Representation".
    """
    check_weights(kind, directions)
    native: dict[str, list[np.ndarray]] = {}
    for w in directions:
        for name, W in (("weights_layer", w.weight_ih), ("weights_iter", w.weight_hh)):
            native.setdefault(name, []).append(np.stack([block.T for _, block in blocks_by_gate(kind, "onednn", W)], 1))
        if (biases := biases_of(w)) is not None:
            single, b_hn = joined(kind, *biases)
            blocks = [block for _, block in blocks_by_gate(kind, "onednn", single)] + ([] if b_hn is None else [b_hn])
            native.setdefault("bias", []).append(np.stack(blocks))
        if w.weight_hr is not None:
            native.setdefault("weights_projection", []).append(w.weight_hr.T.copy())
    return {name: np.stack(arrays)[None] for name, arrays in native.items()}


def from_onednn(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> list[Weights]:
    """Return the Weights of each direction of a primitive of one layer.

    The inverse of ``to_onednn``, except for summed biases, which the package's docstring describes. Raises ValueError
    for memories of several layers.
    """
    layers, directions = native["weights_layer"].shape[:2]
    require(layers == 1, "weights_layer", "one layer", layers)

    def matrix(memory: np.ndarray) -> np.ndarray:
        I, G, H = memory.shape
        return from_order(kind, "onednn", memory.transpose(1, 2, 0).reshape(G * H, I))

    found = []
    for direction in range(directions):
        own = {name: array[0, direction] for name, array in native.items()}
        weights = Weights(matrix(own["weights_layer"]), matrix(own["weights_iter"]))
        if "bias" in own:
            blocks, b_hn = (own["bias"][:3], own["bias"][3].copy()) if kind == "gru" else (own["bias"], None)
            bias_ih, bias_hh = parted(from_order(kind, "onednn", blocks.reshape(-1)), b_hn, gradient)
            weights = weights._replace(bias_ih=bias_ih, bias_hh=bias_hh)
        if "weights_projection" in own:
            weights = weights._replace(weight_hr=own["weights_projection"].T.copy())
        found.append(weights)
    return found
