"""The comparison of numbers and its message: got, expected, the place, the error and the tolerance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.ma import MaskedArray  # loaded late otherwise, by every worker

from conformance.engine.text import MAX_FAILURE_CHARACTERS, cut, printable

MAX_SIGNATURE_CHARACTERS = 200
# Margins by the number of replicas: a larger one stays above 1 with more replicas. With 64 replicas the tolerance is
# known to a tenth, so that the margin in the report is as well.
CERTAIN_MARGINS = {8: 1000.0, 64: 30.0}
NEAR_MARGIN = 0.5  # above this margin the tolerance is computed again, from more replicas
KNOWN_WELL = 256  # from this number of replicas on, more are needed only for a margin between 1 and SURELY_WRONG
SURELY_WRONG = 1.5
# A failure shows the worst element if the first one's margin is below SMALL_MARGIN and LARGE_RATIO times smaller.
SMALL_MARGIN, LARGE_RATIO = 10.0, 10.0


class Failed(AssertionError):
    """A departure of the backend from the documentation, described by the message."""

    margin: float | None = None
    """The largest error as a fraction of the allowed one, where numbers are wrong."""
    raised: str = ""
    """The exception or the crash of the backend without its numbers; empty if nothing was raised."""
    accepted = False
    """Whether the backend accepted what it must refuse, so that no numbers of its are in question."""
    elsewhere = False
    """Whether more is wrong than what this requirement speaks of, so that another requirement decides."""
    asked: str = ""
    """The call that raised, in words; empty if nothing was raised."""

    def about(self, what: str) -> Failed:
        """Return this failure with words before it, which say what failed."""
        found = Failed(f"{what}: {self}")
        vars(found).update(vars(self))
        return found

    def __str__(self) -> str:
        return cut(printable(super().__str__()), MAX_FAILURE_CHARACTERS) or "it failed without a word of what is wrong"


@contextmanager
def told(call: object) -> Iterator[None]:
    """Tell the call in a failure by an exception."""
    try:
        yield
    except Failed as failure:
        if failure.raised and not failure.asked:
            failure.asked = repr(call)
        raise


def of_another(failure: Failed) -> Failed:
    """Return a failure that another requirement decides: it counts neither as failed nor as passed."""
    found = Failed(str(failure))
    found.margin, found.raised, found.elsewhere = failure.margin, failure.raised, True
    return found


def signature(text: str) -> str:
    """Return a message without its numbers, so that the same exception of two calls is recognized."""
    return re.sub(r"\d+", "#", text)[:MAX_SIGNATURE_CHARACTERS]


def describe_shape_or_kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"shape {value.shape}"
    return "None" if value is None else type(value).__name__


def require_plain(name: str, value: object) -> np.ndarray:
    """Return the value. Raises Failed unless it is a NumPy array and no subclass of it.

    A subclass can change the result of a comparison: masked numbers are equal to any number.
    """
    if isinstance(value, MaskedArray):
        raise Failed(f"{name}: got a masked array, expected a plain NumPy array: what is under a mask is no number")
    if not isinstance(value, np.ndarray):
        raise Failed(f"{name}: got {type(value).__name__}, expected a NumPy array")
    if type(value) is not np.ndarray:
        raise Failed(
            f"{name}: got {type(value).__name__}, a subclass of numpy.ndarray, expected a plain NumPy array: "
            "return numpy.array(value, subok=False)"
        )
    return value


def _equal(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Return where two arrays have the same number, or both NaN."""
    return (got == want) | (np.isnan(got) & np.isnan(want))


def margin(got: np.ndarray, want: np.ndarray, allowed: np.ndarray, largest: float) -> np.ndarray:
    """Return the error at each element as a fraction of the allowed one; infinite for NaN and wrong infinities.

    A number that may exceed ``largest``, the format's largest number, may be an infinity of the same sign.
    """
    with np.errstate(all="ignore"):
        error = np.abs(got - want)
        fraction = np.where(error == 0, 0.0, error / allowed)
        overflow = (np.abs(want) + allowed > largest) & np.isinf(got) & (np.sign(got) == np.sign(want))
        same = _equal(got, want) | overflow
    return np.where(same, 0.0, np.where(np.isnan(fraction), np.inf, fraction))


def _other_order(given: np.ndarray) -> np.ndarray:
    """Return the numbers in float64 that an array's bytes give in the other order, NaN for other formats."""
    if given.dtype.itemsize not in (2, 4, 8):
        return np.full(given.shape, np.nan)
    with np.errstate(all="ignore"):
        return given.view(f"u{given.dtype.itemsize}").byteswap().view(given.dtype).astype(np.float64)


def certain_margin(margins: np.ndarray, limit: np.ndarray, got: np.ndarray) -> float:
    """Return the largest margin of elements whose limit few replicas show.

    An element that none of few replicas moves has the limit 0 and an infinite margin. Another replica may move it:
    where relu cuts a number off that is nearly positive.
    """
    return float(np.max(margins, initial=0.0, where=(limit > 0) | ~np.isfinite(got)))


def decides(replicas: int, worst: float, certain: float) -> bool:
    """Return whether more replicas would not change the verdict on the largest margin."""
    if replicas >= KNOWN_WELL:
        return not 1 < worst < SURELY_WRONG
    return worst <= NEAR_MARGIN or certain > CERTAIN_MARGINS.get(replicas, np.inf)


def check_numbers(
    name: str,
    got: object,
    want: np.ndarray | None,
    allowed: Callable[[int], np.ndarray],
    largest: float,
    where: Callable[[tuple[int, ...]], str],
    replicas: Sequence[int],
    seen: Callable[[np.ndarray], None] | None = None,
    numbers: Callable[[tuple[int, ...]], str] | None = None,
) -> float:
    """Compare one array with the expected one and return the largest margin.

    ``allowed(k)`` is the error allowed at each element, computed from k replicas. ``replicas`` are the values of k to
    use in turn: while one does not decide, the next one does. ``seen`` receives the margins of all
    elements. ``where(index)`` describes the place of an element, and ``numbers(index)`` its two numbers.

    Raises Failed for another shape or type, and if a margin is above 1. The failure shows the first wrong element, or
    the worst one if the first is off by little in comparison.
    """
    if want is None:
        if got is not None:
            raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected None")
        return 0.0
    if not isinstance(got, np.ndarray) or got.shape != want.shape:
        raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected shape {want.shape}")
    given, got = got, got.astype(np.float64)
    if _equal(got, want).all():  # no tolerance is needed
        if seen is not None:
            seen(np.zeros_like(got))
        return 0.0
    for count in replicas:
        limit = allowed(count)
        margins = margin(got, want, limit, largest)
        worst = float(np.max(margins, initial=0.0))
        certain = certain_margin(margins, limit, got) if count == replicas[0] else worst
        if decides(count, worst, certain if numbers is None else 0.0):
            break
    if seen is not None:
        seen(margins)
    if worst <= 1:
        return worst
    wrong = np.argwhere(margins > 1)
    shown = tuple(int(i) for i in wrong[0])
    first = ""
    if margins[shown] < SMALL_MARGIN and worst > LARGE_RATIO * margins[shown]:
        first = f", the first at {list(shown)}"
        shown = tuple(int(i) for i in np.unravel_index(np.argmax(margins), margins.shape))
    telling = np.abs(want) > limit  # the bytes of any number in the other order may be nearly 0
    if np.any(telling[margins > 1]) and np.all(margin(_other_order(given), want, limit, largest) <= 1):
        first += "; with the bytes of each number in the other order it is right: write little-endian numbers"
    error = abs(got[shown] - want[shown])
    of_allowed = f" ({margins[shown]:.3g} times as much)" if np.isfinite(margins[shown]) else ""
    off = "" if np.isnan(error) else f"; off by {error:.3g}, allowed {limit[shown]:.3g}{of_allowed}"
    said = numbers(shown) if numbers else f"got {got[shown]:.9g}, expected {want[shown]:.9g}"
    failure = Failed(f"{where(shown)}: {said}{off}; {len(wrong)} of {got.size} elements compared are wrong{first}")
    failure.margin = worst
    raise failure
