"""Several processes at a time give the report of one process and leave no process behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.adapters import Wrong
from conformance.engine.cause import Causes
from conformance.isolation.pool import Over
from conformance.isolation.scheduler import Scheduler
from conformance.isolation.system import children, figures_of
from conformance.runs.job import COST_OF_DRAWING, _cost, split
from conformance.runs.session import Session
from conformance.runs.settings import Settings
from tests.test_isolation import report_of, wait_for
from tests.test_plugin import ROOT

SOME = ("-k", "float32 and (STATE or GATE-ORDER or CELL or REFUSE-LENGTHS)")
TIMES = ("seconds", "steps")


def rows(tmp_path, backend, processes, *more):
    options = ("--backend", backend, "--conformance-processes", processes, "--diagnosis", "600", *SOME, *more)
    status, printed, report = report_of(tmp_path, *options)
    return status, printed, [{k: v for k, v in row.items() if k not in TIMES} for row in report["requirements"]]


@pytest.mark.parametrize(
    ("backend", "processes"),
    [
        ("reference", "3"),
        ("conformance.faults:lstm-gates-f-i", "3"),
        ("tests.hostile:SegfaultsInTwoKinds", "3"),
        ("conformance.faults:lstm-gates-f-i", "8"),  # two for each kind
        ("tests.hostile:SegfaultsInTwoKinds", "8"),
        ("benchmarks.adapters:Wrong", "2"),  # two for its only kind
    ],
)
def test_the_report_is_that_of_one_process(backend, processes, tmp_path):
    """Failures, blocked requirements, messages, diagnoses and reproducers are the same too."""
    one, several = rows(tmp_path, backend, "1"), rows(tmp_path, backend, processes)
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
    """A pool of such backends."""

    over = False

    def __init__(self, processes=1):
        self.processes = processes

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
    scheduler = Scheduler(["a job"], pool, one_kind, halves, lambda job, isolated, draw, earlier: draw(block))
    with pytest.raises(RuntimeError, match="nothing to draw"):
        scheduler.found("a job")
    scheduler.close()


# --- parts of a kind -----------------------------------------------------------------------------------


def one_kind(job):
    return 0, "gru"


def halves(jobs, count):
    assert count == 2
    return [jobs[::2], jobs[1::2]]


def test_a_job_waits_for_the_earlier_ones_of_the_other_part_where_it_asks():
    """Every job of both parts asks at the same time."""
    ended, pool, asking = [], UnusedPool(2), threading.Barrier(2)

    def judge(job, isolated, draw, earlier):
        if job < 2:
            asking.wait(30)
        causes = Causes(lambda: (earlier(), list(ended))[1])
        found = list(causes)
        ended.append(job)
        return found

    scheduler = Scheduler(range(20), pool, one_kind, halves, judge)
    assert [scheduler.found(job) for job in range(20)] == [list(range(job)) for job in range(20)]
    scheduler.close()


def test_a_job_that_passes_does_not_wait():
    pool, over = UnusedPool(2), threading.Event()

    def judge(job, isolated, draw, earlier):
        if job == 0:
            assert over.wait(30), "job 1 waits for it"
        else:
            over.set()
        return job

    scheduler = Scheduler([0, 1], pool, one_kind, halves, judge)
    assert scheduler.found(0) == 0
    scheduler.close()


def test_a_job_that_waits_ends_with_the_run():
    pool, asked = UnusedPool(2), threading.Event()

    def judge(job, isolated, draw, earlier):
        if job == 0:
            while not pool.over:
                time.sleep(0.01)
            raise Over
        asked.set()
        earlier()

    scheduler = Scheduler([0, 1], pool, one_kind, halves, judge)
    assert asked.wait(30)
    scheduler.close()  # waits for the threads
    assert not any(thread.is_alive() for thread in scheduler._threads)


def test_kinds_are_split_only_where_processes_are_left():
    asked = []

    def split(jobs, count):
        asked.append((jobs[0][0], count))
        return [jobs]

    def run(kinds, processes):
        asked.clear()
        jobs = [(kind, number) for kind in kinds for number in range(10)]
        unit, judge = (lambda job: (0, job[0])), (lambda job, *more: job)
        scheduler = Scheduler([*jobs, ("tiny", 0)], UnusedPool(processes), unit, split, judge)
        assert [scheduler.found(job) for job in jobs] == jobs
        scheduler.close()
        return dict(asked)

    assert run(["gru"], 1) == {}
    assert run(["gru"], 2) == {"gru": 2}
    assert run(["gru", "lstm"], 2) == {}
    assert run(["gru", "lstm"], 4) == {"gru": 2, "lstm": 2}


def test_the_parts_have_the_same_cost_and_share_no_examples():
    session = Session(Settings.of({"profile": "quick", "isolation": "none"}), {"wrong": Wrong()})
    jobs = session.jobs()
    parts = split(6, jobs, 8)
    assert parts == split(6, jobs, 8)
    assert len(parts) == 2
    assert sorted(map(jobs.index, [*parts[0], *parts[1]])) == list(range(len(jobs)))
    assert all(part == sorted(part, key=jobs.index) for part in parts)
    draws = [{getattr(job.check, "draw", job) for job in part} for part in parts]
    assert not draws[0] & draws[1]
    costs = [
        COST_OF_DRAWING * len(ways) + sum(_cost(6, job) for job in part)
        for part, ways in zip(parts, draws, strict=True)
    ]
    assert max(costs) < 1.2 * min(costs)
