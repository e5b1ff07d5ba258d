"""A pytest plugin for array-api-tests that counts executions and the seconds inside NumPy's functions.

It provides ARRAY_API_TESTS_MODULE with a copy of NumPy's namespace whose functions are timed; operators of arrays are
not timed. It writes its counts as JSON to the file that the environment variable INSIDE names.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import types
from pathlib import Path

import numpy
import pytest

clock = {"seconds": 0.0, "depth": 0}
counted = {"executions": 0, "seconds": 0.0, "drawing": 0.0}


def timed(function):
    """Return the function with its seconds added to the clock; nested calls count once."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        clock["depth"] += 1
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            clock["depth"] -= 1
            if not clock["depth"]:
                clock["seconds"] += time.perf_counter() - started

    return call


def namespace(module: types.ModuleType, name: str) -> types.ModuleType:
    """Return a copy of a module with timed functions."""
    twin = types.ModuleType(name)
    for key in dir(module):
        value = getattr(module, key)
        if key.startswith("__") and not key.startswith("__array"):
            continue
        if not key.startswith("_") and callable(value) and not isinstance(value, type):
            value = timed(value)
        if isinstance(value, types.ModuleType) and key in ("linalg", "fft"):
            value = namespace(value, f"{name}.{key}")
        twin.__dict__[key] = value
    return twin


class Count:
    """The sums of Hypothesis's statistics over all tests."""

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_call(self, item):
        from hypothesis.statistics import collector

        with collector.with_value(self.note):
            yield

    def note(self, statistics: dict) -> None:
        for phase, found in statistics.items():
            if phase.endswith("-phase"):
                runs = found["test-cases"]
                counted["executions"] += len(runs)
                counted["seconds"] += found["duration-seconds"]
                counted["drawing"] += sum(run["drawtime"] for run in runs)

    def pytest_sessionfinish(self):
        path = os.environ.get("INSIDE")
        if path:
            Path(path).write_text(json.dumps(counted | {"inside": clock["seconds"]}), "utf-8")


def pytest_configure(config):
    config.pluginmanager.register(Count())


NAME = "numpy_with_a_clock"  # for ARRAY_API_TESTS_MODULE
sys.modules[NAME] = namespace(numpy, NAME)
