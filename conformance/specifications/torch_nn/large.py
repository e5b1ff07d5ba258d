"""Lists of calls that are large in one respect: sizes at which kernels change, or leave the range of an index.

Public reports name them: more than 65,535 steps or samples, 128, 256, 512 and 1,024 samples or units, five and ten
layers. A backend's ``boundaries`` are added. Everything else about these calls is small, so each takes little time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from conformance.backend import CellConfig, Features, LayerConfig
from conformance.backwards import cotangents
from conformance.specifications.torch_nn.plans import CellPlan, GradientPlan, LayerPlan
from conformance.specifications.torch_nn.strategies import POOL, at_boundaries, pooled

STEPS = (65537,)
SAMPLES = (129, 257, 1025, 65537)
UNITS = (129, 257, 513, 1025)
LAYERS = (5, 10)
FEW_OF_GRADIENTS = (129, 513)
SEED = 7
MANY = 4096  # above this number of steps or samples a call has one unit and one feature
Lists = Callable[[Features], Sequence[Any]]


def steps(features: Features) -> Sequence[LayerPlan]:
    """List calls of one layer of as many steps as a kernel's index may not hold."""
    most = features.most_steps
    sizes = [T for T in (*STEPS, *_beside(features, "steps")) if most is None or most >= T]
    return [plan for T in sizes for plan in _layers(features, T=T, N=1 if T > MANY else 2)]


def samples(features: Features) -> Sequence[LayerPlan]:
    """List calls of one layer of many samples."""
    sizes = (*SAMPLES, *_beside(features, "samples"))
    return [plan for N in sizes for plan in _layers(features, T=2 if N > MANY else 3, N=N)]


def units(features: Features) -> Sequence[LayerPlan]:
    """List calls of one layer of many units, every second one, from the smallest on, in two directions."""
    return [
        plan
        for number, H in enumerate((*UNITS, *_beside(features, "units")))
        for plan in _layers(features, H=H, bidirectional=not number % 2)
    ]


def depth(features: Features) -> Sequence[LayerPlan]:
    """List calls of stacks of many layers, in one direction and in two."""
    flags = (False, True) if features.bidirectional else (False,)
    return [
        plan
        for L, both in zip((*LAYERS, LAYERS[0]), (False, False, True), strict=True)
        for plan in _layers(features, H=4, num_layers=L, bidirectional=both)
        if both in flags
    ]


def gradients(features: Features) -> Sequence[GradientPlan]:
    """List calls for gradients of many units, many samples and many layers."""
    plans = [
        *(plan for H in (*FEW_OF_GRADIENTS, *_beside(features, "units")) for plan in _layers(features, H=H)),
        *(plan for N in (*FEW_OF_GRADIENTS, *_beside(features, "samples")) for plan in _layers(features, T=3, N=N)),
        *(_layers(features, H=4, num_layers=LAYERS[0]) if features.multilayer else ()),
    ]
    return [GradientPlan(plan, cotangents(features), cotangents(features, kind="")) for plan in plans]


def cells(features: Features) -> Sequence[CellPlan]:
    """List calls of cells of many units, and of many samples."""
    sizes = [(2, H) for H in (*UNITS, *_beside(features, "units"))]
    sizes += [(N, 1 if N > MANY else 5) for N in (*SAMPLES, *_beside(features, "samples"))]
    return [
        CellPlan(CellConfig("lstm", I, H), N, features.initial_state, "ordinary", SEED)
        for N, H in sizes
        if features.takes(I := 1 if N > MANY else 3, H) and _any_configuration(features)
    ]


def overlapping(features: Features) -> Sequence[LayerPlan]:
    """List a call that takes long enough for calls from several threads to overlap."""
    return [
        plan for plan in _layers(features, T=50, N=4, H=32) if features.most_steps is None or features.most_steps >= 50
    ]


LISTS: dict[str, Lists] = {
    "ROBUST-THREADS-OVERLAP": overlapping,
    "LARGE-STEPS": steps,
    "LARGE-SAMPLES": samples,
    "LARGE-UNITS": units,
    "LARGE-DEPTH": depth,
    "LARGE-GRADIENTS": gradients,
    "CELL-LARGE": cells,
}


def _any_configuration(features: Features) -> bool:
    """Return whether the backend builds every configuration that it claims, for every shape of arguments."""
    return features.configurations is None


def _beside(features: Features, extent: str) -> list[int]:
    """Return the numbers of an extent at and beside the backend's boundaries."""
    return [n for e, n in at_boundaries(features) if e == extent]


def _layers(
    features: Features, *, T: int = 2, N: int = 2, H: int = 0, num_layers: int = 1, bidirectional: bool = False
) -> Iterator[LayerPlan]:
    """Yield the plan of a call of these extents if the backend takes it.

    A backend of few configurations gets one from the pool, with other numbers of steps and samples only.
    """
    small = max(T, N) > MANY
    config = LayerConfig(
        "lstm", 1 if small else 3, H or (1 if small else 5), num_layers,
        bidirectional=bidirectional and features.bidirectional,
    )  # fmt: skip
    if not _any_configuration(features):
        member = POOL[0]
        fixed = (features.fixes("steps") and member.T != T) or (features.fixes("samples") and member.N != N)
        if not pooled(features) or fixed or H or small:
            return
        config = LayerConfig("lstm", member.input_size, member.hidden_size)
    if features.takes(config.input_size, config.hidden_size):
        yield LayerPlan(config, T, N, False, features.initial_state, "ordinary", SEED)
