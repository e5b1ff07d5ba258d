"""Draw valid calls of nodes that use claimed features only.

Hypothesis draws the structure; NumPy fills the arrays from a drawn seed. Sizes are those of torch.nn's calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from conformance.engine.drawing import one_of
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, INPUTS, LAYOUT_OPSET, OnnxFeatures
from conformance.specifications.onnx_operators.plans import NodePlan
from conformance.specifications.torch_nn.plans import REGIMES
from conformance.specifications.torch_nn.strategies import (
    ALWAYS,
    BOUNDARY,
    FEW,
    LONG,
    MANY,
    NEVER,
    OFTEN,
    SEEDS,
    SELDOM,
    SIZES,
    WIDE,
    Odds,
    at_boundaries,
    bearable,
    evenly,
    taken,
    with_boundaries,
)
from reference.onnx.activations import WITHOUT_DEFAULT

Draw = Callable[[OnnxFeatures], st.SearchStrategy[NodePlan]]
SMALL = SIZES[:9]
BARE: dict[str, Any] = {
    **dict.fromkeys((*ATTRIBUTES, "sequence_lens", "P", "initial_h", "initial_c", "static"), NEVER),
    "B": ALWAYS,
}
"""The odds of a call with X, W, R and B alone. What is broken elsewhere does not fail its requirements."""
STATES: dict[str, Any] = dict.fromkeys(("initial_h", "initial_c"), OFTEN)
FORWARD = ("forward",)


@st.composite
def _nodes(draw: st.DrawFn, features: OnnxFeatures, reaches: tuple[str, ...], odds: dict[str, Odds]) -> NodePlan:
    def freely(options: Any) -> Any:
        return draw(one_of(options)) if len(options) > 1 else options[0]  # drawing takes time

    if features.configurations is None:
        choose: Any = freely
    else:  # one of a limited number of configurations
        choose = random.Random(draw(st.integers(0, features.configurations - 1))).choice

    def flag(name: str, usual: tuple[bool, ...]) -> bool:
        return features.claims(name) and choose(odds.get(name, usual))

    reach = freely(reaches)
    sizes = SMALL if reach == "small" else FEW
    extent, number = evenly(draw, at_boundaries(features)) if reach == BOUNDARY else ("", 0)  # type: ignore[arg-type]  # it has what torch.nn's claims have
    I = choose(taken(sizes, features.input_sizes))
    H = choose(taken(WIDE if reach == "wide" else sizes, features.hidden_sizes))
    of_steps, of_samples = (choose if features.fixes(name) else freely for name in ("steps", "samples"))
    T = of_steps(bearable(LONG if reach == "long" else sizes, features))  # type: ignore[arg-type]
    N = of_samples(MANY if reach == "many" else sizes)
    T, N, H = (number if extent == name else n for name, n in (("steps", T), ("samples", N), ("units", H)))
    direction = choose(directions(features, odds))
    names = None
    if flag("activations", SELDOM):
        functions = drawable(features)
        names = tuple(choose(functions) for _ in range(6))
    inputs = [name for name in INPUTS if name != "sequence_lens" and flag(name, (True, True, False))]
    lengths = (
        "any" if features.claims("sequence_lens") and freely(odds.get("sequence_lens", (False, False, True))) else ""
    )
    regime, seed = freely(REGIMES), draw(SEEDS)
    if max(SIZES) < T and regime == "strong":
        regime = "ordinary"
    return NodePlan(
        I,
        H,
        T,
        N,
        direction,
        names,
        numbers=choose(("", "some", "all", "all")) if takes_numbers(features) else "",
        clip=flag("clip", SELDOM),
        input_forget=flag("input_forget", SELDOM),
        linear_before_reset=flag("linear_before_reset", OFTEN),
        layout=flag("layout", SELDOM) and max(features.opsets) >= LAYOUT_OPSET,
        inputs=tuple(inputs),
        lengths=lengths,
        opsets=tuple(sorted(features.opsets)),
        static=choose(odds.get("static", SELDOM)),
        regime=regime,
        seed=seed,
    )


def directions(features: OnnxFeatures, odds: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the claimed directions that ``odds`` admits, or all claimed ones."""
    claimed = [name for name in ("forward", "reverse", "bidirectional") if features.claims(name)]
    admitted = [name for name in claimed if name in odds.get("directions", claimed)]
    return tuple(admitted or claimed)


def takes_numbers(features: OnnxFeatures) -> bool:
    """Return whether alphas and betas are claimed."""
    return features.claims("activation_alpha") and features.claims("activation_beta")


def drawable(features: OnnxFeatures) -> list[str]:
    """Return the claimed functions; those that need alpha and beta if these are claimed too."""
    return [n for n in ACTIVATIONS if features.claims(n) and (n not in WITHOUT_DEFAULT or takes_numbers(features))]


def nodes(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
    """Draw calls of nodes with any claimed features, one in six large in one respect."""
    reaches = ("small",) * 15 + ("long", "many", "wide")
    return _nodes(features, with_boundaries(features, reaches), {})  # type: ignore[arg-type]


@cache
def drawn(name: str, *reaches: str, directions: tuple[str, ...] = (), focus: str = "", **odds: Odds) -> Draw:
    """Return a way to draw calls by that name: the odds of features, the directions, and the focus of parameters."""

    def draw(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
        given: dict[str, Any] = odds | ({"directions": directions} if directions else {})
        plans = _nodes(features, reaches or ("small",), given)
        return plans.map(lambda plan: replace(plan, focus=focus)) if focus else plans

    draw.__name__ = f"drawn_{name}"
    return draw


def bare(name: str, *reaches: str, directions: tuple[str, ...] = FORWARD, focus: str = "", **odds: Odds) -> Draw:
    """Return a way to draw calls that have what ``odds`` names and nothing else."""
    return drawn(name, *reaches, directions=directions, focus=focus, **(BARE | odds))


plain_nodes = bare("plain")
long_nodes = bare("long", "long", **STATES)
many_nodes = bare("many", "many", **STATES)
wide_nodes = bare("wide", "wide", **STATES)
bare_nodes = bare("bare", **STATES)
focused = {
    "W": bare("focused_W", focus="W"),
    "R": bare("focused_R", focus="R", initial_h=ALWAYS),
    "B": bare("focused_B", focus="B"),
    "P": bare("focused_P", focus="P", P=ALWAYS, initial_c=ALWAYS),
    "clip-f": bare("focused_clip-f", focus="clip-f", clip=ALWAYS),
    "clip-g": bare("focused_clip-g", focus="clip-g", clip=ALWAYS),
    "clip-h": bare("focused_clip-h", focus="clip-h", clip=ALWAYS, initial_c=ALWAYS),
}
"""Ways to draw calls in which one parameter, or one threshold, alone decides."""


@cache
def always(*names: str, directions: tuple[str, ...] = FORWARD, **odds: Odds) -> Draw:
    """Return a way to draw calls that have these attributes and inputs, and else only what ``odds`` names."""
    name = "_".join(("always", *names, *directions, *odds))
    given: dict[str, Any] = dict.fromkeys(names, ALWAYS) | odds
    return bare(name, directions=directions, **given)


@cache
def broadly(*names: str, directions: tuple[str, ...] = (), **odds: Odds) -> Draw:
    """Return a way to draw calls that have these attributes and inputs, and anything else as often as usual."""
    name = "_".join(("broadly", *names, *directions, *odds))
    return drawn(name, directions=directions, **(dict.fromkeys(names, ALWAYS) | odds))


@cache
def with_function(name: str, numbers: str = "some", **odds: Odds) -> Draw:
    """Return a way to draw calls with one function in one place, in every direction."""

    def draw(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
        given: dict[str, Any] = BARE | {"directions": FORWARD} | odds
        plans = st.tuples(_nodes(features, ("small",), given), st.integers(0, 2))
        how = numbers if takes_numbers(features) else ""
        return plans.map(lambda pair: replace(pair[0], function=name, place=pair[1], numbers=how))

    draw.__name__ = f"with_function_{name}_{numbers}"
    return draw


@cache
def with_functions(names: tuple[str, ...], numbers: str = "all", directions: tuple[str, ...] = FORWARD) -> Draw:
    """Return a way to draw calls with these functions in a drawn order, as far as they are claimed."""

    def draw(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
        known = [name for name in names if name in drawable(features)] or ["Tanh", "Sigmoid"]
        given: dict[str, Any] = BARE | {"directions": directions}
        chosen = st.lists(st.sampled_from(known), min_size=6, max_size=6)
        how = numbers if takes_numbers(features) else ""
        pairs = st.tuples(_nodes(features, ("small",), given), chosen)
        return pairs.map(lambda pair: replace(pair[0], names=tuple(pair[1]), numbers=how))

    draw.__name__ = f"with_functions_{'_'.join(names)}_{numbers}_{'_'.join(directions)}"
    return draw


def zero_lengths(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
    """Draw calls with sequence_lens of which one at least is 0."""
    plans = _nodes(features, ("small",), BARE | STATES | {"directions": FORWARD, "sequence_lens": ALWAYS})
    return plans.map(lambda plan: replace(plan, lengths="zero"))


@cache
def asking_for(name: str) -> Draw:
    """Return a way to draw small calls that use that claim as if it were claimed; directions as well."""

    def draw(features: OnnxFeatures) -> st.SearchStrategy[NodePlan]:
        if name in ("forward", "reverse", "bidirectional"):
            return _nodes(features, ("small",), BARE).map(lambda plan: replace(plan, direction=name))
        if name in ACTIVATIONS:
            return with_function(name, "all")(features)
        if name in ATTRIBUTES:
            return attribute_asked(features, name)
        plans = _nodes(features, ("small",), BARE)
        if name == "sequence_lens":
            return plans.map(lambda plan: replace(plan, lengths="any"))
        return plans.map(lambda plan: replace(plan, inputs=tuple(n for n in INPUTS if n in {*plan.inputs, name})))

    draw.__name__ = f"asking_for_{name}"
    return draw


def attribute_asked(features: OnnxFeatures, name: str) -> st.SearchStrategy[NodePlan]:
    """Draw small calls with an attribute that is not claimed."""
    plans = _nodes(features, ("small",), BARE)
    if name == "activations":
        return plans.map(lambda plan: replace(plan, names=("Tanh", "Sigmoid", "Relu") * 2))
    if name in ("activation_alpha", "activation_beta"):
        return plans.map(lambda plan: replace(plan, function="HardSigmoid", place=plan.seed, numbers="all"))
    opsets = {LAYOUT_OPSET, *features.opsets} if name == "layout" else features.opsets
    asked: dict[str, Any] = {name: True, "opsets": tuple(sorted(opsets))}
    return plans.map(lambda plan: replace(plan, **asked))
