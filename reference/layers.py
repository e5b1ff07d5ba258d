"""Layers and cells: time, direction, stacking, lengths and batch layout, written once for every kind.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers, D directions,
O = P where there is a projection, otherwise H. Everything is computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from reference.cells import EQUATIONS
from reference.config import CellConfig, LayerConfig, is_integer, numpy_dtype, require
from reference.parameters import check_parameters, parameter_suffix


class Result(NamedTuple):
    """What a layer returns: output (T, N, D*O), h_n (D*L, N, O), and for lstm c_n (D*L, N, H).

    output is (N, T, D*O) under batch_first; unbatched, all three lack N.
    """

    output: np.ndarray
    h_n: np.ndarray
    c_n: np.ndarray | None = None


def forward(
    config: LayerConfig,
    parameters: Mapping[str, np.ndarray],
    x: np.ndarray,
    h_0: np.ndarray | None = None,
    c_0: np.ndarray | None = None,
    lengths: Sequence[int] | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> Result:
    """Evaluate a layer as documented.

    x is (T, N, I), or (N, T, I) under batch_first, or (T, I) unbatched; h_0 (D*L, N, O) and c_0
    (D*L, N, H), without N when unbatched, None for zeros; lstm takes both or neither. ``lengths``, N
    integers in 1..T in any order: sample n ends after lengths[n] steps, as in a PackedSequence; the
    output past the end is zero. ``masks``, one per layer but the last, boolean (T, N, D*O) in every
    layout: which outputs dropout keeps; what is kept is scaled by 1/(1 - dropout). No masks, no dropout.

    Returns a Result of float64 arrays. Raises ValueError, naming the argument, for what the
    documentation does not allow.

    Source: torch.nn.RNN, LSTM, GRU, "Inputs" and "Outputs".
    """
    require(isinstance(config, LayerConfig), "config", "a LayerConfig", type(config).__name__)
    config.validate()
    check_parameters(config, parameters)
    check_inputs(config, x, h_0, c_0, lengths, masks)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    states = [None if s is None else np.asarray(s, np.float64) for s in (h_0, c_0)]
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity may lie in the padding
        return evaluate(config, as64, np.asarray(x, np.float64), *states, lengths, masks)


def step(
    config: CellConfig,
    parameters: Mapping[str, np.ndarray],
    x: np.ndarray,
    h: np.ndarray | None = None,
    c: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Evaluate a cell as documented: (h', c'), c' None unless lstm; float64.

    x is (N, I) or (I), h and c (N, H) or (H), None for zeros; LSTMCell takes both or neither.
    Raises ValueError, naming the argument, for what the documentation does not allow.

    Source: torch.nn.RNNCell, LSTMCell, GRUCell, "Inputs" and "Outputs".
    """
    require(isinstance(config, CellConfig), "config", "a CellConfig", type(config).__name__)
    config.validate()
    check_parameters(config, parameters)
    check_cell_inputs(config, x, h, c)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    states = [None if s is None else np.asarray(s, np.float64) for s in (h, c)]
    return evaluate_cell(config, as64, np.asarray(x, np.float64), *states)


# What follows evaluates on anything that behaves as a float64 array: reference.precision sends
# disturbed arrays through the very same lines.


def evaluate(config, parameters, x, h_0=None, c_0=None, lengths=None, masks=None) -> Result:
    """``forward`` without the checks."""
    unbatched = len(x.shape) == 2
    if unbatched:
        x = x[:, None]
        h_0, c_0 = (None if s is None else s[:, None] for s in (h_0, c_0))
    elif config.batch_first:
        x = np.swapaxes(x, 0, 1)
    T, N = x.shape[:2]
    D, L, H = config.directions, config.num_layers, config.hidden_size
    if h_0 is None:
        h_0 = np.zeros((D * L, N, config.output_size))
    if c_0 is None:
        c_0 = np.zeros((D * L, N, H))
    # running[t] marks the samples that still run at step t; None where all of them always do.
    running = None if lengths is None else np.arange(T)[:, None, None] < np.asarray(lengths)[:, None]

    h_n, c_n = [], []
    for layer in range(L):
        outputs = []
        for direction in range(D):
            row = layer * D + direction
            weights = _weights(parameters, parameter_suffix(layer, direction))
            output, h, c = _direction(config.kind, weights, x, h_0[row], c_0[row], running, reverse=direction == 1)
            outputs.append(output)
            h_n.append(h)
            c_n.append(c)
        x = np.concatenate(outputs, axis=-1) if D == 2 else outputs[0]
        if masks is not None and layer < L - 1:
            x = _dropped(x, masks[layer], config.dropout)

    h_n = np.stack(h_n)
    c_n = np.stack(c_n) if config.kind == "lstm" else None
    if unbatched:
        return Result(x[:, 0], h_n[:, 0], None if c_n is None else c_n[:, 0])
    return Result(np.swapaxes(x, 0, 1) if config.batch_first else x, h_n, c_n)


def _direction(kind, weights, inputs, h, c, running, reverse, record=None):
    """One layer's one direction over inputs (T, N, I): output (T, N, O), and h, c after its last step.

    A sample that does not run keeps its state. Going backwards it does so from T-1 down to its own
    end, which is why the reverse direction starts there. ``record[t]`` is set to what step t met: the
    equations' x, u, h and c, and h_t before any projection.
    """
    W_ih, W_hh, b_ih, b_hh, W_hr = weights
    equations = EQUATIONS[kind]
    T, N = inputs.shape[:2]
    x = np.reshape(_rows(inputs) @ W_ih, (T, N, W_ih.shape[-1]))  # of all steps at once
    x = x if b_ih is None else x + b_ih
    output = [None] * T
    for t in reversed(range(T)) if reverse else range(T):
        u = h @ W_hh if b_hh is None else h @ W_hh + b_hh
        h_t, c_t = equations(x[t], u, h, c)
        if record is not None:
            record[t] = x[t], u, h, c, h_t
        if W_hr is not None:
            h_t = h_t @ W_hr
        if running is None:
            output[t], h, c = h_t, h_t, c_t
        else:
            output[t] = np.where(running[t], h_t, 0.0)
            h = np.where(running[t], h_t, h)
            c = None if c_t is None else np.where(running[t], c_t, c)
    return np.stack(output), h, c


def _rows(a):
    """a (T, N, size) as (T*N, size)."""
    return np.reshape(a, (a.shape[0] * a.shape[1], a.shape[2]))


def _weights(parameters, suffix):
    """weight_ih, weight_hh, bias_ih, bias_hh, weight_hr of one direction, weights transposed, None if absent."""
    W_ih, W_hh, W_hr = (parameters.get(f"weight_{name}{suffix}") for name in ("ih", "hh", "hr"))
    b_ih, b_hh = (parameters.get(f"bias_{name}{suffix}") for name in ("ih", "hh"))
    return W_ih.T, W_hh.T, b_ih, b_hh, None if W_hr is None else W_hr.T


def _dropped(x, mask, probability):
    kept = np.asarray(mask, bool)
    return np.where(kept, x / (1 - probability) if probability < 1 else x, 0.0)


def evaluate_cell(config, parameters, x, h=None, c=None):
    """``step`` without the checks."""
    W_ih, W_hh, b_ih, b_hh, _ = _weights(parameters, "")
    zeros = np.zeros((*x.shape[:-1], config.hidden_size))
    h = zeros if h is None else h
    c = zeros if c is None else c
    x = x @ W_ih if b_ih is None else x @ W_ih + b_ih
    u = h @ W_hh if b_hh is None else h @ W_hh + b_hh
    return EQUATIONS[config.kind](x, u, h, c)


def check_inputs(config, x, h_0=None, c_0=None, lengths=None, masks=None) -> None:
    """Raise ValueError for arguments of ``forward`` that do not fit a valid configuration."""
    batch = "N, T" if config.batch_first else "T, N"
    _check_array("x", x, config.dtype)
    require(x.ndim in (2, 3), "x", f"({batch}, I) or (T, I)", x.shape)
    require(x.shape[-1] == config.input_size, "x", f"{config.input_size} features (input_size)", x.shape)
    unbatched = x.ndim == 2
    T, N = (x.shape[0], 1) if unbatched else (x.shape[1], x.shape[0]) if config.batch_first else x.shape[:2]
    require(T > 0, "x", "at least one step", x.shape)
    require(N > 0, "x", "at least one sample", x.shape)
    rows = config.directions * config.num_layers
    for name, state, size in (("h_0", h_0, config.output_size), ("c_0", c_0, config.hidden_size)):
        if state is not None:
            _check_array(name, state, config.dtype)
            expected = (rows, size) if unbatched else (rows, N, size)
            require(state.shape == expected, name, f"shape {expected}", state.shape)
    _check_states(config.kind, ("h_0", h_0), ("c_0", c_0))
    if lengths is not None:
        require(not unbatched, "lengths", "None for unbatched input", lengths)
        _check_lengths(lengths, T, N)
    if masks is not None:
        expected = (T, N, config.directions * config.output_size)
        require(isinstance(masks, (list, tuple)), "masks", "a list of arrays", type(masks).__name__)
        require(len(masks) == config.num_layers - 1, "masks", f"{config.num_layers - 1} masks", len(masks))
        for mask in masks:
            _check_mask(mask, expected, config.dropout)


def check_cell_inputs(config, x, h=None, c=None) -> None:
    """Raise ValueError for arguments of ``step`` that do not fit a valid configuration."""
    _check_array("x", x, config.dtype)
    require(x.ndim in (1, 2), "x", "(N, I) or (I)", x.shape)
    require(x.shape[-1] == config.input_size, "x", f"{config.input_size} features (input_size)", x.shape)
    require(x.ndim == 1 or len(x) > 0, "x", "at least one sample", x.shape)
    expected = (*x.shape[:-1], config.hidden_size)
    for name, state in (("h", h), ("c", c)):
        if state is not None:
            _check_array(name, state, config.dtype)
            require(state.shape == expected, name, f"shape {expected}", state.shape)
    _check_states(config.kind, ("h", h), ("c", c))


def _check_array(name, value, dtype) -> None:
    require(isinstance(value, np.ndarray), name, "a NumPy array", type(value).__name__)
    require(value.dtype == numpy_dtype(dtype), name, f"dtype {dtype}", str(value.dtype))


def _check_mask(mask, expected, dropout) -> None:
    came = mask.dtype.name if isinstance(mask, np.ndarray) else type(mask).__name__
    require(came == "bool", "masks", "arrays of dtype bool", came)
    require(mask.shape == expected, "masks", f"shape {expected}", mask.shape)
    require(dropout > 0 or mask.all(), "masks", "nothing dropped, as dropout is 0", "a mask that drops")
    require(dropout < 1 or not mask.any(), "masks", "everything dropped, as dropout is 1", "a mask that keeps")


def _check_states(kind, hidden, cell) -> None:
    (h_name, h), (c_name, c) = hidden, cell
    if kind == "lstm":
        both = (h is None) == (c is None)
        require(both, c_name if c is None else h_name, f"both {h_name} and {c_name} or neither", None)
    else:
        require(c is None, c_name, f"None, as {kind} has no cell state", np.shape(c))


def _check_lengths(lengths, T, N) -> None:
    several = isinstance(lengths, (list, tuple, np.ndarray)) and len(lengths) == N
    require(several, "lengths", f"{N} integers, one a sample", lengths)
    require(all(is_integer(n) for n in lengths), "lengths", "integers", lengths)
    require(all(1 <= n <= T for n in lengths), "lengths", f"integers from 1 to {T}, the number of steps", lengths)
