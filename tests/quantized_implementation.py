"""LSTM and GRU layers in float32 with integer products, written for themselves: 8 bits by matrix, by row; 4 bits.

They share no arithmetic with the oracle: gates by exp, one integer product for each step, ranges of each step alone.
"""

from __future__ import annotations

import numpy as np

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.layouts import join


def integers(w, bits, by_row):
    """Return signed integers and their step, for the matrix or for each row."""
    largest = np.abs(w).max(axis=1, keepdims=True) if by_row else np.abs(w).max(keepdims=True)
    step = np.maximum(largest, 1e-30) / (2 ** (bits - 1) - 1)
    return np.rint(w / step).astype(np.int64), step.astype(np.float32)


def product(x, w, step):
    """Multiply x (N, n), quantized to 256 levels of its range and 0, with integer weights (m, n)."""
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = max((float(high) - float(low)) / 255, 1e-30)
    zero = round(-low / scale)
    levels = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64) - zero
    return (levels @ w.T).astype(np.float32) * np.float32(scale) * step.T


def sigmoid(a):
    return np.float32(1) / (np.float32(1) + np.exp(-np.clip(a, -80, 80)))


class QuantizedLayer(CheckedLayer):
    """One or more layers of LSTM or GRU, in one or two directions."""

    bits, by_row = 8, False

    def build(self, weights):
        self.given = {
            name: integers(value, self.bits, self.by_row) if value.ndim == 2 else value
            for name, value in join(self.config, weights).items()
        }

    def compute(self, x, h_0, c_0, lengths):
        config, ends = self.config, []
        rows = config.num_layers * config.directions
        zeros = np.zeros((rows, x.shape[1], config.hidden_size), np.float32)
        states = (zeros if h_0 is None else h_0, zeros if c_0 is None else c_0)
        for layer in range(config.num_layers):
            outputs = []
            for direction in range(config.directions):
                row, suffix = layer * config.directions + direction, f"_l{layer}" + ("_reverse" if direction else "")
                output, *end = self.direction(x, *(s[row] for s in states), suffix, direction)
                outputs.append(output)
                ends.append(end)
            x = np.concatenate(outputs, axis=-1)
        h, c = (np.stack(parts) for parts in zip(*ends, strict=True))
        return Result(x, h, c if config.kind == "lstm" else None)

    def direction(self, x, h, c, suffix, reverse):
        output = np.empty((*x.shape[:2], self.config.hidden_size), np.float32)
        b_ih, b_hh = (self.given.get(f"bias_{name}{suffix}", np.float32(0)) for name in ("ih", "hh"))
        for t in range(len(x))[:: -1 if reverse else 1]:
            a = product(x[t], *self.given[f"weight_ih{suffix}"]) + b_ih
            b = product(h, *self.given[f"weight_hh{suffix}"]) + b_hh
            if self.config.kind == "lstm":
                i, f, g, o = np.split(a + b, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                (r, z, n), (r_h, z_h, n_h) = np.split(a, 3, axis=1), np.split(b, 3, axis=1)
                z = sigmoid(z + z_h)
                h = (1 - z) * np.tanh(n + sigmoid(r + r_h) * n_h) + z * h
            output[t] = h
        return output, h, c


class ByRowLayer(QuantizedLayer):
    by_row = True


class CoarseLayer(QuantizedLayer):
    bits = 4


class WrongGatesLayer(QuantizedLayer):
    def build(self, weights):
        """Exchange the first two gates."""
        super().build(weights)
        H = self.config.hidden_size
        for name, value in self.given.items():
            integral, *step = value if isinstance(value, tuple) else (value,)
            rows = np.arange(len(integral))
            rows[: 2 * H] = np.roll(rows[: 2 * H], H)
            self.given[name] = (integral[rows], *step) if step else integral[rows]


class ByMatrix(CheckedBackend):
    """8 bits, one step for each matrix."""

    name, version, arithmetic, layer_class = "quantized-by-matrix", "1", "int8-dynamic", QuantizedLayer

    def __init__(self):
        self.features = Features(
            kinds={"lstm", "gru"},
            batch_first=False,
            unbatched=False,
            projection=False,
            lengths=False,
            float32_arithmetic=self.arithmetic,
        )


class ByRow(ByMatrix):
    """8 bits, one step for each row."""

    name, arithmetic, layer_class = "quantized-by-row", "int8-dynamic-rows", ByRowLayer


class MatrixAsRow(ByMatrix):
    """8 bits by matrix where a step for each row is claimed."""

    name, arithmetic = "quantized-otherwise", "int8-dynamic-rows"


class Coarse(ByMatrix):
    """4 bits where 8 are claimed."""

    name, layer_class = "quantized-to-4", CoarseLayer


class Undeclared(ByMatrix):
    """8 bits where float32 is claimed."""

    name, arithmetic = "quantized-undeclared", "float32"


class WrongGates(ByMatrix):
    """The first two gates exchanged."""

    name, layer_class = "quantized-wrong", WrongGatesLayer
