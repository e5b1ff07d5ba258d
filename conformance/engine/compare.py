"""The single comparison and its message: what came, what should have come, where, and what was allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from reference.parameters import GATES

NEAR = 0.5  # a margin from which on few replicas are not trusted


class Failed(AssertionError):
    """The backend departs from the documentation. The message says how, in words; margin how far, of numbers."""

    margin: float | None = None

    def __str__(self) -> str:
        return super().__str__() or "it failed without a word of what is wrong"


def describe_shape_or_kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"shape {value.shape}"
    return "None" if value is None else type(value).__name__


def require_plain(name: str, value: object) -> None:
    """Raise Failed unless the value is a NumPy array and nothing else.

    A subclass decides for itself what a comparison gives: numbers under a mask are equal to anything.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise Failed(f"{name}: got a masked array, expected a plain NumPy array: what is under a mask is no number")
    if not isinstance(value, np.ndarray):
        raise Failed(f"{name}: got {type(value).__name__}, expected a NumPy array")
    if type(value) is not np.ndarray:
        raise Failed(
            f"{name}: got {type(value).__name__}, a subclass of numpy.ndarray, expected a plain NumPy array: "
            "return numpy.array(value, subok=False)"
        )


def margin(got: np.ndarray, want: np.ndarray, allowed: np.ndarray, largest: float) -> np.ndarray:
    """The error at each element as a fraction of what is allowed there; infinite where nothing can allow it.

    A number beyond the largest of the format may come out as infinity of its sign.
    """
    with np.errstate(all="ignore"):
        error = np.abs(got - want)
        fraction = np.where(error == 0, 0.0, error / allowed)
        overflow = (np.abs(want) + allowed > largest) & np.isinf(got) & (np.sign(got) == np.sign(want))
        same = (got == want) | (np.isnan(got) & np.isnan(want)) | overflow
    return np.where(same, 0.0, np.where(np.isnan(fraction), np.inf, fraction))


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
    """Compare one array and return the largest margin; ``seen`` is handed those of all elements.

    ``numbers(index)`` puts the two numbers of an element into words, by default what came and what is expected.

    ``allowed(k)`` is the error allowed at each element by k replicas: what comes near it or seems beyond it
    is looked at again with more of them. Raises Failed, with the first wrong element in words, if it stays.
    """
    if want is None:
        if got is not None:
            raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected None")
        return 0.0
    if not isinstance(got, np.ndarray) or got.shape != want.shape:
        raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected shape {want.shape}")
    got = got.astype(np.float64)
    if np.array_equal(got, want, equal_nan=True):  # what the tolerance would be is of no matter then
        if seen is not None:
            seen(np.zeros_like(got))
        return 0.0
    for count in replicas:
        limit = allowed(count)
        margins = margin(got, want, limit, largest)
        worst = float(np.max(margins, initial=0.0))
        if worst <= NEAR:
            break
    if seen is not None:
        seen(margins)
    if worst <= 1:
        return worst
    wrong = np.argwhere(margins > 1)
    first = tuple(int(i) for i in wrong[0])
    error = abs(got[first] - want[first])
    of_allowed = f" ({margins[first]:.3g} times as much)" if np.isfinite(margins[first]) else ""
    said = numbers(first) if numbers else f"got {got[first]:.9g}, expected {want[first]:.9g}"
    failure = Failed(
        f"{where(first)}: {said}; off by {error:.3g}, "
        f"allowed {limit[first]:.3g}{of_allowed}; {len(wrong)} of {got.size} elements compared are wrong"
    )
    failure.margin = worst
    raise failure


def layer_place(config, unbatched: bool) -> Callable[[str, tuple[int, ...]], str]:
    """Says in words where an element of a layer's result is: layer, direction, step, sample, unit."""
    names = ("forward", "reverse") if config.bidirectional else ("forward",)

    def where(name: str, index: tuple[int, ...]) -> str:
        *lead, unit = index
        if name == "output":
            if unbatched:
                t, n = lead[0], 0
            else:
                t, n = reversed(lead) if config.batch_first else lead
            direction, unit = divmod(unit, config.output_size)
            layer = config.num_layers - 1
            place = f"step {t}, sample {n}, "
        else:
            layer, direction = divmod(lead[0], config.directions)
            place = "" if unbatched else f"sample {lead[1]}, "
        return f"layer {layer}, {names[direction]} direction, {place}unit {unit}"

    return where


def gradient_place(config, unbatched: bool) -> Callable[[str, tuple[int, ...]], str]:
    """Says in words where an element of a gradient is, that is of what the gradient is with respect to."""
    state_place, gates = layer_place(config, unbatched), GATES[config.kind]

    def where(name: str, index: tuple[int, ...]) -> str:
        *lead, last = index
        if name == "x":
            if unbatched:
                return f"step {lead[0]}, feature {last}"
            t, n = reversed(lead) if config.batch_first else lead
            return f"step {t}, sample {n}, feature {last}"
        if name in ("h_0", "c_0"):
            return state_place(name, index)
        if name.startswith("weight_hr"):
            return f"projected unit {lead[0]}, from unit {last}"
        gate, unit = divmod(index[0], config.hidden_size)
        row = f"gate {gates[gate]}, unit {unit}" if len(gates) > 1 else f"unit {unit}"
        return f"{row}, from input {last}" if lead else row

    return where


def cell_place(name: str, index: tuple[int, ...]) -> str:
    """Says in words where an element of a cell's result is."""
    *lead, unit = index
    return f"sample {lead[0]}, unit {unit}" if lead else f"unit {unit}"
