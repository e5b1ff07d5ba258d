"""The equations, one line each, in the symbols of PyTorch's documentation.

Names: x stands for all W_i. x_t + b_i., and u for all W_h. h_{t-1} + b_h.; both have shape (..., G*H), the gates'
blocks one after the other. h and c are h_{t-1} and c_{t-1}, (..., H). Each equation returns h_t and c_t, (..., H); c_t
is None unless lstm.

Source: the formulas at the head of torch.nn.RNN, LSTM and GRU and of their cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A float64 NumPy array, or a ``reference.precision.Disturbed`` array: the same lines evaluate both."""

tanh = np.tanh


def σ(a: Array) -> Array:
    """Compute the logistic function 1 / (1 + exp(-a)), in a form that overflows for no argument."""
    return (tanh(a / 2) + 1) / 2


def d_tanh(y: Array) -> Array:
    """Return the derivative of tanh at the argument where tanh is y."""
    return 1 - y * y


def d_σ(y: Array) -> Array:
    """Return the derivative of σ at the argument where σ is y."""
    return y * (1 - y)


def relu(a: Array) -> Array:
    """Compute max(a, 0); NaN stays NaN."""
    return np.maximum(a, 0)


def blocks(a: Array, count: int) -> list[Array]:
    """Return the ``count`` equal blocks of the last axis, as views."""
    size = a.shape[-1] // count
    return [a[..., k * size : (k + 1) * size] for k in range(count)]


def rnn_tanh(x: Array, u: Array, h: Array, c: Array) -> tuple[Array, None]:
    h_t = tanh(x + u)
    return h_t, None


def rnn_relu(x: Array, u: Array, h: Array, c: Array) -> tuple[Array, None]:
    h_t = relu(x + u)
    return h_t, None


def lstm(x: Array, u: Array, h: Array, c: Array) -> tuple[Array, Array]:
    a_i, a_f, a_g, a_o = blocks(x + u, 4)
    i_t = σ(a_i)
    f_t = σ(a_f)
    g_t = tanh(a_g)
    o_t = σ(a_o)
    c_t = f_t * c + i_t * g_t
    h_t = o_t * tanh(c_t)
    return h_t, c_t


def gru(x: Array, u: Array, h: Array, c: Array) -> tuple[Array, None]:
    (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    n_t = tanh(x_n + r_t * u_n)
    h_t = (1 - z_t) * n_t + z_t * h
    return h_t, None


EQUATIONS: dict[str, Callable[[Array, Array, Array, Array], tuple[Array, Array | None]]] = {
    "rnn_tanh": rnn_tanh,
    "rnn_relu": rnn_relu,
    "lstm": lstm,
    "gru": gru,
}
