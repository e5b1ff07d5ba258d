"""Faults of the recurrence: where layers and directions start, and what passes from step to step."""

from __future__ import annotations

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.states import on_states
from reference import cells

FAULTS: list[Fault] = []
initial, family = (Family(FAULTS, name) for name in ("initial-states", "recurrence"))


def stepping(change):
    """Return the parts of a fault whose steps are those of ``change(equation, weights)``."""

    def direction(go, kind, weights, *arguments, **more):
        kept = cells.EQUATIONS[kind]
        cells.EQUATIONS[kind] = change(kept, weights)
        try:
            return go(kind, weights, *arguments, **more)
        finally:
            cells.EQUATIONS[kind] = kept

    return {"direction": direction}


def recurrent_product(weights, h):
    """Compute W_hh h + b_hh."""
    _, W_hh, _, b_hh, _ = weights
    return h @ W_hh if b_hh is None else h @ W_hh + b_hh


def first_of_all(s):
    """Return the first sample's state for every sample."""
    return s[:1] + np.zeros_like(s)


# --- where layers and directions start -----------------------------------------------------------------


@initial(
    "STATE-INITIAL",
    "a bidirectional layer both of whose directions start from the forward direction's state",
    "one row of h_0 handed to both cells",
    features={"initial_state", "bidirectional"},
    common=True,
)
def initial_state_of_forward_for_both():
    def first(layer, s):
        if not getattr(layer.config, "bidirectional", False):
            return s
        return np.repeat(s[::2], 2, axis=0)

    return on_states(first)


@initial(
    "STATE-STACK",
    "a bidirectional stack whose directions start from the row of the layer's number, h_0[k] for layer k",
    "an index of layers where the rows count directions too",
    features={"initial_state", "bidirectional", "multilayer"},
)
def initial_states_by_number_of_the_layer():
    def by_layer(layer, s):
        if not getattr(layer.config, "bidirectional", False):
            return s
        return np.repeat(s[: layer.config.num_layers], 2, axis=0)

    return on_states(by_layer)


@initial(
    "STATE-STACK",
    "a stack whose layers from the second on start from the state of the layer below",
    "an index that is moved on after it is used",
    features={"initial_state", "multilayer"},
)
def initial_states_of_the_layer_below():
    def below(layer, s):
        D = getattr(layer.config, "directions", 0)
        return np.concatenate([s[:D], s[:-D]]) if D else s

    return on_states(below)


@family(
    "BIDIRECTIONAL-EQUATION",
    "a bidirectional layer whose reverse direction starts from the state at which the forward direction ends",
    "one variable for the state of both loops, set once",
    features={"bidirectional"},
    common=True,
)
def reverse_starts_where_forward_ends():
    ends = []

    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        if reverse:
            h, c = ends[-1]
        output, h, c = go(kind, weights, inputs, h, c, running, reverse, record)
        ends[:] = [(h, np.zeros_like(h) if c is None else c)]
        return output, h, c

    return {"direction": direction}


@family(
    "MULTILAYER-EQUATION",
    "a stack whose layers from the second on start from the state at which the layer below ends",
    "one variable for the state of all layers, set once",
    features={"multilayer"},
)
def layers_start_where_the_one_below_ends():
    ends = {}

    def arguments(layer, x, h_0, c_0, lengths):
        ends.clear()
        return x, h_0, c_0, lengths

    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        h, c = ends.get(reverse, (h, c))
        output, h, c = go(kind, weights, inputs, h, c, running, reverse, record)
        ends[reverse] = h, np.zeros_like(h) if c is None else c
        return output, h, c

    def step(cell, x, h, c):
        ends.clear()
        return cell.plain(x, h, c)

    return {"arguments": arguments, "direction": direction, "step": step}


# --- what passes from step to step ---------------------------------------------------------------------


@family(
    "CELL-EQUATION",
    "a layer that updates h in place, so that each unit reads what the units before it wrote in the same step",
    "a loop over units that writes where it reads",
    common=True,
)
def state_updated_in_place():
    def change(equation, weights):
        _, W_hh, _, _, W_hr = weights
        H = W_hh.shape[0]

        def in_place(x, u, h, c):
            h_t, c_t = [], []
            for k in range(H):
                every, own = slice(k, None, H), slice(k, k + 1)
                new = equation(x[..., every], u[..., every], h[..., own], c if c is None else c[..., own])
                u = u + (new[0] - h[..., own]) * W_hh[k]
                h_t.append(new[0])
                c_t.append(new[1])
            return np.concatenate(h_t, axis=-1), None if c_t[0] is None else np.concatenate(c_t, axis=-1)

        return equation if W_hr is not None else in_place

    return stepping(change)


@family(
    "STATE-STEPWISE",
    "a layer that computes W_hh h + b_hh once, of the initial state, for all steps",
    "a product moved out of the loop",
    kinds=("lstm", "gru"),
)
def recurrent_product_of_the_initial_state():
    def change(equation, weights):
        first = []

        def hoisted(x, u, h, c):
            first.extend([] if first else [u])
            return equation(x, first[0], h, c)

        return hoisted

    return stepping(change)


@family(
    "STATE-SAMPLE-ALONE",
    "a layer that uses the first sample's W_hh h for all samples",
    "a product of one row, broadcast",
    common=True,
)
def recurrent_product_of_the_first_sample():
    def change(equation, weights):
        return lambda x, u, h, c: equation(x, recurrent_product(weights, first_of_all(h)), h, c)

    return stepping(change)


@family(
    "STATE-SAMPLE-ALONE",
    "a layer that takes the first sample's state for the state of all samples in every step",
    "a state without the axis of samples",
    kinds=("lstm", "gru"),
)
def state_of_the_first_sample():
    def change(equation, weights):
        def broadcast(x, u, h, c):
            h, c = first_of_all(h), c if c is None else first_of_all(c)
            return equation(x, recurrent_product(weights, h), h, c)

        return broadcast

    return stepping(change)
