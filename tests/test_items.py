"""Requirements as items of pytest: what one job raises is its own item's, whichever item runs it."""

import pytest

from conformance import Features
from conformance.backends.oracle import OracleBackend
from conformance.engine.finding import Finding, Status
from conformance.runs.items import LazyRun, parametrize_with_requirements, settle_item


class SomeGRU(OracleBackend):
    name, features = "some", Features(kinds={"gru"})


@pytest.fixture
def lazy_run(monkeypatch):
    run = LazyRun(SomeGRU(), "smoke", {})
    run.expect(run.jobs[:3])
    yield run
    run.close()
    LazyRun.every.remove(run)


def test_an_earlier_jobs_exception_is_kept_for_its_own_item(lazy_run, monkeypatch):
    first, second, third = lazy_run.jobs[:3]
    judged = []

    def finding(job):
        judged.append(job)
        if job is first:
            raise RuntimeError("the suite broke")
        return f"finding of {job}"

    monkeypatch.setattr(lazy_run.session, "finding", finding)
    assert lazy_run.finding(third) == f"finding of {third}"
    assert lazy_run.finding(second) == f"finding of {second}"
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the suite broke"):
            lazy_run.finding(first)
    assert judged == [first, second, third]


def test_an_interrupted_job_runs_again(lazy_run, monkeypatch):
    first, second = lazy_run.jobs[:2]
    presses = [KeyboardInterrupt()]

    def finding(job):
        if presses:
            raise presses.pop()
        return f"finding of {job}"

    monkeypatch.setattr(lazy_run.session, "finding", finding)
    with pytest.raises(KeyboardInterrupt):
        lazy_run.finding(second)
    assert lazy_run.finding(second) == f"finding of {second}"
    assert lazy_run.finding(first) == f"finding of {first}"


def test_a_report_that_nothing_would_write_is_refused():
    with pytest.raises(ValueError, match="report: tests of requirements write none"):
        parametrize_with_requirements("reference", report="report.json")


def test_a_known_failure_is_told_without_a_stack():
    known = Finding("SHAPE-OUTPUT", "a", "lstm", "float32", "torch.nn", Status.KNOWN_FAILURE, message="why\nmore")
    with pytest.raises(pytest.xfail.Exception) as raised:
        settle_item(known)
    assert str(raised.value) == "why"
    assert not raised.value.pytrace
