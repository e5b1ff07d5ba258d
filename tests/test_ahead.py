"""Several processes at a time give the report of one process and leave no process behind."""

import os
import signal
import subprocess
import sys
import time

import pytest

from conformance.isolation.scheduler import Scheduler
from conformance.isolation.system import children, figures_of
from tests.test_isolation import report_of, wait_for
from tests.test_plugin import ROOT

SOME = ("-k", "STATE or GATE-ORDER or CELL or REFUSE-LENGTHS")
TIMES = ("seconds", "steps")


def rows(tmp_path, backend, processes, *more):
    options = ("--backend", backend, "--conformance-processes", processes, "--diagnosis", "600", *SOME, *more)
    status, printed, report = report_of(tmp_path, *options)
    return status, printed, [{k: v for k, v in row.items() if k not in TIMES} for row in report["requirements"]]


@pytest.mark.parametrize(
    "backend", ["reference", "conformance.faults:lstm-gates-f-i", "tests.hostile:SegfaultsInTwoKinds"]
)
def test_the_report_is_that_of_one_process(backend, tmp_path):
    """Failures, blocked requirements, messages, diagnoses and reproducers are the same too."""
    one, several = rows(tmp_path, backend, "1"), rows(tmp_path, backend, "3")
    assert one[0] == several[0]
    assert one[2] == several[2]
    assert (backend == "reference") == all(row["status"] in ("passed", "not_claimed") for row in one[2])


def test_what_failing_tests_print_is_theirs(tmp_path):
    _, printed, _ = rows(tmp_path, "tests.hostile:PrintsItsKind", "2", "-rA")
    sections = [part for part in printed.split("_ test_") if "printed by rnn_tanh" in part or "printed by gru" in part]
    assert sections
    for part in sections:
        kind = "gru" if "-gru-" in part.splitlines()[0] else "rnn_tanh"
        assert f"printed by {kind}" in part
        assert f"printed by {'rnn_tanh' if kind == 'gru' else 'gru'}" not in part


def test_the_first_failure_ends_the_run_where_asked(tmp_path):
    started = time.monotonic()
    status, printed, _ = rows(tmp_path, "tests.hostile:Slow", "2", "-x")
    assert status == 1
    assert "1 failed" in printed
    assert time.monotonic() - started < 120
    assert children(os.getpid()) == []


def test_an_interrupt_ends_every_process(tmp_path):
    command = (sys.executable, "-m", "pytest", "-q", "--pyargs", "conformance", "--backend", "tests.hostile:Slow")
    command = (*command, "--conformance-processes", "3", *SOME)
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    ) as run:
        try:
            wait_for(lambda: len(children(run.pid)) == 3, "three processes run", 120)
            started = children(run.pid)
            run.send_signal(signal.SIGINT)
            printed, _ = run.communicate(timeout=300)
        finally:
            run.kill()
    assert run.returncode == 2
    assert b"KeyboardInterrupt" in printed
    wait_for(lambda: not any(map(figures_of, started)), "none of them is left")


def test_a_number_of_processes_is_above_0(tmp_path):
    command = (sys.executable, "-m", "pytest", "conformance", "--backend", "reference", "--conformance-processes", "0")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 4
    assert "--conformance-processes: give a number above 0." in done.stderr


def test_memory_and_threads_are_shared(monkeypatch):
    from conformance.isolation import system as isolation

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert isolation.default_memory(2) <= isolation.default_memory() <= 2 * isolation.default_memory(2)
    assert isolation.environment(3)["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert isolation.environment(3)["OMP_NUM_THREADS"] == "5"
    assert isolation.environment(None) == dict(os.environ)


class UnusedBackend:
    """Stands for an isolated backend that no process runs."""

    def __init__(self):
        self.print = None

    def abandon(self):
        pass

    close = abandon


class UnusedPool:
    """A pool of one such backend."""

    processes, over = 1, False

    def take(self, index):
        return UnusedBackend()

    def give_back(self, index, backend, wanted):
        pass

    def wait_until_over(self):
        pass

    def abandon(self):
        self.over = True


def test_plans_that_cannot_be_drawn_fail_the_job_that_asked_for_them():
    def block():
        raise RuntimeError("nothing to draw")

    pool = UnusedPool()
    scheduler = Scheduler(["a job"], pool, lambda job: (0, "gru"), lambda job, isolated, draw: draw(block))
    with pytest.raises(RuntimeError, match="nothing to draw"):
        scheduler.found("a job")
    scheduler.close()
