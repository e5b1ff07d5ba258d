"""What a valid layer, input, state and set of lengths is, and how examples of them are drawn.

Hypothesis draws the few integers and flags that matter and shrinks them; NumPy fills the arrays from a
drawn seed. Values are never constant and almost never zero, axes differ in size, and sizes reach the
edges: 1, odd, one past a multiple of 4, 8 and 16, now and then past 32, 64 and 128.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from conformance.backend import CellConfig, Features, LayerConfig
from reference.config import numpy_dtype
from reference.parameters import GATES, parameter_shapes

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17)
MODERATE = SIZES[:8]
FEW = (1, 2, 3, 4)
# Steps, samples, units. The first of each is what the first few examples have, whatever the profile.
LONG, MANY, WIDE = (65, 33, 48, 80), (33, 40), (65, 129)
VERY_LONG = (1000, 2000)  # steps

# How arrays are filled. The first is what shrinking ends at: halves and quarters, easy to read.
REGIMES = ("readable", "ordinary", "ordinary", "ordinary", "strong", "saturating")

# The features that a single call can use; the others say what a backend can do besides.
CALL_FEATURES = frozenset(
    {"multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "projection", "initial_state", "lengths"}
)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer: its configuration, parameters and arguments, as ``Layer.forward`` takes them.

    ``masks`` are no argument of the backend: they tell the oracle what dropout kept, as ``reference.forward`` has them.
    """

    config: LayerConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h_0: np.ndarray | None = None
    c_0: np.ndarray | None = None
    lengths: tuple[int, ...] | None = None
    values: str = ""
    masks: tuple[np.ndarray, ...] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Layer.forward`` by name, in its order."""
        return {name: getattr(self, name) for name in ("x", "h_0", "c_0", "lengths")}

    @property
    def unbatched(self) -> bool:
        return self.x.ndim == 2

    @property
    def T(self) -> int:
        return self.x.shape[1 if self.config.batch_first and not self.unbatched else 0]

    @property
    def N(self) -> int:
        """The number of samples, 1 when unbatched."""
        return 1 if self.unbatched else self.x.shape[0 if self.config.batch_first else 1]

    @property
    def result_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The documented shapes of output, h_n and c_n, the last None unless lstm."""
        config, batch = self.config, () if self.unbatched else (self.N,)
        rows = config.directions * config.num_layers
        steps = (self.N, self.T) if config.batch_first and batch else (self.T, *batch)
        return (
            (*steps, config.directions * config.output_size),
            (rows, *batch, config.output_size),
            (rows, *batch, config.hidden_size) if config.kind == "lstm" else None,
        )

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call asks for."""
        config = self.config
        asked = {
            "multilayer": config.num_layers > 1,
            "bidirectional": config.bidirectional,
            "no_bias": not config.bias,
            "batch_first": config.batch_first,
            "unbatched": self.unbatched,
            "projection": config.proj_size > 0,
            "initial_state": self.h_0 is not None,
            "lengths": self.lengths is not None,
        }
        return frozenset(name for name, used in asked.items() if used)

    def replace(self, **changes: Any) -> LayerCall:
        """The same call but for ``changes``."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        lengths = "" if self.lengths is None else f", lengths {list(self.lengths)}"
        states = "given" if self.h_0 is not None else "omitted"
        return f"{describe(self.config)}, x {self.x.shape}{lengths}, states {states}{self.values}"


@dataclass(frozen=True, eq=False)
class GradientCall(LayerCall):
    """A call of ``Layer.gradients``: that of ``forward``, and the cotangents of its results, None for zeros."""

    d_output: np.ndarray | None = None
    d_h_n: np.ndarray | None = None
    d_c_n: np.ndarray | None = None

    @property
    def forward(self) -> LayerCall:
        """The call whose results have the cotangents."""
        return LayerCall(self.config, self.parameters, **super().arguments, values=self.values)

    @property
    def cotangents(self) -> dict[str, np.ndarray]:
        """Those that are given."""
        every = {name: getattr(self, name) for name in COTANGENTS}
        return {name: d for name, d in every.items() if d is not None}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Layer.gradients`` by name, in its order."""
        return super().arguments | {name: getattr(self, name) for name in COTANGENTS}

    @property
    def result_shapes(self) -> dict[str, tuple[int, ...]]:
        """By name the shapes of the gradients: those of what they belong to. An omitted state has none."""
        given = {name: getattr(self, name) for name in ("x", "h_0", "c_0")}
        shapes = {name: a.shape for name, a in given.items() if a is not None}
        return shapes | {name: a.shape for name, a in self.parameters.items()}

    def __repr__(self) -> str:
        return f"{super().__repr__()}; cotangents of {', '.join(name[2:] for name in self.cotangents) or 'nothing'}"


COTANGENTS = ("d_output", "d_h_n", "d_c_n")


@dataclass(frozen=True, eq=False)
class CellCall:
    """One call of one cell: its configuration, parameters and arguments, as ``Cell.step`` takes them."""

    config: CellConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h: np.ndarray | None = None
    c: np.ndarray | None = None
    values: str = ""

    @property
    def unbatched(self) -> bool:
        return self.x.ndim == 1

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Cell.step`` by name, in its order."""
        return {name: getattr(self, name) for name in ("x", "h", "c")}

    @property
    def result_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The documented shapes: no output, h', and c', None unless lstm."""
        shape = (*self.x.shape[:-1], self.config.hidden_size)
        return None, shape, shape if self.config.kind == "lstm" else None

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call asks for."""
        asked = {
            "no_bias": not self.config.bias,
            "unbatched": self.unbatched,
            "initial_state": self.h is not None,
        }
        return frozenset(name for name, used in asked.items() if used)

    def replace(self, **changes: Any) -> CellCall:
        """The same call but for ``changes``."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        states = "given" if self.h is not None else "omitted"
        return f"{describe(self.config)}, x {self.x.shape}, states {states}{self.values}"


def describe(config: LayerConfig | CellConfig) -> str:
    """A configuration as one would build it, arguments that have their default left out."""
    noun = "cell" if isinstance(config, CellConfig) else "layer"
    parts = [f"input_size={config.input_size}", f"hidden_size={config.hidden_size}"]
    defaults = type(config)(config.kind, 1, 1)
    for name in ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"):
        if getattr(config, name, None) != getattr(defaults, name, None):
            parts.append(f"{name}={getattr(config, name)}")
    return f"{config.kind} {noun}({', '.join(parts)}, dtype={config.dtype})"


class Fill:
    """Arrays from a seed, in one of ``REGIMES``."""

    def __init__(self, config: LayerConfig | CellConfig, regime: str, seed: int) -> None:
        self.config, self.regime = config, regime
        self.dtype = numpy_dtype(config.dtype)
        self.rng = np.random.Generator(np.random.SFC64(seed))
        # A strong recurrence in a coarse format amplifies what rounding starts until nothing can be told apart.
        self.gain = 2.5 if regime == "strong" and config.dtype not in ("float16", "bfloat16") else 1.0

    def array(self, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        if self.regime == "readable":
            quarters = self.rng.integers(1, 9, shape) * self.rng.choice((-1.0, 1.0), shape)
            return (quarters * 0.25 * _power_of_two(scale)).astype(self.dtype)
        return (self.rng.standard_normal(shape) * scale).astype(self.dtype)

    def parameters(self) -> dict[str, np.ndarray]:
        parameters = {}
        for name, shape in parameter_shapes(self.config).items():
            value = self.array(shape, self.gain / np.sqrt(shape[-1]) if len(shape) == 2 else 0.6)
            parameters[name] = _contracting(value) if self.config.kind == "rnn_relu" and len(shape) == 2 else value
        return parameters

    def input(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.array(shape, 40.0 if self.regime == "saturating" else 1.0)


def _contracting(weight: np.ndarray) -> np.ndarray:
    """The matrix halved until it makes no vector larger: relu has no bound, and float16 ends at 65504."""
    largest = float(np.abs(weight.astype(np.float64)).sum(axis=1).max())
    halvings = max(0, int(np.ceil(np.log2(largest / 0.75))))
    return weight * weight.dtype.type(2.0**-halvings)


def _power_of_two(scale: float) -> float:
    return 2.0 ** np.round(np.log2(scale))


# What is drawn is a plan, which builds the same structure for any kind and dtype: Hypothesis's draws, the
# dearest part of an example, serve them all. build(kind, dtype) gives the call; a projection, which lstm
# alone has, is left out for the other kinds.


def of_kind(config: LayerConfig | CellConfig, kind: str, dtype: str) -> LayerConfig | CellConfig:
    """The configuration drawn for lstm as one of that kind and dtype."""
    unprojected = {"proj_size": 0} if kind != "lstm" and isinstance(config, LayerConfig) else {}
    return replace(config, kind=kind, dtype=dtype, **unprojected)


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
        """The call, its arrays filled from the seed."""
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
            _lengths(fill.rng, T, N) if self.with_lengths and N is not None else None,
            f"; values {self.regime!r}, seed {self.seed}",
        )
        if self.isolated:
            return call.replace(parameters=_hold(call, ISOLATED[kind, self.isolated]))
        return call.replace(parameters=UPPER[self.upper](call)) if self.upper else call


@dataclass(frozen=True)
class GradientPlan:
    """The structure of a GradientCall: that of the layer's call, and which cotangents are given."""

    layer: LayerPlan
    given: tuple[str, ...]

    def build(self, kind: str, dtype: str) -> GradientCall:
        """The call, its arrays filled from the seed, the cotangents from one of their own."""
        call = self.layer.build(kind, dtype)
        fill = Fill(call.config, self.layer.regime, self.layer.seed + 2**16)
        shapes = dict(zip(COTANGENTS, call.result_shapes, strict=True))
        cotangents = {name: None if shape is None else fill.array(shape) for name, shape in shapes.items()}
        # without a c_n its cotangent gives way to that of h_n
        given = self.given if shapes["d_c_n"] else tuple(n for n in self.given if n != "d_c_n") or ("d_h_n",)
        return GradientCall(
            call.config,
            call.parameters,
            **call.arguments,
            values=call.values,
            **{name: cotangents[name] for name in given},
        )


@dataclass(frozen=True)
class CellPlan:
    """The structure of a CellCall and the seed of its arrays; N is None when unbatched."""

    config: CellConfig
    N: int | None
    with_states: bool
    regime: str
    seed: int

    def build(self, kind: str, dtype: str) -> CellCall:
        """The call, its arrays filled from the seed."""
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


def _lengths(rng: np.random.Generator, T: int, N: int) -> tuple[int, ...]:
    """Ends in any order; one of the samples runs to T in three of four cases, all are shorter in the others."""
    lengths = rng.integers(1, T + 1, N)
    if rng.integers(4):
        lengths[rng.integers(N)] = T
    elif T > 1:
        lengths = np.minimum(lengths, T - 1)
    return tuple(int(n) for n in lengths)


class Member(NamedTuple):
    """A configuration of ``POOL``, with the steps, samples and form of its call, for a backend that fixes them."""

    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    no_bias: bool
    batch_first: bool
    T: int
    N: int
    unbatched: bool
    initial_state: bool
    projection: bool = False


# What a backend is asked for that says that it can build no more than these. Everything that a configuration has is
# there and not there; the first three share what laws compare them with: a direction, a layer, a layout, a single step.
POOL = (
    Member(3, 5, 1, False, False, False, 3, 2, False, True),
    Member(3, 5, 1, True, False, False, 3, 4, False, True, projection=True),
    Member(3, 5, 3, False, False, True, 3, 2, False, True, projection=True),
    Member(5, 1, 2, True, True, False, 4, 3, False, False),
    Member(1, 4, 1, False, True, True, 2, 1, True, True),
)
LARGE = (POOL[1],)  # what is large in one respect is so in these


def pooled(features: Features) -> bool:
    """Whether the configurations that a backend is asked for are those of ``POOL``."""
    return features.configurations is not None and features.configurations <= len(POOL)


def _chooser(draw, features: Features, large: bool = False):
    """choose(options, name) for the parts of a configuration.

    Drawn one by one, or read off one of a limited number, by name one of ``POOL``; there what has no name there is the
    first option. ``large``: the call is large in one respect.
    """
    if features.configurations is None:
        return lambda options, _="": draw(st.sampled_from(options))
    if pooled(features):
        member = draw(st.sampled_from(LARGE if large else POOL[: features.configurations]))
        return lambda options, name="": getattr(member, name) if name else options[0]
    choice = random.Random(draw(st.integers(0, features.configurations - 1))).choice
    return lambda options, _="": choice(options)


def _freely(draw):
    """choose(options, name) for what is no part of a configuration."""
    return lambda options, _="": draw(st.sampled_from(options))


@st.composite
def _layers(draw, features: Features, reaches: tuple[str, ...]) -> LayerPlan:
    def flag(feature: str, odds: tuple[bool, ...], choose) -> bool:
        return features.claims(feature) and choose(odds, feature)

    freely = _freely(draw)
    reach = freely(reaches)
    sizes = {"small": SIZES, "moderate": MODERATE}.get(reach, FEW)
    choose = _chooser(draw, features, large=reach in ("long", "very long", "wide"))
    I = choose(sizes, "input_size")
    H = choose(WIDE) if reach == "wide" else choose(sizes, "hidden_size")
    # of few configurations every second one, so that some are bidirectional as well
    projections = (False, False, True) if features.configurations is None else (False, True)
    projected = H > 1 and flag("projection", projections, choose)
    config = LayerConfig(
        "lstm",
        input_size=I,
        hidden_size=H,
        num_layers=choose((1, 1, 2, 3), "num_layers") if features.multilayer else 1,
        bias=not flag("no_bias", (False, False, False, True), choose),
        batch_first=flag("batch_first", (False, False, True), choose),
        bidirectional=flag("bidirectional", (False, True), choose),
        proj_size=choose(range(1, min(H - 1, 17) + 1)) if projected else 0,
    )
    of_steps, of_samples = (choose if features.fixes(extent) else freely for extent in ("steps", "samples"))
    form = choose if features.fixed_shapes else freely
    longer = {"long": LONG, "very long": VERY_LONG}.get(reach)
    T = of_steps(_bearable(longer, features)) if longer else of_steps(sizes, "T")
    N = of_samples(MANY) if reach == "many" else of_samples(sizes, "N")
    unbatched = reach != "many" and flag("unbatched", (False,) * 5 + (True,), form)
    with_lengths = not unbatched and flag("lengths", (False, False, True), freely)
    with_states = flag("initial_state", (False, True, True), form)
    regime = freely(REGIMES)
    seed = draw(st.integers(0, 2**16 - 1))
    if reach in ("long", "very long") and regime == "strong":
        regime = "ordinary"  # after so many steps of a strong recurrence nothing can be told apart
    return LayerPlan(config, T, None if unbatched else N, with_lengths, with_states, regime, seed)


def _bearable(steps: tuple[int, ...], features: Features) -> tuple[int, ...]:
    """Those numbers of steps that a backend can be asked for, or the most that it can."""
    most = features.most_steps
    return steps if most is None else tuple(n for n in steps if n <= most) or (most,)


def layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Calls of layers which use claimed features only, one in six of them large in one respect.

    Where configurations come from the pool, in their samples alone: every law would need the other large ones built.
    """
    return _layers(features, ("small",) * 15 + (("many",) if pooled(features) else ("long", "many", "wide")))


def long_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Calls of more than 32 steps."""
    return _layers(features, ("long",))


def very_long_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Calls of a thousand steps and more."""
    return _layers(features, ("very long",))


def large_batches(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Calls of more than 32 samples."""
    return _layers(features, ("many",))


def wide_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Calls of layers of more than 64 units."""
    return _layers(features, ("wide",))


def plain_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Small calls of one layer in one direction, no projection, no lengths, time before batch."""
    plain = dict.fromkeys(("multilayer", "bidirectional", "batch_first", "unbatched", "projection", "lengths"), False)
    return _layers(replace(features, **plain), ("small",))


# Which cotangents are given. The first is what shrinking ends at.
GIVEN = (
    ("d_output",),
    ("d_h_n",),
    ("d_c_n",),
    ("d_output", "d_h_n"),
    ("d_h_n", "d_c_n"),
    *[COTANGENTS] * 3,
)


def _gradient_calls(features: Features, reaches: tuple[str, ...]) -> st.SearchStrategy[GradientPlan]:
    return st.builds(GradientPlan, _layers(features, reaches), st.sampled_from(GIVEN))


def gradient_calls(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Calls for gradients which use claimed features only; smaller than others, as gradients cost more."""
    return _gradient_calls(features, ("moderate",) * 19 + ("many",))


def long_gradient_calls(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Calls for gradients through more than 32 steps."""
    return _gradient_calls(features, ("long",))


# To see one gate alone, the others are held: their rows of the weights are zero and their bias is so
# large that the gate is 0 (-) or 1 (+) in every dtype. "u" holds a GRU's W_hn h + b_hn at 1, W_in x + b_in at 0.
OPEN = 40.0
ISOLATED = {
    ("lstm", "i"): {"f": "-", "g": "+", "o": "+"},  # c_t = i_t
    ("lstm", "f"): {"i": "+", "g": "+", "o": "+"},  # c_t = f_t c_{t-1} + 1
    ("lstm", "g"): {"i": "+", "f": "-", "o": "+"},  # c_t = g_t
    ("lstm", "o"): {"i": "+", "f": "-", "g": "+"},  # h_t = o_t tanh(1)
    ("gru", "r"): {"z": "-", "n": "u"},  # h_t = tanh(r_t)
    ("gru", "z"): {"n": "+"},  # h_t = (1 - z_t) + z_t h_{t-1}
    ("gru", "n"): {"z": "-"},  # h_t = n_t
}


def isolated_gate(gate: str) -> Callable[[Features], st.SearchStrategy[LayerPlan]]:
    """Draws plain calls, biases on, in which that gate alone decides the result."""

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        plans = plain_layers(replace(features, no_bias=False))
        return plans.map(lambda plan: replace(plan, isolated=gate))

    draw.__name__ = f"isolated_gate_{gate}"
    return draw


def _hold(call: LayerCall, held: dict[str, str]) -> dict[str, np.ndarray]:
    H, gates = call.config.hidden_size, GATES[call.config.kind]
    parameters = {name: value.copy() for name, value in call.parameters.items()}
    for gate, how in held.items():
        rows = slice(gates.index(gate) * H, (gates.index(gate) + 1) * H)
        for value in parameters.values():
            value[rows] = 0
        if how == "u":
            parameters["bias_hh_l0"][rows] = 1
        else:
            parameters["bias_ih_l0"][rows] = OPEN if how == "+" else -OPEN
    return parameters


@st.composite
def cells(draw, features: Features) -> CellPlan:
    """Calls of cells which use claimed features only."""

    def flag(feature: str, odds: tuple[bool, ...], choose) -> bool:
        return features.claims(feature) and choose(odds, feature)

    freely, choose = _freely(draw), _chooser(draw, features)
    config = CellConfig(
        "lstm",
        input_size=choose(SIZES, "input_size"),
        hidden_size=choose((*SIZES, WIDE[0]), "hidden_size"),
        bias=not flag("no_bias", (False, False, True), choose),
    )
    form = choose if features.fixed_shapes else freely
    N = (choose if features.fixes("samples") else freely)(SIZES, "N")
    unbatched = flag("unbatched", (False, False, False, True), form)
    with_states = flag("initial_state", (False, True, True), form)
    regime = freely(REGIMES)
    seed = draw(st.integers(0, 2**16 - 1))
    return CellPlan(config, None if unbatched else N, with_states, regime, seed)


RATES = (0.5, 0.25, 0.1, 0.3, 0.75, 0.9)
UNEVEN_RATES = (0.3, 0.2, 0.7, 0.75)  # none that is its own complement


def dropping(rates: tuple[float, ...] = RATES, upper: str = "") -> Callable[[Features], st.SearchStrategy]:
    """Draws calls of layers with dropout, those above the first as ``UPPER`` has it."""

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        plans = layers(replace(features, no_bias=features.no_bias and not upper))
        return st.tuples(plans, st.sampled_from(rates)).map(lambda drawn: with_dropout(features, *drawn))

    def with_dropout(features: Features, plan: LayerPlan, rate: float) -> LayerPlan:
        config = plan.config
        if features.configurations is not None:  # no more of them than there are without dropout
            rate = rates[(config.input_size + config.hidden_size + config.num_layers) % len(rates)]
        return replace(plan, config=replace(config, dropout=rate), upper=upper)

    draw.__name__ = f"dropping_{upper or 'whatever'}_{len(rates)}"
    return draw


AWAKE = 4.0


@st.composite
def many_masked(draw, features: Features) -> LayerPlan:
    """Calls of two or three layers whose results show thousands of elements of the masks."""

    def flag(feature: str) -> bool:
        return features.claims(feature) and draw(st.booleans())

    H = draw(st.sampled_from((12, 16, 9)))
    bidirectional = features.bidirectional and draw(st.sampled_from((True, False)))
    config = LayerConfig(
        "lstm",
        input_size=draw(st.sampled_from((5, 3))),
        hidden_size=H,
        num_layers=draw(st.sampled_from((3, 2))),
        batch_first=flag("batch_first"),
        dropout=draw(st.sampled_from(UNEVEN_RATES)),
        bidirectional=bidirectional,
        proj_size=H - 2 if flag("projection") else 0,
    )
    T, N, seed = draw(st.sampled_from((40, 33))), draw(st.sampled_from((32, 41))), draw(st.integers(0, 2**16 - 1))
    return LayerPlan(config, T, N, flag("lengths"), flag("initial_state"), "ordinary", seed, upper="showing")


def _blind(call: LayerCall) -> dict[str, np.ndarray]:
    """The call's parameters, but the layers above the first do not see what they are fed."""
    later = [name for name in call.parameters if name.startswith("weight_ih") and "_l0" not in name]
    return call.parameters | {name: np.zeros_like(call.parameters[name]) for name in later}


def _showing(call: LayerCall) -> dict[str, np.ndarray]:
    """The call's parameters, but the layers above the first have no memory and show what they are fed.

    Unit j of direction d sees nothing but unit j of the layer below's direction d, times 1 - dropout, and is the
    kind's nonlinearity of that and a bias. So each element of the output depends on one element of each mask, and
    what was dropped below still differs from what is dropped here.
    """
    config = call.config
    H, O, gates = config.hidden_size, config.output_size, GATES[config.kind]
    shown = {"lstm": "g", "gru": "n"}.get(config.kind, "h")
    parameters = dict(call.parameters)
    if config.kind == "rnn_relu":  # where the first layer's units rest at 0 its mask shows nothing
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
            for gate, how in ISOLATED.get((config.kind, shown), {}).items():
                value[gates.index(gate) * H : (gates.index(gate) + 1) * H] = OPEN if how == "+" else -OPEN
        elif name.startswith("weight_hr"):
            np.fill_diagonal(value, 1)
    return parameters


UPPER = {"blind": _blind, "showing": _showing}


@st.composite
def new_layers(draw, features: Features) -> LayerPlan:
    """Layers of some tens of units, input_size, hidden_size and proj_size far apart; for what they start from."""
    H, I = draw(st.sampled_from(((16, 40), (33, 3), (24, 5))))
    config = LayerConfig(
        "lstm",
        input_size=I,
        hidden_size=H,
        num_layers=2 if features.multilayer and draw(st.sampled_from((True, False))) else 1,
        bias=not (features.no_bias and draw(st.sampled_from((False, False, True)))),
        bidirectional=features.bidirectional and draw(st.sampled_from((True, False))),
        proj_size=H // 4 if features.projection and draw(st.sampled_from((True, False))) else 0,
    )
    return LayerPlan(config, 1, 1, False, False, "ordinary", draw(st.integers(0, 2**16 - 1)))


@cache
def asking_for(feature: str) -> Callable[[Features], st.SearchStrategy[LayerPlan]]:
    """Draws small calls as if that feature were claimed besides; not each of them uses it."""

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        return _layers(replace(features, **{feature: True}), ("small",))

    draw.__name__ = f"asking_for_{feature}"
    return draw
