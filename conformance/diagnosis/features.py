"""The features of calls, samples and units of which conditions are made, with their words and their costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.engine.pattern import Attributes, Test, sign

PLAIN, EDGE, RELATION, VALUE, BOUND, REMAINDER = 5, 6, 7, 8, 8, 10  # the costs of features, in bits
MODULI = (2, 4, 8, 16)

# The words for a boolean that is true, and for one that is false.
WORDS = {
    "bidirectional": ("two directions", "one direction"),
    "lengths": ("lengths", "no lengths"),
    "shorter": ("a sample shorter than T", "no sample shorter than T"),
    "all shorter": ("all samples shorter than T", "a sample of T steps"),
    "descending": ("lengths in descending order", "lengths in another order than the descending one"),
    "unbatched": ("unbatched input", "batched input"),
    "batch_first": ("batch_first", "time before batch"),
    "projection": ("a projection", "no projection"),
    "bias": ("biases", "no biases"),
    "states": ("initial states", "no initial states"),
    "multilayer": ("num_layers > 1", "num_layers = 1"),
    "dropout": ("dropout", "no dropout"),
    "equal shapes": ("a layer whose weight_ih and weight_hh have one shape", "no weight_ih of the shape of weight_hh"),
    "d_output": ("a cotangent of output", "no cotangent of output"),
    "d_h_n": ("a cotangent of h_n", "no cotangent of h_n"),
    "d_c_n": ("a cotangent of c_n", "no cotangent of c_n"),
    "layout": ("layout = 1", "layout = 0"),
    "reverse node": ("direction = reverse", "another direction than reverse"),
    "peepholes": ("peepholes", "no peepholes"),
    "clip": ("clip", "no clip"),
    "activations": ("the attribute activations", "the default activations"),
    "activation_alpha": ("the attribute activation_alpha", "no attribute activation_alpha"),
    "input_forget": ("input_forget", "no input_forget"),
    "linear_before_reset": ("linear_before_reset", "no linear_before_reset"),
    "fixed extents": ("fixed extents", "free extents"),
    "nan": ("NaN in the arguments", "no NaN in the arguments"),
    "saturating": ("saturating values", "no saturating values"),
    "second half": ("the second half of the batch", "the first half of the batch"),
    "reverse": ("the reverse direction", "the forward direction"),
    "last": ("the last one", "all but the last one"),
    "at T": ("the last one of T, not of the sample", "all but the last one of T"),
}
IMPLIED = {  # by the words that imply them
    "lengths": {"batched input"},
    "a sample shorter than T": {"lengths", "batched input"},
    "all samples shorter than T": {"lengths", "batched input", "a sample shorter than T"},
    "lengths in another order than the descending one": {"lengths", "batched input"},
    "no sample shorter than T": {"a sample of T steps"},
    "no lengths": {"no sample shorter than T", "a sample of T steps", "lengths in descending order"},
    "unbatched input": {"no lengths", "no sample shorter than T", "a sample of T steps", "lengths in descending order"},
}
# Sizes that kernels confuse. ``RELATIONS`` has the words for the signs that the differences of a pair have.
PAIRS = (("N", "T"), ("I", "H"), ("T", "I"), ("T", "H"), ("N", "I"), ("N", "H"), ("I", "O"), ("N", "D*L"))
SIGNS = frozenset({-1, 0, 1})
RELATIONS = {
    frozenset({1}): ">",
    frozenset({-1}): "<",
    frozenset({0}): "=",
    frozenset({0, 1}): "at least",
    frozenset({0, -1}): "at most",
    frozenset({1, -1}): "other than",
}
RELATED_ONLY = {"D*L"}  # has no bounds of its own: they would stand for two directions and several layers


@dataclass(frozen=True)
class Feature:
    """A feature that all items of one sort have: its words, the words for items without it, and its cost in bits.

    ``bound`` is the name of the integer and the sign of a bound, which is fixed when the other features are chosen.
    """

    words: str
    opposite: str
    holds: Test
    cost: int
    bound: tuple[str, int] | None = None


def met(feature: Feature, items: Sequence[Attributes]) -> int:
    """Return which items have the feature, as the bits of an integer."""
    return sum(1 << k for k, item in enumerate(items) if feature.holds(item))


def features_of(having: Sequence[Attributes], others: Sequence[Attributes]) -> list[Feature]:
    """Return the features that all of ``having`` and not all of ``others`` have, the cheapest of the same extent."""
    names = [n for n, v in having[0].items() if isinstance(v, int) and not isinstance(v, bool)]
    names = [name for name in names if all(name in item for item in (*having, *others))]
    sizes = [name for name in names if name not in RELATED_ONLY]
    every = [*plain(having), *_sizes(having, others, sizes), *_relations(having, names), *_remainders(having, sizes)]
    by_extent: dict[int, Feature] = {}
    for feature in sorted(every, key=lambda feature: feature.cost):
        by_extent.setdefault(met(feature, others), feature)
    by_extent.pop((1 << len(others)) - 1, None)
    return list(by_extent.values())


def plain(having: Sequence[Attributes]) -> Iterator[Feature]:
    """Yield the features with words of their own, such as two directions and no biases; unusual ones come first."""
    shared = [(name, values.pop()) for name in WORDS if len(values := {item.get(name) for item in having}) == 1]
    found = [(name, value) for name, value in shared if isinstance(value, bool)]
    for name, value in sorted(found, key=lambda item: item[1] is (item[0] == "bias")):  # biases are usual, others not
        words = WORDS[name]
        yield Feature(words[not value], words[value], Test("=", name, int(value)), PLAIN)


def _sizes(having: Sequence[Attributes], others: Sequence[Attributes], names: Sequence[str]) -> Iterator[Feature]:
    """Yield single numbers such as T = 3, and bounds; those at 1 are the usual ones."""
    for name in names:
        values = {item[name] for item in having}
        least, most = min(values), max(values)
        if least == most:
            opposite = f"{name} > 1" if least == 1 else f"{name} other than {least}"
            yield Feature(f"{name} = {least}", opposite, Test("=", name, least), EDGE if least == 1 else VALUE)
        if least > 1 == min(item[name] for item in others):
            seen = "" if least == 2 else f" (the least that fails is {least})"
            yield Feature(f"{name} > 1{seen}", f"{name} = 1", Test(">", name, 1), EDGE)
        for op, towards, extreme in ((">=", 1, least), ("<=", -1, most)):
            yield Feature("", "", Test(op, name, extreme), BOUND, (name, towards))


def _relations(having: Sequence[Attributes], names: Sequence[str]) -> Iterator[Feature]:
    """Yield relations such as T > I and N = T."""
    for a, b in PAIRS:
        if a in names and b in names:
            signs = frozenset(sign(item[a], item[b]) for item in having)
            if signs != SIGNS:
                words, opposite = (f"{a} {RELATIONS[s]} {b}" for s in (signs, SIGNS - signs))
                yield Feature(words, opposite, Test("related", a, other=b, among=sorted(signs)), RELATION)


def _remainders(having: Sequence[Attributes], names: Sequence[str]) -> Iterator[Feature]:
    """Yield remainders such as T odd, N = 3 modulo 4, and H no multiple of 8."""
    for name in names:
        values = {item[name] for item in having}
        for modulus in MODULI if len(values) > 1 else ():
            rests = frozenset(value % modulus for value in values)
            (rest,) = rests if len(rests) == 1 else (0,)
            words, opposite = f"{name} = {rest} modulo {modulus}", f"{name} other than {rest} modulo {modulus}"
            if modulus == 2:
                words, opposite = (f"{name} odd", f"{name} even")[:: 1 if rest else -1]
            elif rest == 0:
                words, opposite = f"{name} a multiple of {modulus}", f"{name} no multiple of {modulus}"
            if len(rests) == 1:
                yield Feature(words, opposite, Test("remainder", name, modulus, among=[rest]), REMAINDER)
            elif 0 not in rests:
                some = Test("remainder", name, modulus, among=list(range(1, modulus)))
                yield Feature(opposite, words, some, REMAINDER)
