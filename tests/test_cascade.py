"""Prerequisites: a requirement that builds on a failed one is blocked, so that one cause is one failure."""

import json

import pytest

from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
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


def test_failures_of_separate_processes_are_settled():
    results = {
        key("C"): finding("C", "failed"),
        key("A"): finding("A", "failed"),
        key("B"): finding("B", "passed"),
        key("D"): finding("D", "failed"),
    }
    settle(results, SOME)
    assert results[key("A")].status == "failed"
    assert results[key("D")].status == "failed"
    assert results[key("C")].status == "failed", "what lies between passed: C fails of itself"
    results[key("B")] = finding("B", "failed")
    settle(results, SOME)
    assert {k[0]: found.status for k, found in results.items()} == {
        "A": "failed",
        "B": "blocked",
        "C": "blocked",
        "D": "failed",
    }
    assert results[key("C")].message.startswith("A, on which it builds, failed")


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
    assert len({row["id"] for row in blocked}) > 40
    assert all(row["message"] == f"not run: it builds on {requirement}, which failed" for row in blocked)
    assert not any(row["examples"] for row in blocked)
    assert found["summary"]["blocked"] == len(blocked)
    assert not found["summary"]["conformant"]
