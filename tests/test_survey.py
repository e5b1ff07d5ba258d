"""Surveys of drawn calls: how many are made."""

from types import SimpleNamespace

import pytest

from conformance.diagnosis.survey import RESULT, UNANIMOUS, WRONG, Survey
from conformance.engine.deadline import Deadline

RAISED = "RuntimeError: no kernel"


@pytest.mark.parametrize(
    ("manners", "made"),
    [
        ([RAISED] * 175, UNANIMOUS),
        ([""] + [RAISED] * 174, 175),
        ([RAISED] * 60 + [""] + [RAISED] * 114, UNANIMOUS),
        ([RAISED, "ValueError: other"] + [RAISED] * 173, 175),
        ([WRONG] * 175, 175),
        ([f"{RESULT}shape"] * 175, 175),
        ([RAISED] * 10, 10),
    ],
)
def test_calls_that_all_raise_alike_end_the_survey(manners, made):
    trials = [SimpleNamespace(how=how) for how in manners]
    seen = Survey.of(trials, Deadline(), lambda trial: trial.how)
    assert seen.count == made
    assert seen.unmade == 0
