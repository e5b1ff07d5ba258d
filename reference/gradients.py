"""Gradients: the vector-Jacobian products of a layer, in the symbols of its equations.

d_y stands for the cotangent of y: the gradient of a scalar with respect to y. Each function in ``COTANGENTS`` is one
kind's step backwards. It takes the equation's arguments x, u, h and c (see reference.cells) and the cotangents d_h_t
and d_c_t of its results. It returns the cotangents of x and u, and of h and c as far as the equation names them itself,
otherwise None. The part of h that passes through u, and time, direction, stacking, lengths and batch layout, are
written once for every kind, as in reference.layers.

Source: the formulas at the head of torch.nn.RNN, LSTM and GRU, differentiated by the chain rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from reference.cells import Array, blocks, d_tanh, d_σ, tanh, σ
from reference.config import CellConfig, LayerConfig, require
from reference.dialects import backward_of, columns_of_h, reset_states
from reference.layers import (
    Weights,
    _check_array,
    _direction,
    _dropped,
    _rows,
    _shape,
    _weights,
    check_cell_inputs,
    check_inputs,
)
from reference.parameters import check_parameters, layer_directions, parameter_shapes, parameter_suffix

Cotangents: TypeAlias = tuple[Array, Array, Array | None, Array | None]
"""The cotangents of an equation's x, u, h and c."""


def rnn_tanh(x: Array, u: Array, h: Array, c: Array, d_h_t: Array, d_c_t: Array) -> Cotangents:
    h_t = tanh(x + u)
    d_a = d_h_t * d_tanh(h_t)
    return d_a, d_a, None, None


def rnn_relu(x: Array, u: Array, h: Array, c: Array, d_h_t: Array, d_c_t: Array) -> Cotangents:
    # The documentation does not say what relu's derivative is at 0. Ruling: 0, as PyTorch computes it.
    d_a = np.where(x + u > 0, d_h_t, 0.0)
    return d_a, d_a, None, None


def lstm(x: Array, u: Array, h: Array, c: Array, d_h_t: Array, d_c_t: Array) -> Cotangents:
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


def gru(x: Array, u: Array, h: Array, c: Array, d_h_t: Array, d_c_t: Array) -> Cotangents:
    (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    n_t = tanh(x_n + r_t * u_n)
    # (1 - z) n + z h is also n + z (h - n), whose gradient for n is this difference. Near z = 1 it errs by the rounding
    # of d_h_t, as implementations of n + z (h - n) may; d_h_t * (1 - z_t) would have a smaller error.
    d_n = (d_h_t - d_h_t * z_t) * d_tanh(n_t)
    d_z = d_h_t * (h - n_t) * d_σ(z_t)
    d_r = d_n * u_n * d_σ(r_t)
    return _joined(d_r, d_z, d_n), _joined(d_r, d_z, d_n * r_t), d_h_t * z_t, None


COTANGENTS: dict[str, Callable[[Array, Array, Array, Array, Array, Array], Cotangents]] = {
    "rnn_tanh": rnn_tanh,
    "rnn_relu": rnn_relu,
    "lstm": lstm,
    "gru": gru,
}
_PLAIN = dict(COTANGENTS)


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
    """Return the gradients of sum(d_output * output) + sum(d_h_n * h_n) + sum(d_c_n * c_n).

    d_output, d_h_n and d_c_n have the shapes of the results of ``reference.forward`` and are zeros if None; d_c_n is
    for lstm only. The other arguments are as in ``reference.forward``. The values of x and d_output past a sample's
    end, NaN or not, have no effect, as the output there is always zero.

    Returns float64 arrays in the shapes of the arguments: under "x" (zero past a sample's end), under "h_0" and "c_0"
    if they were passed, and under every parameter's name. Raises ValueError, naming the argument, if one does not fit.

    Source: the formulas of torch.nn.RNN, LSTM and GRU, differentiated.
    """
    config.validate()
    check_parameters(config, parameters)
    check_inputs(config, x, h_0, c_0, lengths, masks)
    check_cotangents(config, x, d_output, d_h_n, d_c_n)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    h, c, d_y, d_h, d_c = (None if a is None else np.asarray(a, np.float64) for a in (h_0, c_0, d_output, d_h_n, d_c_n))
    with np.errstate(invalid="ignore", over="ignore"):  # the arguments may hold NaN and infinity
        return evaluate_gradients(config, as64, np.asarray(x, np.float64), h, c, lengths, d_y, d_h, d_c, masks)


def cell_gradients(
    config: CellConfig,
    parameters: Mapping[str, np.ndarray],
    x: np.ndarray,
    h: np.ndarray | None = None,
    c: np.ndarray | None = None,
    d_h: np.ndarray | None = None,
    d_c: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the gradients of sum(d_h * h') + sum(d_c * c'), where h' and c' are the results of ``reference.step``.

    d_h and d_c have the shapes of these results and are zeros if None; d_c is for lstm only. Returns float64 arrays in
    the shapes of the arguments: under "x", under "h" and "c" if they were passed, and under every parameter's name.
    Raises ValueError, naming the argument, if one does not fit.

    Source: the formulas of torch.nn.RNNCell, LSTMCell and GRUCell, differentiated.
    """
    config.validate()
    check_parameters(config, parameters)
    check_cell_inputs(config, x, h, c)
    require(d_c is None or config.kind == "lstm", "d_c", f"None, as {config.kind} has no c'", _shape(d_c))
    for name, cotangent in (("d_h", d_h), ("d_c", d_c)):
        if cotangent is not None:
            _check_array(name, cotangent, config.dtype)
            expected = (*x.shape[:-1], config.hidden_size)
            require(cotangent.shape == expected, name, f"shape {expected}", cotangent.shape)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    given = (None if a is None else np.asarray(a, np.float64) for a in (x, h, c, d_h, d_c))
    with np.errstate(invalid="ignore", over="ignore"):  # the arguments may hold NaN and infinity
        return evaluate_cell_gradients(config, as64, *given)


def check_cotangents(
    config: LayerConfig,
    x: np.ndarray,
    d_output: np.ndarray | None = None,
    d_h_n: np.ndarray | None = None,
    d_c_n: np.ndarray | None = None,
) -> None:
    """Raise ValueError, naming the argument, if cotangents do not fit a valid configuration and valid x."""
    rows, width = config.directions * config.num_layers, config.directions * config.output_size
    N = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
    require(d_c_n is None or config.kind == "lstm", "d_c_n", f"None, as {config.kind} has no c_n", _shape(d_c_n))
    for name, cotangent, expected in (
        ("d_output", d_output, (*x.shape[:-1], width)),
        ("d_h_n", d_h_n, (rows, *N, config.output_size)),
        ("d_c_n", d_c_n, (rows, *N, config.hidden_size)),
    ):
        if cotangent is not None:
            _check_array(name, cotangent, config.dtype)
            require(cotangent.shape == expected, name, f"shape {expected}", cotangent.shape)


# The functions below also evaluate disturbed arrays (reference.precision), which behave as float64 arrays.


def evaluate_gradients(
    config: LayerConfig,
    parameters: Mapping[str, Array],
    x: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Sequence[int] | None = None,
    d_output: Array | None = None,
    d_h_n: Array | None = None,
    d_c_n: Array | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> dict[str, Array]:
    """Compute ``gradients`` without its checks."""
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
    # running[t] marks the samples that still run at step t; None if every sample runs to the last step.
    running = None if lengths is None else np.arange(T)[:, None, None] < np.asarray(lengths)[:, None]
    suffixes = [parameter_suffix(*at) for at in layer_directions(config)]  # a row of h_0 each
    weights = [_weights(parameters, suffix) for suffix in suffixes]

    ways: list[_Way] = []
    x = _while_running(x, running)
    for layer in range(L):
        for direction in range(D):
            row = layer * D + direction
            ways.append(_forth(config.kind, weights[row], x, h_0[row], c_0[row], running, reverse=direction == 1))
        x = _joined(*(way.output for way in ways[-D:]))
        if masks is not None and layer < L - 1:
            x = _dropped(x, masks[layer], config.dropout)

    d_parameters: dict[str, Array] = {}
    d_h_0: list[Array] = [None] * (D * L)
    d_c_0: list[Array] = [None] * (D * L)
    d_x = _while_running(d_output, running)
    for layer in reversed(range(L)):
        if masks is not None and layer < L - 1:
            d_x = _dropped(d_x, masks[layer], config.dropout)  # a linear map, and its own transpose
        d_inputs: list[Array] = []
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


def evaluate_cell_gradients(
    config: CellConfig,
    parameters: Mapping[str, Array],
    x: Array,
    h: Array | None = None,
    c: Array | None = None,
    d_h: Array | None = None,
    d_c: Array | None = None,
) -> dict[str, Array]:
    """Compute ``cell_gradients`` without its checks: those of a layer of one step."""
    layer = LayerConfig(config.kind, config.input_size, config.hidden_size, bias=config.bias, dtype=config.dtype)
    named = {name + parameter_suffix(0, 0): a for name, a in parameters.items()}
    x, h, c, d_h, d_c = (None if a is None else a[None] for a in (x, h, c, d_h, d_c))
    d = evaluate_gradients(layer, named, x, h, c, d_h_n=d_h, d_c_n=d_c)
    of_arguments = {name.removesuffix("_0"): d[name][0] for name in ("x", "h_0", "c_0") if name in d}
    return of_arguments | {name.removesuffix(parameter_suffix(0, 0)): d[name] for name in named}


class _Way(NamedTuple):
    """The arrays of one direction of one layer: inputs (T, N, I), output (T, N, O), and the values of every step."""

    inputs: Array
    output: Array
    x: Sequence[Array]
    u: Sequence[Array]
    h: Sequence[Array]
    c: Sequence[Array]
    h_t: Sequence[Array]


def _forth(
    kind: str, weights: Weights, inputs: Array, h: Array, c: Array, running: np.ndarray | None, reverse: bool
) -> _Way:
    """Evaluate one direction and record its steps."""
    record: list[Any] = [None] * inputs.shape[0]
    output, _, _ = _direction(kind, weights, inputs, h, c, running, reverse, record)
    return _Way(inputs, output, *zip(*record, strict=True))


def _back(
    kind: str,
    weights: Weights,
    way: _Way,
    d_output: Array,
    d_h: Array,
    d_c: Array,
    running: np.ndarray | None,
    reverse: bool,
) -> tuple[tuple[Array, Array, Array], dict[str, Array]]:
    """Differentiate one direction: take the cotangents of its output and of its last h and c.

    Returns the cotangents of its inputs, first h and first c, and a dict of the cotangents of its parameters. A sample
    that does not run passes on the cotangents of its states unchanged.
    """
    W_ih, W_hh, b_ih, b_hh, W_hr = weights
    cotangents = backward_of(kind, COTANGENTS[kind], COTANGENTS[kind] is _PLAIN[kind], W_hh, b_hh)
    of_h = columns_of_h(kind, W_hh)
    T, N, I = way.inputs.shape
    d_xs: list[Array] = [None] * T
    d_us: list[Array] = [None] * T
    d_outs: list[Array] = [None] * T
    for t in range(T) if reverse else reversed(range(T)):
        d_outs[t] = d_output[t] + d_h
        d_h_t = d_outs[t] if W_hr is None else d_outs[t] @ W_hr.T
        d_xs[t], d_us[t], d_h_direct, d_c_direct = cotangents(way.x[t], way.u[t], way.h[t], way.c[t], d_h_t, d_c)
        d_h_through = d_us[t] @ W_hh.T if of_h is None else d_us[t][..., :of_h] @ W_hh[:, :of_h].T
        d_h_before = d_h_through if d_h_direct is None else d_h_through + d_h_direct
        d_c_before = d_c if d_c_direct is None else d_c_direct
        if running is None:
            d_h, d_c = d_h_before, d_c_before
        else:
            d_h = np.where(running[t], d_h_before, d_h)
            d_c = np.where(running[t], d_c_before, d_c)

    sum_of_x_and_u = d_us[0] is d_xs[0]  # every equation but gru uses x and u in their sum only
    d_x = _rows(_while_running(np.stack(d_xs), running))
    d_u = d_x if sum_of_x_and_u else _rows(_while_running(np.stack(d_us), running))
    h = _rows(np.stack(way.h))
    d_W_ih, d_W_hh = d_x.T @ _rows(way.inputs), d_u.T @ h
    if of_h is not None:
        x, u = (_rows(np.stack(a)) for a in (way.x, way.u))
        d_W_hh = np.concatenate([d_u[:, :of_h].T @ h, d_u[:, of_h:].T @ reset_states(x, u, h)])
    d_weights = {"weight_ih": d_W_ih, "weight_hh": d_W_hh}
    if b_ih is not None:
        d_weights |= {"bias_ih": np.sum(d_x, axis=0), "bias_hh": np.sum(d_u, axis=0)}
    if W_hr is not None:
        d_out = _rows(_while_running(np.stack(d_outs), running))
        d_weights["weight_hr"] = d_out.T @ _rows(np.stack(way.h_t))
    d_input = _while_running(np.reshape(d_x @ W_ih.T, (T, N, I)), running)
    return (d_input, d_h, d_c), d_weights


def _while_running(a: Array, running: np.ndarray | None) -> Array:
    """Set a (T, N, size) to zero past each sample's end, even where it holds NaN."""
    return a if running is None else np.where(running, a, 0.0)


def _joined(*parts: Array) -> Array:
    """Invert ``blocks``."""
    return np.concatenate(parts, axis=-1)
