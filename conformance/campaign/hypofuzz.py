"""The suite under HypoFuzz: ``hypothesis fuzz -- conformance --backend NAME``.

HypoFuzz collects tests that are ``@given``. The suite's own are not, as many of them share what is drawn: here each
is made into one for it, which draws a plan and puts the backend to the law. The backend runs in HypoFuzz's
processes, which follow its coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import assume, given, settings
from hypothesis.database import ExampleDatabase
from hypothesis.internal.conjecture.data import ConjectureResult

from conformance.engine.check import Check
from conformance.engine.subject import trial_of


def use(database: ExampleDatabase) -> None:
    """Let HypoFuzz keep there what it finds."""
    # where CI is set Hypothesis draws the same examples again and again, which HypoFuzz refuses
    settings.register_profile("conformance-fuzz", database=database, deadline=None, derandomize=False)
    settings.load_profile("conformance-fuzz")


def law_on_plans() -> Callable:
    """A new ``law(trial, plan)``, where ``trial`` is a job of the plugin: its law on the call that the plan builds."""

    def law(trial, plan) -> None:
        subject, check = trial.subject, trial.check
        call = plan.build(subject.kind, subject.dtype)
        assume(check.applies(call))
        check.law(trial_of(subject, call))

    return law


def fuzzable(job: Any) -> Callable | None:
    """The job of a check as a test of Hypothesis; None if its examples are not drawn."""
    if not isinstance(job.check, Check):
        return None
    if not hasattr(ConjectureResult, "slice_comments"):  # HypoFuzz 25.11.1 asks for what Hypothesis calls otherwise now
        ConjectureResult.slice_comments = {}
    strategy = job.check.draw(job.subject.backend.features)
    return given(plan=strategy)(law_on_plans())
