"""A run that is killed at a random moment leaves no process, no broken file, and every verdict that it printed."""

import os
import random
import sys

import pytest

from tests.killed_runs import SIGNALS, killed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", range(int(os.environ.get("MOMENTS", "1"))))
def test_nothing_is_left_and_nothing_lost(number, moment):
    seconds = random.Random(f"{number} {moment}").uniform(2, 8)
    assert killed(number, seconds).amiss == []
