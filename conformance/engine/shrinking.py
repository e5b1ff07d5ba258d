"""Make a failing example smaller: cut its plan directly, or let Hypothesis shrink it.

A plan that knows smaller ones (``CuttablePlan``) is cut: all sizes at once, then each size and each feature by itself,
as long as the check still fails. Then other numbers are tried, and the clearest failure stays. Hypothesis shrinks the
other plans, and all plans of a run with a database, which keeps what it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any
from unittest import SkipTest

from hypothesis import Phase
from hypothesis.errors import Flaky

from conformance.engine.compare import Failed
from conformance.engine.drawing import Stream, hypothesis_run, strategy_of
from conformance.engine.example_key import key_of, name_of
from conformance.engine.form import CuttablePlan
from conformance.engine.trial import trial_of

CLEAR_MARGIN = 100.0  # a smaller call must not reduce a larger error below this margin
MAX_OTHERS = 12  # equally small plans that are tried for the clearest failure

Failure = tuple[Failed, Any]  # the failure and its call
Judge = Callable[[Any], None]


@dataclass(frozen=True)
class FailingPlan:
    """A failing example: its failure, its call and its plan, None if that is not known."""

    failure: Failed
    call: Any
    plan: Any = None

    @property
    def margin(self) -> float:
        """The largest error as a fraction of the allowed one; 0 where no numbers are wrong."""
        return self.failure.margin or 0.0

    def is_as_clear(self, failure: Failed) -> bool:
        """Return whether another failure is of the same sort, and as clear or clear enough."""
        if self.failure.margin is None or failure.margin is None:
            return self.failure.margin is failure.margin
        return failure.margin >= min(self.failure.margin, CLEAR_MARGIN)


def shrink(judge: Judge, requirement: str, stream: Stream, block: int, first: Failure, attempts: int) -> Failure:
    """Return the smallest failing example that is found in so many attempts, and its failure.

    ``first`` is a failing example of the block. It is returned if no smaller one fails. Laws that judge statistics need
    large calls: where one fails by numbers, Hypothesis alone shrinks, and keeps what the drawing keeps.
    """
    specification = stream.subject.specification
    random = specification.requirements[requirement].area in specification.random_areas and not first[0].raised
    stream.subject.deadline.start()
    if stream.subject.deadline.over:
        return first
    plan = None if random else stream.plan_of(first[1])
    found = FailingPlan(*first, plan)
    if not isinstance(plan, CuttablePlan) or stream.plans.database is not None:
        phases, seed = [Phase.generate, Phase.shrink], stream.plans.seed + block
        share = attempts // 2 if isinstance(plan, CuttablePlan) else attempts
        _, shrunk = hunt(judge, requirement, stream, seed, phases, found, share)
        found, attempts = shrunk or found, attempts - share
    if attempts > 0 and not random:
        found = Cutter(judge, stream, attempts).cut(found)
    return found.failure, found.call


class Cutter:
    """Direct cuts of a failing plan, within a number of attempts and a part of the time."""

    def __init__(self, judge: Judge, stream: Stream, attempts: int) -> None:
        self.judge, self.stream, self.attempts = judge, stream, attempts
        self._tried: set[str] = set()
        self._oracle = stream.subject.oracle()

    def cut(self, first: FailingPlan) -> FailingPlan:
        """Return the smallest failing example, of the equally small ones the clearest."""
        if not isinstance(first.plan, CuttablePlan):
            return first
        self._tried.add(repr(first.plan))
        found, before = first, None
        with self.stream.subject.clock("shrinking"):
            cuts = first.plan.cuts(self.stream.subject.features)
            while found is not before:
                before = found
                for smaller in cuts:
                    for plan in smaller(found.plan):
                        failing = self._failing(plan, first)
                        if failing is not None:
                            found = failing
                            break
            return self._clearest(found)

    def _clearest(self, found: FailingPlan) -> FailingPlan:
        """Return the example with the largest error among equally small ones."""
        for number, plan in enumerate(found.plan.others()):
            if number == MAX_OTHERS or found.margin in (0.0, inf):
                break
            failing = self._failing(plan, found)
            if failing is not None and failing.margin > found.margin:
                found = failing
        return found

    def _failing(self, plan: Any, like: FailingPlan) -> FailingPlan | None:
        """Return the plan's example if it fails as clearly as another one, and the oracle passes it."""
        key, deadline = repr(plan), self.stream.subject.deadline
        if key in self._tried or self.attempts <= 0 or deadline.shrinking.over:
            return None
        self._tried.add(key)
        self.attempts -= 1
        with deadline.call():
            return self._judged(plan, like)

    def _judged(self, plan: Any, like: FailingPlan) -> FailingPlan | None:
        trial = self.stream.trial(plan)
        try:
            self.judge(trial)
        except Failed as failure:
            if like.is_as_clear(failure) and (failure.raised or self._is_fair(trial.call)):
                self.stream.shrunk = trial
                return FailingPlan(failure, trial.call, plan)
        except Exception:  # the law does not speak of so small a call
            return None
        return None

    def _is_fair(self, call: Any) -> bool:
        """Return whether the oracle passes the call, so that the check keeps its meaning."""
        try:
            self.judge(trial_of(self._oracle, call))
        except Failed:
            return False
        return True


def hunt(
    judge: Judge,
    requirement: str,
    stream: Stream,
    number: int,
    phases: list[Phase],
    first: FailingPlan | None,
    attempts: int,
) -> tuple[int, FailingPlan | None]:
    """Return the number of examples that Hypothesis tried until one failed, and the simplest failure or None.

    ``judge(trial)`` raises Failed where the trial fails the requirement. ``first`` is a failure from an earlier run.
    Attempts and time are limited as soon as an example has failed. The database keeps every failing example.
    """
    known: dict[str, FailingPlan | None] = {}
    smallest, tried = first, 0
    subject, plans = stream.subject, stream.plans

    def attempt(plan: Any) -> None:
        nonlocal smallest, tried
        key = repr(plan)
        if key not in known:
            if smallest is not None and (len(known) >= attempts or subject.deadline.shrinking.over):
                return
            with subject.deadline.call():
                known[key] = outcome(plan)
        failing = known[key]
        if failing is not None:
            if smallest is None:
                tried = len(known)
                subject.deadline.start()
            smallest = failing
            raise Failed(
                str(failing.failure)
            ) from None  # always from this line: Hypothesis takes others for other bugs

    def outcome(plan: Any) -> FailingPlan | None:
        trial = stream.trial(plan)
        try:
            judge(trial)
        except Failed as failure:
            return FailingPlan(failure, trial.call, plan)
        return None

    key = key_of(name_of(requirement, subject.backend.name, subject.kind, subject.dtype))
    try:
        with subject.clock("shrinking"):
            strategy = strategy_of(stream.draw(subject.features))
            hypothesis_run(attempt, strategy, number, phases, plans.database, key)
    except (Failed, Flaky, SkipTest):  # SkipTest if there is nothing to replay
        pass
    return tried or len(known), smallest
