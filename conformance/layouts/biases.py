"""PyTorch's two biases and the layouts that have their sum."""

from __future__ import annotations

import numpy as np

from conformance.layouts.weights import Weights


def biases_of(weights: Weights) -> tuple[np.ndarray, np.ndarray] | None:
    """Return bias_ih and bias_hh, or None if there are no biases."""
    if weights.bias_ih is None or weights.bias_hh is None:
        return None
    return weights.bias_ih, weights.bias_hh


def biases_or_zeros(weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Return bias_ih and bias_hh, zeros if there are no biases."""
    zeros = np.zeros_like(weights.weight_ih[:, 0])
    return biases_of(weights) or (zeros, zeros)


def joined(kind: str, bias_ih: np.ndarray, bias_hh: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the sum of the biases (G*H), and None.

    For a GRU the n block of the sum is b_in alone, and b_hn (H) is returned in place of None.
    """
    if kind != "gru":
        return bias_ih + bias_hh, None
    r, z, b_hn = np.split(bias_hh, 3)
    return bias_ih + np.concatenate([r, z, np.zeros_like(b_hn)]), b_hn.copy()


def parted(single: np.ndarray, b_hn: np.ndarray | None, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return bias_ih and bias_hh from the results of ``joined``."""
    bias_ih, bias_hh = summands(single, gradient)
    if b_hn is not None:
        bias_hh[-b_hn.size :] = b_hn
    return bias_ih, bias_hh


def summands(bias: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum and zeros or, for the gradient of the sum, the gradient twice."""
    return bias.copy(), bias.copy() if gradient else np.zeros_like(bias)
