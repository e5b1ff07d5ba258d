"""Describe calls of layers and cells for diagnosis: their properties, and the places of their wrong elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.backwards import CELL_COTANGENTS, COTANGENTS
from conformance.engine.form import first_element
from conformance.engine.wrong_elements import Judged, judged
from conformance.specifications.torch_nn.calls import (
    CellCall,
    CellGradientCall,
    GradientCall,
    LayerCall,
)

Attributes = dict[str, Any]


def _of_any(call: Any, N: int) -> Attributes:
    arrays = [a for a in call.arguments.values() if isinstance(a, np.ndarray)]
    return {
        "unbatched": call.unbatched,
        "bias": call.config.bias,
        "nan": any(bool(np.isnan(a.astype(np.float64)).any()) for a in arrays),
        "saturating": "saturating" in call.values,
        "N": N,
        "H": call.config.hidden_size,
        "I": call.config.input_size,
    }


def of_cell(call: CellCall) -> Attributes:
    """Return the properties in which calls of cells differ: booleans and integers by name."""
    return _of_any(call, 1 if call.unbatched else len(call.x)) | {"states": call.h is not None}


def of_layer(call: LayerCall) -> Attributes:
    """Return the properties in which calls of layers differ: booleans and integers by name."""
    config, lengths = call.config, call.lengths
    return _of_any(call, call.N) | {
        "bidirectional": config.bidirectional,
        "lengths": lengths is not None,
        "shorter": lengths is not None and min(lengths) < call.T,
        "all shorter": lengths is not None and max(lengths) < call.T,
        "descending": lengths is None or list(lengths) == sorted(lengths, reverse=True),
        "batch_first": config.batch_first,
        "projection": config.proj_size > 0,
        "states": call.h_0 is not None,
        "multilayer": config.num_layers > 1,
        "equal shapes": config.output_size == config.input_size or (config.num_layers > 1 and not config.bidirectional),
        "dropout": config.dropout > 0,
        "T": call.T,
        "O": config.output_size,
        "num_layers": config.num_layers,
        "D*L": config.directions * config.num_layers,
    }


def of_gradients(call: GradientCall) -> Attributes:
    """Return the properties in which calls for gradients differ: those of a layer, and which cotangents are given."""
    return of_layer(call) | {name: name in call.cotangents for name in COTANGENTS}


def of_cell_gradients(call: CellGradientCall) -> Attributes:
    """Return the properties in which calls for a cell's gradients differ."""
    return of_cell(call) | {name: name in call.cotangents for name in CELL_COTANGENTS}


def cost(call: LayerCall) -> int:
    """Return steps times layers times directions."""
    return call.T * call.config.num_layers * call.config.directions


# --- elements -----------------------------------------------------------------------------------------


def layer_elements(call: LayerCall, results: Judged) -> np.ndarray | None:
    """Return whether each element of the output is wrong, (T, N, D, O); None without an output."""
    if "output" not in results:
        return None
    wrong = results["output"].wrong
    wrong = wrong[:, None] if call.unbatched else np.swapaxes(wrong, 0, 1) if call.config.batch_first else wrong
    return wrong.reshape(*wrong.shape[:2], call.config.directions, -1)


def last_elements(call: LayerCall, results: Judged) -> np.ndarray | None:
    """Return whether each element of a last output is wrong, (1, N, D, O); None without an output."""
    if "output" not in results:
        return None
    return results["output"].wrong.reshape(1, call.N, call.config.directions, -1)


def cell_elements(call: CellCall, results: Judged) -> np.ndarray | None:
    """Return whether each element of h is wrong, (1, N, 1, H)."""
    wrong = results["h"].wrong
    return wrong.reshape(1, -1, 1, wrong.shape[-1])


def ends(call: LayerCall) -> np.ndarray:
    """Return the number of steps of each sample, (N,), or one number for all samples, ()."""
    return np.asarray(call.T if call.lengths is None else call.lengths)


# --- the first wrong element --------------------------------------------------------------------------


def first_wrong_of_layer(trial: Any, wrong: Mapping[str, np.ndarray]) -> str:
    """Return the first wrong place in the order of computation: the lowest layer, then the first step."""
    for count in range(1, trial.call.config.num_layers):
        below = trial.other(lowest_layers(trial.call, count))
        results = judged(below)
        if results is None:
            return f"a stack of {count} of the layers fails"
        if any(result.wrong.any() for result in results.values()):
            trial, wrong = below, {name: result.wrong for name, result in results.items()}
            break
    if wrong["output"].any():
        return _first_of_output(trial, wrong["output"])
    return first_element(trial, wrong)


def _first_of_output(trial: Any, wrong: np.ndarray) -> str:
    """Return the first wrong element of an output; the reverse direction is computed from the last step on."""
    call, O = trial.call, trial.call.config.output_size
    axis = 1 if call.config.batch_first and not call.unbatched else 0

    def order(index: tuple[int, ...]) -> tuple[int, bool, tuple[int, ...]]:
        t, reverse = index[axis], index[-1] >= O
        return (call.T - 1 - t if reverse else t, reverse, index)

    first = min((tuple(int(i) for i in index) for index in np.argwhere(wrong)), key=order)
    return trial.where("output", first)


def lowest_layers(call: LayerCall, count: int) -> LayerCall:
    """Cut the stack of a call to its first layers."""
    rows = slice(count * call.config.directions)
    gone = tuple(f"_l{k}" for k in range(count, call.config.num_layers))
    parameters = {n: v for n, v in call.parameters.items() if not n.removesuffix("_reverse").endswith(gone)}
    states = {name: None if (s := getattr(call, name)) is None else s[rows] for name in ("h_0", "c_0")}
    return call.replace(config=replace(call.config, num_layers=count), parameters=parameters, **states)
