"""Shrink a failing example with Hypothesis."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from hypothesis import Phase
from hypothesis.errors import Flaky

from conformance.engine.compare import Failed
from conformance.engine.drawing import Stream, hypothesis_run
from conformance.engine.example_key import key_of, name_of

MAX_SHRINKING_SECONDS = 60.0  # for backends so slow that the attempts would never end

Failure = tuple[Failed, Any]  # the failure and its call
Judge = Callable[[Any], None]


def shrink(judge: Judge, requirement: str, stream: Stream, block: int, first: Failure, attempts: int) -> Failure:
    """Return the simplest failing example that Hypothesis finds in a block, and its failure.

    ``first`` is a failing example of the block. It is returned if it does not fail again, because the backend does not
    repeat itself.
    """
    phases = [Phase.generate, Phase.shrink]
    return hunt(judge, requirement, stream, stream.plans.seed + block, phases, first, attempts)[1] or first


def hunt(
    judge: Judge,
    requirement: str,
    stream: Stream,
    number: int,
    phases: list[Phase],
    first: Failure | None,
    attempts: int,
) -> tuple[int, Failure | None]:
    """Return the number of examples that Hypothesis tried until one failed, and the simplest failure or None.

    ``judge(trial)`` raises Failed where the trial fails the requirement. ``first`` is a failure from an earlier run.
    Attempts and time are limited as soon as an example has failed. The database keeps every failing example.
    """
    until = time.monotonic() + MAX_SHRINKING_SECONDS
    known: dict[str, tuple[Any, str]] = {}
    smallest, tried = first, 0
    subject, plans = stream.subject, stream.plans

    def attempt(plan: Any) -> None:
        nonlocal smallest, tried, until
        key = repr(plan)
        if key not in known:
            if smallest is not None and (len(known) >= attempts or time.monotonic() > until):
                return
            known[key] = outcome(plan)
        call, message = known[key]
        if message:
            if smallest is None:
                tried, until = len(known), time.monotonic() + MAX_SHRINKING_SECONDS
            smallest = Failed(message), call
            raise Failed(message) from None  # always from this line: Hypothesis takes other lines for other bugs

    def outcome(plan: Any) -> tuple[Any, str]:
        trial = stream.trial(plan)
        try:
            judge(trial)
        except Failed as failure:
            return trial.call, str(failure)
        return trial.call, ""

    key = key_of(name_of(requirement, subject.backend.name, subject.kind, subject.dtype))
    try:
        with subject.clock("shrinking"):
            strategy = stream.draw(subject.backend.features)
            hypothesis_run(attempt, strategy, number, phases, plans.database, key)
    except (Failed, Flaky, SkipTest):  # SkipTest if there is nothing to replay
        pass
    return tried or len(known), smallest
