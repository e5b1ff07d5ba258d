"""Replay a failure that is not a matter of one call's numbers, for the scripts that reproduce it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from conformance import registry, specifications
from conformance.engine.check import Check, fails_after
from conformance.engine.drawing import Plans, Streams
from conformance.engine.profiles import PROFILES
from conformance.engine.serialization import BrokenExample, Example, call_of
from conformance.engine.subject import Subject


def replay(
    name: str,
    requirement: str,
    kind: str,
    dtype: str,
    example: Example | None = None,
    *,
    specification: str = "torch.nn",
    after: Sequence[str] = (),
    before: Sequence[str] = (),
    profile: str = "quick",
    seed: int = 0,
) -> int:
    """Put a backend to the checks of one requirement, on an example or on drawn calls; print the result.

    ``after`` names the requirements whose laws call the same object first, in this order, and ``before`` those whose
    checks run first. ``profile`` and ``seed`` say which calls are drawn.

    Returns 1 if a check fails, 0 if all pass, and 2 if the backend or the example cannot be used.
    """
    try:
        chosen = specifications.named(specification)
        backend = specifications.adapted(specifications.backend(name), chosen)
        call = None if example is None else call_of(chosen, example, kind, dtype)
    except (registry.UnknownBackend, specifications.UnknownSpecification, BrokenExample) as error:
        print(error)
        return 2
    subject = Subject(chosen, backend, kind, dtype)
    failures: list[str] = []
    streams, drawn = Streams(subject, Plans(seed)), replace(PROFILES[profile], shrink_attempts=0)
    for earlier in (check for name in before for check in chosen.checks_of(name)):
        earlier.run(streams, drawn)
    for check in chosen.checks_of(requirement):
        if call is None:
            verdict, _ = check.run(streams, drawn)
            failures += [verdict.failure] if verdict.failure else []
        elif isinstance(check, Check) and check.applies(call):
            failure = fails_after(check, subject, call, after)
            failures += [str(failure)] if failure else []
    print(f"{requirement}, {call or f'{kind}, {dtype}'}")
    print("\n".join(failures) or "passes")
    return 1 if failures else 0
