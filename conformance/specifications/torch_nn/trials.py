"""Trials of torch.nn's layers, gradients and cells, with the methods that laws use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from conformance.backend import Result, Unsupported
from conformance.backwards import GRADIENTS, base_name, differentiated
from conformance.engine.compare import Failed, told
from conformance.engine.form import Arrays
from conformance.engine.subject import copied, own_array
from conformance.engine.trial import Trial, trial_of
from conformance.specifications.torch_nn.calls import CellCall, LayerCall
from conformance.specifications.torch_nn.optional_calls import LastCall
from reference.tangents import evaluate_second

NAMES = {name for names in GRADIENTS.values() for name in names}


class CellResult(NamedTuple):
    """A cell's new state under the names of a layer's Result, so that laws treat both alike."""

    output: None
    """None: a cell's only result is its state."""
    h_n: np.ndarray
    c_n: np.ndarray | None = None


class LayerTrial(Trial):
    """A call of a layer. Its results are ``Result(output, h_n, c_n)``."""

    def formed(self, arrays: Arrays) -> Any:
        """Return the arrays as a Result."""
        return Result(*arrays.values())  # type: ignore[arg-type]  # output and h_n are arrays

    @property
    def layer(self) -> Any:
        """The backend's layer of the call's configuration and parameters."""
        return self.built

    def cell_trial(self, call: CellCall) -> Any:
        """Return a trial of a cell of the same backend."""
        return trial_of(self.subject, call)

    def train(self, seed: int) -> Result:
        """Return the backend's result for the call in training mode, of the documented shapes."""
        layer = self.layer
        with self.subject.calling("forward_training"):
            result = as_result(layer.forward_training(*copied(self.call.arguments).values(), seed=seed))
        return self.shaped(result, self.call)

    def train_backwards(self, seed: int) -> tuple[Result, Any]:
        """Return the result and the gradients of the call in training mode, of the documented shapes."""
        layer, what = self.layer, "gradients_training"
        with self.subject.calling(what):
            came = layer.gradients_training(*copied(self.call.arguments).values(), seed=seed)
        if not (isinstance(came, tuple) and len(came) == 2):
            raise Failed(f"{what} returned {type(came).__name__}, expected a tuple (Result, gradients by name)")
        result = trial_of(self.subject, self.call.forward).shaped(as_result(came[0]), self.call.forward)
        under = wanting(self.subject, self.call, "training_gradients")
        return result, self.shaped(as_gradients(looked_at(under, came[1])), under)

    def initial_parameters(self, seed: int) -> dict[str, np.ndarray | None]:
        """Return the backend's initial parameters for a layer of the call's configuration."""
        with self.subject.calling("initial_parameters"):
            returned = self.subject.backend.initial_parameters(self.call.config, seed=seed)
            if not isinstance(returned, Mapping):
                raise Failed(f"initial_parameters returned {type(returned).__name__}, expected a mapping")
            return {name: own_array(str(name), value) for name, value in returned.items()}

    def behavior(self, name: str, others: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
        """Return the results of an experiment with torch's own interface, by what was done; None for an error."""
        call, layer, what = self.call, self.layer, f"torch_behavior({name!r})"
        given = [{n: a.copy() for n, a in arrays.items()} for arrays in (call.parameters, others or {})]
        with told(call), self.subject.calling(what):
            came = layer.torch_behavior(name, given[0], copied(call.arguments), given[1])
        if not isinstance(came, Mapping):
            raise Failed(f"{what} returned {type(came).__name__}, expected named results")
        return {how: None if found is None else as_gradients(found) for how, found in came.items()}

    def by_step(self, margins: np.ndarray) -> None:
        """Store the largest margin at each step of an output, of any layout."""
        steps = 1 if self.call.config.batch_first and not self.call.unbatched else 0
        others = tuple(axis for axis in range(margins.ndim) if axis != steps)
        self.steps = margins.max(others, initial=0.0).tolist()


class OptionalTrial(LayerTrial):
    """A call of an optional method. An object without the method refuses it."""

    def use(self, built: Any, arguments: Iterable[Any]) -> Any:
        """Call the method and return its value. Raises Unsupported if there is none."""
        if not hasattr(built, self.form.ask):
            raise Unsupported(f"there is no method {self.form.ask}")
        return super().use(built, arguments)

    def build(self, *arrangement: Any) -> Any:
        """Build once more. Raises Unsupported if the backend has no such method."""
        if not hasattr(self.subject.backend, self.form.build):
            raise Unsupported(f"there is no method {self.form.build}")
        return super().build(*arrangement)


class LastTrial(OptionalTrial):
    """A call for the last output alone."""

    def by_step(self, margins: np.ndarray) -> None:
        """Store nothing: a last output has no steps."""


def layer_trial(subject: Any, call: LayerCall) -> LayerTrial:
    """Return the trial of a layer's call: of ``forward_last`` if the subject returns the last output alone."""
    if subject.features.claims("output.all"):
        return LayerTrial(subject, call)
    return LastTrial(subject, LastCall.of(call))


def wanting(subject: Any, call: Any, claim: str) -> Any:
    """Return a call for gradients of which those are looked at that the subject claims, all if it claims none."""
    claimed = getattr(subject.features, claim)
    return call.replace(
        wanted=differentiated(subject.features, claim, call.config.kind) if claimed else GRADIENTS[claim]
    )


def looked_at(call: Any, returned: Any) -> Any:
    """Return an adapter's gradients without those that are not looked at, whatever they are."""
    if call.wanted is None or not isinstance(returned, Mapping):
        return returned
    return {name: a for name, a in returned.items() if call.wants(name) or base_name(str(name)) not in NAMES}


class OfGradients(Trial):
    """A trial of a call for gradients. Where a part of them is claimed, no other is looked at."""

    claim: str

    def __init__(self, subject: Any, call: Any) -> None:
        partial = not isinstance(getattr(subject.features, self.claim), bool)
        super().__init__(subject, wanting(subject, call, self.claim) if partial and call.wanted is None else call)

    def use(self, built: Any, arguments: Any) -> Any:
        """Call the method and return what is looked at of its value."""
        return looked_at(self.call, super().use(built, arguments))


class GradientTrial(OfGradients, LayerTrial):
    """A call of a layer's gradients. Its results are mappings by the names in ``result_shapes``."""

    claim = "gradients"

    def formed(self, arrays: Arrays) -> Any:
        """Return the mapping."""
        return arrays

    @property
    def forward(self) -> Any:
        """A trial of the forward pass by this very layer."""
        trial = trial_of(self.subject, self.call.forward)
        trial._built = self._built
        return trial


class SecondTrial(GradientTrial):
    """A call of a layer's gradients; its results are the gradients of sum(direction * gradient)."""

    def __init__(self, subject: Any, call: Any, directions: Mapping[str, np.ndarray]) -> None:
        super().__init__(subject, call)
        self.directions = {name: a.astype(np.float64) for name, a in directions.items()}

    def _evaluated(self, *arrays: Any) -> Any:
        given = {**self.call.arguments, **dict(zip(self.form.arrays, arrays, strict=True))}
        return evaluate_second(self.call.config, self.parameters64, self.directions, **given)


class CellTrial(Trial):
    """A call of a cell. Its results are ``CellResult(None, h', c')``."""

    def formed(self, arrays: Arrays) -> Any:
        """Return the arrays as a CellResult."""
        return CellResult(*arrays.values())  # type: ignore[arg-type]  # the output is None, h an array

    @property
    def cell(self) -> Any:
        """The backend's cell of the call's configuration and parameters."""
        return self.built


class CellGradientTrial(OfGradients, CellTrial):
    """A call of a cell's gradients. Its results are mappings by the names in ``result_shapes``."""

    claim = "cell_gradients"

    def formed(self, arrays: Arrays) -> Any:
        """Return the mapping."""
        return arrays


def as_result(returned: Any, method: str = "forward") -> Result:
    """Copy the adapter's Result. Raises Failed for another type."""
    if not (hasattr(returned, "output") and hasattr(returned, "h_n")):
        raise Failed(f"{method} returned {type(returned).__name__}, expected a Result(output, h_n, c_n)")
    return Result(
        own_array("output", returned.output),  # type: ignore[arg-type]  # not optional
        own_array("h_n", returned.h_n),  # type: ignore[arg-type]  # not optional
        own_array("c_n", getattr(returned, "c_n", None), optional=True),
    )


def as_cell_result(returned: Any) -> CellResult:
    """Copy the adapter's (h, c) as CellResult(None, h, c). Raises Failed for another type."""
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise Failed(f"step returned {type(returned).__name__}, expected a tuple (h, c), c None unless lstm")
    h, c = own_array("h", returned[0]), own_array("c", returned[1], optional=True)
    return CellResult(None, h, c)  # type: ignore[arg-type]  # h is not optional


def as_gradients(returned: Any) -> dict[str, np.ndarray | None]:
    """Copy the adapter's gradients by name. Raises Failed for another type."""
    if not isinstance(returned, Mapping):
        raise Failed(f"gradients returned {type(returned).__name__}, expected a dict of arrays by name")
    return {str(name): own_array(f"the gradient of {name}", value) for name, value in returned.items()}
