"""Kill runs at random moments and look at what they leave: processes, files, verdicts.

``python -m tests.killed_runs 100`` kills a hundred runs, a third of them by each signal, and prints what is amiss.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from conformance.isolation.system import descendants, figures_of
from tests.hostile import HIDDEN_DAEMON

ROOT = Path(__file__).parents[1]
BACKEND = "tests.hostile:LeavesDaemonsInSeveralKinds"
SUITE = "conformance/specifications/torch_nn/suite/test_shapes.py"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
JUDGED = re.compile(r"\[(\S+)\] (?:PASSED|FAILED|SKIPPED)")
GONE_SECONDS = 20.0  # for all processes to end after the run


@dataclass
class Killed:
    """A killed run: the signal, its moment, the exit status, the number of verdicts, and what is amiss.

    The moment is in seconds of processor time of the run and its processes, which a busy machine does not change.
    """

    number: signal.Signals
    seconds: float
    spent: float = 0.0
    status: int = 0
    verdicts: int = 0
    amiss: list[str] = field(default_factory=list)


def started(folder: Path, output: int, kinds: int, daemon: str) -> subprocess.Popen[bytes]:
    """Start a run with its report in a folder and ``kinds`` kinds at a time; its daemons sleep ``daemon`` seconds."""
    command = [sys.executable, "-m", "pytest", "-p", "conformance.plugin", "-p", "no:cacheprovider", SUITE, "-v"]
    options = ["--backend", BACKEND, "--hypothesis-profile", "smoke", "--specification", "torch.nn"]
    options += ["--conformance-processes", str(kinds)]
    return subprocess.Popen(
        [*command, *options, "--conformance-report", str(folder / "report.json")],
        cwd=ROOT,
        stdout=output,
        stderr=output,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "MARK_OF_KILLED": folder.name, HIDDEN_DAEMON: daemon},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
    )


def killed(number: signal.Signals, seconds: float, kinds: int = 2) -> Killed:
    """Start a run, kill it after some seconds of processor time, and look at what it leaves."""
    found = Killed(number, seconds)
    with tempfile.TemporaryDirectory(prefix="killed-") as name:
        folder = Path(name)
        daemon = f"600.{random.randrange(10**9):09}"
        with (folder / "printed").open("w+b") as printed:
            run = started(folder, printed.fileno(), kinds, daemon)
            while run.poll() is None and found.spent < seconds:
                found.spent = max(found.spent, spent(run.pid))
                time.sleep(0.01)
            run.send_signal(number)  # does nothing after the end
            try:
                found.status = run.wait(60)
            except subprocess.TimeoutExpired:
                found.amiss.append("it did not end within 60 s")
                run.kill()
            printed.seek(0)
            text = printed.read().decode("utf-8", "replace")
        told = set(JUDGED.findall(text))
        found.verdicts = len(told)
        kept = broken_files(folder, found.amiss)
        if told - kept:
            found.amiss.append(f"printed, and neither in the report nor in the journal: {sorted(told - kept)}")
        if told and number != signal.SIGKILL and not (folder / "report.json").exists():
            found.amiss.append(f"no report, exit status {found.status}")
        until = time.monotonic() + GONE_SECONDS
        while (left := {*processes(daemon.encode()), *marked(name)}) and time.monotonic() < until:
            time.sleep(0.1)
        found.amiss += [f"process {pid} is left" for pid in left]
    return found


def spent(pid: int) -> float:
    """Return the seconds of processor time of a process and its descendants."""
    every = [figures_of(one) for one in (pid, *descendants(pid))]
    return sum(figures.seconds for figures in every if figures is not None)


def broken_files(folder: Path, amiss: list[str]) -> set[str]:
    """Read every file that a run left, note those that are broken, and return the names of the checks that are kept."""
    kept: set[str] = set()
    for path in [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]:
        text = path.read_text("utf-8")
        try:
            if path.name == "report.json":
                report = json.loads(text)
                rows = [row for row in report["requirements"] if row["status"] != "not_claimed"]
                kept |= {f"{r['id']}-{report['backend']['name']}-{r['kind']}-{r['dtype']}" for r in rows}
            elif path.suffix == ".journal":
                lines = [json.loads(line) for line in text.splitlines()]
                kept |= {f"{f['requirement']}-{f['backend']}-{f['kind']}-{f['dtype']}" for f in lines}
            elif path.suffix == ".toml":
                tomllib.loads(text)
            elif path.suffix == ".py":
                compile(text, path.name, "exec")
        except (ValueError, SyntaxError, KeyError) as error:
            amiss.append(f"{path.name} is broken: {error}")
    return kept


def processes(part: bytes, of: str = "cmdline") -> list[int]:
    """Return the processes whose command line, or another file of /proc, has a part."""
    found = []
    for file in Path("/proc").glob(f"[0-9]*/{of}"):
        try:
            if part in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


def marked(folder: str) -> list[int]:
    """Return the processes that a run into a folder started."""
    return processes(Path(folder).name.encode(), "environ")


def main() -> None:
    """Kill so many runs, at moments from the start of a run to its end."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="the latest moment (default: the end of a whole run)")
    given = parser.parse_args()
    latest = given.seconds
    if latest is None:
        latest = killed(signal.SIGKILL, 600, 1).spent
        print(f"a whole run takes {latest:.1f} s of processor time", flush=True)
    moments = random.Random(given.seed)
    counts: Counter[str] = Counter()
    for place in range(given.count):
        first = 0.0 if place % 4 == 0 else latest / 2  # most of them after the start
        found = killed(SIGNALS[place % len(SIGNALS)], moments.uniform(first, latest), 1 + place % 5 // 4)
        counts[found.number.name] += 1
        counts["with verdicts"] += bool(found.verdicts)
        counts["ended before"] += found.status in (0, 1)
        counts["amiss"] += bool(found.amiss)
        said = f"{found.number.name} after {found.seconds:.2f} s: status {found.status}, {found.verdicts} verdicts"
        print("; ".join([said, *found.amiss]), flush=True)
    print(dict(counts))
    sys.exit(bool(counts["amiss"]))


if __name__ == "__main__":
    main()
