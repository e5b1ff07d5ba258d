"""What is left to chance: exact tests of what a backend draws at random, which a right one all but never fails.

A test fails where what was seen, or anything as far off, has a probability of at most ``ALPHA``, whatever the
backend's generator, if only it draws as documented. A run of the thorough profile makes up to 40,000 such
tests a backend, of the standard one 2,000: a right backend fails one in fewer than 1 of 1e9 runs, and so would
it in a campaign of a million tests. The quick and standard profiles ask for the same seeds in every run: there
a pass is a pass.
"""

from __future__ import annotations

import math

import numpy as np

from conformance.engine.compare import Failed

ALPHA = 1e-15
LEAST = 100  # of what a frequency is taken of: below that it would decide nothing


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """Twice the probability of a binomial count as far from its mean as that or farther, on that side; at most 1.

    Exact but for the rounding of lgamma, less than 1e-6 of the result.
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
    # The terms from the last one down, relative to it: they decrease, as it lies below the mean.
    total = term = 1.0
    for k in range(successes, 0, -1):
        term *= k / (trials - k + 1) * math.exp(-log_odds)
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, 2 * math.exp(log_of_last) * total)


def expect_frequency(what: str, seen: np.ndarray, probability: float) -> None:
    """The booleans ``seen``, independent of each other, are true with that probability."""
    count, trials = int(np.count_nonzero(seen)), int(np.size(seen))
    if trials < LEAST:
        raise Failed(f"{what}: only {trials} can be told, too few for a frequency")
    chance = binomial_tail(count, trials, probability)
    if chance <= ALPHA:
        raise Failed(
            f"{what}: {count} of {trials}, expected about {trials * probability:.0f} (probability {probability:.4g}); "
            f"chance would be as far off with a probability of {chance:.2g}"
        )


def expect_uniform(what: str, values: np.ndarray, bound: float, roundoff: float) -> None:
    """The values, independent of each other, are uniform between -bound and bound but for a grid of that roundoff.

    The Dvoretzky-Kiefer-Wolfowitz inequality with Massart's constant: the empirical distribution function
    of n values is farther than e from the true one with a probability of at most 2 exp(-2 n e^2).
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
