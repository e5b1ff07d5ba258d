"""The layout of ONNX's operators RNN, GRU and LSTM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from conformance.layouts.biases import biases_of
from conformance.layouts.gates import from_order, to_order
from conformance.layouts.weights import Weights, check_weights


def to_onnx(kind: str, directions: Sequence[Weights]) -> dict[str, np.ndarray]:
    """Return the inputs W (D, G*H, I), R (D, G*H, H) and, with biases, B (D, 2*G*H) of an RNN, GRU or LSTM node.

    B holds bias_ih, then bias_hh. A GRU node needs linear_before_reset=1 to compute PyTorch's equation.
    Raises Unsupported for a projection, which the operator does not have.
    Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html, "Inputs".
    """
    check_weights(kind, directions, "ONNX's operators have no projection")
    native: dict[str, list[np.ndarray]] = {"W": [], "R": [], "B": []}
    for w in directions:
        native["W"].append(to_order(kind, "onnx", w.weight_ih))
        native["R"].append(to_order(kind, "onnx", w.weight_hh))
        if (biases := biases_of(w)) is not None:
            native["B"].append(np.concatenate([to_order(kind, "onnx", b) for b in biases]))
    return {name: np.stack(arrays) for name, arrays in native.items() if arrays}


def from_onnx(kind: str, native: Mapping[str, np.ndarray]) -> list[Weights]:
    """Return the Weights of each direction from W, R and, with biases, B: the inverse of ``to_onnx``."""
    found = []
    for W, R, B in zip(native["W"], native["R"], native.get("B", [None] * len(native["W"])), strict=True):
        biases = [] if B is None else np.split(B, 2)
        found.append(Weights(*(from_order(kind, "onnx", array) for array in (W, R, *biases))))
    return found
