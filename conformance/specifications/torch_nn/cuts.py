"""Smaller plans of a failing plan: fewer steps, samples, layers, units and features, one feature of calls less.

Each function yields smaller plans of a plan, the smallest first. They keep what the backend claims: a backend with few
configurations gets no new one, and a fixed number of steps or samples stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

SMALL = (1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65)
AT_ONCE = (  # T, N, I, H
    (1, 1, 1, 1),
    (2, 1, 1, 1),
    (2, 2, 1, 1),
    (2, 2, 2, 2),
    (2, 2, 3, 2),
    (4, 2, 1, 1),
    (4, 2, 3, 2),
)
LENGTHS_SEEDS = (0, 1)  # further seeds for plans with lengths: with few steps all lengths may be equal
OTHER_SEEDS = range(16)

Cut = Callable[[Any], Iterable[Any]]


def sizes(size: int, taken: Iterable[int] | None = None) -> list[int]:
    """Return the smaller sizes to try, ascending: small ones, then by bisection up to one less."""
    nearer = {size - max(1, size // part) for part in (2, 4, 8, 16, size)}
    found = sorted({n for n in SMALL if n < size} | {n for n in nearer if n > 0})
    return found if taken is None else [n for n in found if n in set(taken)]


def cuts_of_layer(features: Any) -> list[Cut]:
    """Return the cuts of a plan of a layer's call, by the backend's claims."""
    found: list[Cut] = []
    steps, samples = (not features.fixes(extent) for extent in ("steps", "samples"))
    if features.configurations is None:
        if steps and samples and not features.fixed_shapes:
            found.append(lambda plan: _at_once(plan, features))
        found += [_layers, _flag("bidirectional", False)]
    if steps:
        found.append(_steps)
    if samples:
        found.append(_samples)
    if steps and samples:
        found.append(_square)
    if features.configurations is None:
        found += [lambda plan: _units(plan, features), lambda plan: _features(plan, features), _as_many_features]
        found += [_flag("batch_first", False), _flag("bias", True), _flag("proj_size", 0)]
    if not features.fixed_shapes:
        found += [_without_states, _batched]
    return [*found, _without_lengths, _readable]


def cuts_of_cell(features: Any) -> list[Cut]:
    """Return the cuts of a plan of a cell's call, by the backend's claims."""
    found: list[Cut] = [] if features.fixes("samples") else [_samples]
    if features.configurations is None:
        found += [lambda plan: _units(plan, features), lambda plan: _features(plan, features), _as_many_features]
        found.append(_flag("bias", True))
    if not features.fixed_shapes:
        found += [_without_states, _batched]
    return [*found, _readable]


def others(plan: Any) -> Iterator[Any]:
    """Yield the plan with other numbers."""
    return (replace(plan, seed=seed) for seed in OTHER_SEEDS if seed != plan.seed)


def _with_config(plan: Any, **changes: Any) -> Any:
    return replace(plan, config=replace(plan.config, **changes))


def _sized(plan: Any, input_size: int, hidden_size: int) -> Any:
    projected = {}
    if getattr(plan.config, "proj_size", 0) >= hidden_size:
        projected = {"proj_size": hidden_size - 1}
    return _with_config(plan, input_size=input_size, hidden_size=hidden_size, **projected)


def _at_once(plan: Any, features: Any) -> Iterator[Any]:
    """Yield plans that are small in every respect, first those that use no feature of calls."""
    bare = _with_config(plan, num_layers=1, bidirectional=False, batch_first=False, bias=True, proj_size=0)
    bare = replace(bare, with_lengths=False, with_states=False, N=plan.N or 1)
    for base, (T, N, I, H) in product(dict.fromkeys((bare, plan)), AT_ONCE):
        I, H = min(I, plan.config.input_size), min(H, plan.config.hidden_size)
        if not features.takes(I, H):
            continue
        smaller = replace(_sized(base, I, H), T=min(T, plan.T), N=None if base.N is None else min(N, base.N))
        yield smaller
        if smaller.with_lengths and T > 1:
            yield from (replace(smaller, seed=seed) for seed in LENGTHS_SEEDS)


def _steps(plan: Any) -> Iterator[Any]:
    yield from _lengthened(replace(plan, T=T) for T in sizes(plan.T))


def _samples(plan: Any) -> Iterator[Any]:
    yield from _lengthened(replace(plan, N=N) for N in sizes(plan.N or 1))


def _lengthened(plans: Iterable[Any]) -> Iterator[Any]:
    """Yield the plans; those with lengths with other lengths as well."""
    for plan in plans:
        yield plan
        if getattr(plan, "with_lengths", False) and plan.T > 1:
            yield replace(plan, seed=LENGTHS_SEEDS[0])


def _square(plan: Any) -> Iterator[Any]:
    """Yield plans of equally many steps and samples."""
    if plan.N is not None and plan.N == plan.T > 2:
        yield from (replace(plan, T=n, N=n) for n in (2, 3))


def _layers(plan: Any) -> Iterator[Any]:
    yield from (_with_config(plan, num_layers=L) for L in range(1, plan.config.num_layers))


def _units(plan: Any, features: Any) -> Iterator[Any]:
    smaller = sizes(plan.config.hidden_size, features.hidden_sizes)
    yield from (_sized(plan, plan.config.input_size, H) for H in smaller)


def _features(plan: Any, features: Any) -> Iterator[Any]:
    smaller = sizes(plan.config.input_size, features.input_sizes)
    yield from (_with_config(plan, input_size=I) for I in smaller)


def _as_many_features(plan: Any) -> Iterator[Any]:
    """Yield plans of equally many units and features."""
    if plan.config.hidden_size == plan.config.input_size > 2:
        yield from (_sized(plan, n, n) for n in (2, 3) if n < plan.config.hidden_size)


def _flag(name: str, simple: Any) -> Cut:
    def cut(plan: Any) -> Iterator[Any]:
        if getattr(plan.config, name) != simple:
            yield _with_config(plan, **{name: simple})

    return cut


def _without_states(plan: Any) -> Iterator[Any]:
    if plan.with_states:
        yield replace(plan, with_states=False)


def _without_lengths(plan: Any) -> Iterator[Any]:
    if plan.with_lengths:
        yield replace(plan, with_lengths=False)


def _batched(plan: Any) -> Iterator[Any]:
    """Yield the plan with one sample in a batch."""
    if plan.N is None:
        yield replace(plan, N=1)


def _readable(plan: Any) -> Iterator[Any]:
    if plan.regime != "readable":
        yield from (replace(plan, regime="readable", seed=seed) for seed in (plan.seed, 0, 1))
