"""Shapes: the layouts of arguments and results, which change no number."""

import numpy as np

from conformance.backend import Result
from conformance.engine.compare import Failed, describe_shape_or_kind
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import unbatched_layers


def expect_shape(name, got, expected):
    """Raise Failed unless ``got`` is an array of that shape."""
    if not isinstance(got, np.ndarray) or got.shape != expected:
        raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected shape {expected}")


def batched(call):
    return not call.unbatched


def time_major(call):
    return not call.unbatched and not call.config.batch_first


@decides("SHAPE-OUTPUT", when=time_major)
def test_output_shape(trial):
    call, config = trial.call, trial.call.config
    steps = (call.T,) if call.every_step else ()
    expect_shape("output", trial.returned.output, (*steps, call.N, config.directions * config.output_size))


@decides("SHAPE-H-N", when=time_major)
def test_h_n_shape(trial):
    config = trial.call.config
    rows = config.directions * config.num_layers
    expect_shape("h_n", trial.returned.h_n, (rows, trial.call.N, config.output_size))


@decides("SHAPE-C-N", when=time_major)
def test_c_n_shape(trial):
    config = trial.call.config
    rows = config.directions * config.num_layers
    expect_shape("c_n", trial.returned.c_n, (rows, trial.call.N, config.hidden_size))


@decides("SHAPE-NO-C-N")
def test_no_c_n(trial):
    if trial.returned.c_n is not None:
        raise Failed(f"c_n: got {describe_shape_or_kind(trial.returned.c_n)}, expected None")


@decides("SHAPE-DTYPE")
def test_dtype(trial):
    expected = trial.call.x.dtype
    for name, array in zip(Result._fields, trial.returned, strict=True):
        if array is not None and array.dtype != expected:
            raise Failed(f"{name}: got dtype {array.dtype}, expected {expected}")


@decides("SHAPE-BATCH-FIRST", when=batched)
def test_batch_first_shapes(trial):
    config, N = trial.call.config, trial.call.N
    rows = config.directions * config.num_layers
    expect_shape("output", trial.returned.output, (N, trial.call.T, config.directions * config.output_size))
    expect_shape("h_n", trial.returned.h_n, (rows, N, config.output_size))
    if config.kind == "lstm":
        expect_shape("c_n", trial.returned.c_n, (rows, N, config.hidden_size))


def transposed(call):
    """Return the call in the other layout of x; the states are the same in both."""
    config = call.config
    other = type(config)(**{**vars(config), "batch_first": not config.batch_first})
    return call.replace(config=other, x=np.ascontiguousarray(np.swapaxes(call.x, 0, 1)))


def output_transposed(result):
    return Result(np.swapaxes(result.output, 0, 1), result.h_n, result.c_n)


def without_lengths(call):
    return batched(call) and call.lengths is None


@decides("BATCH-FIRST-EQUATION", when=without_lengths)
@decides("LENGTHS-BATCH-FIRST", when=batched)
def test_batch_first_is_a_transpose(trial):
    trial.same(trial.other(transposed(trial.call)).got, output_transposed, other="the transposed call")


@decides("SHAPE-UNBATCHED")
def test_unbatched_shapes(trial):
    config = trial.call.config
    rows = config.directions * config.num_layers
    expect_shape("output", trial.returned.output, (trial.call.T, config.directions * config.output_size))
    expect_shape("h_n", trial.returned.h_n, (rows, config.output_size))
    if config.kind == "lstm":
        expect_shape("c_n", trial.returned.c_n, (rows, config.hidden_size))


def batch_of_one(call):
    axis = 0 if call.config.batch_first else 1
    h_0, c_0 = (None if s is None else s[:, None] for s in (call.h_0, call.c_0))
    return call.replace(x=np.expand_dims(call.x, axis), h_0=h_0, c_0=c_0)


@decides("UNBATCHED-EQUATION")
def test_unbatched_is_a_batch_of_one(trial):
    axis = 0 if trial.call.config.batch_first else 1

    def view(result):
        c_n = None if result.c_n is None else result.c_n[:, None]
        return Result(np.expand_dims(result.output, axis), result.h_n[:, None], c_n)

    trial.same(trial.other(batch_of_one(trial.call)).got, view, other="a batch of one")


@decides("UNBATCHED-BATCH-FIRST", draw=unbatched_layers)
def test_unbatched_ignores_batch_first(trial):
    config = trial.call.config
    time_first = type(config)(**{**vars(config), "batch_first": False})
    trial.same(trial.other(trial.call.replace(config=time_first)).got, other="without batch_first")
    trial.agrees()
