"""Find the condition that separates failing items from passing ones: calls, or elements of their results.

A condition joins features of items by "and", or by "or". It costs the features that it names and the exceptions that it
leaves, both in bits: the shortest description wins (minimum description length). A plain feature is cheaper than a
bound, a bound cheaper than a remainder, so that a few failing calls do not make an accidental bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import comb, log2

from conformance.diagnosis.features import IMPLIED, Feature, features_of, met, plain
from conformance.engine.pattern import Attributes, Condition, Pattern, Test

MAX_FEATURES = 3  # that are tried together; further ones are added one by one
MIN_BITS_SAVED = 2  # by a condition, over none
MIN_BITS_SHARED = 7  # by which chance is excluded where all failing calls share a feature that is not needed


def pattern(failing: Sequence[Attributes], passing: Sequence[Attributes]) -> Pattern:
    """Return what failing calls have in common, for every failure: wrong numbers, an exception, a crash."""
    found = Pattern(len(failing), len(passing))
    if not failing or not passing:
        return found
    cost, chosen, left = _shortest(failing, passing)
    other_cost, other_chosen, other_left = _shortest(passing, failing)
    if chosen and (cost <= other_cost or not other_chosen):
        condition = _all_of(chosen, failing, passing)
        also = _shared(chosen, failing, passing) if not left and _has_gap(chosen, failing, passing) else None
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


def _has_gap(chosen: Sequence[Feature], failing: Sequence[Attributes], passing: Sequence[Attributes]) -> bool:
    """Return whether a gap lies at a bound, so that the bound may stand for other features."""
    bounds = [feature for feature in chosen if feature.bound is not None]
    return any(abs(extreme - nearest) > 1 for extreme, nearest in (_edges(b, failing, passing) for b in bounds))


Part = tuple[str, Test]


def _all_of(chosen: Sequence[Feature], wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Condition:
    """Return the condition that all of the features of the wrong items hold."""
    parts: list[Part] = [(feature.words, feature.holds) for feature in chosen]
    for k, feature in enumerate(chosen):
        if feature.bound is not None:
            rest = [item for item in right if all(holds(item) for j, (_, holds) in enumerate(parts) if j != k)]
            name, sign = feature.bound
            extreme, nearest = _edges(feature, wrong, rest or right)
            parts[k] = _above(name, extreme, nearest) if sign > 0 else _below(name, extreme, nearest)
    return Condition(listed([words for words, _ in parts], "and"), [test for _, test in parts])


def _any_of(chosen: Sequence[Feature], wrong: Sequence[Attributes], right: Sequence[Attributes]) -> Condition:
    """Return the condition that one of the features of the right items is missing."""
    parts: list[Part] = [(feature.opposite, replace(feature.holds, negated=True)) for feature in chosen]
    for k, feature in enumerate(chosen):
        if feature.bound is not None:
            rest = [item for item in wrong if all(other.holds(item) for other in chosen if other is not feature)]
            name, sign = feature.bound
            extreme, nearest = _edges(feature, right, rest or wrong)
            parts[k] = _below(name, nearest, extreme) if sign > 0 else _above(name, nearest, extreme)
    return Condition(listed([words for words, _ in parts], "or"), [test for _, test in parts], every=False)


def _edges(feature: Feature, having: Sequence[Attributes], others: Sequence[Attributes]) -> tuple[int, int]:
    """Return the outermost number of the items within a bound, and the nearest one beyond."""
    assert feature.bound is not None
    name, sign = feature.bound
    extreme = sign * min(sign * item[name] for item in having)
    beyond = [sign * item[name] for item in others if sign * item[name] < sign * extreme]
    return extreme, sign * max(beyond, default=sign * extreme - 1)


def _above(name: str, fails: int, passes: int) -> Part:
    seen = "" if passes == fails - 1 else f" (the least that fails is {fails})"
    return f"{name} > {passes}{seen}", Test(">", name, passes)


def _below(name: str, fails: int, passes: int) -> Part:
    seen = "" if passes == fails + 1 else f" (the most that fails is {fails})"
    return f"{name} < {passes}{seen}", Test("<", name, passes)


def listed(words: Sequence[str], conjunction: str) -> str:
    """Return words joined by commas, the last two by the conjunction."""
    return f" {conjunction} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
