"""How a failing example is made smaller, by Hypothesis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from hypothesis import Phase
from hypothesis.errors import Flaky

from conformance.engine.compare import Failed
from conformance.engine.drawing import Stream, hypothesis_run
from conformance.engine.example_key import key_of, name_of

if TYPE_CHECKING:
    from conformance.engine.check import Check

MAX_SHRINKING_SECONDS = 60.0  # for backends so slow that the attempts would never end

Failure = tuple[Failed, Any]  # how it fails, and on which call


def shrink(check: Check, stream: Stream, block: int, first: Failure, attempts: int) -> Failure:
    """Return the simplest failing example that Hypothesis finds in a block in which one fails, and its failure.

    The first one is returned where it does not fail again, a sign of a backend that does not repeat itself.
    """
    phases = [Phase.generate, Phase.shrink]
    return hunt(check, stream, stream.plans.seed + block, phases, first, attempts)[1] or first


def hunt(
    check: Check, stream: Stream, number: int, phases: list[Phase], first: Failure | None, attempts: int
) -> tuple[int, Failure | None]:
    """Return how many examples Hypothesis tried until one failed, and the simplest that fails, None if none does.

    ``first`` is one that is known to fail. As soon as there is one, attempts and time are limited. The database keeps
    every failing example.
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
            raise Failed(message) from None  # from this line alone, or Hypothesis takes it for several bugs

    def outcome(plan: Any) -> tuple[Any, str]:
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
