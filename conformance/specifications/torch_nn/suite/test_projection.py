"""Projection: LSTM with proj_size. Other modules decide its stacks, directions and lengths."""

from dataclasses import replace

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.suite.test_shapes import expect_shape, time_major
from conformance.specifications.torch_nn.suite.test_state import free_of_lengths, optional


@decides("PROJ-EQUATION")
@decides("PROJ-STATE")
def test_projection(trial):
    trial.agrees()


@decides("PROJ-SHAPES", when=time_major)
def test_projection_shapes(trial):
    config, call = trial.call.config, trial.call
    rows = config.directions * config.num_layers
    expect_shape("output", trial.returned.output, (call.T, call.N, config.directions * config.proj_size))
    expect_shape("h_n", trial.returned.h_n, (rows, call.N, config.proj_size))
    expect_shape("c_n", trial.returned.c_n, (rows, call.N, config.hidden_size))


def selecting(call):
    """Return the call with projections that select the first P units in reverse order, and an unprojected twin.

    The twin gives the same numbers: the other columns of its W_hh, and of the next layer's W_ih, are zero.
    """
    H, P, D = call.config.hidden_size, call.config.proj_size, call.config.directions
    selected = np.arange(P)[::-1]
    projected, plain = {}, {}
    for name, value in call.parameters.items():
        if name.startswith("weight_hr"):
            projected[name] = np.eye(H, dtype=value.dtype)[selected]
            continue
        projected[name] = value
        if name.startswith("weight_hh"):
            plain[name] = spread_columns(value, selected, H)
        elif name.startswith("weight_ih") and not name.startswith("weight_ih_l0"):
            plain[name] = np.concatenate([spread_columns(v, selected, H) for v in np.split(value, D, axis=1)], axis=1)
        else:
            plain[name] = value
    h_0 = None if call.h_0 is None else spread_columns(call.h_0, selected, H)
    twin = call.replace(config=replace(call.config, proj_size=0), parameters=plain, h_0=h_0)
    return call.replace(parameters=projected), twin, selected


def spread_columns(value, columns, size):
    """Widen the last axis to ``size``: put its elements at ``columns`` and zeros elsewhere."""
    spread = np.zeros((*value.shape[:-1], size), value.dtype)
    spread[..., columns] = value
    return spread


@decides("PROJ-SELECTION", when=free_of_lengths)
def test_a_selecting_projection(trial):
    projected, twin, selected = selecting(trial.call)
    D, H = trial.call.config.directions, trial.call.config.hidden_size
    columns = np.concatenate([selected + d * H for d in range(D)])
    got = trial.other(twin).got
    trial.other(projected).same(
        Result(got.output[..., columns], got.h_n[..., selected], optional(got.c_n, slice(None))),
        other="without the projection",
    )
