"""Probes compare the transcripts of a fault and of the backend.

A fault computes in its own arithmetic and cannot compute with disturbed arrays, so the tolerance of its numbers is
measured from outside: random errors of the unit roundoff disturb its arguments, parameters and results, and give
replicas. Their spread is scaled: the oracle's inner spread, divided by the oracle's spread measured from outside, on
the same call. ``SPREADS`` spreads are allowed.

A backend may be less exact than its format: coarse activations, say. So an explanation is a matter of degree: the
difference that a fault leaves, as a part of the difference that it takes away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from conformance.diagnosis.transcript import Entry, Law, alike, differ, plain, transcript
from conformance.engine.compare import margin
from conformance.engine.noise import Noise
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from reference.precision import ARITHMETICS, REPLICAS, Arithmetic, allowed

MAX_DEVIATIONS = 1000.0  # of one replica; a larger difference needs no more replicas
DEGREE = 1e-3  # of the difference to the documented numbers: an explanation may leave so much
REJECTED = 0.3  # a fault that leaves more is not compared any further
SMALL = 3000.0  # unit roundoffs of the largest number: smaller differences to the documented numbers count as this
MOST_TYPICAL = 100.0  # unit roundoffs of the largest number, for an error that may occur at any element
MOST_SMALL = 1e-3  # of the largest number, for coarse formats


@dataclass(frozen=True)
class Match:
    """The agreement of a fault's numbers with the backend's."""

    within: bool
    """Whether rounding in the declared arithmetic explains the difference."""
    left: float = 0.0
    """The largest difference."""
    part: float = 0.0
    """The difference as a part of the backend's difference from the documented numbers."""


class Probe:
    """A law and a call, with the backend's own transcript."""

    def __init__(self, subject: Subject, law: Law, trial: Any, heard: list[Entry] | None = None) -> None:
        self.subject, self.law, self.trial, self.call = subject, law, trial, trial.call
        self.heard = transcript(subject.backend, subject, law, trial.call) if heard is None else heard
        self.arithmetic: Arithmetic = subject.arithmetic

    def numbers(self, backend: Any, replica: int | None = None) -> list[Entry]:
        """Return the transcript with another backend; with the number of a replica, on disturbed arrays."""
        noise = None if replica is None else Noise(self.arithmetic.u, replica)
        return transcript(backend, self.subject, self.law, self.call, noise)

    @cached_property
    def documented(self) -> list[Entry]:
        """The transcript of the oracle, which claims what the backend claims."""
        return self.numbers(self.subject.oracle().backend)

    def coarser(self) -> list[Probe]:
        """Return this probe for every coarser arithmetic with the same unit roundoff that a backend may declare."""
        found = []
        for arithmetic in ARITHMETICS.values():
            if arithmetic.u == self.arithmetic.u and arithmetic.name != self.arithmetic.name:
                subject = self.subject.judged_in(arithmetic)
                probe = Probe(subject, self.law, trial_of(subject, self.call), self.heard)
                found.append(probe)
        return found

    def match(self, build: Callable[[], Any]) -> Match | None:
        """Compare the backend that ``build`` makes; return None if it does not give the transcript in any degree."""
        numbers = self.numbers(build())
        if not alike(self.heard, numbers):
            return None
        off = [k for k, ((_, mine), (_, its)) in enumerate(zip(self.heard, numbers, strict=True)) if differ(mine, its)]
        if not off:
            return Match(True)
        left, part = self._left(numbers, off)
        if part > REJECTED:
            return None
        if self._within(build, numbers, off):
            return Match(True, left, part)
        return Match(False, left, part) if part <= DEGREE else None

    def explained(self, build: Callable[[], Any]) -> bool:
        """Return whether the backend that ``build`` makes has the same transcript within rounding."""
        found = self.match(build)
        return found is not None and found.within

    def _left(self, numbers: list[Entry], off: list[int]) -> tuple[float, float]:
        """Return the largest difference, and the largest part that it is of the difference from the documented."""
        documented = self.documented if alike(self.heard, self.documented) else None
        left = part = 0.0
        for k in off:
            mine, its = self.heard[k][1], numbers[k][1]
            if mine.dtype.kind != "f" or its.dtype.kind != "f":
                return np.inf, np.inf
            difference = distance(mine, its)
            size = _size(its)
            taken = size if documented is None else distance(mine, documented[k][1])
            at_least = size * min(SMALL * self.arithmetic.u, MOST_SMALL)
            if np.isinf(taken):  # NaN or infinity where a number is documented
                taken = size
            part = max(part, difference / max(taken, at_least, np.finfo(float).tiny))
            left = max(left, difference)
        return left, part

    def _within(self, build: Callable[[], Any], numbers: list[Entry], off: list[int]) -> bool:
        """Return whether rounding explains the differences at the numbers ``off``."""
        # Another arithmetic leaves a tail of 1e-17 where a fault has exactly 0, and its rounding hits other elements.
        floor = [self.least(numbers[k][1]) for k in off]
        first = self.deviations(build, numbers, 0)
        for k, least in zip(off, floor, strict=True):
            largest = np.max(first[k], initial=0.0) * self.widening + least
            with np.errstate(invalid="ignore"):
                if np.nanmax(np.abs(self.heard[k][1] - numbers[k][1]), initial=0.0) > MAX_DEVIATIONS * largest:
                    return False
        replicas = [first, *(self.deviations(build, numbers, n) for n in range(1, REPLICAS))]
        for k, least in zip(off, floor, strict=True):
            square = np.mean([deviation[k] ** 2 for deviation in replicas], axis=0)
            # Outside disturbance may miss a unit by chance; rounding inside moves it as much as its neighbours.
            square = np.where(square > 0, square + np.mean(square, axis=-1, keepdims=True), 0.0)
            limit = np.maximum(allowed(self.widening * np.sqrt(square), self.arithmetic), least)
            if np.any(margin(self.heard[k][1], numbers[k][1], limit, self.arithmetic.largest) > 1):
                return False
        return True

    def least(self, *arrays: np.ndarray) -> float:
        """Return the error that rounding may cause at any element of arrays, by the largest number in them."""
        size = max(map(_size, arrays), default=0.0)
        return min(self.typical, MOST_TYPICAL * self.arithmetic.u * size) + self.arithmetic.u * size

    def deviations(self, build: Callable[[], Any], numbers: list[Entry], replica: int) -> list[np.ndarray]:
        """Return the deviation of each number in a disturbed transcript; zero where the law made other calls."""
        disturbed = self.numbers(build(), replica)
        found = []
        for k, (what, value) in enumerate(numbers):
            if not isinstance(value, np.ndarray):
                found.append(np.zeros(0))
                continue
            other = disturbed[k] if k < len(disturbed) else ("", None)
            same = other[0] == what and isinstance(other[1], np.ndarray) and other[1].shape == value.shape
            with np.errstate(invalid="ignore"):
                deviation = np.abs(other[1] - value) if same else np.zeros(value.shape)
            found.append(deviation + self.arithmetic.u * np.abs(np.nan_to_num(value)))  # plus rounding of the result
        return found

    @cached_property
    def typical(self) -> float:
        """The largest error that rounding may cause in the oracle's results for the call."""
        limits = [a for a in self.trial.named(self.trial.allowed()).values() if a is not None]
        return max((float(np.max(a, initial=0.0, where=np.isfinite(a))) for a in limits), default=0.0)

    @cached_property
    def widening(self) -> float:
        """The ratio of the oracle's own spread to its spread measured from outside, at least 1."""
        oracle, trial = self.subject.specification.oracle, self.trial
        probe = Probe(self.subject, plain, trial, heard=[])
        numbers = probe.numbers(oracle())
        outside = [probe.deviations(oracle, numbers, n) for n in range(REPLICAS)]
        inside = [a for a in trial.named(trial.allowed()).values() if a is not None]
        ratios = [1.0]
        arrays = [k for k, (_, value) in enumerate(numbers) if isinstance(value, np.ndarray)]
        for k, limit in zip(arrays, inside, strict=False):
            spread = np.sqrt(np.mean([deviation[k] ** 2 for deviation in outside], axis=0))
            finite = np.isfinite(limit) & np.isfinite(spread)
            total = np.sqrt(np.sum(spread[finite] ** 2))
            if total > 0:
                own = limit[finite] / allowed(np.ones(()), self.arithmetic)
                ratios.append(float(np.sqrt(np.sum(own**2)) / total))
        return max(ratios)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference of two arrays; infinite where one alone is NaN or infinite."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, difference)
    return float(np.max(np.where(np.isnan(difference), np.inf, difference), initial=0.0))


def _size(a: np.ndarray) -> float:
    """Return the largest finite absolute value."""
    return float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))
