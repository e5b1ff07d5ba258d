"""Two small adapters of an LSTM in float32, one right and one with ONNX's order of gates, and the time to a verdict."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import measured
from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer

ROOT = Path(__file__).parents[1]
TOLD = b"FAILED "  # the beginning of a failure with its diagnosis
DOCUMENTED, ONNX = "ifgo", "iofg"


class Steps(CheckedLayer):
    """An LSTM of one layer and direction in float32; ``order`` has the gates in the order of its weights."""

    order = DOCUMENTED

    def build(self, weights: Any) -> None:
        """Keep the weights."""
        (self.weights,) = weights

    def compute(self, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Result:
        """Compute every step."""
        W, size, one = self.weights, self.config.hidden_size, np.float32(1)
        zeros = np.zeros((x.shape[1], size), np.float32)
        h, c = (zeros if state is None else state[0] for state in (h_0, c_0))
        rows = []
        for x_t in x:
            a = x_t @ W.weight_ih.T + h @ W.weight_hh.T + W.bias_ih + W.bias_hh
            gate = {name: a[:, k * size : (k + 1) * size] for k, name in enumerate(self.order)}
            i, f, o = (one / (one + np.exp(-gate[name])) for name in "ifo")
            c = f * c + i * np.tanh(gate["g"])
            h = o * np.tanh(c)
            rows.append(h)
        return Result(np.stack(rows), h[None], c[None])


class WrongSteps(Steps):
    order = ONNX


class Right(CheckedBackend):
    """The right adapter."""

    name, version, layer_class = "benchmark-right", "1", Steps
    features = Features(
        kinds="lstm", bidirectional=False, multilayer=False, projection=False, lengths=False, batch_first=False,
        unbatched=False, no_bias=False,
    )  # fmt: skip


class Wrong(Right):
    """The adapter whose blocks are in ONNX's order."""

    name, layer_class = "benchmark-wrong", WrongSteps


class SlowSteps(WrongSteps):
    """The wrong layer, with calls of 0.3 seconds."""

    def compute(self, *arguments: Any) -> Result:
        time.sleep(0.3)
        return super().compute(*arguments)


class SlowWeights(WrongSteps):
    """The wrong layer, which takes 10 seconds to build."""

    def build(self, weights: Any) -> None:
        time.sleep(10)
        super().build(weights)


class SlowCall(Right):
    """The wrong adapter with calls of 0.3 seconds."""

    name, layer_class = "benchmark-slow-call", SlowSteps


class SlowBuild(Right):
    """The wrong adapter that takes 10 seconds to build a layer."""

    name, layer_class = "benchmark-slow-build", SlowWeights


def explanation(adapter: str) -> dict[str, Any]:
    """Measure how long the explanation of one failure of an adapter takes: a run with it, and one without."""
    asked = ("--backend", f"benchmarks.adapters:{adapter}", "--hypothesis-profile", "quick", "-k", "LSTM-GATE-ORDER")
    explained, plain = (measured(*asked, *more).wall for more in ((), ("--diagnosis", "off")))
    return {"adapter": adapter, "plain": plain, "explanation": explained - plain}


def quick(adapter: str) -> dict[str, Any]:
    """Run quick of an adapter of this module on a terminal.

    Return wall and processor seconds, and the seconds until the first failure stands there with its diagnosis.
    """
    main, side = pty.openpty()
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "conformance"),
        *("--backend", f"benchmarks.adapters:{adapter}", "--hypothesis-profile", "quick"),
    ]
    before, started, told, seen = os.times(), time.perf_counter(), None, b""
    with subprocess.Popen(command, cwd=ROOT, stdin=side, stdout=side, stderr=side):
        os.close(side)
        while select.select([main], [], [], 600)[0]:
            try:
                data = os.read(main, 1 << 16)
            except OSError:  # the other side is closed
                break
            seen = seen[-len(TOLD) :] + data
            if told is None and TOLD in seen:
                told = time.perf_counter() - started
    os.close(main)
    wall, after = time.perf_counter() - started, os.times()
    return {"adapter": adapter, "wall": wall, "processor": sum(after[2:4]) - sum(before[2:4]), "told": told}
