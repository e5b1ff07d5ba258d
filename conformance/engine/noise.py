"""Random errors of the size of rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Noise:
    """Random errors of the unit roundoff; equal arrays get equal errors, so that laws of repetition hold."""

    def __init__(self, u: float, seed: int) -> None:
        self.u, self.seed = u, seed

    def spread(self, value: Any) -> Any:
        """Return the value with disturbed floating-point arrays."""
        if isinstance(value, Mapping):
            return {name: self.spread(v) for name, v in value.items()}
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fV":
            return value
        rng = np.random.Generator(np.random.SFC64([self.seed, value.size]))
        exact = value.astype(np.float64)
        return (exact * (1 + self.u * rng.standard_normal(value.shape))).astype(value.dtype)
