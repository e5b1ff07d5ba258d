"""Python's search for garbage: rare during imports, as before afterwards, and not in the memory that workers share."""

import gc

import pytest

from conformance.backends.oracle import OracleBackend
from conformance.engine.garbage import OBJECTS, rarely_collected
from reference import rounding_errors
from reference.precision import ARITHMETICS, draw_errors
from tests.test_plugin import run


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_the_search_is_rare_inside_and_as_before_outside(thresholds):
    with rarely_collected():
        assert gc.get_threshold() == (OBJECTS, *thresholds[1:])
    assert gc.get_threshold() == thresholds


def test_an_exception_leaves_the_search_as_before(thresholds):
    with pytest.raises(ImportError), rarely_collected():
        raise ImportError
    assert gc.get_threshold() == thresholds


def test_what_an_adapter_chose_stays(thresholds):
    with rarely_collected():
        gc.set_threshold(123, 4, 5)
    assert gc.get_threshold() == (123, 4, 5)


def test_a_search_that_is_off_stays_off(thresholds):
    gc.set_threshold(0)
    with rarely_collected():
        assert gc.get_threshold()[0] == 0
    assert gc.get_threshold()[0] == 0


class OfFrozenMemory(OracleBackend):
    """An oracle that refuses to work in a process whose objects the search for garbage would visit."""

    name = "frozen"

    def layer(self, config, parameters):
        if not gc.get_freeze_count():
            raise RuntimeError("this worker's memory is not frozen")
        return super().layer(config, parameters)


def test_workers_share_frozen_memory():
    one = ("-q", "-k", "SHAPE-OUTPUT and lstm and float32", "--hypothesis-profile", "smoke")
    status, printed = run("conformance", "--backend", "tests.test_garbage:OfFrozenMemory", *one)
    assert status == 0, printed
    assert "1 passed" in printed


def test_the_errors_of_every_arithmetic_are_drawn_once():
    rounding_errors._drawn.cache_clear()
    draw_errors()
    drawn = rounding_errors._drawn.cache_info()
    for arithmetic in ARITHMETICS.values():
        rounding_errors.RoundingErrors(arithmetic.u)
    assert rounding_errors._drawn.cache_info().misses == drawn.misses == drawn.currsize > 1
