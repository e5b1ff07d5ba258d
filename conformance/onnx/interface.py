"""Runtimes with ONNX's own backend interface: ``prepare(model, device)``, whose result has ``run(inputs)``.

Source: https://onnx.ai/onnx/repo-docs/ImplementingAnOnnxBackend.html; onnx.backend.base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import load_model_from_string

from conformance.backend import Unsupported
from conformance.engine.text import one_line
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, DIRECTIONS, INPUTS, OPERATORS, VERSIONS, OnnxFeatures
from conformance.onnx.graph import ALONE, PARAMETERS, Node, build_model
from conformance.onnx.runtime import OnnxRuntime, Prepared
from reference.config import DTYPES, numpy_dtype
from reference.onnx.activations import WITHOUT_DEFAULT

T, N, I, H = 3, 2, 3, 2  # of the models that are tried
VALUES: dict[str, Any] = {"activation_alpha": 0.5, "activation_beta": 0.5, "clip": 2.0, "layout": 1, "input_forget": 1}


class InterfaceRuntime(OnnxRuntime):
    """A runtime that is reached through ONNX's backend interface.

    Without given claims it claims the features of the small models that it prepares and runs when it is built.
    """

    forks = False  # it has run before the suite forks

    def __init__(self, backend: Any, name: str, device: str = "CPU", features: OnnxFeatures | None = None) -> None:
        self.backend, self.name, self.device = backend, name, device
        module = getattr(backend, "__module__", None) or getattr(backend, "__name__", "")
        self.version = _version(str(module).partition(".")[0])
        self.features = features or tried(self.prepare, name)

    def prepare(self, model: bytes) -> Prepared:
        """Prepare a model by ``prepare(model, device)``; the arrays go to ``run(inputs)`` in the graph's order."""
        loaded = load_model_from_string(model)
        graph = loaded.graph
        inputs, outputs = ([value.name for value in values] for values in (graph.input, graph.output))
        ready = self.backend.prepare(loaded, self.device)

        def run(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            came = list(ready.run([given[name] for name in inputs]))
            if len(came) != len(outputs):
                raise ValueError(f"run returned {len(came)} outputs; the graph has {', '.join(outputs)}")
            return dict(zip(outputs, came, strict=True))

        return run


def interface_runtime(
    backend: Any, name: str = "", *, device: str = "CPU", features: OnnxFeatures | None = None
) -> Callable[[], OnnxRuntime]:
    """Return a function that makes an OnnxRuntime of a module or class with ONNX's backend interface.

    Without ``features`` the suite tries every operator, opset, dtype, attribute, function, optional input and direction
    once, and claims the working ones. Given ``features`` must work.
    """

    def build() -> OnnxRuntime:
        return InterfaceRuntime(backend, name or str(getattr(backend, "__name__", "onnx backend")), device, features)

    return build


def tried(prepare: Callable[[bytes], Prepared], name: str) -> OnnxFeatures:
    """Try small models on a runtime and return its claims. Raises Unsupported if it runs no operator.

    It claims a feature if every operator with that feature supports it.
    """
    plain = OnnxFeatures(opsets={max(VERSIONS)}, attributes=(), inputs={"B"}, directions={"forward"}, activations=())
    errors: list[str] = []

    def runs(operators: Iterable[str], **changes: Any) -> bool:
        asked = [_call(operator, **changes) for operator in operators if _has(operator, changes)]
        for node, opset, dtype in asked:
            try:
                _run(prepare, node, opset, dtype)
            except Exception as error:  # also unittest.SkipTest
                errors.append(f"{type(error).__name__}: {one_line(error)}")
                return False
        return bool(asked)

    opsets = [opset for opset in VERSIONS if any(runs([operator], opset=opset) for operator in OPERATORS)]
    if not opsets:
        why = f" ({errors[-1].rstrip('.')})" if errors else ""
        raise Unsupported(f"prepares and runs none of RNN, LSTM and GRU in float32{why}")
    newest = opsets[-1]
    operators = [operator for operator in OPERATORS if runs([operator], opset=newest)]
    opsets = [opset for opset in opsets if runs(operators, opset=opset)]
    names: dict[str, Any] = {
        "dtypes": [dtype for dtype in DTYPES if runs(operators, opset=newest, dtype=dtype)],
        "attributes": [name for name in ATTRIBUTES if runs(operators, opset=newest, attribute=name)],
        "inputs": [name for name in INPUTS if runs(operators, opset=newest, inputs={name})],
        "directions": [name for name in DIRECTIONS if runs(operators, opset=newest, direction=name)],
        "activations": [name for name in ACTIVATIONS if runs(operators, opset=newest, activation=name)],
    }
    return replace(
        plain, operators=operators, opsets=opsets, checks_inputs=_checks(prepare, operators, newest), **names
    )


def _has(operator: str, changes: dict[str, Any]) -> bool:
    """Return whether an operator has the attribute and inputs that are tried."""
    asked = {changes.get("attribute"), *changes.get("inputs", ())}
    return all(ALONE.get(name, operator) == operator for name in asked if name)


def _call(
    operator: str,
    *,
    opset: int,
    dtype: str = "float32",
    attribute: str = "",
    activation: str = "",
    inputs: Iterable[str] = ("B",),
    direction: str = "forward",
) -> tuple[Node, int, str]:
    number = {"RNN": 1, "LSTM": 3, "GRU": 2}[operator]
    attributes: dict[str, Any] = {}
    if activation or attribute.startswith("activation"):
        attributes["activations"] = [activation or "Relu", *["Tanh"] * (number - 1)]
    if activation in WITHOUT_DEFAULT:
        attributes |= {name: [VALUES[name]] for name in ("activation_alpha", "activation_beta")}
    if attribute in ("activation_alpha", "activation_beta"):
        attributes["activations"][0] = "HardSigmoid"
        attributes[attribute] = [VALUES[attribute]]
    elif attribute and attribute != "activations":
        attributes[attribute] = VALUES.get(attribute, 1)
    given = {"B", *inputs} | ({"initial_h"} if "initial_c" in inputs else set())
    return Node(operator, I, H, direction, attributes, given), opset, dtype


def _arrays(node: Node, dtype: str) -> dict[str, np.ndarray]:
    """Return small arrays for each input of a node."""
    made = {}
    for name in node.input_names:
        shape = [int(extent) for extent in node.shape(name, T, N)]
        values = np.cos(np.arange(np.prod(shape))).reshape(shape) / 2
        made[name] = np.array([T, T - 1], np.int32) if name == "sequence_lens" else values.astype(numpy_dtype(dtype))
    return made


def _run(prepare: Callable[[bytes], Prepared], node: Node, opset: int, dtype: str) -> None:
    arrays = _arrays(node, dtype)
    constants = {name: arrays.pop(name) for name in PARAMETERS if name in arrays}
    came = prepare(build_model(node, opset=opset, dtype=dtype, constants=constants).SerializeToString())(arrays)
    for name in node.output_names:
        if np.shape(came[name]) != tuple(node.shape(name, T, N)):
            raise ValueError(f"{name} came with shape {np.shape(came[name])}")


def _checks(prepare: Callable[[bytes], Prepared], operators: Iterable[str], opset: int) -> bool:
    """Return whether every operator rejects an x of one feature too many."""
    for operator in operators:
        node, _, dtype = _call(operator, opset=opset)
        arrays = _arrays(node, dtype)
        constants = {name: arrays.pop(name) for name in PARAMETERS if name in arrays}
        arrays["X"] = np.concatenate([arrays["X"], arrays["X"][..., :1]], axis=-1)
        with suppress(Exception):
            prepare(build_model(node, opset=opset, dtype=dtype, constants=constants).SerializeToString())(arrays)
            return False
    return True


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    for name in [*packages_distributions().get(distribution, ()), distribution]:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return "unknown"
