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
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import Flaky, HypothesisWarning
from hypothesis.internal.conjecture import providers

from conformance.backend import Features
from conformance.campaign.example_database import key_of, name_of
from conformance.diagnosis.diagnose import DRAWN, diagnose, sentences
from conformance.diagnosis.script import script, simplified
from conformance.engine.compare import Failed
from conformance.engine.serialization import Example, call_of, example_of
from conformance.engine.serialization import entry as known_failure
from conformance.engine.subject import Subject, Trial, trial_of
from conformance.specifications.torch_nn.strategies import CALL_FEATURES, layers
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
        Profile("smoke", 3, 60),
        Profile("quick", 6, 150),
        Profile("standard", 50, 400),
        Profile("thorough", 1000, 5000, derandomize=False),
    )
}
DEFAULT_PROFILE = "standard"
BLOCK = 25  # examples that Hypothesis draws in one go
KEPT_BLOCKS = 48  # of built examples; long campaigns build what lies beyond them again for each check
MOST_SHRINKING = 60.0  # seconds, for backends so slow that the attempts would never end
SURVEYED = 5  # blocks of a form's calls that diagnosis sorts into right and wrong
OWN = 24  # trials of a failing check's own way of drawing that diagnosis looks at
DRAWN_AT_RANDOM = ("dropout", "initialization")  # areas where numbers differ from one generator to the next
MOST_BLOCKS = 30  # without one more example that applies: then there is none


@dataclass(frozen=True)
class Check:
    """One requirement's test: ``law(trial)`` raises Failed where the backend departs from it.

    ``draw(features)`` is the strategy of plans; ``when(call)`` says which calls the law speaks
    of, beside those that use the features that the requirement needs; ``share`` is the part of a profile's
    examples that it gets, less than 1 for large ones. ``apart``: the law alone may ask the backend, as it does so
    in a process of its own.
    """

    requirement: str
    law: Callable[[Trial], None]
    draw: Draw = layers
    when: Callable[[object], bool] | None = None
    share: float = 1.0
    apart: bool = False

    @property
    def entry(self) -> Requirement:
        """The requirement's entry in the catalogue."""
        return catalogue()[self.requirement]

    def applies(self, call) -> bool:
        """Whether the call uses what the requirement needs and the law speaks of it."""
        return self.entry.needs & CALL_FEATURES <= call.uses and (self.when is None or self.when(call))

    def run(
        self,
        subject: Subject,
        plans: Plans,
        streams: dict[Draw, Stream],
        profile: Profile,
        example: Example | None = None,
    ) -> Verdict:
        """Put the subject to the check, to the example of a known failure and those of the database first.

        One that found no example fails.
        """
        stream = streams.setdefault(self.draw, Stream(subject, self.draw, plans))
        verdict = Verdict()
        if example is not None and self.replay(subject, example, verdict):
            return verdict
        if plans.database is not None and self.recall(stream, streams, profile, verdict):
            return verdict
        for block, trial in stream.those(self.applies, max(1, round(profile.examples * self.share))):
            verdict.examples += 1
            trial.margin, trial.steps, trial.note = None, None, ""
            try:
                self.law(trial)
            except Failed as failure:
                if failure.margin is not None:
                    verdict.margin, verdict.steps = failure.margin, trial.steps
                smallest, call = failure, trial.call
                if profile.shrink_attempts:
                    smallest, call = shrink(self, stream, block, (failure, call), profile.shrink_attempts)
                self.fails(verdict, stream, streams, (smallest, call), profile)
                break
            verdict.note = verdict.note or trial.note
            if trial.margin is not None and (verdict.margin is None or trial.margin > verdict.margin):
                verdict.margin, verdict.steps = trial.margin, trial.steps
        if verdict.examples == 0:
            verdict.failure = "no example could be drawn that this requirement speaks of: nothing was checked"
        return verdict

    def recall(self, stream: Stream, streams: dict[Draw, Stream], profile: Profile, verdict: Verdict) -> bool:
        """Whether an example of the database fails; those that no longer do are taken out of it."""
        phases = [Phase.reuse, Phase.shrink] if profile.shrink_attempts else [Phase.reuse]
        replayed, found = hunt(self, stream, stream.plans.seed, phases, None, profile.shrink_attempts)
        if found is not None:
            verdict.recalled, verdict.margin = True, found[0].margin
            self.fails(verdict, stream, streams, found, profile)
        verdict.examples += replayed
        return found is not None

    def fails(self, verdict: Verdict, stream: Stream, streams: dict[Draw, Stream], found, profile: Profile) -> None:
        """Note the failure and its call, and where one is to be shrunk, explain it."""
        verdict.failed(*found)
        if profile.shrink_attempts:
            self.explain(verdict, stream, streams, found[1], profile.shrink_attempts)

    def replay(self, subject: Subject, example: Example, verdict: Verdict) -> bool:
        """Whether the example, if it is one of this kind and dtype, fails."""
        call = call_of(example, subject.kind, subject.dtype)
        if call is None:
            return False
        if not self.applies(call):
            verdict.replayed = "is none that the requirement speaks of"
            return False
        verdict.examples = 1
        trial = trial_of(subject, call)
        try:
            self.law(trial)
        except Failed as failure:
            verdict.replayed, verdict.margin, verdict.steps = "fails", failure.margin, trial.steps
            verdict.failed(failure, call)
            verdict.reproduced(subject, self.entry, call, numbers=not self.apart)
            return True
        verdict.replayed = "passes now"
        return False

    def explain(self, verdict: Verdict, stream: Stream, streams: dict[Draw, Stream], call, attempts: int) -> None:
        """Say which known fault it is, and leave a reproducer in simple numbers."""
        subject, plans = stream.subject, stream.plans
        if self.apart:
            verdict.reproduced(subject, self.entry, call, numbers=False)
            return
        if self.entry.area not in DRAWN_AT_RANDOM:
            with subject.clock("diagnosis"):

                def drawn(form: type) -> list[Trial]:
                    draw = DRAWN[form]
                    stream = streams.setdefault(draw, Stream(subject, draw, plans))
                    return [trial for number in range(SURVEYED) for trial in stream.block(number)]

                own = (
                    [trial for _, trial in stream.those(self.applies, OWN)]
                    if self.draw is not DRAWN[type(call)]
                    else []
                )
                found = diagnose(subject, self.law, call, drawn, own)
            verdict.diagnosis, verdict.common = found.faults, found.common
        with subject.clock("shrinking"):
            call, failure = simplified(self, subject, call, attempts, MOST_SHRINKING)
        if failure is not None:  # it fails again
            verdict.failed(failure, call)
        verdict.reproduced(subject, self.entry, call)


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
    steps: list[float] | None = None
    """Of the example with the largest margin, that at each time step."""
    failure: str = ""
    example: str = ""
    note: str = ""
    diagnosis: list[dict[str, str]] = field(default_factory=list)
    """The known faults that give the backend's own numbers, best first, as the report has them."""
    common: str = ""
    """What is wrong where, in words, as far as no fault explains it."""
    reproducer: str = ""
    """A standalone script."""
    replayed: str = ""
    """What became of the example of a known failure, if there is one for this kind and dtype."""
    seed: int | None = None
    """Of the campaign's round that found the failure."""
    recalled: bool = False
    """Whether it is an example of the database that fails."""
    known_failure: str = ""
    """The entry for a file of known failures, its reason and issue left open."""

    @property
    def passed(self) -> bool:
        return not self.failure

    @property
    def told(self) -> list[str]:
        """The diagnosis as one reads it."""
        return sentences(self.diagnosis, self.common)

    def failed(self, failure: Failed, call) -> None:
        """That is how it fails, on that call."""
        self.failure, self.example = str(failure), repr(call)

    def reproduced(self, subject: Subject, entry: Requirement, call=None, numbers: bool = True) -> None:
        """Write the reproducer, not by numbers if they may not be asked for, and the entry of a known failure."""
        with subject.clock("shrinking"):
            self.reproducer = script(subject, entry, self.failure, call, self.told, numbers)
        example = None if call is None else example_of(call)
        self.known_failure = known_failure(entry.id, subject.backend.name, subject.kind, subject.dtype, example)


class Plans:
    """The plans that Hypothesis drew, by way of drawing: kinds and dtypes share them. Its database, if one is used."""

    def __init__(self, seed: int, database: ExampleDatabase | None = None) -> None:
        self.seed, self.database = seed, database
        self._blocks: dict[tuple, list] = {}

    def block(self, draw: Draw, features: Features, number: int) -> list:
        """BLOCK plans, the same for the same seed and number."""
        claims = tuple(features.claims(name) for name in sorted(CALL_FEATURES))
        limits = features.configurations, features.fixed_shapes, features.most_steps
        key = (draw, claims, limits, number)
        if key not in self._blocks:
            drawn: list = []
            hypothesis_run(drawn.append, draw(features), self.seed + number, [Phase.generate])
            # Hypothesis stops early where there is little to draw: such a block is filled by repetition.
            self._blocks[key] = [drawn[position % len(drawn)] for position in range(BLOCK)]
        return self._blocks[key]


@dataclass
class Stream:
    """The examples of one way of drawing, for one subject; built when asked for, kept for the next check."""

    subject: Subject
    draw: Draw
    plans: Plans
    blocks: list[tuple[list, list[Trial]]] = field(default_factory=list)  # plans, and trials of the first of them

    def trial(self, plan) -> Trial:
        """The plan's call, put to the subject."""
        return trial_of(self.subject, plan.build(self.subject.kind, self.subject.dtype))

    def those(self, applies: Callable[[object], bool], count: int) -> Iterator[tuple[int, Trial]]:
        """The first ``count`` trials whose call applies, each with the number of its block."""
        found = block = fruitless = 0
        while found < count and fruitless < MOST_BLOCKS:
            fruitless += 1
            for trial in self.block(block):
                if applies(trial.call):
                    found, fruitless = found + 1, 0
                    yield block, trial
                    if found == count:
                        return
            block += 1

    def block(self, number: int) -> Iterator[Trial]:
        """The trials of a block, each built when it is asked for, those of the first blocks kept."""
        if number < len(self.blocks):
            plans, trials = self.blocks[number]
        else:
            with self.subject.clock("drawing"):
                features = self.subject.backend.features
                plans, trials = self.plans.block(self.draw, features, number), []
            if number < KEPT_BLOCKS:
                self.blocks.append((plans, trials))
        for position, plan in enumerate(plans):
            if position == len(trials):
                with self.subject.clock("drawing"):
                    trials.append(self.trial(plan))
            yield trials[position]


def hypothesis_run(
    function: Callable[[object], None],
    strategy,
    number: int,
    phases,
    database: ExampleDatabase | None = None,
    key: bytes = b"",
) -> None:
    """Let Hypothesis draw BLOCK examples from that seed, or replay those that the database has under the key."""
    run = given(strategy)(lambda example: function(example))
    run._hypothesis_internal_database_key = key
    run = seed(number)(run)
    run = settings(
        max_examples=BLOCK,
        phases=phases,
        database=database,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )(run)
    with warnings.catch_warnings(), drawn_from_the_seed_alone():
        warnings.simplefilter("ignore", HypothesisWarning)
        run()


@contextmanager
def drawn_from_the_seed_alone() -> Iterator[None]:
    """Without the numbers that Hypothesis finds in the source of whatever modules are imported, an adapter's too.

    It takes one now and then where it draws an integer, and the same seed would give other examples elsewhere.
    """
    provider = providers.HypothesisProvider
    theirs = getattr(provider, "_maybe_draw_constant", None)
    if theirs is None:  # a Hypothesis that does not do so
        yield
        return
    provider._maybe_draw_constant = lambda *_, **__: None
    try:
        yield
    finally:
        provider._maybe_draw_constant = theirs


def shrink(check: Check, stream: Stream, block: int, first: tuple[Failed, object], attempts: int):
    """The simplest failing example that Hypothesis finds from a block in which one fails, and its failure.

    Where it does not fail again, a sign of a backend that does not repeat itself, the first one stands.
    """
    phases = [Phase.generate, Phase.shrink]
    return hunt(check, stream, stream.plans.seed + block, phases, first, attempts)[1]


def hunt(check: Check, stream: Stream, number: int, phases, first: tuple[Failed, object] | None, attempts: int):
    """How many examples Hypothesis tried until one failed, and the simplest one that fails, with its failure, or None.

    ``first`` is one that is known to fail; as soon as there is one, attempts and time are limited. What fails is kept
    in the database.
    """
    until = time.monotonic() + MOST_SHRINKING
    known: dict[str, tuple[object, str]] = {}
    smallest, tried = first, 0
    subject, plans = stream.subject, stream.plans

    def attempt(plan) -> None:
        nonlocal smallest, tried, until
        key = repr(plan)
        if key not in known:
            if smallest is not None and (len(known) >= attempts or time.monotonic() > until):
                return
            known[key] = outcome(plan)
        call, message = known[key]
        if message:
            if smallest is None:
                tried, until = len(known), time.monotonic() + MOST_SHRINKING
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

    key = key_of(name_of(check.requirement, subject.backend.name, subject.kind, subject.dtype))
    try:
        with subject.clock("shrinking"):
            strategy = stream.draw(subject.backend.features)
            hypothesis_run(attempt, strategy, number, phases, plans.database, key)
    except (Failed, Flaky, SkipTest):  # the last where there is nothing to replay
        pass
    return tried or len(known), smallest
