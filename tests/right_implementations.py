"""Right implementations with other orders and precisions of arithmetic; no check may fail on them.

``RIGHT`` holds functions without arguments that build them, so that ``tests.right_implementations:NAME`` names each as
a backend on the command line.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import numpy as np

from conformance import Result
from conformance.specifications.torch_nn.faults.changed import EXCHANGING, Change, Changed, dropping
from conformance.specifications.torch_nn.faults.equations import gru_with, lstm_with, sigmoid_by_exp
from reference import cells, layers
from reference.gradients import evaluate_gradients

RIGHT = {}


def right(**claims):
    """Mark a function that returns the parts of a right implementation."""

    def mark(function):
        def build():
            given = {"dtypes": ("float32",), "gradients": False} | claims
            return Changed(function.__name__.replace("_", "-"), Change(**function()), **given)

        build.__doc__ = function.__doc__
        RIGHT[function.__name__] = build
        return build

    return mark


def in_float32(forward):
    """Return a forward pass that computes in float32, for layers of float32."""

    def run(layer, x, h_0, c_0, lengths):
        layers.check_inputs(layer.config, x, h_0, c_0, lengths)
        weights = {name: value.astype(np.float32) for name, value in layer.given.items()}
        with layer.backend.exchanged(), np.errstate(all="ignore"):
            result = forward(layer.config, weights, x, h_0, c_0, lengths)
        return Result(*(None if a is None else np.asarray(a, np.float32) for a in result))

    return run


@right()
def float64_accumulation():
    """Compute everything in float64 and round at the end."""
    return {}


@right()
def float32_arithmetic():
    """Compute every operation in float32."""
    return {"forward": in_float32(layers.evaluate)}


@right()
def reversed_sums():
    """Sum features and hidden units from the last to the first, in float32."""

    def forward(config, weights, x, h_0, c_0, lengths):
        flipped = {}
        for name, value in weights.items():
            flipped[name] = np.ascontiguousarray(value[:, ::-1]) if name.startswith("weight_ih_l0") else value
        return layers.evaluate(config, flipped, np.ascontiguousarray(x[..., ::-1]), h_0, c_0, lengths)

    return {"forward": in_float32(forward)}


def tanh_by_sigmoid(a):
    return 2 * sigmoid_by_exp(2 * a) - 1


@right()
def sigmoid_through_exp():
    """Compute the logistic function and tanh by exp, and a GRU's h_t as n + z (h - n), in float32."""
    changed = {
        "lstm": lstm_with(**dict.fromkeys("ifo", sigmoid_by_exp), g=tanh_by_sigmoid, h=tanh_by_sigmoid),
        "gru": gru_with(sigmoid_by_exp, sigmoid_by_exp, tanh_by_sigmoid, lambda z, n, h: n + z * (h - n)),
        "rnn_tanh": lambda x, u, h, c: (tanh_by_sigmoid(x + u), None),
    }
    return {"forward": in_float32(layers.evaluate), "equation": changed}


@right()
def biases_summed_first():
    """Add b_ih and b_hh once when loading, in float32, except for a GRU's n."""

    def load(config, parameters):
        summed = dict(parameters)
        H = config.hidden_size
        shared = slice(0, 2 * H) if config.kind == "gru" else slice(None)
        for name in parameters:
            if name.startswith("bias_ih"):
                other = name.replace("bias_ih", "bias_hh")
                b_ih, b_hh = parameters[name].copy(), parameters[other].copy()
                b_ih[shared] += b_hh[shared]
                b_hh[shared] = 0
                summed[name], summed[other] = b_ih, b_hh
        return summed

    return {"load": load, "forward": in_float32(layers.evaluate)}


@right(kinds=("rnn_tanh", "rnn_relu", "lstm"))
def one_product_of_input_and_state():
    """Multiply [x, h] by [W_ih, W_hh] in one matrix product a step, in float32 (not for GRU)."""

    def forward(layer, x, h_0, c_0, lengths):
        with EXCHANGING, joined_products():
            return in_float32(layers.evaluate)(layer, x, h_0, c_0, lengths)

    return {"forward": forward}


@contextmanager
def joined_products():
    def direction(kind, weights, x, h, c, running, reverse):
        W_ih, W_hh, b_ih, b_hh, W_hr = weights
        T, N = x.shape[:2]
        W = np.concatenate([W_ih, W_hh])
        b = 0 if b_ih is None else b_ih + b_hh
        output = [None] * T
        for t in reversed(range(T)) if reverse else range(T):
            a = np.concatenate([x[t], np.broadcast_to(h, (N, W_hh.shape[0])).astype(x.dtype)], axis=-1) @ W + b
            h_t, c_t = cells.EQUATIONS[kind](a, np.zeros_like(a), h, c)
            h_t = h_t if W_hr is None else h_t @ W_hr
            if running is None:
                output[t], h, c = h_t, h_t, c_t
            else:
                output[t] = np.where(running[t], h_t, 0.0)
                h = np.where(running[t], h_t, h)
                c = None if c_t is None else np.where(running[t], c_t, c)
        return np.stack(output), h, c

    with mock.patch.object(layers, "_direction", direction):
        yield


@right()
def products_in_four_parts():
    """Sum features and hidden units in four parts and add these, in float32."""

    class InParts(np.ndarray):
        def __rmatmul__(self, a):
            W = self.view(np.ndarray)
            starts = range(0, len(W), max(1, -(-len(W) // 4)))
            step = starts.step
            return sum(np.asarray(a)[..., k : k + step] @ W[k : k + step] for k in starts)

        __array_priority__ = 100

    def forward(config, weights, x, h_0, c_0, lengths):
        kept = layers._weights

        def parts(parameters, suffix):
            W_ih, W_hh, *rest = kept(parameters, suffix)
            return W_ih.view(InParts), W_hh.view(InParts), *rest

        with EXCHANGING, mock.patch.object(layers, "_weights", parts):
            return layers.evaluate(config, weights, x, h_0, c_0, lengths)

    return {"forward": in_float32(forward)}


@right(dtypes=("float16", "bfloat16"))
def half_precision_in_float32():
    """Compute float16 and bfloat16 in float32 and round each state to the dtype."""

    def forward(layer, x, h_0, c_0, lengths):
        layers.check_inputs(layer.config, x, h_0, c_0, lengths)
        dtype = layer.dtype

        def rounding(equation):
            def rounded(*terms):
                return tuple(None if a is None else a.astype(dtype).astype(np.float32) for a in equation(*terms))

            return rounded

        rounded = {kind: rounding(equation) for kind, equation in cells.EQUATIONS.items()}
        weights = {name: value.astype(np.float32) for name, value in layer.given.items()}
        arrays = (None if a is None else a.astype(np.float32) for a in (x, h_0, c_0))
        with EXCHANGING, mock.patch.dict(cells.EQUATIONS, rounded), np.errstate(all="ignore"):
            result = layers.evaluate(layer.config, weights, *arrays, lengths)
            return Result(*(None if a is None else np.asarray(a).astype(dtype) for a in result))

    return {"forward": forward}


@right(gradients=True)
def gradients_in_float32():
    """Compute every operation of the gradients in float32."""
    return {"gradients": _gradients_in_float32}


def _gradients_in_float32(layer, arguments):
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


@right(cells=False, parameters=False, dropout=True, initialization=True)
def training_in_float32():
    """Train in float32 with masks as float32 factors, from another generator."""

    def train(layer, x, h_0, c_0, lengths, seed):
        weights = {name: value.astype(np.float32) for name, value in layer.given.items()}
        return layer._rounded(layers.evaluate(layer.config, weights, x, h_0, c_0, lengths, layer.masks(x, seed)))

    def masks(layer, masks, seed):
        generator = np.random.Generator(np.random.MT19937(seed))
        return [generator.random(mask.shape, np.float32) >= np.float32(layer.config.dropout) for mask in masks]

    def dropped(config, x, mask):
        factor = np.float32(1 / (1 - config.dropout) if config.dropout < 1 else 0)
        return x * (mask * factor)

    def initial(config, given, seed):
        generator = np.random.Generator(np.random.MT19937(seed))
        bound = np.float32(config.hidden_size**-0.5)
        return {name: generator.random(v.shape, np.float32) * (2 * bound) - bound for name, v in given.items()}

    def training(layer, *arguments):
        with dropping(dropped, layer.config):
            return train(layer, *arguments)

    return {"train": training, "masks": masks, "initial": initial}


globals().update(RIGHT)
