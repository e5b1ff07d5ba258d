"""Faults of initial and final states, and of state that passes between steps and samples."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import steps_of, time_first
from reference.parameters import layer_directions

FAULTS: list[Fault] = []
initial, final, samples = (Family(FAULTS, name) for name in ("initial-states", "final-states", "samples"))
GIVEN = {"features": {"initial_state"}}


def on_states(change):
    """Return the parts of a fault that starts from ``change(layer or cell, state)``."""

    def arguments(layer, x, h_0, c_0, lengths):
        return x, *(None if s is None else change(layer, s) for s in (h_0, c_0)), lengths

    def step(cell, x, h, c):
        return cell.plain(x, *(None if s is None else change(cell, s) for s in (h, c)))

    return {"arguments": arguments, "step": step}


# --- initial states ------------------------------------------------------------------------------------


@initial(
    "STATE-INITIAL",
    "a layer that takes h_0 and c_0 for zeros",
    "states handed over and dropped on the way",
    common=True,
    **GIVEN,
    gradients=True,
)
def initial_state_ignored():
    def step(cell, x, h, c):
        return cell.plain(x)

    return {"arguments": lambda layer, x, h_0, c_0, lengths: (x, None, None, lengths), "step": step}


@initial("STATE-INITIAL", "an LSTM that takes c_0 for zeros", "one of two states handed on", kinds="lstm", **GIVEN)
def initial_cell_state_ignored():
    def arguments(layer, x, h_0, c_0, lengths):
        return x, h_0, None if c_0 is None else np.zeros_like(c_0), lengths

    return {"arguments": arguments, "step": lambda cell, x, h, c: cell.plain(x, h, None if c is None else c * 0)}


@initial("STATE-INITIAL", "an LSTM that takes h_0 for zeros", "one of two states handed on", kinds="lstm", **GIVEN)
def initial_hidden_state_ignored():
    def arguments(layer, x, h_0, c_0, lengths):
        return x, None if h_0 is None else np.zeros_like(h_0), c_0, lengths

    return {"arguments": arguments, "step": lambda cell, x, h, c: cell.plain(x, None if h is None else h * 0, c)}


@initial(
    "STATE-INITIAL",
    "an LSTM whose two initial states are exchanged, c_0 taken for h_0 and h_0 for c_0",
    "the pair unpacked as c, h, the order in which TensorFlow's LSTMStateTuple and Flax's carry have it",
    kinds="lstm",
    common=True,
    **GIVEN,
)
def initial_states_exchanged():
    def arguments(layer, x, h_0, c_0, lengths):
        alike = h_0 is not None and c_0 is not None and h_0.shape == c_0.shape
        return (x, c_0, h_0, lengths) if alike else (x, h_0, c_0, lengths)

    return {"arguments": arguments, "step": lambda cell, x, h, c: cell.plain(x, c, h)}


@initial(
    "STATE-INITIAL",
    "a layer that uses the first sample's state for all samples",
    "a state of one sample broadcast",
    common=True,
    **GIVEN,
)
def initial_state_of_the_first_sample():
    def first(layer, s):
        return s if (s.ndim == 2 and hasattr(layer.config, "num_layers")) or s.ndim == 1 else np.broadcast_to(
            s[..., :1, :], s.shape).copy()  # fmt: skip

    return on_states(first)


@initial(
    "STATE-INITIAL",
    "a bidirectional layer whose reverse direction starts from zeros",
    "initial states read for the forward direction alone",
    features={"initial_state", "bidirectional"},
    common=True,
)
def initial_state_of_reverse_ignored():
    def forward_only(layer, s):
        if not getattr(layer.config, "bidirectional", False):
            return s
        s = s.copy()
        s[1::2] = 0
        return s

    return on_states(forward_only)


@initial(
    "STATE-INITIAL",
    "a bidirectional layer whose two directions start from each other's states",
    "rows of h_0 read in the other order",
    features={"initial_state", "bidirectional"},
)
def initial_states_of_directions_exchanged():
    def exchanged(layer, s):
        if not getattr(layer.config, "bidirectional", False):
            return s
        return s.reshape(-1, 2, *s.shape[1:])[:, ::-1].reshape(s.shape)

    return on_states(exchanged)


@initial(
    "STATE-INITIAL",
    "a layer that reads h_0 and c_0 with all layers' forward states before the reverse ones",
    "rows ordered by direction first (OpenNMT/OpenNMT-py#61 asks which it is)",
    features={"initial_state", "bidirectional", "multilayer"},
    common=True,
)
def initial_states_direction_major():
    def reordered(layer, s):
        if not getattr(layer.config, "bidirectional", False):
            return s
        rows = sorted(range(len(s)), key=lambda row: (row % 2, row))  # the present place of each requested row
        return s[np.argsort(rows)]

    return on_states(reordered)


@initial(
    "STATE-INITIAL",
    "a stack that reads the layers' initial states from the last to the first",
    "a list filled from the top of the stack",
    features={"initial_state", "multilayer"},
)
def initial_states_of_layers_reversed():
    def reordered(layer, s):
        if not hasattr(layer.config, "num_layers"):
            return s
        return s.reshape(layer.config.num_layers, -1, *s.shape[1:])[::-1].reshape(s.shape)

    return on_states(reordered)


@initial(
    "STATE-OMITTED-ZEROS",
    "a layer that starts from ones where the states are omitted",
    "a learned or unset state in place of the documented zeros",
)
def omitted_state_is_ones():
    def arguments(layer, x, h_0, c_0, lengths):
        config = layer.config
        if h_0 is not None:
            return x, h_0, c_0, lengths
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        rows = config.directions * config.num_layers
        c_0 = np.ones((rows, *batch, config.hidden_size), x.dtype) if config.kind == "lstm" else None
        return x, np.ones((rows, *batch, config.output_size), x.dtype), c_0, lengths

    def step(cell, x, h, c):
        ones = np.ones((*x.shape[:-1], cell.config.hidden_size), x.dtype)
        return cell.plain(x, ones if h is None else h, ones if c is None and cell.config.kind == "lstm" else c)

    return {"arguments": arguments, "step": step}


# --- final states --------------------------------------------------------------------------------------


def reordered_rows(order):
    """Return the parts of a fault that returns the rows of h_n and c_n in another order."""

    def result(layer, got, lengths):
        rows = list(layer_directions(layer.config))
        take = [rows.index(row) for row in sorted(rows, key=order)]
        return Result(got.output, got.h_n[take], None if got.c_n is None else got.c_n[take])

    return {"result": result}


@final(
    "STATE-STACK",
    "a layer whose h_n and c_n list all layers' forward states before the reverse ones",
    "rows ordered by direction first (OpenNMT/OpenNMT-py#61 asks which it is)",
    features={"multilayer", "bidirectional"},
    common=True,
)
def rows_direction_major():
    return reordered_rows(lambda row: row[1])


@final(
    "STATE-STACK",
    "a stack whose h_n and c_n list the last layer first",
    "a list of states filled from the top of the stack",
    features={"multilayer"},
)
def rows_of_layers_reversed():
    return reordered_rows(lambda row: -row[0])


@final(
    "STATE-BIDIRECTIONAL-END",
    "a bidirectional layer whose h_n and c_n have the reverse direction before the forward one",
    "rows ordered the other way round",
    features={"bidirectional"},
)
def rows_reverse_first():
    return reordered_rows(lambda row: (row[0], -row[1]))


@final(
    "STATE-BIDIRECTIONAL-END",
    "a bidirectional layer whose reverse h_n is the reverse output at the last step instead of the first",
    "output[-1] taken for the final state of both directions (yunjey/pytorch-tutorial#149)",
    features={"bidirectional"},
    common=True,
)
def reverse_state_from_last_step():
    def result(layer, got, lengths):
        if layer.config.bidirectional and lengths is None:
            got.h_n[-1] = time_first(layer, got.output)[-1][..., layer.config.output_size :]
        return got

    return {"result": result}


@final(
    "STATE-STACK",
    "a stack whose h_n has the last layer's state in every row",
    "the last output repeated for h_n",
    features={"multilayer"},
)
def h_n_of_the_last_layer():
    def result(layer, got, lengths):
        D = layer.config.directions
        h_n = np.concatenate([got.h_n[-D:]] * layer.config.num_layers)
        return Result(got.output, h_n, got.c_n)

    return {"result": result}


@final(
    "STATE-LAST-OUTPUT",
    "a layer whose h_n is one step behind the output",
    "the state returned before the last step",
    common=True,
)
def h_n_one_step_behind():
    def result(layer, got, lengths):
        time, O = time_first(layer, got.output), layer.config.output_size
        if lengths is None and len(time) > 1:
            got.h_n[-layer.config.directions] = time[-2][..., :O]
        return got

    return {"result": result}


@final(
    "LSTM-EQUATION",
    "an LSTM whose c_n is h_n",
    "one of two states returned twice (salesforce/decaNLP#9)",
    kinds="lstm",
    common=True,
)
def c_n_is_h_n():
    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return h, h

    def result(layer, got, lengths):
        return Result(got.output, got.h_n, got.h_n.copy() if got.h_n.shape == got.c_n.shape else got.c_n)

    return {"result": result, "step": step}


@final(
    "LSTM-EQUATION",
    "an LSTM that returns h_n and c_n in each other's place",
    "the pair returned as c, h, the order in which TensorFlow and Flax carry it",
    kinds="lstm",
    common=True,
)
def h_n_and_c_n_exchanged():
    def result(layer, got, lengths):
        return Result(got.output, got.c_n, got.h_n) if got.h_n.shape == got.c_n.shape else got

    return {"result": result, "step": lambda cell, x, h, c: cell.plain(x, h, c)[::-1]}


@final("LSTM-EQUATION", "an LSTM whose c_n is tanh(c)", "the activated state kept in place of the state", kinds="lstm")
def c_n_is_activated():
    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return h, np.tanh(c)

    return {"result": lambda layer, got, _: Result(got.output, got.h_n, np.tanh(got.c_n)), "step": step}


@final(
    "STATE-DIRECTIONS",
    "a bidirectional layer whose output has the reverse half first",
    "the two halves joined in the other order",
    features={"bidirectional"},
    common=True,
)
def output_halves_exchanged():
    def result(layer, got, lengths):
        O = layer.config.output_size
        return Result(np.roll(got.output, O, axis=-1) if layer.config.bidirectional else got.output, *got[1:])

    return {"result": result}


@final(
    "STATE-DIRECTIONS",
    "a bidirectional layer whose output has the features of the two directions in turns",
    "the directions stacked on the last axis instead of joined",
    features={"bidirectional"},
)
def output_halves_interleaved():
    def result(layer, got, lengths):
        if not layer.config.bidirectional:
            return got
        halves = np.split(got.output, 2, axis=-1)
        return Result(np.stack(halves, axis=-1).reshape(got.output.shape), *got[1:])

    return {"result": result}


@final(
    "STATE-DIRECTIONS",
    "a bidirectional layer whose two halves of the output are both their sum",
    "merge_mode='sum' of Keras's Bidirectional",
    features={"bidirectional"},
)
def output_halves_summed():
    def result(layer, got, lengths):
        if not layer.config.bidirectional:
            return got
        forward, reverse = np.split(got.output, 2, axis=-1)
        return Result(np.concatenate([forward + reverse] * 2, axis=-1), *got[1:])

    return {"result": result}


# --- between samples and steps ---------------------------------------------------------------------------


@samples("STATE-CAUSAL", "a layer whose first step sees the last step's input", "an index that wraps at -1")
def first_step_sees_the_last():
    def arguments(layer, x, h_0, c_0, lengths):
        x = x.copy()
        time = time_first(layer, x)
        if len(time) > 1 and lengths is None:
            time[0] += time[-1]
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@samples(
    "STATE-SAMPLE-ALONE",
    "a layer that adds a thousandth of the first sample's input to every sample",
    "a statistic over the batch, or an index that is not moved on",
)
def samples_mixed():
    def arguments(layer, x, h_0, c_0, lengths):
        if x.ndim == 3:
            x = x + x.dtype.type(1e-3) * x.take([0], axis=0 if layer.config.batch_first else 1)
        return x, h_0, c_0, lengths

    def step(cell, x, h, c):
        return cell.plain(x + x.dtype.type(1e-3) * x[:1] if x.ndim == 2 else x, h, c)

    return {"arguments": arguments, "step": step}


@samples(
    "STATE-BATCH-PERMUTED",
    "a layer that gives the last sample the results of the one before it",
    "a grid of threads one short",
)
def last_sample_repeated():
    def result(layer, got, lengths):
        if got.output.ndim == 3 and got.h_n.shape[1] > 1:
            batch = np.swapaxes(time_first(layer, got.output), 0, 1)
            batch[-1] = batch[-2]
            got.h_n[:, -1] = got.h_n[:, -2]
        return got

    return {"result": result}


@samples("FORWARD-EQUATION", "a layer that leaves out the last step", "a loop to T - 1", common=True)
def last_step_left_out():
    def result(layer, got, lengths):
        time = time_first(layer, got.output)
        if steps_of(layer, got.output) > 1 and lengths is None:
            time[-1] = time[-2]
        return got

    return {"result": result}
