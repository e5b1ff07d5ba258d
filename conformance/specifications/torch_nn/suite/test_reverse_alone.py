"""The reverse direction alone (``Backend.reverse_layer``)."""

from dataclasses import replace

import numpy as np

from conformance.backend import Result
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.optional_forms import reverse_layers
from conformance.specifications.torch_nn.suite.test_lengths import ragged
from conformance.specifications.torch_nn.suite.test_state import optional
from conformance.specifications.torch_nn.suite.test_unclaimed import expect_refused


@decides("REVERSE-ALONE-EQUATION", draw=reverse_layers)
@decides("REVERSE-ALONE-LENGTHS", draw=reverse_layers, when=ragged)
def test_reverse_layer_agrees_with_the_formula(trial):
    trial.agrees()


def one_layer(call):
    return call.config.num_layers == 1


@decides("REVERSE-ALONE-HALF", draw=reverse_layers, when=one_layer)
def test_reverse_layer_is_half_of_a_bidirectional_one(trial):
    """The forward half has the same parameters; its states are zeros."""
    call, O = trial.call, trial.call.config.output_size
    parameters = call.parameters | {f"{name}_reverse": value for name, value in call.parameters.items()}

    def both(state):
        return None if state is None else np.concatenate([np.zeros_like(state), state])

    whole = LayerCall(
        replace(call.config, bidirectional=True),
        parameters,
        call.x,
        both(call.h_0),
        both(call.c_0),
        call.lengths,
        call.values,
    )
    got = trial_of(trial.subject, whole).got
    half = Result(got.output[..., O:], got.h_n[1:], optional(got.c_n, slice(1, None)))
    trial.same(half, other="the reverse half of a bidirectional layer")


@decides("UNCLAIMED-REVERSE-ALONE", draw=reverse_layers)
def test_an_unclaimed_reverse_layer(trial):
    expect_refused(trial, "reverse_alone")
