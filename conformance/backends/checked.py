"""What adapters have in common whose framework has other arguments than torch's.

Such a framework knows no (D*L, N, H) states, no lengths or no pair of biases, so that the adapter is what has
torch's interface. It checks arguments by the oracle's own rules and asks the framework for valid calls only: the
requirements REFUSE-... then speak of the adapter and say nothing about the framework.
"""

from __future__ import annotations

from abc import abstractmethod

import ml_dtypes
import numpy as np

from conformance.backend import Backend, Cell, CellConfig, Features, Layer, LayerConfig, Result, Unsupported
from conformance.layouts import Weights, join, split
from reference.layers import check_cell_inputs, check_inputs


class CheckedBackend(Backend):
    """A backend that checks configurations and parameters and refuses what its features do not claim."""

    layer_class: type[CheckedLayer]
    cell_class: type[CheckedCell] | None = None

    def layer(self, config, parameters):
        config.validate()
        weights = split(config, parameters)
        self.refuse_unclaimed(config)
        return self.layer_class(self.features, config, weights)

    def cell(self, config, parameters):
        if self.cell_class is None:
            raise Unsupported(f"{self.name} has no cells")
        config.validate()
        weights = split(config, parameters)
        self.refuse_unclaimed(config)
        return self.cell_class(self.features, config, *weights)

    def refuse_unclaimed(self, config: LayerConfig | CellConfig) -> None:
        """Raise Unsupported for a valid configuration that asks for what is not claimed."""
        if config.kind not in self.features.kinds or config.dtype not in self.features.dtypes:
            raise Unsupported(f"{config.kind} in {config.dtype} is not claimed")
        refuse(self.features, "no_bias", not config.bias)
        if isinstance(config, LayerConfig):
            refuse(self.features, "multilayer", config.num_layers > 1)
            refuse(self.features, "bidirectional", config.bidirectional)
            refuse(self.features, "batch_first", config.batch_first)
            refuse(self.features, "projection", config.proj_size > 0)


def refuse(features: Features, feature: str, asked: bool) -> None:
    """Raise Unsupported where a feature is ``asked`` for that is not claimed."""
    if asked and not features.claims(feature):
        raise Unsupported(f"{feature} is not claimed")


class CheckedLayer(Layer):
    """A layer that hands valid calls which use claimed features only to ``compute`` and ``differentiate``."""

    def __init__(self, features: Features, config: LayerConfig, weights: list[Weights]) -> None:
        self.features, self.config = features, config
        self.load(weights)

    @abstractmethod
    def load(self, weights: list[Weights]) -> None:
        """Build the framework's layer with copies of these, in the order of the rows of h_n."""

    @abstractmethod
    def compute(self, x, h_0, c_0, lengths) -> Result:
        """``forward`` for valid arguments; lengths as an array of int64."""

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return self.compute(*self._checked(x, h_0, c_0, lengths))

    def differentiate(self, x, h_0, c_0, lengths, cotangents: Result) -> tuple[dict[str, np.ndarray], list[Weights]]:
        """The gradients of x and of the states that are given, by name, and of the weights, for valid arguments.

        Cotangents that were not given are zeros.
        """
        raise Unsupported("gradients are not computed")

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = self._checked(x, h_0, c_0, lengths)
        given = (d_output, d_h_n, d_c_n)
        zeros = (None if shape is None else np.zeros(shape, x.dtype) for shape in self._result_shapes(x))
        cotangents = Result(*(z if d is None else d for z, d in zip(zeros, given, strict=True)))
        of_arguments, of_weights = self.differentiate(*arguments, cotangents)
        return of_arguments | join(self.config, of_weights)

    def _checked(self, x, h_0, c_0, lengths):
        check_inputs(self.config, x, h_0, c_0, lengths)
        refuse(self.features, "unbatched", x.ndim == 2)
        refuse(self.features, "initial_state", h_0 is not None)
        refuse(self.features, "lengths", lengths is not None)
        return x, h_0, c_0, None if lengths is None else np.asarray(lengths, np.int64)

    def _result_shapes(self, x):
        config = self.config
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        state = (config.num_layers * config.directions, *batch)
        output = (*x.shape[:-1], config.directions * config.output_size)
        return output, (*state, config.output_size), (*state, config.hidden_size) if config.kind == "lstm" else None


class CheckedCell(Cell):
    """A cell that hands valid calls which use claimed features only to ``compute``."""

    def __init__(self, features: Features, config: CellConfig, weights: Weights) -> None:
        self.features, self.config = features, config
        self.load(weights)

    @abstractmethod
    def load(self, weights: Weights) -> None:
        """Build the framework's cell with copies of these."""

    @abstractmethod
    def compute(self, x, h, c) -> tuple[np.ndarray, np.ndarray | None]:
        """``step`` for valid arguments."""

    def step(self, x, h=None, c=None):
        check_cell_inputs(self.config, x, h, c)
        refuse(self.features, "unbatched", x.ndim == 1)
        refuse(self.features, "initial_state", h is not None)
        return self.compute(x, h, c)


def bits(array: np.ndarray) -> np.ndarray:
    """The array as one that frameworks without ml_dtypes can read: bfloat16 as the same 16 bits in uint16."""
    array = np.ascontiguousarray(array)
    return array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array


def past_the_end(lengths: np.ndarray, steps: int, batch_first: bool) -> np.ndarray:
    """Which steps lie past the end of their sample, (T, N, 1), or (N, T, 1) if batch_first."""
    past = np.arange(steps)[:, None] >= lengths
    return (past.T if batch_first else past)[..., None]
