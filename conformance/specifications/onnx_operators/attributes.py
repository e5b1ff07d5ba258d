"""Describe calls of nodes for diagnosis: their properties, and the places of their wrong elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.engine.wrong_elements import Judged
from conformance.specifications.onnx_operators.calls import NodeCall

Attributes = dict[str, Any]


def of_node(call: NodeCall) -> Attributes:
    """Return the properties in which calls differ: booleans and integers by name."""
    config, given = call.config, call.sequence_lens
    arrays = [call.X, *call.states.values()]
    return {
        "bidirectional": config.direction == "bidirectional",
        "reverse node": config.direction == "reverse",
        "lengths": given is not None,
        "shorter": given is not None and min(given) < call.T,
        "all shorter": given is not None and max(given) < call.T,
        "descending": list(call.lengths) == sorted(call.lengths, reverse=True),
        "layout": bool(config.layout),
        "bias": "B" in call.parameters,
        "peepholes": "P" in call.parameters,
        "states": bool(call.states),
        "clip": config.clip is not None,
        "activations": config.activations is not None,
        "activation_alpha": config.activation_alpha is not None,
        "input_forget": bool(config.input_forget),
        "linear_before_reset": bool(config.linear_before_reset),
        "fixed extents": config.static,
        "nan": any(bool(np.isnan(a.astype(np.float64)).any()) for a in arrays),
        "saturating": "saturating" in call.values,
        "N": call.N,
        "T": call.T,
        "H": config.hidden_size,
        "I": config.input_size,
    }


def elements(call: NodeCall, results: Judged) -> np.ndarray | None:
    """Return whether each element of Y is wrong, (T, N, D, H); None without Y."""
    if "Y" not in results:
        return None
    wrong = results["Y"].wrong
    return wrong.transpose(1, 0, 2, 3) if call.config.layout else wrong.transpose(0, 2, 1, 3)


def ends(call: NodeCall) -> np.ndarray:
    """Return the number of steps of each sample, (N,)."""
    return np.asarray(call.lengths)


def cost(call: NodeCall) -> int:
    """Return steps times directions."""
    return call.T * call.config.directions


def place(call: NodeCall) -> Callable[[str, tuple[int, ...]], str]:
    """Return a function that describes the place of an element of an output: direction, step, sample, unit."""
    config = call.config
    names = ("forward", "reverse") if config.directions == 2 else (config.direction,)

    def where(name: str, index: tuple[int, ...]) -> str:
        *lead, unit = index
        if name == "Y":
            n, t, d = lead if config.layout else (lead[2], lead[0], lead[1])
            step = f"step {t}, "
        else:
            d, n = reversed(lead) if config.layout else lead
            step = ""
        return f"{names[d]} direction, {step}sample {n}, unit {unit}"

    return where
