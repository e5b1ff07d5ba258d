"""Gradients: the vector-Jacobian products of a layer, in the symbols of its equations.

d_y stands for the cotangent of y: what the gradient of a scalar is with respect to y. Each function in
``COTANGENTS`` is one kind's step backwards. It takes what the equation took, x, u, h and c (see
reference.cells), and the cotangents d_h_t and d_c_t of what the equation returned, and gives those of x,
of u, and of h and c as far as the equation names these itself, None where it does not. What h receives
through u, and all that has to do with time, direction, stacking, lengths and batch layout, is written
once for every kind, as in reference.layers.

Source: the formulas at the head of torch.nn.RNN, LSTM and GRU, differentiated by the chain rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reference.cells import blocks, tanh, σ
from reference.config import LayerConfig, require
from reference.layers import _check_array, _direction, _dropped, _rows, _weights, check_inputs
from reference.parameters import check_parameters, layer_directions, parameter_shapes, parameter_suffix


def d_tanh(y):
    """The derivative of tanh where tanh is y."""
    return 1 - y * y


def d_σ(y):
    """The derivative of σ where σ is y."""
    return y * (1 - y)


def rnn_tanh(x, u, h, c, d_h_t, d_c_t):
    h_t = tanh(x + u)
    d_a = d_h_t * d_tanh(h_t)
    return d_a, d_a, None, None


def rnn_relu(x, u, h, c, d_h_t, d_c_t):
    # The documentation does not say what relu's derivative is at 0. Ruling: 0, as PyTorch computes it.
    d_a = np.where(x + u > 0, d_h_t, 0.0)
    return d_a, d_a, None, None


def lstm(x, u, h, c, d_h_t, d_c_t):
    a_i, a_f, a_g, a_o = blocks(x + u, 4)
    i_t = σ(a_i)
    f_t = σ(a_f)
    g_t = tanh(a_g)
    o_t = σ(a_o)
    tanh_c_t = tanh(f_t * c + i_t * g_t)
    d_c_t = d_c_t + d_h_t * o_t * d_tanh(tanh_c_t)
    d_i = d_c_t * g_t * d_σ(i_t)
    d_f = d_c_t * c * d_σ(f_t)
    d_g = d_c_t * i_t * d_tanh(g_t)
    d_o = d_h_t * tanh_c_t * d_σ(o_t)
    d_a = _joined(d_i, d_f, d_g, d_o)
    return d_a, d_a, None, d_c_t * f_t


def gru(x, u, h, c, d_h_t, d_c_t):
    (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    n_t = tanh(x_n + r_t * u_n)
    # (1 - z) n + z h is also n + z (h - n), whose gradient for n is this difference. Where z is near 1 it errs
    # by the rounding of d_h_t, not of what is left, as those who compute h_t so may: d_h_t * (1 - z_t) would not.
    d_n = (d_h_t - d_h_t * z_t) * d_tanh(n_t)
    d_z = d_h_t * (h - n_t) * d_σ(z_t)
    d_r = d_n * u_n * d_σ(r_t)
    return _joined(d_r, d_z, d_n), _joined(d_r, d_z, d_n * r_t), d_h_t * z_t, None


COTANGENTS = {"rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu, "lstm": lstm, "gru": gru}


def gradients(
    config: LayerConfig,
    parameters: Mapping[str, np.ndarray],
    x: np.ndarray,
    h_0: np.ndarray | None = None,
    c_0: np.ndarray | None = None,
    lengths: Sequence[int] | None = None,
    d_output: np.ndarray | None = None,
    d_h_n: np.ndarray | None = None,
    d_c_n: np.ndarray | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The gradient of sum(d_output * output) + sum(d_h_n * h_n) + sum(d_c_n * c_n).

    The other arguments are those of ``reference.forward``. d_output, d_h_n and d_c_n have the shapes of
    its results, None for zeros; no d_c_n unless lstm. What d_output says past a sample's end is of no
    effect, as the output there is zero whatever the arguments.

    Returns float64 arrays under "x", under "h_0" and "c_0" if these were given, and under every
    parameter's name, in the arguments' shapes; x's is zero past a sample's end, and what lies there,
    NaN or not, is of no effect. Raises ValueError, naming the argument, for what does not fit.
    """
    config.validate()
    check_parameters(config, parameters)
    check_inputs(config, x, h_0, c_0, lengths, masks)
    check_cotangents(config, x, d_output, d_h_n, d_c_n)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    x, *states = (None if a is None else np.asarray(a, np.float64) for a in (x, h_0, c_0))
    cotangents = (None if a is None else np.asarray(a, np.float64) for a in (d_output, d_h_n, d_c_n))
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity may come in
        return evaluate_gradients(config, as64, x, *states, lengths, *cotangents, masks)


def check_cotangents(config, x, d_output=None, d_h_n=None, d_c_n=None) -> None:
    """Raise ValueError for cotangents that do not fit a valid configuration and valid x."""
    rows, width = config.directions * config.num_layers, config.directions * config.output_size
    N = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
    require(d_c_n is None or config.kind == "lstm", "d_c_n", f"None, as {config.kind} has no c_n", np.shape(d_c_n))
    for name, cotangent, expected in (
        ("d_output", d_output, (*x.shape[:-1], width)),
        ("d_h_n", d_h_n, (rows, *N, config.output_size)),
        ("d_c_n", d_c_n, (rows, *N, config.hidden_size)),
    ):
        if cotangent is not None:
            _check_array(name, cotangent, config.dtype)
            require(cotangent.shape == expected, name, f"shape {expected}", cotangent.shape)


# What follows evaluates on anything that behaves as a float64 array: reference.precision sends
# disturbed arrays through the very same lines.


def evaluate_gradients(
    config, parameters, x, h_0=None, c_0=None, lengths=None, d_output=None, d_h_n=None, d_c_n=None, masks=None
):
    """``gradients`` without the checks."""
    given = [name for name, state in (("h_0", h_0), ("c_0", c_0)) if state is not None]
    unbatched = len(x.shape) == 2
    if unbatched:
        arrays = x, h_0, c_0, d_output, d_h_n, d_c_n
        x, h_0, c_0, d_output, d_h_n, d_c_n = (None if a is None else a[:, None] for a in arrays)
    elif config.batch_first:
        x, d_output = (None if a is None else np.swapaxes(a, 0, 1) for a in (x, d_output))
    T, N = x.shape[:2]
    D, L, H, O = config.directions, config.num_layers, config.hidden_size, config.output_size
    h_0, d_h_n = (np.zeros((D * L, N, O)) if a is None else a for a in (h_0, d_h_n))
    c_0, d_c_n = (np.zeros((D * L, N, H)) if a is None else a for a in (c_0, d_c_n))
    d_output = np.zeros((T, N, D * O)) if d_output is None else d_output
    # running[t] marks the samples that still run at step t; None where all of them always do.
    running = None if lengths is None else np.arange(T)[:, None, None] < np.asarray(lengths)[:, None]
    suffixes = [parameter_suffix(*at) for at in layer_directions(config)]  # a row of h_0 each
    weights = [_weights(parameters, suffix) for suffix in suffixes]

    ways = []
    x = _while_running(x, running)
    for layer in range(L):
        for direction in range(D):
            row = layer * D + direction
            ways.append(_forth(config.kind, weights[row], x, h_0[row], c_0[row], running, reverse=direction == 1))
        x = _joined(*(way.output for way in ways[-D:]))
        if masks is not None and layer < L - 1:
            x = _dropped(x, masks[layer], config.dropout)

    d_parameters, d_h_0, d_c_0 = {}, [None] * (D * L), [None] * (D * L)
    d_x = _while_running(d_output, running)
    for layer in reversed(range(L)):
        if masks is not None and layer < L - 1:
            d_x = _dropped(d_x, masks[layer], config.dropout)  # a linear map, and its own transpose
        d_inputs = []
        for direction, d_output in enumerate(blocks(d_x, D)):
            row = layer * D + direction
            d_ends = d_output, d_h_n[row], d_c_n[row]
            d_starts, d_weights = _back(config.kind, weights[row], ways[row], *d_ends, running, reverse=direction == 1)
            d_input, d_h_0[row], d_c_0[row] = d_starts
            d_inputs.append(d_input)
            d_parameters |= {name + suffixes[row]: d for name, d in d_weights.items()}
        d_x = d_inputs[0] + d_inputs[1] if D == 2 else d_inputs[0]

    d = {"x": d_x, "h_0": np.stack(d_h_0), "c_0": np.stack(d_c_0)}
    d = {name: d[name] for name in ("x", *given)}
    if unbatched:
        d = {name: a[:, 0] for name, a in d.items()}
    elif config.batch_first:
        d["x"] = np.swapaxes(d["x"], 0, 1)
    return d | {name: d_parameters[name] for name in parameter_shapes(config)}


class _Way(NamedTuple):
    """What one layer's one direction met: inputs (T, N, I), output (T, N, O), and one a step what is in between."""

    inputs: np.ndarray
    output: np.ndarray
    x: Sequence[np.ndarray]
    u: Sequence[np.ndarray]
    h: Sequence[np.ndarray]
    c: Sequence[np.ndarray]
    h_t: Sequence[np.ndarray]


def _forth(kind, weights, inputs, h, c, running, reverse):
    """The forward pass of one direction, with a record of the way."""
    record = [None] * inputs.shape[0]
    output, _, _ = _direction(kind, weights, inputs, h, c, running, reverse, record)
    return _Way(inputs, output, *zip(*record, strict=True))


def _back(kind, weights, way, d_output, d_h, d_c, running, reverse):
    """From the cotangents of one direction's output and last h and c to those of its inputs, first h and c.

    Returns these three and, by name, the parameters'. A sample that does not run hands its states'
    cotangents on as they are.
    """
    W_ih, W_hh, b_ih, _, W_hr = weights
    cotangents = COTANGENTS[kind]
    T, N, I = way.inputs.shape
    d_x, d_u, d_out = [None] * T, [None] * T, [None] * T
    for t in range(T) if reverse else reversed(range(T)):
        d_out[t] = d_output[t] + d_h
        d_h_t = d_out[t] if W_hr is None else d_out[t] @ W_hr.T
        d_x[t], d_u[t], d_h_direct, d_c_direct = cotangents(way.x[t], way.u[t], way.h[t], way.c[t], d_h_t, d_c)
        d_h_before = d_u[t] @ W_hh.T if d_h_direct is None else d_u[t] @ W_hh.T + d_h_direct
        d_c_before = d_c if d_c_direct is None else d_c_direct
        if running is None:
            d_h, d_c = d_h_before, d_c_before
        else:
            d_h = np.where(running[t], d_h_before, d_h)
            d_c = np.where(running[t], d_c_before, d_c)

    sum_of_x_and_u = d_u[0] is d_x[0]  # all that the equation takes of the two, except in gru
    d_x = _rows(_while_running(np.stack(d_x), running))
    d_u = d_x if sum_of_x_and_u else _rows(_while_running(np.stack(d_u), running))
    d_weights = {"weight_ih": d_x.T @ _rows(way.inputs), "weight_hh": d_u.T @ _rows(np.stack(way.h))}
    if b_ih is not None:
        d_weights |= {"bias_ih": np.sum(d_x, axis=0), "bias_hh": np.sum(d_u, axis=0)}
    if W_hr is not None:
        d_out = _rows(_while_running(np.stack(d_out), running))
        d_weights["weight_hr"] = d_out.T @ _rows(np.stack(way.h_t))
    d_input = _while_running(np.reshape(d_x @ W_ih.T, (T, N, I)), running)
    return (d_input, d_h, d_c), d_weights


def _while_running(a, running):
    """a (T, N, size), zero past each sample's end whatever is there."""
    return a if running is None else np.where(running, a, 0.0)


def _joined(*parts):
    """The inverse of ``blocks``."""
    return np.concatenate(parts, axis=-1)
