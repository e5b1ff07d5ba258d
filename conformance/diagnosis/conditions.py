"""Find the condition that separates failing from passing calls, and wrong from right elements of a result.

The rule is exact: a condition must hold for every failing item and for no passing one. One feature is tried before two
together, two before three. Among conditions of equally many features the first in the order below is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from conformance.engine.form import Form
from conformance.engine.wrong_elements import Judged

Attributes = dict[str, Any]  # of a call, a sample, a unit: booleans and integers by name
MAX_FEATURES = 3  # of a condition

# The words for a boolean that is true, and for one that is false.
WORDS = {
    "bidirectional": ("two directions", "one direction"),
    "lengths": ("lengths", "no lengths"),
    "shorter": ("a sample shorter than T", "no sample shorter than T"),
    "descending": ("lengths in descending order", "lengths in another order than the descending one"),
    "unbatched": ("unbatched input", "batched input"),
    "batch_first": ("batch_first", "time before batch"),
    "projection": ("a projection", "no projection"),
    "bias": ("biases", "no biases"),
    "states": ("initial states", "no initial states"),
    "square": ("N = T", "N other than T"),
    "as wide": ("I = H", "I other than H"),
    "nan": ("NaN in the arguments", "no NaN in the arguments"),
    "saturating": ("saturating values", "no saturating values"),
    "second half": ("the second half of the batch", "the first half of the batch"),
    "reverse": ("the reverse direction", "the forward direction"),
    "last": ("the last one", "all but the last one"),
}
MODULI = (2, 4, 8)


Predicate = Callable[[Attributes], bool]


class Atom(NamedTuple):
    """One feature of items: its words, and the predicate for it."""

    words: str
    holds: Predicate


def separating(wrong: Sequence[Attributes], right: Sequence[Attributes]) -> str:
    """Return the simplest condition that all of ``wrong`` and none of ``right`` meet, in words; empty without one."""
    if not wrong or not right:
        return ""
    atoms, met = _atoms(wrong, right)
    for count in range(1, MAX_FEATURES + 1):
        for chosen in combinations(range(len(atoms)), count):
            if not np.logical_and.reduce([met[k] for k in chosen]).any():
                return " and ".join(atoms[k].words for k in chosen)
    return ""


def necessary(wrong: Sequence[Attributes], right: Sequence[Attributes]) -> tuple[str, int]:
    """Return the feature that all of ``wrong`` and the fewest of ``right`` have, and the number of the latter.

    Returns "", 0 if half of ``right`` or more have it.
    """
    atoms, met = _atoms(wrong, right) if wrong and right else ([], [])
    best = min(range(len(atoms)), key=lambda k: met[k].sum(), default=None)
    if best is None or 2 * met[best].sum() >= len(right):
        return "", 0
    return atoms[best].words, int(met[best].sum())


def _atoms(wrong: Sequence[Attributes], right: Sequence[Attributes]) -> tuple[list[Atom], list[np.ndarray]]:
    """Return the features that all of ``wrong`` and not all of ``right`` have, the plainest first.

    The second list says for each feature which items of ``right`` have it.
    """
    every = [*_booleans(wrong), *_bounds(wrong, right), *_residues(wrong)]
    met = [np.array([atom.holds(item) for item in right]) for atom in every]
    kept = [k for k in range(len(every)) if not met[k].all()]
    return [every[k] for k in kept], [met[k] for k in kept]


def _equals(name: str, value: Any) -> Predicate:
    return lambda item: item[name] == value


def _at_least(name: str, bound: int) -> Predicate:
    return lambda item: item[name] >= bound


def _at_most(name: str, bound: int) -> Predicate:
    return lambda item: item[name] <= bound


def _leaves(name: str, modulus: int, rest: int) -> Predicate:
    return lambda item: item[name] % modulus == rest


def _booleans(wrong: Sequence[Attributes]) -> Iterator[Atom]:
    for name, (true, false) in WORDS.items():
        values = {item.get(name) for item in wrong}
        if len(values) == 1 and isinstance(value := values.pop(), bool):
            yield Atom(true if value else false, _equals(name, value))


def _integers(wrong: Sequence[Attributes]) -> Iterator[tuple[str, set[int]]]:
    for name, value in wrong[0].items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield name, {item[name] for item in wrong}


def _bounds(wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Iterator[Atom]:
    """Yield bounds such as T = 1, T > 16 and T < 4, as near to the failing items as the passing items allow."""
    for name, values in _integers(wrong):
        least, most = min(values), max(values)
        below = [item[name] for item in right if item[name] < least]
        above = [item[name] for item in right if item[name] > most]
        if least == most:
            yield Atom(f"{name} = {least}", _equals(name, least))
        if below:
            seen = "" if max(below) == least - 1 else f" (the least that fails is {least})"
            yield Atom(f"{name} > {max(below)}{seen}", _at_least(name, least))
        if above:
            seen = "" if min(above) == most + 1 else f" (the most that fails is {most})"
            yield Atom(f"{name} < {min(above)}{seen}", _at_most(name, most))


def _residues(wrong: Sequence[Attributes]) -> Iterator[Atom]:
    for name, values in _integers(wrong):
        for modulus in MODULI:
            residues = {value % modulus for value in values}
            if len(values) > 1 and len(residues) == 1:
                (rest,) = residues
                words = f"{name} {'odd' if rest else 'even'}" if modulus == 2 else f"{name} = {rest} modulo {modulus}"
                yield Atom(words, _leaves(name, modulus, rest))


# --- elements -----------------------------------------------------------------------------------------

Item = tuple[Form, Any, Judged]  # a form, a call, and its results with their wrong elements


def of_elements(judged: Sequence[Item]) -> list[str]:
    """Return the conditions that separate wrong from right elements of failing calls, in words."""
    found = [_results(judged), *(_parts(judged, axis) for axis in ("sample", "direction", "unit")), _padding(judged)]
    lines = [f"of these only {words}" for words in found if words]
    what = _not_numbers(judged)
    return [*lines, f"what is wrong is {what} throughout"] if what else lines


def _results(judged: Sequence[Item]) -> str:
    names = list(dict.fromkeys(name for *_, results in judged for name in results))
    wrong = [name for name in names if any(results[name][1].any() for *_, results in judged if name in results)]
    return " and ".join(wrong) if wrong and len(wrong) < len(names) else ""


def _parts(judged: Sequence[Item], axis: str) -> str:
    """Return the condition of the wrong samples, directions or units; for units only of the first wrong step."""
    number = ("sample", "direction", "unit").index(axis) + 1
    wrong: list[Attributes] = []
    right: list[Attributes] = []
    for form, call, results in judged:
        elements = form.elements(call, results)
        if elements is None or not elements.any():
            continue
        if axis == "unit":  # later steps mix the units
            steps = np.flatnonzero(elements.any(axis=(1, 2, 3)))
            elements = elements[steps[:1]]
        bad = np.asarray(elements.any(axis=tuple(k for k in range(4) if k != number)))
        for k, is_wrong in enumerate(bad):
            item: Attributes = {"last": k == len(bad) - 1}
            if axis == "direction":
                item = {"reverse": k == 1}
            elif axis == "sample":
                item = {"second half": 2 * k >= len(bad), axis: k, **item}
            else:
                item = {axis: k, **item}
            (wrong if is_wrong else right).append(item)
    words = separating(wrong, right)
    if not words or axis == "direction" or words.startswith("the "):
        return words.replace("the last one", f"the last {axis}").replace("all but", f"{axis}s: all but")
    return words.replace(f"{axis} ", f"{axis}s ")


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


def _not_numbers(judged: Sequence[Item]) -> str:
    parts = [got[wrong] for *_, results in judged for got, wrong in results.values() if wrong.any()]
    values = np.concatenate([np.asarray(a, np.float64) for a in parts]) if parts else np.zeros(0)
    for words, test in (("NaN", np.isnan), ("infinite", np.isinf), ("zero", lambda a: a == 0)):
        if values.size and test(values).all():
            return words
    return ""
