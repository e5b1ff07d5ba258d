"""Faults of directions, lengths, states, layout and outputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.onnx import nodes

FAULTS: list[Fault] = []
family = Family(FAULTS, "sequences")


def first(a, config):
    """Return an array of outputs or states with D before N, and T before both."""
    if a is None or not config.layout:
        return a
    return a.transpose(1, 2, 0, 3) if a.ndim == 4 else np.swapaxes(a, 0, 1)


def back(a, config):
    """Invert ``first``."""
    if a is None or not config.layout:
        return a
    return a.transpose(2, 0, 1, 3) if a.ndim == 4 else np.swapaxes(a, 0, 1)


def on_outputs(change) -> dict:
    """Return the parts of a fault that changes the outputs: ``change(config, Y, Y_h, Y_c, given)``, layout 0."""

    def outputs(config, came, given):
        turned = [first(a, config) for a in (*came, None)[:3]]
        return nodes.Outputs(*(back(a, config) for a in change(config, *turned, given)))

    return {"outputs": outputs}


def lengths_of(config, given):
    """Return the lengths of the samples and T."""
    X, lengths = given["X"], given.get("sequence_lens")
    T, N = X.shape[:2][:: -1 if config.layout else 1]
    return (np.full(N, T) if lengths is None else np.asarray(lengths)), T


def drop(*names) -> dict:
    """Return the parts of a fault that ignores inputs."""
    return {"inputs": lambda config, given: {n: a for n, a in given.items() if n not in names}}


def goes_back(config, d):
    return d == 1 or config.direction == "reverse"


# --- directions -----------------------------------------------------------------------------------------


@family("REVERSE", "a node that ignores direction = reverse", common=True)
def reverse_ignored():
    return {"attributes": lambda c: replace(c, direction="forward") if c.direction == "reverse" else c}


@family("REVERSE", "a reverse node whose Y is in the order of computation", common=True)
def reverse_y_in_order_of_computation():
    def change(config, Y, Y_h, Y_c, given):
        if config.direction == "reverse":
            Y = Y[::-1]
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("BIDIRECTIONAL", "a bidirectional node whose second direction has its Y in the order of computation")
def second_direction_in_order_of_computation():
    def change(config, Y, Y_h, Y_c, given):
        if config.directions == 2:
            Y = np.stack([Y[:, 0], Y[::-1, 1]], axis=1)
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("BIDIRECTIONAL", "a bidirectional node whose second direction goes forward as well")
def second_direction_goes_forward():
    def call(node, given, right):
        config = node.config
        if config.directions == 1:
            return right(given)
        axis = 0 if not config.layout else 1
        came, flipped = right(given), right(given | {"X": np.flip(given["X"], axis).copy()})
        took = {}
        for name, a in came.items():
            b = np.flip(flipped[name], axis) if name == "Y" else flipped[name]
            d = (2 if config.layout else 1) if name == "Y" else (1 if config.layout else 0)
            took[name] = np.concatenate([np.take(a, [0], d), np.take(b, [1], d)], axis=d)
        return took

    return {"call": call}


@family("REVERSE-FLIPPED", "a reverse node that reads X in steps of two")
def reverse_neighbours_exchanged():
    def inputs(config, given):
        if config.direction != "reverse":
            return given
        X = np.swapaxes(given["X"], 0, 1).copy() if config.layout else given["X"].copy()
        for t in range(0, len(X) - 1, 2):
            X[[t, t + 1]] = X[[t + 1, t]]
        return given | {"X": np.swapaxes(X, 0, 1) if config.layout else X}

    return {"inputs": inputs}


@family("CAUSAL", "a forward node whose X has its mean over the steps taken off")
def mean_over_steps_removed():
    def inputs(config, given):
        axis = 1 if config.layout else 0
        X = given["X"].astype(np.float64)
        return given | {"X": X - X.mean(axis=axis, keepdims=True) / 2}

    return {"inputs": inputs}


# --- lengths --------------------------------------------------------------------------------------------


@family("LENGTHS", "a node that ignores sequence_lens", common=True)
def lengths_ignored():
    return drop("sequence_lens")


@family("LENGTHS-PADDING", "a node whose Y goes on past the end of a sample", common=True)
def padding_computed():
    def call(node, given, right):
        came = right(given)
        if given["sequence_lens"] is None or "Y" not in came:
            return came
        config, whole = node.config, right(given | {"sequence_lens": None})
        lengths, _ = lengths_of(config, given)
        Y, free = first(came["Y"], config).copy(), first(whole["Y"], config)
        for n, length in enumerate(lengths):
            Y[length:, :, n] = free[length:, :, n]
        return came | {"Y": np.ascontiguousarray(back(Y, config))}

    return {"call": call}


@family("LENGTHS-PADDING", "a node whose Y repeats the last state past the end of a sample", common=True)
def padding_repeats_the_state():
    def change(config, Y, Y_h, Y_c, given):
        lengths, _ = lengths_of(config, given)
        Y = Y.copy()
        for n, length in enumerate(lengths):
            Y[length:, :, n] = Y_h[:, n]
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("LENGTHS-SHORTER", "a node whose Y has rubbish past the longest sample")
def rubbish_past_the_longest():
    def change(config, Y, Y_h, Y_c, given):
        lengths, _ = lengths_of(config, given)
        Y = Y.copy()
        Y[max(lengths) :] = 0.5
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("LENGTHS-LAST", "a node whose Y_h is Y at T - 1 for every sample", common=True)
def y_h_at_the_last_step_of_x():
    def change(config, Y, Y_h, Y_c, given):
        ends = [Y[0 if goes_back(config, d) else -1, d] for d in range(config.directions)]
        return Y, np.stack(ends), Y_c

    return on_outputs(change)


@family("LENGTHS-LAST", "an LSTM whose Y_c is the cell after T steps for every sample", kinds="LSTM")
def y_c_after_all_steps():
    def call(node, given, right):
        came = right(given)
        return came | ({"Y_c": right(given | {"sequence_lens": None})["Y_c"]} if "Y_c" in came else {})

    return {"call": call}


def at_front(config, given):
    """Return X with each sample's padding at its front."""
    lengths, T = lengths_of(config, given)
    X = np.swapaxes(given["X"], 0, 1).copy() if config.layout else given["X"].copy()
    for n, length in enumerate(lengths):
        X[:, n] = np.roll(X[:, n], T - length, axis=0)
    return np.swapaxes(X, 0, 1) if config.layout else X


@family("LENGTHS", "a node that expects the padding at the front")
def padding_at_the_front():
    return {"inputs": lambda config, given: given | {"X": at_front(config, given)}}


@family("LENGTHS-REVERSE", "a node whose reverse direction begins at step T - 1, in the padding", common=True)
def reverse_begins_in_the_padding():
    def call(node, given, right):
        came, config = right(given), node.config
        if given["sequence_lens"] is None or config.direction == "forward":
            return came
        whole = right(given | {"sequence_lens": None})
        lengths, _ = lengths_of(config, given)
        found = {}
        for name, a in came.items():
            a, b = first(a, config).copy(), first(whole[name], config)
            for d in range(config.directions):
                if goes_back(config, d):
                    for n, length in enumerate(lengths):
                        if name == "Y":
                            a[:length, d, n] = b[:length, d, n]
                        else:
                            a[d, n] = b[d, n]
            found[name] = np.ascontiguousarray(back(a, config))
        return found

    return {"call": call}


@family("LENGTHS-BIDIRECTIONAL", "a bidirectional node that ignores sequence_lens")
def lengths_ignored_in_bidirectional():
    def inputs(config, given):
        return {n: a for n, a in given.items() if n != "sequence_lens" or config.directions == 1}

    return {"inputs": inputs}


@family("LENGTHS-LAYOUT", "a node that ignores sequence_lens with layout = 1")
def lengths_ignored_under_layout():
    def inputs(config, given):
        return {n: a for n, a in given.items() if n != "sequence_lens" or not config.layout}

    return {"inputs": inputs}


@family("LENGTHS-ORDER", "a node that sorts the lengths and leaves the samples where they are", common=True)
def lengths_sorted():
    def inputs(config, given):
        lengths = given.get("sequence_lens")
        return given if lengths is None else given | {"sequence_lens": sorted(lengths, reverse=True)}

    return {"inputs": inputs}


@family("LENGTHS-ALONE", "a node that gives every sample the longest length")
def lengths_of_the_longest():
    def inputs(config, given):
        lengths = given.get("sequence_lens")
        return given if lengths is None else given | {"sequence_lens": [max(lengths)] * len(lengths)}

    return {"inputs": inputs}


@family("LENGTHS-PADDING-IGNORED", "a node that adds the padding times 0, so that NaN in it spreads")
def padding_times_zero():
    def outputs(config, came, given):
        lengths, _ = lengths_of(config, given)
        X = np.swapaxes(given["X"], 0, 1) if config.layout else given["X"]
        past = [X[length:, n] for n, length in enumerate(lengths)]
        with np.errstate(invalid="ignore"):
            nothing = sum(float((p.astype(np.float64) * 0).sum()) for p in past)
        return nodes.Outputs(*(None if a is None else a + nothing for a in came))

    return {"outputs": outputs}


@family("LENGTHS-ZERO", "a node whose Y_h and Y_c of a sample of length 0 are 0, as onnxruntime has them")
def zero_length_gives_zeros():
    def change(config, Y, Y_h, Y_c, given):
        runs = (lengths_of(config, given)[0] > 0)[:, None]
        return Y, Y_h * runs, None if Y_c is None else Y_c * runs

    return on_outputs(change)


@family("LENGTHS-ZERO", "a node that takes a length of 0 for 1")
def zero_length_is_one():
    def inputs(config, given):
        lengths = given.get("sequence_lens")
        return given if lengths is None else given | {"sequence_lens": [max(1, n) for n in lengths]}

    return {"inputs": inputs}


@family("LENGTHS-OMITTED", "a node that without sequence_lens computes one step less")
def omitted_lengths_one_less():
    def inputs(config, given):
        lengths, T = lengths_of(config, given)
        return {"sequence_lens": [max(1, T - 1)] * len(lengths), **given}

    return {"inputs": inputs}


# --- states ---------------------------------------------------------------------------------------------


@family("INITIAL-H", "a node that ignores initial_h", common=True)
def initial_h_ignored():
    return drop("initial_h")


@family("INITIAL-C", "an LSTM that ignores initial_c", kinds="LSTM", common=True)
def initial_c_ignored():
    return drop("initial_c")


@family("INITIAL-C", "an LSTM that takes initial_h for initial_c", kinds="LSTM")
def initial_c_of_h():
    return {"inputs": lambda c, given: given | ({"initial_c": given["initial_h"]} if "initial_h" in given else {})}


@family("INITIAL-OMITTED", "an LSTM that without initial_c ignores initial_h", kinds="LSTM")
def initial_h_needs_c():
    def inputs(config, given):
        return {n: a for n, a in given.items() if n != "initial_h" or "initial_c" in given}

    return {"inputs": inputs}


@family("INITIAL-OMITTED", "a node whose omitted initial_h is 0.1")
def omitted_state_not_zero():
    def inputs(config, given):
        lengths, _ = lengths_of(config, given)
        return {"initial_h": np.full(config.shapes(1, len(lengths))["initial_h"], 0.1), **given}

    return {"inputs": inputs}


def of_states(change) -> dict:
    """Return the parts of a fault that changes the initial states: ``change(config, state)``, (D, N, H)."""

    def inputs(config, given):
        states = {
            n: back(change(config, first(given[n], config)), config) for n in ("initial_h", "initial_c") if n in given
        }
        return given | states

    return {"inputs": inputs}


@family("INITIAL-DIRECTIONS", "a node whose second direction begins with the first one's states", common=True)
def second_direction_shares_states():
    return of_states(lambda config, s: np.concatenate([s[:1]] * len(s)))


@family("INITIAL-DIRECTIONS", "a node whose directions have exchanged their initial states")
def directions_exchange_states():
    return of_states(lambda config, s: s[::-1])


@family("INITIAL-DIRECTIONS", "a node whose second direction begins with zeros")
def second_direction_begins_with_zeros():
    return of_states(lambda config, s: np.concatenate([s[:1], 0 * s[1:]]))


@family("SAMPLE-ALONE", "a node that gives every sample the initial states of the first")
def states_of_the_first_sample():
    return of_states(lambda config, s: np.repeat(s[:, :1], s.shape[1], axis=1))


@family("SAMPLES-PERMUTED", "a node that is off by a hundredth for the last sample")
def last_sample_off():
    def change(config, Y, Y_h, Y_c, given):
        Y = Y.copy()
        Y[:, :, -1] *= 0.99
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("CHUNKS", "a node whose first step is off by a thousandth with initial states")
def first_step_off():
    def change(config, Y, Y_h, Y_c, given):
        if "initial_h" in given:
            Y = Y.copy()
            Y[0] *= 1.001
        return Y, Y_h, Y_c

    return on_outputs(change)


# --- layout ---------------------------------------------------------------------------------------------


@family("LAYOUT-SHAPES", "a node whose Y ignores layout = 1")
def layout_of_y_ignored():
    def outputs(config, came, given):
        return came._replace(Y=np.ascontiguousarray(first(came.Y, config)))

    return {"outputs": outputs}


@family("LAYOUT-STATES", "a node whose Y_h and Y_c ignore layout = 1", common=True)
def layout_of_y_h_ignored():
    def outputs(config, came, given):
        return nodes.Outputs(came.Y, *(None if a is None else first(a, config) for a in came[1:]))

    return {"outputs": outputs}


@family("LAYOUT", "a node that reads X of layout = 1 as if it were the other one")
def layout_of_x_misread():
    def inputs(config, given):
        if not config.layout:
            return given
        X = given["X"]
        return given | {"X": X.reshape(X.shape[1], X.shape[0], X.shape[2]).swapaxes(0, 1)}

    return {"inputs": inputs}


@family("LAYOUT-INITIAL", "a node that reads initial states of layout = 1 as (D, N, H)")
def layout_of_states_misread():
    def inputs(config, given):
        if not config.layout:
            return given
        found = {}
        for name in ("initial_h", "initial_c"):
            if name in given:
                s = given[name]
                found[name] = s.reshape(s.shape[1], s.shape[0], s.shape[2]).swapaxes(0, 1)
        return given | found

    return {"inputs": inputs}


# --- outputs --------------------------------------------------------------------------------------------


def cut_axis(name) -> dict:
    """Return the parts of a fault whose output lacks its axis of directions."""

    def cast(config, came):
        if name not in came or config.layout:
            return came
        a = came[name]
        return came | {name: a[:, 0] if name == "Y" else a[0]}

    return {"cast": cast}


@family("Y", "a node whose Y has no axis of directions")
def y_without_directions():
    return cut_axis("Y")


@family("Y-H", "a node whose Y_h has no axis of directions")
def y_h_without_directions():
    return cut_axis("Y_h")


@family("Y-C", "an LSTM whose Y_c has no axis of directions", kinds="LSTM")
def y_c_without_directions():
    return cut_axis("Y_c")


@family("OUTPUT-DTYPE", "a node whose outputs are float64")
def outputs_in_float64():
    return {
        "cast": lambda config, came: {
            n: a.astype("float64" if config.dtype != "float64" else "float32") for n, a in came.items()
        }
    }


@family("OUTPUTS-OMITTED", "a node whose Y_h is 0 where it has no Y")
def y_h_needs_y():
    def cast(config, came):
        return came if "Y" in came else {n: 0 * a for n, a in came.items()}

    return {"cast": cast}


@family("Y-H-LAST", "a node whose Y_h is the state before the last step", common=True)
def y_h_one_step_early():
    def change(config, Y, Y_h, Y_c, given):
        lengths, T = lengths_of(config, given)
        Y_h, N = Y_h.copy(), np.arange(Y.shape[2])
        for d in range(config.directions):
            t = np.minimum(1, T - 1) if goes_back(config, d) else np.maximum(lengths - 2, 0)
            Y_h[d] = Y[t, d, N]
        return Y, Y_h, Y_c

    return on_outputs(change)


@family("Y-H-LAST", "a bidirectional node whose Y_h of the second direction is its Y at the last step", common=True)
def y_h_of_the_second_direction_at_the_end():
    def change(config, Y, Y_h, Y_c, given):
        if config.directions == 2:
            lengths, _ = lengths_of(config, given)
            Y_h = Y_h.copy()
            Y_h[1] = Y[np.maximum(lengths - 1, 0), 1, np.arange(Y.shape[2])]
        return Y, Y_h, Y_c

    return on_outputs(change)
