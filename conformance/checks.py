"""A check: one requirement, a way to draw examples, and a law that they must obey; and how it is run.

``@decides`` marks a test with what it decides. The examples of a profile are drawn by Hypothesis once
for each way of drawing, kind and dtype, and serve every check that can judge them: one forward pass
decides shape, state and numbers. Where a law fails, Hypothesis draws the same examples again and
shrinks the failing one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky, HypothesisWarning

from conformance.backend import Features
from conformance.compare import Failed
from conformance.strategies import CALL_FEATURES, layers
from conformance.subject import Subject, Trial, trial_of
from reference.catalogue import Requirement, catalogue

Draw = Callable[..., object]


@dataclass(frozen=True)
class Profile:
    """How hard the suite looks: examples for each check, attempts to shrink a failure, whether every run is alike.

    Attempts are counted, not timed, so that the same failure reads the same on every machine.
    """

    name: str
    examples: int
    shrink_attempts: int
    derandomize: bool = True


PROFILES = {
    p.name: p
    for p in (
        Profile("quick", 12, 150),
        Profile("standard", 50, 400),
        Profile("thorough", 1000, 5000, derandomize=False),
    )
}
DEFAULT_PROFILE = "standard"
BLOCK = 60  # examples that Hypothesis draws in one go
KEPT_BLOCKS = 20  # of built examples; long campaigns build what lies beyond them again for each check
MOST_SHRINKING = 60.0  # seconds, for backends so slow that the attempts would never end
MOST_BLOCKS = 12  # without one more example that applies: then there is none


@dataclass(frozen=True)
class Check:
    """One requirement's test: ``law(trial)`` raises Failed where the backend departs from it.

    ``draw(features, projecting)`` is the strategy of plans; ``when(call)`` says which calls the law speaks
    of, beside those that use the features that the requirement needs; ``share`` is the part of a profile's
    examples that it gets, less than 1 for large ones.
    """

    requirement: str
    law: Callable[[Trial], None]
    draw: Draw = layers
    when: Callable[[object], bool] | None = None
    share: float = 1.0

    @property
    def entry(self) -> Requirement:
        """The requirement's entry in the catalogue."""
        return catalogue()[self.requirement]

    def applies(self, call) -> bool:
        """Whether the call uses what the requirement needs and the law speaks of it."""
        return self.entry.needs & CALL_FEATURES <= call.uses and (self.when is None or self.when(call))

    def run(self, subject: Subject, plans: Plans, streams: dict[Draw, Stream], profile: Profile) -> Verdict:
        """Put the subject to the check. One that found no example to judge fails."""
        stream = streams.setdefault(self.draw, Stream(subject, self.draw, plans))
        verdict = Verdict()
        for block, trial in stream.those(self.applies, max(1, round(profile.examples * self.share))):
            verdict.examples += 1
            trial.margin, trial.note = None, ""
            try:
                self.law(trial)
            except Failed as failure:
                smallest, call = failure, trial.call
                if profile.shrink_attempts:
                    smallest, call = shrink(self, stream, block, (failure, call), profile.shrink_attempts)
                verdict.failure, verdict.example = str(smallest), repr(call)
                break
            verdict.note = verdict.note or trial.note
            if trial.margin is not None:
                verdict.margin = max(trial.margin, verdict.margin or 0.0)
        if verdict.examples == 0:
            verdict.failure = "no example could be drawn that this requirement speaks of: nothing was checked"
        return verdict


def decides(
    requirement: str,
    *,
    draw: Draw = layers,
    when: Callable[[object], bool] | None = None,
    share: float = 1.0,
):
    """Mark a test ``def test_...(trial)`` as the one that decides a requirement. May be stacked."""

    def mark(law):
        law.checks = [Check(requirement, law, draw, when, share), *getattr(law, "checks", [])]
        return law

    return mark


@dataclass
class Verdict:
    """What a check found: the examples that it judged, the largest margin, the failure if any, else a note if any."""

    examples: int = 0
    margin: float | None = None
    failure: str = ""
    example: str = ""
    note: str = ""

    @property
    def passed(self) -> bool:
        return not self.failure


class Plans:
    """The plans that Hypothesis drew, by way of drawing: kinds and dtypes share them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._blocks: dict[tuple, list] = {}

    def block(self, draw: Draw, features: Features, projecting: bool, number: int) -> list:
        """BLOCK plans, the same for the same seed and number."""
        claims = tuple(features.claims(name) for name in sorted(CALL_FEATURES))
        key = (draw, claims, features.configurations, features.fixed_shapes, projecting, number)
        if key not in self._blocks:
            drawn: list = []
            hypothesis_run(drawn.append, draw(features, projecting), self.seed + number, [Phase.generate])
            # Hypothesis stops early where there is little to draw: such a block is filled by repetition.
            self._blocks[key] = [drawn[position % len(drawn)] for position in range(BLOCK)]
        return self._blocks[key]


@dataclass
class Stream:
    """The examples of one way of drawing, for one subject; built when asked for, kept for the next check."""

    subject: Subject
    draw: Draw
    plans: Plans
    blocks: list[list[Trial]] = field(default_factory=list)

    @property
    def projecting(self) -> bool:
        return self.subject.kind == "lstm"

    def trial(self, plan) -> Trial:
        """The plan's call, put to the subject."""
        return trial_of(self.subject, plan.build(self.subject.kind, self.subject.dtype))

    def those(self, applies: Callable[[object], bool], count: int) -> Iterator[tuple[int, Trial]]:
        """The first ``count`` trials whose call applies, each with the number of its block."""
        found = block = fruitless = 0
        while found < count and fruitless < MOST_BLOCKS:
            fruitless += 1
            for trial in self._block(block):
                if found < count and applies(trial.call):
                    found, fruitless = found + 1, 0
                    yield block, trial
            block += 1

    def _block(self, number: int) -> list[Trial]:
        if number < len(self.blocks):
            return self.blocks[number]
        with self.subject.clock("drawing"):
            plans = self.plans.block(self.draw, self.subject.backend.features, self.projecting, number)
            trials = [self.trial(plan) for plan in plans]
        if number < KEPT_BLOCKS:
            self.blocks.append(trials)
        return trials


def hypothesis_run(function: Callable[[object], None], strategy, number: int, phases) -> None:
    """Let Hypothesis draw BLOCK examples from that seed."""
    run = given(strategy)(lambda example: function(example))
    run = seed(number)(run)
    run = settings(
        max_examples=BLOCK,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)
        run()


def shrink(check: Check, stream: Stream, block: int, first: tuple[Failed, object], attempts: int):
    """The simplest failing example that Hypothesis finds from a block in which one fails, and its failure.

    Where it does not fail again, a sign of a backend that does not repeat itself, the first one stands.
    """
    until = time.monotonic() + MOST_SHRINKING
    known: dict[str, tuple[object, str]] = {}
    smallest = first

    def attempt(plan) -> None:
        nonlocal smallest
        key = repr(plan)
        if key not in known:
            if len(known) == attempts or time.monotonic() > until:
                return
            known[key] = outcome(plan)
        call, message = known[key]
        if message:
            smallest = Failed(message), call
            raise Failed(message) from None  # from this line alone, or Hypothesis takes it for several bugs

    def outcome(plan) -> tuple[object, str]:
        trial = stream.trial(plan)
        try:
            if check.applies(trial.call):
                check.law(trial)
        except Failed as failure:
            return trial.call, str(failure)
        return trial.call, ""

    try:
        with stream.subject.clock("shrinking"):
            strategy = stream.draw(stream.subject.backend.features, stream.projecting)
            hypothesis_run(attempt, strategy, stream.plans.seed + block, [Phase.generate, Phase.shrink])
    except (Failed, Flaky):
        pass
    return smallest
