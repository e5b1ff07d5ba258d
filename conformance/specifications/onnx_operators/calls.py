"""Calls of ONNX's operators as values: one node, its parameters, and the other inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, DIRECTIONS, INPUTS, OUTPUTS
from conformance.onnx.nodes import GIVEN, NodeConfig, uses_of

CALL_FEATURES = frozenset({*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS})
"""The claims that a single call can need; the others are about the runtime as a whole."""


@dataclass(frozen=True, eq=False)
class NodeCall:
    """One call of a node. ``parameters`` are W, R and, if the node has them, B and P."""

    config: NodeConfig
    parameters: dict[str, np.ndarray]
    X: np.ndarray
    sequence_lens: tuple[int, ...] | None = None
    initial_h: np.ndarray | None = None
    initial_c: np.ndarray | None = None
    values: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """The inputs of ``run`` by name, in its order."""
        return {name: getattr(self, name) for name in GIVEN}

    @property
    def T(self) -> int:
        return self.X.shape[1 if self.config.layout else 0]

    @property
    def N(self) -> int:
        return self.X.shape[0 if self.config.layout else 1]

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of steps of each sample, T without sequence_lens."""
        return (self.T,) * self.N if self.sequence_lens is None else self.sequence_lens

    @property
    def states(self) -> dict[str, np.ndarray]:
        """The given initial states by name."""
        return {name: s for name in ("initial_h", "initial_c") if (s := getattr(self, name)) is not None}

    @property
    def result_shapes(self) -> dict[str, tuple[int, ...]]:
        """The documented shapes of the outputs that the node has, by name."""
        shapes = self.config.shapes(self.T, self.N)
        return {name: shapes[name] for name in self.config.output_names}

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the claims that this call needs."""
        given = [name for name in GIVEN if getattr(self, name) is not None]
        return uses_of(self.config, [*self.parameters, *given])

    def replace(self, **changes: Any) -> NodeCall:
        """Return the call with ``changes``."""
        return replace(self, **changes)

    def configured(self, **changes: Any) -> NodeCall:
        """Return the call with changes of its node."""
        return replace(self, config=replace(self.config, **changes))

    def __repr__(self) -> str:
        lengths = "" if self.sequence_lens is None else f", sequence_lens {list(self.sequence_lens)}"
        given = [name for name in ("B", "P") if name in self.parameters] + list(self.states)
        others = f", with {', '.join(given)}" if given else ""
        return f"{describe(self.config)}, X {self.X.shape}{lengths}{others}{self.values}"


def describe(config: NodeConfig) -> str:
    """Return a node in words: its operator, sizes and attributes, and what is unusual about its model."""
    parts = [f"input_size={config.input_size}", f"hidden_size={config.hidden_size}"]
    parts += [f"direction={config.direction}"] * (config.direction != "forward")
    parts += [f"{name}={value}" for name, value in config.attributes.items()]
    missing = [n for n in replace(config, outputs=OUTPUTS).output_names if n not in config.output_names]
    parts += [f"without {', '.join(missing)}"] * bool(missing) + ["fixed extents"] * config.static
    return f"{config.kind}({', '.join(parts)}, opset {config.opset}, dtype={config.dtype})"
