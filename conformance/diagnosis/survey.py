"""Surveys: drawn calls sorted into wrong and right, and those of them that are put to the faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.diagnosis.candidates import Candidate
from conformance.diagnosis.probe import Probe
from conformance.diagnosis.transcript import plain
from conformance.engine.subject import Subject
from conformance.engine.wrong_elements import is_right

MAX_LONG_CALLS = 12  # of those drawn that cost more than MAX_COST, the number that is sorted
EVIDENCE, CONTROLS = 8, 16  # calls on which the backend is wrong, and right, that are put to the faults
MAX_COST = 150  # of further calls that are put to the faults: steps, times layers, times directions


def cost(trial: Any) -> int:
    """Return what a trial's call costs beside others of its form."""
    return trial.form.cost(trial.call)


@dataclass
class Survey:
    """Drawn calls on which the backend's plain numbers are wrong, and right."""

    wrong: list[Any] = field(default_factory=list)
    right: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, trials: Iterable[Any]) -> Survey:
        """Sort the trials."""
        found = cls()
        for trial in trials:
            (found.right if is_right(trial) else found.wrong).append(trial)
        return found

    def __add__(self, other: Survey) -> Survey:
        return Survey([*self.wrong, *other.wrong], [*self.right, *other.right])


def chosen(trials: Iterable[Any], count: int) -> list[Any]:
    """Return that many of the trials: small ones, one of every combination of features first."""
    by_size = sorted((t for t in trials if cost(t) <= MAX_COST), key=lambda t: (cost(t), _size(t)))
    by_features: dict[frozenset[str], Any] = {}
    for trial in by_size:
        by_features.setdefault(trial.call.uses, trial)
    return list(dict.fromkeys([*list(by_features.values())[:count], *by_size]))[:count]


def _size(trial: Any) -> int:
    """Return the number of elements of the first argument."""
    return next(a.size for a in trial.form.array_arguments(trial.call).values() if a is not None)


class Evidence:
    """What is known of a subject's calls of one form; every failing requirement that needs it shares it."""

    def __init__(self, subject: Subject, trials: Sequence[Any]) -> None:
        long = [trial for trial in trials if cost(trial) > MAX_COST][:MAX_LONG_CALLS]
        self.survey = Survey.of(trial for trial in trials if cost(trial) <= MAX_COST or trial in long)
        self.wrong = [Probe(subject, plain, trial) for trial in chosen(self.survey.wrong, EVIDENCE)]
        self.right = [Probe(subject, plain, trial) for trial in chosen(self.survey.right, CONTROLS)]
        self.suspects: list[Candidate] | None = None
        """The candidates that explain all the wrong calls, once they were looked for."""
