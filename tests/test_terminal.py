"""The terminal: a line of progress on a terminal, plain text elsewhere, failures first, at most one screen."""

import io
import os
import pty
import re
import select
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from conformance.backend import Features
from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.reporting.report import Outcome, Row
from conformance.reporting.severity import grossest_first
from conformance.reporting.terminal import MAX_FAILURE_PARAGRAPHS, Progress, minutes, summary
from conformance.specifications.torch_nn import TORCH_NN
from tests.test_gate import WRONG
from tests.test_plugin import ROOT, run
from tests.test_shards import NARROW

SOME = "STATE or SHAPE or GRU or REFUSE or UNCLAIMED"
FEW = ("--pyargs", "conformance", "--backend", "my_adapters:wrong", "--hypothesis-profile", "smoke", "-k", SOME)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "my_adapters.py").write_text(NARROW + WRONG)
    return folder


def on_a_terminal(folder, *arguments):
    """Run the suite on a pseudo-terminal; return its output."""
    main, side = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "conformance.plugin", *FEW, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=side, stdout=side, stderr=side):
        os.close(side)
        written = b""
        while select.select([main], [], [], 120)[0]:
            try:
                data = os.read(main, 1 << 16)
            except OSError:
                break
            if not data:
                break
            written += data
    os.close(main)
    return written.decode()


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_terminal_gets_a_line_that_moves(project, options):
    written = on_a_terminal(project, *options)
    steps = re.findall(r"\r *(\d+)% (\d+) of (\d+) checks(?:, (\d+) failed)?, \d+:\d\d", written)
    assert len(steps) > 50
    done = [int(count) for _, count, _, _ in steps]
    assert done == sorted(done)
    assert done[-1] >= int(steps[-1][2]) - 2
    assert int(steps[-1][3]) >= 1
    before, _, after = written.partition("= FAILURES =")
    assert "FAILED " in before, "a failure is told when it is found"
    assert "of 86 checks" not in after
    assert not re.search(r"^[.FsxE]+ *\[", before, re.MULTILINE), "no letters beside it"
    assert "does not conform" in after


@pytest.mark.parametrize("options", [("-q",), ("-v",), ("-s",)])
def test_who_asks_otherwise_gets_no_such_line(project, options):
    assert not re.search(r"\d+ of \d+ checks", on_a_terminal(project, *options, "-k", "SHAPE"))


def test_a_log_is_plain(project):
    status, printed = run(*FEW, cwd=project)
    assert status == 1, printed
    assert "\r" not in printed
    assert "\x1b" not in printed
    assert not re.search(r"\d+ of \d+ checks", printed)
    assert "test_state.py ." not in printed, "modules take turns: their names would fill the log"
    assert re.search(r"^[.Fs]+ +\[ *\d+%\]$", printed, re.MULTILINE)


def test_junit_has_what_a_check_is_and_found(project, tmp_path):
    file = tmp_path / "junit.xml"
    run(*FEW, "-q", "--junitxml", str(file), cwd=project)
    found = {}
    for case in ElementTree.parse(file).iter("testcase"):
        properties = {one.get("name"): one.get("value") for one in case.iter("property")}
        assert "conformance" not in properties
        found[properties["requirement"], properties["kind"]] = properties
    shape = found["SHAPE-OUTPUT", "gru"]
    assert shape == {
        "requirement": "SHAPE-OUTPUT",
        "specification": "torch.nn",
        "backend": "right",
        "kind": "gru",
        "dtype": "float32",
        "status": "passed",
        "examples": "3",
    }
    assert {one["status"] for one in found.values()} == {"passed", "failed", "blocked"}
    assert any(float(one["margin"]) > 0 for one in found.values() if "margin" in one)


def outcome(*rows):
    return Outcome("mine", "1", {"torch.nn": Features()}, list(rows), True, {}, areas=TORCH_NN.areas)


def finding(status, message=""):
    return Finding.at(Key("A", "x", "gru", "float32"), status, message=message)


def row(id_, status="failed", message="off by 1\nmore", **found):
    return Row(id_, "state", f"What {id_} states.", "a page", "lstm", "float32", status, message=message, **found)


def test_failures_come_first_a_paragraph_each():
    fault = {"fault": "x", "explanation": "a layer without a bias"}
    failing = row("B", diagnosis=[fault], reproducer="b.py")
    lines = list(summary([outcome(row("A", "passed", ""), failing, row("C", "blocked"))]))
    assert lines[:8] == [
        "mine (1)",
        "  FAILED B (lstm float32)",
        "    What B states.",
        "    off by 1",
        "    these are the numbers of a layer without a bias",
        "    reproducer: b.py",
        "  blocked: 1 requirement whose failures these explain: C",
        "",
    ]
    assert lines[-2] == "  mine does not conform: 1 requirement failed."


def test_failures_are_told_by_how_wrong_they_are():
    """Crashes and wrong numbers come first, then what a call leaves behind, then refusals."""
    rows = [
        row("REFUSAL", message="lengths of zero: accepted, and an output of shape (1,) came back; expected an error"),
        row(
            "OTHER-BITS",
            message="output: the same call gave other bits the second time, off by 1; declare deterministic=False",
        ),
        row("RAISES", message="forward raised RuntimeError: not for lengths"),
        row("SMALL", margin=1.03),
        row("GROSS", margin=1e6),
        row("MIDDLE", margin=30.0),
        row("CRASH", message="forward: the backend's process ended by signal 11 (SIGSEGV)"),
    ]
    order = ["CRASH", "GROSS", "MIDDLE", "SMALL", "RAISES", "OTHER-BITS", "REFUSAL"]
    assert list(grossest_first(rows)) == order
    lines = list(summary([outcome(*rows)]))
    assert [line.split()[1] for line in lines if line.startswith("  FAILED ")] == [*order[:4], "besides:"]


def test_many_accepted_calls_are_one_paragraph_that_names_the_cure():
    said = "accepted, and an output of shape (1,) came back; expected an error"
    refusals = [row(f"REFUSE-{n}", message=f"call {n}: {said}\nmore", reproducer=f"{n}.py") for n in range(30)]
    wrong = [row(f"WRONG-{n}", margin=10.0 * (n + 1)) for n in range(6)]
    lines = list(summary([outcome(*refusals, *wrong)]))
    failed = [line for line in lines if line.startswith("  FAILED ")]
    assert [line.split()[1] for line in failed] == ["WRONG-5", "WRONG-4", "WRONG-3", "REFUSE-0,", "besides:"]
    assert "and 22 more" in failed[3]
    cure = "check the arguments first, in Python by reference.check_inputs and reference.check_parameters"
    assert lines[lines.index(failed[3]) + 1] == f"    30 invalid calls are accepted: {cure}"
    assert "    reproducer: 0.py" in lines
    assert len(lines) < 50

    others = [row(f"REFUSE-{n}", message=f"call {n}: {said}", specification="another") for n in range(3)]
    assert "    3 invalid calls are accepted: check the arguments first" in list(summary([outcome(*others)]))
    assert sum("accepted:" in line for line in summary([outcome(*refusals[:2])])) == 0


@pytest.mark.parametrize(("report", "told"), [("r.json", "see r.json"), (None, "--conformance-report FILE keeps all")])
def test_nothing_is_longer_than_a_screen(report, told):
    statuses = ("failed", "blocked", "known_failure", "passed")
    rows = [row(f"{one}-{n}", one, f"{n} " + "word " * 99) for one in statuses for n in range(40)]
    lines = list(summary([outcome(*rows)], report))
    assert len(lines) < 50
    assert max(map(len, lines)) < 300
    assert sum(line.startswith("  FAILED ") for line in lines) == MAX_FAILURE_PARAGRAPHS + 1
    assert any(line.endswith(f"and 28 more; {told}") for line in lines)
    assert sum(f"and 30 more, {told}" in line for line in lines) == 2, "known and noted"


class Reporter:
    """The part of pytest's reporter that the tests need."""

    def __init__(self):
        self.out, self._tw = io.StringIO(), SimpleNamespace(fullwidth=60)

    def rewrite(self, line, **_):
        self.out.write(f"\r{line}")

    def write(self, text, **_):
        self.out.write(text)

    def write_line(self, line, **_):
        self.out.write(line + "\n")

    def flush(self):
        pass


def test_the_time_that_is_left_goes_by_what_the_checks_cost():
    now = [100.0]
    progress = Progress(Reporter(), {"cheap": 1.0, "dear": 3.0}, lambda: now[0])
    progress.expect(["a.py::test[cheap]", "a.py::test[dear]", "a.py::test_other"])
    now[0] += 10
    progress.ended("a.py::test[cheap]", finding(Status.PASSED))
    assert progress.line() == " 25% 1 of 2 checks, 0:10, about 0:30 left"
    progress.running("a.py::test[dear]" + "x" * 80)
    assert max(map(len, progress.reporter.out.getvalue().split("\r"))) < 60
    progress.ended("a.py::test[dear]", finding(Status.FAILED, "no\n    diagnosis: the gates are exchanged"))
    assert "FAILED A (gru float32): no\n  the gates are exchanged\n" in progress.reporter.out.getvalue()
    progress.end()
    assert progress.reporter.out.getvalue().endswith("\r\r")


def test_minutes():
    assert [minutes(s) for s in (0, 59.6, 61, 7210)] == ["0:00", "1:00", "1:01", "2:00:10"]
