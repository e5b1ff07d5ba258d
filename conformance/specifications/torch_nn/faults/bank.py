"""What a fault is, how the modules of this package write theirs down, and how two of them go together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.backend import BOOLEAN_FEATURES, Backend
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
    """Who makes this mistake: another framework's convention, a public issue, or the slip that leads to it."""
    requirement: str
    """The id of the requirement that decides it."""
    kinds: frozenset[str]
    """The kinds that it touches."""
    features: frozenset[str]
    """The features that must be used for it to show."""
    build: Callable[[], Backend]
    common: bool = False
    """Whether diagnosis tries it together with others too."""
    numeric: bool = True
    """Whether it shows in the numbers that forward, step or gradients return, the same numbers each time."""


class Family:
    """Collects a module's faults: ``@family(requirement, explanation, who)`` over a function that gives the parts.

    The id is the function's name with dashes. The function is called for each backend anew, so that what one
    keeps another does not see; it returns the keywords of Change, and of Changed in ``claims``.
    """

    def __init__(self, faults: list[Fault], name: str, **defaults) -> None:
        self.faults, self.name, self.defaults = faults, name, defaults

    def __call__(self, requirement: str, explanation: str, who: str, **more) -> Callable[[Callable], Callable]:
        def mark(function: Callable) -> Callable:
            self.add(function.__name__.replace("_", "-"), requirement, explanation, who, function, **more)
            return function

        return mark

    def add(self, id: str, requirement: str, explanation: str, who: str, parts: Callable[[], dict], **more) -> None:
        """One fault more, under that id."""
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
    """A backend with both faults. Raises ValueError where they do not go together.

    Two do not where one is no matter of numbers, no kind is touched by both, or both change the same equation.
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
