"""The suite under HypoFuzz: ``hypothesis fuzz -- conformance --backend NAME``.

HypoFuzz collects tests with ``@given``. The suite's tests do not have it, because they share their examples. This
module makes a test for HypoFuzz from each: it draws a plan and puts the backend to the law. The backend runs in
HypoFuzz's processes, which measure its coverage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis.database import ExampleDatabase

from conformance.engine.check import Check
from conformance.engine.drawing import strategy_of
from conformance.engine.example_key import law_on_plans
from conformance.engine.hypothesis_internals import name_comments


def under_hypofuzz() -> bool:
    """Return whether HypoFuzz collects or runs these tests."""
    detection = sys.modules.get("hypofuzz.detection")
    return detection is not None and detection.in_hypofuzz_run()


def use(database: ExampleDatabase) -> None:
    """Make HypoFuzz use a database."""
    # HypoFuzz refuses derandomized tests, Hypothesis's default if the variable CI is set
    settings.register_profile("conformance-fuzz", database=database, deadline=None, derandomize=False)
    settings.load_profile("conformance-fuzz")


def fuzzable(job: Any) -> Callable[..., Any] | None:
    """Return a job's check as a test of Hypothesis; None for a check without drawn examples."""
    if not isinstance(job.check, Check):
        return None
    name_comments()
    strategy = strategy_of(job.check.draw(job.subject.features))
    return given(plan=strategy)(law_on_plans())
