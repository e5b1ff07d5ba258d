"""The memory and the rate of a campaign as the number of examples grows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.runs import ROOT
from conformance.campaign.campaign import EXAMPLES_PER_CHECK

LOOK = 1.0  # seconds between two looks at a campaign
FIRST = 10_000  # the first milestone: by then all caches are full


def milestones(examples: int) -> list[int]:
    """Return the numbers of examples at which to look at a campaign: 10,000, 20,000, 50,000, ... up to ``examples``."""
    steps = [FIRST * factor * 10**power for power in range(6) for factor in (1, 2, 5)]
    return [*(step for step in steps if step < examples), examples]


def growth(backend: str, examples: int, select: str = "", each: int = EXAMPLES_PER_CHECK) -> list[dict[str, Any]]:
    """Run a campaign of ``examples`` examples; return for each milestone seconds, the rate since the last, and MiB.

    A round draws ``each`` examples for each check; a short campaign needs few of them to reach every area.
    ``pytest_mib`` is the memory of pytest's process, ``backend_mib`` of the largest process below it.
    """
    with tempfile.TemporaryDirectory() as folder:
        state, report = Path(folder) / "state", Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "conformance", "--backend", backend),
            *("--hypothesis-profile", "thorough", "--conformance-seed", "1", "--conformance-report", str(report)),
            *("--conformance-examples", str(each)),
            *("--campaign-time", "24h", "--campaign-state", str(state), *(("-k", select) if select else ())),
        ]
        run = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells make background jobs ignore it
        )
        rows = [row | {"backend": backend} for row in looked_at(run, state, milestones(examples))]
        run.send_signal(signal.SIGINT)
        status = run.wait(600)
        if not report.exists():
            raise SystemExit(f"the campaign of {backend} wrote no report: exit status {status}")
        failed = json.loads(report.read_text("utf-8"))["summary"]["failed"]
    return [row | {"failed": failed} for row in rows]


def looked_at(run: subprocess.Popen, state: Path, steps: list[int]) -> list[dict[str, Any]]:
    from conformance.isolation.system import descendants, memory_of

    journals, rows, begun = Journals(state), [], 0.0
    made, since, before = 0, 0.0, 0
    while run.poll() is None:
        time.sleep(LOOK)
        made = journals.examples()
        if made and not begun:
            begun = since = time.perf_counter()
        if made >= steps[len(rows)]:
            now = time.perf_counter()
            own, below = memory_of(run.pid), [memory_of(other) for other in descendants(run.pid)]
            rows.append({
                "milestone": steps[len(rows)],
                "examples": made,
                "seconds": now - begun,
                "examples_per_second": (made - before) / (now - since),
                "pytest_mib": own / 2**20,
                "backend_mib": max(below, default=0) / 2**20,
            })  # fmt: skip
            since, before = now, made
            print(f"  {made:,} examples, {now - begun:.0f} s, {own / 2**20:.0f} MiB", flush=True, file=sys.stderr)
            if len(rows) == len(steps):
                return rows
    raise SystemExit(f"the campaign ended by itself after {made:,} examples: exit status {run.returncode}")


class Journals:
    """A counter of the examples in a campaign's journals. It reads new lines only."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.read, self.made = folder, {}, 0

    def examples(self) -> int:
        for path in self.folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self.read.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self.read[path] = self.read.get(path, 0) + len(whole)
            self.made += sum(json.loads(line).get("examples", 0) for line in whole.splitlines())
        return self.made
