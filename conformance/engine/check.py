"""Checks: one requirement, a way to draw examples, and a law that they must obey.

``Decides(catalogue, draw)`` gives a specification its ``@decides``, which marks a test with the requirements that it
decides. Hypothesis draws the examples of a profile once for each way of drawing, and they serve every check that can
judge them: one forward pass decides shape, state and numbers. Where a law fails, Hypothesis draws the same examples
again and shrinks the failing one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import Phase

from conformance.engine.cause import NO_EXCUSE, Excuse
from conformance.engine.compare import Failed
from conformance.engine.drawing import Stream, Streams
from conformance.engine.form import Draw
from conformance.engine.guard import guarded
from conformance.engine.profiles import Profile
from conformance.engine.serialization import Example, call_of
from conformance.engine.shrinking import Cutter, Failure, Judge, hunt, shrink
from conformance.engine.trial import trial_of
from conformance.engine.verdict import Verdict
from reference.catalogue import Catalogue, Requirement

Law = Callable[[Any], None]
LawType = TypeVar("LawType", bound=Law)


@dataclass(frozen=True)
class Check:
    """One requirement's test: ``law(trial)`` raises Failed where the backend departs from it."""

    entry: Requirement
    law: Law
    draw: Draw
    """The strategy of plans: ``draw(features)``."""
    when: Callable[[Any], bool] | None = None
    """Return whether the law speaks of a call. A call must also use the features that the requirement needs."""
    share: float = 1.0
    """The part of a profile's examples that the check gets; less than 1 for large examples."""
    call_features: frozenset[str] = frozenset()
    """The features that a single call can use."""
    apart: bool = False
    """Whether only the law may call the backend, because it runs in a separate process."""

    @property
    def requirement(self) -> str:
        """The id of the requirement."""
        return self.entry.id

    def applies(self, call: Any) -> bool:
        """Return whether the call uses the needed features and the law speaks of it."""
        return self.entry.needs & self.call_features <= call.uses and (self.when is None or self.when(call))

    def judge(self, trial: Any) -> None:
        """Put a trial to the law if the law speaks of its call. Raises Failed."""
        if self.applies(trial.call):
            self.law(trial)

    def run(
        self, streams: Streams, profile: Profile, example: Example | None = None, excuse: Excuse = NO_EXCUSE
    ) -> tuple[Verdict, Any]:
        """Put the subject to the check; return the verdict, and the failing call or None.

        The example of a known failure runs first, then the database's examples. Wrong results end the check. After a
        call that raises the others are judged too, because the backend may refuse one combination only; so are calls
        after one that ``excuse`` explains by an earlier failure. A check without an example fails.
        """
        stream, verdict = streams.of(self.draw), Verdict()
        if example is not None and (call := self._replayed(stream, example, verdict)) is not None:
            return verdict, call
        judge = self._unexcused(excuse)
        if stream.plans.database is not None and (failure := self._recalled(judge, stream, profile, verdict)):
            return verdict, failure[1]
        groups: dict[str, list[tuple[int, Failed, Any]]] = {}
        for block, trial in stream.applicable(self.applies, max(1, round(profile.examples * self.share))):
            verdict.examples += 1
            trial.margin, trial.steps, trial.note = None, None, ""
            trial.judged.append(self.requirement)
            try:
                with stream.subject.deadline.call():
                    self.law(trial)
            except Failed as failed:
                if (cause := excuse.of_trial(self, trial, failed)) is not None:
                    verdict.excuse(cause, failed)
                    continue
                if failed.elsewhere:
                    verdict.elsewhere += 1
                    continue
                groups.setdefault(failed.raised, []).append((block, failed, trial))
                stream.subject.deadline.start()
                if failed.raised and not stream.subject.deadline.over:
                    continue
                break
            verdict.note = verdict.note or trial.note
            if trial.margin is not None and (verdict.margin is None or trial.margin > verdict.margin):
                verdict.margin, verdict.steps = trial.margin, trial.steps
        if groups:
            return verdict, self._failed(groups, judge, stream, profile, verdict)
        if verdict.examples == 0:
            verdict.failure = "no example could be drawn that this requirement speaks of: nothing was checked"
        return verdict, None

    def _failed(
        self,
        groups: dict[str, list[tuple[int, Failed, Any]]],
        judge: Judge,
        stream: Stream,
        profile: Profile,
        verdict: Verdict,
    ) -> Any:
        """Write the failure to the verdict; return its smallest call. Wrong results come before exceptions."""
        raised = "" if "" in groups else next(iter(groups))
        block, failed, trial = groups.pop(raised)[0]
        verdict.steps = None if failed.margin is None else trial.steps
        verdict.others = [
            f"{len(others)} of {verdict.examples} calls fail in another way: {others[0][1]}"
            for others in groups.values()
        ]

        def alike(trial: Any) -> None:
            try:
                judge(trial)
            except Failed as failure:
                if failure.raised == raised:
                    raise

        smallest = failed, trial.call
        if profile.shrink_attempts:
            smallest = shrink(alike, self.requirement, stream, block, smallest, profile.shrink_attempts)
        margins = (failed.margin, smallest[0].margin)
        verdict.margin = max((margin for margin in margins if margin is not None), default=None)
        verdict.fail(*smallest)
        verdict.raised = raised
        return smallest[1]

    def _unexcused(self, excuse: Excuse) -> Judge:
        """Return a judge like ``judge`` that passes the failures which ``excuse`` explains."""

        def judge(trial: Any) -> None:
            try:
                self.judge(trial)
            except Failed as failure:
                if not failure.elsewhere and excuse.of_trial(self, trial, failure) is None:
                    raise

        return judge

    def _recalled(self, judge: Judge, stream: Stream, profile: Profile, verdict: Verdict) -> Failure | None:
        """Replay the examples of the database; return the one that fails. Hypothesis deletes the others."""
        phases = [Phase.reuse, Phase.shrink] if profile.shrink_attempts else [Phase.reuse]
        seed, attempts = stream.plans.seed, profile.shrink_attempts
        replayed, found = hunt(judge, self.requirement, stream, seed, phases, None, attempts)
        verdict.examples += replayed
        if found is None:
            return None
        if attempts:
            found = Cutter(judge, stream, attempts).cut(found)
        verdict.recalled, verdict.margin = True, found.failure.margin
        verdict.fail(found.failure, found.call)
        return found.failure, found.call

    def _replayed(self, stream: Stream, example: Example, verdict: Verdict) -> Any:
        """Replay the example of a known failure if it is one of this kind and dtype; return its call if it fails."""
        subject = stream.subject
        call = call_of(subject.specification, example, subject.kind, subject.dtype)
        if call is None:
            return None
        if not self.applies(call):
            verdict.replayed = "is none that the requirement speaks of"
            return None
        verdict.examples = 1
        trial = trial_of(subject, call)
        try:
            self.law(trial)
        except Failed as failure:
            verdict.replayed, verdict.margin, verdict.steps = "fails", failure.margin, trial.steps
            verdict.fail(failure, trial.call)
            return trial.call
        verdict.replayed = "passes now"
        return None


def failure_of(check: Any, trial: Any) -> Failed | None:
    """Return how the trial fails the check; None if it passes, or if another requirement decides."""
    failure = any_failure_of(check, trial)
    return None if failure is None or failure.elsewhere else failure


def any_failure_of(check: Any, trial: Any) -> Failed | None:
    """Return how the trial fails the check, also where another requirement decides; None if it passes."""
    try:
        check.law(trial)
    except Failed as failure:
        return failure
    return None


def fails_after(check: Any, subject: Any, call: Any, before: Sequence[str]) -> Failed | None:
    """Return how a call fails the check after the laws of other requirements have called the same fresh object."""
    trial = trial_of(subject, call)
    for name in before:
        for earlier in subject.specification.checks_of(name):
            if isinstance(earlier, Check) and earlier.applies(call):
                failure_of(earlier, trial)
    return failure_of(check, trial)


@dataclass(frozen=True)
class Decides:
    """The decorator ``decides`` of a specification's suite, with its catalogue and its usual way of drawing."""

    catalogue: Catalogue
    draw: Draw
    call_features: frozenset[str]

    def __call__(
        self,
        requirement: str,
        *,
        draw: Draw | None = None,
        when: Callable[[Any], bool] | None = None,
        share: float = 1.0,
    ) -> Callable[[LawType], LawType]:
        """Mark a test ``def test_...(trial)`` as the one that decides a requirement. May be stacked."""
        entry = self.catalogue[requirement]

        def mark(law: LawType) -> LawType:
            check = Check(entry, guarded(law), draw or self.draw, when, share, self.call_features)
            law.checks = [check, *getattr(law, "checks", [])]  # type: ignore[attr-defined]  # the mark of a law
            return law

        return mark
