"""A report is there in full, or the run is not green: tried at the start, renamed at the end, a journal between."""

import json
import os
import stat

import pytest

from conformance.engine.whole_files import write_whole
from conformance.runs.report_file import CannotWrite, ReportFile
from tests.test_plugin import ROOT, run

ASKED = (
    "conformance",
    "--backend",
    "reference",
    "--hypothesis-profile",
    "smoke",
    "-q",
    "-k",
    "gru-float32 and SHAPE-H-N",
)


def test_a_file_is_written_in_full_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    write_whole(file, "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_links_and_pipes_stay_what_they_are(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    report = ReportFile(tmp_path / "link.json")
    report.write("new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"
    ReportFile(os.devnull).write("x")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_the_journal_is_there_until_the_report_is(tmp_path):
    report = ReportFile(tmp_path / "new" / "report.json")
    assert list(report.path.parent.iterdir()) == []
    report.note({"a": 1})
    report.note('{"a": 2}')
    assert [json.loads(line)["a"] for line in report.journal.read_text().splitlines()] == [1, 2]
    report.write("{}")
    assert [path.name for path in report.path.parent.iterdir()] == ["report.json"]


@pytest.mark.parametrize("path", ["", "file/report.json", f"{'x' * 300}.json"])
def test_a_report_that_cannot_be_written_is_told_before_anything_runs(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot be written"):
        ReportFile(tmp_path / path)


def test_it_is_one_sentence_and_status_4(tmp_path):
    status, printed = run(*ASKED, "--conformance-report", str(tmp_path))
    assert status == 4, printed
    assert f"--conformance-report: the report {tmp_path} cannot be written (it is a folder)." in printed
    assert "passed" not in printed


def test_a_report_that_fails_at_the_end_is_status_3_with_the_summary_and_the_findings(tmp_path, monkeypatch):
    (tmp_path / "late.py").write_text(
        "import os\n"
        "def replace(old, new):\n"
        "    raise OSError(28, 'No space left on device')\n"
        "def pytest_runtest_logfinish():\n"
        "    os.replace = replace\n"
    )
    report = tmp_path / "report.json"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    status, printed = run(*ASKED, "-p", "late", "--conformance-report", str(report))
    assert status == 3, printed
    assert "= conformance =" in printed
    assert f"the report {report} cannot be written (No space left on device); the findings are in" in printed
    assert not report.exists()
    (line,) = (tmp_path / "report.json.journal").read_text().splitlines()
    assert json.loads(line)["requirement"] == "SHAPE-H-N"


def test_a_run_without_a_verdict_is_not_green(tmp_path):
    report = tmp_path / "report.json"
    status, printed = run(*ASKED, "--setup-only", "--conformance-report", str(report))
    assert status == 3, printed
    assert "1 of the checks that were asked for have no verdict: SHAPE-H-N-reference-gru-float32 is one." in printed
    assert not json.loads(report.read_text())["summary"]["complete"]


def test_a_report_of_nothing_is_not_green(tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    report = tmp_path / "report.json"
    options = ("-c", os.devnull, "-p", "conformance.plugin", "--conformance-report", str(report))
    status, printed = run(str(tmp_path), "-q", *options, cwd=ROOT)
    assert status == 3, printed
    assert "no requirement was asked for in this run, so there is no report" in printed
    assert not report.exists()
