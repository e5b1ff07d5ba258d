"""Forms: the ways of calling a backend that a specification knows, each as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from conformance.engine.trial import Trial

Arrays = dict[str, np.ndarray | None]
Element = tuple[int, ...]
Draw = Callable[[Any], Any]
"""A way of drawing: makes a strategy of plans from the claims of a backend."""


class Call(Protocol):
    """One call of a backend as a value: what is built, and the arguments of its method."""

    @property
    def config(self) -> Any:
        """What is built; its ``kind`` and ``dtype`` are those of the subject."""

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters that are loaded, by name."""

    @property
    def values(self) -> str:
        """How the arrays are filled, in words."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the method by name, in its order."""

    @property
    def result_shapes(self) -> Any:
        """The documented shapes of the results: a mapping by name, or a sequence in the order of the form's results."""

    @property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call uses."""

    def replace(self, **changes: Any) -> Self:
        """Return the same call but for ``changes``."""


class Plan(Protocol):
    """The structure of a call and the seed of its arrays."""

    def build(self, kind: str, dtype: str) -> Call:
        """Make the call for a kind and dtype."""


def no_attributes(call: Any) -> dict[str, Any]:
    """Return no attributes."""
    return {}


def no_steps(call: Any, elements: np.ndarray) -> np.ndarray | None:
    """Return None: results of this form have no steps, samples, directions and units."""
    return None


def first_element(trial: Any, wrong: Mapping[str, np.ndarray]) -> str:
    """Return where the first wrong element is, in words; ``wrong`` holds booleans by the name of the result."""
    for name, elements in wrong.items():
        if elements.any():
            index = tuple(int(i) for i in np.argwhere(elements)[0])
            return f"{name}[{', '.join(map(str, index))}], {trial.where(name, index)}"
    return ""


def one(call: Any) -> int:
    """Return 1."""
    return 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Form:
    """One way of calling a backend, from the drawing of its calls to the words for an element of its results."""

    name: str
    """What data call it: ``layer``."""
    call: type[Any]
    """The class of its calls."""
    config: type[Any]
    """The class of what is built; ``kind`` and ``dtype`` are its arguments."""
    trial: type[Trial]
    """The class of its trials, which holds what laws may ask."""
    draw: Draw
    """Random calls, on which diagnosis compares the backend with faults."""

    build: str
    """The backend's method that takes configuration and parameters: ``layer``."""
    ask: str
    """The method of what was built that takes the call's arguments: ``forward``."""
    receive: Callable[[Any], Any]
    """Copies what the method returned into a result with arrays of its own. Raises Failed where it is no result."""
    parts: Callable[[Any], Sequence[Any]]
    """The very arrays that the method returned, None for those that are missing."""

    results: tuple[str, ...] = ()
    """The names of a result's arrays where it is a tuple; none where it is a mapping by name."""
    oracle: Callable[..., Any]
    """``oracle(call, parameters, **arguments)``: the right result, in float64 or on disturbed arrays."""
    arrays: tuple[str, ...]
    """The names of the arguments that are arrays; the others are plain data."""
    integers: tuple[str, ...] = ()
    """The names of the arguments that are lists of integers."""
    validate: Callable[[Any], None]
    """Raises ValueError for a call that the documentation does not allow."""

    locate: Callable[[Any], Callable[[str, Element], str]]
    """``locate(call)(name, index)``: where an element of a result is, in words."""
    describe: Callable[[Any], str] = repr
    """A configuration in words."""
    of: str = ""
    """What goes before the name of a result in messages."""
    attributes: Callable[[Any], dict[str, Any]] = no_attributes
    """What may distinguish one call from another: booleans and integers by name."""
    elements: Callable[[Any, Any], np.ndarray | None] = no_steps
    """``elements(call, results)``: the wrong elements of the result in the order (step, sample, direction, unit)."""
    ends: Callable[[Any], np.ndarray | None] = lambda call: None
    """The number of steps of each sample of a call; None where a call has no steps."""
    first_wrong: Callable[[Any, Mapping[str, np.ndarray]], str] = first_element
    """Where a failing trial goes wrong first, in the order of computation, in words."""
    cost: Callable[[Any], int] = one
    """What a call costs beside others of the form: steps, times layers, times directions, say."""
    controls: Callable[[Any], bool] = lambda features: False
    """Whether calls of this form, by a backend with these claims, are put to faults where another form fails."""
    snippet: str = ""
    """The lines of a script that make the call and return its results as a dict by name."""

    def shapes(self, call: Call) -> dict[str, tuple[int, ...] | None]:
        """Return the documented shape of each result by name."""
        shapes = call.result_shapes
        return dict(shapes) if isinstance(shapes, Mapping) else dict(zip(self.results, shapes, strict=True))

    def array_arguments(self, call: Call) -> Arrays:
        """Return the arguments that are arrays or omitted, in the order of ``arrays``."""
        return {name: call.arguments[name] for name in self.arrays}
