"""The operator's calls: configuration, arguments, and the drawing of examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from reference.config import numpy_dtype


@dataclass(frozen=True)
class ScaleConfig:
    """The arguments of the operator."""

    kind: str
    size: int
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class ScaleCall:
    """One call: y = w x + b for x (N, size)."""

    config: ScaleConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    values: str = ""

    uses = frozenset()

    @property
    def arguments(self):
        return {"x": self.x}

    @property
    def result_shapes(self):
        return {"y": self.x.shape}

    def replace(self, **changes):
        return replace(self, **changes)

    def __repr__(self):
        return f"scale(size={self.config.size}, dtype={self.config.dtype}), x {self.x.shape}{self.values}"


@dataclass(frozen=True)
class ScalePlan:
    """The structure of a call and the seed of its arrays."""

    size: int
    N: int
    seed: int

    def build(self, kind, dtype):
        rng, number = np.random.default_rng(self.seed), numpy_dtype(dtype)
        parameters = {name: rng.standard_normal(self.size).astype(number) for name in ("w", "b")}
        x = rng.standard_normal((self.N, self.size)).astype(number)
        return ScaleCall(ScaleConfig(kind, self.size, dtype), parameters, x)


def scales(features):
    """Draw calls of one to five elements."""
    return st.builds(ScalePlan, st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**16 - 1))
