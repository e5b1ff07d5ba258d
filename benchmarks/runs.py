"""Whole runs of the suite from the command line: the time to a verdict and its parts, memory, several processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMPORTS = {"NumPy": "numpy", "pytest": "pytest", "Hypothesis": "hypothesis", "the suite": "conformance.engine.check"}
FRAMEWORKS = {"torch": "torch", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class Measured:
    """A run of the suite. ``largest`` and ``together`` are bytes of memory: of the largest process, and of all."""

    report: dict[str, Any]
    status: int
    wall: float
    processor: float
    largest: float
    together: float


def measured(*options: str) -> Measured:
    """Run the suite once. Raises SystemExit if it writes no report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "conformance", *options]
        before, started = os.times(), time.perf_counter()
        run = subprocess.Popen(
            [*command, "--conformance-report", str(report)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        watch = Watch(run.pid)
        status = run.wait()
        wall, after = time.perf_counter() - started, os.times()
        watch.end()
        if not report.exists():
            raise SystemExit(f"{' '.join(command)} wrote no report: exit status {status}")
        processor = sum(after[2:4]) - sum(before[2:4])
        return Measured(json.loads(report.read_text("utf-8")), status, wall, processor, watch.largest, watch.together)


def suite(backend: str, profile: str, processes: int) -> dict[str, Any]:
    """Run a backend once; return wall and processor seconds, the seconds of its parts, rates and peak memory."""
    run = measured(
        "--backend", backend, "--hypothesis-profile", profile, "--conformance-processes", str(processes)
    )  # fmt: skip
    data = run.report
    asked = [row for row in data["requirements"] if row["status"] != "not_claimed"]
    examples = sum(row["examples"] for row in asked)
    parts = data["summary"]["seconds"]
    useful = parts.get("backend", 0.0) + parts.get("oracle", 0.0)
    return {
        "backend": backend,
        "profile": profile,
        "processes": processes,
        "status": run.status,
        "version": data["backend"]["version"],
        "wall": run.wall,
        "processor": run.processor,
        "checks": len(asked),
        "examples": examples,
        "parts": parts,
        "useful": useful / sum(parts.values()),
        "harness_ms_per_example": 1e3 * (sum(parts.values()) - useful) / examples,
        "memory_mib": run.largest / 2**20,
        "memory_of_all_mib": run.together / 2**20,
    }


def tests(which: str) -> dict[str, Any]:
    """Run the project's own tests, "fast" or "all" of them, as tox does; return seconds and the number that passed."""
    chosen = ["-m", "fast and not slow"] if which == "fast" else []
    environment = os.environ | {"PYTEST_ADDOPTS": "--conformance-processes=1 -p no:anyio", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "tests", "-n", "2", "--dist", "worksteal", *chosen]
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, os.times()
    if done.returncode or not (passed := re.search(r"(\d+) passed", done.stdout)):
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return {"tests": which, "wall": wall, "processor": sum(after[2:4]) - sum(before[2:4]), "passed": int(passed[1])}


class Watch:
    """A thread that watches the memory of a process and its descendants until ``end``."""

    def __init__(self, pid: int) -> None:
        self.largest = self.together = 0.0
        self.pid, self.over = pid, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self) -> None:
        from conformance.isolation.system import descendants, memory_of

        while not self.over.wait(0.2):
            found = [memory_of(pid) for pid in (self.pid, *descendants(self.pid))]
            self.largest, self.together = max(self.largest, *found), max(self.together, sum(found))

    def end(self) -> None:
        self.over.set()
        self.thread.join()


def imports() -> dict[str, float]:
    """Measure the seconds to import each in a new process, without Python's start; the fastest of three."""

    def start(statement: str) -> float:
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=True)
            taken.append(time.perf_counter() - started)
        return min(taken)

    nothing = start("pass")
    found = {name: start(f"import {module}") - nothing for name, module in IMPORTS.items()}
    for name, module in FRAMEWORKS.items():
        if subprocess.run([sys.executable, "-c", f"import {module}"], cwd=ROOT, capture_output=True).returncode == 0:
            found[name] = start(f"import {module}") - nothing
    return found
