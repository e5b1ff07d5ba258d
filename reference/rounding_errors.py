"""Random errors for disturbed arrays: normal numbers, read in order, and the grids of dynamic quantization."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

DRAWN = 1 << 19  # random errors
PERIOD = 524287  # of them in an array of more elements; a prime number, so that each replica has others
DATA_STEPS, WEIGHT_STEPS = 127, 254  # of a quantization grid
MOST_QUANTIZED = 1 << 24  # numbers in the quantized replicas of one weight; where these are more, FEW_SETS are shared
FEW_SETS = 8
FINER = 32  # grids of replicas are finer by up to this part: implementations have 127, 127.5 or 128 steps, say
LARGE = 1 << 14  # elements of an array whose squares are not stored


class RoundingErrors:
    """Normal numbers of deviation u, drawn once and read in order, the same in every run; and cached norms."""

    def __init__(self, u: float) -> None:
        self._drawn = _drawn(u)
        self._at = self._passes = 0
        self._norms: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._weights: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, like: np.ndarray) -> np.ndarray:
        """Return the next numbers, in the shape of an array."""
        start = self._at
        end = self._at = start + like.size
        if end > DRAWN:
            return self._again(like)
        return self._drawn[start:end].reshape(like.shape)

    def scale(self, size: np.ndarray) -> np.ndarray:
        """Multiply an array by the next numbers, in place where it is contiguous; return it."""
        if size.size <= DRAWN:
            size *= self(size)
            return size
        return self._times(np.ascontiguousarray(size), self._restarted())

    def _again(self, like: np.ndarray) -> np.ndarray:
        """Start again elsewhere, so that errors do not repeat at the same place."""
        start = self._restarted()
        if start + like.size > DRAWN:
            return self._times(np.ones(like.shape), start)
        self._at = start + like.size
        return self._drawn[start : self._at].reshape(like.shape)

    def _times(self, size: np.ndarray, at: int) -> np.ndarray:
        """Multiply a contiguous array by the numbers from a place on, again and again; return it."""
        flat, first = size.reshape(-1), PERIOD - at
        for start in range(0, flat.size, PERIOD):
            part = flat[start : start + PERIOD]
            part[:first] *= self._drawn[at:PERIOD][: part.size]
            part[first:] *= self._drawn[: max(part.size - first, 0)]
        return size

    def _restarted(self) -> int:
        """Start again at another place; return it."""
        self._passes += 1
        self._at = self._passes * 7919 % 4099
        return self._at

    def norms(self, weight: np.ndarray) -> np.ndarray:
        """Return the norms of a weight's columns, cached because a recurrence needs them at every step."""
        known = self._norms.get(id(weight))
        if known is None:  # keep the weight, so that its id is not used again
            known = self._norms[id(weight)] = weight, norm(weight, -2)
        return known[1]

    def quantized(self, x: np.ndarray, w: np.ndarray, grids: str, wide: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the data x (K, ..., n) and the weights w (n, m) or (K, n, m) on the grids of each replica.

        The errors of every second replica are ``wide`` times as large.
        """
        replicas = x.shape[0]
        of_weights, of_data = _drawn_grids(replicas, wide)
        known = self._weights.get(id(w))
        if known is None:
            sets = replicas if replicas * w.size <= MOST_QUANTIZED or w.ndim > 2 else min(replicas, FEW_SETS)
            largest = np.max(np.abs(w), axis=-2 if grids == "row" else (-2, -1), keepdims=True, initial=0)
            grid = _on_grid(w, 2 * largest / WEIGHT_STEPS, *of_weights[:, :sets, None, None])
            known = self._weights[id(w)] = w, grid
        axes = tuple(range(1, x.ndim))
        finite = x if np.isfinite(x).all() else np.where(np.isfinite(x), x, 0)
        low, high = (f(finite, axis=axes, keepdims=True, initial=0) for f in (np.min, np.max))
        grid = _on_grid(finite, (high - low) / DATA_STEPS, *of_data.reshape(3, -1, *(1,) * len(axes)))
        return (grid if finite is x else np.where(np.isfinite(x), grid, x)), known[1]


@cache
def _drawn_grids(replicas: int, wide: float) -> np.ndarray:
    """Return each replica's grids of weights and of data: factor and shift of the step, size of errors (2, 3, K)."""
    factor, shift = np.random.Generator(np.random.SFC64(30103)).random((2, 2, replicas)).swapaxes(0, 1)
    size = np.broadcast_to(np.where(np.arange(replicas) % 2, wide, 1.0), factor.shape)
    return np.stack([1 - factor / FINER, shift, size], axis=1)


def _on_grid(
    values: np.ndarray, step: np.ndarray, factor: np.ndarray, shift: np.ndarray, size: np.ndarray
) -> np.ndarray:
    """Add the errors of rounding to multiples of ``factor * step``, shifted. 0 stays 0, as on every grid.

    The deviation of an error is ``size`` times the largest error, half a step, as it is u elsewhere.
    """
    step = step * factor
    grid = values / step + shift
    np.rint(grid, out=grid)
    grid -= shift
    grid *= step
    grid -= values
    grid *= math.sqrt(3) * size
    grid += values
    np.copyto(grid, 0, where=values == 0)
    return grid


@cache
def _drawn(u: float) -> np.ndarray:
    return np.random.Generator(np.random.SFC64(20111)).standard_normal(DRAWN) * u


def norm(a: np.ndarray, axis: int) -> np.ndarray:
    """Return the Euclidean norm along an axis, which remains with extent 1."""
    if a.size < LARGE:
        squares = np.add.reduce(a * a, axis=axis, keepdims=True)
    else:  # without an array of the squares
        squares = np.expand_dims(np.einsum("...ij,...ij->...j" if axis == -2 else "...i,...i->...", a, a), axis)
    return np.sqrt(squares, out=squares)
