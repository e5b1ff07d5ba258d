"""Faults of the gradients of a right forward pass.

Each function takes the layer and the arguments of ``Layer.gradients`` by name; ``layer.backward`` computes the right
gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np

import reference.gradients as module
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.gradients import COTANGENTS

FAULTS: list[Fault] = []


def marking(faults: list[Fault]) -> Callable:
    """Return the decorator that adds functions that compute wrong gradients to ``faults``."""
    family = Family(faults, "gradients", features={"gradients"})

    def gradient(requirement: str, explanation: str, who: str, **more) -> Callable:
        def mark(function):
            name = function.__name__.replace("_", "-")
            family.add(name, requirement, explanation, who, lambda: {"gradients": function}, **more)
            return function

        return mark

    return gradient


gradient = marking(FAULTS)


# --- parameters --------------------------------------------------------------------------------------


def each(d, prefix, change):
    """Apply ``change`` to the gradients whose names begin with ``prefix``."""
    return {name: change(a) if name.startswith(prefix) else a for name, a in d.items()}


@gradient(
    "GRADIENT-BIAS-HH",
    "gradients of which that of bias_hh is zero",
    "a library with one bias a gate, whose gradient is handed to one of the two",
)
def gradient_of_bias_hh_dropped(layer, arguments):
    return each(layer.backward(arguments), "bias_hh", np.zeros_like)


@gradient(
    "GRADIENT-BIAS-IH",
    "gradients of the biases that are half of what they are, each",
    "one gradient for the sum of the two biases, divided between them",
)
def gradients_of_biases_halved(layer, arguments):
    return each(layer.backward(arguments), "bias", lambda a: a / np.float32(2))


@gradient(
    "GRADIENT-WEIGHT-HR",
    "a gradient of W_hr that is its transpose's, in W_hr's shape",
    "a library that stores (in, out), its gradient reshaped, not transposed",
    kinds="lstm",
    features={"gradients", "projection"},
)
def gradient_of_projection_transposed(layer, arguments):
    return each(layer.backward(arguments), "weight_hr", lambda a: a.T.reshape(a.shape))


@gradient(
    "GRADIENT-BATCH-SUM",
    "gradients of the parameters divided by the number of samples",
    "a mean over the batch where the vector-Jacobian product is a sum",
)
def gradients_averaged_over_the_batch(layer, arguments):
    x = arguments["x"]
    N = np.float32(x.shape[0 if layer.config.batch_first else 1] if x.ndim == 3 else 1)
    return each(layer.backward(arguments), ("weight", "bias"), lambda a: a / N)


@gradient(
    "GRADIENT-REPEATED-CALL",
    "gradients of the parameters that add up over calls",
    "the habit of autograd's .grad, not cleared between calls",
    numeric=False,
)
def gradients_accumulated(layer, arguments):
    d = layer.backward(arguments)
    for name in layer.given:
        layer.memory[name] = d[name] = d[name] + layer.memory.get(name, np.float32(0))
    return d


@gradient(
    "GRADIENT-FORWARD-AFTER",
    "gradients of a layer that takes a small step down them at each call",
    "an optimizer's step left in the function",
    numeric=False,
)
def gradients_descended(layer, arguments):
    d = layer.backward(arguments)
    for name, value in layer.inner._parameters.items():
        value -= np.float32(1e-2) * d[name]
    return d


@gradient(
    "GRADIENT-WEIGHT-HH",
    "gradients of which that of weight_hh is zero where the states are omitted",
    "a backward pass that takes omitted states for no recurrence",
)
def gradient_of_weight_hh_without_states(layer, arguments):
    d = layer.backward(arguments)
    return each(d, "weight_hh", np.zeros_like) if arguments["h_0"] is None else d


@gradient(
    "GRADIENT-EQUATION",
    "gradients that are off by 3e-5 relative",
    "a backward pass in coarser arithmetic than is declared",
)
def gradients_off_by_3e_5(layer, arguments):
    return each(layer.backward(arguments), "", lambda a: a * np.float32(1 + 3e-5))


# --- equations ---------------------------------------------------------------------------------------


def with_cotangents(**changed):
    """Return a function that computes the gradients with other cotangents for some kinds."""

    def gradients(layer, arguments):
        with mock.patch.dict(COTANGENTS, changed):
            return layer.backward(arguments)

    return gradients


_gru, _rnn_relu = COTANGENTS["gru"], COTANGENTS["rnn_relu"]


@gradient(
    "GRADIENT-WEIGHT-HH",
    "a GRU's gradients in which what goes back to W_hn h + b_hn lacks the factor r",
    "the chain rule through r (W_hn h + b_hn) done for the other factor only",
    kinds="gru",
)
def gradient_of_gru_without_reset(layer, arguments):

    def gru(*terms):
        d_x, _, d_h, d_c = _gru(*terms)
        return d_x, d_x, d_h, d_c

    return with_cotangents(gru=gru)(layer, arguments)


@gradient(
    "GRADIENT-EQUATION", "a GRU's gradients in which r is a constant", "a gate detached from the graph", kinds="gru"
)
def gradient_of_gru_reset_is_none(layer, arguments):

    def gru(*terms):
        d_x, d_u, d_h, d_c = _gru(*terms)
        H = d_h.shape[-1]
        d_x, d_u = (np.concatenate([np.zeros_like(a[..., :H]), a[..., H:]], axis=-1) for a in (d_x, d_u))
        return d_x, d_u, d_h, d_c

    return with_cotangents(gru=gru)(layer, arguments)


@gradient(
    "GRADIENT-RELU-AT-ZERO",
    "gradients in which relu's derivative at 0 is 1",
    "a comparison with >= for >",
    kinds="rnn_relu",
)
def gradient_of_relu_at_zero(layer, arguments):

    def rnn_relu(x, u, h, c, d_h_t, d_c_t):
        d_a = np.where(x + u >= 0, d_h_t, 0.0)
        return d_a, d_a, None, None

    return with_cotangents(rnn_relu=rnn_relu)(layer, arguments)


# --- time --------------------------------------------------------------------------------------------


def cut_every(steps):
    """Return a function that truncates the gradients after ``steps`` steps, in one direction and without lengths."""

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


@gradient(
    "GRADIENT-CHUNKED",
    "gradients of which nothing goes back over a boundary of 3 steps",
    "truncated backpropagation through time",
)
def gradients_cut_after_3_steps(layer, arguments):
    return cut_every(3)(layer, arguments)


@gradient(
    "GRADIENT-LONG",
    "gradients of which nothing goes back over a boundary of 32 steps",
    "truncated backpropagation through time, in chunks of 32 steps",
)
def gradients_cut_after_32_steps(layer, arguments):
    return cut_every(32)(layer, arguments)


@gradient(
    "GRADIENT-D-OUTPUT",
    "gradients in which the cotangent of output counts in the last step alone",
    "a backward pass written for classifiers, which read the last step",
)
def cotangent_of_the_last_step_only(layer, arguments):
    d_output = arguments["d_output"]
    if d_output is not None:
        axis = 1 if layer.config.batch_first and d_output.ndim == 3 else 0
        d_output = np.moveaxis(d_output.copy(), axis, 0)
        d_output[:-1] = 0
        d_output = np.moveaxis(d_output, 0, axis)
    return layer.backward(arguments | {"d_output": d_output})


# --- states ------------------------------------------------------------------------------------------


@gradient(
    "GRADIENT-H-0",
    "gradients of which that of h_0 is zero",
    "states taken for constants",
    features={"gradients", "initial_state"},
)
def gradient_of_h_0_missing(layer, arguments):
    return each(layer.backward(arguments), "h_0", np.zeros_like)


@gradient(
    "GRADIENT-C-0",
    "gradients of which that of c_0 is zero",
    "one of two states taken for a constant",
    kinds="lstm",
    features={"gradients", "initial_state"},
)
def gradient_of_c_0_missing(layer, arguments):
    return each(layer.backward(arguments), "c_0", np.zeros_like)


@gradient(
    "GRADIENT-OMITTED-STATE",
    "gradients that name states which were omitted",
    "a fixed list of gradients, whatever was given",
    numeric=False,
)
def gradient_of_omitted_states(layer, arguments):
    zeros = {name: np.zeros((1, 1), np.float32) for name in ("h_0", "c_0")}
    return zeros | layer.backward(arguments)


@gradient(
    "GRADIENT-D-H-N", "gradients that ignore the cotangent of h_n", "a backward pass that starts from output alone"
)
def cotangent_of_h_n_ignored(layer, arguments):
    return layer.backward(arguments | {"d_h_n": None})


@gradient(
    "GRADIENT-D-C-N",
    "gradients that ignore the cotangent of c_n",
    "a backward pass that starts from output and h_n alone",
    kinds="lstm",
)
def cotangent_of_c_n_ignored(layer, arguments):
    return layer.backward(arguments | {"d_c_n": None})


@gradient(
    "GRADIENT-STACK",
    "gradients in which the cotangents of h_n and c_n count in the last layer alone",
    "the states of the top layer alone connected",
    features={"gradients", "multilayer"},
)
def cotangents_of_lower_layers_ignored(layer, arguments):
    ends = {name: None if arguments[name] is None else arguments[name].copy() for name in ("d_h_n", "d_c_n")}
    for d in ends.values():
        if d is not None:
            d[: -layer.config.directions] = 0
    return layer.backward(arguments | ends)


@gradient(
    "GRADIENT-NONE-ZEROS",
    "gradients in which an omitted cotangent of h_n is ones",
    "the backward pass of a sum taken for the default",
)
def cotangent_of_h_n_is_ones(layer, arguments):
    if arguments["d_h_n"] is None:
        h_n = layer.plain(*(arguments[name] for name in ("x", "h_0", "c_0", "lengths"))).h_n
        arguments = arguments | {"d_h_n": np.ones_like(h_n)}
    return layer.backward(arguments)


# --- directions --------------------------------------------------------------------------------------


@gradient(
    "GRADIENT-DIRECTIONS",
    "gradients in which the reverse h_n is the reverse output at the last step",
    "the reverse h_n taken for the reverse output at the last step",
    features={"gradients", "bidirectional"},
)
def cotangent_of_reverse_at_the_wrong_end(layer, arguments):
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


@gradient(
    "GRADIENT-DIRECTIONS",
    "gradients of which that of x lacks the reverse direction's part",
    "the second direction's gradient written over or left out, not added",
    features={"gradients", "bidirectional"},
)
def gradient_of_x_from_forward_alone(layer, arguments):
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


@gradient(
    "GRADIENT-DTYPE", "gradients in float64 whatever the layer's dtype", "NumPy's default dtype left in", numeric=False
)
def gradients_in_float64(layer, arguments):
    return each(layer.backward(arguments), "", lambda a: a.astype(np.float64))


@gradient(
    "GRADIENT-SHAPES",
    "gradients of the weights that are those of the matrices transposed",
    "a library that stores (in, out)",
)
def gradients_of_weights_transposed(layer, arguments):
    return each(layer.backward(arguments), "weight", lambda a: a.T)


@gradient(
    "GRADIENT-BATCH-FIRST",
    "a gradient of x that is (T, N, I) under batch_first too",
    "the input turned on the way in, its gradient not on the way out",
    features={"gradients", "batch_first"},
)
def gradient_of_x_time_first(layer, arguments):
    d = layer.backward(arguments)
    return d | {"x": np.swapaxes(d["x"], 0, 1)} if layer.config.batch_first and d["x"].ndim == 3 else d


@gradient(
    "GRADIENT-UNBATCHED",
    "gradients of unbatched states with a batch of one",
    "an axis added and not taken away",
    features={"gradients", "unbatched"},
)
def gradients_of_unbatched_states_batched(layer, arguments):
    return each(layer.backward(arguments), ("h_0", "c_0"), lambda a: a[:, None] if a.ndim == 2 else a)


@gradient(
    "GRADIENT-ARGUMENTS-UNTOUCHED",
    "gradients of a layer that negates the cotangent of output in place",
    "a backward pass in place",
    numeric=False,
)
def cotangent_written(layer, arguments):
    d = layer.backward(arguments)
    if arguments["d_output"] is not None:
        np.negative(arguments["d_output"], out=arguments["d_output"])
    return d


# --- lengths -----------------------------------------------------------------------------------------


@gradient(
    "GRADIENT-LENGTHS-CUT",
    "gradients of the whole sequences, whatever the lengths",
    "lengths handed to forward alone",
    features={"gradients", "lengths"},
)
def gradients_ignore_lengths(layer, arguments):
    return layer.backward(arguments | {"lengths": None})


@gradient(
    "GRADIENT-PADDING-ZERO",
    "gradients from which what lies past a sample's end is not kept out",
    "frozen steps differentiated as if they ran",
    features={"gradients", "lengths"},
)
def gradient_into_the_padding(layer, arguments):
    with mock.patch.object(module, "_while_running", lambda a, running: a):
        return layer.backward(arguments)


@gradient(
    "GRADIENT-PADDING-COTANGENT",
    "gradients in which the cotangent past a sample's end is multiplied by zero",
    "padding multiplied by a mask instead of left out",
    features={"gradients", "lengths"},
)
def padding_of_cotangent_multiplied(layer, arguments):
    d = layer.backward(arguments)
    if arguments["d_output"] is None or arguments["lengths"] is None:
        return d
    with np.errstate(invalid="ignore"):
        leak = (arguments["d_output"] * np.float32(0)).sum()
    return each(d, "bias", lambda a: a + leak)
