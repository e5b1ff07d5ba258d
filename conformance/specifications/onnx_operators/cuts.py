"""Smaller plans of a failing plan: smaller sizes, then one attribute, input or function less."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from conformance.specifications.torch_nn.cuts import LENGTHS_SEEDS, Cut, sizes

# The sizes T, N, I, H that are tried together, with the plan's attributes and without them.
AT_ONCE = ((1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 1, 1), (3, 2, 2, 2))
SIMPLE: dict[str, Any] = {
    "layout": False,
    "clip": False,
    "names": None,
    "function": "",
    "numbers": "",
    "input_forget": False,
    "linear_before_reset": False,
    "static": False,
}


def cuts_of_node(features: Any) -> list[Cut]:
    """Return the cuts of a plan, by the claims about its operator."""
    free = features.configurations is None
    found: list[Cut] = []
    if free:
        found.append(lambda plan: _at_once(plan, features))
    if free or not features.fixes("steps"):
        found.append(lambda plan: _seeds(replace(plan, T=T) for T in sizes(plan.T)))
    if free or not features.fixes("samples"):
        found.append(lambda plan: _seeds(replace(plan, N=N) for N in sizes(plan.N)))
    if free:
        found += [
            lambda plan: (replace(plan, hidden_size=H) for H in sizes(plan.hidden_size, features.hidden_sizes)),
            lambda plan: (replace(plan, input_size=I) for I in sizes(plan.input_size, features.input_sizes)),
            lambda plan: _one_direction(plan, features),
            *(_simpler(name) for name in SIMPLE),
            _fewer_inputs,
        ]
    return [*found, _without_lengths, _readable]


def _at_once(plan: Any, features: Any) -> Iterator[Any]:
    bare = replace(plan, **{n: v for n, v in SIMPLE.items() if n != "function"}, inputs=(), lengths="")
    for base in dict.fromkeys((bare, plan)):
        for T, N, I, H in AT_ONCE:
            smaller = {"T": T, "N": N, "input_size": I, "hidden_size": H}
            least = {name: min(size, getattr(base, name)) for name, size in smaller.items()}
            if features.takes(least["input_size"], least["hidden_size"]):
                yield from _seeds([replace(base, **least)])


def _seeds(plans: Iterable[Any]) -> Iterator[Any]:
    """Yield the plans; those with lengths with other lengths as well."""
    for plan in plans:
        yield plan
        if plan.lengths and plan.T > 1:
            yield from (replace(plan, seed=seed) for seed in LENGTHS_SEEDS)


def _one_direction(plan: Any, features: Any) -> Iterator[Any]:
    names = [n for n in ("forward", "reverse") if features.claims(n)]
    if plan.direction == "bidirectional":
        yield from (replace(plan, direction=name) for name in names)
    elif plan.direction == "reverse" and "forward" in names:
        yield replace(plan, direction="forward")


def _simpler(name: str) -> Cut:
    def cut(plan: Any) -> Iterator[Any]:
        if getattr(plan, name) != SIMPLE[name]:
            yield replace(plan, **{name: SIMPLE[name]})

    return cut


def _fewer_inputs(plan: Any) -> Iterator[Any]:
    for name in plan.inputs:
        yield replace(plan, inputs=tuple(n for n in plan.inputs if n != name))


def _without_lengths(plan: Any) -> Iterator[Any]:
    if plan.lengths:
        yield replace(plan, lengths="")


def _readable(plan: Any) -> Iterator[Any]:
    if plan.regime != "readable":
        yield from (replace(plan, regime="readable", seed=seed) for seed in (plan.seed, 0, 1))
