"""Draw calls for gradients of layers, of cells and of training calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from conformance.backend import Features
from conformance.backwards import CELL_COTANGENTS, COTANGENTS, cotangents, unclaimed_cotangents
from conformance.specifications.torch_nn.plans import CellGradientPlan, GradientPlan, LayerPlan
from conformance.specifications.torch_nn.strategies import cells, dropping, layers_reaching, with_boundaries

Names = tuple[str, ...]
# The names of the given cotangents. Shrinking ends at the first.
GIVEN: tuple[Names, ...] = (
    ("d_output",),
    ("d_h_n",),
    ("d_c_n",),
    ("d_output", "d_h_n"),
    ("d_h_n", "d_c_n"),
    *[COTANGENTS] * 3,
)
CELLS_GIVEN: tuple[Names, ...] = (("d_h",), ("d_c",), CELL_COTANGENTS, CELL_COTANGENTS)


def _claimed(ways: tuple[Names, ...], claimed: Names) -> st.SearchStrategy[Names]:
    """Draw the names of the given cotangents, claimed ones alone."""
    return st.sampled_from([some for way in ways if (some := tuple(name for name in way if name in claimed))])


def _unclaimed(claimed: Names, lacking: Names) -> st.SearchStrategy[Names]:
    """Draw the names of given cotangents, an unclaimed one among them."""
    return st.sampled_from([*((name,) for name in lacking), (*claimed, *lacking)])


def _of_layers(features: Features, plans: st.SearchStrategy[LayerPlan]) -> st.SearchStrategy[GradientPlan]:
    given = _claimed(GIVEN, cotangents(features))
    return st.builds(GradientPlan, plans, given, st.just(cotangents(features, kind="")))


def _unclaimed_of_layers(features: Features, plans: st.SearchStrategy[LayerPlan]) -> st.SearchStrategy[GradientPlan]:
    given = _unclaimed(cotangents(features), unclaimed_cotangents(features))
    return st.builds(GradientPlan, plans, given, st.just(unclaimed_cotangents(features, kind="")))


def gradient_calls(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw calls for gradients that use claimed features only; smaller ones, because gradients cost more."""
    return _of_layers(features, layers_reaching(features, with_boundaries(features, ("moderate",) * 19 + ("many",))))


def stateful_gradient_calls(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw calls for gradients with states where the backend takes them."""
    given = features.initial_state and not features.fixed_shapes
    with_states: dict[str, Any] = {"with_states": True} if given else {}
    return gradient_calls(features).map(lambda plan: replace(plan, layer=replace(plan.layer, **with_states)))


def long_gradient_calls(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw calls for gradients through more than 32 steps."""
    return _of_layers(features, layers_reaching(features, ("long",)))


def dropping_gradients(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw calls for gradients of a training call whose output shows the masks."""
    return _of_layers(features, dropping(upper="awake")(features))


def cell_gradient_calls(features: Features) -> st.SearchStrategy[CellGradientPlan]:
    """Draw calls for gradients of cells that use claimed features only."""
    claimed = cotangents(features, of=CELL_COTANGENTS)
    return st.builds(CellGradientPlan, cells(features), _claimed(CELLS_GIVEN, claimed), st.just(claimed))


def calls_of_unclaimed_cotangents(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw small calls for gradients with a cotangent that is not claimed."""
    return _unclaimed_of_layers(features, layers_reaching(features, ("small",)))


def training_calls_of_unclaimed_cotangents(features: Features) -> st.SearchStrategy[GradientPlan]:
    """Draw calls for gradients of a training call with a cotangent that is not claimed."""
    return _unclaimed_of_layers(features, dropping(upper="awake")(features))


def cell_calls_of_unclaimed_cotangents(features: Features) -> st.SearchStrategy[CellGradientPlan]:
    """Draw calls for gradients of cells with a cotangent that is not claimed."""
    lacking = unclaimed_cotangents(features, of=CELL_COTANGENTS)
    given = _unclaimed(cotangents(features, of=CELL_COTANGENTS), lacking)
    return st.builds(CellGradientPlan, cells(features), given, st.just(lacking))
