"""The base class of the toy specification's adapters, their claims, and the oracle."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from reference.precision import ARITHMETICS

KINDS, DTYPES = ("scale",), ("float32", "float64")


@dataclass(frozen=True)
class ScaleClaims:
    """The claims of a backend."""

    kinds: tuple[str, ...] = KINDS
    dtypes: tuple[str, ...] = DTYPES

    def claims(self, feature):
        raise ValueError(f"feature: expected none, got {feature!r}")

    def arithmetic(self, kind, dtype):
        return ARITHMETICS[dtype]

    def as_json(self):
        return {name: list(value) for name, value in asdict(self).items()}


class ScaleBackend:
    """An implementation of the operator."""

    name, version, asked_as, forks = "", "1", "", True
    features = ScaleClaims()

    def scale(self, config, parameters):
        return self.Operator(parameters)

    def snippet(self, call):
        return None


class Right(ScaleBackend):
    """The oracle."""

    name = "right"

    class Operator:
        def __init__(self, parameters):
            self.parameters = parameters

        def apply(self, x):
            return {"y": (self.parameters["w"] * x + self.parameters["b"]).astype(x.dtype)}


def oracle(call, parameters, x):
    """Evaluate y = w x + b in float64 or on disturbed arrays."""
    return {"y": x * parameters["w"] + parameters["b"]}


def received(returned):
    """Copy what ``apply`` returned."""
    return {name: np.array(value) for name, value in returned.items()}
