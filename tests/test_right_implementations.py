"""Right implementations that sum in other orders and round otherwise pass the whole suite."""

import pytest

from tests.harness import failures
from tests.right_implementations import RIGHT


@pytest.mark.parametrize("name", RIGHT)
def test_right_implementation_passes(name):
    assert failures(RIGHT[name]()) == {}


def test_there_are_enough_of_them():
    assert len(RIGHT) >= 8
