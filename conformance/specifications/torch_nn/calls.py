"""Calls of torch.nn's layers, gradients and cells as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.backwards import CELL_COTANGENTS, COTANGENTS, base_name

# The features that a single call can use; the others are claims about the backend as a whole.
CALL_FEATURES = frozenset(
    {"multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "projection", "initial_state", "lengths"}
)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer: its configuration, parameters and arguments, as ``Layer.forward`` takes them.

    ``masks`` are for the oracle alone: the dropout masks that ``reference.forward`` takes.
    """

    config: LayerConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h_0: np.ndarray | None = None
    c_0: np.ndarray | None = None
    lengths: tuple[int, ...] | None = None
    values: str = ""
    masks: tuple[np.ndarray, ...] | None = None
    every_step: ClassVar[bool] = True
    """Whether the output has all steps."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Layer.forward`` by name, in its order."""
        return {name: getattr(self, name) for name in ("x", "h_0", "c_0", "lengths")}

    @property
    def unbatched(self) -> bool:
        return self.x.ndim == 2

    @property
    def T(self) -> int:
        return self.x.shape[1 if self.config.batch_first and not self.unbatched else 0]

    @property
    def N(self) -> int:
        """The number of samples, 1 when unbatched."""
        return 1 if self.unbatched else self.x.shape[0 if self.config.batch_first else 1]

    @property
    def samples_axis(self) -> int:
        """The axis of the samples in the output of a batch."""
        return 0 if self.config.batch_first else 1

    @property
    def result_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The documented shapes of output, h_n and c_n, the last None unless lstm."""
        config, batch = self.config, () if self.unbatched else (self.N,)
        rows = config.directions * config.num_layers
        steps = (self.N, self.T) if config.batch_first and batch else (self.T, *batch)
        return (
            (*steps, config.directions * config.output_size),
            (rows, *batch, config.output_size),
            (rows, *batch, config.hidden_size) if config.kind == "lstm" else None,
        )

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call uses."""
        config = self.config
        asked = {
            "multilayer": config.num_layers > 1,
            "bidirectional": config.bidirectional,
            "no_bias": not config.bias,
            "batch_first": config.batch_first,
            "unbatched": self.unbatched,
            "projection": config.proj_size > 0,
            "initial_state": self.h_0 is not None,
            "lengths": self.lengths is not None,
        }
        return frozenset(name for name, used in asked.items() if used)

    def replace(self, **changes: Any) -> LayerCall:
        """Return the call with ``changes``."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        lengths = "" if self.lengths is None else f", lengths {list(self.lengths)}"
        states = "given" if self.h_0 is not None else "omitted"
        return f"{describe(self.config)}, x {self.x.shape}{lengths}, states {states}{self.values}"


class WithCotangents:
    """The cotangents, and the results by name, of calls for the gradients of layers and of cells."""

    named_cotangents: ClassVar[tuple[str, ...]]
    differentiated: ClassVar[tuple[str, ...]]
    """The names of the arguments that have gradients."""
    parameters: dict[str, np.ndarray]
    wanted: tuple[str, ...] | None
    """The gradients that are looked at, parameters without a layer's suffix; None for all. Claims decide it."""

    @property
    def cotangents(self) -> dict[str, np.ndarray]:
        """The given cotangents by name."""
        every = {name: getattr(self, name) for name in self.named_cotangents}
        return {name: d for name, d in every.items() if d is not None}

    @property
    def result_shapes(self) -> Any:
        """The shape of each gradient by name, equal to its argument's shape; omitted states are left out."""
        given = {name: getattr(self, name) for name in self.differentiated}
        shapes = {name: a.shape for name, a in given.items() if a is not None}
        shapes |= {name: a.shape for name, a in self.parameters.items()}
        return {name: shape for name, shape in shapes.items() if self.wants(name)}

    def wants(self, name: str) -> bool:
        """Return whether a gradient is looked at."""
        return self.wanted is None or base_name(str(name)) in self.wanted

    def __repr__(self) -> str:
        return f"{super().__repr__()}; cotangents of {', '.join(name[2:] for name in self.cotangents) or 'nothing'}"


@dataclass(frozen=True, eq=False, repr=False)
class GradientCall(WithCotangents, LayerCall):
    """A call of ``Layer.gradients``: a call of ``forward`` and the cotangents of its results, None for zeros."""

    named_cotangents: ClassVar = COTANGENTS
    differentiated: ClassVar = ("x", "h_0", "c_0")

    d_output: np.ndarray | None = None
    d_h_n: np.ndarray | None = None
    d_c_n: np.ndarray | None = None
    wanted: tuple[str, ...] | None = None

    @property
    def forward(self) -> LayerCall:
        """The call whose results have the cotangents."""
        return LayerCall(self.config, self.parameters, **super().arguments, values=self.values)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Layer.gradients`` by name, in its order."""
        return super().arguments | {name: getattr(self, name) for name in COTANGENTS}


@dataclass(frozen=True, eq=False)
class CellCall:
    """One call of one cell: its configuration, parameters and arguments, as ``Cell.step`` takes them."""

    config: CellConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h: np.ndarray | None = None
    c: np.ndarray | None = None
    values: str = ""

    @property
    def unbatched(self) -> bool:
        return self.x.ndim == 1

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Cell.step`` by name, in its order."""
        return {name: getattr(self, name) for name in ("x", "h", "c")}

    @property
    def result_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The documented shapes of (no output, h', c'); c' is None unless lstm."""
        shape = (*self.x.shape[:-1], self.config.hidden_size)
        return None, shape, shape if self.config.kind == "lstm" else None

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call uses."""
        asked = {
            "no_bias": not self.config.bias,
            "unbatched": self.unbatched,
            "initial_state": self.h is not None,
        }
        return frozenset(name for name, used in asked.items() if used)

    def replace(self, **changes: Any) -> CellCall:
        """Return the call with ``changes``."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        states = "given" if self.h is not None else "omitted"
        return f"{describe(self.config)}, x {self.x.shape}, states {states}{self.values}"


@dataclass(frozen=True, eq=False, repr=False)
class CellGradientCall(WithCotangents, CellCall):
    """A call of ``Cell.gradients``: a call of ``step`` and the cotangents of its results, None for zeros."""

    named_cotangents: ClassVar = CELL_COTANGENTS
    differentiated: ClassVar = ("x", "h", "c")

    d_h: np.ndarray | None = None
    d_c: np.ndarray | None = None
    wanted: tuple[str, ...] | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Cell.gradients`` by name, in its order."""
        return super().arguments | {name: getattr(self, name) for name in CELL_COTANGENTS}


def describe(config: LayerConfig | CellConfig) -> str:
    """Return a configuration as a call of its class, without the arguments that have their default."""
    noun = "cell" if isinstance(config, CellConfig) else "layer"
    parts = [f"input_size={config.input_size}", f"hidden_size={config.hidden_size}"]
    defaults = type(config)(config.kind, 1, 1)
    for name in ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"):
        if getattr(config, name, None) != getattr(defaults, name, None):
            parts.append(f"{name}={getattr(config, name)}")
    return f"{config.kind} {noun}({', '.join(parts)}, dtype={config.dtype})"
