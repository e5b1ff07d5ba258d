"""Faults of extents: loops and results over the wrong number of steps, samples, features or units."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import time_first
from reference import cells

FAULTS: list[Fault] = []
family = Family(FAULTS, "extents")
BLOCK = 128  # units


@family(
    "FORWARD-EQUATION",
    "a layer that sums over the first H features of x alone where I is larger",
    "a loop to hidden_size where input_size is meant",
)
def features_past_h_left_out():
    def load(config, p):
        def cut(a):
            a = a.copy()
            a[:, config.hidden_size :] = 0
            return a

        return {n: cut(a) if n in ("weight_ih", "weight_ih_l0", "weight_ih_l0_reverse") else a for n, a in p.items()}

    return {"load": load, "adjoint": load}


@family(
    "FORWARD-EQUATION",
    "a layer that sums over the first I units of h alone in W_hh h where H is larger",
    "a loop to input_size where hidden_size is meant",
)
def units_past_i_left_out():
    def load(config, p):
        def cut(a):
            a = a.copy()
            a[:, config.input_size :] = 0
            return a

        return {n: cut(a) if n.startswith("weight_hh") else a for n, a in p.items()}

    return {"load": load, "adjoint": load}


@family(
    "FORWARD-EQUATION",
    "a layer that computes N steps where there are more",
    "a loop to the number of samples where that of steps is meant",
)
def steps_past_n_left_out():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        T, N = inputs.shape[:2]
        if T <= N:
            return go(kind, weights, inputs, h, c, running, reverse, record)
        within = np.broadcast_to(np.arange(T)[:, None, None] < N, (T, N, 1))
        return go(kind, weights, inputs, h, c, within if running is None else within & running, reverse, record)

    return {"direction": direction}


@family(
    "FORWARD-EQUATION",
    "a layer that computes T samples where there are more, the output of the others zero",
    "a loop to the number of steps where that of samples is meant",
)
def samples_past_t_left_out():
    def result(layer, got, lengths):
        if got.output.ndim == 3:
            time = time_first(layer, got.output)
            time[:, len(time) :] = 0
        return got

    return {"result": result}


@family(
    "LARGE-HIDDEN-EQUATION",
    "a layer of more than 128 units that computes whole blocks of 128 and leaves the other units zero",
    "a grid of threads rounded down",
    gradients=False,
)
def units_past_whole_blocks_of_128_zero():
    def cut(equation):
        def blockwise(x, u, h, c):
            h_t, c_t = equation(x, u, h, c)
            computed = np.arange(h_t.shape[-1]) < max(BLOCK, h_t.shape[-1] // BLOCK * BLOCK)
            return np.where(computed, h_t, 0.0), None if c_t is None else np.where(computed, c_t, 0.0)

        return blockwise

    return {"equation": {kind: cut(equation) for kind, equation in cells.EQUATIONS.items()}}


@family(
    "FORWARD-EQUATION",
    "a layer whose output is right in the first sample and zero in the others",
    "a copy of one row where all are meant",
    common=True,
)
def output_of_the_first_sample_only():
    def result(layer, got, lengths):
        if got.output.ndim == 3:
            time_first(layer, got.output)[:, 1:] = 0
        return got

    return {"result": result}


@family(
    "FORWARD-EQUATION",
    "a layer whose results are right in the first sample and zero in the others, h_n and c_n too",
    "a loop over samples that ends after one",
)
def first_sample_only():
    def result(layer, got, lengths):
        if got.output.ndim == 3:
            time_first(layer, got.output)[:, 1:] = 0
            for state in got[1:]:
                if state is not None:
                    state[:, 1:] = 0
        return Result(*got)

    return {"result": result}
