"""Gradients of a call in training mode, under the masks that the result shows.

The calls are of two layers: there every element of the mask is certain. In a lower mask an element whose value hardly
matters for the result can still matter for a gradient.
"""

import numpy as np

from conformance.engine.compare import Failed, of_another
from conformance.engine.subject import copied, same_bits
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import (
    dropping_gradients,
    training_calls_of_unclaimed_cotangents,
)
from conformance.specifications.torch_nn.suite.test_dropout import expect_trained, read_masks, seed_of
from conformance.specifications.torch_nn.suite.test_unclaimed import asked_for, judging, said_cotangents
from conformance.specifications.torch_nn.trials import wanting

SEEDS = 4  # to try for certain masks


def two_layers(call):
    return call.config.num_layers == 2


def running(call):
    """Return whether each sample still runs at each step, (T, N)."""
    ends = np.full(call.N, call.T) if call.lengths is None else np.asarray(call.lengths)
    return np.arange(call.T)[:, None] < ends


def of_forward(trial):
    """Return a trial of the forward pass, whose masks the checks of dropout read."""
    return trial.other(trial.call.forward)


@decides("TRAINING-GRADIENT-EQUATION", draw=dropping_gradients, when=two_layers)
def test_gradients_under_the_masks(trial):
    """The masks are read from the result that came with the gradients, of a seed under which each element is certain.

    An element is not certain where the unit that it keeps or drops is 0, for instance in saturation.
    """
    for seed in range(seed_of(trial), seed_of(trial) + SEEDS):
        result, d = trial.train_backwards(seed)
        masks, told = read_masks(of_forward(trial), result)
        if all(certain[running(trial.call)].all() for certain in told):
            under = trial.other(wanting(trial.subject, trial.call, "training_gradients").replace(masks=masks))
            under.agrees(d)
            trial.margin = under.margin
            return


@decides("TRAINING-GRADIENT-RESULT", draw=dropping_gradients)
def test_the_result_of_a_training_call(trial):
    """The result is the documented one, and under the masks of ``forward_training`` with that seed.

    Where that has the same wrong numbers, another requirement decides.
    """
    result, _ = trial.train_backwards(seed_of(trial))
    forward = of_forward(trial)
    masks, _ = read_masks(forward, result)
    try:
        expect_trained(forward, result, masks)
    except Failed as failure:
        if trial.subject.features.dropout and all(map(same_bits, result, forward.train(seed_of(trial)))):
            raise of_another(failure) from None
        raise
    if trial.subject.features.dropout:
        masks, _ = read_masks(forward, forward.train(seed_of(trial)))
        expect_trained(forward, result, masks)
    trial.margin = forward.margin


def refused_or_right(trial, what):
    """Require that a training call's gradients are refused, or those under the masks."""
    arguments, seed = copied(trial.call.arguments).values(), seed_of(trial)
    if asked_for(trial, what, lambda layer: layer.gradients_training(*arguments, seed=seed)) is not None:
        with judging(trial, what):
            test_gradients_under_the_masks(trial)


@decides("UNCLAIMED-TRAINING-GRADIENTS", draw=dropping_gradients, when=two_layers)
def test_unclaimed_gradients_of_training(trial):
    refused_or_right(trial, "training_gradients")


@decides("UNCLAIMED-TRAINING-COTANGENTS", draw=training_calls_of_unclaimed_cotangents, when=two_layers)
def test_unclaimed_cotangents_of_training(trial):
    refused_or_right(trial, said_cotangents(trial))
