"""Forms: the ways of calling a backend in a specification, each as one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

Arrays = dict[str, np.ndarray | None]
Element = tuple[int, ...]
Draw = Callable[[Any], Any]
"""A way of drawing: a function from a backend's claims to a strategy of plans, or to a list of all its plans."""


class Call(Protocol):
    """One call of a backend as a value: a configuration, its parameters, and the arguments of a method."""

    @property
    def config(self) -> Any:
        """The configuration of the object to build, with the ``kind`` and ``dtype`` of the subject."""

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters to load, by name."""

    @property
    def values(self) -> str:
        """The way in which the arrays are filled, in words."""

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
        """Return the call with ``changes``."""


class Plan(Protocol):
    """The structure of a call and the seed of its arrays."""

    def build(self, kind: str, dtype: str) -> Call:
        """Make the call for a kind and dtype."""


@runtime_checkable
class CuttablePlan(Plan, Protocol):
    """A plan that makes smaller plans. Other plans are made smaller by Hypothesis alone, in many more attempts."""

    def cuts(self, features: Any) -> Sequence[Callable[[Any], Iterable[Any]]]:
        """Return functions that yield smaller plans of a plan, the smallest first; the boldest function first.

        ``features`` are the backend's claims, which the smaller plans must keep.
        """

    def others(self) -> Iterable[Any]:
        """Yield equally small plans with other numbers, readable ones first."""


def no_attributes(call: Any) -> dict[str, Any]:
    """Return no attributes."""
    return {}


def no_steps(call: Any, elements: np.ndarray) -> np.ndarray | None:
    """Return None: results of this form have no steps, samples, directions and units."""
    return None


def first_element(trial: Any, wrong: Mapping[str, np.ndarray]) -> str:
    """Return the place of the first wrong element in words; ``wrong`` holds booleans by the name of the result."""
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
    """The form's name in stored data: ``layer``."""
    call: type[Any]
    """The class of its calls."""
    config: type[Any]
    """The class of its configurations, which take ``kind`` and ``dtype`` as arguments."""
    trial: Callable[[Any, Any], Any]
    """``trial(subject, call)``: make the trial of a call; usually a class with methods for laws."""
    draw: Draw
    """Draws the random calls on which diagnosis compares the backend with faults."""

    build: str
    """The backend's method that takes configuration and parameters: ``layer``."""
    ask: str
    """The built object's method that takes the call's arguments: ``forward``."""
    receive: Callable[[Any], Any]
    """Copies the method's return value into a result with new arrays. Raises Failed for another type."""
    parts: Callable[[Any], Sequence[Any]]
    """Returns the very arrays in the method's return value, None for a missing one."""

    results: tuple[str, ...] = ()
    """The names of a result's arrays if it is a tuple; empty if it is a mapping by name."""
    oracle: Callable[..., Any]
    """``oracle(call, parameters, **arguments)``: the right result, in float64 or on disturbed arrays."""
    arrays: tuple[str, ...]
    """The names of the arguments that are arrays; the others are plain data."""
    integers: tuple[str, ...] = ()
    """The names of the arguments that are lists of integers."""
    validate: Callable[[Any], None]
    """Raises ValueError for a call that the documentation does not allow."""

    locate: Callable[[Any], Callable[[str, Element], str]]
    """``locate(call)(name, index)``: the place of an element of a result, in words."""
    describe: Callable[[Any], str] = repr
    """Returns a configuration in words."""
    of: str = ""
    """The words before the name of a result in messages."""
    attributes: Callable[[Any], dict[str, Any]] = no_attributes
    """Returns the properties in which calls differ: booleans and integers by name."""
    elements: Callable[[Any, Any], np.ndarray | None] = no_steps
    """``elements(call, results)``: the wrong elements of the result in the order (step, sample, direction, unit)."""
    ends: Callable[[Any], np.ndarray | None] = lambda call: None
    """The number of steps of each sample of a call; None where a call has no steps."""
    first_wrong: Callable[[Any, Mapping[str, np.ndarray]], str] = first_element
    """Returns the place of the first wrong element in the order of computation, in words."""
    cost: Callable[[Any], int] = one
    """Returns the relative cost of a call within the form, such as steps times layers times directions."""
    controls: Callable[[Any], bool] = lambda features: False
    """Returns whether a fault must also explain this form's calls after a failure in another form, by the claims."""
    snippet: str = ""
    """The lines of a script that make the call and return its results as a dict by name."""

    def shapes(self, call: Call) -> dict[str, tuple[int, ...] | None]:
        """Return the documented shape of each result by name."""
        shapes = call.result_shapes
        return dict(shapes) if isinstance(shapes, Mapping) else dict(zip(self.results, shapes, strict=True))

    def array_arguments(self, call: Call) -> Arrays:
        """Return the arguments that are arrays or omitted, in the order of ``arrays``."""
        return {name: call.arguments[name] for name in self.arrays}
