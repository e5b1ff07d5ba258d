"""The class of faults, the decorator that collects them, and the composition of two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.specifications.onnx_operators.faults.changed import Change, Changed
from reference.onnx import OPERATORS


@dataclass(frozen=True)
class Fault:
    """A known departure from the operators' pages."""

    id: str
    family: str
    explanation: str
    """Ends the sentence "These are the numbers of ..."."""
    requirement: str
    """The id of the requirement that decides it."""
    kinds: frozenset[str]
    """The operators that it touches."""
    build: Callable[[], Changed]
    common: bool = False
    """Whether diagnosis also tries it in pairs with other faults."""


class Family:
    """The decorator that collects a module's faults: ``@family(requirement, explanation)`` above a function.

    The fault's id is ``onnx-`` and the function's name with dashes. The function returns the keywords of a Change, and
    perhaps ``claims``, a dict, for Changed.
    """

    def __init__(self, faults: list[Fault], name: str, **defaults) -> None:
        self.faults, self.name, self.defaults = faults, name, defaults

    def __call__(self, requirement: str, explanation: str, **more) -> Callable[[Callable], Callable]:
        def mark(function: Callable) -> Callable:
            self.add(function.__name__.replace("_", "-"), requirement, explanation, function, **more)
            return function

        return mark

    def add(self, name: str, requirement: str, explanation: str, parts: Callable[[], dict], **more) -> None:
        """Add a fault under that name."""
        options = self.defaults | more
        kinds: Iterable[str] = options.pop("kinds", OPERATORS)
        kinds = frozenset({kinds} if isinstance(kinds, str) else kinds)
        id_ = f"onnx-{name}"

        def build() -> Changed:
            given = dict(parts())
            claims, refuses = {"operators": kinds, **given.pop("claims", {})}, given.pop("refuses", None)
            return Changed(id_, Change(**given), refuses=refuses, **claims)

        requirement = f"ONNX-{requirement}"
        self.faults.append(Fault(id_, self.name, explanation, requirement, kinds, build, options.get("common", False)))


def compose(a: Fault, b: Fault) -> Changed:
    """Return a backend with both faults. Raises ValueError if they touch no common operator or change the same part."""
    outer, inner = a.build(), b.build()
    kinds = outer.features.kinds & inner.features.kinds
    apart = {"operator", "clipped", "call"}
    clash = outer.change.parts & inner.change.parts & apart
    both = set(outer.change.equations or ()) & set(inner.change.equations or ())
    if a.id == b.id or not kinds or clash or both or "call" in inner.change.parts:
        raise ValueError(f"{a.id} and {b.id} do not go together")
    return Changed(f"{a.id}+{b.id}", outer.change, (inner.change,), operators=kinds)
