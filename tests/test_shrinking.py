"""The call that is shown of a failure is small, and of the small ones it is the clearest."""

from dataclasses import replace

import numpy as np
import pytest

from conformance import Features
from conformance.engine.compare import Failed
from conformance.engine.deadline import Deadline
from conformance.engine.drawing import Streams
from conformance.engine.profiles import PROFILES
from conformance.specifications.torch_nn import TORCH_NN, cuts
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.faults.changed import Change, Changed, samples_of, steps_of
from conformance.specifications.torch_nn.gradient_strategies import gradient_calls
from conformance.specifications.torch_nn.strategies import large_batches, layers, long_layers
from tests.harness import PLANS, all_checks, subject_of

QUICK = PROFILES["quick"]


def checks_of(requirement):
    return [check for check in all_checks() if check.requirement == requirement]


def wrong_where(when, amount=0.01):
    """Return a backend whose output is off by ``amount`` in calls that ``when(layer, x, lengths)`` selects."""

    def forward(layer, x, h_0, c_0, lengths):
        found = layer.plain(x, h_0, c_0, lengths)
        return found._replace(output=found.output + np.float32(amount)) if when(layer, x, lengths) else found

    return Changed("off", Change(forward=forward), gradients=False)


def smallest(check, backend, kind="lstm", profile=QUICK):
    """Return the smallest failing call of a check, and its verdict."""
    verdict, call = check.run(Streams(subject_of(backend, kind), PLANS), profile)
    assert not verdict.passed
    return call, verdict


@pytest.mark.parametrize(
    ("requirement", "when", "extent", "expected"),
    [
        ("LONG-SEQUENCE-EQUATION", lambda layer, x, lengths: steps_of(layer, x) > 1, "T", 2),
        ("LONG-SEQUENCE-EQUATION", lambda layer, x, lengths: steps_of(layer, x) > 3, "T", 4),
        ("LONG-SEQUENCE-EQUATION", lambda layer, x, lengths: steps_of(layer, x) > 32, "T", 33),
        ("LONG-SEQUENCE-EQUATION", lambda layer, x, lengths: steps_of(layer, x) > 40, "T", 41),
        ("LARGE-BATCH-EQUATION", lambda layer, x, lengths: samples_of(layer, x) > 1, "N", 2),
        ("LARGE-BATCH-EQUATION", lambda layer, x, lengths: samples_of(layer, x) > 32, "N", 33),
    ],
)
def test_steps_and_samples_are_as_few_as_the_failure_needs(requirement, when, extent, expected):
    (check,) = checks_of(requirement)
    call, _ = smallest(check, wrong_where(when))
    assert getattr(call, extent) == expected
    assert (call.config.hidden_size, call.config.input_size, call.config.num_layers) == (1, 1, 1)
    assert call.lengths is None
    assert call.h_0 is None
    assert "readable" in call.values


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("square-weight-ih-transposed", (1, 1, 2, 2)),
        ("hidden-size-past-8-tail", (1, 1, 1, 9)),
        ("steps-past-64-repeated", (65, 1, 1, 1)),
        ("second-layer-reverse-state-ignored", (1, 1, 1, 1)),
        ("lengths-one-long", (2, 1, 1, 1)),
        ("results-sorted-by-length", (2, 2, 1, 1)),
        ("cotangent-of-the-last-step-only", (2, 1, 1, 1)),
        ("cells-without-bias-hh", (1, 1, 1, 1)),
    ],
)
def test_faults_of_the_bank_are_shown_in_small(name, expected):
    fault = BANK[name]
    (check,) = checks_of(fault.requirement)
    call, _ = smallest(check, fault.build())
    config, T = call.config, getattr(call, "T", 1)
    assert (T, call.N, config.input_size, config.hidden_size) == expected


def test_of_the_smallest_calls_the_clearest_is_shown():
    fault = BANK["lengths-ignored"]
    for requirement in ("LENGTHS-EQUATION", "LENGTHS-FINAL-STATE"):
        (check,) = checks_of(requirement)
        _, verdict = smallest(check, fault.build())
        assert verdict.margin > 1000


def test_the_same_failure_is_shown_by_the_same_call():
    (check,) = checks_of("LENGTHS-EQUATION")
    backend = wrong_where(lambda layer, x, lengths: lengths is not None)
    assert repr(smallest(check, backend)[0]) == repr(smallest(check, backend)[0])


def test_attempts_are_counted():
    (check,) = checks_of("FORWARD-EQUATION")
    backend = wrong_where(lambda layer, x, lengths: True)
    for attempts in (1, 10):
        judged = []

        def law(trial, judged=judged):
            judged.append(trial.subject.backend is backend)
            check.law(trial)

        smallest(replace(check, law=law), backend, profile=replace(QUICK, shrink_attempts=attempts))
        assert sum(judged) == 1 + attempts


def test_a_cut_is_not_taken_where_the_oracle_fails_too():
    (check,) = checks_of("LONG-SEQUENCE-EQUATION")

    def law(trial):
        if trial.call.T == 1:
            failure = Failed("a law that does not speak of one step")
            failure.margin = np.inf
            raise failure
        check.law(trial)

    call, _ = smallest(replace(check, law=law), wrong_where(lambda layer, x, lengths: True))
    assert call.T == 2


def test_a_law_that_breaks_on_a_cut_call_does_not_break_the_suite():
    (check,) = checks_of("LONG-SEQUENCE-EQUATION")

    def law(trial):
        assert list(range(trial.call.T))[9] == 9
        check.law(trial)

    call, _ = smallest(replace(check, law=law), wrong_where(lambda layer, x, lengths: True))
    assert call.T == 10


def test_another_failure_is_not_taken_for_the_same():
    """Wrong numbers in long sequences stay the failure, though short ones are wrong by a little."""
    (check,) = checks_of("LONG-SEQUENCE-EQUATION")
    inner = wrong_where(lambda layer, x, lengths: steps_of(layer, x) > 8).change.forward

    def forward(layer, x, h_0, c_0, lengths):
        found = inner(layer, x, h_0, c_0, lengths)
        return found._replace(output=found.output + np.float32(2e-6))

    call, verdict = smallest(check, Changed("off", Change(forward=forward), gradients=False))
    assert call.T == 9
    assert verdict.margin > 1000


def test_shrinking_ends_with_the_time():
    (check,) = checks_of("FORWARD-EQUATION")
    now = [0.0]

    def when(layer, x, lengths):
        now[0] += 1.0
        return True

    subject = subject_of(wrong_where(when), "lstm")
    subject.deadline = Deadline(5.0, lambda: now[0])
    verdict, _ = check.run(Streams(subject, PLANS), QUICK)
    assert not verdict.passed
    assert now[0] == 2.0  # the failure, and one attempt in 0.4 of the time


@pytest.mark.parametrize(
    "features",
    [
        Features(),
        Features(configurations=3),
        Features(configurations=3, fixed_shapes=True),
        Features(configurations=3, fixed_shapes={"steps"}),
        Features(fixed_shapes={"samples"}),
    ],
)
@pytest.mark.parametrize("draw", [layers, long_layers, large_batches, gradient_calls])
def test_cuts_are_smaller_calls_that_the_claims_allow(draw, features):
    for plan in PLANS.block(TORCH_NN, draw, features, 0):
        for smaller in (smaller for cut in plan.cuts(features) for smaller in cut(plan)):
            smaller.build("lstm", "float32").config.validate()
            new, old = (getattr(each, "layer", each) for each in (smaller, plan))
            assert new.T <= old.T
            assert (new.N or 1) <= (old.N or 1)
            assert features.configurations is None or new.config == old.config
            assert not features.fixes("steps") or new.T == old.T
            assert not features.fixes("samples") or new.N == old.N


def test_sizes_come_near():
    assert cuts.sizes(1) == []
    assert cuts.sizes(2) == [1]
    assert cuts.sizes(65)[:5] == [1, 2, 3, 4, 5]
    assert cuts.sizes(1000)[-1] == 999
    assert cuts.sizes(9, {4, 8, 9}) == [4, 8]


def test_the_call_that_raises_is_told_where_it_is_not_the_trials_own():
    (check,) = checks_of("STATE-SAMPLE-ALONE")

    def forward(layer, x, h_0, c_0, lengths):
        if samples_of(layer, x) == 1:
            raise RuntimeError("no batch of one")
        return layer.plain(x, h_0, c_0, lengths)

    call, verdict = smallest(check, Changed("raises", Change(forward=forward), gradients=False))
    assert call.N > 1
    own, _, other = verdict.example.partition("; of the calls that the requirement makes of it this one raises: ")
    assert own == repr(call)
    assert f"x ({call.T}, 1, {call.config.input_size})" in other


def test_a_call_that_raises_itself_is_told_once():
    (check,) = checks_of("FORWARD-EQUATION")

    def forward(layer, x, h_0, c_0, lengths):
        raise RuntimeError("nothing")

    call, verdict = smallest(check, Changed("raises", Change(forward=forward), gradients=False))
    assert verdict.example == repr(call)
