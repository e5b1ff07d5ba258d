"""Exact statistical tests of a backend's random draws.

A test fails if the observed deviation, or a larger one, has a probability of at most ``ALPHA`` for every generator
that draws as documented. A run of the thorough profile makes up to 40,000 such tests of a backend, a run of standard
2,000. The probability that a right backend fails one of them is below 1e-9, and so it is in a campaign of a million
tests. The quick and standard profiles use the same seeds in every run: there a test that passes once always passes.
"""

from __future__ import annotations

import math

import numpy as np

from conformance.engine.compare import Failed

ALPHA = 1e-15
MIN_DRAWS = 100  # for a frequency: fewer could decide nothing


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Return twice the probability of a binomial count at least this far from its mean on the same side, at most 1.

    The result is exact up to the rounding of lgamma, a relative error below 1e-6.
    """
    if successes > trials * probability:
        successes, probability = trials - successes, 1 - probability
    if probability == 0 or successes == trials:
        return 1.0
    log_odds = math.log(probability) - math.log1p(-probability)
    log_of_last = (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * log_odds
        + trials * math.log1p(-probability)
    )
    # Sum the terms from the last one down, relative to it. They decrease, because the last lies below the mean.
    total = term = 1.0
    for k in range(successes, 0, -1):
        term *= k / (trials - k + 1) * math.exp(-log_odds)
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, 2 * math.exp(log_of_last) * total)


def expect_frequency(what: str, seen: np.ndarray, probability: float) -> None:
    """Raise Failed if independent booleans are true too rarely or too often for that probability.

    Fewer than ``MIN_DRAWS`` booleans fail as well. ``what`` names them in the message.
    """
    count, trials = int(np.count_nonzero(seen)), int(np.size(seen))
    if trials < MIN_DRAWS:
        raise Failed(f"{what}: only {trials} can be told, too few for a frequency")
    chance = binomial_tail(count, trials, probability)
    if chance <= ALPHA:
        raise Failed(
            f"{what}: {count} of {trials}, expected about {trials * probability:.0f} (probability {probability:.4g}); "
            f"chance would be as far off with a probability of {chance:.2g}"
        )


def expect_uniform(what: str, values: np.ndarray, bound: float, roundoff: float) -> None:
    """Raise Failed if independent values are too far from a uniform distribution on [-bound, bound].

    The values may be rounded to a grid of that roundoff. ``what`` names them in the message. The limit is the
    Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant: the empirical distribution function of n values
    differs from the true one by more than e with a probability of at most 2 exp(-2 n e^2).
    """
    values = np.sort(np.asarray(values, np.float64), axis=None)
    n = values.size
    true = np.clip((values / bound + 1) / 2, 0, 1)
    steps = np.arange(n + 1) / n
    off = np.maximum(steps[1:] - true, true - steps[:-1])
    allowed = math.sqrt(math.log(2 / ALPHA) / (2 * n)) + 2 * roundoff
    worst = int(np.argmax(off))
    if not off[worst] <= allowed:
        below = steps[worst + 1] if steps[worst + 1] - true[worst] >= true[worst] - steps[worst] else steps[worst]
        raise Failed(
            f"{what}: {below:.1%} of {n} values lie below {values[worst]:.4g}, expected {true[worst]:.1%} "
            f"for U(-{bound:.4g}, {bound:.4g}); chance allows a difference of {allowed:.1%}"
        )
