"""Faults of precision: arithmetic coarser than the backend declares."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import result_of, rounded_to
from conformance.specifications.torch_nn.faults.equations import gru_with, lstm_with, sigmoid_by_exp
from reference import cells
from reference.cells import relu, tanh

FAULTS: list[Fault] = []
family = Family(FAULTS, "precision", gradients=False)


def tf32(a):
    """Round to 10 bits of mantissa, to nearest."""
    bits = np.asarray(a, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x1000) & 0xFFFFE000).astype(np.uint32).view(np.float32).astype(np.float64)


def bfloat16(a):
    return np.asarray(a).astype(ml_dtypes.bfloat16).astype(np.float64)


def products_in(rounded):
    """Return the parts of a fault whose matrix products round their operands and sum exactly."""

    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        W_ih, W_hh, b_ih, b_hh, W_hr = weights
        kept = cells.EQUATIONS[kind]
        rounded_W_hh = rounded(W_hh)

        def equation(x, u, h, c):
            u = rounded(h) @ rounded_W_hh
            return kept(x, u if b_hh is None else u + b_hh, h, c)

        cells.EQUATIONS[kind] = equation
        try:
            return go(kind, (rounded(W_ih), W_hh, b_ih, b_hh, W_hr), rounded(inputs), h, c, running, reverse, record)
        finally:
            cells.EQUATIONS[kind] = kept

    return {"direction": direction}


def state_in(dtype):
    """Return the parts of a fault that keeps its states in another dtype between steps."""

    def kept_in(equation):
        def rounding(x, u, h, c):
            return tuple(rounded_to(dtype, a) for a in equation(x, u, h, c))

        return rounding

    return {"equation": {kind: kept_in(equation) for kind, equation in cells.EQUATIONS.items()}}


def activations_by(σ, tanh):
    """Return the parts of a fault with other functions for sigmoid and tanh."""
    return {
        "equation": {
            "lstm": lstm_with(i=σ, f=σ, g=tanh, o=σ, h=tanh),
            "gru": gru_with(r=σ, z=σ, n=tanh),
            "rnn_tanh": lambda x, u, h, c: (tanh(x + u), None),
            "rnn_relu": lambda x, u, h, c: (relu(x + u), None),
        }
    }


@family(
    "FORWARD-EQUATION",
    "a layer that keeps its states in float16 from step to step",
    "a workspace in half precision, as under autocast",
)
def state_in_float16():
    return state_in(np.float16)


@family(
    "FORWARD-EQUATION",
    "a layer that keeps its states in bfloat16 from step to step",
    "a workspace in bfloat16, as under autocast",
)
def state_in_bfloat16():
    return state_in(ml_dtypes.bfloat16)


@family("FORWARD-EQUATION", "a layer whose weights are rounded to float16", "weights stored in half precision")
def weights_in_float16():
    return {"load": lambda config, p: {n: rounded_to(np.float16, a) for n, a in p.items()}}


@family(
    "FORWARD-EQUATION",
    "a layer whose weights are quantized to 8 bits a row",
    "dynamic quantization, as torch.ao.quantization's quantize_dynamic does",
)
def weights_in_8_bits():
    def quantized(a):
        if a.ndim == 1:
            return a
        scale = np.abs(a).max(axis=1, keepdims=True).astype(np.float64) / 127
        return (np.round(a / np.where(scale > 0, scale, 1)) * scale).astype(a.dtype)

    return {"load": lambda config, p: {n: quantized(a) for n, a in p.items()}}


@family(
    "FORWARD-EQUATION",
    "a layer whose products take bfloat16 operands",
    "torch.set_float32_matmul_precision('medium') and oneDNN's fpmath mode bf16, not declared",
)
def products_in_bfloat16():
    return products_in(bfloat16)


@family(
    "FORWARD-EQUATION",
    "a layer whose products take TF32 operands",
    "torch.backends.cudnn.allow_tf32, on by default, not declared",
)
def products_in_tf32():
    return products_in(tf32)


@family(
    "FORWARD-EQUATION",
    "a layer whose tanh and sigmoid are linear between 256 points",
    "a lookup table for activations",
    kinds=("rnn_tanh", "lstm", "gru"),
)
def activations_from_a_table():
    points = np.linspace(-8, 8, 257)
    table = tanh(points)

    def looked_up(a):
        return np.where(np.isnan(a), a, np.interp(a, points, table))

    return activations_by(lambda a: (looked_up(a / 2) + 1) / 2, looked_up)


@family(
    "FORWARD-EQUATION",
    "a layer whose tanh is a quotient of polynomials, a (27 + a²) / (27 + 9 a²), clipped",
    "a fast tanh, Padé's of low order",
    kinds=("rnn_tanh", "lstm", "gru"),
)
def activations_by_pade():
    def pade(a):
        b = np.clip(a, -3, 3)
        return b * (27 + b * b) / (27 + 9 * b * b)

    return activations_by(lambda a: (pade(a / 2) + 1) / 2, pade)


@family(
    "STATE-RANGE",
    "a layer whose tanh ends at 1.0000005",
    "a polynomial that is not clamped at its ends",
    kinds=("rnn_tanh", "gru"),
)
def tanh_beyond_one():
    def beyond(a):
        return tanh(a) * (1 + 8 * 2.0**-24)

    return {
        "equation": {
            "gru": gru_with(r=sigmoid_by_exp, z=sigmoid_by_exp, n=beyond),
            "rnn_tanh": lambda x, u, h, c: (beyond(x + u), None),
        }
    }


def relatively_off(by):
    """Return the parts of a fault whose results have a relative error that varies between elements."""

    def off(a):
        rng = np.random.default_rng(7)
        return (a * (1 + by * rng.uniform(0.5, 1, a.shape))).astype(a.dtype)

    def step(cell, x, h, c):
        return tuple(None if a is None else off(a) for a in cell.plain(x, h, c))

    return {"result": lambda layer, got, _: result_of(off, got), "step": step}


@family(
    "FORWARD-EQUATION",
    "a layer whose results are off by up to 1e-3 relative",
    "half precision somewhere",
    numeric=False,
)
def results_off_by_1e_3():
    return relatively_off(1e-3)


@family(
    "FORWARD-EQUATION",
    "a layer whose results are off by up to 1e-4 relative",
    "a coarse approximation somewhere",
    numeric=False,
)
def results_off_by_1e_4():
    return relatively_off(1e-4)


@family(
    "FORWARD-EQUATION",
    "a layer whose results are off by up to 3e-5 relative",
    "a coarse approximation that a tolerance of 1e-4 lets pass",
    numeric=False,
)
def results_off_by_3e_5():
    return relatively_off(3e-5)


@family(
    "CELL-LOOP",
    "cells, and not layers, that compute from weights rounded to float16",
    "a cell that was given another precision than the layer",
    features={"cells"},
)
def cells_in_float16():
    def step(cell, x, h, c):
        return cell.plain_of(cell.config, {n: rounded_to(np.float16, a) for n, a in cell.given.items()}, x, h, c)

    return {"step": step}


@family(
    "FORWARD-EQUATION",
    "a layer of float16 that starts from 1/16 where the states are omitted",
    "a buffer of float32 allocated for float16 and cleared by half",
    dtypes=("float16",),
)
def omitted_states_of_float16_not_cleared():
    def arguments(layer, x, h_0, c_0, lengths):
        config, lstm = layer.config, layer.config.kind == "lstm"
        if h_0 is not None or c_0 is not None:
            return x, h_0, c_0, lengths
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        rows = (config.directions * config.num_layers, *batch)
        c_0 = np.full((*rows, config.hidden_size), 1 / 16, x.dtype) if lstm else None
        return x, np.full((*rows, config.output_size), 1 / 16, x.dtype), c_0, lengths

    return {"arguments": arguments}
