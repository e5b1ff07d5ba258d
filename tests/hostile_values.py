# ruff: noqa: E501  one backend on a line
"""Backends that return what is no result."""

from __future__ import annotations

import itertools
import tempfile
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np

from tests.hostile_kinds import PASSED, Hostile, output, parameters, result


class Subclass(np.ndarray):
    """An array that says of every comparison that it holds."""

    def __array_function__(self, function, types, args, kwargs):
        return True


class Raising:
    """An object that raises wherever it is touched."""

    def touched(self, *arguments):
        raise LookupError("touched")

    output = h_n = c_n = property(touched)
    __len__ = __iter__ = __getitem__ = __bool__ = __eq__ = __str__ = __repr__ = touched
    __hash__ = None


class Duck:
    """An object with the attributes of an array."""

    def __init__(self, array):
        self.shape, self.dtype, self.ndim, self.size = array.shape, array.dtype, array.ndim, array.size


class Convertible:
    """An object that becomes an array when NumPy asks."""

    def __init__(self, array):
        self.array = array

    def __array__(self, *arguments, **keywords):
        return self.array


class Endless:
    """A sequence without an end."""

    def __len__(self):
        return 2

    def __iter__(self):
        return itertools.repeat(np.zeros(1))


async def later(found):
    return found


def masked(array):
    return np.ma.masked_array(np.zeros_like(array), mask=True)


def mapped(array):
    """Return the array in a file that is mapped into memory, as NumPy's own subclass."""
    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, array.dtype, "w+", shape=array.shape)
    found[...] = array
    return found


def unaligned(array):
    """Return the array at an address that its numbers do not divide."""
    return np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:].view(array.dtype).reshape(array.shape)


class AnotherEachTime:
    """A result with another output at every second reading."""

    def __init__(self, result):
        self.result, self.h_n, self.c_n, self.read = result, result.h_n, None, 0

    @property
    def output(self):
        self.read += 1
        return self.result.output if self.read % 2 else self.result.output + 1


def structured(array):
    return array.view([("number", array.dtype)])


def swapped(array):
    return array.view("u4").byteswap().view(array.dtype)


PLAIN = "expected a NumPy array"
BANK = (
    Hostile("a masked array", output(masked), "output: got a masked array"),
    Hostile("a masked h_n", result(lambda r: r._replace(h_n=masked(r.h_n))), "h_n: got a masked array", "SHAPE-H-N"),
    Hostile("masked parameters", parameters(lambda p: {n: masked(a) for n, a in p.items()}), "got a masked array",
            "PARAM-VALUES"),
    Hostile("a subclass that equals everything", output(lambda a: a.view(Subclass)), "got Subclass, a subclass"),
    Hostile("a record array", output(lambda a: structured(a).view(np.recarray)), "got recarray, a subclass"),
    Hostile("an array of objects", output(lambda a: a.astype(object)), "got dtype object, expected numbers"),
    Hostile("a structured array", output(structured), "expected numbers"),
    Hostile("an array of texts", output(lambda a: a.astype("U9")), "got dtype <U9, expected numbers"),
    Hostile("an array of bytes", output(lambda a: a.astype("S9")), "got dtype |S9, expected numbers"),
    Hostile("an array of booleans", output(lambda a: a > 0), "got dtype bool, expected numbers"),
    Hostile("complex numbers", output(lambda a: a.astype(complex)), "got dtype complex128, expected numbers"),
    Hostile("dates", output(lambda a: a.astype("i8").astype("M8[s]")), "got dtype datetime64[s], expected numbers"),
    Hostile("spans of time", output(lambda a: a.astype("i8").astype("m8[s]")), "expected numbers"),
    Hostile("integers", output(lambda a: a.astype(int)), "got dtype int64, expected float32", "SHAPE-DTYPE"),
    Hostile("a wider format", output(lambda a: a.astype(np.longdouble)), "expected float32", "SHAPE-DTYPE"),
    Hostile("a dtype of the other byte order", output(lambda a: a.astype(">f4")), "got dtype >f4, expected float32",
            "SHAPE-DTYPE"),
    Hostile("bytes in the other order", output(swapped), "with the bytes of each number in the other order it is right",
            "GRU-EQUATION"),
    Hostile("a list of lists", output(lambda a: a.tolist()), f"output: got list, {PLAIN}"),
    Hostile("a tuple", output(tuple), f"output: got tuple, {PLAIN}"),
    Hostile("None", output(lambda a: None), f"output: got NoneType, {PLAIN}"),
    Hostile("a number of Python's", output(lambda a: 0.5), f"output: got float, {PLAIN}"),
    Hostile("a NumPy number", output(lambda a: a.ravel()[0]), f"output: got float32, {PLAIN}"),
    Hostile("a text", output(str), f"output: got str, {PLAIN}"),
    Hostile("a view of memory", output(memoryview), f"output: got memoryview, {PLAIN}"),
    Hostile("an object with shape and dtype", output(Duck), f"output: got Duck, {PLAIN}"),
    Hostile("an object that becomes an array", output(Convertible), f"output: got Convertible, {PLAIN}"),
    Hostile("an object that raises wherever it is touched", output(lambda a: Raising()), f"got Raising, {PLAIN}"),
    Hostile("no axes", output(lambda a: np.zeros((), a.dtype)), "got shape ()"),
    Hostile("thirty axes", output(lambda a: a.reshape(*a.shape, *[1] * 27)), "expected shape"),
    Hostile("no numbers", output(lambda a: a[:0]), "expected shape"),
    Hostile("NaN everywhere", output(lambda a: a * np.nan), "got nan", "GRU-EQUATION"),
    Hostile("infinity everywhere", output(lambda a: a + np.inf), "got inf", "GRU-EQUATION"),
    Hostile("a read-only array", output(lambda a: a.copy().view() if a.setflags(write=False) is None else a), "",
            comes=PASSED),
    Hostile("an array with gaps", output(lambda a: np.repeat(a, 2, -1)[..., ::2]), "", comes=PASSED),
    Hostile("an array at an odd address", output(unaligned), "", comes=PASSED),
    Hostile("a dtype with metadata", output(lambda a: a.astype(np.dtype(a.dtype, metadata={"of": "mine"}))), "", comes=PASSED),
    Hostile("an array of 36 TiB that takes 4 bytes", output(lambda a: np.broadcast_to(a.ravel()[0], (10**6, 10**7))),
            "forward raised MemoryError: Unable to allocate 36.4 TiB"),
    Hostile("a parameter of 36 TiB that takes 4 bytes", parameters(lambda p: p | {"weight_ih_l0": np.broadcast_to(np.float32(0), (10**6, 10**7))}),
            "weight_ih_l0: got shape (1000000, 10000000)", "PARAM-VALUES"),
    Hostile("a file mapped into memory", output(mapped), "got memmap, a subclass"),
    Hostile("a mock as the whole result", result(lambda r: MagicMock()), f"output: got MagicMock, {PLAIN}"),
    Hostile("another output each time it is read", result(AnotherEachTime), "elements compared are wrong", "GRU-EQUATION"),
    Hostile("None as the whole result", result(lambda r: None), "forward returned NoneType, expected a Result"),
    Hostile("one array as the whole result", result(lambda r: r.output), "forward returned ndarray"),
    Hostile("a tuple of one", result(lambda r: (r.output,)), "forward returned tuple"),
    Hostile("a dictionary", result(lambda r: r._asdict()), "forward returned dict"),
    Hostile("a result that raises wherever it is touched", result(lambda r: Raising()), "forward raised LookupError: touched"),
    Hostile("a namespace without h_n", result(lambda r: SimpleNamespace(output=r.output)), "forward returned SimpleNamespace"),
    Hostile("a sequence without an end", result(lambda r: Endless()), "forward returned Endless"),
    Hostile("a coroutine", result(later), "forward returned coroutine"),
    Hostile("a generator", result(lambda r: (a for a in r)), "forward returned generator"),
    Hostile("an exception, returned", result(lambda r: ValueError("here")), "forward returned ValueError"),
    Hostile("None for parameters", parameters(lambda p: None), "parameters returned NoneType", "PARAM-VALUES"),
    Hostile("parameters as a list", parameters(lambda p: list(p.values())), "parameters returned list", "PARAM-VALUES"),
    Hostile("parameters by number", parameters(lambda p: dict(enumerate(p.values()))), "weight_ih_l0: got None", "PARAM-VALUES"),
    Hostile("a parameter's name of 10 MB", parameters(lambda p: p | {"x" * 10**7: np.zeros(1)}), "superfluous ['xxx", "PARAM-NAMES"),
    Hostile("ten thousand parameters", parameters(lambda p: p | {f"x{n}": np.zeros(1) for n in range(10_000)}), "superfluous ['x0', 'x1'",
            "PARAM-NAMES"),
    Hostile("parameters that raise", parameters(lambda p: Raising()), "parameters returned Raising", "PARAM-VALUES"),
    Hostile("one parameter that raises", parameters(lambda p: p | {"weight_ih_l0": Raising()}), "got Raising",
            "PARAM-VALUES"),
)  # fmt: skip
