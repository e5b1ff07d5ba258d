"""The layout of keras.layers.SimpleRNN, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.layouts.biases import biases_of, summands
from conformance.layouts.gates import from_order, to_order
from conformance.layouts.weights import Weights, check_weights


def to_keras(kind: str, weights: Weights, *, reset_after: bool = True) -> dict[str, np.ndarray]:
    """Return kernel (I, G*H), recurrent_kernel (H, G*H) and, with biases, bias, in the order of the layer's weights.

    bias (G*H) is the sum of the two. The bias of a GRU with reset_after=True is (2, 3*H) and holds bias_ih and bias_hh.
    With reset_after=False a GRU computes another equation, the dialect "reset-before-product". Without biases the layer
    needs use_bias=False. A keras.layers.Bidirectional lists the weights of its forward layer first. Raises Unsupported
    for a projection.
    Source: https://keras.io/api/layers/recurrent_layers/gru/, reset_after; the order of the gates is in
    keras/src/layers/rnn/lstm.py (i, f, c, o) and gru.py (z, r, h).
    """
    check_weights(kind, [weights], "Keras's layers have no projection")
    native = {
        "kernel": to_order(kind, "keras", weights.weight_ih).T.copy(),
        "recurrent_kernel": to_order(kind, "keras", weights.weight_hh).T.copy(),
    }
    if (biases := biases_of(weights)) is not None:
        bias_ih, bias_hh = (to_order(kind, "keras", b) for b in biases)
        native["bias"] = np.stack([bias_ih, bias_hh]) if kind == "gru" and reset_after else bias_ih + bias_hh
    return native


def from_keras(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> Weights:
    """Return the Weights of kernel, recurrent_kernel and, with biases, bias.

    The inverse of ``to_keras``, except for summed biases, which the package's docstring describes.
    """
    arrays = [native[name].T for name in ("kernel", "recurrent_kernel")]
    if (bias := native.get("bias")) is not None:
        arrays.extend(bias if bias.ndim == 2 else summands(bias, gradient))
    return Weights(*(from_order(kind, "keras", array) for array in arrays))
