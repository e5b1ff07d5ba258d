"""Implementations to try the suite on: right ones that round differently, and wrong ones.

Each is a small change of the oracle. ``RIGHT`` and ``WRONG`` hold functions without arguments that build
them, so that ``tests.implementations:NAME`` also names each as a backend on the command line. A wrong
one's docstring says what is wrong with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from threading import RLock

import numpy as np

import reference
from conformance import Features, Result, Unsupported
from conformance.backends.oracle import OracleBackend, OracleCell, OracleLayer
from reference import cells, layers
from reference.cells import blocks, relu, tanh, σ
from reference.parameters import GATES, layer_directions

RIGHT, WRONG = {}, {}
CLAIMS = {"cells": True, "parameters": True}
EXCHANGING = RLock()  # held while a part of the oracle is exchanged: other threads wait


class Changed(OracleBackend):
    """The oracle with parts exchanged. What is not given is the oracle's."""

    version = "test"

    def __init__(self, name, *, kinds=reference.KINDS, dtypes=("float32",), forward=None, build=None, equation=None,
                 result=None, step=None, read=None, gradients=None, train=None, masks=None, dropped=None,
                 initial=None, accept=None, refuse=True, unclaimed=(), **claims):  # fmt: skip
        self.name = name
        claims = CLAIMS | {"gradients": gradients is not None} | claims | dict.fromkeys(unclaimed, False)
        self.features = Features(kinds=kinds, dtypes=dtypes, **claims)
        self.change_forward, self.change_build, self.equation = forward, build, equation
        self.change_result, self.change_step, self.read = result, step, read
        self.change_gradients = gradients
        self.change_train, self.change_masks, self.dropped, self.change_initial = train, masks, dropped, initial
        self.accept, self.refuse = accept, refuse

    def refuse_unclaimed(self, config):
        """Raise Unsupported for what is not claimed."""
        claims = self.features
        asked = {
            "multilayer": getattr(config, "num_layers", 1) > 1,
            "bidirectional": getattr(config, "bidirectional", False),
            "no_bias": not config.bias,
            "batch_first": getattr(config, "batch_first", False),
            "projection": getattr(config, "proj_size", 0) > 0,
            "cells": isinstance(config, reference.CellConfig),
        }
        unclaimed = [name for name, used in asked.items() if used and not claims.claims(name)]
        if self.refuse and (unclaimed or config.kind not in claims.kinds or config.dtype not in claims.dtypes):
            raise Unsupported(f"not claimed: {config}")

    def layer(self, config, parameters):
        self.refuse_unclaimed(config)
        if self.accept:
            config, parameters = self.accept(config, parameters)
        if self.change_build:
            parameters = self.change_build(config, parameters)
        return ChangedLayer(self, config, parameters)

    def cell(self, config, parameters):
        self.refuse_unclaimed(config)
        if self.accept:
            config, parameters = self.accept(config, parameters)
        if self.change_build:
            parameters = self.change_build(config, parameters)
        return ChangedCell(self, config, parameters)

    def initial_parameters(self, config, *, seed):
        given = super().initial_parameters(config, seed=seed)
        return self.change_initial(config, given, seed) if self.change_initial else given


class ChangedLayer(OracleLayer):
    """A layer of a changed oracle; ``plain`` is the forward pass to change, ``backward`` the gradients."""

    def __init__(self, backend, config, parameters):
        super().__init__(config, parameters)
        self.backend, self.given, self.memory = backend, parameters, {}

    def plain(self, x, h_0=None, c_0=None, lengths=None):
        with equations(self.backend.equation):
            return super().forward(x, h_0, c_0, lengths)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        change, claims = self.backend.change_forward, self.backend.features
        asked = {"unbatched": x.ndim == 2, "initial_state": h_0 is not None, "lengths": lengths is not None}
        if self.backend.refuse and any(used and not claims.claims(name) for name, used in asked.items()):
            raise Unsupported(f"not claimed: {asked}")
        got = change(self, x, h_0, c_0, lengths) if change else self.plain(x, h_0, c_0, lengths)
        return self.backend.change_result(self, got, lengths) if self.backend.change_result else got

    def backward(self, arguments):
        with equations(self.backend.equation):
            return super().gradients(**arguments)

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        arguments = {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths} | cotangents
        if self.backend.change_gradients is None:
            raise Unsupported("gradients are not computed")
        return self.backend.change_gradients(self, arguments)

    def plain_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        with equations(self.backend.equation), dropping(self.backend.dropped, self.config):
            parameters = {name: np.asarray(value, np.float64) for name, value in self.given.items()}
            x, h_0, c_0 = (None if a is None else a.astype(np.float64) for a in (x, h_0, c_0))
            return self._rounded(layers.evaluate(self.config, parameters, x, h_0, c_0, lengths, self.masks(x, seed)))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        change = self.backend.change_train
        if change:
            return change(self, x, h_0, c_0, lengths, seed)
        return self.plain_training(x, h_0, c_0, lengths, seed=seed)

    def masks(self, x, seed):
        masks, change = super().masks(x, seed), self.backend.change_masks
        return change(self, masks, seed) if change and masks else masks

    def parameters(self):
        if self.backend.refuse and not self.backend.features.parameters:
            raise Unsupported("parameters are not read back")
        read = super().parameters()
        return self.backend.read(read) if self.backend.read else read


class ChangedCell(OracleCell):
    """A cell of a changed oracle."""

    def __init__(self, backend, config, parameters):
        super().__init__(config, parameters)
        self.backend, self.given, self.memory = backend, parameters, {}

    def plain(self, x, h=None, c=None):
        with equations(self.backend.equation):
            return super().step(x, h, c)

    def step(self, x, h=None, c=None):
        return self.backend.change_step(self, x, h, c) if self.backend.change_step else self.plain(x, h, c)


@contextmanager
def equations(changed):
    """The oracle's equations with some exchanged."""
    with EXCHANGING:
        kept = dict(cells.EQUATIONS)
        cells.EQUATIONS.update(changed or {})
        try:
            yield
        finally:
            cells.EQUATIONS.update(kept)


@contextmanager
def dropping(changed, config):
    """The oracle's dropout exchanged for ``changed(config, x, mask)``."""
    kept = layers._dropped
    if changed:
        layers._dropped = lambda x, mask, probability: changed(config, x, mask)
    try:
        yield
    finally:
        layers._dropped = kept


def right(**parts):
    return _collect(RIGHT, parts)


def wrong(**parts):
    return _collect(WRONG, parts)


def _collect(bank, parts):
    def mark(function):
        name = function.__name__

        def build():
            return Changed(name.replace("_", "-"), **(parts | function()))

        build.__doc__ = function.__doc__
        bank[name] = build
        globals()[name] = build
        return build

    return mark


# --- right ones: other orders and precisions of arithmetic -------------------------------------------


def in_float32(forward):
    """A forward pass whose arithmetic is float32's own, for layers of float32."""

    def run(layer, x, h_0, c_0, lengths):
        layers.check_inputs(layer.config, x, h_0, c_0, lengths)
        weights = {name: value.astype(np.float32) for name, value in layer.given.items()}
        return Result(*(
            None if a is None else np.asarray(a, np.float32)
            for a in forward(layer.config, weights, x, h_0, c_0, lengths)
        ))  # fmt: skip

    return run


@right()
def float64_accumulation():
    """Everything in float64, rounded at the end."""
    return {}


@right()
def float32_arithmetic():
    """Every operation in float32."""
    return {"forward": in_float32(layers.evaluate)}


@right()
def reversed_sums():
    """Features and hidden units summed from the last to the first, in float32."""

    def forward(config, weights, x, h_0, c_0, lengths):
        flipped = {}
        for name, value in weights.items():
            flipped[name] = np.ascontiguousarray(value[:, ::-1]) if name.startswith("weight_ih_l0") else value
        return layers.evaluate(config, flipped, np.ascontiguousarray(x[..., ::-1]), h_0, c_0, lengths)

    return {"forward": in_float32(forward)}


def sigmoid_by_exp(a):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def tanh_by_sigmoid(a):
    return 2 * sigmoid_by_exp(2 * a) - 1


def lstm_by(sigmoid, tanh):
    def lstm(x, u, h, c):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = sigmoid(a_f) * c + sigmoid(a_i) * tanh(a_g)
        return sigmoid(a_o) * tanh(c_t), c_t

    return lstm


def gru_by(sigmoid, tanh):
    def gru(x, u, h, c):
        (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
        z_t = sigmoid(x_z + u_z)
        n_t = tanh(x_n + sigmoid(x_r + u_r) * u_n)
        return n_t + z_t * (h - n_t), None

    return gru


@right()
def sigmoid_through_exp():
    """The logistic function and tanh by exp, the GRU's update as n + z (h - n), in float32."""
    changed = {
        "lstm": lstm_by(sigmoid_by_exp, tanh_by_sigmoid),
        "gru": gru_by(sigmoid_by_exp, tanh_by_sigmoid),
        "rnn_tanh": lambda x, u, h, c: (tanh_by_sigmoid(x + u), None),
    }
    return {"forward": in_float32(layers.evaluate), "equation": changed}


@right()
def biases_summed_first():
    """b_ih + b_hh once at loading, in float32, but in a GRU's n."""

    def build(config, parameters):
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

    return {"build": build, "forward": in_float32(layers.evaluate), "parameters": False}


@right()
def one_product_of_input_and_state():
    """[x, h] times [W_ih, W_hh] in one matrix product a step, in float32 (not for GRU)."""

    def forward(layer, x, h_0, c_0, lengths):
        with EXCHANGING, joined_products():
            return in_float32(layers.evaluate)(layer, x, h_0, c_0, lengths)

    return {"kinds": ("rnn_tanh", "rnn_relu", "lstm"), "forward": forward}


@contextmanager
def joined_products():
    kept = layers._direction

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

    layers._direction = direction
    try:
        yield
    finally:
        layers._direction = kept


# --- wrong ones: parameters --------------------------------------------------------------------------


def gate_order(order):
    """Blocks taken in that order of letters for the documented one."""

    def build(config, parameters):
        gates = GATES[config.kind]
        taken = [order.index(gate) for gate in gates]
        return {n: v if n.startswith("weight_hr") else np.concatenate([np.split(v, len(gates))[k] for k in taken])
                for n, v in parameters.items()}  # fmt: skip

    return build


@wrong(kinds=("lstm",))
def lstm_gates_onnx():
    """LSTM blocks taken as i|o|f|g, the order of ONNX."""
    return {"build": gate_order("iofg")}


@wrong(kinds=("lstm",))
def lstm_gates_forget_first():
    """LSTM blocks taken as f|i|g|o."""
    return {"build": gate_order("figo")}


@wrong(kinds=("gru",))
def gru_gates_onnx():
    """GRU blocks taken as z|r|n, the order of ONNX and Keras."""
    return {"build": gate_order("zrn")}


def each(change, prefix):
    """Change every parameter whose name starts so."""
    return lambda config, p: {n: change(v).astype(v.dtype) if n.startswith(prefix) else v for n, v in p.items()}


@wrong()
def bias_hh_dropped():
    """b_hh is not added."""
    return {"build": each(np.zeros_like, "bias_hh")}


@wrong()
def bias_ih_doubled():
    """b_ih is added twice."""
    return {"build": each(lambda v: 2 * v, "bias_ih")}


@wrong()
def weight_hh_transposed():
    """Each gate's W_hh is transposed."""

    def transposed(v):
        H = v.shape[1]
        if v.shape[0] % H:
            return v
        return np.concatenate([block.T for block in np.split(v, v.shape[0] // H)])

    return {"build": each(transposed, "weight_hh"), "projection": False}


@wrong()
def weight_ih_flipped():
    """The columns of W_ih are taken from the last to the first."""
    return {"build": each(lambda v: v[:, ::-1], "weight_ih")}


@wrong()
def reverse_shares_forward():
    """The reverse direction uses the forward direction's parameters."""
    return {"build": lambda config, p: {n: p[n.removesuffix("_reverse")] for n in p}}


@wrong()
def later_layers_share():
    """Layers from the third on use the parameters of the second."""

    def build(config, p):
        return {n: p[n.replace("_l2", "_l1").replace("_l3", "_l1")] for n in p}

    return {"build": build}


@wrong()
def directions_concatenated_wrongly():
    """A later layer takes the reverse half of its input for the forward half."""

    def build(config, p):
        if not getattr(config, "bidirectional", False):
            return p
        later = [n for n in p if n.startswith("weight_ih") and not n.startswith("weight_ih_l0")]
        return p | {n: np.roll(p[n], config.output_size, axis=1) for n in later}

    return {"build": build}


@wrong(kinds=("lstm",))
def projection_ignores_sign():
    """W_hr enters by its absolute value."""
    return {"build": each(np.abs, "weight_hr")}


@wrong(kinds=("lstm",))
def projection_of_reverse_shared():
    """Both directions project with the forward direction's W_hr."""

    def build(config, p):
        return {n: p[n.removesuffix("_reverse")] if n.startswith("weight_hr") else v for n, v in p.items()}

    return {"build": build}


@wrong()
def no_bias_is_ones():
    """bias=False leaves biases of a tenth."""

    def forward(layer, x, h_0, c_0, lengths):
        if layer.config.bias:
            return layer.plain(x, h_0, c_0, lengths)
        return reference_with_bias(layer.config, layer.given, 0.1)(x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        if cell.config.bias:
            return cell.plain(x, h, c)
        config = replace(cell.config, bias=True)
        given = {n: cell.given.get(n, np.full(s, 0.1, x.dtype)) for n, s in reference.parameter_shapes(config).items()}
        return tuple(None if a is None else a.astype(x.dtype) for a in reference.step(config, given, x, h, c))

    return {"forward": forward, "step": step}


def reference_with_bias(config, parameters, value):
    config = replace(config, bias=True)
    dtype = next(iter(parameters.values())).dtype
    filled = {n: parameters.get(n, np.full(s, value, dtype)) for n, s in reference.parameter_shapes(config).items()}
    return OracleLayer(config, filled).forward


@wrong()
def read_back_without_reverse():
    """The parameters of the reverse direction are not read back."""
    return {"read": lambda p: {n: v for n, v in p.items() if not n.endswith("_reverse")}}


@wrong()
def read_back_sorted():
    """Parameters are read back in alphabetical order."""
    return {"read": lambda p: dict(sorted(p.items()))}


@wrong()
def read_back_transposed():
    """Weights are read back transposed."""
    return {"read": lambda p: {n: v.T for n, v in p.items()}}


@wrong()
def read_back_rounded():
    """Parameters are read back rounded to float16."""
    return {"read": lambda p: {n: v.astype(np.float16).astype(v.dtype) for n, v in p.items()}}


# --- wrong ones: equations ---------------------------------------------------------------------------


def hard_sigmoid(a):
    return np.clip(a / 5 + 0.5, 0, 1)


@wrong(kinds=("gru",))
def gru_update_inverted():
    """h_t = z n + (1 - z) h."""

    def gru(x, u, h, c):
        (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
        z_t = σ(x_z + u_z)
        return z_t * tanh(x_n + σ(x_r + u_r) * u_n) + (1 - z_t) * h, None

    return {"equation": {"gru": gru}}


@wrong(kinds=("gru",))
def gru_reset_unused():
    """n_t does without the reset gate."""

    def gru(x, u, h, c):
        (_, x_z, x_n), (_, u_z, u_n) = blocks(x, 3), blocks(u, 3)
        z_t = σ(x_z + u_z)
        return (1 - z_t) * tanh(x_n + u_n) + z_t * h, None

    return {"equation": {"gru": gru}}


@wrong(kinds=("gru",))
def gru_new_gate_hard():
    """n_t by a clipped line instead of tanh."""

    def gru(x, u, h, c):
        (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
        z_t = σ(x_z + u_z)
        return (1 - z_t) * np.clip(x_n + σ(x_r + u_r) * u_n, -1, 1) + z_t * h, None

    return {"equation": {"gru": gru}}


def lstm_with(i=σ, f=σ, g=tanh, o=σ, h=tanh):
    def lstm(x, u, _, c):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = f(a_f) * c + i(a_i) * g(a_g)
        return o(a_o) * h(c_t), c_t

    return lstm


@wrong(kinds=("lstm",))
def lstm_input_gate_hard():
    """i_t by a hard sigmoid."""
    return {"equation": {"lstm": lstm_with(i=hard_sigmoid)}}


@wrong(kinds=("lstm",))
def lstm_forget_bias_one():
    """One is added to the forget gate's sum, as some frameworks do."""
    return {"equation": {"lstm": lstm_with(f=lambda a: σ(a + 1))}}


@wrong(kinds=("lstm",))
def lstm_cell_gate_sigmoid():
    """g_t by the logistic function."""
    return {"equation": {"lstm": lstm_with(g=σ)}}


@wrong(kinds=("lstm",))
def lstm_output_gate_hard():
    """o_t by a hard sigmoid."""
    return {"equation": {"lstm": lstm_with(o=hard_sigmoid)}}


@wrong(kinds=("rnn_tanh", "rnn_relu"))
def nonlinearities_exchanged():
    """tanh where relu is asked for, and relu where tanh is."""
    return {
        "equation": {
            "rnn_tanh": lambda x, u, h, c: (relu(x + u), None),
            "rnn_relu": lambda x, u, h, c: (tanh(x + u), None),
        }
    }


@wrong()
def naive_exponentials():
    """tanh by exp(2a), which overflows to NaN for large a."""

    def naive_tanh(a):
        with np.errstate(all="ignore"):
            e = np.exp(np.float32(2) * np.asarray(a, np.float32))
            return ((e - 1) / (e + 1)).astype(np.float64)

    return {
        "equation": {
            "lstm": lstm_by(sigmoid_by_exp, naive_tanh),
            "gru": gru_by(sigmoid_by_exp, naive_tanh),
            "rnn_tanh": lambda x, u, h, c: (naive_tanh(x + u), None),
        },
        "kinds": ("rnn_tanh", "lstm", "gru"),
    }


@wrong(kinds=("rnn_tanh", "gru"))
def tanh_beyond_one():
    """tanh by a polynomial that ends at 1.0000005, off by no more than a good approximation elsewhere."""

    def beyond(a):
        return tanh(a) * (1 + 8 * 2.0**-24)

    changed = {"gru": gru_by(sigmoid_by_exp, beyond), "rnn_tanh": lambda x, u, h, c: (beyond(x + u), None)}
    return {"equation": changed}


# --- wrong ones: precision ---------------------------------------------------------------------------


def noisy(relative):
    def result(layer, got, lengths):
        rng = np.random.default_rng(7)
        return Result(*(
            None if a is None else (a * (1 + relative * rng.uniform(0.5, 1, a.shape))).astype(a.dtype) for a in got
        ))  # fmt: skip

    return result


@wrong(dtypes=("float32", "float64"))
def noise_3e_5():
    """Results are off by 3e-5 relative."""
    return {"result": noisy(3e-5)}


@wrong()
def state_in_float16():
    """The weights are rounded to float16."""
    return {"build": each(lambda v: v.astype(np.float16), ("weight", "bias")), "parameters": False}


@wrong()
def low_precision_past_step_16():
    """Sequences of more than 16 steps are computed from an input rounded to float16."""

    def forward(layer, x, h_0, c_0, lengths):
        steps = x.shape[1 if layer.config.batch_first and x.ndim == 3 else 0]
        return layer.plain(x.astype(np.float16).astype(x.dtype) if steps > 16 else x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def tail_of_large_batches():
    """Samples from the 33rd on are left zero."""

    def result(layer, got, lengths):
        if got.output.ndim == 3:
            axis = 0 if layer.config.batch_first else 1
            np.moveaxis(got.output, axis, 0)[32:] = 0
        return got

    return {"result": result}


@wrong()
def tail_of_wide_layers():
    """Units from the 65th on are left zero."""

    def result(layer, got, lengths):
        got.h_n[..., 64:] = 0
        return got

    return {"result": result}


# --- wrong ones: states ------------------------------------------------------------------------------


@wrong()
def initial_state_ignored():
    """h_0 and c_0 are taken for zeros."""
    return {"forward": lambda layer, x, h_0, c_0, lengths: layer.plain(x, None, None, lengths)}


@wrong()
def omitted_state_ones():
    """A state that is omitted is ones."""

    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        if h_0 is None:
            batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
            rows = config.directions * config.num_layers
            h_0 = np.ones((rows, *batch, config.output_size), x.dtype)
            c_0 = np.ones((rows, *batch, config.hidden_size), x.dtype) if config.kind == "lstm" else None
        return layer.plain(x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        ones = np.ones((*x.shape[:-1], cell.config.hidden_size), x.dtype)
        return cell.plain(x, ones if h is None else h, ones if c is None and cell.config.kind == "lstm" else c)

    return {"forward": forward, "step": step}


@wrong()
def state_kept_between_calls():
    """A state that is omitted is that of the call before, where sizes allow."""

    def forward(layer, x, h_0, c_0, lengths):
        if h_0 is None:
            kept = layer.memory.get(x.shape)
            h_0, c_0 = kept if kept else (None, None)
        got = layer.plain(x, h_0, c_0, lengths)
        layer.memory[x.shape] = got.h_n, got.c_n
        return got

    def step(cell, x, h, c):
        h, c = cell.memory.get(x.shape, (None, None)) if h is None else (h, c)
        cell.memory[x.shape] = cell.plain(x, h, c)
        return cell.memory[x.shape]

    return {"forward": forward, "step": step}


@wrong()
def parameters_of_the_last_layer_built():
    """All layers of one configuration share what was loaded last."""
    shared = {}

    def build(config, parameters):
        shared[config] = parameters
        return parameters

    def forward(layer, x, h_0, c_0, lengths):
        return OracleLayer(layer.config, shared[layer.config]).forward(x, h_0, c_0, lengths)

    return {"build": build, "forward": forward}


@wrong()
def rows_direction_major():
    """h_n and c_n list all layers' forward states before the reverse ones."""

    def result(layer, got, lengths):
        rows = list(layer_directions(layer.config))
        order = [rows.index(row) for row in sorted(rows, key=lambda row: row[1])]
        return Result(got.output, got.h_n[order], None if got.c_n is None else got.c_n[order])

    return {"result": result}


@wrong()
def reverse_state_from_last_step():
    """The reverse h_n is taken from the last step of the output instead of the first."""

    def result(layer, got, lengths):
        config = layer.config
        if config.bidirectional and lengths is None:
            last = got.output if got.output.ndim == 2 or not config.batch_first else np.swapaxes(got.output, 0, 1)
            got.h_n[-1] = last[-1][..., config.output_size :]
        return got

    return {"result": result}


@wrong()
def halves_exchanged():
    """The reverse half of the output comes first."""

    def result(layer, got, lengths):
        O = layer.config.output_size
        return Result(np.roll(got.output, O, axis=-1) if layer.config.bidirectional else got.output, *got[1:])

    return {"result": result}


@wrong()
def second_layer_sees_the_future():
    """The last step's input is added to the first."""

    def forward(layer, x, h_0, c_0, lengths):
        x = x.copy()
        time = np.swapaxes(x, 0, 1) if layer.config.batch_first and x.ndim == 3 else x
        if len(time) > 1 and lengths is None:
            time[0] += time[-1]
            time[-1] -= time[0] * np.float32(0.5)
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def samples_mixed():
    """Each sample is shifted by a thousandth of the batch's mean."""

    def forward(layer, x, h_0, c_0, lengths):
        if x.ndim == 3:
            axis = 0 if layer.config.batch_first else 1
            x = x + np.float32(1e-3) * x.take([0], axis=axis)
        return layer.plain(x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        return cell.plain(x + np.float32(1e-3) * x[:1] if x.ndim == 2 else x, h, c)

    return {"forward": forward, "step": step}


@wrong()
def other_bits_each_time():
    """The last bits change from call to call, and that is not declared."""

    def jitter(memory, a):
        memory["calls"] = memory.get("calls", 0) + 1
        return a * a.dtype.type(1 + memory["calls"] * np.finfo(a.dtype).eps)

    def result(layer, got, lengths):
        return Result(jitter(layer.memory, got.output), *got[1:])

    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return jitter(cell.memory, h), c

    return {"result": result, "step": step}


@wrong()
def arguments_written():
    """x is negated in place after use."""

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        np.negative(x, out=x)
        return got

    def step(cell, x, h, c):
        got = cell.plain(x, h, c)
        np.negative(x, out=x)
        return got

    return {"forward": forward, "step": step}


# --- wrong ones: layouts and shapes ------------------------------------------------------------------


@wrong()
def batch_first_ignored():
    """x and output keep time before batch under batch_first."""

    def forward(layer, x, h_0, c_0, lengths):
        if not layer.config.batch_first or x.ndim == 2:
            return layer.plain(x, h_0, c_0, lengths)
        config = replace(layer.config, batch_first=False)
        N = x.shape[1]
        batch = slice(0, N)
        states = (None if s is None else np.resize(s, (s.shape[0], N, s.shape[2]))[:, batch] for s in (h_0, c_0))
        return OracleLayer(config, layer.given).forward(x, *states)

    return {"forward": forward, "lengths": False}


@wrong()
def batch_first_states_too():
    """Under batch_first the states are taken and given as (N, D*L, feature), their sizes kept."""

    def forward(layer, x, h_0, c_0, lengths):
        def turned(s):
            return None if s is None else np.ascontiguousarray(s).reshape(s.shape[1], s.shape[0], -1).swapaxes(0, 1)

        if layer.config.batch_first and x.ndim == 3:
            return layer.plain(x, turned(h_0), turned(c_0), lengths)
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def unbatched_gets_a_batch():
    """Unbatched input gives results with a batch of one."""

    def result(layer, got, lengths):
        if got.output.ndim == 3:
            return got
        return Result(got.output[:, None], got.h_n[:, None], None if got.c_n is None else got.c_n[:, None])

    return {"result": result}


@wrong()
def unbatched_flipped_under_batch_first():
    """Under batch_first unbatched input is read from the end."""

    def forward(layer, x, h_0, c_0, lengths):
        flip = x.ndim == 2 and layer.config.batch_first
        return layer.plain(x[::-1].copy() if flip else x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def unbatched_scaled():
    """Unbatched input loses one part in a thousand."""

    def forward(layer, x, h_0, c_0, lengths):
        return layer.plain(x * x.dtype.type(0.999) if x.ndim == 2 else x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        return cell.plain(x * x.dtype.type(0.999) if x.ndim == 1 else x, h, c)

    return {"forward": forward, "step": step}


@wrong()
def float64_results():
    """Results are float64 whatever the layer's dtype."""

    def step(cell, x, h, c):
        return tuple(None if a is None else a.astype(np.float64) for a in cell.plain(x, h, c))

    return {"result": lambda layer, got, _: Result(*(None if a is None else a.astype(np.float64) for a in got)),
            "step": step}  # fmt: skip


@wrong()
def states_flattened():
    """h_n and c_n lose their first axis."""

    def flat(a):
        return None if a is None else a.reshape(-1, a.shape[-1])

    return {"result": lambda layer, got, _: Result(got.output, flat(got.h_n), flat(got.c_n))}


@wrong()
def last_output_only():
    """output holds the last step alone."""
    return {"result": lambda layer, got, _: Result(got.output[-1:], got.h_n, got.c_n)}


@wrong(kinds=("lstm",))
def projection_of_the_cell_state():
    """c_n is cut to the size of the projection."""
    return {"result": lambda layer, got, _: Result(got.output, got.h_n, got.c_n[..., : layer.config.output_size])}


@wrong(kinds=("rnn_tanh", "gru"))
def c_n_for_all():
    """Every kind returns a c_n."""
    return {"result": lambda layer, got, _: Result(got.output, got.h_n, got.h_n)}


# --- wrong ones: lengths -----------------------------------------------------------------------------


@wrong()
def lengths_ignored():
    """Lengths are accepted and ignored, as in onnx.reference 1.23."""
    return {"forward": lambda layer, x, h_0, c_0, lengths: layer.plain(x, h_0, c_0, None)}


@wrong()
def padding_runs_on():
    """The output past the end repeats the last state."""

    def result(layer, got, lengths):
        if lengths is None:
            return got
        output = np.swapaxes(got.output, 0, 1) if layer.config.batch_first else got.output
        for n, length in enumerate(lengths):
            output[length:, n] = output[length - 1, n]
        return got

    return {"result": result}


@wrong()
def sorted_by_length():
    """Results come back in the order of decreasing length."""

    def result(layer, got, lengths):
        if lengths is None:
            return got
        order = np.argsort([-n for n in lengths], kind="stable")
        axis = 0 if layer.config.batch_first else 1
        return Result(
            np.take(got.output, order, axis), got.h_n[:, order], None if got.c_n is None else got.c_n[:, order]
        )

    return {"result": result}


@wrong()
def states_sorted_by_length():
    """Initial states are handed out in the order of decreasing length."""

    def forward(layer, x, h_0, c_0, lengths):
        if lengths is not None and h_0 is not None:
            order = np.argsort([-n for n in lengths], kind="stable")
            h_0, c_0 = h_0[:, order], None if c_0 is None else c_0[:, order]
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def reverse_starts_in_the_padding():
    """With lengths the reverse direction starts at T - 1, the padding taken for zeros."""

    def forward(layer, x, h_0, c_0, lengths):
        if lengths is None or not layer.config.bidirectional:
            return layer.plain(x, h_0, c_0, lengths)
        x = x.copy()
        time = np.swapaxes(x, 0, 1) if layer.config.batch_first else x
        for n, length in enumerate(lengths):
            time[length:, n] = 0
        right, whole = layer.plain(x, h_0, c_0, lengths), layer.plain(x, h_0, c_0, None)
        O, rows = layer.config.output_size, slice(1, None, 2)
        right.output[..., O:] = whole.output[..., O:]
        right.h_n[rows] = whole.h_n[rows]
        return right

    return {"forward": forward}


@wrong()
def padding_leaks():
    """What lies in the padding enters, multiplied by zero."""

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        with np.errstate(invalid="ignore"):
            leak = (x * np.float32(0)).sum()
        return Result(got.output + leak, *got[1:])

    return {"forward": forward}


@wrong()
def output_cut_at_longest():
    """With lengths the output stops at the longest sample."""

    def result(layer, got, lengths):
        if lengths is None:
            return got
        cut = slice(max(lengths))
        return Result(got.output[:, cut] if layer.config.batch_first else got.output[cut], *got[1:])

    return {"result": result}


@wrong()
def full_lengths_shortened():
    """Lengths that are all T are taken for T - 1."""

    def forward(layer, x, h_0, c_0, lengths):
        if lengths is not None and len(set(lengths)) == 1 and lengths[0] > 1:
            steps = x.shape[1 if layer.config.batch_first else 0]
            lengths = [n - 1 for n in lengths] if lengths[0] == steps else lengths
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


# --- wrong ones: adapters ----------------------------------------------------------------------------


@wrong()
def raises_in_forward():
    """forward raises."""

    def forward(layer, x, h_0, c_0, lengths):
        raise RuntimeError("the kernel is missing")

    return {"forward": forward}


@wrong()
def refuses_what_it_claims():
    """Two directions are claimed and refused."""

    def forward(layer, x, h_0, c_0, lengths):
        if layer.config.bidirectional:
            raise Unsupported("one direction only")
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def returns_lists():
    """Results are lists."""
    return {"result": lambda layer, got, _: Result(got.output.tolist(), got.h_n, got.c_n)}


@wrong()
def cells_return_the_state_alone():
    """A cell returns h' without the tuple."""
    return {"step": lambda cell, x, h, c: cell.plain(x, h, c)[0]}


@wrong()
def cells_in_float16():
    """Cells compute from weights rounded to float16; layers do not."""

    def step(cell, x, h, c):
        rounded = {n: v.astype(np.float16).astype(v.dtype) for n, v in cell.given.items()}
        return tuple(None if a is None else a.astype(x.dtype) for a in reference.step(cell.config, rounded, x, h, c))

    return {"step": step}


# --- wrong gradients, training, initialization, and what is accepted, values and memory -----------------

from tests import gradient_implementations, wrong_acceptance, wrong_training  # noqa: E402, F401

globals().update({name: WRONG[name] for name in wrong_acceptance.NAMES})
