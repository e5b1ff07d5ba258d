"""The suites of other projects on the same machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.inside import NAME

CODE = """
import time, onnx.backend.test, onnxruntime.backend, warnings
warnings.simplefilter("ignore")
import unittest
tests = onnx.backend.test.BackendTest(onnxruntime.backend, "peer")
tests.include("^test_(lstm|gru|rnn|simple_rnn)_.*_cpu$")
suite = unittest.defaultTestLoader.loadTestsFromTestCase(tests.test_cases["OnnxBackendNodeModelTest"])
started = time.process_time()
result = unittest.TextTestRunner(stream=open("/dev/null", "w")).run(suite)
print(result.testsRun - len(result.skipped), time.process_time() - started, time.process_time())
"""


def onnx_node_tests() -> dict[str, Any]:
    """Run ONNX's node tests of RNN, LSTM and GRU in onnxruntime; return their number and processor seconds."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ONNX's node tests do not run here: {done.stderr.strip().splitlines()[-1]}")
    tests, inside, processor = done.stdout.split()[-3:]
    wall = time.perf_counter() - started
    return {
        "peer": "ONNX",
        "tests": int(tests),
        "inside": float(inside),
        "processor": float(processor),
        "seconds": wall,
    }


FILES = ("test_operators_and_elementwise_functions", "test_linalg", "test_manipulation_functions",
         "test_statistical_functions")  # fmt: skip


def array_api_tests(folder: Path) -> dict[str, Any]:
    """Run array-api-tests on NumPy, from a checkout with its submodule.

    Returns executions, seconds, and the seconds spent on drawing and inside NumPy.
    """
    if not (folder / "array_api_tests" / "__init__.py").exists() or not any((folder / "array-api").glob("*")):
        raise SystemExit(f"{folder} is no checkout of array-api-tests with its submodule: git clone --recursive")
    with tempfile.TemporaryDirectory() as scratch:
        counted = Path(scratch) / "counted.json"
        paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.inside", "-p", "no:cacheprovider"),
                *(f"array_api_tests/{name}.py" for name in FILES),
            ],
            cwd=folder,
            env=os.environ | {"INSIDE": str(counted), "ARRAY_API_TESTS_MODULE": NAME, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
        )
        if not counted.exists():
            raise SystemExit(f"array-api-tests does not run here: {(done.stdout + done.stderr).strip()[-300:]}")
        found = json.loads(counted.read_text("utf-8"))
    if not found["executions"]:
        raise SystemExit(f"array-api-tests ran no example: {done.stdout.strip()[-300:]}")
    return found | {"peer": "array-api-tests", "tests": len(FILES)}
