"""Conditions tell failing calls from passing ones in plain words, and hold for calls that were not among them."""

import itertools
import random

import pytest

from conformance.diagnosis.conditions import pattern, separating
from conformance.diagnosis.elements import of_elements

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17)


def words(wrong, right):
    return str(separating(wrong, right) or "")


def call(rng):
    """Return the attributes of a random call of a layer."""
    lengths, states = rng.random() < 0.3, rng.random() < 0.7
    T, N, H, I = (rng.choice(SIZES) for _ in range(4))
    shorter = lengths and T > 1 and rng.random() < 0.9
    num_layers = rng.choice((1, 1, 2, 3))
    return {
        "unbatched": not lengths and rng.random() < 0.2,
        "bias": rng.random() < 0.75,
        "bidirectional": rng.random() < 0.5,
        "lengths": lengths,
        "shorter": shorter,
        "all shorter": shorter and rng.random() < 0.25,
        "descending": not lengths or rng.random() < 0.4,
        "batch_first": rng.random() < 0.3,
        "states": states,
        "multilayer": num_layers > 1,
        "saturating": rng.random() < 0.2,
        "num_layers": num_layers,
        "T": T,
        "N": N,
        "H": H,
        "I": I,
    }


# What fails, by the words that the pattern of its failures must have.
FAILING = {
    "two directions": lambda c: c["bidirectional"],
    "lengths and no initial states": lambda c: c["lengths"] and not c["states"],
    "two directions, num_layers > 1 and no biases": lambda c: c["bidirectional"] and c["multilayer"] and not c["bias"],
    "a sample shorter than T": lambda c: c["shorter"],
    "T > I": lambda c: c["T"] > c["I"],
    "N = T": lambda c: c["N"] == c["T"],
    "I other than H": lambda c: c["I"] != c["H"],
    "H > 8": lambda c: c["H"] > 8,
    "T < 4": lambda c: c["T"] < 4,
    "N odd": lambda c: c["N"] % 2,
    "H no multiple of 4": lambda c: c["H"] % 4,
    "H a multiple of 8": lambda c: c["H"] % 8 == 0,
    "T > 1 or initial states": lambda c: c["T"] > 1 or c["states"],
    "I = 1 and T > 3": lambda c: c["I"] == 1 and c["T"] > 3 and not c["unbatched"],
}


def drawn(fails, count, seed):
    rng = random.Random(seed)
    calls = [call(rng) for _ in range(count)]
    return [c for c in calls if fails(c)], [c for c in calls if not fails(c)]


@pytest.mark.parametrize("expected", FAILING)
def test_the_words_say_what_fails(expected):
    found = pattern(*drawn(FAILING[expected], 1000, 1))
    parts = expected.replace(" or ", ", ").replace(" and ", ", ").split(", ")
    assert found.exact, found.words()
    assert all(part in found.condition.words for part in parts), found.words()


@pytest.mark.parametrize("expected", FAILING)
@pytest.mark.parametrize("seed", range(5))
def test_the_condition_holds_for_further_calls(expected, seed):
    """A survey has about as many calls; of calls that were not in it at least 95 of 100 go as the condition says."""
    fails = FAILING[expected]
    found = pattern(*drawn(fails, 125, 100 + seed))
    wrong, right = drawn(fails, 400, 200 + seed)
    agree = sum(map(found.predicts, wrong)) + sum(not found.predicts(c) for c in right)
    assert agree >= 380, found.words()


def test_failures_by_chance_have_no_condition():
    found = []
    for seed in range(40):
        rng = random.Random(seed)
        calls = [call(rng) for _ in range(100)]
        found.append(pattern(calls[:3], calls[3:]))
    assert sum(each.condition is not None for each in found) <= 8


def test_a_condition_with_few_exceptions_is_better_than_a_long_one():
    """A wrong number may be too small to be seen, so that a failing sort of call passes now and then."""
    wrong, right = drawn(FAILING["two directions"], 125, 3)
    found = pattern(wrong[2:], [*right, *wrong[:2]])
    assert (
        found.words() == f"{len(wrong) - 2} of 125 drawn calls are wrong, all with two directions, "
        "which 2 of the others have as well"
    )
    assert not found.exact


def test_all_that_failing_calls_share_is_told():
    every = [
        dict(zip(("lengths", "bidirectional", "bias"), v, strict=True))
        for v in itertools.product((True, False), repeat=3)
    ]
    fails = {"lengths": True, "bidirectional": True, "bias": False}
    wrong, right = [fails] * 12, [item for item in every * 5 if item != fails]
    found = pattern(wrong, [*right, fails])
    assert found.condition.words == "two directions, lengths and no biases"
    assert found.others == 1
    rare = [item | {"T": T} for item, T in zip(wrong, [40, 50] * 6, strict=True)]
    also = pattern(rare, [item | {"T": T} for item in right for T in (1, 2, 3)])
    assert also.words() == (
        "12 of 117 drawn calls are wrong, those and no others with T > 3 (the least that fails is 40), "
        "all of them with two directions, lengths and no biases"
    )


def test_the_sentence_fits_what_failed():
    wrong, right = [{"states": False}] * 4, [{"states": True}] * 6
    said = pattern(wrong, right).words(fail="raise RuntimeError", fails="raises RuntimeError")
    assert said == "4 of 10 drawn calls raise RuntimeError, those and no others with no initial states"
    assert pattern([], right).words() == "of 6 drawn calls none is wrong"
    assert pattern(wrong, []).words("cases", "fail", "fails") == "all cases fail"
    assert (
        pattern([{"T": 1}, {"T": 9}], [{"T": 1}, {"T": 9}])
        .words()
        .endswith("and no simple condition tells them from the others")
    )


def test_a_condition_asks_nothing_of_calls_without_the_attribute():
    wrong, right = [{"T": n, "N": 3} for n in (8, 9, 12, 16)] * 3, [{"T": n, "N": 3} for n in (1, 2, 3, 5)] * 3
    condition = pattern(wrong, right).condition
    assert condition.holds({"T": 40})
    assert not condition.holds({"N": 3})


def test_a_separating_condition_is_exact_and_the_plainest_comes_first():
    right = [{"bidirectional": b, "T": T} for b in (True, False) for T in (1, 5, 16)]
    assert words([{"bidirectional": False, "T": 17}, {"bidirectional": True, "T": 40}], right) == "T > 16"
    wrong = [{"bidirectional": True, "T": 9}, {"bidirectional": True, "T": 12}]
    assert words(wrong, [item for item in right if not item["bidirectional"]]) == "two directions"
    assert words(wrong, [*right, {"bidirectional": False, "T": 9}]) == (
        "two directions, T > 5 (the least that fails is 9) and T < 16 (the most that fails is 12)"
    )
    assert words([{"T": 3}, {"T": 5}], [{"T": 2}, {"T": 4}, {"T": 6}]) == "T odd"
    assert words([{"T": 2}], [{"T": 2}, {"T": 3}]) == ""
    assert words([{"T": 2}], []) == ""


def test_a_bound_is_as_near_as_the_other_features_allow():
    wrong = [{"lengths": True, "T": T} for T in (9, 12)]
    right = [{"lengths": True, "T": T} for T in (1, 3)] + [{"lengths": False, "T": T} for T in (1, 5, 9, 20)]
    assert words(wrong, right) == "lengths and T > 3 (the least that fails is 9)"


def test_elements_without_numbers_have_no_condition():
    assert of_elements([]) == []
