"""The equations, one line each, in the symbols of PyTorch's documentation.

Names: x is x_t with all of W_i. x_t + b_i. in it, u is all of W_h. h_{t-1} + b_h., both of shape
(..., G*H) with the gates' blocks one after the other; h and c are h_{t-1} and c_{t-1}, (..., H).
Each function returns h_t and c_t, (..., H); c is None unless lstm.

Source: the formulas at the head of torch.nn.RNN, LSTM and GRU and of their cells.
"""

from __future__ import annotations

import numpy as np

tanh = np.tanh


def σ(a):
    """The logistic function 1 / (1 + exp(-a)), written so that no argument overflows."""
    return (tanh(a / 2) + 1) / 2


def relu(a):
    """max(a, 0); NaN stays NaN."""
    return np.maximum(a, 0)


def blocks(a, count):
    """The ``count`` equal blocks of the last axis, as views."""
    size = a.shape[-1] // count
    return [a[..., k * size : (k + 1) * size] for k in range(count)]


def rnn_tanh(x, u, h, c):
    h_t = tanh(x + u)
    return h_t, None


def rnn_relu(x, u, h, c):
    h_t = relu(x + u)
    return h_t, None


def lstm(x, u, h, c):
    a_i, a_f, a_g, a_o = blocks(x + u, 4)
    i_t = σ(a_i)
    f_t = σ(a_f)
    g_t = tanh(a_g)
    o_t = σ(a_o)
    c_t = f_t * c + i_t * g_t
    h_t = o_t * tanh(c_t)
    return h_t, c_t


def gru(x, u, h, c):
    (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    n_t = tanh(x_n + r_t * u_n)
    h_t = (1 - z_t) * n_t + z_t * h
    return h_t, None


EQUATIONS = {"rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu, "lstm": lstm, "gru": gru}
