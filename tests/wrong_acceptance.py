"""Wrong implementations: what they accept or do not refuse, and what they do to values, memory and calls."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

import reference
from conformance import Result
from reference.config import numpy_dtype
from tests import implementations
from tests.implementations import WRONG, wrong

BEFORE = set(WRONG)


def fitted(array, shape, dtype):
    """The numbers of the array, repeated or cut off, in that shape and dtype."""
    return np.resize(array if np.size(array) else 0, shape).astype(dtype)


def states_fitted(layer, x, h_0, c_0):
    """Whatever states came, as such that fit x."""
    config, dtype = layer.config, numpy_dtype(layer.config.dtype)
    if h_0 is None and c_0 is None:
        return None, None
    batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
    lead = (config.num_layers * config.directions, *batch)
    h_0 = fitted(0 if h_0 is None else h_0, (*lead, config.output_size), dtype)
    if config.kind != "lstm":
        return h_0, None
    return h_0, fitted(0 if c_0 is None else c_0, (*lead, config.hidden_size), dtype)


@wrong()
def any_input_accepted():
    """x of any rank, features, dtype and number of steps is brought into shape."""

    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        if x.ndim not in (2, 3):
            x = x.reshape((1, 1, -1) if x.ndim < 2 else x.shape[-3:])
        shape = [max(1, n) for n in x.shape[:-1]]
        x = fitted(x, (*shape, config.input_size), numpy_dtype(config.dtype))
        return layer.plain(x, *states_fitted(layer, x, h_0, c_0), lengths)

    return {"forward": forward}


@wrong()
def any_state_accepted():
    """States of any shape and dtype, one of two, and one too many, are brought into shape."""
    return {"forward": lambda layer, x, h_0, c_0, n: layer.plain(x, *states_fitted(layer, x, h_0, c_0), n)}


@wrong()
def any_lengths_accepted():
    """Lengths are rounded, brought into 1..T and cut off or filled up; unbatched input is given a batch."""

    def forward(layer, x, h_0, c_0, lengths):
        if lengths is None:
            return layer.plain(x, h_0, c_0)
        if x.ndim == 2:
            return layer.plain(x, h_0, c_0)
        T, N = (x.shape[1], x.shape[0]) if layer.config.batch_first else x.shape[:2]
        return layer.plain(x, h_0, c_0, [min(max(int(n), 1), T) for n in np.resize(lengths, N)])

    return {"forward": forward}


def accepting(change):
    """Wrong arguments and parameters made right by ``change(config)``, which gives the arguments to exchange."""

    def accept(config, parameters):
        config = replace(config, **change(config))
        dtype = numpy_dtype(config.dtype)
        return config, {
            name: fitted(parameters.get(name, 0), shape, dtype) if np.shape(parameters.get(name)) != shape
            else parameters[name].astype(dtype)
            for name, shape in reference.parameter_shapes(config).items()
        }  # fmt: skip

    return accept


def nearest(config):
    sizes = {name: max(1, getattr(config, name)) for name in ("input_size", "hidden_size")}
    sizes["kind"] = config.kind if config.kind in reference.KINDS else "rnn_tanh"
    if not isinstance(config, reference.CellConfig):
        largest = sizes["hidden_size"] - 1 if sizes["kind"] == "lstm" else 0
        sizes["num_layers"] = max(1, config.num_layers)
        sizes["dropout"] = min(max(config.dropout, 0.0), 1.0)
        sizes["proj_size"] = min(max(config.proj_size, 0), largest)
    return sizes


@wrong()
def any_configuration_accepted():
    """Sizes, layers, dropout and kinds that there are not become the nearest that there are."""

    def forward(layer, x, h_0, c_0, lengths):
        x = fitted(x, (*x.shape[:-1], layer.config.input_size), x.dtype)
        return layer.plain(x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        return cell.plain(fitted(x, (*x.shape[:-1], cell.config.input_size), x.dtype), h, c)

    return {"accept": accepting(nearest), "forward": forward, "step": step, "refuse": False}


@wrong()
def any_parameters_accepted():
    """Missing parameters are zeros, superfluous ones are dropped, misshapen ones repeated or cut off."""
    return {"accept": accepting(lambda config: {})}


@wrong()
def parameters_decide_the_dtype():
    """Parameters of another dtype make results of that dtype."""

    def accept(config, parameters):
        came = next(iter(parameters.values()), np.zeros(0, config.dtype)).dtype.name
        return replace(config, dtype=came), parameters

    def forward(layer, x, h_0, c_0, lengths):
        states = (None if s is None else s.astype(layer.dtype) for s in (h_0, c_0))
        return layer.plain(x.astype(layer.dtype), *states, lengths)

    return {"accept": accept, "forward": forward}


@wrong()
def empty_batch_is_one_sample():
    """For no sample there is a result of one."""

    def forward(layer, x, h_0, c_0, lengths):
        axis = 0 if layer.config.batch_first else 1
        if x.ndim == 3 and x.shape[axis] == 0:
            x = np.zeros([n or 1 for n in x.shape], x.dtype)
            return layer.plain(x, None, None)
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def broken_by_a_rejected_call():
    """After a call that was rejected every state is zero."""

    def forward(layer, x, h_0, c_0, lengths):
        try:
            got = layer.plain(x, h_0, c_0, lengths)
        except ValueError:
            layer.memory["broken"] = True
            raise
        return Result(got.output * 0, got.h_n * 0, got.c_n) if "broken" in layer.memory else got

    return {"forward": forward}


@wrong()
def cells_accept_anything():
    """A cell brings x and its states into shape, whatever came."""

    def step(cell, x, h, c):
        config, dtype = cell.config, numpy_dtype(cell.config.dtype)
        x = np.asarray(x).reshape(-1, np.shape(x)[-1]) if np.ndim(x) not in (1, 2) and np.ndim(x) else np.asarray(x)
        x = fitted(x, (*(x.shape[:-1] if x.ndim == 2 else ()), config.input_size), dtype)
        shape = (*x.shape[:-1], config.hidden_size)
        if h is not None or c is not None:
            h = fitted(0 if h is None else h, shape, dtype)
            c = fitted(0 if c is None else c, shape, dtype) if config.kind == "lstm" else None
        return cell.plain(x, h, c)

    return {"step": step}


# --- what is not claimed, and computed wrongly ---------------------------------------------------------


@wrong(multilayer=False, bidirectional=False, no_bias=False, batch_first=False, unbatched=False, projection=False,
       initial_state=False, lengths=False, cells=False, parameters=False)  # fmt: skip
def ignores_what_it_does_not_claim():
    """Every feature but the plain layer is not claimed; asked for, the results are of another layer."""

    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        plain = config.num_layers == 1 and not config.bidirectional and config.bias and not config.batch_first
        got = layer.plain(x, h_0, c_0, lengths)
        if plain and x.ndim == 3 and not config.proj_size and h_0 is None and lengths is None:
            return got
        return Result(got.output + x.dtype.type(0.1), got.h_n, got.c_n)

    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return h + h.dtype.type(0.1), c

    return {"forward": forward, "step": step, "read": lambda p: {n: v + 1 for n, v in p.items()}, "refuse": False}


@wrong(unclaimed=("gradients", "dropout"))
def trains_though_it_does_not_claim_to():
    """Gradients and dropout are not claimed; asked for, gradients come doubled and dropped elements unscaled."""

    def doubled(layer, arguments):
        return {name: 2 * d for name, d in layer.backward(arguments).items()}

    def unscaled(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        return Result(got.output * x.dtype.type(1 - layer.config.dropout), got.h_n, got.c_n)

    return {"gradients": doubled, "train": unscaled}


@wrong()
def initial_values_though_not_claimed():
    """Initialization is not claimed; asked for, the initial values are off by one."""
    return {"initial": lambda config, given, seed: {name: value + 1 for name, value in given.items()}}


@wrong(kinds=("lstm",), dtypes=("float32",))
def other_kinds_and_dtypes_halved():
    """Only an lstm in float32 is claimed; whatever else is asked for comes back halved."""

    def result(layer, got, _):
        if layer.config.kind == "lstm" and layer.config.dtype == "float32":
            return got
        return Result(got.output / 2, got.h_n / 2, got.c_n)

    return {"result": result, "refuse": False}


# --- values --------------------------------------------------------------------------------------------


@wrong()
def nan_becomes_zero():
    """NaN in x is taken for 0."""
    return {"forward": lambda layer, x, *rest: layer.plain(np.where(np.isnan(x), x.dtype.type(0), x), *rest)}


@wrong()
def infinity_becomes_nan():
    """Infinite x gives NaN, as where tanh is a quotient of exponentials."""
    return {"forward": lambda layer, x, *rest: layer.plain(np.where(np.isinf(x), x.dtype.type(np.nan), x), *rest)}


@wrong()
def huge_numbers_vanish():
    """x beyond 1e4 is taken for 0."""
    return {"forward": lambda layer, x, *r: layer.plain(np.where(np.abs(x) > 1e4, x.dtype.type(0), x), *r)}


@wrong()
def subnormal_numbers_are_ones():
    """Subnormal x is normalised wrongly and counts as 1."""

    def forward(layer, x, *rest):
        small = (np.abs(x) < np.finfo(x.dtype).tiny) & (x != 0)
        return layer.plain(np.where(small, x.dtype.type(1), x), *rest)

    return {"forward": forward}


@wrong()
def nan_reaches_everything():
    """NaN or infinity anywhere in x makes every result NaN, of all samples, steps and the padding."""

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        if np.isfinite(x).all():
            return got
        return Result(*(None if a is None else a * a.dtype.type(np.nan) for a in got))

    return {"forward": forward}


@wrong()
def steps_counted_in_ten_bits():
    """From step 900 on the state stays what it is."""

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        axis = 1 if layer.config.batch_first and x.ndim == 3 else 0
        if x.shape[axis] <= 900:
            return got
        output = np.moveaxis(got.output.copy(), axis, 0)
        output[900:] = output[899]
        return Result(np.moveaxis(output, 0, axis), got.h_n, got.c_n)

    return {"forward": forward}


# --- memory and calls ----------------------------------------------------------------------------------


def read_as_contiguous(array):
    """What is read at an array's start by one who takes it for aligned rows one after the other; writes there too."""
    if array is None:
        return None
    if not array.flags.writeable:
        raise ValueError("buffer source array is read-only")
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.ascontiguousarray(array)[..., ::-1].copy() if array.size > 1 else -array


@wrong()
def layout_ignored():
    """Arrays are read as if their elements lay aligned and side by side; read-only ones are refused."""

    def forward(layer, x, h_0, c_0, lengths):
        return layer.plain(*map(read_as_contiguous, (x, h_0, c_0)), lengths)

    return {"forward": forward, "step": lambda cell, *arrays: cell.plain(*map(read_as_contiguous, arrays))}


@wrong()
def results_in_one_buffer():
    """All calls of a layer or cell with results of the same shape share the buffer of the results."""

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


@wrong()
def results_in_place_of_the_state():
    """The last state is written where the initial one was."""

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


@wrong()
def one_workspace_for_all():
    """All layers of a shape share one place for x while they compute, and another call may come between."""

    def forward(layer, x, h_0, c_0, lengths):
        layer.memory["x"] = x
        time.sleep(0.001 if x.size else 0)
        return layer.plain(layer.memory["x"], h_0, c_0, lengths)

    return {"forward": forward}


@wrong()
def states_of_the_other_layer():
    """The first layer of a shape lends its parameters to every later one, once that one was used before."""
    first = {}

    def forward(layer, x, h_0, c_0, lengths):
        given = first.setdefault(layer.config, layer)
        layer.memory["calls"] = layer.memory.get("calls", 0) + 1
        return (given if layer.memory["calls"] > 1 else layer).plain(x, h_0, c_0, lengths)

    return {"forward": forward}


NAMES = sorted(set(WRONG) - BEFORE)
assert implementations.WRONG is WRONG
