"""Others' suites on the same machine."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

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
    """ONNX's own node tests of RNN, LSTM and GRU under onnxruntime: how many, processor seconds in them and in all."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"ONNX's node tests do not run here: {done.stderr.strip().splitlines()[-1]}")
    tests, inside, processor = done.stdout.split()[-3:]
    wall = time.perf_counter() - started
    return {"tests": int(tests), "inside": float(inside), "processor": float(processor), "seconds": wall}
