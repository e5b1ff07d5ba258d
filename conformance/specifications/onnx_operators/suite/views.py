"""What laws share: parts of calls and of outputs, in either layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from conformance.specifications.onnx_operators.calls import NodeCall
from reference.onnx.activations import has

Outputs = dict[str, Any]


def time_major(call: NodeCall) -> bool:
    return not call.config.layout


def several_samples(call: NodeCall) -> bool:
    return call.N > 1


def several_steps(call: NodeCall) -> bool:
    return call.T > 1


def forward_only(call: NodeCall) -> bool:
    return call.config.direction == "forward" and call.sequence_lens is None


def ragged(call: NodeCall) -> bool:
    return min(call.lengths) < call.T


def saturating(call: NodeCall) -> bool:
    return "saturating" in call.values


def default_functions(call: NodeCall) -> bool:
    return call.config.activations is None


def steps_of(call: NodeCall, part: slice | Sequence[int]) -> np.ndarray:
    """Return steps of X, in the call's layout."""
    return np.ascontiguousarray(call.X[:, part] if call.config.layout else call.X[part])


def samples_of(call: NodeCall, order: Sequence[int]) -> dict[str, Any]:
    """Return the inputs of the samples of ``order``, in that order."""
    axis = 0 if call.config.layout else 1
    lengths = call.sequence_lens
    return {
        "X": np.take(call.X, order, axis),
        "sequence_lens": None if lengths is None else tuple(lengths[n] for n in order),
        **{name: np.take(state, order, axis) for name, state in call.states.items()},
    }


def viewed_samples(call: NodeCall, order: Sequence[int]) -> Callable[[Outputs], Outputs]:
    """Return the view that keeps the samples of ``order`` of the outputs."""
    layout = call.config.layout

    def view(outputs: Outputs) -> Outputs:
        axes = {name: 0 if layout else 2 if name == "Y" else 1 for name in outputs}
        return {name: np.take(a, order, axes[name]) for name, a in outputs.items()}

    return view


def time_first(call: NodeCall, outputs: Outputs) -> Outputs:
    """Return the outputs in the shapes of layout = 0."""
    if not call.config.layout:
        return outputs
    return {name: a.transpose(1, 2, 0, 3) if name == "Y" else np.swapaxes(a, 0, 1) for name, a in outputs.items()}


def backward(call: NodeCall) -> list[bool]:
    """Return whether each direction of the node goes backward."""
    return [False, True] if call.config.directions == 2 else [call.config.direction == "reverse"]


def of_direction(call: NodeCall, d: int) -> NodeCall:
    """Return the call of one direction of a bidirectional node."""
    config = call.config
    parts: dict[str, Any] = {"direction": "reverse" if d else "forward"}
    if config.activations is not None:
        size = len(config.activations) // 2
        parts["activations"] = config.activations[d * size : (d + 1) * size]
        for name, place in (("activation_alpha", 0), ("activation_beta", 1)):
            consumed = [sum(has(f.name)[place] for f in functions) for functions in config.operator.functions]
            first = d * consumed[0]
            parts[name] = (getattr(config, name) or ())[first : first + consumed[d]] or None
    states = {
        n: np.ascontiguousarray(s[:, d : d + 1] if config.layout else s[d : d + 1]) for n, s in call.states.items()
    }
    parameters = {name: a[d : d + 1].copy() for name, a in call.parameters.items()}
    return call.configured(**parts).replace(parameters=parameters, **states)


def joined(call: NodeCall, parts: Sequence[Outputs]) -> Outputs:
    """Join the outputs of two directions."""
    layout = call.config.layout
    axes = {"Y": 2 if layout else 1, "Y_h": 1 if layout else 0, "Y_c": 1 if layout else 0}
    return {name: np.concatenate([part[name] for part in parts], axes[name]) for name in parts[0]}


def in_other_layout(call: NodeCall) -> NodeCall:
    """Return the call of the same node in the other layout."""
    turned = {n: np.ascontiguousarray(np.swapaxes(a, 0, 1)) for n, a in {"X": call.X, **call.states}.items()}
    return call.configured(layout=1 - call.config.layout).replace(**turned)


def middle(call: NodeCall) -> tuple[int, int]:
    """Return a step and a sample of the call, the step within the sample."""
    n = call.N // 2
    return call.lengths[n] // 2, n


def spoiled(call: NodeCall, t: int, n: int, value: float, states: bool = False) -> dict[str, Any]:
    """Return changes that replace one number of sample n at step t, and with ``states`` the sample's states."""
    X, layout = call.X.copy(), call.config.layout
    X[(n, t) if layout else (t, n)][call.config.input_size // 2] = value
    found: dict[str, Any] = {"X": X}
    for name, state in call.states.items() if states else ():
        found[name] = state.copy()
        found[name][(n, 0) if layout else (0, n)] = value
    return found
