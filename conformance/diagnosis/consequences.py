"""Decide whether the failure of an earlier requirement explains a later one's failing call.

Where a fault is named for the earlier failure, the later law runs with that fault in the backend's place: the fault
must give the backend's numbers and fail the law, too. An exception explains the same exception. Any other failure
explains the calls on which the earlier law fails as well, and calls whose plain numbers are wrong, unless they are a
thousand times as wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from conformance.diagnosis.candidates import Candidate, beside
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.probe import DEGREE, distance
from conformance.diagnosis.rehearsals import passes_renewed, renewed, wrong_parts
from conformance.diagnosis.survey import MAX_COST, RESULT, RIGHT, WRONG, cost, manner
from conformance.engine.cause import GROSS, Cause, Excuse
from conformance.engine.check import Check, any_failure_of, failure_of
from conformance.engine.compare import Failed, margin
from conformance.engine.pattern import Pattern
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of

ROUNDING = 100.0  # times the allowed error: a fault's own rounding never makes a difference
MOST_EXCEPTIONS = 0.05  # of the right calls may meet a condition of wrong ones: a wrong number can be right by chance
MOST_COST = 4096  # steps of a call on which an earlier law is tried, as some take a call for each step
Arrays = dict[str, Any]
MAX_KEPT_TRIALS = 1000  # of the faults, before they are dropped


class Consequences(Excuse):
    """The causes of one job, as an excuse for failing trials."""

    def __init__(self, diagnostician: Diagnostician, causes: Sequence[Cause]) -> None:
        self.diagnostician, self.causes = diagnostician, causes
        self._trials: dict[tuple[str, int], tuple[Any, Any]] = {}  # of a fault, with the call
        self._known_parts: dict[tuple[str, str, int], tuple[Any, list[Any]]] = {}  # of a check, with the call

    @cached_property
    def _faults(self) -> dict[str, Candidate]:
        return {
            name: candidate
            for cause in self.causes
            for name in cause.faults
            if (candidate := self.diagnostician.candidate(name)) is not None
        }

    def of_trial(self, check: Any, trial: Any, failure: Failed) -> Cause | None:
        """Return the cause that explains the failure, or None."""
        return next((cause for cause in self.causes if self.explains(cause, check, trial, failure)), None)

    def of_replay(
        self,
        failure: Failed,
        replay: Callable[[Subject], Failed | None],
        calls: Callable[[], Sequence[Any]] = tuple,
    ) -> Cause | None:
        """Return the cause that explains the failure of a fixed procedure, or None."""
        trials = cache(lambda: [trial_of(self.diagnostician.subject, call) for call in calls()])
        for cause in self.causes:
            known = self._known(cause)
            if cause.carries and replay(renewed(self.diagnostician.subject)) is None:
                return cause
            if cause.raised:
                explains = failure.raised == cause.raised
            elif known:
                found = [replay(beside(self.diagnostician.subject, fault)) for fault in known]
                explains = any(f is not None and f.raised == failure.raised for f in found)
            else:
                explains = not cause.depends and not cause.is_exceeded_by(failure.margin)
                explains = explains and (cause.direct or self._is_wrong_in(cause, trials))
            if explains:
                return cause
        return None

    def _is_wrong_in(self, cause: Cause, trials: Callable[[], Sequence[Any]]) -> bool:
        """Return whether one of the trials is wrong in the earlier failure's way."""
        if cause.pattern is None:
            return False
        return any(cost(trial) <= MAX_COST and self.is_of_pattern(cause, trial) for trial in trials())

    def explains(self, cause: Cause, check: Any, trial: Any, failure: Failed) -> bool:
        """Return whether a cause explains a trial's failure."""
        if cause.carries and not check.apart and passes_renewed(check, self.diagnostician.subject, trial.call):
            return True
        if cause.raised:
            # What is not claimed must be refused: an exception that a claimed call raises explains nothing there.
            return failure.raised == cause.raised and not check.entry.unless
        if cause.depends:
            return False  # only the explanation of a failure shows that it depends on earlier calls, too
        known = self._known(cause)
        if known:
            return any(self.gives(fault, check, trial, failure) for fault in known)
        if cause.is_exceeded_by(failure.margin):
            return False
        if self.is_of_pattern(cause, trial) or (cause.direct and self.fails_too(cause, check, trial, failure)):
            return True
        return any(self.is_of_pattern(cause, part) for part in self._parts(cause, check, trial))

    def _known(self, cause: Cause) -> list[Candidate]:
        return [self._faults[name] for name in cause.faults if name in self._faults]

    # --- a named fault --------------------------------------------------------------------------------

    def gives(self, fault: Candidate, check: Any, trial: Any, failure: Failed) -> bool:
        """Return whether a fault gives the trial's numbers and fails the law as the backend does."""
        if (forward := getattr(trial, "forward", None)) is not None and manner(forward) == WRONG:
            other = self.of_fault(fault, forward)
            if not self.same_numbers(forward, other):
                return False
            if not other.subject.features.gradients:
                return True  # the fault has no gradients: the backend's are those of the wrong function
        other = self.of_fault(fault, trial)
        if not self.same_numbers(trial, other):
            return False
        theirs = any_failure_of(check, other)
        if theirs is None or theirs.raised != failure.raised:
            return False
        if theirs.margin is None or failure.margin is None:
            return True
        return failure.margin <= GROSS * max(theirs.margin, 1.0)

    def of_fault(self, fault: Candidate, trial: Any) -> Any:
        """Return the trial of a fault with a trial's call."""
        key = fault.fault, id(trial.call)
        if key not in self._trials:
            if len(self._trials) >= MAX_KEPT_TRIALS:
                self._trials.clear()
            other = trial_of(beside(self.diagnostician.subject, fault), trial.call)
            other.shares(trial)
            self._trials[key] = trial.call, other
        return self._trials[key][1]

    def same_numbers(self, trial: Any, other: Any) -> bool:
        """Return whether two trials of a call differ by rounding at most."""
        try:
            mine = trial.named(trial.got)
        except Failed as failure:
            return _raised(other) == failure.raised
        try:
            theirs = other.named(other.got)
        except Failed:
            return False
        if trial.form.cost(trial.call) > MOST_COST and _alike(mine, theirs, trial.subject.arithmetic.u):
            return True  # without the right numbers of a long call
        right, largest = trial.named(trial.want), trial.subject.arithmetic.largest

        def limit(name: str) -> Any:  # it takes longest, and a gross fault does not need it
            return trial.named(trial.allowed())[name]

        return all(
            _same(mine[name], theirs[name], right[name], partial(limit, name), largest)
            for name in right
            if right[name] is not None
        )

    # --- other failures -------------------------------------------------------------------------------

    def is_of_pattern(self, cause: Cause, trial: Any) -> bool:
        """Return whether a trial's result is wrong in the earlier failure's way, as those of its condition always are.

        The right numbers of a long call are not computed: the pattern says that they are others.
        """
        pattern = cause.pattern
        if pattern is None:
            return False
        plain = _plain(pattern, trial)
        if pattern.how.startswith(RESULT):
            return manner(plain) == pattern.how
        if pattern.others > MOST_EXCEPTIONS * pattern.passing:
            return False
        if pattern.condition is None and pattern.passing:
            return False
        if not pattern.predicts(plain.form.attributes(plain.call)):
            return False
        if pattern.condition is None and not self._means(cause, plain):
            return False  # that all calls are wrong tells nothing of calls of another sort
        return plain.form.cost(plain.call) > MOST_COST or manner(plain) == WRONG

    def _parts(self, cause: Cause, check: Any, trial: Any) -> list[Any]:
        """Return the further calls of a law whose results are wrong by themselves, if the trial's own is right."""
        if cause.pattern is None or check.apart:
            return []
        plain = _plain(cause.pattern, trial)
        if cost(plain) > MAX_COST:
            return []
        key = check.requirement, plain.form.name, id(trial.call)
        if key not in self._known_parts:
            right = manner(plain) == RIGHT
            self._known_parts[key] = trial.call, list(wrong_parts(check.law, trial)) if right else []
        return self._known_parts[key][1]

    def _means(self, cause: Cause, trial: Any) -> bool:
        """Return whether the earlier requirement speaks of such calls as a trial's, or the call is not claimed.

        No requirement but those of refusals speaks of a call that is not claimed.
        """
        subject = self.diagnostician.subject
        if not all(map(subject.features.claims, trial.call.uses)):
            return True
        return any(self._speaks(check, trial) for check in subject.specification.checks_of(cause.requirement))

    def fails_too(self, cause: Cause, check: Any, trial: Any, failure: Failed) -> bool:
        """Return whether the earlier law fails on the same call, or the plain numbers are wrong."""
        forward = getattr(trial, "forward", None)
        for earlier in self.diagnostician.subject.specification.checks_of(cause.requirement):
            for asked in (trial, forward):
                small = asked is not None and asked.form.cost(asked.call) <= MOST_COST
                if small and self._speaks(earlier, asked):
                    found = failure_of(earlier, asked)
                    if found is not None:
                        return asked is forward or found.raised == failure.raised
        return cause.margin is not None and manner(forward or trial) == WRONG

    def _speaks(self, check: Any, trial: Any) -> bool:
        """Return whether a check speaks of a trial's call."""
        if not isinstance(check, Check):
            return False
        drawn = next(iter(self.diagnostician.streams.of(check.draw).block(0)))
        return drawn.form is trial.form and check.applies(trial.call)


def _plain(pattern: Pattern, trial: Any) -> Any:
    """Return the trial whose result decides on a pattern: of a call for gradients the forward pass, or itself."""
    return trial if trial.form.name == pattern.form else getattr(trial, "forward", None) or trial


def _raised(trial: Any) -> str:
    try:
        trial.got  # noqa: B018
    except Failed as failure:
        return failure.raised
    return "no"


def _alike(mine: Arrays, theirs: Arrays, u: float) -> bool:
    """Return whether results share half of their digits, measured by the largest number."""
    if any((a is None) != (theirs[name] is None) for name, a in mine.items()):
        return False
    pairs = [(a.astype(np.float64), theirs[name].astype(np.float64)) for name, a in mine.items() if a is not None]
    return all(distance(a, b) <= np.sqrt(u) * np.max(np.abs(a), initial=0.0, where=np.isfinite(a)) for a, b in pairs)


def _same(
    mine: np.ndarray,
    theirs: np.ndarray | None,
    right: np.ndarray,
    limit: Callable[[], np.ndarray],
    largest: float,
) -> bool:
    """Return whether two arrays agree: by rounding, or by a small part of their difference from the right one."""
    if theirs is None or mine is None:
        return mine is theirs
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        taken = np.abs(a - right)
    if distance(a, b) <= DEGREE * np.max(taken, initial=0.0, where=np.isfinite(taken)):
        return True
    return bool(np.all(margin(a, b, ROUNDING * limit(), largest) <= 1))
