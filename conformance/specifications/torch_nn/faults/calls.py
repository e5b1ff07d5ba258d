"""Faults with special values, with memory, and with state that one call leaves for the next."""

from __future__ import annotations

import time

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault

FAULTS: list[Fault] = []
values = Family(FAULTS, "values")
calls = Family(FAULTS, "calls", numeric=False)


# --- values --------------------------------------------------------------------------------------------


@values("ROBUST-NAN-KEPT", "a layer that takes NaN in x for 0", "nan_to_num, or max(x, 0) of a kind that drops NaN")
def nan_becomes_zero():
    return {"forward": lambda layer, x, *rest: layer.plain(np.where(np.isnan(x), x.dtype.type(0), x), *rest)}


@values("ROBUST-INFINITE", "a layer that takes infinity in x for NaN", "tanh as a quotient of exponentials")
def infinity_becomes_nan():
    return {"forward": lambda layer, x, *rest: layer.plain(np.where(np.isinf(x), x.dtype.type(np.nan), x), *rest)}


@values("ROBUST-HUGE", "a layer that takes x beyond 1e4 for 0", "a table of activations with a default beyond its ends")
def huge_numbers_vanish():
    return {"forward": lambda layer, x, *r: layer.plain(np.where(np.abs(x) > 1e4, x.dtype.type(0), x), *r)}


@values("ROBUST-SUBNORMAL", "a layer that takes subnormal x for 1", "a conversion of formats that normalises wrongly")
def subnormal_numbers_are_ones():
    def forward(layer, x, *rest):
        small = (np.abs(x) < np.finfo(x.dtype).tiny) & (x != 0)
        return layer.plain(np.where(small, x.dtype.type(1), x), *rest)

    return {"forward": forward}


@values(
    "ROBUST-NAN-SAMPLES", "a layer all of whose results are NaN where x has one NaN", "a statistic over the whole input"
)
def nan_reaches_everything():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        if np.isfinite(x).all():
            return got
        return Result(*(None if a is None else a * a.dtype.type(np.nan) for a in got))

    return {"forward": forward}


# --- memory ---------------------------------------------------------------------------------------------


def read_as_contiguous(array):
    """Misread an array that is not contiguous and aligned. Raises ValueError if it is read-only."""
    if array is None:
        return None
    if not array.flags.writeable:
        raise ValueError("buffer source array is read-only")
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.ascontiguousarray(array)[..., ::-1].copy() if array.size > 1 else -array


@calls(
    "ROBUST-OFFSET",
    "a layer that reads arrays as if their elements lay aligned and side by side",
    "a pointer taken without the strides",
)
def layout_ignored():
    def forward(layer, x, h_0, c_0, lengths):
        return layer.plain(*map(read_as_contiguous, (x, h_0, c_0)), lengths)

    return {"forward": forward, "step": lambda cell, *arrays: cell.plain(*map(read_as_contiguous, arrays))}


@calls("ROBUST-RESULTS-KEPT", "a layer whose calls share the buffer of their results", "an output allocated once")
def results_in_one_buffer():
    def buffered(memory, arrays):
        for number, array in enumerate(arrays):
            if array is None:
                yield None
                continue
            kept = memory.setdefault((number, array.shape), np.empty_like(array))
            kept[...] = array
            yield kept

    return {
        "result": lambda layer, got, _: Result(*buffered(layer.memory, got)),
        "step": lambda cell, x, h, c: tuple(buffered(cell.memory, cell.plain(x, h, c))),
    }


@calls("ROBUST-RESULTS-OWN", "a layer that writes the last state where the initial one was", "a state updated in place")
def results_in_place_of_the_state():
    def written(state, array):
        if state is None:
            return array
        state[...] = array
        return state

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        return Result(got.output, written(h_0, got.h_n), got.c_n)

    def step(cell, x, h, c):
        h_1, c_1 = cell.plain(x, h, c)
        return written(h, h_1), c_1

    return {"forward": forward, "step": step}


@calls(
    "ROBUST-THREADS",
    "a layer whose calls share a workspace, where another call may come between",
    "a scratch buffer that is a member",
)
def one_workspace_for_all():
    def forward(layer, x, h_0, c_0, lengths):
        layer.memory["x"] = x
        time.sleep(0.001 if x.size else 0)
        return layer.plain(layer.memory["x"], h_0, c_0, lengths)

    return {"forward": forward}


@calls(
    "ROBUST-INTERLEAVED",
    "a layer that uses the parameters of the first one of its shape from its second call on",
    "a cache by configuration",
)
def states_of_the_other_layer():
    first = {}

    def forward(layer, x, h_0, c_0, lengths):
        given = first.setdefault(layer.config, layer)
        layer.memory["calls"] = layer.memory.get("calls", 0) + 1
        return (given if layer.memory["calls"] > 1 else layer).plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@calls(
    "STATE-REPEATED-CALL",
    "a layer whose omitted states are those of the call before, where sizes allow",
    "stateful=True of Keras",
    features=(),
)
def state_kept_between_calls():
    def forward(layer, x, h_0, c_0, lengths):
        if h_0 is None:
            h_0, c_0 = layer.memory.get(x.shape, (None, None))
        got = layer.plain(x, h_0, c_0, lengths)
        layer.memory[x.shape] = got.h_n, got.c_n
        return got

    def step(cell, x, h, c):
        h, c = cell.memory.get(x.shape, (None, None)) if h is None else (h, c)
        cell.memory[x.shape] = cell.plain(x, h, c)
        return cell.memory[x.shape]

    return {"forward": forward, "step": step}


@calls(
    "STATE-CALLS-INDEPENDENT",
    "a layer whose omitted states are the initial ones of the last call that had some",
    "a buffer for states that is not cleared",
)
def given_states_kept_for_later():
    def forward(layer, x, h_0, c_0, lengths):
        if h_0 is None:
            h_0, c_0 = layer.memory.get(x.shape, (None, None))
        else:
            layer.memory[x.shape] = h_0.copy(), None if c_0 is None else c_0.copy()
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@calls(
    "STATE-LAYERS-INDEPENDENT",
    "layers of one configuration that share what was loaded last",
    "weights kept by configuration, not by layer",
)
def parameters_of_the_last_layer_built():
    shared = {}

    def load(config, parameters):
        shared[config] = parameters
        return parameters

    def forward(layer, *arguments):
        return layer.plain_of(layer.config, shared[layer.config], *arguments)

    return {"load": load, "forward": forward}


@calls(
    "STATE-REPEATED-CALL",
    "results whose last bits change from call to call, undeclared",
    "sums in an order that threads decide",
)
def other_bits_each_time():
    def jitter(memory, a):
        memory["calls"] = memory.get("calls", 0) + 1
        return a * a.dtype.type(1 + memory["calls"] * float(np.finfo(np.float32).eps))

    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return jitter(cell.memory, h), c

    return {"result": lambda layer, got, _: Result(jitter(layer.memory, got.output), *got[1:]), "step": step}


@calls(
    "STATE-ARGUMENTS-UNTOUCHED",
    "a layer that negates x in place after use",
    "an operation in place on the caller's array",
)
def arguments_written():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        np.negative(x, out=x)
        return got

    def step(cell, x, h, c):
        got = cell.plain(x, h, c)
        np.negative(x, out=x)
        return got

    return {"forward": forward, "step": step}


@calls(
    "STATE-ARGUMENTS-UNTOUCHED",
    "a layer that sorts the caller's lengths",
    "a list sorted in place for packing",
    features={"lengths"},
)
def lengths_written():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        if isinstance(lengths, list):
            lengths.sort(reverse=True)
        return got

    return {"forward": forward}


@calls(
    "STATE-ARGUMENTS-UNTOUCHED",
    "a layer that clears the padding in the caller's x",
    "a mask applied in place",
    features={"lengths"},
)
def padding_cleared_in_place():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        time = np.swapaxes(x, 0, 1) if layer.config.batch_first else x
        for n, length in enumerate(lengths or ()):
            time[length:, n] = 0
        return got

    return {"forward": forward}
