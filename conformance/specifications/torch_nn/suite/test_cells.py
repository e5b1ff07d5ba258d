"""Cells: a single step, and steps in a loop."""

import numpy as np

from conformance.backend import CellConfig, Result
from conformance.engine.compare import Failed
from conformance.engine.wrong_elements import is_right
from conformance.specifications.torch_nn.calls import CellCall
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import cells, plain_layers
from conformance.specifications.torch_nn.suite.test_shapes import expect_shape
from conformance.specifications.torch_nn.suite.test_state import agrees_or, expect_repeated, joined, optional
from conformance.specifications.torch_nn.trials import CellResult


@decides("CELL-EQUATION", draw=cells)
def test_cell(trial):
    trial.agrees()


@decides("CELL-OMITTED", draw=cells, when=lambda call: call.h is None)
def test_omitted_states_of_a_cell(trial):
    """A failure counts if states of zeros are right; otherwise something else than the omitted states is wrong."""
    call = trial.call
    _, *shapes = call.result_shapes
    zeros = {n: None if s is None else np.zeros(s, call.x.dtype) for n, s in zip(("h", "c"), shapes, strict=True)}
    agrees_or(trial, lambda: is_right(trial.other(call.replace(**zeros))))


@decides("CELL-SHAPES", draw=cells, when=lambda call: not call.unbatched)
def test_cell_shapes(trial):
    shape = (len(trial.call.x), trial.call.config.hidden_size)
    expect_shape("h", trial.returned.h_n, shape)
    if trial.call.config.kind == "lstm":
        expect_shape("c", trial.returned.c_n, shape)
    elif trial.returned.c_n is not None:
        raise Failed("c: got an array, expected None: only lstm has a cell state")
    for name, array in (("h", trial.returned.h_n), ("c", trial.returned.c_n)):
        if array is not None and array.dtype != trial.call.x.dtype:
            raise Failed(f"{name}: got dtype {array.dtype}, expected {trial.call.x.dtype}")


@decides("CELL-UNBATCHED", draw=cells)
def test_unbatched_cell(trial):
    call = trial.call
    batch = trial.other(call.replace(x=call.x[None], h=optional(call.h, None), c=optional(call.c, None))).got
    trial.same(CellResult(None, batch.h_n[0], optional(batch.c_n, 0)), other="a batch of one")
    trial.agrees()


@decides("CELL-LOOP", draw=plain_layers)
def test_a_layer_is_its_cell_in_a_loop(trial):
    call, config = trial.call, trial.call.config
    cell_config = CellConfig(config.kind, config.input_size, config.hidden_size, config.bias, config.dtype)
    parameters = {name.removesuffix("_l0"): value for name, value in call.parameters.items()}
    h, c = call.h_0[0], optional(call.c_0, 0)
    cell = trial.cell_trial(CellCall(cell_config, parameters, call.x[0], h, c))
    steps = []
    for t in range(call.T):
        _, h, c = cell.run(x=call.x[t], h=h, c=c)
        steps.append(Result(h[None], h[None], None if c is None else c[None]))
    if trial.subject.features.layers:
        trial.same(joined(steps), other="the cell in a loop")
    else:
        trial.agrees(joined(steps))


@decides("CELL-SAMPLE-ALONE", draw=cells, when=lambda call: not call.unbatched and len(call.x) > 1)
def test_a_sample_alone(trial):
    call = trial.call
    for n in {0, len(call.x) - 1}:
        one = slice(n, n + 1)
        got = trial.run(x=call.x[one], h=optional(call.h, one), c=optional(call.c, one))
        trial.same(got, lambda r, one=one: CellResult(None, r.h_n[one], optional(r.c_n, one)), other="the sample alone")


@decides("CELL-REPEATED-CALL", draw=cells)
def test_a_repeated_call(trial):
    expect_repeated(trial, trial.run())
