"""Describe the wrong elements of failing calls: their places, and their relation to the right numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from conformance.diagnosis.conditions import listed, separating
from conformance.engine.form import Form
from conformance.engine.pattern import Attributes
from conformance.engine.wrong_elements import Judged

AXES = ("step", "sample", "direction", "unit")
ENOUGH = 8  # wrong numbers that show a relation to the right ones
LEFT = 0.02  # of the deviations that a relation explains may be left by rounding
UNLIKE = 0.1  # the part of the largest right number by which they spread at least

Item = tuple[Form, Any, Judged]  # a form, a call, and its results with their wrong elements


def of_elements(judged: Sequence[Item]) -> list[str]:
    """Return in words what all wrong elements of failing calls are, and no right ones."""
    found = [_results(judged), *(_parts(judged, axis) for axis in AXES), _padding(judged)]
    lines = [f"of these only {words}" for words in found if words]
    what = _instead(judged)
    return [*lines, what] if what else lines


def _results(judged: Sequence[Item]) -> str:
    names = list(dict.fromkeys(name for *_, results in judged for name in results))
    wrong = [name for name in names if any(results[name].wrong.any() for *_, results in judged if name in results)]
    return listed(wrong, "and") if wrong and len(wrong) < len(names) else ""


def _parts(judged: Sequence[Item], axis: str) -> str:
    """Return the condition of the wrong steps, samples, directions or units."""
    wrong: list[Attributes] = []
    right: list[Attributes] = []
    for form, call, results in judged:
        elements = form.elements(call, results)
        if elements is not None and elements.any():
            steps = _steps(form, call, elements) if axis == "step" else _along(elements, axis)
            for item, is_wrong in steps:
                (wrong if is_wrong else right).append(item)
    words = str(separating(wrong, right) or "")
    if not words or axis == "direction" or words.startswith("the "):
        return words.replace("the last one", f"the last {axis}").replace("all but", f"{axis}s: all but")
    words = re.sub(rf"\b{axis} = (\d+)", rf"{axis} \1", words)
    return re.sub(rf"\b{axis} (?!\d)", f"{axis}s ", words)


def _steps(form: Form, call: Any, elements: np.ndarray) -> Iterator[tuple[Attributes, bool]]:
    """Yield each sample's steps, and whether one of their elements is wrong."""
    ends = form.ends(call)
    T, N = elements.shape[:2]
    bad = np.asarray(elements.any(axis=(2, 3)))
    lengths = np.broadcast_to(T if ends is None else ends, N)
    for n, length in enumerate(lengths.tolist()):
        for t in range(T):
            yield {"step": t, "last": t == length - 1, "at T": t == T - 1}, bool(bad[t, n])


def _along(elements: np.ndarray, axis: str) -> Iterator[tuple[Attributes, bool]]:
    """Yield the samples, directions or units, and whether one of their elements is wrong."""
    if axis == "unit":  # later steps mix the units
        elements = elements[np.flatnonzero(elements.any(axis=(1, 2, 3)))[:1]]
    bad = np.asarray(elements.any(axis=tuple(k for k in range(4) if k != AXES.index(axis))))
    for k, is_wrong in enumerate(bad.tolist()):
        item: Attributes = {"last": k == len(bad) - 1}
        if axis == "direction":
            item = {"reverse": k == 1}
        elif axis == "sample":
            item = {"second half": 2 * k >= len(bad), axis: k, **item}
        else:
            item = {axis: k, **item}
        yield item, is_wrong


def _padding(judged: Sequence[Item]) -> str:
    """Return words for the padding if only the padding is wrong."""
    past_the_end, before = False, False
    for form, call, results in judged:
        ends = form.ends(call)
        elements = None if ends is None else form.elements(call, results)
        if ends is not None and elements is not None:
            past = np.arange(elements.shape[0])[:, None] >= ends
            past = np.broadcast_to(past, elements.shape[:2])
            past_the_end |= bool(elements[past].any())
            before |= bool(elements[~past].any())
    return "what lies past a sample's end" if past_the_end and not before else ""


def _instead(judged: Iterable[Item]) -> str:
    """Return the relation of all wrong numbers to the right ones in words; empty without one."""
    results = [result for *_, of_call in judged for result in of_call.values() if result.wrong.any()]
    if not results:
        return ""
    got, right = (np.concatenate([getattr(r, name)[r.wrong] for r in results]) for name in ("got", "right"))
    for words, test in (("NaN", np.isnan), ("infinite", np.isinf), ("zero", lambda a: a == 0)):
        if test(got).all():
            return f"all wrong numbers are {words}"
    return _relation(got, right)


def _relation(got: np.ndarray, right: np.ndarray) -> str:
    """Return the one factor, term or bound that makes wrong numbers of right ones, in words, or an empty text."""
    if got.size < ENOUGH or not (np.isfinite(got).all() and np.isfinite(right).all()):
        return ""
    off, largest = got - right, np.max(np.abs(right))
    left = LEFT * np.max(np.abs(off))
    if np.ptp(right) <= UNLIKE * largest:
        return ""  # of equal numbers every relation holds
    sizes = np.abs(got)
    if np.max(sizes) <= left:
        return "each wrong number is nearly 0"
    factor, more = float(got @ right / (right @ right)), float(np.median(off))
    if np.max(np.abs(got - factor * right)) <= left:
        times = "the negative of" if abs(factor + 1) <= LEFT else f"{factor:.4g} times"
        return f"each wrong number is {times} the documented one"
    if np.max(np.abs(off - more)) <= left:
        return f"each wrong number is the documented one {'plus' if more > 0 else 'minus'} {abs(more):.4g}"
    if np.ptp(sizes) <= left:
        size = f"{np.median(sizes):.4g}"
        both = [size] * bool(np.any(got >= 0)) + [f"-{size}"] * bool(np.any(got < 0))
        return f"each wrong number is {' or '.join(both)}"
    return ""
