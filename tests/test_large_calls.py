"""Calls that are large in one respect: which are listed, and how few numbers decide about them."""

from dataclasses import replace

import numpy as np
import pytest

from conformance import Features
from conformance.backends.oracle import OracleBackend
from conformance.engine.drawing import Plans, Streams
from conformance.engine.profiles import PROFILES
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn import TORCH_NN, large
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.suite.test_large import WINDOW
from tests.harness import all_checks, subject_of

ALL = OracleBackend.features
CHECKS = {check.requirement: check for check in all_checks()}


def test_the_lists_name_the_sizes():
    assert [plan.T for plan in large.steps(ALL)] == [65537]
    assert [plan.N for plan in large.samples(ALL)] == [129, 257, 1025, 65537]
    assert [plan.config.hidden_size for plan in large.units(ALL)] == [129, 257, 513, 1025]
    assert [plan.config.num_layers for plan in large.depth(ALL)] == [5, 10, 5]
    assert {plan.config.hidden_size for plan in large.cells(ALL)} >= {129, 257, 513, 1025}


def test_boundaries_are_added_with_their_neighbours():
    features = replace(ALL, boundaries={96})
    assert {95, 96, 97} <= {plan.config.hidden_size for plan in large.units(features)}
    assert {95, 96, 97} <= {plan.N for plan in large.samples(features)}
    assert {95, 96, 97} <= {plan.T for plan in large.steps(features)}
    assert {95, 96, 97} <= {plan.config.hidden_size for plan in large.cells(features)}


@pytest.mark.parametrize(
    ("claims", "asked"),
    [
        ({"hidden_sizes": {5}}, {"LARGE-STEPS": [], "LARGE-UNITS": [], "LARGE-SAMPLES": [129, 257, 1025]}),
        ({"most_steps": 100}, {"LARGE-STEPS": []}),
        ({"configurations": 5, "fixed_shapes": {"steps"}}, {"LARGE-STEPS": [], "LARGE-SAMPLES": [129, 257, 1025]}),
        ({"configurations": 5, "fixed_shapes": True}, {"LARGE-SAMPLES": [], "CELL-LARGE": [], "LARGE-UNITS": []}),
    ],
    ids=str,
)
def test_limited_backends_are_asked_for_what_they_take(claims, asked):
    features = replace(ALL, **claims)
    for requirement, sizes in asked.items():
        plans = large.LISTS[requirement](features)
        assert [plan.T if requirement == "LARGE-STEPS" else plan.N for plan in plans] == sizes
        applies = TORCH_NN.combinations(features, CHECKS[requirement].entry)
        assert bool(applies) == bool(sizes)


@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
def test_the_state_forgets_the_first_half_of_a_window(kind):
    """The very sequence of LARGE-STEPS, its beginning evaluated at once and in windows."""
    (plan,) = large.steps(ALL)
    call = replace(plan, T=1024).build(kind, "float64")
    subject = subject_of(OracleBackend(), kind, "float64")
    whole = trial_of(subject, call).want.output[:, 0]
    for start in range(0, 1024 - WINDOW + 1, WINDOW // 2):
        window = trial_of(subject, call.replace(x=call.x[start : start + WINDOW], h_0=None, c_0=None)).want.output[:, 0]
        np.testing.assert_allclose(
            window[WINDOW // 2 :], whole[start + WINDOW // 2 : start + WINDOW], rtol=0, atol=1e-14
        )


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        ("samples-past-65535-zero", "output[0, 65535, 0], layer 0, forward direction, step 0, sample 65535, unit 0"),
        ("steps-counted-in-16-bits", "output[65536, 0, 0], layer 0, forward direction, step 65536, sample 0, unit 0"),
    ],
)
def test_a_failure_names_the_place_in_the_whole_call(fault, place):
    check = CHECKS[BANK[fault].requirement]
    as_it_is = replace(PROFILES["quick"], shrink_attempts=0)
    verdict, _ = check.run(Streams(subject_of(BANK[fault].build(), "gru"), Plans(0)), as_it_is)
    assert verdict.failure.startswith(place)


def test_one_wrong_sample_of_many_is_found():
    class Late(OracleBackend):
        def layer(self, config, parameters):
            layer = super().layer(config, parameters)
            forward = layer.forward

            def late(x, *arguments):
                got = forward(x, *arguments)
                if x.shape[1] > 60000:
                    got.output[1, 31234] *= 1.001
                return got

            layer.forward = late
            return layer

    check = CHECKS["LARGE-SAMPLES"]
    verdict, _ = check.run(Streams(subject_of(Late(), "gru"), Plans(0)), PROFILES["quick"])
    assert "sample 31234" in verdict.failure


def test_a_list_ends():
    plans = Plans(0)
    first, second = (plans.block(TORCH_NN, large.LISTS["LARGE-STEPS"], Features(), number) for number in (0, 1))
    assert (len(first), second) == (1, [])
