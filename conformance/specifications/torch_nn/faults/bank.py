"""The class of faults, the decorator that collects them, and the composition of two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.backend import Backend
from conformance.claims import BOOLEAN_FEATURES
from conformance.specifications.torch_nn.faults.changed import Change, Changed
from reference.config import KINDS


@dataclass(frozen=True)
class Fault:
    """A known departure from the documentation."""

    id: str
    family: str
    explanation: str
    """Ends the sentence "These are the numbers of ..."."""
    who: str
    """The origin of this mistake: another framework's convention, a public issue, or the slip that leads to it."""
    requirement: str
    """The id of the requirement that decides it."""
    kinds: frozenset[str]
    """The kinds that it touches."""
    features: frozenset[str]
    """The features that a call must use for the fault to show."""
    build: Callable[[], Backend]
    common: bool = False
    """Whether diagnosis also tries it in pairs with other faults."""
    numeric: bool = True
    """Whether it shows in the results of forward, step or gradients, with the same numbers in every call."""


class Family:
    """The decorator that collects a module's faults: ``@family(requirement, explanation, who)`` above a function.

    The fault's id is the function's name with dashes. The function returns the parts of the fault: keywords of Change,
    and ``claims`` for Changed. It is called once for each backend, so that backends share no memory.
    """

    def __init__(self, faults: list[Fault], name: str, **defaults) -> None:
        self.faults, self.name, self.defaults = faults, name, defaults

    def __call__(self, requirement: str, explanation: str, who: str, **more) -> Callable[[Callable], Callable]:
        def mark(function: Callable) -> Callable:
            self.add(function.__name__.replace("_", "-"), requirement, explanation, who, function, **more)
            return function

        return mark

    def add(self, id: str, requirement: str, explanation: str, who: str, parts: Callable[[], dict], **more) -> None:
        """Add a fault under that id."""
        options = self.defaults | more
        kinds = options.pop("kinds", KINDS)
        features: Iterable[str] = options.pop("features", ())
        common, numeric = options.pop("common", False), options.pop("numeric", True)

        def build() -> Changed:
            change = Change(**parts())
            return Changed(id, change, kinds=kinds, **({"gradients": change.differentiated} | options))

        kinds_touched = frozenset({kinds} if isinstance(kinds, str) else kinds)
        self.faults.append(
            Fault(
                id, self.name, explanation, who, requirement, kinds_touched, frozenset(features), build, common, numeric
            )
        )


COMPOSABLE = {"load", "adjoint", "arguments", "equation", "cotangents", "direction", "forward", "result", "step"}


def compose(a: Fault, b: Fault) -> Backend:
    """Return a backend with both faults.

    Raises ValueError if they cannot be combined: one is not numeric, they touch no common kind, or both change the same
    equation.
    """
    outer, inner = a.build(), b.build()
    if outer.change.direction:
        outer, inner = inner, outer
    kinds = outer.features.kinds & inner.features.kinds
    together = f"{a.id} and {b.id} do not go together"
    if not (a.numeric and b.numeric and kinds) or not (outer.change.parts | inner.change.parts <= COMPOSABLE):
        raise ValueError(together)
    equations = set(outer.change.equation) & set(inner.change.equation)
    if outer.change.direction or equations or a.id == b.id:
        raise ValueError(together)
    claims = {name: outer.features.claims(name) and inner.features.claims(name) for name in BOOLEAN_FEATURES}
    return Changed(f"{a.id}+{b.id}", outer.change, kinds=kinds, inner=inner, **claims)
