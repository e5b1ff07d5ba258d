"""Draw examples: plans in blocks, equal for every kind and dtype, and trials of their calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.database import ExampleDatabase
from hypothesis.errors import HypothesisWarning
from hypothesis.strategies import SearchStrategy, sampled_from

from conformance.engine.form import Draw, Plan
from conformance.engine.hypothesis_internals import drawn_from_the_seed_alone, keyed
from conformance.engine.specification import Specification
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from reference.dialects import speaking

BLOCK = 25  # examples that Hypothesis draws in one go
KEPT_BLOCKS = 48  # of built examples; a long campaign builds the examples of later blocks again for each check
MAX_FRUITLESS_BLOCKS = 30  # in a row without an applicable example, before the search for one ends


class Plans:
    """The plans that Hypothesis drew, shared by kinds and dtypes, and its database of examples or None."""

    def __init__(self, seed: int, database: ExampleDatabase | None = None) -> None:
        self.seed, self.database = seed, database
        self._blocks: dict[Any, list[Any]] = {}

    def block(self, specification: Specification, draw: Draw, features: Any, number: int) -> list[Any]:
        """Return BLOCK plans; equal seeds and numbers give equal plans. A list of plans has fewer, or none, at its end.

        Hypothesis stops early where there is little to draw. Repetition fills such a block.
        """
        key = (specification.name, draw, specification.drawn_from(features), number)
        if key not in self._blocks:
            plans = draw(features)
            if isinstance(plans, Sequence):
                self._blocks[key] = list(plans[number * BLOCK : (number + 1) * BLOCK])
            else:
                drawn: list[Any] = []
                hypothesis_run(drawn.append, plans, self.seed + number, [Phase.generate])
                self._blocks[key] = [drawn[position % len(drawn)] for position in range(BLOCK)]
        return self._blocks[key]


@dataclass
class Stream:
    """The examples of one way of drawing for one subject, built on demand and kept for the next check."""

    subject: Subject
    draw: Draw
    plans: Plans
    blocks: list[tuple[list[Any], list[Any]]] = field(default_factory=list)  # plans, and trials of the first plans
    shrunk: Any = None  # the trial of the smallest failing call

    def trial(self, plan: Plan) -> Any:
        """Put the plan's call to the subject."""
        with speaking(self.subject.dialects):  # some plans open or close a gate
            call = plan.build(self.subject.kind, self.subject.dtype)
        return trial_of(self.subject, call)

    def plan_of(self, call: Any) -> Plan | None:
        """Return the plan from which a call of a kept block was built, or None."""
        for plans, trials in self.blocks:
            for plan, trial in zip(plans, trials, strict=False):
                if trial.call is call:
                    return plan
        return None

    def applicable(self, applies: Callable[[Any], bool], count: int) -> Iterator[tuple[int, Any]]:
        """Yield the first ``count`` trials whose call applies, each with the number of its block."""
        found = block = fruitless = 0
        while found < count and fruitless < MAX_FRUITLESS_BLOCKS:
            fruitless, empty = fruitless + 1, True
            for trial in self.block(block):
                empty = False
                if applies(trial.call):
                    found, fruitless = found + 1, 0
                    yield block, trial
                    if found == count:
                        return
            if empty:  # the end of a list
                return
            block += 1

    def block(self, number: int) -> Iterator[Any]:
        """Yield the trials of a block. Each is built on demand; KEPT_BLOCKS blocks are cached."""
        if number < len(self.blocks):
            plans, trials = self.blocks[number]
        else:
            with self.subject.clock("drawing"):
                features = self.subject.features
                plans, trials = self.plans.block(self.subject.specification, self.draw, features, number), []
            if number < KEPT_BLOCKS:
                self.blocks.append((plans, trials))
        for position, plan in enumerate(plans):
            if position == len(trials):
                with self.subject.clock("drawing"):
                    trials.append(self.trial(plan))
            yield trials[position]


class Streams:
    """The streams of one subject by way of drawing, shared by its checks."""

    def __init__(self, subject: Subject, plans: Plans) -> None:
        self.subject, self.plans = subject, plans
        self._by_draw: dict[Draw, Stream] = {}

    def of(self, draw: Draw) -> Stream:
        """Return the stream of a way of drawing."""
        if draw not in self._by_draw:
            self._by_draw[draw] = self.stream(draw)
        return self._by_draw[draw]

    def stream(self, draw: Draw) -> Stream:
        """Make a new stream."""
        return Stream(self.subject, draw, self.plans)

    def use(self, plans: Plans) -> None:
        """Take further plans from these."""
        self.plans = plans
        for stream in self._by_draw.values():
            stream.plans = plans


def one_of(options: Sequence[Any]) -> SearchStrategy[Any]:
    """Return a strategy that draws one of the options, the same object for equal options: making one takes long."""
    return _one_of(tuple(options), tuple(map(type, options)))


@cache
def _one_of(options: tuple[Any, ...], _types: tuple[type, ...]) -> SearchStrategy[Any]:
    return sampled_from(options)


def strategy_of(plans: Any) -> Any:
    """Return what a way of drawing gives as a strategy."""
    return sampled_from(plans) if isinstance(plans, Sequence) else plans


def hypothesis_run(
    function: Callable[[Any], object],
    strategy: Any,
    number: int,
    phases: list[Phase],
    database: ExampleDatabase | None = None,
    key: bytes = b"",
) -> None:
    """Let Hypothesis draw BLOCK examples from a seed, or replay the database's examples under the key."""
    run: Any = given(strategy)(lambda example: function(example))
    run = seed(number)(keyed(run, key))
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
