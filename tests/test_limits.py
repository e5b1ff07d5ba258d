"""The limits of a call and of memory: processor time on a busy machine, the container's memory."""

import os
import subprocess
import sys
import time

import pytest

from conformance.isolation import tree
from conformance.isolation.cgroups import memory_limits
from conformance.isolation.system import Figures, children, default_memory, descendants, figures_of
from conformance.isolation.tree import STARVED_LIMITS, ProcessTree

LIMIT = 10.0


def hung_after(monkeypatch, state, share, threads=(), seconds=1000):
    """Return when a call hangs, and how, that gets a share of a processor in a state of its process."""
    now = 0.0
    monkeypatch.setattr(tree, "descendants", lambda pid: [])
    monkeypatch.setattr(tree, "figures_of", lambda pid: Figures(state, 1, share * now))
    monkeypatch.setattr(tree, "_threads", lambda pid: [Figures(one, 1, 0.0) for one in threads])
    watched = ProcessTree(7)
    watched.begin(0.0)
    while now < seconds:
        watched.look(now)
        if why := watched.hangs(now, LIMIT):
            return now, why
        now += 0.05
    return None


def test_a_call_that_computes_hangs_after_its_processor_time(monkeypatch):
    assert hung_after(monkeypatch, "R", 1.0) == (pytest.approx(LIMIT, abs=1), "gave no answer within 10 s")
    # With many threads the clock counts, as long as they all get processors.
    assert hung_after(monkeypatch, "R", 16.0)[0] == pytest.approx(LIMIT, abs=1)


def test_a_call_that_gets_a_fifth_of_a_processor_gets_five_times_as_long(monkeypatch):
    assert hung_after(monkeypatch, "R", 0.2)[0] == pytest.approx(5 * LIMIT, abs=1)
    assert hung_after(monkeypatch, "S", 0.2, threads="SR")[0] == pytest.approx(5 * LIMIT, abs=1)


@pytest.mark.parametrize("state", "ST")
def test_a_call_that_sleeps_hangs_after_its_time_by_the_clock(state, monkeypatch):
    assert hung_after(monkeypatch, state, 0.0, threads=state)[0] == pytest.approx(LIMIT, abs=1)


def test_a_call_that_gets_nothing_hangs_in_the_end(monkeypatch):
    now, why = hung_after(monkeypatch, "D", 0.001)
    assert now == pytest.approx(STARVED_LIMITS * LIMIT, abs=1)
    assert why == "gave no answer within 100 s, in which the machine gave it 0 s of processor time,"


def test_another_call_begins_at_nothing(monkeypatch):
    monkeypatch.setattr(tree, "descendants", lambda pid: [])
    monkeypatch.setattr(tree, "figures_of", lambda pid: None)
    watched = ProcessTree(7)
    for now in range(1, 100):
        watched.look(float(now))
        assert not watched.hangs(float(now), LIMIT)
        watched.begin(float(now))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the figures are those of /proc")
def test_processes_are_found_with_their_figures():
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        process.stdout.readline()
        (child,) = children(process.pid)
        assert {process.pid, child} <= set(descendants(os.getpid()))
        found = ProcessTree(process.pid)
        found.look(time.monotonic())
        assert found.pids == [process.pid, child]
        assert found.memory() > 1 << 20
        os.killpg(process.pid, 9)
    assert figures_of(process.pid) is None


def written(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


GROUPS = {
    "version 2, of the group above": (
        "0::/jobs/one\n",
        {"memory.max": "max\n", "jobs/memory.max": "1000\n", "jobs/one/memory.max": "2000\n"},
        {1000, 2000},
    ),
    "version 2, in a container": ("0::/docker/abc\n", {"memory.max": "3000\n"}, {3000}),
    "version 1": (
        "5:cpu,cpuacct:/a\n4:memory:/a/b\n",
        {"memory/a/memory.limit_in_bytes": "4000\n", "cpu/memory.limit_in_bytes": "1\n"},
        {4000},
    ),
    "none": ("3:cpu:/\n", {"memory.max": "1\n"}, set()),
    "no number": ("0::/\n", {"memory.max": "?\n"}, set()),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_limits_of_control_groups_are_read(name, tmp_path):
    text, files, limits = GROUPS[name]
    written(tmp_path / "groups", files)
    written(tmp_path, {"proc/cgroup": text})
    assert set(memory_limits(tmp_path / "proc", tmp_path / "groups")) == limits
    assert memory_limits(tmp_path / "nowhere") == []


def test_the_default_is_a_share_of_the_container_s_memory(monkeypatch):
    whole = default_memory()
    monkeypatch.setattr("conformance.isolation.system.memory_limits", lambda: [4 << 30])
    assert default_memory(2) == pytest.approx(1.5)
    assert default_memory() <= whole
