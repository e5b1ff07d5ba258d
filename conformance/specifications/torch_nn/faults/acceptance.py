"""Faults that accept invalid arguments, or compute features that they do not claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import reference
from conformance.backend import Result, Unsupported
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.config import numpy_dtype

FAULTS: list[Fault] = []
family = Family(FAULTS, "acceptance", numeric=False)


def fitted(array, shape, dtype):
    """Bring an array to a shape and dtype, its numbers repeated or cut off."""
    return np.resize(array if np.size(array) else 0, shape).astype(dtype)


def states_fitted(layer, x, h_0, c_0):
    """Bring states of any shape and number to the shapes that fit x."""
    config, dtype = layer.config, numpy_dtype(layer.config.dtype)
    if h_0 is None and c_0 is None:
        return None, None
    batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
    lead = (config.num_layers * config.directions, *batch)
    h_0 = fitted(0 if h_0 is None else h_0, (*lead, config.output_size), dtype)
    if config.kind != "lstm":
        return h_0, None
    return h_0, fitted(0 if c_0 is None else c_0, (*lead, config.hidden_size), dtype)


@family(
    "REFUSE-INPUT-RANK",
    "a layer that brings x of any rank, features, dtype and number of steps into shape",
    "reshape and astype at the entrance",
    numeric=False,
)
def any_input_accepted():
    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        if x.ndim not in (2, 3):
            x = x.reshape((1, 1, -1) if x.ndim < 2 else x.shape[-3:])
        shape = [max(1, n) for n in x.shape[:-1]]
        x = fitted(x, (*shape, config.input_size), numpy_dtype(config.dtype))
        return layer.plain(x, *states_fitted(layer, x, h_0, c_0), lengths)

    return {"forward": forward}


@family(
    "REFUSE-STATE-BATCH",
    "a layer that brings states of any shape and dtype, and any number of them, into shape",
    "broadcasting, as a cell exported to ONNX does with a state of one sample",
    numeric=False,
)
def any_state_accepted():
    return {"forward": lambda layer, x, h_0, c_0, n: layer.plain(x, *states_fitted(layer, x, h_0, c_0), n)}


@family(
    "REFUSE-LENGTHS-BEYOND-T",
    "a layer that rounds lengths, brings them into 1..T and fills them up",
    "lengths clipped at the entrance",
    numeric=False,
)
def any_lengths_accepted():
    def forward(layer, x, h_0, c_0, lengths):
        if lengths is None:
            return layer.plain(x, h_0, c_0)
        if x.ndim == 2:
            return layer.plain(x, h_0, c_0)
        T, N = (x.shape[1], x.shape[0]) if layer.config.batch_first else x.shape[:2]
        return layer.plain(x, h_0, c_0, [min(max(int(n), 1), T) for n in np.resize(lengths, N)])

    return {"forward": forward}


def cut(array, shape):
    """Leave out what an array has beyond a shape of as many axes; return other arrays as they are."""
    if array is None or np.ndim(array) != len(shape):
        return array
    return np.ascontiguousarray(array[tuple(map(slice, shape))])


@family(
    "REFUSE-INPUT-FEATURES",
    "a layer that leaves out what is too much in x, the states, the lengths and the parameters",
    "extents taken from the configuration, the arrays' own never read",
    numeric=False,
)
def too_much_left_out():
    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        x = cut(x, (*x.shape[:-1], config.input_size))
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        lead = (config.directions * config.num_layers, *batch)
        h_0, c_0 = cut(h_0, (*lead, config.output_size)), cut(c_0, (*lead, config.hidden_size))
        return layer.plain(x, h_0, c_0, lengths if lengths is None or not batch else lengths[: batch[0]])

    def step(cell, x, h, c):
        x = cut(x, (*x.shape[:-1], cell.config.input_size))
        shape = (*x.shape[:-1], cell.config.hidden_size)
        return cell.plain(x, cut(h, shape), cut(c, shape))

    def accept(config, parameters):
        shapes = reference.parameter_shapes(config)
        return config, {name: cut(a, shapes[name]) for name, a in parameters.items() if name in shapes}

    return {"accept": accept, "forward": forward, "step": step}


def accepting(change):
    """Return a part ``accept`` that replaces the arguments in ``change(config)`` and fits the parameters to them."""

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


@family(
    "REFUSE-SIZES",
    "a layer of the nearest sizes, layers, dropout and kind that there are",
    "arguments clipped, or read by a default",
    numeric=False,
    refuse=False,
)
def any_configuration_accepted():
    def forward(layer, x, h_0, c_0, lengths):
        x = fitted(x, (*x.shape[:-1], layer.config.input_size), x.dtype)
        return layer.plain(x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        return cell.plain(fitted(x, (*x.shape[:-1], cell.config.input_size), x.dtype), h, c)

    return {"accept": accepting(nearest), "forward": forward, "step": step}


@family(
    "REFUSE-PARAMETERS-MISSING",
    "a layer that takes missing parameters for zeros and brings misshapen ones into shape",
    "load_state_dict with strict=False",
    numeric=False,
)
def any_parameters_accepted():
    return {"accept": accepting(lambda config: {})}


@family(
    "REFUSE-PARAMETERS-DTYPE",
    "a layer whose results have the dtype of its parameters",
    "a dtype read off the weights",
    numeric=False,
)
def parameters_decide_the_dtype():
    def accept(config, parameters):
        came = next(iter(parameters.values()), np.zeros(0, config.dtype)).dtype.name
        return replace(config, dtype=came), parameters

    def forward(layer, x, h_0, c_0, lengths):
        states = (None if s is None else s.astype(layer.dtype) for s in (h_0, c_0))
        return layer.plain(x.astype(layer.dtype), *states, lengths)

    return {"accept": accept, "forward": forward}


@family(
    "REFUSE-SAMPLES-ZERO",
    "a layer that gives the results of one sample for none",
    "an extent of at least one",
    numeric=False,
)
def empty_batch_is_one_sample():
    def forward(layer, x, h_0, c_0, lengths):
        axis = 0 if layer.config.batch_first else 1
        if x.ndim == 3 and x.shape[axis] == 0:
            x = np.zeros([n or 1 for n in x.shape], x.dtype)
            return layer.plain(x, None, None)
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@family(
    "REFUSE-LEAVES-NOTHING",
    "a layer that gives zeros after a call that was rejected",
    "a workspace cleared before the check",
    numeric=False,
)
def broken_by_a_rejected_call():
    def forward(layer, x, h_0, c_0, lengths):
        try:
            got = layer.plain(x, h_0, c_0, lengths)
        except ValueError:
            layer.memory["broken"] = True
            raise
        return Result(got.output * 0, got.h_n * 0, got.c_n) if "broken" in layer.memory else got

    return {"forward": forward}


@family(
    "REFUSE-CELL-STATE-BATCH",
    "a cell that brings x and its states into shape, whatever came",
    "broadcasting, as a cell exported to ONNX does with a state of one sample",
    numeric=False,
)
def cells_accept_anything():
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


@family(
    "REFUSE-CELL-STATE-RANK",
    "a cell that takes states of any rank whose elements it can count off",
    "a kernel that reads N * H numbers from a pointer",
    numeric=False,
)
def cell_states_of_any_rank():
    def step(cell, x, h, c):
        shape = (*np.shape(x)[:-1], cell.config.hidden_size)

        def counted(state):
            if state is None or np.ndim(state) == len(shape):
                return state
            flat = np.asarray(state).ravel()
            return np.resize(flat, shape) if flat.size else state

        return cell.plain(x, counted(h), counted(c))

    return {"step": step}


@family(
    "UNCLAIMED-LENGTHS",
    "another layer than was asked for, where a feature is not claimed",
    "an argument accepted and ignored",
    numeric=False,
    multilayer=False,
    bidirectional=False,
    no_bias=False,
    batch_first=False,
    unbatched=False,
    projection=False,
    initial_state=False,
    lengths=False,
    cells=False,
    parameters=False,
    refuse=False,
)
def ignores_what_it_does_not_claim():
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

    return {"forward": forward, "step": step, "read": lambda p: {n: v + 1 for n, v in p.items()}}


@family(
    "UNCLAIMED-GRADIENTS",
    "gradients twice as large and dropped elements unscaled, where neither is claimed",
    "a draft that was left reachable",
    numeric=False,
    gradients=False,
    dropout=False,
    refuse=False,
)
def trains_though_it_does_not_claim_to():
    def doubled(layer, arguments):
        return {name: 2 * d for name, d in layer.backward(arguments).items()}

    def unscaled(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        return Result(got.output * x.dtype.type(1 - layer.config.dropout), got.h_n, got.c_n)

    return {"gradients": doubled, "train": unscaled}


@family(
    "UNCLAIMED-COTANGENTS",
    "gradients that leave out the cotangent of h_n, which is not claimed and not refused",
    "an argument that is ignored",
    numeric=False,
    features={"gradients"},
    cotangents={"d_output"},
    refuse=False,
)
def unclaimed_cotangent_ignored():
    return {"gradients": lambda layer, arguments: layer.backward(arguments | {"d_h_n": None})}


@family(
    "UNCLAIMED-INITIALIZATION",
    "initial values that are off by one, where initialization is not claimed",
    "a default of the framework that was passed on",
    numeric=False,
    initialization=False,
    refuse=False,
)
def initial_values_though_not_claimed():
    return {"initial": lambda config, given, seed: {name: value + 1 for name, value in given.items()}}


@family(
    "UNCLAIMED-KIND",
    "halves, where a kind or dtype is not claimed",
    "an argument accepted and ignored",
    numeric=False,
    kinds="lstm",
    dtypes=("float32",),
    refuse=False,
)
def other_kinds_and_dtypes_halved():
    def result(layer, got, _):
        if layer.config.kind == "lstm" and layer.config.dtype == "float32":
            return got
        return Result(got.output / 2, got.h_n / 2, got.c_n)

    return {"result": result}


@family(
    "BIDIRECTIONAL-EQUATION",
    "a refusal of two directions, which are claimed",
    "a claim that was copied",
    features={"bidirectional"},
)
def refuses_what_it_claims():
    def forward(layer, x, h_0, c_0, lengths):
        if layer.config.bidirectional:
            raise Unsupported("one direction only")
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward}


@family("FORWARD-EQUATION", "an exception in every call", "a kernel that is missing")
def raises_in_forward():
    def forward(layer, x, h_0, c_0, lengths):
        raise RuntimeError("the kernel is missing")

    return {"forward": forward}
