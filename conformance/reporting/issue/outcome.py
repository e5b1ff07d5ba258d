"""Run a reproducer twice, and say with which versions."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from conformance.engine.text import printable
from conformance.reporting.issue.script import NoIssue, Reproducer

RUNS = 2
MAX_OUTPUT_CHARACTERS = 8000
MISSING = re.compile(r"(?:ModuleNotFoundError: No module named|backend '[^']*' needs) '?(?P<name>[\w.]+)")


@dataclass(frozen=True)
class Outcome:
    """The output and the end of a script's runs."""

    output: str
    """The text of the first run, of both streams, without paths of this machine."""
    ended: str
    """How the first run ended, in words."""
    repeated: bool
    """Whether the second run printed the same and ended in the same way."""


def observe(script: Reproducer, timeout: float) -> Outcome:
    """Run a script twice in the working folder. Raises NoIssue if it does not show its fault."""
    runs = [_run(script, timeout) for _ in range(RUNS)]
    (status, printed), name = runs[0], script.path.name
    if missing := MISSING.search(printed):
        raise NoIssue(f"{name} needs {missing['name']}, not installed here: install it and run the command again.")
    if status == 0:
        raise NoIssue(
            f"{name} exits with 0: the fault is not there with {_listed(script)}, so there is nothing to report."
        )
    if "Traceback (most recent call last)" in printed and status == 1:
        last = printed.strip().splitlines()[-1]
        raise NoIssue(
            f"{name} itself fails ({last}): correct the script, or run it in the folder in which it was written."
        )
    if status not in (1, *range(-64, 0)):
        raise NoIssue(f"{name} ended with exit status {status}: a reproducer exits with 1 while the fault is there.")
    return Outcome(_clean(printed, script), _ended(status), runs[0] == runs[1])


def versions(script: Reproducer) -> Iterator[str]:
    """Yield the versions of the packages, of Python and of the system."""
    if script.head:
        yield f"{script.head['backend']} {script.head['version']}"
    yield from packages(script.imports)
    yield f"Python {platform.python_version()}"
    yield f"{platform.system()}, {platform.machine()}"


def packages(imports: Iterable[str]) -> Iterator[str]:
    """Yield the name and version of the distribution of each imported package that is installed."""
    known = packages_distributions()
    for name in imports:
        for distribution in dict.fromkeys(known.get(name, [name])):
            try:
                yield f"{distribution} {version(distribution)}"
            except PackageNotFoundError:
                continue


def _listed(script: Reproducer) -> str:
    return ", ".join(packages(script.imports)) or "what is installed"


def _run(script: Reproducer, timeout: float) -> tuple[int, str]:
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(script.path.resolve())]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoIssue(f"{script.path.name} ran for more than {timeout:g} s: give it more with --timeout.") from None
    return done.returncode, printable(done.stdout.decode("utf-8", "replace"))


def _clean(printed: str, script: Reproducer) -> str:
    """Leave out the folders of this machine, and the middle of a long text."""
    places = {
        str(script.path.resolve().parent): ".",
        str(Path.cwd()): ".",
        sys.prefix: "PYTHON",
        sys.base_prefix: "PYTHON",
    }
    for place, word in sorted(places.items(), key=lambda item: -len(item[0])):
        printed = printed.replace(place, word) if len(place) > 1 else printed
    printed = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    if len(printed) > MAX_OUTPUT_CHARACTERS:
        half = MAX_OUTPUT_CHARACTERS // 2
        printed = f"{printed[:half]}\n... {len(printed) - 2 * half:,} characters left out ...\n{printed[-half:]}"
    return printed


def _ended(status: int) -> str:
    if status == 1:
        return "The script exits with 1: the fault is there."
    try:
        name = f"signal {-status} ({signal.Signals(-status).name})"
    except ValueError:
        name = f"signal {-status}"
    return f"The library ends the whole process by {name}."
