"""The parts of a module's return value: output and states as torch.nn's layers return them, or less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from conformance.backend import LayerConfig

ALL = "output and states"
OUTPUT = "output alone"
STATE = "last state alone"
STATES = "last states alone"
OUTPUT_H = "output and h alone"


class Parts(NamedTuple):
    """The tensors that a module returned; None for a missing one."""

    output: Any
    h_n: Any
    c_n: Any


def form_of(returned: Any, kind: str, steps: int, samples: int) -> str:
    """Return the form of a module's return value for ``steps`` and ``samples`` that differ; ALL if in doubt."""
    if torch.is_tensor(returned):
        return OUTPUT if _is_output(returned, steps, samples) else STATE
    if isinstance(returned, (tuple, list)) and len(returned) == 2 and kind == "lstm":
        first, second = returned
        if torch.is_tensor(first) and torch.is_tensor(second):
            return OUTPUT_H if _is_output(first, steps, samples) else STATES
    return ALL


def _is_output(tensor: Any, steps: int, samples: int) -> bool:
    return tensor.dim() == 3 and tuple(tensor.shape[:2]) in ((steps, samples), (samples, steps))


def parts_of(returned: Any, form: str, kind: str) -> Parts:
    """Return the parts of a module's return value. Raises TypeError for another type than its form has."""
    lstm = kind == "lstm"
    if form in (OUTPUT, STATE):
        _require(torch.is_tensor(returned), returned, "a tensor")
        return Parts(returned, None, None) if form == OUTPUT else Parts(None, returned, None)
    if form in (STATES, OUTPUT_H):
        _require(_is_pair(returned), returned, "two tensors")
        first, second = returned
        return Parts(None, first, second) if form == STATES else Parts(first, second, None)
    _require(isinstance(returned, (tuple, list)) and len(returned) in (2, 3), returned, "(output, states)")
    output, states = (returned[0], returned[1]) if len(returned) == 2 else (returned[0], tuple(returned[1:]))
    if not lstm:
        h_n = states[0] if isinstance(states, (tuple, list)) and len(returned) == 3 else states
        _require(torch.is_tensor(h_n), returned, "(output, h_n)")
        return Parts(output, h_n, None)
    _require(_is_pair(states), returned, "(output, (h_n, c_n))")
    return Parts(output, *states)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(torch.is_tensor(one) for one in value)


def _require(holds: bool, returned: Any, expected: str) -> None:
    if not holds:
        raise TypeError(f"the module returned {_described(returned)}, expected {expected}")


def _described(value: Any) -> str:
    if torch.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_described(one) for one in value)})"
    return type(value).__name__


def last_of(output: Any, config: LayerConfig, lengths: Sequence[int] | None, unbatched: bool) -> Any:
    """Return the rows of h_n that the last layer's output (T, N, D*O) shows, (D, N, O)."""
    O = config.output_size
    if unbatched or lengths is None:
        ends = output[-1]
    else:
        index = torch.as_tensor(lengths, device=output.device) - 1
        ends = output[index, torch.arange(output.shape[1], device=output.device)]
    rows = [ends[..., :O]]
    if config.bidirectional:
        rows.append(output[0][..., O:])
    return torch.stack(rows)
