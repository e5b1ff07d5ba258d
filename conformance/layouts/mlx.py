"""The layout of mlx.nn.RNN, LSTM and GRU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.layouts.biases import biases_of, joined, parted
from conformance.layouts.gates import from_order, to_order
from conformance.layouts.weights import Weights, check_weights
from reference.parameters import GATES


def to_mlx(kind: str, weights: Weights) -> dict[str, np.ndarray]:
    """Return the parameters of mlx.nn.RNN, LSTM or GRU; the matrices have PyTorch's shapes.

    RNN: Wxh (H, I), Whh (H, H), bias (H), the sum. LSTM: Wx (4*H, I), Wh (4*H, H), bias (4*H), the sum. GRU:
    Wx (3*H, I), Wh (3*H, H), b (3*H), whose blocks are the gates' sums and b_in, and bhn (H). Without biases the layer
    needs bias=False. Raises Unsupported for a projection.
    Source: https://ml-explore.github.io/mlx/build/html/python/nn/_autosummary/mlx.nn.GRU.html, mlx.nn.LSTM.html,
    mlx.nn.RNN.html; shapes and order are in mlx/nn/layers/recurrent.py (0.32; transposed in earlier versions).
    """
    check_weights(kind, [weights], "MLX's layers have no projection")
    Wx, Wh, b = _names(kind)
    native = {Wx: to_order(kind, "mlx", weights.weight_ih), Wh: to_order(kind, "mlx", weights.weight_hh)}
    if (biases := biases_of(weights)) is not None:
        single, b_hn = joined(kind, *biases)
        native[b] = to_order(kind, "mlx", single)
        if b_hn is not None:
            native["bhn"] = b_hn
    return native


def from_mlx(kind: str, native: Mapping[str, np.ndarray], *, gradient: bool = False) -> Weights:
    """Return the Weights of an mlx.nn layer's parameters.

    The inverse of ``to_mlx``, except for summed biases, which the package's docstring describes.
    """
    Wx, Wh, b = _names(kind)
    weights = Weights(from_order(kind, "mlx", native[Wx]), from_order(kind, "mlx", native[Wh]))
    if native.get(b) is None:
        return weights
    bias_ih, bias_hh = parted(from_order(kind, "mlx", native[b]), native.get("bhn"), gradient)
    return weights._replace(bias_ih=bias_ih, bias_hh=bias_hh)


def _names(kind: str) -> tuple[str, str, str]:
    return ("Wx", "Wh", "b" if kind == "gru" else "bias") if len(GATES[kind]) > 1 else ("Wxh", "Whh", "bias")
