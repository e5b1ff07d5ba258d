"""The class of faults, the decorator that collects them, and the composition of two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

from conformance.backend import Backend
from conformance.claims import BOOLEAN_FEATURES
from conformance.specifications.torch_nn.faults.changed import Change, Changed, Speaking
from reference.config import KINDS
from reference.dialects import DIALECTS


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
    if outer.change.direction or isinstance(outer, Speaking):
        outer, inner = inner, outer
    kinds = outer.features.kinds & inner.features.kinds
    together = f"{a.id} and {b.id} do not go together"
    if not (a.numeric and b.numeric and kinds) or not (outer.change.parts | inner.change.parts <= COMPOSABLE):
        raise ValueError(together)
    equations = set(outer.change.equation) & set(inner.change.equation)
    if outer.change.direction or isinstance(outer, Speaking) or equations or a.id == b.id:
        raise ValueError(together)
    claims = {name: outer.features.claims(name) and inner.features.claims(name) for name in BOOLEAN_FEATURES}
    return Changed(f"{a.id}+{b.id}", outer.change, kinds=kinds, inner=inner, **claims)


def dialect_faults(kind: str, claimed: Sequence[str]) -> Iterator[Fault]:
    """Yield the equations of a kind that a backend may compute by mistake, as faults.

    ``claimed`` names the dialects by which it is judged. With some, these are PyTorch's own equation and all other
    dialects; without, the dialects that hold together, because each alone is a fault of the bank.
    """
    names = [name for name, dialect in DIALECTS.items() if dialect.kind == kind]
    for some in chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)):
        if set(some) != set(claimed) and (claimed or len(some) > 1):
            yield _dialect_fault(kind, some, claimed)


def _dialect_fault(kind: str, names: tuple[str, ...], claimed: Sequence[str]) -> Fault:
    word = "an" if kind == "lstm" else "a"
    equations = ", ".join(DIALECTS[name].equation for name in names)
    return Fault(
        f"{kind}-{'-and-'.join(names) or 'of-pytorch'}",
        "equations",
        f"{word} {kind.upper()} by the equation {equations}"
        if names
        else f"PyTorch's own {kind.upper()}, where {' and '.join(claimed)} is claimed",
        "; ".join(DIALECTS[name].source for name in names)
        or "an adapter that claims a dialect and loads torch.nn's layer",
        f"{kind.upper()}-EQUATION",
        frozenset({kind}),
        frozenset(),
        lambda: Speaking({kind: names}, kinds=kind),
        common=True,
    )


def dialects_of(fault: str) -> tuple[str, ...]:
    """Return the dialects that have the numbers of the fault with this id."""
    for kind in {dialect.kind for dialect in DIALECTS.values()}:
        if fault.startswith(f"{kind}-") and "-and-" in fault:
            names = tuple(fault.removeprefix(f"{kind}-").split("-and-"))
            if all(name in DIALECTS for name in names):
                return names
    return tuple(name for name, dialect in DIALECTS.items() if dialect.fault == fault)
