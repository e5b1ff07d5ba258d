"""The layout of paddle.nn.SimpleRNNCell, LSTMCell and GRUCell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.layouts.gates import from_order, to_order
from conformance.layouts.weights import Weights, check_weights

GATED = Weights._fields[:4]  # the projection has no gates


def to_paddle(kind: str, weights: Weights) -> dict[str, np.ndarray]:
    """Return the parameters of a paddle.nn cell; paddle.nn's layers consist of such cells.

    weight_ih, weight_hh, bias_ih and bias_hh have PyTorch's shapes; weight_ho (H, P) is the transposed projection.
    Without biases the cell needs bias_ih_attr=False and bias_hh_attr=False.
    Source: https://www.paddlepaddle.org.cn/documentation/docs/en/api/paddle/nn/LSTMCell_en.html, "Variables".
    """
    check_weights(kind, [weights])
    native = {name: to_order(kind, "paddle", array) for name in GATED if (array := getattr(weights, name)) is not None}
    if weights.weight_hr is not None:
        native["weight_ho"] = weights.weight_hr.T.copy()
    return native


def from_paddle(kind: str, native: Mapping[str, np.ndarray]) -> Weights:
    """Return the Weights of a paddle.nn cell's parameters: the inverse of ``to_paddle``."""
    own = {name: from_order(kind, "paddle", native[name]) for name in GATED if name in native}
    if (projection := native.get("weight_ho")) is not None:
        own["weight_hr"] = projection.T.copy()
    weights = Weights(**own)
    check_weights(kind, [weights])
    return weights
