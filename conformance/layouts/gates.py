"""The order of the gates' blocks in each layout."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reference.config import KINDS, require
from reference.parameters import GATES

GATE_ORDERS: dict[str, Mapping[str, str]] = {
    "pytorch": {kind: GATES[kind] for kind in ("lstm", "gru")},
    "onnx": {"lstm": "iofg", "gru": "zrn"},
    "keras": {"lstm": "ifgo", "gru": "zrn"},
    "flax": {"lstm": "ifgo", "gru": "rzn"},
    "mlx": {"lstm": "ifgo", "gru": "rzn"},
    "cudnn": {"lstm": "ifgo", "gru": "rzn"},
    "onednn": {"lstm": "ifgo", "gru": "zrn"},
    "paddle": {"lstm": "ifgo", "gru": "rzn"},
    "thinc": {"lstm": "fiog"},
    "haiku": {"lstm": "igfo", "gru": "zrn"},
    "brainstate": {"lstm": "igfo", "gru": "rzn"},
}
"""The gates' letters by layout and kind, in the order of their blocks. Kinds of one gate are left out."""


def reorder_gates(array: np.ndarray, kind: str, source: str, target: str, axis: int = 0) -> np.ndarray:
    """Return ``array`` with its G gate blocks along ``axis`` moved from the order of one layout to another order.

    Raises ValueError for an unknown kind or layout, and if the axis does not hold G equal blocks.
    """
    for name in (source, target):
        require(name in GATE_ORDERS, "layout", f"one of {', '.join(GATE_ORDERS)}", name)
    require(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", kind)
    have, want = gates_of(kind, source), gates_of(kind, target)
    require(array.shape[axis] % len(have) == 0, "array", f"{len(have)} equal blocks along axis {axis}", array.shape)
    blocks = np.split(array, len(have), axis)
    return np.concatenate([blocks[have.index(gate)] for gate in want], axis)


def gates_of(kind: str, layout: str) -> str:
    """Return the gates' letters in a layout's order."""
    return GATE_ORDERS[layout].get(kind, GATES[kind])


def to_order(kind: str, layout: str, array: np.ndarray) -> np.ndarray:
    """Return a copy with the gate blocks along axis 0 in the order of ``layout``, from PyTorch's order."""
    return reorder_gates(array, kind, "pytorch", layout)


def from_order(kind: str, layout: str, array: np.ndarray) -> np.ndarray:
    """Return a copy with the gate blocks along axis 0 in PyTorch's order, from the order of ``layout``."""
    return reorder_gates(array, kind, layout, "pytorch")


def blocks_by_gate(kind: str, layout: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return each gate's letter and block, in the layout's order, of an array in PyTorch's order."""
    gates = gates_of(kind, layout)
    blocks = np.split(to_order(kind, layout, array), len(gates))
    return [(gate, block.copy()) for gate, block in zip(gates, blocks, strict=True)]
