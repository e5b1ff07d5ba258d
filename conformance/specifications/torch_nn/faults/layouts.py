"""Faults of batch layout, unbatched input, and shapes and dtypes of results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import result_of

FAULTS: list[Fault] = []
layout, unbatched, shapes = (Family(FAULTS, name) for name in ("layout", "unbatched", "shapes"))
FIRST, LONE = {"features": {"batch_first"}}, {"features": {"unbatched"}}


def turned(config, a):
    """Exchange time and batch of x or output if batch_first."""
    return np.ascontiguousarray(np.swapaxes(a, 0, 1)) if config.batch_first and a.ndim == 3 else a


@layout(
    "BATCH-FIRST-EQUATION",
    "a layer that keeps time before batch under batch_first",
    "batch_first accepted and ignored; in the other direction, pytorch/pytorch#1538",
    common=True,
    **FIRST,
)
def batch_first_ignored():
    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        if not config.batch_first or x.ndim == 2:
            return layer.plain(x, h_0, c_0, lengths)
        N = x.shape[1]  # the axis that the fault takes for the batch
        states = (None if s is None else np.resize(s, (s.shape[0], N, s.shape[2])) for s in (h_0, c_0))
        fitted = None if lengths is None else [min(n, x.shape[0]) for n in np.resize(lengths, N)]
        got = layer.plain_of(replace(config, batch_first=False), layer.given, x, *states, fitted)
        ends = (None if s is None else np.resize(s, (s.shape[0], x.shape[0], s.shape[2])) for s in got[1:])
        return Result(got.output, *ends)

    return {"forward": forward}


@layout(
    "BATCH-FIRST-EQUATION",
    "a layer that mistakes batch for time under batch_first where the two have the same size",
    "a test of shapes, x.shape[0] == N, in place of the flag",
    **FIRST,
)
def batch_first_ignored_where_square():
    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        if not config.batch_first or x.ndim == 2 or x.shape[0] != x.shape[1]:
            return layer.plain(x, h_0, c_0, lengths)
        return layer.plain_of(replace(config, batch_first=False), layer.given, x, h_0, c_0, lengths)

    return {"forward": forward}


@layout(
    "BATCH-FIRST-STATES",
    "a layer that reads h_0 and c_0 as (N, D*L, feature) under batch_first",
    "batch_first taken to hold for the states too (pytorch/pytorch#144116, #4145)",
    features={"batch_first", "initial_state"},
    common=True,
)
def batch_first_initial_states_too():
    def read(s):
        return None if s is None else np.ascontiguousarray(s).reshape(s.shape[1], s.shape[0], -1).swapaxes(0, 1)

    def arguments(layer, x, h_0, c_0, lengths):
        if layer.config.batch_first and x.ndim == 3:
            h_0, c_0 = read(h_0), read(c_0)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@layout(
    "SHAPE-BATCH-FIRST",
    "a layer that returns h_n and c_n as (N, D*L, feature) under batch_first",
    "batch_first taken to hold for the states too (pytorch/pytorch#144116, #4145)",
    common=True,
    **FIRST,
)
def batch_first_final_states_too():
    def result(layer, got, lengths):
        if not layer.config.batch_first or got.output.ndim == 2:
            return got
        return Result(got.output, *(None if s is None else np.swapaxes(s, 0, 1) for s in got[1:]))

    return {"result": result}


@layout(
    "SHAPE-BATCH-FIRST",
    "a layer that returns output as (T, N, feature) under batch_first",
    "the input turned on the way in, the output not on the way out",
    common=True,
    **FIRST,
)
def batch_first_output_time_first():
    return {"result": lambda layer, got, _: Result(turned(layer.config, got.output), *got[1:])}


@layout(
    "BATCH-FIRST-EQUATION",
    "a layer whose output under batch_first is the (T, N) one reshaped to (N, T), not turned",
    "reshape where transpose is meant",
    **FIRST,
)
def batch_first_output_reshaped():
    return {
        "result": lambda layer, got, _: Result(turned(layer.config, got.output).reshape(got.output.shape), *got[1:])
    }


@layout(
    "BATCH-FIRST-EQUATION",
    "a layer that under batch_first reshapes x from (N, T) to (T, N) instead of turning it",
    "reshape where transpose is meant",
    **FIRST,
)
def batch_first_input_reshaped():
    def arguments(layer, x, h_0, c_0, lengths):
        if layer.config.batch_first and x.ndim == 3:
            x = np.swapaxes(np.ascontiguousarray(x).reshape(x.shape[1], x.shape[0], -1), 0, 1)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@layout(
    "LENGTHS-BATCH-FIRST",
    "a layer that under batch_first takes the lengths for those of (T, N) input cut along the batch",
    "a mask built as (T, N) and applied to (N, T)",
    features={"batch_first", "lengths"},
)
def batch_first_mask_reshaped():
    def result(layer, got, lengths):
        if lengths is None or not layer.config.batch_first:
            return got
        N, T = got.output.shape[:2]
        mask = (np.arange(T)[:, None] < np.asarray(lengths)).reshape(N, T, 1)
        return Result(got.output * mask, *got[1:])

    return {"result": result}


# --- unbatched -----------------------------------------------------------------------------------------


@unbatched(
    "SHAPE-UNBATCHED", "results with a batch of one for unbatched input", "an axis added and not taken away", **LONE
)
def unbatched_gets_a_batch():
    def result(layer, got, lengths):
        if got.output.ndim == 3:
            return got
        return Result(got.output[:, None], got.h_n[:, None], None if got.c_n is None else got.c_n[:, None])

    return {"result": result}


@unbatched(
    "UNBATCHED-BATCH-FIRST",
    "a layer that reads unbatched input from the end under batch_first",
    "an axis added at the wrong place, time and batch exchanged",
    features={"unbatched", "batch_first"},
)
def unbatched_flipped_under_batch_first():
    def arguments(layer, x, h_0, c_0, lengths):
        flip = x.ndim == 2 and layer.config.batch_first
        return x[::-1].copy() if flip else x, h_0, c_0, lengths

    return {"arguments": arguments}


@unbatched(
    "UNBATCHED-BATCH-FIRST",
    "a layer that takes the steps of unbatched input for samples of one step under batch_first",
    "x of (T, I) given an axis in the middle, as (N, 1, I)",
    features={"unbatched", "batch_first"},
)
def unbatched_steps_are_samples():
    def forward(layer, x, h_0, c_0, lengths):
        if x.ndim == 3 or not layer.config.batch_first:
            return layer.plain(x, h_0, c_0, lengths)
        T = len(x)
        states = (None if s is None else np.repeat(s[:, None], T, axis=1) for s in (h_0, c_0))
        got = layer.plain(x[:, None], *states)
        return Result(got.output[:, 0], *(None if s is None else s[:, -1] for s in got[1:]))

    return {"forward": forward}


@unbatched(
    "UNBATCHED-EQUATION",
    "a layer that takes unbatched input times 0.999",
    "a path of its own for no batch",
    **LONE,
)
def unbatched_scaled():
    def arguments(layer, x, h_0, c_0, lengths):
        return x * x.dtype.type(0.999) if x.ndim == 2 else x, h_0, c_0, lengths

    def step(cell, x, h, c):
        return cell.plain(x * x.dtype.type(0.999) if x.ndim == 1 else x, h, c)

    return {"arguments": arguments, "step": step}


@unbatched(
    "UNBATCHED-EQUATION",
    "a layer that ignores the states of unbatched input",
    "states looked for with an axis of samples",
    features={"unbatched", "initial_state"},
)
def unbatched_states_ignored():
    def arguments(layer, x, h_0, c_0, lengths):
        return (x, None, None, lengths) if x.ndim == 2 else (x, h_0, c_0, lengths)

    def step(cell, x, h, c):
        return cell.plain(x) if x.ndim == 1 else cell.plain(x, h, c)

    return {"arguments": arguments, "step": step}


# --- shapes and dtypes ---------------------------------------------------------------------------------


@shapes("SHAPE-DTYPE", "results in float64 whatever the layer's dtype", "NumPy's default dtype left in", numeric=False)
def results_in_float64():
    def wide(a):
        return a.astype(np.float64)

    def narrow_too(layer, got, lengths):
        other = np.float32 if layer.dtype == np.float64 else np.float64
        return result_of(lambda a: a.astype(other), got)

    def step(cell, x, h, c):
        return tuple(None if a is None else wide(a) for a in cell.plain(x, h, c))

    return {"result": narrow_too, "step": step}


@shapes("SHAPE-H-N", "h_n and c_n without their first axis", "states of all rows joined into one", numeric=False)
def states_flattened():
    def flat(a):
        return None if a is None else a.reshape(-1, a.shape[-1])

    return {"result": lambda layer, got, _: Result(got.output, flat(got.h_n), flat(got.c_n))}


@shapes(
    "SHAPE-OUTPUT", "the output of the last step alone", "return_sequences=False, the default of Keras", numeric=False
)
def last_output_only():
    return {"result": lambda layer, got, _: Result(got.output[-1:], got.h_n, got.c_n)}


@shapes(
    "SHAPE-OUTPUT",
    "an output that keeps the two directions in an axis of their own",
    "the layout of ONNX's Y, (T, D, N, H)",
    features={"bidirectional"},
    numeric=False,
)
def output_of_two_axes():
    def result(layer, got, lengths):
        if not layer.config.bidirectional:
            return got
        return Result(np.stack(np.split(got.output, 2, axis=-1), axis=1), *got[1:])

    return {"result": result}


@shapes(
    "SHAPE-NO-C-N",
    "a c_n for every kind",
    "one form of result for all kinds",
    kinds=("rnn_tanh", "rnn_relu", "gru"),
    numeric=False,
)
def c_n_for_all():
    return {"result": lambda layer, got, _: Result(got.output, got.h_n, got.h_n)}


@shapes("SHAPE-C-N", "no c_n for an LSTM", "a form of result without a cell state", kinds="lstm", numeric=False)
def c_n_missing():
    return {"result": lambda layer, got, _: Result(got.output, got.h_n)}


@shapes("SHAPE-OUTPUT", "lists where arrays are due", "values read through JSON", numeric=False)
def returns_lists():
    return {"result": lambda layer, got, _: Result(got.output.tolist(), got.h_n, got.c_n)}


@shapes(
    "CELL-SHAPES",
    "a cell's h' without the tuple",
    "one form of result for all cells",
    features={"cells"},
    numeric=False,
)
def cells_return_the_state_alone():
    return {"step": lambda cell, x, h, c: cell.plain(x, h, c)[0]}
