"""Find a coarser arithmetic whose rounding covers all wrong numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.diagnosis.candidates import declaring
from conformance.engine.trial import trial_of
from conformance.engine.wrong_elements import is_right
from reference.precision import ARITHMETICS

# By the present arithmetic, the finest first. bfloat16 is left out: its rounding covers too many other mistakes.
COARSER = {
    "float64": {"float32": "the rounding of float32"},
    "float32": {
        "approximate-activations": "the rounding of approximate activations",
        "tf32": "the rounding of products whose operands have 11 bits, as in TF32 and float16",
    },
}
MOST_CALLS = 8


def coarser(wrong: Sequence[Any]) -> str:
    """Return a sentence on the finest coarser arithmetic in which the trials' numbers are right; empty if none is."""
    subject = wrong[0].subject
    for name, words in COARSER.get(subject.arithmetic.name, {}).items():
        if all(_is_right_in(name, trial) for trial in wrong[:MOST_CALLS]):
            return f"every wrong number is within {words}{declaring(name) if subject.dtype == 'float32' else ''}"
    return ""


def _is_right_in(name: str, trial: Any) -> bool:
    """Return whether a trial's numbers are right in another arithmetic."""
    other = trial_of(trial.subject.judged_in(ARITHMETICS[name]), trial.call)
    other.answered(trial)
    return is_right(other)
