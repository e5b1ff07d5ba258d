"""State across calls: a layer or call must leave nothing behind for another, as a cache with too small a key does."""

from dataclasses import replace
from itertools import permutations

import numpy as np

from conformance.backwards import COTANGENTS, cotangents
from conformance.engine.compare import Failed, of_another
from conformance.engine.trial import trial_of
from conformance.engine.wrong_elements import is_right
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.large import LISTS
from conformance.specifications.torch_nn.plans import of_kind
from conformance.specifications.torch_nn.strategies import FLAGS, dropping, plain_layers
from conformance.specifications.torch_nn.suite.test_dropout import expect_trained, read_masks, seed_of
from conformance.specifications.torch_nn.suite.test_robustness import ROUNDS, at_once, own_arguments
from conformance.specifications.torch_nn.suite.test_state import free_of_lengths
from reference.parameters import parameter_shapes


def in_turn(trials):
    """Require the oracle's numbers of each trial, one after the other, twice: all are built before the second round."""
    for trial in trials:
        trial.agrees()
    for trial in trials:
        trial.agrees(trial.run())


def afresh(trial):
    """Return a trial of the same call on another layer, with the same right numbers."""
    fresh = trial_of(trial.subject, trial.call)
    fresh.shares(trial)
    return fresh


def sibling(call, kind, **changes):
    """Return a call without states of a layer that differs in one respect and has the same parameters otherwise."""
    config = of_kind(replace(call.config, **changes), kind, call.config.dtype)
    given = list(call.parameters.values())
    parameters = {}
    for number, (name, shape) in enumerate(parameter_shapes(config).items()):
        own = call.parameters.get(name)
        numbers = given[number % len(given)].ravel() if own is None or own.shape != shape else own
        parameters[name] = np.resize(numbers, shape)
    return LayerCall(config, parameters, call.x, values=call.values)


def siblings(trial, call):
    """Yield a trial of each layer of the same sizes that differs in one flag, and the difference."""
    subject, config = trial.subject, call.config
    for flag, changes in FLAGS.items():
        if subject.features.claims(flag):
            yield trial.other(sibling(call, config.kind, **changes)), changes


@decides("STATE-FLAGS-INDEPENDENT", draw=plain_layers, when=lambda call: call.config.bias, share=0.5)
def test_layers_that_differ_in_one_flag(trial):
    """The layer of this call and each sibling, built and called in both orders.

    Where a sibling of one unit more is wrong as well, another requirement decides.
    """
    extent = min(trial.call.x.shape[:2])
    plain = trial.other(sibling(trial.call.replace(x=trial.call.x[:extent, :extent]), trial.call.config.kind))
    units = trial.call.config.hidden_size + 1
    for other, changes in siblings(trial, plain.call):
        try:
            for pair in permutations((plain, other)):
                in_turn([afresh(each) for each in pair])
        except Failed as failure:
            kind = other.call.config.kind
            apart = trial_of(other.subject, sibling(plain.call, kind, hidden_size=units, **changes))
            if other.subject.features.takes(apart.call.config.input_size, units) and not is_right(apart):
                raise of_another(failure) from None
            raise


@decides("STATE-SHAPES-IN-TURN", when=free_of_lengths)
def test_calls_of_two_shapes_in_turn(trial):
    """Calls of more steps or samples between calls of this one: the numbers of all are looked at.

    Where such a call is wrong on a fresh layer as well, another requirement decides.
    """
    call, features = trial.call, trial.subject.features
    trial.agrees()
    for axis, extent in enumerate(("steps", "samples")):
        if features.fixes(extent):
            continue
        larger = {"x": np.repeat(call.x, 2, axis=axis)}
        for name in ("h_0", "c_0"):
            state = getattr(call, name)
            larger[name] = state if state is None or extent == "steps" else np.repeat(state, 2, axis=1)
        apart = trial.other(call.replace(**larger))
        try:
            apart.agrees(trial.run(**larger))
        except Failed as failure:
            if not is_right(apart):
                raise of_another(failure) from None
            raise failure.about(f"a call with twice as many {extent}, after this one") from None
        try:
            trial.agrees(trial.run())
        except Failed as failure:
            raise failure.about(f"this call again, after one with twice as many {extent}") from None


@decides("PARAM-KEPT")
def test_parameters_after_calls(trial):
    """Forward, and where claimed backward and training, between two readings."""
    layer, features = trial.layer, trial.subject.features
    trial.run()
    with trial.subject.calling("calls between two readings of the parameters"):
        if features.gradients:
            given = cotangents(features, trial.call.config.kind)[:1]
            d = (np.ones_like(a) if name in given else None for name, a in zip(COTANGENTS, trial.got, strict=True))
            layer.gradients(*own_arguments(trial.call), *d)
        if features.dropout:
            layer.forward_training(*own_arguments(trial.call), seed=1)
        came = dict(layer.parameters())
    for name, value in trial.call.parameters.items():
        read = came.get(name)
        if read is None or np.shape(read) != value.shape or np.asarray(read).tobytes() != value.tobytes():
            raise Failed(f"{name} read back after calls is not what was loaded")


@decides("DROPOUT-BEFORE-INFERENCE", draw=dropping(upper="showing"))
def test_training_before_the_first_inference(trial):
    """A fresh layer is trained, used, and trained again; both kinds of results are looked at."""
    fresh = trial.other(trial.call)
    seed = seed_of(trial)
    for number in range(2):
        got = fresh.train(seed + number)
        expect_trained(fresh, got, read_masks(fresh, got)[0])
        fresh.agrees(fresh.run())
    trial.margin = fresh.margin


@decides("ROBUST-THREADS-OVERLAP", draw=LISTS["ROBUST-THREADS-OVERLAP"], share=100)
def test_long_calls_from_four_threads(trial):
    """Calls that take long enough to overlap, each compared with the same call alone."""
    calls = [trial.call.replace(x=trial.call.x * factor) for factor in (1, -1, 0.5, -0.5)]
    alone = [trial.other(call) for call in calls]
    for each in alone:
        each.got  # noqa: B018  before the calls at once
    for _ in range(ROUNDS):
        for each, got in zip(alone, at_once(trial, calls), strict=True):
            each.same(each.shaped(got, each.call), other="at once with three others")
            trial.margin = max(trial.margin or 0.0, each.margin)
