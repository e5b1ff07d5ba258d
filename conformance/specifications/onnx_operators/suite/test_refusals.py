"""Refusals: what does not fit raises an error, and what is not claimed raises one or is right."""

from dataclasses import replace

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.trial import describe_returned
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, DIRECTIONS, INPUTS
from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import NEVER, asking_for, broadly, plain_nodes
from reference.config import numpy_dtype

small = broadly(activations=NEVER)


def resized(array, axis, size):
    """Return the array with ``size`` entries along the axis, repeated or cut off."""
    return np.ascontiguousarray(np.take(array, np.arange(size) % array.shape[axis], axis))


def other_sizes(size):
    """Return sizes other than this one: one more, and 1."""
    return sorted({size + 1, 1} - {size})


# --- inputs ---------------------------------------------------------------------------------------------


@decides("ONNX-REFUSE-X-RANK", draw=small)
def test_rank_of_x(trial):
    X = trial.call.X
    for wrong in (X[None], X[0]):
        trial.rejects(f"X of {wrong.ndim} axes", X=np.ascontiguousarray(wrong))


@decides("ONNX-REFUSE-X-FEATURES", draw=small)
def test_features_of_x(trial):
    I = trial.call.config.input_size
    for size in other_sizes(I):
        trial.rejects(f"X of {size} features for W of {I}", X=resized(trial.call.X, -1, size))


@decides("ONNX-REFUSE-X-DTYPE", draw=small)
def test_type_of_x(trial):
    other = np.dtype("float32" if trial.call.config.dtype == "float64" else "float64")
    trial.rejects(f"X of {other} for {trial.call.config.dtype}", X=trial.call.X.astype(other))


def rejects_parameters(trial, what, **changes):
    """Require an error for the call with other parameters."""
    trial.rejects(what, parameters=trial.call.parameters | changes)


@decides("ONNX-REFUSE-W-ROWS", draw=small)
def test_rows_of_w(trial):
    W = trial.call.parameters["W"]
    for size in (W.shape[1] + trial.call.config.hidden_size, W.shape[1] + 1):
        rejects_parameters(trial, f"W of {size} rows for {W.shape[1]}", W=resized(W, 1, size))


@decides("ONNX-REFUSE-W-DIRECTIONS", draw=small)
def test_directions_of_w(trial):
    D = trial.call.config.directions
    wrong = {name: resized(a, 0, 3 - D) for name, a in trial.call.parameters.items()}
    rejects_parameters(trial, f"parameters of {3 - D} directions for direction={trial.call.config.direction}", **wrong)


@decides("ONNX-REFUSE-HIDDEN-SIZE", draw=small)
def test_hidden_size_against_r(trial):
    config, H = trial.call.config, trial.call.config.hidden_size
    for size in other_sizes(H):
        trial.rejects(f"hidden_size={size} for R of {H} units", config=replace(config, hidden_size=size))


@decides("ONNX-REFUSE-R-COLUMNS", draw=small)
def test_columns_of_r(trial):
    R, H = trial.call.parameters["R"], trial.call.config.hidden_size
    for size in other_sizes(H):
        rejects_parameters(trial, f"R of {size} columns for hidden_size={H}", R=resized(R, 2, size))


def size_decides(requirement, name):
    def test(trial):
        array = trial.call.parameters[name]
        for size in (array.shape[1] + 1, array.shape[1] // 2):
            rejects_parameters(
                trial, f"{name} of {size} numbers for {array.shape[1]}", **{name: resized(array, 1, size)}
            )

    return decides(requirement, draw=broadly(name, activations=NEVER))(test)


test_size_of_b = size_decides("ONNX-REFUSE-B-SIZE", "B")
test_size_of_p = size_decides("ONNX-REFUSE-P-SIZE", "P")


@decides("ONNX-REFUSE-LENGTHS-COUNT", draw=broadly("sequence_lens", activations=NEVER))
def test_number_of_lengths(trial):
    lengths = trial.call.lengths
    for wrong in ([*lengths, 1], list(lengths[:-1]) or [1, 1]):
        if len(wrong) != len(lengths):
            trial.rejects(f"{len(wrong)} lengths for {len(lengths)} samples", sequence_lens=tuple(wrong))


@decides("ONNX-REFUSE-LENGTHS-NEGATIVE", draw=broadly("sequence_lens", activations=NEVER))
def test_negative_length(trial):
    wrong = (*trial.call.lengths[:-1], -1)
    trial.rejects(f"lengths {list(wrong)}", sequence_lens=wrong)


@decides("ONNX-REFUSE-LENGTHS-BEYOND", draw=broadly("sequence_lens", activations=NEVER))
def test_length_beyond_the_steps(trial):
    wrong = (*trial.call.lengths[:-1], trial.call.T + 1)
    trial.rejects(f"lengths {list(wrong)} for {trial.call.T} steps", sequence_lens=wrong)


def state_decides(requirement, name, axis_of, sizes):
    def test(trial):
        state, axis = getattr(trial.call, name), axis_of(trial.call.config)
        for size in sizes(state.shape[axis]):
            wrong = resized(state, axis, size)
            trial.rejects(f"{name} of shape {wrong.shape} for {state.shape}", **{name: wrong})

    return decides(requirement, draw=broadly(name, activations=NEVER))(test)


def of_size(config):
    return 2


def of_samples(config):
    return 0 if config.layout else 1


def of_directions(config):
    return 1 if config.layout else 0


def other_directions(D):
    return [3 - D]


test_size_of_initial_h = state_decides("ONNX-REFUSE-INITIAL-H-SIZE", "initial_h", of_size, other_sizes)
test_samples_of_initial_h = state_decides("ONNX-REFUSE-INITIAL-H-SAMPLES", "initial_h", of_samples, other_sizes)
test_directions_of_initial_h = state_decides(
    "ONNX-REFUSE-INITIAL-H-DIRECTIONS", "initial_h", of_directions, other_directions
)
test_size_of_initial_c = state_decides("ONNX-REFUSE-INITIAL-C-SIZE", "initial_c", of_size, other_sizes)
test_samples_of_initial_c = state_decides("ONNX-REFUSE-INITIAL-C-SAMPLES", "initial_c", of_samples, other_sizes)


# --- attributes -----------------------------------------------------------------------------------------


@decides("ONNX-REFUSE-ACTIVATION-UNKNOWN", draw=asking_for("activations"))
def test_unknown_function(trial):
    names = ["Swish", *trial.call.config.activations[1:]]
    trial.rejects(f"activations={names}", config=replace(trial.call.config, activations=names))


@decides("ONNX-REFUSE-ACTIVATIONS-COUNT", draw=asking_for("activations"))
def test_number_of_functions(trial):
    config = trial.call.config
    names = list(config.activations)
    for wrong in ([*names, "Tanh"], names[:-1]):
        if wrong:
            trial.rejects(f"{len(wrong)} activations for {len(names)}", config=replace(config, activations=wrong))


# --- what is not claimed --------------------------------------------------------------------------------


def expect_refused(trial, what):
    """Raise Failed unless the backend raises an error or returns right outputs, which the trial's note reports."""
    came = trial.attempt(parameters=dict(trial.call.parameters))
    if isinstance(came, Exception):
        return
    try:
        outputs = trial.shaped(trial.form.receive(came), trial.call)
        expected = numpy_dtype(trial.call.config.dtype)
        for name, array in outputs.items():
            if array.dtype != expected:
                raise Failed(f"{name}: got dtype {array.dtype}, expected {expected}")
        trial.agrees(outputs)
    except Failed as failure:
        raise Failed(
            f"{what} is not claimed and not refused: {describe_returned(came)} came back and is wrong: {failure}"
        ) from None
    trial.note = f"{what} is not claimed, and the outputs are right: it could be"


def unclaimed_decides(name):
    def test(trial):
        expect_refused(trial, name)

    requirement = f"ONNX-UNCLAIMED-{name.upper().replace('_', '-')}"
    return decides(requirement, draw=asking_for(name), when=lambda call: name in call.uses)(test)


for _name in (*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS):
    globals()[f"test_unclaimed_{_name.lower()}"] = unclaimed_decides(_name)


@decides("ONNX-UNCLAIMED-OPERATOR", draw=plain_nodes)
def test_an_unclaimed_operator(trial):
    expect_refused(trial, f"the operator {trial.subject.kind}")


@decides("ONNX-UNCLAIMED-DTYPE", draw=plain_nodes)
def test_an_unclaimed_type(trial):
    expect_refused(trial, f"the type {trial.subject.dtype}")
