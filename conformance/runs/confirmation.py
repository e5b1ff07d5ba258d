"""Confirm a failure in a fresh process, and find the earlier calls on which it depends if it passes there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from conformance.engine.cause import Cause
from conformance.engine.verdict import Verdict
from conformance.isolation.task import Task

Afresh = Callable[[Task], "Verdict | None"]
"""Puts a task to a new process; returns None if there can be none."""


def confirm(
    task: Task, verdict: Verdict, afresh: Afresh, ran: list[str], causes: Sequence[Cause], over: Callable[[], bool]
) -> None:
    """Put the failing call of a verdict to a new process; if it passes there, say what must come before it.

    ``ran`` names the requirements whose checks the backend's process has run before, in order. No fault is named for
    such a failure, because the call alone does not show it. ``causes`` are earlier failures; one that depends on
    earlier calls needs no second search. The search ends when the time is ``over()``.
    """
    alone = replace(task, example=verdict.call, after=tuple(verdict.after))
    if verdict.call is not None or not verdict.depends:
        again = afresh(alone)
        if again is None or not again.passed:
            return
    carried = "" if verdict.call is None else ": the backend carries something from one object to another"
    verdict.depends = True
    verdict.diagnosis, verdict.more, verdict.numeric = [], 0, False
    verdict.after, verdict.call, verdict.reproducer = [], None, ""
    if any(cause.depends for cause in causes):
        verdict.common = "the call alone is right in a fresh process"
        return
    drawn = replace(alone, example=None, after=())

    def fails(before: list[str]) -> bool:
        found = None if over() else afresh(replace(drawn, before=tuple(before)))
        return found is not None and not found.passed

    right = "the call alone is right in a fresh process"
    if fails([]):
        verdict.common = f"{right}: it fails after other calls of the same requirement"
    elif fails(ran):
        verdict.before = _fewest(ran, fails)
        makes = "makes" if len(verdict.before) == 1 else "make"
        verdict.common = f"{right}; it fails after the calls that {', '.join(verdict.before)} {makes}{carried}"
    elif over():
        verdict.common = f"{right}, and the time to find the calls that must come before it is over"
    else:
        verdict.common = f"{right}, and it did not fail again there: the backend does not repeat itself"


def _fewest(names: list[str], fails: Callable[[list[str]], bool]) -> list[str]:
    """Return a short list of names that still fails, by halving."""
    while len(names) > 1:
        half = len(names) // 2
        if fails(names[half:]):
            names = names[half:]
        elif fails(names[:half]):
            names = names[:half]
        else:
            break
    return names
