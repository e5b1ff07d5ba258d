"""Find the wrong elements of a result."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from conformance.engine.compare import NEAR_MARGIN, Failed, certain_margin, margin
from conformance.engine.trial import Trial
from reference.precision import REPLICAS, REPLICAS_ON_FAILURE

CERTAIN_MARGIN = 30.0  # with 8 replicas; above it more replicas do not make an element right


class Numbers(NamedTuple):
    """One result's numbers."""

    got: np.ndarray
    """The backend's, in float64."""
    wrong: np.ndarray
    """Whether each is wrong."""
    right: np.ndarray
    """The oracle's."""


Judged = dict[str, Numbers]
"""The numbers of each result by its name."""


def judged(trial: Trial) -> Judged | None:
    """Return the numbers of the plain call and whether each is wrong; None unless the backend returned its arrays."""
    try:
        got, want = trial.named(trial.got), trial.named(trial.want)
    except Failed:
        return None
    if any((want[name] is None) != (got[name] is None) for name in want):
        return None
    largest = trial.subject.arithmetic.largest
    numbers = {name: array.astype(np.float64) for name in want if (array := got[name]) is not None}
    margins: dict[str, np.ndarray] = {}
    for replicas in (REPLICAS, *REPLICAS_ON_FAILURE[:1]):
        limits = trial.named(trial.allowed(replicas))
        margins = {name: margin(given, want[name], limits[name], largest) for name, given in numbers.items()}  # type: ignore[arg-type]  # arrays where got has one
        worst = max((float(np.max(m, initial=0.0)) for m in margins.values()), default=0.0)
        certain = max((certain_margin(m, limits[name], numbers[name]) for name, m in margins.items()), default=0.0)  # type: ignore[arg-type]
        if worst <= NEAR_MARGIN or certain > CERTAIN_MARGIN:
            break
    return {name: Numbers(given, margins[name] > 1, want[name]) for name, given in numbers.items()}  # type: ignore[arg-type]  # arrays where got has one


def is_right(trial: Trial) -> bool:
    """Return whether the numbers of the plain call agree with the oracle."""
    found = judged(trial)
    return found is not None and not any(result.wrong.any() for result in found.values())


def error_of(trial: Trial) -> float:
    """Return the largest margin of the plain call; 0 where there are no numbers."""
    try:
        got, want, limits = (trial.named(r) for r in (trial.got, trial.want, trial.allowed()))
    except Failed:
        return 0.0
    largest, worst = trial.subject.arithmetic.largest, 0.0
    for name, expected in want.items():
        given, limit = got[name], limits[name]
        if (expected is None) != (given is None):
            return 0.0
        if expected is not None and given is not None and limit is not None:
            worst = max(worst, np.max(margin(given.astype(float), expected, limit, largest), initial=0.0))
    return float(worst)
