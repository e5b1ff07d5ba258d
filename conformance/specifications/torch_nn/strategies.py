"""Draw valid layers, inputs, states and lengths.

Hypothesis draws the few integers and flags that matter and shrinks them; NumPy fills the arrays from a drawn seed.
Values are never constant and almost never zero. Axes differ in size. Sizes include the edges: 1, odd numbers, one past
a multiple of 4, 8 and 16, sometimes past 32, 64 and 128.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from hypothesis import strategies as st

from conformance.backend import CellConfig, Features, LayerConfig
from conformance.engine.drawing import one_of
from conformance.specifications.torch_nn.plans import REGIMES, CellPlan, LayerPlan

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17)
MODERATE = SIZES[:8]
FEW = (1, 2, 3, 4)
# Numbers of steps, samples, units. The first few examples of every profile use the first number.
LONG, MANY, WIDE = (65, 33, 48, 80), (33, 40), (65, 129)
VERY_LONG = (1000, 2000)  # steps
SEEDS = st.integers(0, 2**16 - 1)
BOUNDARY = "boundary"  # a reach: one extent is at or beside a boundary that the backend declares
MANY_STEPS = 80
SIZES_AT_ONCE = 4  # of the sizes that a backend takes, the number of those that ordinary calls use
NEVER, SELDOM, OFTEN, ALWAYS = (False,), (False, False, False, True), (False, True), (True,)
Odds = tuple[Any, ...]
"""Options of which one is drawn."""
USUAL: Mapping[str, Odds] = MappingProxyType({})
Choose = Callable[..., Any]
"""``choose(options, name="")`` returns one of the options; ``name`` is the argument of a configuration or call."""


class Member(NamedTuple):
    """A configuration of ``POOL``, with the steps, samples and layout of its call, for a backend that fixes them."""

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


# The configurations for a backend that declares a limit of at most this many. Each flag is true in some of them and
# false in others. The first three share the layers that laws build for comparison: one direction, one layer, the other
# layout, a single step.
POOL = (
    Member(3, 5, 1, False, False, False, 3, 2, False, True),
    Member(3, 5, 1, True, False, False, 3, 4, False, True, projection=True),
    Member(3, 5, 3, False, False, True, 3, 2, False, True, projection=True),
    Member(5, 1, 2, True, True, False, 4, 3, False, False),
    Member(1, 4, 1, False, True, True, 2, 1, True, True),
)
LARGE = (POOL[1],)  # the members for calls that are large in one respect
# The flags of a configuration in which layers of the same sizes can differ, by feature.
FLAGS: dict[str, dict[str, Any]] = {
    "no_bias": {"bias": False},
    "bidirectional": {"bidirectional": True},
    "multilayer": {"num_layers": 2},
    "batch_first": {"batch_first": True},
}


def pooled(features: Features) -> bool:
    """Return whether the suite takes the backend's configurations from ``POOL``."""
    return features.configurations is not None and features.configurations <= len(POOL)


def _chooser(draw: st.DrawFn, features: Features, large: bool = False) -> Choose:
    """Return the function that chooses the arguments of a configuration.

    It draws each argument, or takes all of them from one of a limited number of configurations. From a member of
    ``POOL`` it takes the field with the argument's name, and without a name the first option. ``large`` says that the
    call is large in one respect.
    """
    if features.configurations is None:
        return lambda options, _="": draw(one_of(options))
    if pooled(features):
        member = draw(one_of(LARGE if large else POOL[: features.configurations]))

        def of_member(options: Any, name: str = "") -> Any:
            own = getattr(member, name) if name else options[0]
            claimed = getattr(features, f"{name}s", None) if name in ("input_size", "hidden_size") else None
            return own if claimed is None or own in claimed else options[own % len(options)]

        return of_member
    choice = random.Random(draw(st.integers(0, features.configurations - 1))).choice
    return lambda options, _="": choice(options)


def _freely(draw: st.DrawFn) -> Choose:
    """Return the function that draws arguments of calls, which are not part of a configuration."""
    return lambda options, _="": draw(one_of(options))


@st.composite
def layers_reaching(
    draw: st.DrawFn, features: Features, reaches: tuple[str, ...], odds: Mapping[str, Odds] = USUAL
) -> LayerPlan:
    """Draw calls of layers that use claimed features only; ``odds`` are the options of some arguments."""

    def flag(feature: str, usual: tuple[bool, ...], choose: Choose) -> bool:
        return features.claims(feature) and choose(odds.get(feature, usual), feature)

    freely = _freely(draw)
    reach = freely(reaches)
    sizes = {"small": SIZES, "moderate": MODERATE}.get(reach, FEW)
    choose = _chooser(draw, features, large=reach in ("long", "very long", "wide"))
    extent, number = evenly(draw, at_boundaries(features)) if reach == BOUNDARY else ("", 0)
    I = choose(taken(sizes, features.input_sizes), "input_size")
    H = choose(
        taken(WIDE if reach == "wide" else sizes, features.hidden_sizes), "" if reach == "wide" else "hidden_size"
    )
    if extent == "units":
        H = number
    # every second one of few configurations, so that some are bidirectional as well
    projections = (False, False, True) if features.configurations is None else (False, True)
    projected = H > 1 and flag("projection", projections, choose)
    config = LayerConfig(
        "lstm",
        input_size=I,
        hidden_size=H,
        num_layers=choose(odds.get("num_layers", (1, 1, 2, 3)), "num_layers") if features.multilayer else 1,
        bias=not flag("no_bias", SELDOM, choose),
        batch_first=flag("batch_first", (False, False, True), choose),
        bidirectional=flag("bidirectional", OFTEN, choose),
        proj_size=choose(range(1, min(H - 1, 17) + 1)) if projected else 0,
    )
    of_steps, of_samples = (choose if features.fixes(extent) else freely for extent in ("steps", "samples"))
    form = choose if features.fixed_shapes else freely
    longer = {"long": LONG, "very long": VERY_LONG}.get(reach)
    T = of_steps(bearable(longer, features)) if longer else of_steps(sizes, "T")
    N = of_samples(MANY) if reach == "many" else of_samples(sizes, "N")
    T, N = (number if extent == name else size for name, size in (("steps", T), ("samples", N)))
    unbatched = reach != "many" and extent != "samples" and flag("unbatched", (False,) * 5 + (True,), form)
    with_lengths = not unbatched and flag("lengths", (False, False, True), freely)
    with_states = flag("initial_state", (False, True, True), form)
    regime = freely(odds.get("regime", REGIMES))
    seed = draw(SEEDS)
    if (reach in ("long", "very long") or T > MANY_STEPS) and regime == "strong":
        regime = "ordinary"  # many steps of a strong recurrence would amplify rounding errors beyond all limits
    return LayerPlan(config, T, None if unbatched else N, with_lengths, with_states, regime, seed)


def taken(sizes: tuple[int, ...], claimed: Iterable[int] | None) -> tuple[int, ...]:
    """Return the sizes to choose from: the given ones, or of a backend that takes some only the smallest of these.

    The given ones decide where they are wide: then it is the largest that the backend takes.
    """
    if claimed is None:
        return sizes
    return tuple(claimed)[-2:] if min(sizes) > max(SIZES) else tuple(claimed)[:SIZES_AT_ONCE]


def at_boundaries(features: Features) -> tuple[tuple[str, int], ...]:
    """Return the pairs of an extent ("units", "samples", "steps") and a number beside a boundary of the backend."""
    most = features.most_steps or math.inf
    units = features.hidden_sizes
    possible = {
        "units": lambda n: features.configurations is None and (units is None or n in units),
        "samples": lambda n: not features.fixes("samples") or features.configurations is None,
        "steps": lambda n: n <= most and (not features.fixes("steps") or features.configurations is None),
    }
    numbers = sorted({b + beside for b in features.boundaries for beside in (-1, 0, 1) if b + beside > 0})
    return tuple((extent, n) for n in reversed(numbers) for extent, allowed in possible.items() if allowed(n))


def evenly(draw: st.DrawFn, options: Sequence[Any]) -> Any:
    """Return one of the options, each as often as the others: Hypothesis prefers some."""
    return random.Random(draw(SEEDS)).choice(options)


def with_boundaries(features: Features, reaches: tuple[str, ...]) -> tuple[str, ...]:
    """Return the reaches of calls, a third more of them at the backend's boundaries if it declares some."""
    return reaches + (BOUNDARY,) * (-(-len(reaches) // 3)) if at_boundaries(features) else reaches


def bearable(steps: tuple[int, ...], features: Features) -> tuple[int, ...]:
    """Return the numbers of steps within the backend's limit, or the limit if there is no such number."""
    most = features.most_steps
    return steps if most is None else tuple(n for n in steps if n <= most) or (most,)


def layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of layers that use claimed features only, one in six of them large in one respect.

    With configurations from the pool only the number of samples is large: other large calls would need more layers.
    """
    return _ordinary(features, USUAL)


def _ordinary(features: Features, odds: Mapping[str, Odds]) -> st.SearchStrategy[LayerPlan]:
    reaches = ("small",) * 15 + (("many",) if pooled(features) else ("long", "many", "wide"))
    return layers_reaching(features, with_boundaries(features, reaches), odds)


def saturating_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of large input, seldom with a projection."""
    return _ordinary(features, {"regime": ("saturating",), "initial_state": OFTEN, "projection": SELDOM})


def unbatched_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of one sample without its axis."""
    return _ordinary(features, {"unbatched": ALWAYS, "batch_first": OFTEN})


def both_directions(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of batches of one layer in both directions, time before batch and without lengths."""
    left_out = dict.fromkeys(("batch_first", "unbatched", "lengths"), NEVER)
    return _ordinary(features, {**left_out, "bidirectional": ALWAYS, "num_layers": (1,), "projection": OFTEN})


def ragged_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls with lengths."""
    return _ordinary(features, {"unbatched": NEVER, "lengths": ALWAYS})


def long_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of more than 32 steps."""
    return layers_reaching(features, ("long",))


def very_long_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of a thousand steps and more."""
    return layers_reaching(features, ("very long",))


def large_batches(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of more than 32 samples."""
    return layers_reaching(features, ("many",))


def wide_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw calls of layers of more than 64 units."""
    return layers_reaching(features, ("wide",))


def plain_layers(features: Features) -> st.SearchStrategy[LayerPlan]:
    """Draw small calls of one layer in one direction, without projection or lengths, time before batch."""
    left_out = ("multilayer", "bidirectional", "batch_first", "unbatched", "projection", "lengths")
    plain: dict[str, Any] = dict.fromkeys(left_out, False)
    return layers_reaching(replace(features, **plain), ("small",))


ACTING_ON_STATES = ("f", "r", "z")


def isolated_gate(gate: str) -> Callable[[Features], st.SearchStrategy[LayerPlan]]:
    """Return a way to draw plain calls with biases in which one gate alone decides the result.

    A gate that acts on the state alone gets states where the backend takes them.
    """

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        plans = plain_layers(replace(features, no_bias=False))
        stateful = gate in ACTING_ON_STATES and features.initial_state and not features.fixed_shapes
        changes: dict[str, Any] = {"isolated": gate} | ({"with_states": True} if stateful else {})
        return plans.map(lambda plan: replace(plan, **changes))

    draw.__name__ = f"isolated_gate_{gate}"
    return draw


@st.composite
def cells(draw: st.DrawFn, features: Features) -> CellPlan:
    """Draw calls of cells that use claimed features only."""

    def flag(feature: str, odds: tuple[bool, ...], choose: Choose) -> bool:
        return features.claims(feature) and choose(odds, feature)

    freely, choose = _freely(draw), _chooser(draw, features)
    beside = tuple((extent, n) for extent, n in at_boundaries(features) if extent != "steps")
    extent, number = evenly(draw, beside) if beside and freely((False,) * 3 + (True,)) else ("", 0)
    config = CellConfig(
        "lstm",
        input_size=choose(taken(SIZES, features.input_sizes), "input_size"),
        hidden_size=number
        if extent == "units"
        else choose(taken((*SIZES, WIDE[0]), features.hidden_sizes), "hidden_size"),
        bias=not flag("no_bias", (False, False, True), choose),
    )
    form = choose if features.fixed_shapes else freely
    N = (choose if features.fixes("samples") else freely)(SIZES, "N")
    if extent == "samples":
        N = number
    unbatched = extent != "samples" and flag("unbatched", SELDOM, form)
    with_states = flag("initial_state", (False, True, True), form)
    regime = freely(REGIMES)
    seed = draw(SEEDS)
    return CellPlan(config, None if unbatched else N, with_states, regime, seed)


RATES = (0.5, 0.25, 0.1, 0.3, 0.75, 0.9)
UNEVEN_RATES = (0.3, 0.2, 0.7, 0.75)  # without 0.5, which is its own complement


def dropping(rates: tuple[float, ...] = RATES, upper: str = "") -> Callable[[Features], st.SearchStrategy]:
    """Return a way to draw calls with dropout; ``upper`` in ``plans.UPPER`` changes the layers above the first."""

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        plans = layers(replace(features, no_bias=features.no_bias and not upper))
        return st.tuples(plans, st.sampled_from(rates)).map(lambda drawn: with_dropout(features, *drawn))

    def with_dropout(features: Features, plan: LayerPlan, rate: float) -> LayerPlan:
        config = plan.config
        if features.configurations is not None:  # a rate for each, so that dropout adds no configurations
            rate = rates[(config.input_size + config.hidden_size + config.num_layers) % len(rates)]
        return replace(plan, config=replace(config, dropout=rate), upper=upper)

    draw.__name__ = f"dropping_{upper or 'any'}_{len(rates)}"
    return draw


@st.composite
def many_masked(draw: st.DrawFn, features: Features) -> LayerPlan:
    """Draw calls of two or three layers whose results show thousands of elements of the masks."""

    def flag(feature: str) -> bool:
        return features.claims(feature) and draw(st.booleans())

    H = draw(one_of(taken((12, 16, 9), features.hidden_sizes)))
    bidirectional = features.bidirectional and draw(one_of((True, False)))
    config = LayerConfig(
        "lstm",
        input_size=draw(one_of(taken((5, 3), features.input_sizes))),
        hidden_size=H,
        num_layers=draw(one_of((3, 2))),
        batch_first=flag("batch_first"),
        dropout=draw(one_of(UNEVEN_RATES)),
        bidirectional=bidirectional,
        proj_size=H - 2 if H > 2 and flag("projection") else 0,
    )
    T, N, seed = draw(one_of((40, 33))), draw(one_of((32, 41))), draw(SEEDS)
    return LayerPlan(config, T, N, flag("lengths"), flag("initial_state"), "ordinary", seed, upper="showing")


@st.composite
def new_layers(draw: st.DrawFn, features: Features) -> LayerPlan:
    """Draw layers of tens of units for initial values; input_size, hidden_size and proj_size are far apart."""
    H, I = draw(one_of(((16, 40), (33, 3), (24, 5))))
    if not features.takes(I, H):
        H = H if features.hidden_sizes is None else max(features.hidden_sizes)
        I = I if features.input_sizes is None else max(features.input_sizes)
    config = LayerConfig(
        "lstm",
        input_size=I,
        hidden_size=H,
        num_layers=2 if features.multilayer and draw(one_of((True, False))) else 1,
        bias=not (features.no_bias and draw(one_of((False, False, True)))),
        bidirectional=features.bidirectional and draw(one_of((True, False))),
        proj_size=H // 4 if H > 3 and features.projection and draw(one_of((True, False))) else 0,
    )
    return LayerPlan(config, 1, 1, False, False, "ordinary", draw(SEEDS))


@cache
def asking_for(feature: str) -> Callable[[Features], st.SearchStrategy[LayerPlan]]:
    """Return a way to draw small calls as if that feature were claimed as well; not every call uses it."""

    def draw(features: Features) -> st.SearchStrategy[LayerPlan]:
        claimed: dict[str, Any] = {feature: True}
        return layers_reaching(replace(features, **claimed), ("small",))

    draw.__name__ = f"asking_for_{feature}"
    return draw
