"""The activation functions, one line each, in the symbols of the operators' pages.

x is an array, alpha and beta are numbers. The two are attributes of type float, so they are rounded to float32 also in
a node of float64. The ONNX operators with the functions' names define the defaults. Affine and ScaledTanh are no ONNX
operators, so they have no default and need both numbers.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, "Activation functions".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A float64 NumPy array, or a ``reference.precision.Disturbed`` array: the same lines evaluate both."""


def Relu(x: Array, alpha: float, beta: float) -> Array:
    return np.maximum(x, 0)


def Tanh(x: Array, alpha: float, beta: float) -> Array:
    return np.tanh(x)


def Sigmoid(x: Array, alpha: float, beta: float) -> Array:
    """Compute 1/(1 + e^{-x}), in a form that overflows for no argument."""
    return (1 + np.tanh(x / 2)) / 2


def Affine(x: Array, alpha: float, beta: float) -> Array:
    return alpha * x + beta


def LeakyRelu(x: Array, alpha: float, beta: float) -> Array:
    return np.where(x >= 0, x, alpha * x)


def ThresholdedRelu(x: Array, alpha: float, beta: float) -> Array:
    return np.where(x >= alpha, x, 0.0)


def ScaledTanh(x: Array, alpha: float, beta: float) -> Array:
    return alpha * np.tanh(beta * x)


def HardSigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.minimum(np.maximum(alpha * x + beta, 0), 1)


def Elu(x: Array, alpha: float, beta: float) -> Array:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def Softsign(x: Array, alpha: float, beta: float) -> Array:
    return x / (1 + np.abs(x))


def Softplus(x: Array, alpha: float, beta: float) -> Array:
    """Compute log(1 + e^x), in a form that overflows for no argument."""
    return np.logaddexp(x, 0)


FUNCTIONS: dict[str, Callable[[Array, float, float], Array]] = {
    f.__name__: f
    for f in (
        Relu,
        Tanh,
        Sigmoid,
        Affine,
        LeakyRelu,
        ThresholdedRelu,
        ScaledTanh,
        HardSigmoid,
        Elu,
        Softsign,
        Softplus,
    )
}
ACTIVATIONS = tuple(FUNCTIONS)
NEEDED = math.nan
"""Stands for a number without a default."""
DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "Affine": (NEEDED, NEEDED),
    "LeakyRelu": (0.01, None),
    "ThresholdedRelu": (1.0, None),
    "ScaledTanh": (NEEDED, NEEDED),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, None),
}
"""The default alpha and beta of the functions with such numbers; None where the function has no such number."""

WITHOUT_DEFAULT = ("Affine", "ScaledTanh")
"""The functions that need both numbers."""


def has(name: str) -> tuple[bool, bool]:
    """Return whether a function has an alpha and a beta."""
    alpha, beta = DEFAULTS.get(name, (None, None))
    return alpha is not None, beta is not None


@dataclass(frozen=True)
class Activation:
    """A function with its alpha and beta. Numbers that the function does not have are 0."""

    name: str
    alpha: float = 0.0
    beta: float = 0.0

    def __call__(self, x: Array) -> Array:
        return FUNCTIONS[self.name](x, self.alpha, self.beta)
