"""Probabilities are exact, masks are read as drawn, and right generators raise no alarm."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from conformance.backends.oracle import OracleBackend
from conformance.engine.compare import Failed
from conformance.engine.drawing import Plans, Stream
from conformance.engine.statistics import ALPHA, binomial_tail, expect_frequency, expect_uniform
from conformance.engine.subject import Subject
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.strategies import many_masked
from conformance.specifications.torch_nn.suite.test_dropout import read_masks, showing
from reference.config import KINDS


def exact_tail(successes, trials, p):
    def probability(counts):
        return sum(comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in counts)

    if successes <= trials * p:
        return min(Fraction(1), 2 * probability(range(successes + 1)))
    return min(Fraction(1), 2 * probability(range(successes, trials + 1)))


@pytest.mark.parametrize("p", [Fraction(1, 2), Fraction(3, 10), Fraction(9, 10)])
@pytest.mark.parametrize("trials", [1, 2, 7, 150])
def test_binomial_tail_is_exact(trials, p):
    for successes in range(trials + 1):
        exact = float(exact_tail(successes, trials, p))
        assert binomial_tail(successes, trials, float(p)) == pytest.approx(exact, rel=1e-9)


def test_binomial_tail_of_many():
    exact = float(exact_tail(420, 2000, Fraction(3, 10)))
    assert 0 < exact < ALPHA
    assert binomial_tail(420, 2000, 0.3) == pytest.approx(exact, rel=1e-6)
    assert binomial_tail(0, 10**6, 0.5) == 0


def test_a_frequency_of_nothing_is_no_pass():
    with pytest.raises(Failed, match="only 3 can be told"):
        expect_frequency("kept", np.ones(3, bool), 0.5)


def test_uniform_values_pass_and_their_neighbours_fail():
    rng = np.random.default_rng(5)
    for n in (300, 3000, 30000):
        values = rng.uniform(-0.25, 0.25, n)
        expect_uniform("right", values, 0.25, 2.0**-24)
        expect_uniform("right", values.astype(np.float16), 0.25, 2.0**-11)
    for wrong in (values * 0.9, values + 0.02, np.abs(values), 0 * values, values * np.nan):
        with pytest.raises(Failed, match="chance allows"):
            expect_uniform("wrong", wrong, 0.25, 2.0**-24)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_read_as_they_were_drawn(kind, dtype):
    subject = Subject(TORCH_NN, OracleBackend(), kind, dtype)
    for draw, count, least in ((showing, 15, 0), (many_masked, 2, 1000)):
        stream = Stream(subject, draw, Plans(0))
        for _, trial in stream.applicable(lambda call: call.config.num_layers > 1, count):
            true = trial.layer.masks(trial.call.x, 11)
            masks, told = read_masks(trial, trial.train(11))
            for drawn, read, where in zip(true, masks, told, strict=True):
                assert np.array_equal(drawn[where], read[where])
            assert np.count_nonzero(told[-1]) >= least
