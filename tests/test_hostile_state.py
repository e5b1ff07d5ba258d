"""Backends that spoil their process: the report names the backend as the cause, and the run goes on."""

import pytest
from hypothesis.errors import StopTest

from conformance.engine.deadline import OutOfTime
from conformance.engine.subject import Broken
from conformance.runs.session import Session
from conformance.runs.settings import Settings
from conformance.specifications import built
from tests.hostile_text import raises
from tests.test_isolation import failures, report_of

SOME = ("-k", "gru and (SHAPE-OUTPUT or GRU-EQUATION or CASE-GRU-REFUSE-STATE-ROWS)", "--conformance-timeout", "4")
# Backends of tests/hostile_state.py, and a part of a failure's message; nothing for those that do no harm.
HOSTILE = {
    "SendsNaN": "the backend's process sent NaN for a number, and was killed",
    "SendsHalfADiagnosis": "the backend's process sent a diagnosis that is none, and was killed",
    "TakesAllDescriptors": "the backend left its process no file to open (Too many open files): close what each call",
    "WritesIntoItsConfiguration": "",
    "ClearsThePath": "",
    "WritesPastItsMemory": "",
    "WritesPastItsMemoryAndDies": "outside of any call: the backend's process ended with exit status 4",
    "LateImportsRaise": "forward: the backend's process ended with exit status 3",
    "InterruptsItself": "KeyboardInterrupt",
    "Alarms": "the backend's process ended by signal 14 (SIGALRM)",
    "ResultsThatArriveLater": "elements compared are wrong",
    "AnotherNameEachTime": "",
    "ReadOnlyName": "",
    "ChangesHypothesis": "got ",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_spoilt_process_is_told_as_the_backend_s(name, tmp_path):
    status, printed, report = report_of(tmp_path, "--backend", f"tests.hostile_state:{name}", *SOME)
    assert "the suite itself failed" not in printed
    assert status == bool(HOSTILE[name]), printed
    assert any(HOSTILE[name] in message for message in failures(report).values()) == bool(HOSTILE[name]), printed
    judged = [row["status"] for row in report["requirements"] if row["status"] != "not_claimed"]
    assert len(judged) == 4


def test_a_case_draws_nothing(tmp_path):
    command = ("--backend", "tests.hostile_state:AsksForPlansInACase", "-k", "CASE-GRU-REFUSE-STATE-ROWS-asks")
    _, printed, report = report_of(tmp_path, *command)
    assert "the suite itself failed" not in printed
    assert "sent a request that is not the suite's, and was killed" in failures(report)["CASE-GRU-REFUSE-STATE-ROWS"]


def test_a_report_whose_folder_the_backend_removes_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDER_OF_TEST", str(tmp_path / "of-it"))
    status, printed, report = report_of(tmp_path / "of-it", "--backend", "tests.hostile_state:RemovesTheReport", *SOME)
    assert status == 0, printed
    assert report["summary"]["passed"] == 4


def test_a_report_in_whose_place_is_a_folder_is_told_with_status_3(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDER_OF_TEST", str(tmp_path))
    command = ("--backend", "tests.hostile_state:ReportBecomesAFolder", *SOME)
    with pytest.raises(IsADirectoryError):
        report_of(tmp_path, *command)
    assert (tmp_path / "report.json.journal").exists()


IN_PROCESS = {"profile": "smoke", "run_blocked": True, "diagnosis": "off", "specification": "torch.nn"}


def own_exceptions():
    return {
        "xfail": pytest.xfail.Exception("known"),
        "skip": pytest.skip.Exception("no GPU"),
        "fail": pytest.fail.Exception("no"),
        "stop": StopTest(0),
        "time": OutOfTime("mine"),
        "group": BaseExceptionGroup("all", [KeyboardInterrupt()]),
        "broken": Broken("mine"),
    }


@pytest.mark.parametrize("name", own_exceptions())
def test_what_is_no_exception_is_the_backend_s_in_this_process_too(name, tmp_path):
    """pytest would skip a test, and Hypothesis end its examples, if these passed through."""
    error = own_exceptions()[name]
    settings = Settings.of(IN_PROCESS | {"report": tmp_path / "report.json"})
    session = Session(settings, {"tests.hostile:Of": built("tests.hostile:Of", raises(error))})
    finding = next(session.finding(job) for job in session.jobs() if job.requirement.id == "SHAPE-OUTPUT")
    assert str(finding.status) == "failed"
    said = "forward: mine" if name == "broken" else f"forward raised {type(error).__name__}: "
    assert finding.message.startswith(said)


def test_a_ctrl_c_in_this_process_ends_the_run(tmp_path):
    settings = Settings.of(IN_PROCESS | {"report": tmp_path / "report.json"})
    session = Session(settings, {"tests.hostile:Of": built("tests.hostile:Of", raises(KeyboardInterrupt()))})
    with pytest.raises(KeyboardInterrupt):
        next(session.finding(job) for job in session.jobs() if job.requirement.id == "SHAPE-OUTPUT")
