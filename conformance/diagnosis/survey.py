"""Surveys: drawn calls sorted by how they fail, and the choice of calls that the faults must explain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.diagnosis.probe import Probe
from conformance.diagnosis.transcript import plain
from conformance.engine.compare import Failed, signature
from conformance.engine.deadline import Deadline
from conformance.engine.subject import Subject
from conformance.engine.wrong_elements import is_right

UNANIMOUS = 50  # calls that all raise alike: further ones would tell no more
MAX_LONG_CALLS = 12  # calls of a cost above MAX_COST in a survey
EVIDENCE, CONTROLS = 8, 16  # numbers of wrong and of right calls that the faults must explain
SHARE = 0.2  # of the time that is left, for each sort of calls that is surveyed
MAX_COST = 150  # of these calls: steps, times layers, times directions

AXES = re.compile(r"\([#, ]*\)")  # a shape without its numbers, of any rank
RIGHT, WRONG, RESULT = "", "wrong numbers", "result: "  # the last begins a wrong shape or type
ELSEWHERE = "another requirement decides"


def cost(trial: Any) -> int:
    """Return the relative cost of a trial's call within its form."""
    return trial.form.cost(trial.call)


def manner(trial: Any) -> str:
    """Return how a trial's plain call fails: RIGHT, WRONG, or the exception or the shape without its numbers."""
    try:
        trial.got  # noqa: B018
    except Failed as failure:
        return failure.raised or RESULT + AXES.sub("(#)", signature(str(failure)))
    return RIGHT if is_right(trial) else WRONG


def manner_under(law: Callable[[Any], None], trial: Any) -> str:
    """Return how a trial fails a law: RIGHT, WRONG, or the exception without its numbers."""
    try:
        law(trial)
    except Failed as failure:
        return ELSEWHERE if failure.elsewhere else failure.raised or WRONG
    return RIGHT


@dataclass
class Survey:
    """Drawn calls on which the backend is right, and the others by how they fail."""

    right: list[Any] = field(default_factory=list)
    failing: dict[str, list[Any]] = field(default_factory=dict)
    unmade: int = 0
    """The number of calls for which no time was left."""

    @classmethod
    def of(cls, trials: Iterable[Any], deadline: Deadline, how: Callable[[Any], str] = manner) -> Survey:
        """Sort the trials by ``how(trial)``, as many as a part of the time is enough for, or until all raise alike."""
        found, part = cls(), deadline.part(SHARE)
        for trial in trials:
            if found.raises_alike and found.count >= UNANIMOUS:
                break
            if how is manner and trial.called:
                found.add(trial, how(trial))
            elif part.over:
                found.unmade += 1
            else:
                with deadline.call():
                    found.add(trial, how(trial))
        return found

    def add(self, trial: Any, how: str) -> None:
        """Add a trial that fails in a manner, or is right."""
        (self.failing.setdefault(how, []) if how else self.right).append(trial)

    @property
    def wrong(self) -> list[Any]:
        """The calls whose numbers are wrong."""
        return self.failing.get(WRONG, [])

    @property
    def raises_alike(self) -> bool:
        """Whether all calls so far raised one exception."""
        (how,) = self.failing if len(self.failing) == 1 and not self.right else (WRONG,)
        return how != WRONG and not how.startswith(RESULT)

    @property
    def count(self) -> int:
        """The number of calls."""
        return len(self.right) + sum(map(len, self.failing.values()))

    def __add__(self, other: Survey) -> Survey:
        failing = {how: list(trials) for how, trials in self.failing.items()}
        found = Survey([*self.right, *other.right], failing, self.unmade + other.unmade)
        for how, trials in other.failing.items():
            found.failing.setdefault(how, []).extend(trials)
        return found


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


def probes(subject: Subject, trials: Iterable[Any], count: int) -> list[Probe]:
    """Return probes of ``count`` chosen trials, of as many as a part of the time is enough for."""
    found, deadline = list[Probe](), subject.deadline
    part = deadline.part(SHARE)
    for trial in chosen(trials, count):
        if not part.over:
            with deadline.call():
                found.append(Probe(subject, plain, trial))
    return found


class Evidence:
    """The evidence from a subject's calls of one form, shared by all failing requirements."""

    def __init__(self, subject: Subject, trials: Sequence[Any]) -> None:
        long = [trial for trial in trials if cost(trial) > MAX_COST][:MAX_LONG_CALLS]
        some = (trial for trial in trials if cost(trial) <= MAX_COST or trial in long)
        self.survey = Survey.of(some, subject.deadline)
        self.wrong = probes(subject, self.survey.wrong, EVIDENCE)
        self.right = probes(subject, self.survey.right, CONTROLS)
        self.tried: set[str] = set()
        """The faults that no other fault completes to the numbers of all wrong calls."""
        self.in_vain = False
        """Whether a search among pairs of faults found nothing."""
