"""Probes compare the transcripts of a fault and of the backend, within rounding.

A fault cannot compute with disturbed arrays, so the tolerance of its numbers is measured from outside: random errors of
the unit roundoff disturb its arguments, parameters and results, and give replicas. Their spread is scaled by the ratio
of the oracle's own spread to the oracle's spread measured from outside, on the same call. ``SPREADS`` spreads are
allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from conformance.diagnosis.transcript import Entry, Law, Noise, alike, differ, plain, transcript
from conformance.engine.compare import margin
from conformance.engine.subject import Subject
from reference.precision import REPLICAS, allowed

MAX_DEVIATIONS = 1000.0  # of one replica; a larger difference needs no more replicas


class Probe:
    """A law and a call, with the backend's own transcript."""

    def __init__(self, subject: Subject, law: Law, trial: Any, heard: list[Entry] | None = None) -> None:
        self.subject, self.law, self.trial, self.call = subject, law, trial, trial.call
        self.heard = transcript(subject.backend, subject, law, trial.call) if heard is None else heard
        self.arithmetic = subject.arithmetic

    def numbers(self, backend: Any, replica: int | None = None) -> list[Entry]:
        """Return the transcript with another backend; with the number of a replica, on disturbed arrays."""
        noise = None if replica is None else Noise(self.arithmetic.u, replica)
        return transcript(backend, self.subject, self.law, self.call, noise)

    def explained(self, build: Callable[[], Any], factor: float | None = None) -> bool:
        """Return whether the backend that ``build`` makes has the same transcript within rounding."""
        plain_numbers = self.numbers(build())
        if not alike(self.heard, plain_numbers):
            return False
        pairs = zip(self.heard, plain_numbers, strict=True)
        off = [k for k, ((_, mine), (_, its)) in enumerate(pairs) if differ(mine, its)]
        if not off:
            return True
        factor = self.widening if factor is None else factor
        first = self.deviations(build, plain_numbers, 0)
        for k in off:
            largest = np.max(first[k], initial=0.0) * factor
            with np.errstate(invalid="ignore"):
                if np.nanmax(np.abs(self.heard[k][1] - plain_numbers[k][1]), initial=0.0) > MAX_DEVIATIONS * largest:
                    return False
        replicas = [first, *(self.deviations(build, plain_numbers, n) for n in range(1, REPLICAS))]
        for k in off:
            square = np.mean([deviation[k] ** 2 for deviation in replicas], axis=0)
            # Outside disturbance may miss a unit by chance; rounding inside moves it as much as its neighbours.
            square = np.where(square > 0, square + np.mean(square, axis=-1, keepdims=True), 0.0)
            limit = allowed(factor * np.sqrt(square), self.arithmetic)
            if np.any(margin(self.heard[k][1], plain_numbers[k][1], limit, self.arithmetic.largest) > 1):
                return False
        return True

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
