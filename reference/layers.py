"""Layers and cells: time, direction, stacking, lengths and batch layout, written once for every kind.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers, D directions, O = P with a
projection, otherwise H. All arithmetic is in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from reference.cells import Array
from reference.config import CellConfig, LayerConfig, is_integer, numpy_dtype, require
from reference.dialects import equation_of
from reference.parameters import check_parameters, parameter_suffix

Weights: TypeAlias = tuple[Array, Array, Array | None, Array | None, Array | None]
"""One direction's W_ih (I, G*H), W_hh (O, G*H), b_ih and b_hh (G*H), W_hr (H, P); the last three may be None."""


class Result(NamedTuple):
    """A layer's results: output (T, N, D*O), h_n (D*L, N, O), and for lstm c_n (D*L, N, H).

    With batch_first output is (N, T, D*O). For unbatched input all three lack N.
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
    *,
    mask: np.ndarray | None = None,
    reverse: bool = False,
) -> Result:
    """Evaluate a layer as documented.

    x is (T, N, I), or (N, T, I) with batch_first, or (T, I) unbatched. h_0 (D*L, N, O) and c_0 (D*L, N, H), without N
    if unbatched, are zeros if None; lstm takes both or neither. ``lengths`` holds N integers from 1 to T in any order:
    sample n ends after lengths[n] steps, as in a PackedSequence, and the output past its end is zero. ``masks`` holds
    one boolean array (T, N, D*O), in every layout, for each layer but the last: dropout keeps the outputs where it is
    True and scales them by 1/(1 - dropout). Without masks nothing is dropped.

    ``mask`` holds booleans (T, N), or (N, T) with batch_first, or (T) unbatched: a step where it is False is left out.
    The state stays as it was, and the output there is zero. ``reverse``: a layer of one direction goes from the last
    step to the first, in every layer of a stack; the output at a step stays at that step.

    Returns a Result of float64 arrays. Raises ValueError, naming the argument, if the documentation does not allow it.

    Source: torch.nn.RNN, LSTM, GRU, "Inputs" and "Outputs"; of mask Keras's "mask", of reverse ONNX's "direction".
    """
    require(isinstance(config, LayerConfig), "config", "a LayerConfig", type(config).__name__)
    config.validate()
    check_parameters(config, parameters)
    check_inputs(config, x, h_0, c_0, lengths, masks)
    check_mask(config, x, lengths, mask)
    require(not (reverse and config.bidirectional), "reverse", "one direction", "bidirectional=True")
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    h, c = (None if s is None else np.asarray(s, np.float64) for s in (h_0, c_0))
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity may lie in the padding
        return evaluate(config, as64, np.asarray(x, np.float64), h, c, lengths, masks, mask=mask, reverse=reverse)


def step(
    config: CellConfig,
    parameters: Mapping[str, np.ndarray],
    x: np.ndarray,
    h: np.ndarray | None = None,
    c: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Evaluate a cell as documented.

    x is (N, I) or (I); h and c, (N, H) or (H), are zeros if None; lstm takes both or neither.

    Returns (h', c') in float64; c' is None unless lstm. Raises ValueError, naming the argument, if the documentation
    does not allow it.

    Source: torch.nn.RNNCell, LSTMCell, GRUCell, "Inputs" and "Outputs".
    """
    require(isinstance(config, CellConfig), "config", "a CellConfig", type(config).__name__)
    config.validate()
    check_parameters(config, parameters)
    check_cell_inputs(config, x, h, c)
    as64 = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    h, c = (None if s is None else np.asarray(s, np.float64) for s in (h, c))
    return evaluate_cell(config, as64, np.asarray(x, np.float64), h, c)


def last_of(config: LayerConfig, result: Result) -> Result:
    """Return a layer's result with the last output of each direction alone: (N, D*O), or (D*O) unbatched.

    Source: Keras, "return_sequences" and Bidirectional.
    """
    ends = [result.h_n[row] for row in range(-config.directions, 0)]
    return result._replace(output=np.concatenate(ends, axis=-1))


# The functions below also evaluate disturbed arrays (reference.precision), which behave as float64 arrays.


def evaluate(
    config: LayerConfig,
    parameters: Mapping[str, Array],
    x: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Sequence[int] | None = None,
    masks: Sequence[np.ndarray] | None = None,
    *,
    mask: np.ndarray | None = None,
    reverse: bool = False,
) -> Result:
    """Compute ``forward`` without its checks."""
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
    # running[t] marks the samples that run at step t; None if every sample runs at every step.
    running = None if lengths is None else np.arange(T)[:, None, None] < np.asarray(lengths)[:, None]
    if mask is not None:
        running = (mask[:, None] if unbatched else mask.T if config.batch_first else mask)[..., None]

    h_ends: list[Array] = []
    c_ends: list[Array] = []
    for layer in range(L):
        outputs: list[Array] = []
        for direction in range(D):
            row = layer * D + direction
            weights = _weights(parameters, parameter_suffix(layer, direction))
            backwards = reverse or direction == 1
            output, h, c = _direction(config.kind, weights, x, h_0[row], c_0[row], running, reverse=backwards)
            outputs.append(output)
            h_ends.append(h)
            c_ends.append(c)
        x = np.concatenate(outputs, axis=-1) if D == 2 else outputs[0]
        if masks is not None and layer < L - 1:
            x = _dropped(x, masks[layer], config.dropout)

    h_n = np.stack(h_ends)
    c_n = np.stack(c_ends) if config.kind == "lstm" else None
    if unbatched:
        return Result(x[:, 0], h_n[:, 0], None if c_n is None else c_n[:, 0])
    return Result(np.swapaxes(x, 0, 1) if config.batch_first else x, h_n, c_n)


def _direction(
    kind: str,
    weights: Weights,
    inputs: Array,
    h: Array,
    c: Array | None,
    running: np.ndarray | None,
    reverse: bool,
    record: list[Any] | None = None,
) -> tuple[Array, Array, Array | None]:
    """Evaluate one direction of one layer over inputs (T, N, I): output (T, N, O), and h, c after its last step.

    A sample that does not run keeps its state. In the reverse direction, from step T-1 down, it therefore keeps its
    first state until its own end. ``record[t]`` receives step t's x, u, h and c, and h_t before any projection.
    """
    W_ih, W_hh, b_ih, b_hh, W_hr = weights
    equations = equation_of(kind, W_hh, b_hh)
    T, N = inputs.shape[:2]
    x = np.reshape(_rows(inputs) @ W_ih, (T, N, W_ih.shape[-1]))  # of all steps at once
    x = x if b_ih is None else x + b_ih
    output: list[Array] = [None] * T
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


def _rows(a: Array) -> Array:
    """Reshape (T, N, size) to (T*N, size)."""
    return np.reshape(a, (a.shape[0] * a.shape[1], a.shape[2]))


def _weights(parameters: Mapping[str, Array], suffix: str) -> Weights:
    """Return one direction's weight_ih, weight_hh, bias_ih, bias_hh, weight_hr: weights transposed, None if absent."""
    W_ih, W_hh = (parameters[f"weight_{name}{suffix}"] for name in ("ih", "hh"))
    b_ih, b_hh, W_hr = (parameters.get(f"{name}{suffix}") for name in ("bias_ih", "bias_hh", "weight_hr"))
    return W_ih.T, W_hh.T, b_ih, b_hh, None if W_hr is None else W_hr.T


def _dropped(x: Array, mask: np.ndarray, probability: float) -> Array:
    kept = np.asarray(mask, bool)
    return np.where(kept, x / (1 - probability) if probability < 1 else x, 0.0)


def evaluate_cell(
    config: CellConfig,
    parameters: Mapping[str, Array],
    x: Array,
    h: Array | None = None,
    c: Array | None = None,
) -> tuple[Array, Array | None]:
    """Compute ``step`` without its checks."""
    W_ih, W_hh, b_ih, b_hh, _ = _weights(parameters, "")
    zeros = np.zeros((*x.shape[:-1], config.hidden_size))
    h = zeros if h is None else h
    c = zeros if c is None else c
    x = x @ W_ih if b_ih is None else x @ W_ih + b_ih
    u = h @ W_hh if b_hh is None else h @ W_hh + b_hh
    return equation_of(config.kind, W_hh, b_hh)(x, u, h, c)


def check_inputs(
    config: LayerConfig,
    x: np.ndarray,
    h_0: np.ndarray | None = None,
    c_0: np.ndarray | None = None,
    lengths: Sequence[int] | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> None:
    """Raise ValueError, naming the argument, if arguments of ``forward`` do not fit a valid configuration.

    Source: torch.nn.RNN, LSTM, GRU, "Inputs".
    """
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


def check_mask(
    config: LayerConfig, x: np.ndarray, lengths: Sequence[int] | None = None, mask: np.ndarray | None = None
) -> None:
    """Raise ValueError if the argument ``mask`` of ``forward`` does not fit a valid configuration and valid x."""
    if mask is None:
        return
    require(lengths is None, "lengths", "None beside a mask", lengths)
    came = mask.dtype.name if isinstance(mask, np.ndarray) else type(mask).__name__
    require(came == "bool", "mask", "an array of dtype bool", came)
    require(mask.shape == x.shape[:-1], "mask", f"shape {x.shape[:-1]}, a boolean for each step", mask.shape)


def check_cell_inputs(
    config: CellConfig, x: np.ndarray, h: np.ndarray | None = None, c: np.ndarray | None = None
) -> None:
    """Raise ValueError, naming the argument, if arguments of ``step`` do not fit a valid configuration.

    Source: torch.nn.RNNCell, LSTMCell, GRUCell, "Inputs".
    """
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


def _check_array(name: str, value: np.ndarray, dtype: str) -> None:
    require(isinstance(value, np.ndarray), name, "a NumPy array", type(value).__name__)
    require(value.dtype == numpy_dtype(dtype), name, f"dtype {dtype}", str(value.dtype))


def _shape(value: np.ndarray | None) -> tuple[int, ...] | None:
    return None if value is None else np.shape(value)


def _check_mask(mask: np.ndarray, expected: tuple[int, ...], dropout: float) -> None:
    came = mask.dtype.name if isinstance(mask, np.ndarray) else type(mask).__name__
    require(came == "bool", "masks", "arrays of dtype bool", came)
    require(mask.shape == expected, "masks", f"shape {expected}", mask.shape)
    require(dropout > 0 or mask.all(), "masks", "nothing dropped, as dropout is 0", "a mask that drops")
    require(dropout < 1 or not mask.any(), "masks", "everything dropped, as dropout is 1", "a mask that keeps")


def _check_states(kind: str, hidden: tuple[str, np.ndarray | None], cell: tuple[str, np.ndarray | None]) -> None:
    (h_name, h), (c_name, c) = hidden, cell
    if kind == "lstm":
        both = (h is None) == (c is None)
        require(both, c_name if c is None else h_name, f"both {h_name} and {c_name} or neither", None)
    else:
        require(c is None, c_name, f"None, as {kind} has no cell state", _shape(c))


def _check_lengths(lengths: Sequence[int], T: int, N: int) -> None:
    several = isinstance(lengths, (list, tuple, np.ndarray)) and len(lengths) == N
    require(several, "lengths", f"{N} integers, one a sample", lengths)
    require(all(is_integer(n) for n in lengths), "lengths", "integers", lengths)
    require(all(1 <= n <= T for n in lengths), "lengths", f"integers from 1 to {T}, the number of steps", lengths)
