"""Plans: the structure of a node's call and the seed of its arrays, valid for every operator and dtype.

A plan holds what any operator can have; ``build(kind, dtype)`` takes what the operator has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.onnx.features import BFLOAT16_OPSET, LAYOUT_OPSET, WEIGHTS
from conformance.onnx.nodes import NodeConfig
from conformance.specifications.onnx_operators import cuts, weights
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn.plans import Fill, drawn_lengths
from reference.config import DTYPES
from reference.onnx.activations import DEFAULTS, WITHOUT_DEFAULT, has
from reference.onnx.attributes import DEFAULT_ACTIVATIONS

WRITTEN = "default"
STATES = ("initial_h", "initial_c")
COARSE = DTYPES[2:]  # float16, bfloat16
UNBOUNDED = ("Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "Elu", "Softplus")
MOST_STEPS_UNBOUNDED = 4  # of gates without a bound, which multiply the state in every step
# The range of each function's alpha and beta, and whether the sign varies.
ALPHAS = {
    "Affine": (0.3, 0.9, True),
    "LeakyRelu": (0.05, 0.5, False),
    "ThresholdedRelu": (0.1, 0.6, False),
    "ScaledTanh": (0.5, 1.4, True),
    "HardSigmoid": (0.1, 0.45, False),
    "Elu": (0.3, 1.6, False),
}
BETAS = {"Affine": (0.1, 0.6, True), "ScaledTanh": (0.5, 1.4, False), "HardSigmoid": (0.25, 0.7, False)}


@dataclass(frozen=True)
class NodePlan:
    """The structure of a NodeCall and the seed of its arrays."""

    input_size: int = 1
    hidden_size: int = 1
    T: int = 1
    N: int = 1
    direction: str = "forward"
    names: tuple[str, ...] | None = None
    """f, g and h of the first direction, then of the second one; None for the default functions."""
    function: str = ""
    """A function that stands in one place, the others having their default; WRITTEN for defaults written out."""
    place: int = 0
    """That place."""
    numbers: str = ""
    """The alphas and betas that are given: none beyond the needed ones, "some", "all", or WRITTEN for the defaults."""
    clip: bool = False
    input_forget: bool = False
    linear_before_reset: bool = False
    layout: bool = False
    inputs: tuple[str, ...] = ()
    """The optional inputs."""
    lengths: str = ""
    """The samples' lengths: all T, "any" from 1 on, or "zero": some are 0. Needs sequence_lens."""
    opsets: tuple[int, ...] = (BFLOAT16_OPSET,)
    static: bool = False
    focus: str = ""
    """The name of a change of the parameters in ``weights.FOCUSED``."""
    regime: str = "readable"
    seed: int = 0

    def build(self, kind: str, dtype: str) -> NodeCall:
        """Build the call and fill its arrays from the seed."""
        rng = np.random.Generator(np.random.SFC64(self.seed + 2**17))
        names = self._names(kind, dtype)
        tame = bool(set(names or ()) & set(UNBOUNDED))
        T = min(self.T, MOST_STEPS_UNBOUNDED) if tame and kind != "RNN" else self.T
        alphas, betas = (None, None) if names is None else self._numbers(names, rng)
        layout = int(self.layout and max(self.opsets) >= LAYOUT_OPSET)
        oldest = BFLOAT16_OPSET if dtype == "bfloat16" else LAYOUT_OPSET if layout else 0
        opsets = [opset for opset in self.opsets if opset >= oldest] or [BFLOAT16_OPSET]
        config = NodeConfig(
            kind,
            self.input_size,
            self.hidden_size,
            self.direction,
            names,
            alphas,
            betas,
            clip=round(float(rng.uniform(0.15, 0.9)), 2) if self.clip else None,
            input_forget=int(self.input_forget and kind == "LSTM"),
            linear_before_reset=int(self.linear_before_reset and kind == "GRU"),
            layout=layout,
            opset=opsets[self.seed % len(opsets)],
            static=self.static,
            dtype=dtype,
        )
        regime = "ordinary" if tame and self.regime in ("strong", "saturating") else self.regime
        fill = Fill(config, regime, self.seed)  # type: ignore[arg-type]  # it takes kind and dtype from any configuration
        shapes = {n: s for n, s in config.shapes(T, self.N).items() if n in ("X", "W", "R", *self.inputs)}
        parameters = weights.filled(fill, {n: shapes[n] for n in WEIGHTS if n in shapes}, tame)
        X = fill.input(shapes["X"])
        lengths = self._lengths(fill.rng, T) if self.lengths else None
        initial_h, initial_c = (fill.array(shapes[n], 0.8) if n in shapes else None for n in STATES)
        values = f"; values {regime!r}, seed {self.seed}"
        call = NodeCall(config, parameters, X, lengths, initial_h, initial_c, values)
        return weights.FOCUSED[self.focus](call) if self.focus else call

    def _names(self, kind: str, dtype: str) -> list[str] | None:
        default = DEFAULT_ACTIVATIONS[kind]
        count, D = len(default), 2 if self.direction == "bidirectional" else 1
        if self.names is not None:
            names = [name for d in range(D) for name in self.names[3 * d : 3 * d + count]]
        elif self.function:
            names = list(default) * D
            if self.function != WRITTEN:
                names[self.place % count :: count] = [self.function] * D
        else:
            return None
        # ThresholdedRelu jumps: where rounding is coarse, a right number may fall on the other side.
        return ["LeakyRelu" if name == "ThresholdedRelu" and dtype in COARSE else name for name in names]

    def _numbers(self, names: list[str], rng: np.random.Generator) -> tuple[list[float] | None, list[float] | None]:
        """Return alphas and betas in the order of the functions that have them; None for an empty list."""
        found: list[list[float] | None] = []
        for place, ranges in enumerate((ALPHAS, BETAS)):
            having = [name for name in names if has(name)[place]]
            needed = max((k + 1 for k, name in enumerate(having) if name in WITHOUT_DEFAULT), default=0)
            if self.numbers == WRITTEN:
                found.append([number for name in having if (number := DEFAULTS[name][place]) is not None] or None)
                continue
            most = {"": needed, "some": int(rng.integers(needed, len(having) + 1)), "all": len(having)}[self.numbers]
            given = []
            for name in having[:most]:
                least, largest, signed = ranges[name]
                sign = float(rng.choice((-1.0, 1.0))) if signed else 1.0
                given.append(round(sign * float(rng.uniform(least, largest)), 2))
            found.append(given or None)
        return found[0], found[1]

    def _lengths(self, rng: np.random.Generator, T: int) -> tuple[int, ...]:
        lengths = list(drawn_lengths(rng, T, self.N))
        if self.lengths == "zero":
            lengths[int(rng.integers(self.N))] = 0
        return tuple(lengths)

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans."""
        return cuts.cuts_of_node(features)

    def others(self) -> Iterator[NodePlan]:
        """Yield the plan with other numbers."""
        return (replace(self, seed=seed) for seed in range(16) if seed != self.seed)


def planned(data: Mapping[str, Any], kind: str, dtype: str) -> NodeCall:
    """Build the call that stored data describe: the fields of a plan. Raises KeyError, TypeError or ValueError."""
    lists = {name: tuple(value) for name, value in data.items() if isinstance(value, list)}
    return NodePlan(**{**data, **lists}).build(kind, dtype)
