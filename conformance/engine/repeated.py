"""Compare a repeated call: the same bits, or with declared nondeterminism the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.engine.compare import Failed


def expect_repeated(trial: Any, again: Any, call: str, when: str, declare: str) -> None:
    """Raise Failed unless ``again`` is the trial's own result. ``call`` and ``when`` name the repetition in words.

    ``declare`` is the advice for a backend whose numbers differ by rounding alone.
    """
    if not trial.subject.features.deterministic:
        trial.same(again, other=f"{call} {when}")
        return
    second_time = trial.named(again)
    for name, first in trial.named(trial.got).items():
        second = second_time[name]
        if first is None and second is None:
            continue
        if first is None or second is None or first.shape != second.shape:
            raise Failed(f"{trial.form.of}{name}: {call} gave another shape {when}")
        if first.tobytes() != second.tobytes():
            off = np.abs(first.astype(np.float64) - second.astype(np.float64)).max()
            said = f"{trial.form.of}{name}: {call} gave other bits {when}, off by up to {off:.3g}"
            raise Failed(f"{said}; {declare}" if _agree(trial, again) else said)


def _agree(trial: Any, again: Any) -> bool:
    """Return whether rounding alone explains the difference of the repeated call's numbers."""
    try:
        trial.same(again)
    except Failed:
        return False
    return True
