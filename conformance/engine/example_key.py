"""The name of a check put to a subject, and the key under which Hypothesis keeps its failing examples."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import assume

from conformance.engine.hypothesis_internals import digest
from conformance.engine.trial import trial_of


def name_of(requirement: str, backend: str, kind: str, dtype: str) -> str:
    """Return the name of a requirement put to a backend, for one kind and dtype, in ids and in databases."""
    return f"{requirement}-{backend}-{kind}-{dtype}"


def law_on_plans() -> Callable[..., None]:
    """Make a function ``law(trial, plan)`` that puts a job's law to the call that the plan builds.

    ``trial`` is a job: an object with ``subject`` and ``check``. HypoFuzz derives the key from this function.
    """

    def law(trial: Any, plan: Any) -> None:
        subject, check = trial.subject, trial.check
        call = plan.build(subject.kind, subject.dtype)
        assume(check.applies(call))
        check.law(trial_of(subject, call))

    return law


@cache
def key_of(name: str) -> bytes:
    """Return the key under which Hypothesis and HypoFuzz keep the examples of the check of that name."""
    return digest(law_on_plans(), name)
