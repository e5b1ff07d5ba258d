"""Backends that do what they should not: each gets the verdict and the words that docs/hostile.md says."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from conformance.engine.drawing import Plans
from conformance.engine.text import MAX_FAILURE_CHARACTERS, printable
from conformance.registry import UnknownBackend
from conformance.runs.session import Session
from conformance.runs.settings import Settings
from conformance.specifications import built
from tests.hostile_kinds import FAILED, PAGE, PASSED, REFUSED, every, page
from tests.hostile_programs import NEVER_REFUSALS
from tests.test_plugin import run

BANKS = every()
ALL = {one.what: one for bank in BANKS.values() for one in bank}
SETTINGS = {"profile": "smoke", "run_blocked": True, "diagnosis": "off", "specification": "torch.nn"}
INVALID, TEXTS = "REFUSE-STATE-ROWS", "Text, names and claims"


PLANS = Plans(0)  # of all backends, so that they are drawn once


def came_of(one, folder):
    """Return what came of a backend: the verdict, the message, the script's path, and if it refuses a wrong call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a coroutine that is never awaited
        try:
            backend = built("tests.hostile:Of", one.build)
        except UnknownBackend as error:
            return REFUSED, str(error), None, True
        session = Session(Settings.of({**SETTINGS, "report": folder / "report.json"}), {"tests.hostile:Of": backend})
        session.drawn.plans = PLANS
        jobs = {job.requirement.id: job for job in session.jobs()}
        finding = session.finding(jobs[one.requirement])
        if one in BANKS[TEXTS]:
            session.text(session.outcomes({finding.key: finding})).encode()
        refuses = one not in NEVER_REFUSALS or str(session.finding(jobs[INVALID]).status) != "failed"
    if hasattr(backend, "program"):
        backend.program.end()
    return {"failed": FAILED, "passed": PASSED}[str(finding.status)], finding.message, finding.reproducer, refuses


def test_there_are_many_and_each_once():
    assert len(ALL) == sum(map(len, BANKS.values()))
    assert len(ALL) >= 120


@pytest.mark.parametrize("what", ALL)
def test_a_hostile_backend_is_held(what, tmp_path):
    one = ALL[what]
    comes, message, script, refuses = came_of(one, tmp_path)
    assert (comes, one.said in message) == (one.comes, True), message[:500]
    assert refuses == (one not in NEVER_REFUSALS), "an answer that is none is never a refusal"
    assert printable(message) == message
    assert len(message) < MAX_FAILURE_CHARACTERS + 5000
    if comes == FAILED:
        assert one.said
        compile(Path(script).read_text("utf-8"), script, "exec")
    if comes == REFUSED:
        assert "\n" not in message


def test_the_page_is_that_of_the_bank():
    assert PAGE.read_text("utf-8") == page(BANKS), "run: python -m tests.regenerate hostile"


def test_the_script_of_a_program_has_its_name_and_runs(tmp_path):
    one = ALL["a line of words"]
    name = f"exec:{one.build.command}"
    settings = Settings.of({**SETTINGS, "report": tmp_path / "report.json", "isolation": "none"})
    session = Session(settings, [name])
    finding = next(session.finding(job) for job in session.jobs() if job.requirement.id == "SHAPE-OUTPUT")
    session.speakers[0].backend.program.end()
    assert repr(name) in Path(finding.reproducer).read_text("utf-8")
    done = subprocess.run(
        [sys.executable, finding.reproducer], env=os.environ | {"PYTHONPATH": str(PAGE.parents[1])},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert "loading kernels" in done.stdout


BROKEN_SUITE = """
from conformance.runs.session import Session


def pytest_configure():
    def finding(self, job):
        raise ZeroDivisionError("of the suite")

    Session.finding = finding
"""


def test_where_the_suite_itself_fails_it_says_so_and_the_status_is_3(tmp_path):
    (tmp_path / "break_it.py").write_text(BROKEN_SUITE)
    report = tmp_path / "report.json"
    status, printed = run(
        *("--pyargs", "conformance", "--backend", "reference", "--hypothesis-profile", "smoke", "-q", "-p", "break_it"),
        *("-k", "[SHAPE-OUTPUT-reference-gru-float32]", "--conformance-report", str(report), "-c", os.devnull),
        cwd=tmp_path,
    )
    assert status == 3, printed
    (row,) = [row for row in json.loads(report.read_text("utf-8"))["requirements"] if row["status"] == "failed"]
    assert row["message"].startswith("the suite itself failed, which says nothing about the backend: report it with /")
    (place,) = tmp_path.glob("report-reproducers/*.suite-failed.txt")
    assert "ZeroDivisionError: of the suite" in place.read_text("utf-8")
