"""An interrupt at any moment keeps what was found: the report is written, the summary printed, the exit status 2."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance import Features, run
from conformance.backends.oracle import OracleBackend

ROOT = Path(__file__).parents[1]
ONE = "conformance.faults:lstm-gates-f-i"  # several failures, each explained
QUICK = ("--hypothesis-profile", "quick", "-p", "no:cacheprovider", "-p", "conformance.plugin")


def started(report, *options):
    """Start a run; its first line on standard output is what it found so far."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "conformance", "-v", *QUICK, "--conformance-report", str(report), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )


def interrupted(process, number, seconds):
    """Send a signal so many seconds after the first result; return what was printed before and after it."""
    before = []
    for line in process.stdout:
        before.append(line)
        if " PASSED" in line or " FAILED" in line:
            break
    time.sleep(seconds)
    process.send_signal(number)
    after, _ = process.communicate(timeout=300)
    return "".join(before) + after


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("moment", range(int(os.environ.get("MOMENTS", "2"))))
def test_what_was_found_is_kept(number, processes, moment, tmp_path):
    seconds = random.Random(f"{number} {processes} {moment}").uniform(0, 4)
    report = tmp_path / "report.json"
    process = started(report, "--backend", ONE, "--conformance-processes", processes)
    try:
        printed = interrupted(process, number, seconds)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 2, printed[-2000:]
    assert "KeyboardInterrupt" in printed
    assert "= conformance =" in printed
    assert f"report: {report}" in printed
    found = json.loads(report.read_text("utf-8"))
    assert not found["summary"]["complete"]
    told = [line.partition("[")[2].partition("]")[0] for line in printed.splitlines() if "] PASSED" in line]
    told += [line.partition("[")[2].partition("]")[0] for line in printed.splitlines() if "] FAILED" in line]
    kept = {row["id"] for row in found["requirements"] if row["status"] in ("passed", "failed")}
    assert len(kept) >= 1
    for name in told:
        assert any(name.startswith(f"{id_}-") for id_ in kept), name


def test_a_signal_while_the_report_is_written_keeps_it(tmp_path):
    (tmp_path / "late.py").write_text(
        "import os, signal\n"
        "renamed = os.replace\n"
        "def replace(old, new):\n"
        "    if str(new).endswith('report.json'):\n"
        "        for _ in range(3):\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return renamed(old, new)\n"
        "os.replace = replace\n"
    )
    report = tmp_path / "report.json"
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "conformance", "-q", *QUICK, "-p", "late", "--backend", ONE, "-k",
         "SHAPE-DTYPE", "--conformance-report", str(report)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stdout
    assert "= conformance =" in ran.stdout
    assert json.loads(report.read_text("utf-8"))["summary"]["passed"] > 0


class Interrupting(OracleBackend):
    """A backend during whose calls the user presses Ctrl-C."""

    name, features, calls = "interrupting", Features(kinds={"gru"}), 0

    def layer(self, config, parameters):
        Interrupting.calls += 1
        if Interrupting.calls == 50:
            os.kill(os.getpid(), signal.SIGINT)
        return super().layer(config, parameters)


def test_the_function_writes_the_report_and_raises(tmp_path):
    report = tmp_path / "report.json"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(Interrupting(), profile="smoke", report=report)
    finally:
        signal.signal(signal.SIGINT, before)
    found = json.loads(report.read_text("utf-8"))["summary"]
    assert found["passed"] > 0
    assert not found["complete"]
