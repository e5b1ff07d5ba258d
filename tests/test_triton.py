"""Triton kernels in the interpreter, on the CPU: right, and with three faults that real kernels have."""

import subprocess
import sys

import pytest

from tests.test_plugin import ROOT

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from conformance.torch import triton_interpreter  # noqa: E402


def terminal(*arguments):
    """Run the suite on backends of tests/triton_backends.py; return the status and the output."""
    options = ("-p", "no:cacheprovider", "-q", "--hypothesis-profile", "smoke", "--conformance-processes", "1")
    command = [sys.executable, "-m", "pytest", *options, "conformance", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


def named(*names):
    return [part for name in names for part in ("--backend", f"tests.triton_backends:{name}")]


def test_right_kernels_conform():
    status, printed = terminal(*named("LSTM", "GRU"), "--shard", "1/30")
    assert status == 0, printed


@pytest.mark.parametrize(("names", "requirement"), [
    (("LSTMBlocks", "GRUBlocks"), "LARGE-UNITS"),
    (("LSTMTanh", "GRUTanh"), "SATURATION-EQUATION"),
    (("LSTMActivated", "GRUActivated"), "GRADIENT-X"),
])  # fmt: skip
def test_wrong_kernels_fail(names, requirement):
    status, printed = terminal(*named(*names), "-k", requirement, "--diagnosis", "off")
    assert status == 1, printed
    assert f"FAILED {requirement} (lstm" in printed
    assert f"FAILED {requirement} (gru" in printed


def test_a_function_of_libdevice_and_autotune_are_interpreted():
    with triton_interpreter():
        from tests.triton_kernels import autotuned_sum

        x = torch.linspace(-3, 3, 10)
        y = torch.zeros(10)
        with torch.cuda.device(x.device):
            autotuned_sum[(1,)](x, y, 10)
    torch.testing.assert_close(y, torch.erf(x) + torch.exp2(x) + x**2, rtol=1e-6, atol=1e-6)
