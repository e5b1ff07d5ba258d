"""Base classes for adapters of frameworks with other arguments than torch.

Such a framework has no (D*L, N, H) states, no lengths or no pair of biases, so torch's interface exists in the adapter
only. The adapter checks arguments with the oracle's rules and passes valid calls on to the framework. The requirements
REFUSE-... therefore test the adapter and say nothing about the framework.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from conformance.backend import Backend, Cell, CellConfig, Features, Layer, LayerConfig, Result, Unsupported
from conformance.backwards import COTANGENTS, refused_cotangent
from conformance.layouts import Weights, join, split
from reference.config import require
from reference.layers import check_cell_inputs, check_inputs, check_mask


class CheckedBackend(Backend):
    """A backend that checks parameters and configurations, and refuses every configuration that it does not claim."""

    layer_class: type[CheckedLayer]
    cell_class: type[CheckedCell] | None = None
    reverse_class: type[CheckedLayer] | None = None
    """The class of the layers that ``reverse_layer`` builds, if ``reverse_alone`` is claimed."""

    def layer(self, config, parameters):
        config.validate()
        weights = split(config, _copied(parameters))
        self.refuse_unclaimed(config)
        return self.layer_class(self.features.of(config.kind), config, weights)

    def reverse_layer(self, config, parameters):
        config.validate()
        weights = split(config, _copied(parameters))
        require(not config.bidirectional, "bidirectional", "False for the reverse direction alone", True)
        self.refuse_unclaimed(config)
        claims = self.features.of(config.kind)
        refuse(claims, "reverse_alone", True)
        if self.reverse_class is None:
            return super().reverse_layer(config, parameters)
        return self.reverse_class(claims, config, weights)

    def cell(self, config, parameters):
        if self.cell_class is None:
            raise Unsupported(f"{self.name} has no cells")
        config.validate()
        weights = split(config, _copied(parameters))
        self.refuse_unclaimed(config)
        return self.cell_class(self.features.of(config.kind), config, *weights)

    def refuse_unclaimed(self, config: LayerConfig | CellConfig) -> None:
        """Raise Unsupported for a valid configuration that the features do not claim."""
        claims = self.features.of(config.kind)
        if config.kind not in claims.kinds or config.dtype not in claims.dtypes:
            raise Unsupported(f"{config.kind} in {config.dtype} is not claimed")
        if not claims.takes(config.input_size, config.hidden_size):
            raise Unsupported(f"input_size={config.input_size} with hidden_size={config.hidden_size} is not claimed")
        refuse(claims, "no_bias", not config.bias)
        if isinstance(config, LayerConfig):
            refuse(claims, "layers", True)
            refuse(claims, "multilayer", config.num_layers > 1)
            refuse(claims, "bidirectional", config.bidirectional)
            refuse(claims, "batch_first", config.batch_first)
            refuse(claims, "projection", config.proj_size > 0)


def _copied(parameters: Any) -> Any:
    """Return copies, so that a layer that keeps its weights does not change when the caller writes to its arrays."""
    if not isinstance(parameters, Mapping):
        return parameters
    return {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in parameters.items()}


def refuse(features: Features, feature: str, asked: bool) -> None:
    """Raise Unsupported if a feature is ``asked`` for and not claimed."""
    if asked and not features.claims(feature):
        raise Unsupported(f"{feature} is not claimed")


class CheckedLayer(Layer):
    """A layer whose ``compute`` and ``differentiate`` receive valid calls of claimed features only."""

    def __init__(self, features: Features, config: LayerConfig, weights: list[Weights]) -> None:
        self.features, self.config = features, config
        self.build(weights)

    @abstractmethod
    def build(self, weights: list[Weights]) -> None:
        """Build the framework's layer with copies of the weights, which are in the order of the rows of h_n."""

    def load(self, parameters: Mapping[str, np.ndarray]) -> None:
        refuse(self.features, "parameters_set", True)
        self.build(split(self.config, _copied(parameters)))

    def compute(self, x, h_0, c_0, lengths) -> Result:
        """Compute ``forward`` for valid arguments; lengths are an array of int64. Left out with output="last"."""
        raise Unsupported("the output of all steps is not returned")

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        refuse(self.features, "output.all", True)
        return self.compute(*self._checked(x, h_0, c_0, lengths))

    def forward_last(self, x, h_0=None, c_0=None, lengths=None):
        refuse(self.features, "output.last", True)
        return self.compute_last(*self._checked(x, h_0, c_0, lengths))

    def compute_last(self, x, h_0, c_0, lengths) -> Result:
        """Compute ``forward_last`` for valid arguments; lengths are an array of int64."""
        raise Unsupported("the last output alone is not returned")

    def forward_masked(self, x, h_0=None, c_0=None, mask=None):
        refuse(self.features, "masks", True)
        check_mask(self.config, x, None, mask)
        x, h_0, c_0, _ = self._checked(x, h_0, c_0, None)
        return self.compute(x, h_0, c_0, None) if mask is None else self.compute_masked(x, h_0, c_0, mask)

    def compute_masked(self, x, h_0, c_0, mask) -> Result:
        """Compute ``forward_masked`` for valid arguments; mask is an array of booleans."""
        raise Unsupported("masks are not taken")

    def differentiate(self, x, h_0, c_0, lengths, cotangents: Result) -> tuple[dict[str, np.ndarray], list[Weights]]:
        """Return the gradients of x and the given states, by name, and of the weights, for valid arguments.

        Cotangents that the caller omitted are zeros. Gradients that are not claimed may be missing, of weights None.
        """
        raise Unsupported("gradients are not computed")

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = self._checked(x, h_0, c_0, lengths)
        given = (d_output, d_h_n, d_c_n)
        if said := refused_cotangent(self.features, self.config.kind, dict(zip(COTANGENTS, given, strict=True))):
            raise Unsupported(said)
        zeros = (None if shape is None else np.zeros(shape, x.dtype) for shape in self._result_shapes(x))
        filled = (z if d is None else d for z, d in zip(zeros, given, strict=True))
        cotangents = Result(*filled)  # type: ignore[arg-type]  # only c_n has no shape
        of_arguments, of_weights = self.differentiate(*arguments, cotangents)
        return of_arguments | join(self.config, of_weights, partial=not isinstance(self.features.gradients, bool))

    def _checked(
        self, x: np.ndarray, h_0: np.ndarray | None, c_0: np.ndarray | None, lengths: Sequence[int] | None
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
        check_inputs(self.config, x, h_0, c_0, lengths)
        refuse(self.features, "unbatched", x.ndim == 2)
        refuse(self.features, "initial_state", h_0 is not None)
        refuse(self.features, "lengths", lengths is not None)
        return x, h_0, c_0, None if lengths is None else np.asarray(lengths, np.int64)

    def _result_shapes(self, x: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...] | None]:
        config = self.config
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        state = (config.num_layers * config.directions, *batch)
        output = (*x.shape[:-1], config.directions * config.output_size)
        return output, (*state, config.output_size), (*state, config.hidden_size) if config.kind == "lstm" else None


class CheckedCell(Cell):
    """A cell whose ``compute`` receives valid calls of claimed features only."""

    def __init__(self, features: Features, config: CellConfig, weights: Weights) -> None:
        self.features, self.config = features, config
        self.build(weights)

    @abstractmethod
    def build(self, weights: Weights) -> None:
        """Build the framework's cell with copies of the weights."""

    @abstractmethod
    def compute(self, x, h, c) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute ``step`` for valid arguments."""

    def step(self, x, h=None, c=None):
        check_cell_inputs(self.config, x, h, c)
        refuse(self.features, "unbatched", x.ndim == 1)
        refuse(self.features, "initial_state", h is not None)
        return self.compute(x, h, c)


def bits(array: np.ndarray) -> np.ndarray:
    """Return the array for frameworks without ml_dtypes: bfloat16 as the same 16 bits in uint16."""
    array = np.ascontiguousarray(array)
    return array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array


def past_the_end(lengths: np.ndarray, steps: int, batch_first: bool) -> np.ndarray:
    """Return True for each step past the end of its sample, (T, N, 1), or (N, T, 1) if batch_first."""
    past = np.arange(steps)[:, None] >= lengths
    return (past.T if batch_first else past)[..., None]
