"""Which elements of a result are wrong."""

from __future__ import annotations

import numpy as np

from conformance.engine.compare import NEAR, Failed, margin
from conformance.engine.trial import Trial
from reference.precision import REPLICAS, REPLICAS_ON_FAILURE

CERTAIN = 30.0  # times what 8 replicas allow: from there on more replicas change nothing

Judged = dict[str, tuple[np.ndarray, np.ndarray]]
"""By the name of a result the backend's numbers in float64, and which of them are wrong."""


def judged(trial: Trial) -> Judged | None:
    """Return the numbers of the plain call and which are wrong; None unless the backend returned its arrays."""
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
        margins = {name: margin(came, want[name], limits[name], largest) for name, came in numbers.items()}  # type: ignore[arg-type]  # arrays where got has one
        worst = max(float(np.max(m, initial=0.0)) for m in margins.values())
        if worst <= NEAR or worst > CERTAIN:
            break
    return {name: (came, margins[name] > 1) for name, came in numbers.items()}


def is_right(trial: Trial) -> bool:
    """Return whether the plain call's numbers are the oracle's."""
    found = judged(trial)
    return found is not None and not any(wrong.any() for _, wrong in found.values())


def error_of(trial: Trial) -> float:
    """Return the largest error of the plain call as a multiple of what is allowed; 0 where there are no numbers."""
    try:
        got, want, limits = (trial.named(r) for r in (trial.got, trial.want, trial.allowed()))
    except Failed:
        return 0.0
    largest, worst = trial.subject.arithmetic.largest, 0.0
    for name, expected in want.items():
        came, limit = got[name], limits[name]
        if (expected is None) != (came is None):
            return 0.0
        if expected is not None and came is not None and limit is not None:
            worst = max(worst, np.max(margin(came.astype(float), expected, limit, largest), initial=0.0))
    return float(worst)
