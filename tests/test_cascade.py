"""A failure that an earlier one explains is blocked, so that one cause is one failure, and nothing else is hidden."""

import json
from dataclasses import replace

import pytest

from conformance.engine.cause import Cause
from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.engine.verdict import Verdict
from conformance.runs.prerequisites import Prerequisites, ranks, settle
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from reference.catalogue import Requirement
from reference.config import KINDS
from tests.test_plugin import QUICK, backend, run


def entry(id_, *builds_on, every_dtype=True):
    return Requirement(id_, "state", "It holds.", "a page", KINDS, builds_on=builds_on, every_dtype=every_dtype)


ENTRIES = {e.id: e for e in (entry("A", every_dtype=False), entry("B", "A"), entry("C", "B"), entry("D"))}
SOME = {"torch.nn": ENTRIES}


def key(id_, kind="lstm", dtype="float32"):
    return Key(id_, "mine", kind, dtype)


def finding(id_, status, message="", examples=0, reproducer=""):
    """Return a finding; one that failed has a reproducer."""
    place = (id_, "mine", "lstm", "float32", "torch.nn")
    script = reproducer or (f"{id_}.py" if status == "failed" and not message else None)
    return Finding(*place, status=Status(status), message=message, examples=examples, reproducer=script)


def test_ranks_put_what_is_built_on_first():
    assert ranks(ENTRIES) == {"A": 0, "D": 0, "B": 1, "C": 2}


def test_the_first_cause_is_named_through_what_it_blocks():
    prerequisites = Prerequisites(SOME)
    prerequisites.failed(key("A"))
    assert prerequisites.cause(key("B")) == "A"
    assert prerequisites.cause(key("C")) == "A"
    assert prerequisites.cause(key("D")) is None


def test_another_kind_is_not_blocked_and_another_dtype_only_by_what_is_checked_in_one():
    prerequisites = Prerequisites(SOME)
    prerequisites.failed(key("A"))
    assert prerequisites.cause(key("B", dtype="float64")) == "A"
    assert prerequisites.cause(key("B", kind="gru")) is None
    prerequisites = Prerequisites(SOME)
    prerequisites.failed(key("B"))
    assert prerequisites.cause(key("C", dtype="float64")) is None


def test_causes_are_what_is_built_on_and_then_the_subjects_other_failures():
    prerequisites = Prerequisites(SOME)
    prerequisites.failed(key("A"), Verdict(failure="off", margin=3.0))
    prerequisites.failed(key("D"), Verdict(failure="raised", raised="ValueError: no", diagnosis=[{"fault": "x"}]))
    a, d = Cause("A", margin=3.0), Cause("D", ("x",), "ValueError: no", direct=False)
    assert prerequisites.causes(key("C")) == [a, d], "through B, which need not have run"
    assert prerequisites.causes(key("D", dtype="float64")) == [replace(a, direct=False)], "A is checked in one dtype"
    assert prerequisites.causes(key("C", kind="gru")) == []


def test_a_cause_explains_nothing_that_is_a_thousand_times_as_wrong():
    assert not Cause("A", margin=2.0).is_exceeded_by(1999.0)
    assert Cause("A", margin=2.0).is_exceeded_by(2000.0)
    assert not Cause("A", margin=1e5).is_exceeded_by(1e9), "both are gross"
    assert not Cause("A").is_exceeded_by(1e9)


def test_failures_of_separate_processes_are_settled():
    results = {
        key("C"): finding("C", "failed"),
        key("A"): finding("A", "failed"),
        key("B"): finding("B", "passed"),
        key("D"): finding("D", "failed"),
    }
    settle(results, SOME)
    assert {k[0]: found.status for k, found in results.items()} == {
        "A": "failed",
        "B": "passed",
        "C": "blocked",
        "D": "failed",
    }
    assert results[key("C")].message.startswith("it fails as well: the failure of A explains it")


def named(id_, fault, margin=None):
    return replace(finding(id_, "failed"), diagnosis=({"fault": fault, "explanation": fault},), margin=margin)


def test_separate_processes_tell_a_second_fault_also():
    results = {key("A"): named("A", "x"), key("B"): named("B", "x"), key("C"): named("C", "y")}
    settle(results, SOME)
    assert [results[key(id_)].status for id_ in "ABC"] == ["failed", "blocked", "failed"]
    assert [results[key(id_)].also for id_ in "ABC"] == [False, False, True]
    results = {
        key("A"): replace(finding("A", "failed"), margin=2.0),
        key("B"): replace(finding("B", "failed"), margin=1e6),
    }
    settle(results, SOME)
    assert results[key("B")].status == "failed", "a failure by rounding's size hides nothing"


def test_what_the_formulas_combinations_build_on_is_the_plain_formula():
    assert set(CATALOGUE["FORWARD-EQUATION"].builds_on) >= {"LSTM-EQUATION", "GRU-EQUATION", "LENGTHS-SAMPLE-ALONE"}
    assert CATALOGUE["LSTM-EQUATION"].builds_on == ("LSTM-OUTPUT-GATE",)


@pytest.mark.parametrize(
    ("name", "kind", "requirement"),
    [("lstm-gates-i-o-f-g", "lstm", "LSTM-GATE-ORDER"), ("lengths-ignored", "gru", "LENGTHS-OUTPUT-ZERO")],
)
def test_one_cause_is_one_failure(tmp_path, name, kind, requirement):
    file = tmp_path / "report.json"
    status, printed = run(*backend(name), *QUICK, "-k", kind, "--conformance-report", str(file))
    assert status == 1, printed
    found = json.loads(file.read_text())
    failed = {row["id"] for row in found["requirements"] if row["status"] == "failed"}
    blocked = [row for row in found["requirements"] if row["status"] == "blocked"]
    assert failed - {"PARAM-VALUES"} == {requirement}
    assert len({row["id"] for row in blocked}) > 30
    assert all(f"the failure of {requirement} explains it" in row["message"] for row in blocked)
    assert all(row["examples"] for row in blocked)
    assert found["summary"]["blocked"] == len(blocked)
    assert not found["summary"]["conformant"]
