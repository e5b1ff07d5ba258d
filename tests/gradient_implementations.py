"""Wrong gradients, and a right one that rounds otherwise; ``tests.implementations`` has them under their names.

Each function takes the layer and the arguments of ``Layer.gradients`` by name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from unittest import mock

import numpy as np

import reference.gradients as module
from reference.gradients import COTANGENTS, evaluate_gradients
from tests.implementations import right, wrong

# lstm has all that gradients can be of; what else the oracle does is not at stake.
LSTM_ALONE = {"kinds": ("lstm",), "cells": False, "parameters": False}


def wrong_gradients(**parts):
    """Mark a function that returns wrong gradients. lstm's, if no kinds are given."""
    return _marked(wrong, LSTM_ALONE | parts)


def right_gradients(**parts):
    return _marked(right, parts)


def _marked(mark, parts):
    def marked(function: Callable):
        @wraps(function)
        def build():
            return {"gradients": function}

        return mark(**parts)(build)

    return marked


@right_gradients()
def gradients_in_float32(layer, arguments):
    """Every operation of the gradients in float32."""
    x, config = arguments["x"], layer.config
    batch = x.shape[:-1][0 if config.batch_first else 1 :][:1] if x.ndim == 3 else ()
    rows = (config.directions * config.num_layers, *batch)
    O, H = config.output_size, config.hidden_size
    shapes = {"h_0": (*rows, O), "c_0": (*rows, H), "d_h_n": (*rows, O), "d_c_n": (*rows, H)}
    shapes["d_output"] = (*x.shape[:-1], config.directions * O)
    zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if arguments[name] is None}
    d = evaluate_gradients(config, layer.given, **(arguments | zeros))
    assert all(a.dtype == np.float32 for a in d.values())
    return {name: a for name, a in d.items() if name not in ("h_0", "c_0") or arguments[name] is not None}


# --- parameters --------------------------------------------------------------------------------------


def each(d, prefix, change):
    """The gradients with those changed whose names start so."""
    return {name: change(a) if name.startswith(prefix) else a for name, a in d.items()}


@wrong_gradients()
def gradient_of_bias_hh_dropped(layer, arguments):
    """bias_hh gets no gradient."""
    return each(layer.backward(arguments), "bias_hh", np.zeros_like)


@wrong_gradients()
def gradients_of_biases_halved(layer, arguments):
    """The two biases share their gradient, half of it each."""
    return each(layer.backward(arguments), "bias", lambda a: a / np.float32(2))


@wrong_gradients()
def gradient_of_projection_transposed(layer, arguments):
    """The gradient of W_hr is that of its transpose, in W_hr's shape."""
    return each(layer.backward(arguments), "weight_hr", lambda a: a.T.reshape(a.shape))


@wrong_gradients()
def gradients_averaged_over_the_batch(layer, arguments):
    """The parameters' gradients are divided by the number of samples."""
    x = arguments["x"]
    N = np.float32(x.shape[0 if layer.config.batch_first else 1] if x.ndim == 3 else 1)
    return each(layer.backward(arguments), ("weight", "bias"), lambda a: a / N)


@wrong_gradients()
def gradients_accumulated(layer, arguments):
    """The parameters' gradients add up over calls."""
    d = layer.backward(arguments)
    for name in layer.given:
        layer.memory[name] = d[name] = d[name] + layer.memory.get(name, np.float32(0))
    return d


@wrong_gradients()
def gradients_descended(layer, arguments):
    """Each call for gradients takes a small step down them."""
    d = layer.backward(arguments)
    for name, value in layer._parameters.items():
        value -= np.float32(1e-2) * d[name]
    return d


@wrong_gradients()
def gradient_of_weight_hh_without_states(layer, arguments):
    """weight_hh gets no gradient where the states are omitted."""
    d = layer.backward(arguments)
    return each(d, "weight_hh", np.zeros_like) if arguments["h_0"] is None else d


@wrong_gradients()
def gradients_off_by_3e_5(layer, arguments):
    """Gradients are off by 3e-5 relative."""
    return each(layer.backward(arguments), "", lambda a: a * np.float32(1 + 3e-5))


# --- equations ---------------------------------------------------------------------------------------


def with_cotangents(**changed):
    """The oracle's gradients, some kinds' step backwards exchanged."""

    def gradients(layer, arguments):
        with mock.patch.dict(COTANGENTS, changed):
            return layer.backward(arguments)

    return gradients


_gru, _rnn_relu = COTANGENTS["gru"], COTANGENTS["rnn_relu"]


@wrong_gradients(kinds=("gru",))
def gradient_of_gru_without_reset(layer, arguments):
    """What goes back to W_hn h + b_hn lacks the factor r_t."""

    def gru(*terms):
        d_x, _, d_h, d_c = _gru(*terms)
        return d_x, d_x, d_h, d_c

    return with_cotangents(gru=gru)(layer, arguments)


@wrong_gradients(kinds=("gru",))
def gradient_of_gru_reset_is_none(layer, arguments):
    """r_t is taken for a constant."""

    def gru(*terms):
        d_x, d_u, d_h, d_c = _gru(*terms)
        H = d_h.shape[-1]
        d_x, d_u = (np.concatenate([np.zeros_like(a[..., :H]), a[..., H:]], axis=-1) for a in (d_x, d_u))
        return d_x, d_u, d_h, d_c

    return with_cotangents(gru=gru)(layer, arguments)


@wrong_gradients(kinds=("rnn_relu",))
def gradient_of_relu_at_zero(layer, arguments):
    """relu's derivative at 0 is 1."""

    def rnn_relu(x, u, h, c, d_h_t, d_c_t):
        d_a = np.where(x + u >= 0, d_h_t, 0.0)
        return d_a, d_a, None, None

    return with_cotangents(rnn_relu=rnn_relu)(layer, arguments)


# --- time --------------------------------------------------------------------------------------------


def cut_every(steps):
    """Gradients that go back through so many steps at most, in one direction and without lengths."""

    def gradients(layer, arguments):
        x, d_output = arguments["x"], arguments["d_output"]
        if layer.config.bidirectional or arguments["lengths"] is not None:
            return layer.backward(arguments)
        axis = 1 if layer.config.batch_first and x.ndim == 3 else 0
        states = {"h_0": arguments["h_0"], "c_0": arguments["c_0"]}
        found = []
        for start in range(0, x.shape[axis], steps):
            piece = (slice(None),) * axis + (slice(start, start + steps),)
            chunk = arguments | states | {"x": x[piece], "d_output": None if d_output is None else d_output[piece]}
            if start + steps < x.shape[axis]:
                chunk |= {"d_h_n": None, "d_c_n": None}
            result = layer.plain(chunk["x"], chunk["h_0"], chunk["c_0"])
            states = {"h_0": result.h_n, "c_0": result.c_n}
            found.append(layer.backward(chunk))
        d = {name: sum(chunk[name] for chunk in found) for name in layer.given}
        d["x"] = np.concatenate([chunk["x"] for chunk in found], axis)
        return d | {name: found[0][name] for name in states if arguments[name] is not None}

    return gradients


@wrong_gradients()
def gradients_cut_after_3_steps(layer, arguments):
    """Nothing goes back over a boundary of 3 steps."""
    return cut_every(3)(layer, arguments)


@wrong_gradients()
def gradients_cut_after_32_steps(layer, arguments):
    """Nothing goes back over a boundary of 32 steps."""
    return cut_every(32)(layer, arguments)


@wrong_gradients()
def cotangent_of_the_last_step_only(layer, arguments):
    """The cotangent of output counts in the last step alone."""
    d_output = arguments["d_output"]
    if d_output is not None:
        axis = 1 if layer.config.batch_first and d_output.ndim == 3 else 0
        d_output = np.moveaxis(d_output.copy(), axis, 0)
        d_output[:-1] = 0
        d_output = np.moveaxis(d_output, 0, axis)
    return layer.backward(arguments | {"d_output": d_output})


# --- states ------------------------------------------------------------------------------------------


@wrong_gradients()
def gradient_of_h_0_missing(layer, arguments):
    """The gradient of h_0 is zeros."""
    return each(layer.backward(arguments), "h_0", np.zeros_like)


@wrong_gradients()
def gradient_of_c_0_missing(layer, arguments):
    """The gradient of c_0 is zeros."""
    return each(layer.backward(arguments), "c_0", np.zeros_like)


@wrong_gradients()
def gradient_of_omitted_states(layer, arguments):
    """States that were omitted get gradients of zeros."""
    zeros = {name: np.zeros((1, 1), np.float32) for name in ("h_0", "c_0")}
    return zeros | layer.backward(arguments)


@wrong_gradients()
def cotangent_of_h_n_ignored(layer, arguments):
    """The cotangent of h_n is ignored."""
    return layer.backward(arguments | {"d_h_n": None})


@wrong_gradients()
def cotangent_of_c_n_ignored(layer, arguments):
    """The cotangent of c_n is ignored."""
    return layer.backward(arguments | {"d_c_n": None})


@wrong_gradients()
def cotangents_of_lower_layers_ignored(layer, arguments):
    """The cotangents of h_n and c_n count in the last layer alone."""
    ends = {name: None if arguments[name] is None else arguments[name].copy() for name in ("d_h_n", "d_c_n")}
    for d in ends.values():
        if d is not None:
            d[: -layer.config.directions] = 0
    return layer.backward(arguments | ends)


@wrong_gradients()
def cotangent_of_h_n_is_ones(layer, arguments):
    """Where no cotangent of h_n is given, it is ones."""
    if arguments["d_h_n"] is None:
        h_n = layer.plain(*(arguments[name] for name in ("x", "h_0", "c_0", "lengths"))).h_n
        arguments = arguments | {"d_h_n": np.ones_like(h_n)}
    return layer.backward(arguments)


# --- directions --------------------------------------------------------------------------------------


@wrong_gradients()
def cotangent_of_reverse_at_the_wrong_end(layer, arguments):
    """The last layer's reverse h_n is taken for the reverse output at the last step, not the first."""
    d_h_n, x, O = arguments["d_h_n"], arguments["x"], layer.config.output_size
    if d_h_n is None or not layer.config.bidirectional:
        return layer.backward(arguments)
    axis = 1 if layer.config.batch_first and x.ndim == 3 else 0
    d_output = arguments["d_output"]
    d_output = np.zeros((*x.shape[:-1], 2 * O), x.dtype) if d_output is None else d_output.copy()
    np.moveaxis(d_output, axis, 0)[-1, ..., O:] += d_h_n[-1]
    d_h_n = d_h_n.copy()
    d_h_n[-1] = 0
    return layer.backward(arguments | {"d_output": d_output, "d_h_n": d_h_n})


@wrong_gradients()
def gradient_of_x_from_forward_alone(layer, arguments):
    """In a single bidirectional layer the reverse direction adds nothing to the gradient of x."""
    d = layer.backward(arguments)
    if layer.config.directions == 1 or layer.config.num_layers > 1:
        return d
    halved = {name: a if a is None else a.copy() for name, a in arguments.items() if name.startswith("d_")}
    for name, cotangent in halved.items():
        if cotangent is not None and name == "d_output":
            cotangent[..., layer.config.output_size :] = 0
        elif cotangent is not None:
            cotangent[1] = 0
    return d | {"x": layer.backward(arguments | halved)["x"]}


# --- layouts and shapes ------------------------------------------------------------------------------


@wrong_gradients()
def gradients_in_float64(layer, arguments):
    """Gradients are float64 whatever the layer's dtype."""
    return each(layer.backward(arguments), "", lambda a: a.astype(np.float64))


@wrong_gradients()
def gradients_of_weights_transposed(layer, arguments):
    """The gradients of the weights are those of the matrices transposed."""
    return each(layer.backward(arguments), "weight", lambda a: a.T)


@wrong_gradients()
def gradient_of_x_time_first(layer, arguments):
    """The gradient of x is (T, N, I) under batch_first too."""
    d = layer.backward(arguments)
    return d | {"x": np.swapaxes(d["x"], 0, 1)} if layer.config.batch_first and d["x"].ndim == 3 else d


@wrong_gradients()
def gradients_of_unbatched_states_batched(layer, arguments):
    """Unbatched states get gradients with a batch of one."""
    return each(layer.backward(arguments), ("h_0", "c_0"), lambda a: a[:, None] if a.ndim == 2 else a)


@wrong_gradients()
def cotangent_written(layer, arguments):
    """The cotangent of output is negated in place after use."""
    d = layer.backward(arguments)
    if arguments["d_output"] is not None:
        np.negative(arguments["d_output"], out=arguments["d_output"])
    return d


# --- lengths -----------------------------------------------------------------------------------------


@wrong_gradients()
def gradients_ignore_lengths(layer, arguments):
    """Gradients are those of the whole sequences, whatever the lengths."""
    return layer.backward(arguments | {"lengths": None})


@wrong_gradients()
def gradient_into_the_padding(layer, arguments):
    """What lies past a sample's end is not kept out of the gradients."""
    with mock.patch.object(module, "_while_running", lambda a, running: a):
        return layer.backward(arguments)


@wrong_gradients()
def padding_of_cotangent_multiplied(layer, arguments):
    """The cotangent of output past a sample's end is multiplied by zero, not left out."""
    d = layer.backward(arguments)
    if arguments["d_output"] is None or arguments["lengths"] is None:
        return d
    with np.errstate(invalid="ignore"):
        leak = (arguments["d_output"] * np.float32(0)).sum()
    return each(d, "bias", lambda a: a + leak)
