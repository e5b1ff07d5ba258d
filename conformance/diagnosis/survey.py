"""Surveys: drawn calls sorted into wrong and right, and the choice of calls that the faults must explain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.diagnosis.candidates import Candidate
from conformance.diagnosis.probe import Probe
from conformance.diagnosis.transcript import plain
from conformance.engine.subject import Subject
from conformance.engine.wrong_elements import is_right

MAX_LONG_CALLS = 12  # calls of a cost above MAX_COST in a survey
EVIDENCE, CONTROLS = 8, 16  # numbers of wrong and of right calls that the faults must explain
MAX_COST = 150  # of these calls: steps, times layers, times directions


def cost(trial: Any) -> int:
    """Return the relative cost of a trial's call within its form."""
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
    """Return ``count`` of the trials, small ones, with one of every combination of features first."""
    by_size = sorted((t for t in trials if cost(t) <= MAX_COST), key=lambda t: (cost(t), _size(t)))
    by_features: dict[frozenset[str], Any] = {}
    for trial in by_size:
        by_features.setdefault(trial.call.uses, trial)
    return list(dict.fromkeys([*list(by_features.values())[:count], *by_size]))[:count]


def _size(trial: Any) -> int:
    """Return the number of elements of the first argument."""
    return next(a.size for a in trial.form.array_arguments(trial.call).values() if a is not None)


class Evidence:
    """The evidence from a subject's calls of one form, shared by all failing requirements."""

    def __init__(self, subject: Subject, trials: Sequence[Any]) -> None:
        long = [trial for trial in trials if cost(trial) > MAX_COST][:MAX_LONG_CALLS]
        self.survey = Survey.of(trial for trial in trials if cost(trial) <= MAX_COST or trial in long)
        self.wrong = [Probe(subject, plain, trial) for trial in chosen(self.survey.wrong, EVIDENCE)]
        self.right = [Probe(subject, plain, trial) for trial in chosen(self.survey.right, CONTROLS)]
        self.suspects: list[Candidate] | None = None
        """The candidates that explain all wrong calls; None before the first search."""
