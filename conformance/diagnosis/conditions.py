"""Find the condition that tells failing calls from passing ones, and wrong from right elements of a result.

A condition joins features of items by "and", or by "or". It costs the features that it names and the exceptions that it
leaves, both in bits: the shortest description wins (minimum description length). A plain feature is cheaper than a
bound, a bound cheaper than a remainder, so that a few failing calls do not make an accidental bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, log2
from typing import Any

import numpy as np

from conformance.diagnosis.features import IMPLIED, Attributes, Feature, Predicate, features_of, met, plain
from conformance.engine.form import Form
from conformance.engine.wrong_elements import Judged

MAX_FEATURES = 3  # that are tried together; further ones are added one by one
MIN_BITS_SAVED = 2  # by a condition, over none
MIN_BITS_SHARED = 7  # by which chance is excluded where all failing calls share a feature that is not needed


@dataclass(frozen=True)
class Condition:
    """A condition of items: its words, which follow "with", and the predicate over an item's attributes."""

    words: str
    holds: Predicate

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Pattern:
    """What failing calls have in common: the condition, and the numbers of calls that meet it or do not.

    ``missed`` failing calls do not meet the condition, ``others`` of the passing ones do; one of the two is 0. All
    failing calls meet ``also`` too, but that tells no more calls apart.
    """

    failing: int
    passing: int
    condition: Condition | None = None
    missed: int = 0
    others: int = 0
    also: Condition | None = None

    @property
    def exact(self) -> bool:
        """Whether the condition holds for the failing calls and for no other."""
        return self.condition is not None and not self.missed and not self.others

    def predicts(self, item: Attributes) -> bool:
        """Return whether a call with these attributes fails; without a condition whether most calls do."""
        return self.failing > self.passing if self.condition is None else self.condition.holds(item)

    def words(self, calls: str = "drawn calls", fail: str = "are wrong", fails: str = "is wrong") -> str:
        """Return the pattern as a sentence; ``fail`` and ``fails`` are the verb for several calls and for one."""
        if not self.failing:
            return f"of {self.passing} {calls} none {fails}"
        if not self.passing:
            return f"all {calls} {fail}"
        numbers = f"{self.failing} of {self.failing + self.passing} {calls} {fail}"
        if self.condition is None:
            return f"{numbers}, and no simple condition tells them from the others"
        also = f", all of them with {self.also}" if self.also else ""
        if self.missed:
            return f"{numbers}, among them all with {self.condition}"
        if self.others:
            return f"{numbers}, all with {self.condition}, as are {self.others} of the others"
        return f"{numbers}, those and no others with {self.condition}{also}"


def pattern(failing: Sequence[Attributes], passing: Sequence[Attributes]) -> Pattern:
    """Return what failing calls have in common, for every failure: wrong numbers, an exception, a crash."""
    found = Pattern(len(failing), len(passing))
    if not failing or not passing:
        return found
    cost, chosen, left = _shortest(failing, passing)
    other_cost, other_chosen, other_left = _shortest(passing, failing)
    if chosen and (cost <= other_cost or not other_chosen):
        condition = _all_of(chosen, failing, passing)
        also = None if left else _shared(chosen, failing, passing)
        return Pattern(len(failing), len(passing), condition, others=left, also=also)
    if other_chosen:
        return Pattern(len(failing), len(passing), _any_of(other_chosen, failing, passing), missed=other_left)
    return found


def separating(wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Condition | None:
    """Return the cheapest condition that all of ``wrong`` and none of ``right`` meet; None without one."""
    if not wrong or not right:
        return None
    features = features_of(wrong, right)
    bits = [met(feature, right) for feature in features]
    best: tuple[float, tuple[int, ...]] | None = None
    for count in range(1, MAX_FEATURES + 1):
        for chosen in combinations(range(len(features)), count):
            if not _together(bits, chosen):
                cost = sum(features[k].cost for k in chosen)
                if best is None or cost < best[0]:
                    best = cost, chosen
    return None if best is None else _all_of([features[k] for k in best[1]], wrong, right)


# --- the search ---------------------------------------------------------------------------------------


def _together(bits: Sequence[int], chosen: Sequence[int]) -> int:
    left = bits[chosen[0]]
    for k in chosen[1:]:
        left &= bits[k]
    return left


def _not(holds: Predicate) -> Predicate:
    return lambda item: not holds(item)


def _shortest(having: Sequence[Attributes], others: Sequence[Attributes]) -> tuple[float, list[Feature], int]:
    """Return the features of all of ``having`` that describe them in the fewest bits.

    Returns the bits, the features, and how many of ``others`` have them all. The bits are the features' costs and those
    that say which items with the features are exceptions.
    """
    exceptions = [log2(comb(len(having) + k, k)) for k in range(len(others) + 1)]
    features = features_of(having, others)
    bits = [met(feature, others) for feature in features]
    best: tuple[float, tuple[int, ...], int] = exceptions[-1] - MIN_BITS_SAVED, (), (1 << len(others)) - 1
    for count in range(1, MAX_FEATURES + 1):
        for chosen in combinations(range(len(features)), count):
            cost = sum(features[k].cost for k in chosen)
            if cost < best[0]:
                left = _together(bits, chosen)
                total = cost + exceptions[left.bit_count()]
                if total < best[0]:
                    best = total, chosen, left
    while best[2]:
        total, chosen, left = best
        for k, feature in enumerate(features):
            further = left & bits[k]
            longer = total - exceptions[left.bit_count()] + feature.cost + exceptions[further.bit_count()]
            if longer < best[0]:
                best = longer, (*chosen, k), further
        if best[1] == chosen:
            break
    return best[0], [features[k] for k in best[1]], best[2].bit_count()


def _shared(
    chosen: Sequence[Feature], failing: Sequence[Attributes], passing: Sequence[Attributes]
) -> Condition | None:
    """Return the further plain features that all failing calls share, unless that may be chance or is implied."""
    told = {feature.words for feature in chosen}
    told |= {words for feature in chosen for words in IMPLIED.get(feature.words, ())}
    found: list[Feature] = []
    for feature in plain(failing):
        share = sum(map(feature.holds, passing)) / len(passing)
        if feature.words not in told and len(failing) * -log2(max(share, 1 / len(passing))) >= MIN_BITS_SHARED:
            found.append(feature)
            told |= IMPLIED.get(feature.words, set())
    found = [feature for feature in found if feature.words not in told]
    return _all_of(found, failing, passing) if found else None


Part = tuple[str, Predicate]


def _all_of(chosen: Sequence[Feature], wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Condition:
    """Return the condition that all of the features of the wrong items hold."""
    parts: list[Part] = [(feature.words, feature.holds) for feature in chosen]
    for k, feature in enumerate(chosen):
        if feature.bound is not None:
            rest = [item for item in right if all(holds(item) for j, (_, holds) in enumerate(parts) if j != k)]
            name, sign = feature.bound
            extreme, nearest = _edges(feature, wrong, rest or right)
            parts[k] = _above(name, extreme, nearest) if sign > 0 else _below(name, extreme, nearest)
    return Condition(_listed([words for words, _ in parts], "and"), lambda item: all(holds(item) for _, holds in parts))


def _any_of(chosen: Sequence[Feature], wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Condition:
    """Return the condition that one of the features of the right items is missing."""
    parts: list[Part] = [(feature.opposite, _not(feature.holds)) for feature in chosen]
    for k, feature in enumerate(chosen):
        if feature.bound is not None:
            rest = [item for item in wrong if all(other.holds(item) for other in chosen if other is not feature)]
            name, sign = feature.bound
            extreme, nearest = _edges(feature, right, rest or wrong)
            parts[k] = _below(name, nearest, extreme) if sign > 0 else _above(name, nearest, extreme)
    return Condition(_listed([words for words, _ in parts], "or"), lambda item: any(holds(item) for _, holds in parts))


def _edges(feature: Feature, having: Sequence[Attributes], others: Sequence[Attributes]) -> tuple[int, int]:
    """Return the outermost number of the items within a bound, and the nearest one beyond."""
    assert feature.bound is not None
    name, sign = feature.bound
    extreme = sign * min(sign * item[name] for item in having)
    beyond = [sign * item[name] for item in others if sign * item[name] < sign * extreme]
    return extreme, sign * max(beyond, default=sign * extreme - 1)


def _above(name: str, fails: int, passes: int) -> Part:
    seen = "" if passes == fails - 1 else f" (the least that fails is {fails})"
    return f"{name} > {passes}{seen}", lambda item: item.get(name, passes) > passes


def _below(name: str, fails: int, passes: int) -> Part:
    seen = "" if passes == fails + 1 else f" (the most that fails is {fails})"
    return f"{name} < {passes}{seen}", lambda item: item.get(name, passes) < passes


def _listed(words: Sequence[str], conjunction: str) -> str:
    return f" {conjunction} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


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
    return _listed(wrong, "and") if wrong and len(wrong) < len(names) else ""


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
    words = str(separating(wrong, right) or "")
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
