"""The layouts of the recurrent cells of flax.linen and flax.nnx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from conformance.backend import Unsupported
from conformance.layouts.biases import biases_or_zeros, joined, parted
from conformance.layouts.gates import blocks_by_gate, from_order, gates_of, to_order
from conformance.layouts.weights import Weights, check_weights
from reference.parameters import GATES


def to_flax_linen(kind: str, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """Return the params of flax.linen's SimpleCell, OptimizedLSTMCell, LSTMCell or GRUCell.

    A kernel (in, H) for each gate: i and h of SimpleCell, ii, if, ig, io, hi, ... of an LSTM, ir, iz, in, hr, ... of a
    GRU. A bias (H) for each gate beside the kernels h* of an LSTM and i* of the others; a GRU's hn has b_hn as well.
    The cells always have biases: they are zeros if Weights lacks them. Raises Unsupported for a projection.
    Source: https://flax.readthedocs.io/en/latest/api_reference/flax.linen/layers.html, GRUCell, OptimizedLSTMCell
    and SimpleCell, the equations; the names are in flax/linen/recurrent.py.
    """
    check_weights(kind, [weights], "Flax's cells have no projection")
    single, b_hn = joined(kind, *biases_or_zeros(weights))
    native: dict[str, dict[str, np.ndarray]] = {}
    for side, matrix in (("i", weights.weight_ih), ("h", weights.weight_hh)):
        for gate, block in blocks_by_gate(kind, "flax", matrix):
            native[_linen_name(kind, side, gate)] = {"kernel": block.T.copy()}
    for gate, block in blocks_by_gate(kind, "flax", single):
        native[_linen_name(kind, _bias_side(kind), gate)]["bias"] = block.copy()
    if b_hn is not None:
        native["hn"]["bias"] = b_hn
    return native


def from_flax_linen(kind: str, native: Mapping[str, Mapping[str, Any]], *, gradient: bool = False) -> Weights:
    """Return the Weights of a flax.linen cell's params.

    The inverse of ``to_flax_linen``, except for summed biases, which the package's docstring describes.
    """

    def stacked(side: str, name: str) -> np.ndarray:
        blocks = [np.asarray(native[_linen_name(kind, side, gate)][name]).T for gate in gates_of(kind, "flax")]
        return from_order(kind, "flax", np.concatenate(blocks))

    single = stacked(_bias_side(kind), "bias")
    b_hn = np.asarray(native["hn"]["bias"]) if kind == "gru" else None
    bias_ih, bias_hh = parted(single, b_hn, gradient)
    return Weights(stacked("i", "kernel"), stacked("h", "kernel"), bias_ih, bias_hh)


def to_flax_nnx(kind: str, weights: Weights) -> dict[str, dict[str, np.ndarray]]:
    """Return the parameters of flax.nnx's SimpleCell, OptimizedLSTMCell or GRUCell: dense_i and dense_h.

    Each has a kernel (in, G*H). One has the bias (G*H): dense_h of an LSTM, dense_i of the others. The cells always
    have biases: they are zeros if Weights lacks them. Raises Unsupported for a projection, and for a GRU whose b_hn is
    not zero: nnx.GRUCell has no b_hn, although its page prints one.
    Source: https://flax.readthedocs.io/en/latest/api_reference/flax.nnx/nn/recurrent.html; flax/nnx/nn/recurrent.py.
    """
    check_weights(kind, [weights], "Flax's cells have no projection")
    single, b_hn = joined(kind, *biases_or_zeros(weights))
    if b_hn is not None and np.any(b_hn):
        raise Unsupported("flax.nnx.GRUCell has no b_hn, and a bias inside r * (W_hn h + b_hn) cannot be moved out")
    native = {
        "dense_i": {"kernel": to_order(kind, "flax", weights.weight_ih).T.copy()},
        "dense_h": {"kernel": to_order(kind, "flax", weights.weight_hh).T.copy()},
    }
    native[f"dense_{_bias_side(kind)}"]["bias"] = to_order(kind, "flax", single)
    return native


def from_flax_nnx(kind: str, native: Mapping[str, Mapping[str, Any]], *, gradient: bool = False) -> Weights:
    """Return the Weights of dense_i and dense_h.

    The inverse of ``to_flax_nnx``, except for summed biases, which the package's docstring describes.
    """
    weight_ih, weight_hh = (
        from_order(kind, "flax", np.asarray(native[dense]["kernel"]).T) for dense in ("dense_i", "dense_h")
    )
    single = from_order(kind, "flax", np.asarray(native[f"dense_{_bias_side(kind)}"]["bias"]))
    b_hn = np.zeros_like(np.split(single, 3)[0]) if kind == "gru" else None
    bias_ih, bias_hh = parted(single, b_hn, gradient)
    return Weights(weight_ih, weight_hh, bias_ih, bias_hh)


def _linen_name(kind: str, side: str, gate: str) -> str:
    return side + (gate if len(GATES[kind]) > 1 else "")


def _bias_side(kind: str) -> str:
    return "h" if kind == "lstm" else "i"
