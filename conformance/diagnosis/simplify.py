"""Simplify the numbers of a failing call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from conformance.engine.check import failure_of
from conformance.engine.compare import Failed
from conformance.engine.shrinking import CLEAR_MARGIN
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from conformance.engine.wrong_elements import error_of

MAX_ZEROED_ELEMENTS = 16  # of an array, one by one

Simpler = Callable[[np.ndarray], np.ndarray]


def simplified(check: Any, subject: Subject, call: Any, attempts: int) -> tuple[Any, Failed | None]:
    """Round, zero and equalize the numbers of a call while the check fails; return the call and its failure.

    The oracle must pass with the new numbers, so that the check keeps its meaning. The failure is None if the call does
    not fail again.
    """
    oracle = subject.oracle()
    found = failure_of(check, trial_of(subject, call))
    if found is None:
        return call, None
    at_least = min(error_of(trial_of(subject, call)), CLEAR_MARGIN)
    part = subject.deadline.part(1)
    for change in changes(call):
        if attempts <= 0 or part.over:
            break
        other = change(call)
        if other is None:
            continue
        attempts -= 1
        trial = trial_of(subject, other)
        failure = failure_of(check, trial) if check.applies(other) else None
        if failure is None or error_of(trial) < at_least:
            continue
        if failure_of(check, trial_of(oracle, other)) is None:
            call, found = other, failure
    return call, found


def changes(call: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield functions that simplify a call, the boldest first: all arrays together, one by one, then by element."""
    first, *others = [n for n, a in call.arguments.items() if isinstance(a, np.ndarray) and a.dtype != bool]
    arrays = [*others, *(n for n in call.parameters if "bias" in n), first]
    arrays += [name for name in call.parameters if "bias" not in name]
    for simpler in (_whole, _one_digit, _two_digits):
        yield partial(_changed, names=arrays, simpler=simpler)
    for name in arrays:
        for simpler in (_zeros, _ones, _equal, _whole, _one_digit, _two_digits):
            yield partial(_changed, names=[name], simpler=simpler)
    for name in arrays:
        for k in range(min(_array(call, name).size, MAX_ZEROED_ELEMENTS)):
            yield partial(_changed, names=[name], simpler=partial(_without, k=k))
    for name in arrays:
        for simpler in (_equal_nonzero, _whole, _one_digit):
            yield partial(_changed, names=[name], simpler=simpler)


def _array(call: Any, name: str) -> np.ndarray:
    return call.parameters[name] if name in call.parameters else getattr(call, name)


def _changed(call: Any, names: list[str], simpler: Simpler) -> Any:
    """Return the call with some arrays changed; None if nothing changes or an array becomes less simple."""
    new = {name: np.asarray(simpler(a := _array(call, name)), a.dtype) for name in names}
    differ = {name for name, a in new.items() if a.tobytes() != _array(call, name).tobytes()}
    if not differ or any(_simplicity(new[name]) >= _simplicity(_array(call, name)) for name in differ):
        return None
    parameters = call.parameters | {name: new[name] for name in differ if name in call.parameters}
    others = {name: new[name] for name in differ if name not in call.parameters}
    return call.replace(parameters=parameters, **others, values=re.sub(r", seed \d+", ", simplified", call.values))


def _simplicity(array: np.ndarray) -> tuple[int, int, int]:
    """Return the numbers of decimals, of different values and of nonzero values; smaller is simpler."""
    values = np.nan_to_num(array.astype(np.float64)).ravel()
    digits = next((d for d in (0, 1, 2) if np.array_equal(values, np.round(values, d))), 9)
    return digits, len(np.unique(values)), int(np.count_nonzero(values))


def _rounded(array: np.ndarray, digits: int) -> np.ndarray:
    return np.round(array.astype(np.float64), digits)


def _zeros(array: np.ndarray) -> np.ndarray:
    return np.zeros_like(array)


def _ones(array: np.ndarray) -> np.ndarray:
    return np.ones_like(array)


def _whole(array: np.ndarray) -> np.ndarray:
    return _rounded(array, 0)


def _one_digit(array: np.ndarray) -> np.ndarray:
    return _rounded(array, 1)


def _two_digits(array: np.ndarray) -> np.ndarray:
    return _rounded(array, 2)


def _equal(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    return np.full(array.shape, np.round(values.flat[np.argmax(np.abs(values))], 1) if array.size else 0)


def _equal_nonzero(array: np.ndarray) -> np.ndarray:
    return (array != 0).astype(np.float64)


def _without(array: np.ndarray, k: int) -> np.ndarray:
    simpler = array.copy()
    if k < simpler.size:
        simpler.flat[k] = 0
    return simpler
