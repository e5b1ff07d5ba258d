"""Python's search for garbage, which takes a tenth of the time of imports and finds nothing in them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

OBJECTS = 100_000  # new ones until the next search, while much is imported; Python's own number is 700


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Search for garbage rarely within the block, which may choose otherwise itself."""
    before = gc.get_threshold()
    rarely = (before[0] and OBJECTS, *before[1:])  # 0: no search at all
    gc.set_threshold(*rarely)
    try:
        yield
    finally:
        if gc.get_threshold() == rarely:
            gc.set_threshold(*before)
