"""Plans: the structure of a call and the seed of its arrays, valid for every kind and dtype.

Hypothesis draws plans once for all kinds and dtypes, because drawing is the most expensive part of an example.
``build(kind, dtype)`` makes the call. Only lstm has a projection; it is left out for the other kinds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.backwards import CELL_COTANGENTS, COTANGENTS, cotangents
from conformance.specifications.torch_nn import cuts
from conformance.specifications.torch_nn.calls import (
    CellCall,
    CellGradientCall,
    GradientCall,
    LayerCall,
)
from reference.config import numpy_dtype
from reference.dialects import is_inverted
from reference.parameters import GATES, parameter_shapes

# The ways to fill arrays. Shrinking ends at the first: halves and quarters, easy to read.
REGIMES = ("readable", "ordinary", "ordinary", "ordinary", "strong", "saturating")
MOST_DRAWN = 65521  # different numbers in an array; a prime number, so that no two rows of a matrix are equal
Config = TypeVar("Config", LayerConfig, CellConfig)


class Fill:
    """A source of arrays from a seed, in one of ``REGIMES``."""

    def __init__(self, config: LayerConfig | CellConfig, regime: str, seed: int) -> None:
        self.config, self.regime = config, regime
        self.dtype = numpy_dtype(config.dtype)
        self.rng = np.random.Generator(np.random.SFC64(seed))
        # A strong recurrence in a coarse format amplifies rounding errors until right and wrong look alike.
        self.gain = 2.5 if regime == "strong" and config.dtype not in ("float16", "bfloat16") else 1.0

    def array(self, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        if self.regime == "readable":
            quarters = self.rng.integers(1, 9, shape) * self.rng.choice((-1.0, 1.0), shape)
            return (quarters * 0.25 * _power_of_two(scale)).astype(self.dtype)
        if math.prod(shape) <= MOST_DRAWN:
            return self._normal(shape, scale)
        return np.resize(self._normal((MOST_DRAWN,), scale), shape)  # the numbers repeat

    def _normal(self, shape: tuple[int, ...], scale: float) -> np.ndarray:
        return (self.rng.standard_normal(shape) * scale).astype(self.dtype)

    def parameters(self) -> dict[str, np.ndarray]:
        parameters = {}
        for name, shape in parameter_shapes(self.config).items():
            value = self.array(shape, self.gain / np.sqrt(shape[-1]) if len(shape) == 2 else 0.6)
            parameters[name] = contracting(value) if self.config.kind == "rnn_relu" and len(shape) == 2 else value
        return parameters

    def input(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.array(shape, 40.0 if self.regime == "saturating" else 1.0)


def contracting(weight: np.ndarray) -> np.ndarray:
    """Halve a matrix until it makes no vector larger: relu has no bound, and float16 ends at 65504."""
    largest = float(np.abs(weight.astype(np.float64)).sum(axis=1).max())
    halvings = max(0, int(np.ceil(np.log2(largest / 0.75))))
    return weight * weight.dtype.type(2.0**-halvings)


def _power_of_two(scale: float) -> float:
    return float(2.0 ** np.round(np.log2(scale)))


def of_kind(config: Config, kind: str, dtype: str) -> Config:
    """Return a configuration drawn for lstm as one of another kind and dtype."""
    changes: dict[str, Any] = {"kind": kind, "dtype": dtype}
    if kind != "lstm" and isinstance(config, LayerConfig):
        changes["proj_size"] = 0
    return replace(config, **changes)


@dataclass(frozen=True)
class LayerPlan:
    """The structure of a LayerCall and the seed of its arrays; N is None when unbatched."""

    config: LayerConfig
    T: int
    N: int | None
    with_lengths: bool
    with_states: bool
    regime: str
    seed: int
    isolated: str = ""
    upper: str = ""

    def build(self, kind: str, dtype: str) -> LayerCall:
        """Build the call and fill its arrays from the seed."""
        config = of_kind(self.config, kind, dtype)
        fill = Fill(config, self.regime, self.seed)
        T, N = self.T, self.N
        batch = () if N is None else (N,)
        rows = config.directions * config.num_layers
        steps = (N, T) if config.batch_first and N is not None else (T, *batch)
        call = LayerCall(
            config,
            fill.parameters(),
            fill.input((*steps, config.input_size)),
            fill.array((rows, *batch, config.output_size), 0.8) if self.with_states else None,
            fill.array((rows, *batch, config.hidden_size)) if self.with_states and kind == "lstm" else None,
            drawn_lengths(fill.rng, T, N) if self.with_lengths and N is not None else None,
            f"; values {self.regime!r}, seed {self.seed}",
        )
        if self.isolated:
            return call.replace(parameters=isolating(call, self.isolated))
        return call.replace(parameters=UPPER[self.upper](call)) if self.upper else call

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans."""
        return cuts.cuts_of_layer(features)

    def others(self) -> Iterator[LayerPlan]:
        """Yield the plan with other numbers."""
        return cuts.others(self)


def _cuts_with_cotangents(part: str, inner: list[cuts.Cut], names: tuple[str, ...]) -> list[cuts.Cut]:
    """Return the cuts of a plan for gradients: those of its part, a layer's or cell's plan, and fewer cotangents."""

    def of_part(cut: cuts.Cut) -> cuts.Cut:
        return lambda plan: (replace(plan, **{part: smaller}) for smaller in cut(getattr(plan, part)))

    def fewer(plan: Any) -> Iterator[Any]:
        return (replace(plan, given=(name,)) for name in names if len(plan.given) > 1)

    return [*map(of_part, inner), fewer]


@dataclass(frozen=True)
class GradientPlan:
    """The structure of a GradientCall: the layer's plan and the names of the given cotangents."""

    layer: LayerPlan
    given: tuple[str, ...]
    instead: tuple[str, ...] = COTANGENTS
    """The claimed cotangents: the last one stands in for a lone d_c_n of a kind without c_n."""

    def build(self, kind: str, dtype: str) -> GradientCall:
        """Build the call; fill its arrays from the seed and the cotangents from another seed."""
        call = self.layer.build(kind, dtype)
        fill = Fill(call.config, self.layer.regime, self.layer.seed + 2**16)
        shapes = dict(zip(COTANGENTS, call.result_shapes, strict=True))
        cotangents = {name: None if shape is None else fill.array(shape) for name, shape in shapes.items()}
        instead = [name for name in self.instead if shapes[name] is not None]
        names = tuple(name for name in self.given if shapes[name] is not None) or tuple(instead[-1:])
        given: dict[str, Any] = {name: cotangents[name] for name in names}
        return GradientCall(call.config, call.parameters, **call.arguments, values=call.values, **given)

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans: of a smaller layer's plan, or with fewer cotangents."""
        return _cuts_with_cotangents("layer", self.layer.cuts(features), cotangents(features))

    def others(self) -> Iterator[GradientPlan]:
        """Yield the plan with other numbers."""
        return (replace(self, layer=other) for other in self.layer.others())


@dataclass(frozen=True)
class CellPlan:
    """The structure of a CellCall and the seed of its arrays; N is None when unbatched."""

    config: CellConfig
    N: int | None
    with_states: bool
    regime: str
    seed: int

    def build(self, kind: str, dtype: str) -> CellCall:
        """Build the call and fill its arrays from the seed."""
        config = of_kind(self.config, kind, dtype)
        fill = Fill(config, self.regime, self.seed)
        batch = () if self.N is None else (self.N,)
        return CellCall(
            config,
            fill.parameters(),
            fill.input((*batch, config.input_size)),
            fill.array((*batch, config.hidden_size), 0.8) if self.with_states else None,
            fill.array((*batch, config.hidden_size)) if self.with_states and kind == "lstm" else None,
            f"; values {self.regime!r}, seed {self.seed}",
        )

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans."""
        return cuts.cuts_of_cell(features)

    def others(self) -> Iterator[CellPlan]:
        """Yield the plan with other numbers."""
        return cuts.others(self)


@dataclass(frozen=True)
class CellGradientPlan:
    """The structure of a CellGradientCall: the cell's plan and the names of the given cotangents."""

    cell: CellPlan
    given: tuple[str, ...]
    instead: tuple[str, ...] = CELL_COTANGENTS
    """The cotangents of which d_h stands in for a lone d_c of a kind without c'."""

    def build(self, kind: str, dtype: str) -> CellGradientCall:
        """Build the call; fill its arrays from the seed and the cotangents from another seed."""
        call = self.cell.build(kind, dtype)
        fill = Fill(call.config, self.cell.regime, self.cell.seed + 2**16)
        both = {name: fill.array((*call.x.shape[:-1], call.config.hidden_size)) for name in CELL_COTANGENTS}
        lacking = () if kind == "lstm" else ("d_c",)
        names = tuple(n for n in self.given if n not in lacking) or tuple(n for n in self.instead if n not in lacking)
        given: dict[str, Any] = {name: both[name] for name in names}
        return CellGradientCall(call.config, call.parameters, **call.arguments, values=call.values, **given)

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans: of a smaller cell's plan, or with fewer cotangents."""
        return _cuts_with_cotangents("cell", self.cell.cuts(features), cotangents(features, of=CELL_COTANGENTS))

    def others(self) -> Iterator[CellGradientPlan]:
        """Yield the plan with other numbers."""
        return (replace(self, cell=other) for other in self.cell.others())


def drawn_lengths(rng: np.random.Generator, T: int, N: int) -> tuple[int, ...]:
    """Draw the lengths of N samples in any order; in three of four cases one is T, otherwise all are smaller."""
    lengths = rng.integers(1, T + 1, N)
    if rng.integers(4):
        lengths[rng.integers(N)] = T
    elif T > 1:
        lengths = np.minimum(lengths, T - 1)
    return tuple(int(n) for n in lengths)


# To isolate one gate, the others are held: their rows of the weights and biases are zero, or the bias is so large that
# the gate is 0 (-) or 1 (+) in every dtype. With zeros (0) a sigmoid is 1/2, whichever way round its gate is used, and
# a tanh is 0. "u" makes W_hn h + b_hn equal to h, whether the reset acts before or after the product, and W_in x + b_in
# zero; "u+" leaves the latter.
OPEN = 40.0
ISOLATED = {
    ("lstm", "f"): {"i": "0", "g": "0", "o": "0"},  # c_t = f_t c_{t-1}
    ("lstm", "g"): {"i": "0", "f": "0", "o": "0"},  # c_t = (g_t + c_{t-1}) / 2
    ("lstm", "i"): {"f": "0", "g": "+", "o": "0"},  # c_t = i_t + c_{t-1} / 2
    ("lstm", "o"): {"i": "+", "f": "-", "g": "+"},  # h_t = o_t tanh(1)
    ("gru", "z"): {"r": "0", "n": "0"},  # h_t = z_t h_{t-1}
    ("gru", "r"): {"z": "0", "n": "u"},  # h_t = (tanh(r_t h_{t-1}) + h_{t-1}) / 2
    ("gru", "n"): {"z": "-"},  # h_t = n_t
}
WITHOUT_STATES = {
    ("lstm", "f"): {"g": "+"},  # c_t = f_t c_{t-1} + 1/2
    ("gru", "z"): {"n": "+"},  # h_t = (1 - z_t) + z_t h_{t-1}
    ("gru", "r"): {"n": "u+"},  # h_t = (tanh(W_in x_t + b_in + r_t h_{t-1}) + h_{t-1}) / 2
}
# Other gates, of which one is right if nothing but this gate is wrong, with gates that are held otherwise.
WITNESSES: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = {
    ("lstm", "f"): [("g", {}), ("g", {"f": "-"})],
    ("lstm", "g"): [("f", {}), ("o", {})],
    ("lstm", "i"): [("g", {})],
    ("lstm", "o"): [("f", {})],
    ("gru", "z"): [("n", {})],
    ("gru", "r"): [("n", {})],
    ("gru", "n"): [("z", {})],
}


def isolating(call: LayerCall, gate: str, held: Mapping[str, str] = MappingProxyType({})) -> dict[str, np.ndarray]:
    """Return the call's parameters with all gates but one held, those in ``held`` as it says."""
    place = call.config.kind, gate
    return _hold(call, {**ISOLATED[place], **(WITHOUT_STATES.get(place, {}) if call.h_0 is None else {}), **held})


def witnesses(call: LayerCall, gate: str) -> list[LayerCall]:
    """Return the calls with an isolated gate's numbers in another gate, which is isolated in its place."""
    return [_in_place_of(call, gate, *other) for other in WITNESSES[call.config.kind, gate]]


def _in_place_of(call: LayerCall, gate: str, other: str, held: dict[str, str]) -> LayerCall:
    """Return one of the witnesses. A new gate has no part of the state in it: it does not depend on the reset."""
    mine, its = _rows(call, gate), _rows(call, other)
    parameters = {name: np.zeros_like(value) for name, value in call.parameters.items()}
    for name, value in call.parameters.items():
        if other != "n" or "_ih" in name:
            parameters[name][its] = value[mine]
    call = call.replace(parameters=parameters)
    return call if other == "n" else call.replace(parameters=isolating(call, other, held))


def _rows(call: LayerCall, gate: str) -> slice:
    H, start = call.config.hidden_size, GATES[call.config.kind].index(gate)
    return slice(start * H, (start + 1) * H)


def _hold(call: LayerCall, held: dict[str, str]) -> dict[str, np.ndarray]:
    parameters = {name: value.copy() for name, value in call.parameters.items()}
    for gate, how in held.items():
        rows = _rows(call, gate)
        for name, value in parameters.items():
            if how != "u+" or "_hh" in name:
                value[rows] = 0
        if how in ("u", "u+"):
            parameters["weight_hh_l0"][rows] = np.eye(call.config.hidden_size)
        elif how != "0":
            parameters["bias_ih_l0"][rows] = OPEN if (how == "+") != is_inverted(call.config.kind, gate) else -OPEN
    return parameters


AWAKE = 4.0
WITHOUT_MEMORY = {"lstm": {"i": "+", "f": "-", "o": "+"}, "gru": {"z": "-"}}  # the gates as in ISOLATED


def _blind(call: LayerCall) -> dict[str, np.ndarray]:
    """Return the call's parameters with zero input weights in the layers above the first: they ignore their input."""
    later = [name for name in call.parameters if name.startswith("weight_ih") and "_l0" not in name]
    return call.parameters | {name: np.zeros_like(call.parameters[name]) for name in later}


def _showing(call: LayerCall) -> dict[str, np.ndarray]:
    """Return the call's parameters changed so that the layers above the first have no memory and show their input.

    The only input of unit j in direction d is unit j in direction d of the layer below, times 1 - dropout; the unit is
    the kind's nonlinearity of it plus a bias. So each element of the output depends on one element of each mask, and
    an element that a lower mask dropped differs from one that this mask dropped.
    """
    config = call.config
    H, O, gates = config.hidden_size, config.output_size, GATES[config.kind]
    shown = {"lstm": "g", "gru": "n"}.get(config.kind, "h")
    parameters = dict(call.parameters)
    if config.kind == "rnn_relu":  # the mask cannot be seen where the first layer's units are 0
        for name in (name for name in call.parameters if name.startswith("bias_ih_l0")):
            parameters[name] = parameters[name] + parameters[name].dtype.type(AWAKE)
    for name in (name for name in call.parameters if "_l0" not in name):
        value = parameters[name] = np.zeros_like(call.parameters[name])
        start = gates.index(shown) * H
        if name.startswith("weight_ih"):
            below = O if name.endswith("_reverse") else 0
            value[start + np.arange(O), below + np.arange(O)] = 1 - config.dropout
        elif name.startswith("bias_ih"):
            value[start : start + H] = 0.5
            for gate, how in WITHOUT_MEMORY.get(config.kind, {}).items():
                is_open = (how == "+") != is_inverted(config.kind, gate)
                value[gates.index(gate) * H : (gates.index(gate) + 1) * H] = OPEN if is_open else -OPEN
        elif name.startswith("weight_hr"):
            np.fill_diagonal(value, 1)
    return parameters


FAR_FROM_ZERO = {
    "rnn_tanh": {"h": 2.0},
    "rnn_relu": {},
    "lstm": {"i": 2.0, "g": 2.0, "o": 2.0},
    "gru": {"n": 2.0, "z": -1.0},
}


def _awake(call: LayerCall) -> dict[str, np.ndarray]:
    """Return the parameters of ``_showing``, with biases that keep the first layer's units far from 0.

    What is dropped of a unit that is 0 is not seen in the output, but in a gradient.
    """
    H, gates, parameters = call.config.hidden_size, GATES[call.config.kind], dict(_showing(call))
    for name in (name for name in call.parameters if "_l0" in name):
        value = parameters[name] = parameters[name].copy()
        if name.startswith("bias_ih"):
            for gate, more in FAR_FROM_ZERO[call.config.kind].items():
                start = gates.index(gate) * H
                value[start : start + H] += value.dtype.type(-more if is_inverted(call.config.kind, gate) else more)
        elif name.startswith("weight_hr"):
            parameters[name] = np.abs(value)
    return parameters


UPPER = {"blind": _blind, "showing": _showing, "awake": _awake}


def planned(data: Mapping[str, Any], kind: str, dtype: str) -> LayerCall | CellCall:
    """Build the call that stored data describe: the arguments of a plan and of its configuration, in one mapping.

    ``given`` names the cotangents of a call for gradients. Raises KeyError, TypeError or ValueError.
    """
    left: dict[str, Any] = {"regime": "readable", "seed": 0} | dict(data)
    given = left.pop("given", None)
    config_class: Any = LayerConfig if "T" in left else CellConfig
    arguments = {f.name: left.pop(f.name) for f in fields(config_class) if f.name in left}
    config = config_class(kind, dtype=dtype, **arguments)
    left = {"N": None, "with_states": False} | left  # unbatched
    if "T" not in left:
        cell = CellPlan(config, **left)
        return (cell if given is None else CellGradientPlan(cell, tuple(given))).build(kind, dtype)
    plan = LayerPlan(config, **({"with_lengths": False} | left))
    return (plan if given is None else GradientPlan(plan, tuple(given))).build(kind, dtype)
