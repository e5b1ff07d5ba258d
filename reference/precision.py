"""The tolerance: how far rounding alone can carry a right implementation from the oracle.

``spreads`` evaluates the oracle's own equations once more on ``Disturbed`` arrays: K replicas of every array, in which
each operation has a random error of the size of rounding in the arithmetic under test. The *spread* of an element is
the root mean square distance of its replicas from the undisturbed result; the tolerance is ``SPREADS`` times the
spread. No number is chosen per kind, size or test.

The errors, where u is the unit roundoff (half the distance from 1 to the next number):

- a sum, product or quotient: u relative to its result;
- a dot product of length n: u * sqrt(n) * |x| * |w|, which covers every order of summation; if the inputs of the
  product are first rounded to a coarser format, also the coarser u * |x| * |w|;
- a sum with a dot product of length n: u * sqrt(n) relative to the larger of sum and summands, because the
  accumulation may start from a bias or another product;
- tanh: TANH_ERROR * u absolute, which covers a tanh built from exp or from the logistic function, and good rational
  approximations; a backend with coarser kernels declares them;
- e^x - 1 and log(1 + e^x): TANH_ERROR * u relative to the larger of the result and 1, which covers both as written;
- dynamic quantization: both inputs of a matrix product are first rounded to a grid. The grid of the data has 127 steps
  over the range of the whole array and 0 (7 bits, which covers 8); that of a weight has 254 steps over twice the
  largest absolute value of the matrix, or of each of its rows. Each replica has its own shift of the grid, and a step
  that is finer by up to 1/32, the same at every time step: equal numbers have equal errors, and those of a weight add
  up. The errors are so large that gates saturate, and four times the error may be more than four times the distance. Of
  more than ``REPLICAS`` replicas every second one therefore has errors ``SPREADS`` times as large; the spread is the
  larger of the spreads of both halves, that of the large errors divided by ``SPREADS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Union

import numpy as np

from reference.rounding_errors import RoundingErrors, norm

Operand: TypeAlias = Union["Disturbed", np.ndarray, float]

SPREADS = 4.0  # measured: docs/precision.md, "How many spreads"
TANH_ERROR = 2.0
REPLICAS = 8
REPLICAS_ON_FAILURE = (64, 256)  # the spread of 8 replicas can be too small by chance
REPLICAS_OF_GRIDS = 1024  # the coarse errors of quantization have a spread that 256 replicas show to a tenth only


@dataclass(frozen=True)
class Arithmetic:
    """The rounding of a backend."""

    name: str
    u: float
    """The unit roundoff of every operation."""
    largest: float
    """The largest finite number."""
    floor: float
    """The absolute error that underflow may add to a result."""
    product_u: float = 0.0
    """The unit roundoff of the format to which the inputs of matrix products are rounded first; 0 if they are not."""
    least: float = 0.0
    """The absolute error that underflow may add to an operation."""
    tanh_error: float = TANH_ERROR
    """The error of tanh in units of u."""
    grids: str = ""
    """What has one quantization grid: "matrix" for each weight matrix, "row" for each of its rows; empty without."""


LARGE_WEIGHT = 1 << 14  # elements of a weight that is read once for all replicas, because reading it takes long

# floor is the smallest normal number, so that a backend may flush subnormal numbers to zero. Only in float16 do
# ordinary values reach the subnormal range; there each operation errs by the distance between subnormal numbers.
_F32_MAX, _F32_TINY = 3.4028234663852886e38, 2.0**-126
ARITHMETICS = {
    a.name: a
    for a in (
        Arithmetic("float64", 2.0**-53, 1.7976931348623157e308, 2.0**-1022),
        Arithmetic("float32", 2.0**-24, _F32_MAX, _F32_TINY),
        Arithmetic("float16", 2.0**-11, 65504.0, 2.0**-24, least=2.0**-25),
        Arithmetic("bfloat16", 2.0**-8, 3.3895313892515355e38, _F32_TINY),
        Arithmetic("tf32", 2.0**-24, _F32_MAX, _F32_TINY, product_u=2.0**-11),
        Arithmetic("bfloat16-products", 2.0**-24, _F32_MAX, _F32_TINY, product_u=2.0**-8),
        Arithmetic("approximate-activations", 2.0**-24, _F32_MAX, _F32_TINY, tanh_error=6.0),
        Arithmetic("int8-dynamic", 2.0**-24, _F32_MAX, _F32_TINY, grids="matrix"),
        Arithmetic("int8-dynamic-rows", 2.0**-24, _F32_MAX, _F32_TINY, grids="row"),
    )
}


def allowed(spread: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """Return the tolerance of each element, in the shape of ``spread``; an element without spread must be exact."""
    return SPREADS * spread + np.where(spread > 0, arithmetic.floor, 0.0)


def replica_counts(arithmetic: Arithmetic) -> tuple[int, ...]:
    """Return the numbers of replicas to compute a tolerance from, in turn, until one decides."""
    return (REPLICAS, *REPLICAS_ON_FAILURE, *((REPLICAS_OF_GRIDS,) if arithmetic.grids else ()))


def draw_errors() -> None:
    """Draw the errors of every arithmetic, once for all processes that are forked from this one."""
    for arithmetic in ARITHMETICS.values():
        RoundingErrors(arithmetic.u)


def spreads(
    function: Callable[..., Sequence[np.ndarray | None]],
    arrays: Sequence[np.ndarray | None],
    expected: Sequence[np.ndarray | None],
    arithmetic: Arithmetic,
    replicas: int = REPLICAS,
) -> list[np.ndarray | None]:
    """Return the spread of each result of ``function(*arrays)``, in the shapes of ``expected``, the plain results.

    ``function`` is code of the oracle. It receives every array of ``arrays`` disturbed, and None as None. An element
    that overflows in a replica has an infinite or NaN spread. Raises TypeError if ``function`` uses an operation that
    ``Disturbed`` does not implement.
    """
    noise = RoundingErrors(arithmetic.u)
    with np.errstate(all="ignore"):
        disturbed = [None if a is None else Disturbed.replicate(a, replicas, arithmetic, noise) for a in arrays]
        results = function(*disturbed)
        return [None if e is None else _deviation(r, e) for r, e in zip(results, expected, strict=True)]


def _deviation(result: Operand | None, expected: np.ndarray) -> np.ndarray:
    if not isinstance(result, Disturbed):
        return np.zeros_like(expected)
    squares = result.values - expected
    squares *= squares
    if result.arithmetic.grids and len(squares) > REPLICAS:  # every second replica has errors of SPREADS steps
        small, large = (np.add.reduce(part) / len(part) for part in (squares[::2], squares[1::2]))
        spread = np.sqrt(np.maximum(small, large / SPREADS**2))
    else:
        spread = np.sqrt(np.add.reduce(squares) / len(squares))
    if spread.all():
        return spread
    # Squares below 1e-308 vanish, of a number that float32 rounds to 0, say.
    return np.where(spread == 0, np.max(np.abs(result.values - expected), axis=0), spread)


class Disturbed:
    """K replicas of an array, (K, *shape), whose operations err at random by the size of rounding.

    It implements the operations that the oracles use: arithmetic, ``@``, tanh, expm1, logaddexp, maximum and minimum.
    Indexing, stacking, selecting and moving elements are exact, as on a machine. Any other operation raises TypeError,
    so that every operation is either disturbed or known to be exact.
    """

    __slots__ = ("_noise", "arithmetic", "terms", "values")

    def __init__(self, values: np.ndarray, arithmetic: Arithmetic, noise: RoundingErrors, terms: int = 1) -> None:
        self.values, self.arithmetic, self._noise = values, arithmetic, noise
        self.terms = terms  # the number of summands of each element

    @classmethod
    def replicate(cls, array: np.ndarray, replicas: int, arithmetic: Arithmetic, noise: RoundingErrors) -> Disturbed:
        """Make K exact replicas of an array."""
        return cls(np.broadcast_to(array, (replicas, *array.shape)), arithmetic, noise)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape[1:]

    @property
    def ndim(self) -> int:
        return self.values.ndim - 1

    @property
    def T(self) -> Disturbed:
        """The transpose of a matrix."""
        return self._exact(np.swapaxes(self.values, -1, -2))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Disturbed:
        if type(key) is not tuple:
            key = (slice(None), key)
        elif key[0] is not Ellipsis:
            key = (slice(None), *key)
        return Disturbed(self.values[key], self.arithmetic, self._noise, self.terms)

    def _exact(self, values: np.ndarray, terms: int | None = None) -> Disturbed:
        return Disturbed(values, self.arithmetic, self._noise, self.terms if terms is None else terms)

    def _relative(self, values: np.ndarray) -> Disturbed:
        """Add an error of u relative to the result."""
        arithmetic, noise = self.arithmetic, self._noise
        error = noise(values) * values
        if arithmetic.least:
            error += noise(values) * (arithmetic.least / arithmetic.u)
        error += values
        return Disturbed(error, arithmetic, noise)

    def _absolute(self, values: np.ndarray, size: np.ndarray | float, terms: int = 1) -> Disturbed:
        """Add an error of ``size`` in units of u: a number, or an array that nothing else uses, and broadcasts."""
        noise = self._noise
        if isinstance(size, np.ndarray) and size.shape == values.shape:
            error = noise.scale(size)
        else:
            error = noise(values) * size
        error += values
        return Disturbed(error, self.arithmetic, noise, terms)

    def _sized(self, size: np.ndarray, factor: float) -> np.ndarray:
        """Multiply ``size`` by ``factor`` in place and add the error of underflow, in units of u."""
        size *= factor
        if self.arithmetic.least:
            size += self.arithmetic.least / self.arithmetic.u
        return size

    def _added(self, other: Operand) -> Disturbed:
        """Add, as part of a longer summation if one of the two is a product."""
        own = self.values
        if isinstance(other, Disturbed):
            terms, summand = self.terms + other.terms, self._other(other)
        else:
            terms, summand = self.terms + 1, other
        values = own + summand
        if terms == 2:
            return self._relative(values)
        largest, size = np.absolute(values), np.absolute(own)
        np.maximum(largest, size, out=largest)
        np.maximum(largest, np.absolute(summand), out=largest)
        return self._absolute(values, self._sized(largest, math.sqrt(terms)), terms)

    def _other(self, other: Operand) -> np.ndarray | float:
        """Return the other operand with axes aligned from the last, so that the axis of the replicas stays first."""
        if not isinstance(other, Disturbed):
            return other
        values = other.values
        missing = self.values.ndim - values.ndim
        if missing > 0:
            return values.reshape(values.shape[0], *(1,) * missing, *other.shape)
        return values

    __add__ = __radd__ = _added

    def __sub__(self, other: Operand) -> Disturbed:
        return self._relative(self.values - self._other(other))

    def __rsub__(self, other: Operand) -> Disturbed:
        return self._relative(self._other(other) - self.values)

    def __mul__(self, other: Operand) -> Disturbed:
        return self._relative(self.values * self._other(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Disturbed:
        if type(other) is int and other == 2:
            return Disturbed(self.values * 0.5, self.arithmetic, self._noise)
        return self._relative(self.values / self._other(other))

    def __neg__(self) -> Disturbed:
        return self._exact(-self.values)

    def __gt__(self, other: Operand) -> Disturbed:
        return self._exact(self.values > self._other(other))

    def __ge__(self, other: Operand) -> Disturbed:
        return self._exact(self.values >= self._other(other))

    def __matmul__(self, other: Disturbed | np.ndarray) -> Disturbed:
        return self._product(self.values, other.values if isinstance(other, Disturbed) else other)

    def __rmatmul__(self, other: np.ndarray) -> Disturbed:
        return self._product(other, self.values)

    def _product(self, x: np.ndarray, w: np.ndarray) -> Disturbed:
        norms = norm(x, -1) * (self._noise.norms(w) if w.ndim == 2 else norm(w, -2))
        factor = math.sqrt(x.shape[-1]) + self.arithmetic.product_u / self.arithmetic.u
        return self._absolute(self._multiplied(x, w), self._sized(norms, factor), x.shape[-1])

    def _multiplied(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Multiply, after quantization where the arithmetic has it."""
        if not self.arithmetic.grids:
            if w.ndim == 2 and w.size > LARGE_WEIGHT:
                return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])
            return x @ w
        wide = SPREADS if len(self.values) > REPLICAS else 1.0
        x, w = self._noise.quantized(x, w, self.arithmetic.grids, wide)
        rows = x.reshape(-1, w.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])  # replicas that share weights first
        return (rows @ w).reshape(*x.shape[:-1], w.shape[-1])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        if ufunc is np.tanh:
            return self._absolute(ufunc(self.values), self.arithmetic.tanh_error)
        if ufunc in (np.expm1, np.logaddexp):
            operands: list[Any] = [self._other(i) for i in inputs]
            values = ufunc(*operands)
            return self._absolute(values, self.arithmetic.tanh_error * np.maximum(np.abs(values), 1))
        if ufunc in (np.maximum, np.minimum, np.absolute):
            operands = [self._other(i) for i in inputs]
            return self._exact(ufunc(*operands))
        reflected = {
            np.add: self.__radd__,
            np.subtract: self.__rsub__,
            np.multiply: self.__rmul__,
            np.matmul: self.__rmatmul__,
        }
        if ufunc in reflected and inputs[1] is self:
            return reflected[ufunc](inputs[0])
        return NotImplemented

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        moved = _MOVES.get(function)
        return NotImplemented if moved is None else moved(self, *args, **kwargs)


def _values(like: Disturbed, arrays: Sequence[Operand]) -> list[np.ndarray]:
    """Return the replicas of several arrays; a plain array is repeated."""
    replicas = like.values.shape[0]
    return [a.values if isinstance(a, Disturbed) else np.broadcast_to(a, (replicas, *np.shape(a))) for a in arrays]


def _stack(self: Disturbed, arrays: Sequence[Operand]) -> Disturbed:
    return self._exact(np.stack(_values(self, arrays), axis=1))


def _concatenate(self: Disturbed, arrays: Sequence[Operand], axis: int = 0) -> Disturbed:
    return self._exact(np.concatenate(_values(self, arrays), axis=axis if axis < 0 else axis + 1))


def _where(self: Disturbed, *condition_a_b: Operand) -> Disturbed:
    return self._exact(np.where(*(v.values if isinstance(v, Disturbed) else v for v in condition_a_b)))


def _swapaxes(self: Disturbed, array: Disturbed, a: int, b: int) -> Disturbed:
    return self._exact(np.swapaxes(array.values, a + 1, b + 1))


def _reshape(self: Disturbed, array: Disturbed, shape: tuple[int, ...]) -> Disturbed:
    return self._exact(np.reshape(array.values, (len(array.values), *shape)))


def _sum(self: Disturbed, array: Disturbed, axis: int) -> Disturbed:
    """Sum n numbers with the error of a dot product with ones; the sum of |x| stands for |x| * |w|."""
    n = array.shape[axis]
    axis = axis if axis < 0 else axis + 1
    size = self._sized(np.sum(np.abs(array.values), axis=axis), math.sqrt(n))
    return self._absolute(np.sum(array.values, axis=axis), size)


_MOVES: dict[Callable[..., Any], Callable[..., Disturbed]] = {
    np.stack: _stack,
    np.concatenate: _concatenate,
    np.where: _where,
    np.swapaxes: _swapaxes,
    np.reshape: _reshape,
    np.sum: _sum,
}
