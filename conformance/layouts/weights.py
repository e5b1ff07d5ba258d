"""The arrays of one direction of one layer, taken from the documented parameters and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from conformance.backend import CellConfig, LayerConfig, Unsupported
from reference.config import KINDS, require
from reference.parameters import GATES, check_parameters, layer_directions, parameter_shapes, parameter_suffix


class Weights(NamedTuple):
    """One direction of one layer, or a cell, in PyTorch's layout.

    weight_ih (G*H, I), weight_hh (G*H, O), bias_ih and bias_hh (G*H) or both None, weight_hr (P, H) or None.
    """

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray | None = None
    bias_hh: np.ndarray | None = None
    weight_hr: np.ndarray | None = None


def split(config: LayerConfig | CellConfig, parameters: Mapping[str, np.ndarray]) -> list[Weights]:
    """Return the Weights of each layer and direction, in the order of the rows of h_n, or of a cell.

    Raises ValueError for missing, superfluous or misshapen parameters.
    Source: torch.nn.LSTM, "Attributes".
    """
    check_parameters(config, parameters)
    return [
        Weights(
            weight_ih=parameters[f"weight_ih{suffix}"],
            weight_hh=parameters[f"weight_hh{suffix}"],
            bias_ih=parameters.get(f"bias_ih{suffix}"),
            bias_hh=parameters.get(f"bias_hh{suffix}"),
            weight_hr=parameters.get(f"weight_hr{suffix}"),
        )
        for suffix in _suffixes(config)
    ]


def join(
    config: LayerConfig | CellConfig, weights: Sequence[Weights], *, partial: bool = False
) -> dict[str, np.ndarray]:
    """Return the documented parameters, or gradients of them, by name and in their order: the inverse of ``split``.

    Leaves biases out under bias=False, and under ``partial`` what is None. Raises ValueError if the number of Weights
    or a shape does not fit the configuration.
    """
    suffixes = _suffixes(config)
    require(len(weights) == len(suffixes), "weights", f"{len(suffixes)} of them", len(weights))
    named = {f"{name}{s}": a for s, w in zip(suffixes, weights, strict=True) for name, a in w._asdict().items()}
    shapes = {n: s for n, s in parameter_shapes(config).items() if not (partial and named[n] is None)}
    for name, shape in shapes.items():
        require(np.shape(named[name]) == shape, name, f"shape {shape}", np.shape(named[name]))
    return {name: named[name] for name in shapes}


def _suffixes(config: LayerConfig | CellConfig) -> list[str]:
    return [""] if isinstance(config, CellConfig) else [parameter_suffix(*where) for where in layer_directions(config)]


def check_weights(kind: str, directions: Sequence[Weights], unprojected: str = "") -> None:
    """Raise ValueError for Weights whose shapes do not fit each other.

    ``unprojected`` is the message of the Unsupported that is raised for a projection; empty, projections are allowed.
    """
    require(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", kind)
    require(len(directions) in (1, 2), "directions", "one or two Weights", len(directions))
    for w in directions:
        require(w.weight_ih.shape[0] % len(GATES[kind]) == 0, "weight_ih", f"the gates of {kind}", w.weight_ih.shape)
        GH = w.weight_ih.shape[0]
        H = GH // len(GATES[kind])
        O = H if w.weight_hr is None else w.weight_hr.shape[0]
        require(w.weight_hh.shape == (GH, O), "weight_hh", f"shape {(GH, O)}", w.weight_hh.shape)
        require((w.bias_ih is None) == (w.bias_hh is None), "bias_hh", "both biases or neither", None)
        for name, b in (("bias_ih", w.bias_ih), ("bias_hh", w.bias_hh)):
            require(b is None or b.shape == (GH,), name, f"shape {(GH,)}", () if b is None else b.shape)
        if w.weight_hr is not None:
            require(kind == "lstm", "weight_hr", f"None, as {kind} has no projection", w.weight_hr.shape)
            require(w.weight_hr.shape[1:] == (H,), "weight_hr", f"shape {(O, H)}", w.weight_hr.shape)
            if unprojected:
                raise Unsupported(unprojected)
