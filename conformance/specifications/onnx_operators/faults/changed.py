"""The oracle with a change: what every fault is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from conformance.backends.onnx_oracle import FEATURES, OnnxOracle, OracleNode, outputs_of, refuse
from conformance.onnx.nodes import NodeConfig
from reference.onnx import Operator, check_inputs, nodes

Arrays = dict[str, Any]


def same_config(config: NodeConfig) -> NodeConfig:
    """Return the node."""
    return config


def same_inputs(config: NodeConfig, given: Arrays) -> Arrays:
    """Return the inputs."""
    return given


def same_outputs(config: NodeConfig, came: nodes.Outputs, given: Arrays) -> nodes.Outputs:
    """Return the outputs."""
    return came


@dataclass(frozen=True)
class Change:
    """The parts of a fault; each has the oracle's behaviour as its default."""

    attributes: Callable[[NodeConfig], NodeConfig] = same_config
    """The node that is computed."""
    inputs: Callable[[NodeConfig, Arrays], Arrays] = same_inputs
    """The inputs and parameters that are computed with, by name; missing ones are left out."""
    outputs: Callable[[NodeConfig, nodes.Outputs, Arrays], nodes.Outputs] = same_outputs
    """The outputs that come, of the computed ones and the inputs."""
    cast: Callable[[NodeConfig, Arrays], Arrays] = same_inputs
    """The outputs by name in their type."""
    operator: type[Operator] = Operator
    """The class of the attributes, with another rule for functions."""
    equations: dict[str, Callable[..., Any]] | None = None
    """Other equations by operator."""
    clipped: Callable[..., Any] = nodes.clipped
    """What applies an activation function."""
    call: Callable[..., Any] | None = None
    """``call(node, given, right)`` in place of the whole run; ``right(given)`` runs the rest."""
    accepts: bool = False
    """Whether inputs are not checked; ``inputs`` must make them fit."""

    @property
    def parts(self) -> set[str]:
        """The names of the changed parts."""
        return {f.name for f in fields(self) if getattr(self, f.name) is not f.default and f.name != "accepts"}


class ChangedNode(OracleNode):
    """A node of the changed oracle; ``inner`` is a change below this one, or None."""

    def __init__(self, config: NodeConfig, parameters: Arrays, backend: Changed) -> None:
        super().__init__(config, parameters, backend.features.of(config.kind))
        self.backend, self.first = backend, True

    def run(self, X, sequence_lens=None, initial_h=None, initial_c=None):
        if self.backend.change.call is None:
            return super().run(X, sequence_lens, initial_h, initial_c)
        given = {"X": X, "sequence_lens": sequence_lens, "initial_h": initial_h, "initial_c": initial_c}
        return self.backend.change.call(self, given, lambda given: super(ChangedNode, self).run(**given))

    def evaluate(self, given):
        given = {**given, **self.parameters}
        refuse(self.config, given, self.backend.refuses or self.claims)
        config, changes = self.config, [self.backend.change, *self.backend.inner]
        if not any(change.accepts for change in changes):
            config.operator.validate()
            check_inputs(config.operator, given)
        asked, computed = given, config
        for change in changes:
            given = {n: a for n, a in change.inputs(computed, given).items() if a is not None}
            computed = change.attributes(computed)
        came = self._computed(changes, computed, given)
        for change in changes:
            came = change.outputs(config, came, asked)
        outputs = outputs_of(config, came)
        for change in changes:
            outputs = change.cast(config, outputs)
        return outputs

    def _computed(self, changes: list[Change], config: NodeConfig, given: Arrays) -> nodes.Outputs:
        own = next((c.operator for c in changes if c.operator is not Operator), Operator)
        operator = own(**vars(config.operator))
        floats = {n: a if n == "sequence_lens" else np.asarray(a, np.float64) for n, a in given.items()}
        equations = {kind: e for c in changes for kind, e in (c.equations or {}).items()}
        clipped = next((c.clipped for c in changes if c.clipped is not nodes.clipped), nodes.clipped)
        with exchanged(equations, clipped), np.errstate(all="ignore"):
            return nodes.evaluate(operator, **floats)


@contextmanager
def exchanged(equations: dict[str, Callable[..., Any]], clipped: Callable[..., Any]) -> Iterator[None]:
    """Exchange parts of the oracle inside this context."""
    kept, right = dict(nodes.EQUATIONS), nodes.clipped
    nodes.EQUATIONS.update(equations)
    nodes.clipped = clipped
    try:
        yield
    finally:
        nodes.EQUATIONS.update(kept)
        nodes.clipped = right


class Changed(OnnxOracle):
    """The oracle with a change, and perhaps with a second one."""

    def __init__(self, name, change, inner=(), refuses=None, **claims):
        self.name, self.change, self.inner, self.refuses = name, change, tuple(inner), refuses
        self.features = replace(FEATURES, **claims)

    def node(self, config, parameters):
        return ChangedNode(config, parameters, self)
