"""The attributes of the operators RNN, LSTM and GRU, and their rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reference.config import DTYPES, is_integer, require
from reference.onnx.activations import ACTIVATIONS, DEFAULTS, Activation, has

OPERATORS = ("RNN", "LSTM", "GRU")
GATES = {"RNN": "i", "LSTM": "iofc", "GRU": "zrh"}
"""The gates in the order of the blocks of W, R and of each half of B."""
DEFAULT_ACTIVATIONS = {"RNN": ("Tanh",), "LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
"""f; f, g, h; f, g."""
DIRECTIONS = ("forward", "reverse", "bidirectional")
OLDEST_OPSET, LAYOUT_OPSET, BFLOAT16_OPSET = 7, 14, 22


@dataclass(frozen=True)
class Operator:
    """A node with its attributes; the node lacks an attribute of None.

    Building one never raises. ``validate`` raises ValueError for attributes that the pages do not allow.
    """

    op_type: str
    input_size: int
    hidden_size: int
    direction: str = "forward"
    activations: Sequence[str] | None = None
    activation_alpha: Sequence[float] | None = None
    activation_beta: Sequence[float] | None = None
    clip: float | None = None
    input_forget: int = 0
    """For LSTM alone."""
    linear_before_reset: int = 0
    """For GRU alone."""
    layout: int = 0
    dtype: str = "float32"
    opset: int = 22

    @property
    def num_directions(self) -> int:
        """2 if bidirectional, otherwise 1."""
        return 2 if self.direction == "bidirectional" else 1

    @property
    def gates(self) -> str:
        """The gates' letters in the order of their blocks."""
        return GATES[self.op_type]

    @property
    def functions(self) -> list[list[Activation]]:
        """The activation functions of each direction: f of RNN; f, g and h of LSTM; f and g of GRU.

        The functions that have an alpha consume the values of activation_alpha in their order, over both directions;
        the remaining functions have the default. The functions that have a beta do the same.
        """
        names = self.activations or DEFAULT_ACTIVATIONS[self.op_type] * self.num_directions
        alphas, betas = iter(self.activation_alpha or ()), iter(self.activation_beta or ())
        found = [_activation(name, alphas, betas) for name in names]
        size = len(found) // self.num_directions
        return [found[k * size : (k + 1) * size] for k in range(self.num_directions)]

    def validate(self) -> None:
        """Raise ValueError, naming the attribute, if the operator's page does not allow it."""
        require(self.op_type in OPERATORS, "op_type", f"one of {', '.join(OPERATORS)}", self.op_type)
        for name in ("input_size", "hidden_size"):
            size = getattr(self, name)
            require(is_integer(size) and size > 0, name, "an integer of at least 1", size)
        require(self.direction in DIRECTIONS, "direction", f"one of {', '.join(DIRECTIONS)}", self.direction)
        require(self.dtype in DTYPES, "dtype", f"one of {', '.join(DTYPES)}", self.dtype)
        require(is_integer(self.opset) and self.opset >= OLDEST_OPSET, "opset", f"{OLDEST_OPSET} or newer", self.opset)
        newest = self.opset >= BFLOAT16_OPSET
        require(self.dtype != "bfloat16" or newest, "dtype", f"bfloat16 in opset {BFLOAT16_OPSET} alone", self.opset)
        for name, only in (("input_forget", "LSTM"), ("linear_before_reset", "GRU")):
            value = getattr(self, name)
            require(is_integer(value), name, "an integer", value)
            require(value == 0 or self.op_type == only, name, f"0, as only {only} has it", value)
        require(self.layout in (0, 1), "layout", "0 or 1", self.layout)
        require(self.layout == 0 or self.opset >= LAYOUT_OPSET, "layout", f"0 before opset {LAYOUT_OPSET}", self.layout)
        positive = self.clip is None or (math.isfinite(self.clip) and self.clip >= 0)
        require(positive, "clip", "None or a number of at least 0", self.clip)
        self._check_activations()

    def _check_activations(self) -> None:
        count = len(DEFAULT_ACTIVATIONS[self.op_type]) * self.num_directions
        names = self.activations
        if names is not None:
            require(len(names) == count, "activations", f"{count} names", list(names))
            for name in names:
                require(name in ACTIVATIONS, "activations", f"some of {', '.join(ACTIVATIONS)}", name)
        names = names or DEFAULT_ACTIVATIONS[self.op_type] * self.num_directions
        for place, attribute in enumerate(("activation_alpha", "activation_beta")):
            values = getattr(self, attribute) or ()
            most = sum(has(name)[place] for name in names)
            require(len(values) <= most, attribute, f"at most {most} numbers, one for each function with one", values)
        for function in (function for functions in self.functions for function in functions):
            complete = not (math.isnan(function.alpha) or math.isnan(function.beta))
            require(complete, "activations", f"alpha and beta for {function.name}, which has no default", list(names))


def _activation(name: str, alphas: Iterator[float], betas: Iterator[float]) -> Activation:
    alpha, beta = DEFAULTS.get(name, (None, None))
    return Activation(
        name,
        0.0 if alpha is None else _as_attribute(next(alphas, alpha)),
        0.0 if beta is None else _as_attribute(next(betas, beta)),
    )


def _as_attribute(value: float) -> float:
    """Return a number as an attribute of type float holds it."""
    return float(np.float32(value))
