"""Refusals: invalid arguments raise an error, and a backend refuses features that it does not claim."""

from dataclasses import replace

import numpy as np

from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import cells, unbatched_layers
from conformance.specifications.torch_nn.suite.test_shapes import batched
from reference.config import numpy_dtype
from reference.parameters import parameter_shapes


def other_dtype(name):
    """Return a dtype other than the one of that name."""
    return np.dtype("float32" if name == "float64" else "float64")


def states_of(call):
    """Return the states that a call passes, by name."""
    names = ("h_0", "c_0") if hasattr(call, "h_0") else ("h", "c")
    return {name: state for name in names if (state := getattr(call, name)) is not None}


def resized(array, axis, size):
    """Return the array with ``size`` entries along the axis, repeated or cut off."""
    return np.take(array, np.arange(size) % array.shape[axis], axis)


def expect_states_rejected(trial, change, axis):
    """Raise Failed if the backend accepts a state with one entry too many, or only one entry, along the axis."""
    for name, state in states_of(trial.call).items():
        for size in {state.shape[axis] + 1, 1} - {state.shape[axis]}:
            wrong = resized(state, axis, size)
            trial.rejects(f"{name} of shape {wrong.shape} for {state.shape}, {change}", **{name: wrong})


# --- x ------------------------------------------------------------------------------------------------


@decides("REFUSE-INPUT-RANK", when=batched)
def test_rank_of_x(trial):
    x = trial.call.x
    for wrong in (x[None], x[0, 0]):
        trial.rejects(f"x of {wrong.ndim} axes", x=wrong)


def without_lengths(call):
    return call.lengths is None


@decides("REFUSE-INPUT-FEATURES", when=without_lengths)
@decides("REFUSE-CELL-FEATURES", draw=cells)
def test_features_of_x(trial):
    x, I = trial.call.x, trial.call.config.input_size
    for size in {I + 1, 1} - {I}:
        trial.rejects(f"x of {size} features for input_size={I}", x=resized(x, -1, size))


@decides("REFUSE-INPUT-FEATURES-LENGTHS")
def test_features_of_x_with_lengths(trial):
    call, I = trial.call, trial.call.config.input_size
    for lengths in (call.lengths, (call.T,) * call.N):
        for size in {I + 1, 1} - {I}:
            wrong = {"x": resized(call.x, -1, size), "lengths": lengths}
            trial.rejects(f"x of {size} features for input_size={I}, lengths {list(lengths)}", **wrong)


@decides("REFUSE-INPUT-DTYPE")
@decides("REFUSE-CELL-DTYPE", draw=cells)
def test_dtype_of_x(trial):
    call = trial.call
    wrong = other_dtype(call.config.dtype)
    trial.rejects(f"x of {wrong} for a {call.config.dtype} layer or cell", x=call.x.astype(wrong))


@decides("REFUSE-STEPS-ZERO")
def test_no_step(trial):
    call = trial.call
    x = call.x[:, :0] if call.config.batch_first and not call.unbatched else call.x[:0]
    trial.rejects(f"x of shape {x.shape}, no step", x=x, lengths=None)


@decides("REFUSE-SAMPLES-ZERO", when=lambda call: not call.unbatched and call.lengths is None)
def test_no_sample(trial):
    call = trial.call
    x = call.x[:0] if call.config.batch_first else call.x[:, :0]
    states = {name: state[:, :0] for name, state in states_of(call).items()}
    came = trial.attempt(x=x, **states)
    expected = call.replace(x=x, **states).result_shapes
    if not isinstance(came, Exception):
        shapes = tuple(None if a is None else np.shape(a) for a in trial.form.parts(came))
        if shapes != expected:
            raise Failed(f"x of shape {x.shape}, no sample: got shapes {shapes}, expected an error or {expected}")


# --- states -------------------------------------------------------------------------------------------


@decides("REFUSE-STATE-ROWS", when=without_lengths)
@decides("REFUSE-STATE-ROWS-LENGTHS")
def test_rows_of_states(trial):
    expect_states_rejected(trial, "another number of layers and directions", 0)


@decides("REFUSE-STATE-BATCH", when=lambda call: batched(call) and call.lengths is None)
@decides("REFUSE-STATE-BATCH-LENGTHS", when=batched)
def test_samples_of_states(trial):
    expect_states_rejected(trial, "another number of samples", 1)


@decides("REFUSE-STATE-SIZE", when=without_lengths)
@decides("REFUSE-STATE-SIZE-LENGTHS")
def test_size_of_states(trial):
    expect_states_rejected(trial, "another hidden size", -1)


@decides("REFUSE-PROJ-STATE-SIZE", when=without_lengths)
def test_size_of_states_under_projection(trial):
    call, config = trial.call, trial.call.config
    wrong = resized(call.h_0, -1, config.hidden_size)
    trial.rejects(f"h_0 of hidden_size={config.hidden_size} for proj_size={config.proj_size}", h_0=wrong)
    wrong = resized(call.c_0, -1, config.proj_size)
    trial.rejects(f"c_0 of proj_size={config.proj_size} for hidden_size={config.hidden_size}", c_0=wrong)


@decides("REFUSE-STATE-RANK", when=batched)
def test_unbatched_states_for_a_batch(trial):
    wrong = {name: state[:, 0] for name, state in states_of(trial.call).items()}
    trial.rejects("states without samples for a batch", **wrong)


@decides("REFUSE-STATE-RANK-UNBATCHED", draw=unbatched_layers)
def test_batched_states_for_unbatched_input(trial):
    wrong = {name: state[:, None] for name, state in states_of(trial.call).items()}
    trial.rejects("states with an axis of samples for unbatched input", **wrong)


def rows_differ_from_samples(call):
    rows = call.config.num_layers * call.config.directions
    return batched(call) and call.lengths is None and rows != call.N


@decides("REFUSE-STATE-BATCH-FIRST", when=rows_differ_from_samples)
def test_states_of_the_wrong_layout(trial):
    wrong = {name: np.swapaxes(state, 0, 1).copy() for name, state in states_of(trial.call).items()}
    trial.rejects("states (N, D*L, feature) under batch_first", **wrong)


@decides("REFUSE-STATE-DTYPE")
@decides("REFUSE-CELL-STATE-DTYPE", draw=cells)
def test_dtype_of_states(trial):
    wrong = other_dtype(trial.call.config.dtype)
    for name, state in states_of(trial.call).items():
        trial.rejects(f"{name} of {wrong} for x of {trial.call.config.dtype}", **{name: state.astype(wrong)})


@decides("REFUSE-CELL-STATE-RANK", draw=cells)
def test_rank_of_states(trial):
    """States of a batch for x without one, of as many samples as units too; states without samples for x of a batch."""
    given, H = states_of(trial.call), trial.call.config.hidden_size
    if trial.call.unbatched:
        ways = [lambda a: a[None], lambda a: np.tile(a, (H, 1)), lambda a: a[None, None]]
    else:
        ways = [lambda a: a[0], lambda a: a[None]]
    for change in ways:
        wrong = {name: change(state) for name, state in given.items()}
        shape = wrong[next(iter(given))].shape
        right = trial.call.result_shapes[1]
        trial.rejects(f"states of shape {shape} for x {trial.call.x.shape} (right: {right})", **wrong)


@decides("REFUSE-ONE-STATE")
@decides("REFUSE-CELL-ONE-STATE", draw=cells)
def test_one_state_of_two(trial):
    for name in states_of(trial.call):
        trial.rejects(f"an lstm's states without {name}", **{name: None})


@decides("REFUSE-CELL-STATE")
@decides("REFUSE-CELL-CELL-STATE", draw=cells)
def test_a_cell_state_for_kinds_without(trial):
    (h,) = states_of(trial.call).values()
    name = "c_0" if hasattr(trial.call, "c_0") else "c"
    trial.rejects(f"{name} for {trial.call.config.kind}", **{name: h})


# --- lengths ------------------------------------------------------------------------------------------


def expect_lengths_rejected(trial, *wrong):
    for lengths in wrong:
        trial.rejects(f"lengths {list(lengths)} for {trial.call.N} samples of {trial.call.T} steps", lengths=lengths)


@decides("REFUSE-LENGTHS-ZERO")
def test_lengths_of_zero(trial):
    lengths = trial.call.lengths
    expect_lengths_rejected(trial, (*lengths[:-1], 0), (0,) * len(lengths))


@decides("REFUSE-LENGTHS-NEGATIVE")
def test_negative_lengths(trial):
    lengths = trial.call.lengths
    expect_lengths_rejected(trial, (*lengths[:-1], -1), (-lengths[0], *lengths[1:]))


@decides("REFUSE-LENGTHS-BEYOND-T")
def test_lengths_beyond_the_steps(trial):
    T, lengths = trial.call.T, trial.call.lengths
    expect_lengths_rejected(trial, (*lengths[:-1], T + 1), (2 * T + 1, *lengths[1:]))


@decides("REFUSE-LENGTHS-COUNT")
def test_number_of_lengths(trial):
    lengths = trial.call.lengths
    fewer = [lengths[:-1]] if len(lengths) > 1 else []
    expect_lengths_rejected(trial, (*lengths, lengths[0]), *fewer)


@decides("REFUSE-LENGTHS-FLOAT")
def test_lengths_that_are_no_integers(trial):
    expect_lengths_rejected(trial, tuple(n - 0.5 for n in trial.call.lengths))


@decides("REFUSE-LENGTHS-UNBATCHED")
def test_lengths_for_unbatched_input(trial):
    call = trial.call
    x = call.x[0] if call.config.batch_first else call.x[:, 0]
    states = {name: state[:, 0] for name, state in states_of(call).items()}
    trial.rejects("lengths for unbatched input", x=x, **states, lengths=call.lengths[:1])


# --- configurations -----------------------------------------------------------------------------------


def expect_config_rejected(trial, **wrong):
    """Raise Failed if the backend accepts the configuration, with matching parameters and arguments where possible."""
    call = trial.call
    config = replace(call.config, **wrong)
    changes = {"config": config}
    sizes = (config.input_size, config.hidden_size, getattr(config, "num_layers", 1), getattr(config, "proj_size", 0))
    if min(sizes) >= 0 and config.kind == call.config.kind:
        changes["parameters"] = {n: np.resize(call.x, s) for n, s in parameter_shapes(config).items()}
        changes["x"] = resized(call.x, -1, config.input_size)
    else:
        changes["parameters"] = dict(call.parameters)
    changes |= dict.fromkeys(states_of(call))
    asked = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
    trial.rejects(f"{asked} with hidden_size={config.hidden_size}", **changes)


@decides("REFUSE-SIZES")
@decides("REFUSE-CELL-SIZES", draw=cells)
def test_sizes(trial):
    expect_config_rejected(trial, input_size=-1)
    expect_config_rejected(trial, hidden_size=-1)


@decides("REFUSE-HIDDEN-SIZE-ZERO")
def test_no_unit(trial):
    expect_config_rejected(trial, hidden_size=0, proj_size=0)


@decides("REFUSE-NUM-LAYERS")
def test_number_of_layers(trial):
    for layers in (0, -1):
        expect_config_rejected(trial, num_layers=layers)


@decides("REFUSE-DROPOUT")
def test_dropout_is_a_probability(trial):
    for dropout in (-0.25, 1.5):
        expect_config_rejected(trial, dropout=dropout)


@decides("REFUSE-PROJ-SIZE")
def test_size_of_the_projection(trial):
    H = trial.call.config.hidden_size
    for size in (-1, H, H + 1):
        expect_config_rejected(trial, proj_size=size)


@decides("REFUSE-PROJ-KIND")
def test_only_lstm_has_projections(trial):
    expect_config_rejected(trial, proj_size=1)


@decides("REFUSE-KIND")
@decides("REFUSE-CELL-KIND", draw=cells)
def test_an_unknown_kind(trial):
    for kind in ("rnn_sigmoid", trial.call.config.kind.upper()):
        expect_config_rejected(trial, kind=kind)


# --- parameters ---------------------------------------------------------------------------------------


def one_of(parameters, trial):
    """Return one of the names, which differs between examples."""
    return list(parameters)[int(abs(float(trial.call.x.flat[0])) * 64) % len(parameters)]


@decides("REFUSE-PARAMETERS-MISSING")
@decides("REFUSE-CELL-PARAMETERS-MISSING", draw=cells)
def test_missing_parameters(trial):
    parameters = trial.call.parameters
    left_out = one_of(parameters, trial)
    trial.rejects(f"no {left_out}", parameters={n: v for n, v in parameters.items() if n != left_out})


@decides("REFUSE-PARAMETERS-SUPERFLUOUS")
@decides("REFUSE-CELL-PARAMETERS-SUPERFLUOUS", draw=cells)
def test_superfluous_parameters(trial):
    parameters = trial.call.parameters
    weight = next(name for name in parameters if name.startswith("weight_ih"))
    names = [weight.replace("weight_ih", "weight_hi"), "weight_ih_l7"]
    if not trial.call.config.bias:
        names.append(weight.replace("weight", "bias"))
    for name in names:
        trial.rejects(f"{name} besides the parameters", parameters=parameters | {name: parameters[weight][:, 0]})


@decides("REFUSE-PARAMETERS-SHAPE")
@decides("REFUSE-CELL-PARAMETERS-SHAPE", draw=cells)
def test_shapes_of_parameters(trial):
    parameters = trial.call.parameters
    name = one_of(parameters, trial)
    value = parameters[name]
    for wrong in (resized(value, 0, len(value) + 1), resized(value, -1, 1), value[None], value.T):
        if wrong.shape != value.shape:
            trial.rejects(f"{name} of shape {wrong.shape} for {value.shape}", parameters=parameters | {name: wrong})


@decides("REFUSE-PARAMETERS-DTYPE")
def test_dtype_of_parameters(trial):
    """The numbers are compared with the backend's own for converted parameters."""
    call = trial.call
    mine, wrong = numpy_dtype(call.config.dtype), other_dtype(call.config.dtype)
    given = {name: value.astype(wrong) for name, value in call.parameters.items()}
    came = trial.attempt(parameters=given)
    if not isinstance(came, Exception):
        result = trial.form.receive(came)
        if result.output.dtype != mine:
            raise Failed(f"parameters of {wrong}: got an output of {result.output.dtype}, expected an error or {mine}")
        cast = trial.other(call.replace(parameters={name: value.astype(mine) for name, value in given.items()}))
        cast.same(cast.shaped(result, call), other=f"with parameters given in {wrong}")


# --- cells --------------------------------------------------------------------------------------------


@decides("REFUSE-CELL-RANK", draw=cells, when=lambda call: not call.unbatched)
def test_rank_of_a_cells_x(trial):
    for wrong in (trial.call.x[None], trial.call.x[0, 0]):
        trial.rejects(f"x of {wrong.ndim} axes", x=np.asarray(wrong), h=None, c=None)


@decides("REFUSE-CELL-STATE-BATCH", draw=cells, when=lambda call: not call.unbatched)
def test_samples_of_a_cells_states(trial):
    expect_states_rejected(trial, "another number of samples", 0)


@decides("REFUSE-CELL-STATE-SIZE", draw=cells)
def test_size_of_a_cells_states(trial):
    expect_states_rejected(trial, "another hidden size", -1)


# --- after a rejected call ----------------------------------------------------------------------------


@decides("REFUSE-LEAVES-NOTHING", when=without_lengths)
def test_a_rejected_call_leaves_nothing_behind(trial):
    call = trial.call
    fresh = trial.other(call)  # a new layer, which has not rejected a call yet
    fresh.got  # noqa: B018  before the rejected call
    fresh.rejects("x of one feature too many", x=resized(call.x, -1, call.config.input_size + 1))
    fresh.same(fresh.run(), other="after a rejected call")
