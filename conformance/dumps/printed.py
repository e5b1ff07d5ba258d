"""Numbers that were printed with few digits: how many they have, and how far that may have moved the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reference.precision import SPREADS

DECIMALS = range(1, 10)
SIGNIFICANT = range(2, 8)
MIN_PRINTED = 2  # numbers that must have so few digits
COARSE, MIN_COARSE = 2, 4  # digits, and the numbers that must have so few: a half and a quarter are no rounded numbers
MOST = 1e4  # larger numbers are left out: most digits are before the point
ROUNDED = 0.5000001  # of a unit of the last digit

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Printed:
    """The digits of printed numbers, which may have either or both."""

    decimals: int | None = None
    """The digits after the point (``%f``)."""
    significant: int | None = None
    """The digits from the first that is not 0 (``%g``)."""

    @property
    def digits(self) -> int:
        """The smaller one of both numbers."""
        return min(n for n in (self.decimals, self.significant) if n is not None)

    def agrees(self, other: Printed | None) -> bool:
        """Return whether other numbers have as many digits."""
        return other is not None and (
            (self.decimals is not None and self.decimals == other.decimals)
            or (self.significant is not None and self.significant == other.significant)
        )

    def unit(self, array: np.ndarray) -> np.ndarray:
        """Return the unit of the last digit of each number, the larger one where two are possible."""
        unit = np.full(array.shape, 0.0 if self.decimals is None else 10.0**-self.decimals)
        if self.significant is not None:
            size = np.abs(array)
            told = np.isfinite(array) & (size > 0)
            exponent = np.floor(np.log10(np.where(told, size, 1.0)) + 1e-12)
            unit = np.where(told, np.maximum(unit, 10.0 ** (exponent + 1 - self.significant)), unit)
        return unit

    def __str__(self) -> str:
        if self.decimals == self.digits:
            return f"{self.decimals} decimals"
        return f"{self.significant} significant digits"


def printed(arrays: Sequence[np.ndarray], dtype: type[np.floating] = np.float64) -> Printed | None:
    """Return the digits of arrays, if all numbers have few and the same: they were rounded when they were printed.

    ``dtype`` is the format to which the numbers were converted afterwards.
    """
    values = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    values = values[np.isfinite(values)]
    telling = values[(values != np.round(values)) & (np.abs(values) < MOST)]
    if telling.size < MIN_PRINTED:
        return None
    least = 1 if telling.size >= MIN_COARSE else COARSE + 1
    decimals = next((n for n in DECIMALS if n >= least and _has(Printed(decimals=n), telling, dtype)), None)
    significant = next((n for n in SIGNIFICANT if n >= least and _has(Printed(significant=n), telling, dtype)), None)
    if decimals is None and significant is None:
        return None
    return Printed(decimals, significant)


def _has(digits: Printed, values: np.ndarray, dtype: type[np.floating]) -> bool:
    """Return whether numbers have these digits, as they are or after a conversion to a format that has more."""
    some = values[:MIN_COARSE]
    if not _alike(_rounded(digits, some), some, digits, dtype):  # spares the others
        return False
    return _alike(_rounded(digits, values), values, digits, dtype)


def _rounded(digits: Printed, values: np.ndarray) -> np.ndarray:
    if digits.decimals is not None:
        return np.round(values, digits.decimals)
    return np.array([float(f"{value:.{digits.digits - 1}e}") for value in values])


def _alike(rounded: np.ndarray, values: np.ndarray, digits: Printed, dtype: type[np.floating]) -> bool:
    if np.array_equal(rounded, values):
        return True
    finer = bool(np.all(np.spacing(np.abs(values).astype(dtype)) < digits.unit(values)))
    return finer and np.array_equal(rounded.astype(dtype), values.astype(dtype))


class Moved:
    """How far results move when printed arguments move within their last digit."""

    def __init__(self, results_of: Callable[[dict[str, np.ndarray]], Arrays], arrays: Arrays, digits: Printed) -> None:
        self._results_of, self._arrays, self._digits = results_of, arrays, digits
        self._rng, self._replicas = np.random.default_rng(0), 0
        self._squares: dict[str, np.ndarray] = {}

    def by(self, replicas: int, want: Arrays) -> dict[str, np.ndarray]:
        """Return the allowed error of each result, from at least so many replicas; ``want`` are the results."""
        for _ in range(self._replicas, replicas):
            for name, result in self._results_of({n: self._other(a) for n, a in self._arrays.items()}).items():
                square = np.nan_to_num((result - want[name]) ** 2)
                self._squares[name] = self._squares.get(name, 0.0) + square
        self._replicas = max(self._replicas, replicas)
        return {name: SPREADS * np.sqrt(total / self._replicas) for name, total in self._squares.items()}

    def _other(self, array: np.ndarray) -> np.ndarray:
        return array + ROUNDED * self._digits.unit(array) * self._rng.uniform(-1, 1, array.shape)
