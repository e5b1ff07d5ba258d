"""The comparison and the tolerance, on numbers chosen to pass and to fail."""

import json

import numpy as np
import pytest

from conformance.engine.compare import Failed, check_numbers, margin
from conformance.reporting.report import Row
from reference import LayerConfig, forward, parameter_shapes
from reference.layers import evaluate
from reference.precision import ARITHMETICS, Disturbed, _deviation, allowed, spreads
from reference.rounding_errors import RoundingErrors

MAX = ARITHMETICS["float32"].largest


def compared(got, want, limit):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    limits = np.full(want.shape, limit)
    return check_numbers("output", got, want, lambda _: limits, MAX, str, (8, 64))


def test_within_the_limit_passes_and_gives_the_margin():
    assert compared([1.0, 2.0 + 0.5e-6], [1.0, 2.0], 1e-6) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "got", [[1.0, 2.0 + 1.1e-6], [1.0, np.nan], [1.0, np.inf], [-1.0, 2.0]], ids=["off", "nan", "inf", "sign"]
)
def test_beyond_the_limit_fails(got):
    with pytest.raises(Failed, match="expected"):
        compared(got, [1.0, 2.0], 1e-6)


def test_nothing_is_allowed_where_nothing_can_be_rounded():
    assert compared([0.0], [0.0], 0.0) == 0
    with pytest.raises(Failed, match="expected 0"):
        compared([1e-30], [0.0], 0.0)


def test_nan_and_infinity_are_expected_where_the_oracle_has_them():
    assert compared([np.nan, np.inf], [np.nan, np.inf], 0.0) == 0
    with pytest.raises(Failed):
        compared([1.0], [np.nan], np.nan)
    with pytest.raises(Failed):
        compared([-np.inf], [np.inf], np.inf)


def test_what_the_format_cannot_hold_may_overflow():
    half = ARITHMETICS["float16"].largest
    assert margin(np.array([np.inf]), np.array([70000.0]), np.array([10.0]), half) == 0
    assert margin(np.array([-np.inf]), np.array([70000.0]), np.array([10.0]), half) == np.inf
    assert margin(np.array([np.inf]), np.array([60000.0]), np.array([10.0]), half) == np.inf


@pytest.mark.parametrize("got", [np.zeros((2, 1)), np.zeros(3), None, [0.0, 0.0]], ids=repr)
def test_another_shape_fails(got):
    with pytest.raises(Failed, match=r"expected shape \(2,\)"):
        check_numbers("h_n", got, np.zeros(2), lambda _: np.ones(2), MAX, str, (8,))


def test_an_element_that_few_replicas_leave_at_zero_is_looked_at_with_more():
    """A number just below 0 under relu: eight replicas may all stay below it."""

    def limits(replicas):
        return np.full(1, 0.0 if replicas == 8 else 2e-6)

    assert check_numbers("output", np.array([1e-6]), np.zeros(1), limits, MAX, str, (8, 64)) == pytest.approx(0.5)


@pytest.mark.parametrize(("got", "counts"), [(1e-6, [8, 64]), (np.nan, [8])])
def test_an_element_that_must_be_zero_fails_without_the_most_replicas(got, counts):
    asked = []

    def limits(replicas):
        asked.append(replicas)
        return np.zeros(1)

    with pytest.raises(Failed, match="expected 0"):
        check_numbers("output", np.array([got]), np.zeros(1), limits, MAX, str, (8, 64, 256))
    assert asked == counts


@pytest.mark.parametrize(("far", "spread"), [(1.0, 1.0), (8.0, 2.0)])
def test_what_wide_errors_reach_counts_where_it_is_more(far, spread):
    """Four times the errors may give more than four times the distance: the gates saturate on the way."""
    arithmetic = ARITHMETICS["int8-dynamic"]
    many = Disturbed(np.tile([1.0, far], 32)[:, None], arithmetic, RoundingErrors(arithmetic.u))
    assert _deviation(many, np.zeros(1)) == pytest.approx(spread)


@pytest.mark.parametrize(("off", "counts"), [(0.9, [256]), (1.2, [256, 1024]), (1.6, [256])])
def test_the_most_replicas_decide_only_close_to_the_limit(off, counts):
    asked = []

    def limits(replicas):
        asked.append(replicas)
        return np.full(1, 1.0 if replicas == 256 else 1.3)

    def margin():
        return check_numbers("output", np.array([off]), np.zeros(1), limits, MAX, str, (256, 1024))

    if off > 1.5:
        with pytest.raises(Failed, match="allowed 1 "):
            margin()
    else:
        assert margin() == pytest.approx(off if off < 1 else off / 1.3)
    assert asked == counts


def test_an_apparent_failure_is_looked_at_with_more_replicas():
    asked = []

    def limits(replicas):
        asked.append(replicas)
        return np.full(1, 1e-6 if replicas == 8 else 3e-6)

    assert check_numbers("output", np.array([2e-6]), np.zeros(1), limits, MAX, str, (8, 64)) == pytest.approx(2 / 3)
    assert asked == [8, 64]


def layer(dtype, hidden=5, steps=7):
    config = LayerConfig("lstm", 3, hidden, num_layers=2, bidirectional=True, dtype="float64")
    rng = np.random.default_rng(0)
    parameters = {name: rng.normal(size=shape) for name, shape in parameter_shapes(config).items()}
    x = rng.normal(size=(steps, 2, 3))
    want = forward(config, parameters, x)
    found = spreads(lambda x: evaluate(config, parameters, x), [x], want, ARITHMETICS[dtype])
    return want, [allowed(spread, ARITHMETICS[dtype]) for spread in found]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "tf32"])
def test_the_tolerance_is_of_the_size_of_rounding(dtype):
    want, limits = layer(dtype)
    unit = ARITHMETICS[dtype].u + ARITHMETICS[dtype].product_u
    for value, limit in zip(want, limits, strict=True):
        assert limit.shape == value.shape
        assert 1 < np.median(limit) / unit < 100


def test_a_coarser_arithmetic_allows_more():
    medians = [np.median(layer(d)[1][0]) for d in ("float64", "float32", "tf32", "bfloat16-products", "bfloat16")]
    assert medians == sorted(medians)


def test_the_tolerance_is_the_same_in_every_run():
    first, second = layer("float32")[1], layer("float32")[1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_number_whose_square_vanishes_has_a_spread():
    """float32 rounds 1e-214 to 0, so that 0 is right; an exact 0 has no spread all the same."""
    x, f32 = np.array([1e-214, 0.0, 1.0]), ARITHMETICS["float32"]
    (spread,) = spreads(lambda x: [x * x[-1]], [x], [x], f32)
    assert spread[0] > 0
    assert (spread[1], allowed(spread, f32)[1]) == (0, 0)
    assert allowed(spread, f32)[0] > x[0]


def test_an_operation_that_is_not_disturbed_is_an_error():
    noisy = Disturbed.replicate(np.ones(3), 8, ARITHMETICS["float32"], lambda shape: np.zeros(shape))
    for operation in (np.exp, np.sort, np.sum):
        with pytest.raises(TypeError):
            operation(noisy)


def test_errors_are_drawn_anew_however_large_the_arrays():
    x = np.ones((300, 200))
    float32 = ARITHMETICS["float32"]
    noisy = Disturbed.replicate(x, 8, float32, RoundingErrors(float32.u))
    assert not np.array_equal((noisy * 1.0).values, (noisy * 1.0).values)
    assert np.all((noisy * 1.0 - noisy * 1.0).values.std(axis=0) > 0)


def test_an_infinite_margin_is_a_number_of_json():
    row = Row("A", "state", "It holds.", "a page", "gru", "float32", "failed", margin=np.inf, steps=[0.5, np.inf])
    data = json.loads(json.dumps(row.as_json(), allow_nan=False))
    assert data["margin"] == data["steps"][1] == np.finfo(float).max


@pytest.mark.parametrize(
    ("got", "shown"),
    [
        ([1.08, 500.0, 700.0], "(2,): got 700, expected 0; off by 700, allowed 1 (700 times as much); "),
        ([1.08, 5.0, 7.0], "(0,): got 1.08"),
        ([20.0, 5000.0, 7000.0], "(0,): got 20"),
        ([1.08, np.nan, 7.0], "(1,): got nan"),
    ],
)
def test_the_worst_element_is_shown_where_the_first_is_hardly_wrong(got, shown):
    with pytest.raises(Failed) as failed:
        compared(got, [0.0, 0.0, 0.0], 1.0)
    assert str(failed.value).startswith(shown)
    assert ("elements compared are wrong, the first at [0]" in str(failed.value)) == (not shown.startswith("(0,)"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_numbers_in_the_other_byte_order_are_recognized(dtype):
    import ml_dtypes  # noqa: F401  makes bfloat16 a name that NumPy knows

    want = np.array([[0.5, -1.25, 3.0]])
    right = want.astype(dtype)
    swapped = right.view(f"u{right.dtype.itemsize}").byteswap().view(dtype)

    def compared(got):
        check_numbers("output", got, want, lambda k: np.full(want.shape, 1e-3), 1e30, str, (8,))

    compared(right)
    with pytest.raises(Failed, match="the bytes of each number in the other order it is right"):
        compared(swapped)
    with pytest.raises(Failed) as failure:
        compared(right + right.dtype.type(1))
    assert "order" not in str(failure.value)
    with pytest.raises(Failed) as failure:  # the bytes of -0.231 in the other order are nearly 0
        check_numbers("output", np.full(1, -0.231, dtype), np.zeros(1), lambda k: np.full(1, 1e-3), 1e30, str, (8,))
    assert "order" not in str(failure.value)
