"""The cost of the oracle, the tolerance and torch on the same layers, and its growth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.backend import Backend, Features, LayerConfig
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.plans import GradientPlan, LayerPlan
from reference.config import DTYPES
from reference.gradients import evaluate_gradients
from reference.layers import evaluate

SMALL = {"T": 5, "N": 3, "input_size": 4, "hidden_size": 3, "num_layers": 1, "bidirectional": False}
MIDDLE = {"T": 40, "N": 16, "input_size": 32, "hidden_size": 64, "num_layers": 1, "bidirectional": False}
LARGE = {"T": 200, "N": 64, "input_size": 128, "hidden_size": 256, "num_layers": 2, "bidirectional": True}
AXES = {
    "T": (5, 20, 80, 320, 4096, 65537),
    "N": (2, 8, 32, 128, 4096, 65537),
    "hidden_size": (2, 8, 32, 128, 513, 1025),
    "num_layers": (1, 2, 4),
}
LONG = 1.0  # seconds of a call that is measured once


class Claims(Backend):
    """A backend of claims only; it builds no layers."""

    name, features = "claims", Features(dtypes=DTYPES, gradients=True)


def seconds(function: Callable[[], object], least: float = 0.2) -> float:
    """Return the seconds of the fastest call, of as many as fit into ``least`` seconds and at least three.

    A call of more than LONG seconds is measured once.
    """
    taken: list[float] = []
    while max(taken, default=0.0) < LONG and (len(taken) < 3 or sum(taken) < least):
        started = time.perf_counter()
        function()
        taken.append(time.perf_counter() - started)
    return min(taken)


def plan_of(kind: str, T: int, N: int, **config: Any) -> LayerPlan:
    return LayerPlan(LayerConfig(kind, **config), T, N, False, True, "ordinary", 1)


def against_torch(kind: str, size: dict[str, Any]) -> dict[str, Any]:
    """Measure milliseconds, forward and with gradients, of the oracle and of eager torch in float64 and float32.

    Each runs in one thread.
    """
    import torch

    from conformance.backends.torch_eager import TorchCPU

    torch.set_num_threads(1)
    found: dict[str, Any] = {"kind": kind, **size}
    for dtype in ("float64", "float32"):
        plan = plan_of(kind, **size)
        call = GradientPlan(plan, ("d_output", "d_h_n")).build(kind, dtype)
        layer = TorchCPU().layer(call.config, call.parameters)
        module = layer.module
        tensors = [None if a is None else torch.from_numpy(a) for a in (call.x, call.h_0, call.c_0)]

        def forward(module=module, layer=layer, tensors=tensors):
            with torch.no_grad():
                layer._call(module, *tensors, None)

        def gradients(layer=layer, call=call):
            layer.gradients(*call.arguments.values())

        found[f"torch {dtype} forward"] = 1e3 * seconds(forward)
        found[f"torch {dtype} gradient"] = 1e3 * seconds(gradients)
        if dtype == "float64":
            with np.errstate(all="ignore"):
                arguments = (call.config, call.parameters, call.x, call.h_0, call.c_0)
                found["oracle forward"] = 1e3 * seconds(lambda a=arguments: evaluate(*a))
                found["oracle gradient"] = 1e3 * seconds(
                    lambda c=call: evaluate_gradients(c.config, c.parameters, **c.arguments)
                )
    return found


def growth(kind: str, axis: str, value: int) -> dict[str, Any]:
    """Measure milliseconds of the oracle and of the tolerance, forward, with one size changed."""
    sizes = {"T": 8, "N": 4, "input_size": 8, "hidden_size": 8, "num_layers": 1} | {axis: value}
    trial = trial_of(Subject(TORCH_NN, Claims(), kind, "float32"), plan_of(kind, **sizes).build(kind, "float32"))

    def oracle() -> None:
        vars(trial).pop("want", None)
        _ = trial.want

    found = {"kind": kind, "axis": axis, "value": value, "oracle": 1e3 * seconds(oracle)}
    return found | {"tolerance": 1e3 * seconds(lambda: trial._computed_allowed(8))}


def yardstick() -> float:
    """Measure milliseconds of a fixed piece of NumPy's work, a unit in which figures of several machines compare."""
    generator = np.random.Generator(np.random.SFC64(1))
    W, h = generator.standard_normal((64, 64)) / 8, generator.standard_normal((16, 64))

    def work() -> None:
        state = h
        for _ in range(400):
            state = np.tanh(state @ W) + h

    return 1e3 * seconds(work)
