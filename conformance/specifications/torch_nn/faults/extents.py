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
    return {"equation": first_units(lambda H: max(BLOCK, H // BLOCK * BLOCK))}


@family(
    "LARGE-UNITS",
    "a layer whose units from the 1,024th on are zero",
    "a block of 1,024 threads, one for each unit",
    gradients=False,
)
def units_past_1024_zero():
    return {"equation": first_units(lambda H: 1024)}


def first_units(computed):
    """Return the equations with zeros for the units from ``computed(H)`` on."""

    def cut(equation):
        def zeroed(x, u, h, c):
            h_t, c_t = equation(x, u, h, c)
            within = np.arange(h_t.shape[-1]) < computed(h_t.shape[-1])
            return np.where(within, h_t, 0.0), None if c_t is None else np.where(within, c_t, 0.0)

        return zeroed

    return {kind: cut(equation) for kind, equation in cells.EQUATIONS.items()}


@family(
    "LARGE-SAMPLES",
    "a layer whose results are zero from the 1,024th sample on",
    "a block of 1,024 threads, one for each sample",
)
def samples_past_1024_zero():
    return {"result": lambda layer, got, lengths: cut_samples(layer, got, 1024)}


@family(
    "LARGE-SAMPLES",
    "a layer whose results are zero from the 65,535th sample on",
    "the extent of a grid that CUDA limits to 65,535",
)
def samples_past_65535_zero():
    return {"result": lambda layer, got, lengths: cut_samples(layer, got, 65535)}


def cut_samples(layer, got, most):
    """Set results to zero from a sample on."""
    if got.output.ndim == 3:
        time_first(layer, got.output)[:, most:] = 0
        for state in got[1:]:
            if state is not None:
                state[:, most:] = 0
    return Result(*got)


@family(
    "LARGE-STEPS",
    "a layer that takes the input of the first steps again after 65,536 steps",
    "a step counter of 16 bits",
)
def steps_counted_in_16_bits():
    def arguments(layer, x, h_0, c_0, lengths):
        steps = np.arange(x.shape[1 if layer.config.batch_first and x.ndim == 3 else 0]) % 65536
        again = x[:, steps] if layer.config.batch_first and x.ndim == 3 else x[steps]
        return again, h_0, c_0, lengths

    return {"arguments": arguments}


@family(
    "LARGE-DEPTH",
    "a stack whose layers from the fifth on have the parameters of the fourth",
    "an array of four layers",
    features=("multilayer",),
)
def layers_past_the_fourth_like_it():
    def load(config, p):
        first_of_fifth = 4
        like = {}
        for name, value in p.items():
            stem, _, rest = name.rpartition("_l")
            if not stem:  # of a cell
                return p
            layer, reverse = rest.removesuffix("_reverse"), "_reverse" if rest.endswith("_reverse") else ""
            fourth = f"{stem}_l{first_of_fifth - 1}{reverse}"
            like[name] = p[fourth] if int(layer) >= first_of_fifth else value
        return like

    return {"load": load}


@family(
    "LARGE-GRADIENTS",
    "gradients of the parameters that sum over the first 512 samples alone",
    "a reduction in one block",
    numeric=False,
)
def gradients_of_the_first_512_samples():
    def gradients(layer, arguments):
        d = layer.backward(arguments)
        x = arguments["x"]
        if x.ndim == 2 or len(time_first(layer, x)[0]) <= 512:
            return d
        axis = 0 if layer.config.batch_first else 1
        few = {name: None if a is None else np.take(a, range(512), axis if name in ("x", "d_output") else 1)
               for name, a in arguments.items() if name != "lengths"}  # fmt: skip
        few["lengths"] = None if arguments["lengths"] is None else arguments["lengths"][:512]
        return d | {name: a for name, a in layer.backward(few).items() if name not in ("x", "h_0", "c_0")}

    return {"gradients": gradients}


@family(
    "CELL-LARGE",
    "a cell whose units from the 512th on are zero",
    "a block of 512 threads, one for each unit",
)
def cell_units_past_512_zero():
    def step(cell, x, h, c):
        within = np.arange(cell.config.hidden_size) < 512
        return tuple(None if a is None else np.where(within, a, 0).astype(a.dtype) for a in cell.plain(x, h, c))

    return {"step": step}


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
    return {"result": lambda layer, got, lengths: cut_samples(layer, got, 1)}
