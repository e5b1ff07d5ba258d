"""Words for the wrong elements of failing calls: their places, and their relation to the right numbers."""

from types import SimpleNamespace

import numpy as np
import pytest

from conformance.diagnosis.elements import of_elements
from conformance.engine.wrong_elements import Numbers


def calls(change, lengths=None, shapes=((1, 1, 1, 2), (4, 3, 1, 2), (6, 2, 2, 3))):
    """Return calls whose outputs, (T, N, D, H), a mistake changes in place; changed numbers are wrong."""
    rng = np.random.default_rng(0)
    form = SimpleNamespace(elements=lambda call, results: results["output"].wrong, ends=lambda call: call)
    found = []
    for shape in shapes:
        right = rng.uniform(-1, 1, shape)
        got = right.copy()
        change(got)
        ends = np.asarray(shape[0] if lengths is None else np.minimum(lengths[: shape[1]], shape[0]))
        found.append((form, ends, {"output": Numbers(got, got != right, right)}))
    return found


def last_step(output):
    output[-1] += 1


def first_step(output):
    output[0] *= -1


def halved(output):
    output *= 0.5


def from_the_third_step_on(output):
    output[2:] -= 0.25


def noisy_last_step(output):
    output[-1] += np.random.default_rng(1).uniform(1, 2, output[-1].shape)


def zeros_in_the_second_direction(output):
    output[:, :, 1:] = 0


SAID = {
    last_step: ["of these only the last step", "each wrong number is the documented one plus 1"],
    first_step: ["of these only step 0", "each wrong number is the negative of the documented one"],
    halved: ["each wrong number is 0.5 times the documented one"],
    from_the_third_step_on: [
        "of these only steps > 1",
        "each wrong number is the documented one minus 0.25",
    ],
    noisy_last_step: ["of these only the last step"],
    zeros_in_the_second_direction: ["of these only the reverse direction", "all wrong numbers are zero"],
}


@pytest.mark.parametrize("mistake", SAID)
def test_the_words_say_where_and_what(mistake):
    assert of_elements(calls(mistake)) == SAID[mistake]


def test_the_last_step_is_that_of_the_sample():
    def change(output):
        for n, length in enumerate((2, 4, 3)[: output.shape[1]]):
            output[min(length, len(output)) - 1, n] = np.nan

    assert of_elements(calls(change, lengths=np.array([2, 4, 3]))) == [
        "of these only the last step",
        "all wrong numbers are NaN",
    ]
    assert "of these only the last step" not in of_elements(calls(change)), "without lengths it is another step"


def test_a_few_numbers_and_equal_ones_show_no_relation():
    def double(output):
        output *= 2

    assert of_elements(calls(double, shapes=((1, 1, 1, 3),))) == [], "three numbers"
    form, ends, results = calls(double)[1]
    equal = {"output": Numbers(np.full((4, 3, 1, 2), 0.5), np.full((4, 3, 1, 2), True), np.full((4, 3, 1, 2), 0.25))}
    assert of_elements([(form, ends, equal)]) == [], "twice as much, or 0.25 more"
    coarse = {"output": Numbers(results["output"].right * 1.02, results["output"].wrong, results["output"].right)}
    assert of_elements([(form, ends, coarse)]) == ["each wrong number is 1.02 times the documented one"]
    right = results["output"].right
    noise = np.random.default_rng(2).uniform(-1e-3, 1e-3, right.shape)
    noisy = {"output": Numbers(right * 1.02 + noise, results["output"].wrong, right)}
    assert of_elements([(form, ends, noisy)]) == [], "a twentieth of the deviation is noise"


def test_the_last_step_of_the_array_is_another_one_in_shorter_samples():
    def change(output):
        output[-1] += 0.01

    assert of_elements(calls(change, lengths=np.array([2, 4, 3]))) == [
        "of these only the last step of T, not of the sample",
        "each wrong number is the documented one plus 0.01",
    ]


def test_a_bound_is_told():
    def change(output):
        np.clip(output, -0.4, 0.4, out=output)

    assert of_elements(calls(change)) == ["each wrong number is 0.4 or -0.4"]

    def nearly_zero(output):
        output *= 1e-9
        output[0] = 0

    assert of_elements(calls(nearly_zero)) == ["each wrong number is nearly 0"]
