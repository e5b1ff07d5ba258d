"""The parameters of drawn calls, and changes of them that show one block, one gate or one threshold alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn.plans import Fill, contracting

TAME = 0.5  # times the usual parameters, for functions without a bound
BLOCKS = {"W": 1, "R": 1, "B": 2, "P": 1}  # sets of blocks, each in the order of the gates


def filled(fill: Fill, shapes: Mapping[str, tuple[int, ...]], tame: bool) -> dict[str, np.ndarray]:
    """Return parameters of these shapes; if ``tame``, small ones, with which nothing grows."""
    found = {}
    for name, shape in shapes.items():
        value = fill.array(shape, fill.gain / np.sqrt(shape[-1]) if name in ("W", "R") else 0.6)
        if tame:
            value = value * value.dtype.type(TAME)
            if name == "R":
                value = np.stack([contracting(rows) for rows in value])
        found[name] = value
    return found


def blocks_of(call: NodeCall, name: str) -> int:
    """Return the number of blocks of H rows that a parameter has: the gates, twice the gates for B, 3 for P."""
    return 3 if name == "P" else BLOCKS[name] * len(call.config.operator.gates)


def scaled(call: NodeCall, factors: Mapping[str, float], names: tuple[str, ...] = ("W", "R", "B")) -> dict[str, Any]:
    """Return the parameters with the blocks of some gates, by letter, multiplied by a factor."""
    H, gates, parameters = call.config.hidden_size, call.config.operator.gates, dict(call.parameters)
    for name in (name for name in names if name in parameters):
        value = parameters[name] = parameters[name].copy()
        for k in range(blocks_of(call, name)):
            value[:, k * H : (k + 1) * H] *= value.dtype.type(factors.get(gates[k % len(gates)], 1.0))
    return parameters


def tiled(call: NodeCall, name: str) -> np.ndarray:
    """Return a parameter whose blocks all equal its first one, so that their order does not matter."""
    H = call.config.hidden_size
    first = call.parameters[name][:, :H]
    return np.concatenate([first] * blocks_of(call, name), axis=1)


def only(name: str) -> Callable[[NodeCall], NodeCall]:
    """Return a change after which the order of one parameter's blocks alone matters."""

    def change(call: NodeCall) -> NodeCall:
        others = {n: tiled(call, n) for n in call.parameters if n != name}
        return call.replace(parameters=call.parameters | others)

    return change


def _without_peepholes(call: NodeCall) -> NodeCall:
    return call.replace(parameters={n: a for n, a in call.parameters.items() if n != "P"})


F, G = {"LSTM": "iof", "GRU": "zr", "RNN": "i"}, {"LSTM": "c", "GRU": "h", "RNN": ""}
"""The gates of the functions f and g."""


def _clipped(call: NodeCall, threshold: float, wide: str, narrow: str, c: float = 0.1) -> NodeCall:
    """Return the call with arguments beyond the threshold in the ``wide`` gates and below it in the ``narrow`` ones.

    ``c`` is a factor of the initial cell.
    """
    call = _without_peepholes(call).configured(clip=threshold)
    factors = dict.fromkeys(narrow, 0.03) | dict.fromkeys(wide, 2.0)
    changes: dict[str, Any] = {"X": np.clip(call.X, -2, 2).astype(call.X.dtype)}
    if call.initial_c is not None:
        changes["initial_c"] = call.initial_c * call.X.dtype.type(c)
    return call.replace(parameters=scaled(call, factors), **changes)


def _clip_f(call: NodeCall) -> NodeCall:
    return _clipped(call, 0.6, F[call.config.kind], G[call.config.kind])


def _clip_g(call: NodeCall) -> NodeCall:
    return _clipped(call, 0.5, G[call.config.kind], F[call.config.kind])


def _clip_h(call: NodeCall) -> NodeCall:
    """Return the call with all gates below the threshold, and initial cells beyond it."""
    call = _clipped(call, 1.25, "", call.config.operator.gates)
    if call.initial_c is None:
        return call
    away = np.where(call.initial_c < 0, -1, 1) * 4 + 4 * call.initial_c.astype(np.float64)
    return call.replace(initial_c=away.astype(call.X.dtype))


FOCUSED: dict[str, Callable[[NodeCall], NodeCall]] = {
    "W": only("W"),
    "R": only("R"),
    "B": only("B"),
    "P": only("P"),
    "clip-f": _clip_f,
    "clip-g": _clip_g,
    "clip-h": _clip_h,
}
