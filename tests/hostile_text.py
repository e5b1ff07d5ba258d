# ruff: noqa: E501  one backend on a line
"""Backends whose exceptions, names, versions or claims are hostile to what shows them."""

from __future__ import annotations

import enum
import os

import numpy as np
import pytest
from hypothesis.errors import UnsatisfiedAssumption

from conformance import Features, Unsupported
from conformance.backends.oracle import OracleBackend
from conformance.engine.compare import Failed
from tests.hostile_kinds import PASSED, REFUSED, Hostile, Of


class NoText(Exception):
    def __str__(self):
        raise ValueError("no text")


class NumberForText(Exception):
    def __str__(self):
        return 3


class NoRepr(Exception):
    def __repr__(self):
        raise ValueError("no repr")


class Object:
    """An object whose text is not to be had."""

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def raises(error):
    """Return a function that makes a backend whose forward raises the exception."""

    def forward(found):
        raise error

    return lambda: Of(forward)


class Lying(Exception):
    """An exception that says it is a refusal."""

    @property
    def __class__(self):
        return Unsupported


def with_notes_that_are_none():
    error = RuntimeError("why")
    error.__notes__ = 5
    return error


def chained():
    """Return the last of 20,000 exceptions, each the cause of the next one."""
    error = None
    for number in range(20_000):
        following = RuntimeError(number)
        following.__cause__ = error
        error = following
    return error


def cycle():
    """Return an exception that is its own cause, by way of another one."""
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def recursion(found):
    return recursion(found)


def named(name, version="1"):
    """Return a function that makes a failing backend of that name and version."""

    def made():
        def forward(found):
            raise RuntimeError("no kernel")

        backend = Of(forward)
        backend.name, backend.version = name, version
        return backend

    return made


def claiming(**claims):
    """Return a function that makes an oracle with these claims."""
    return lambda: type("Claiming", (OracleBackend,), {"features": Features(**claims), "name": "claiming"})()


def with_attribute(**attributes):
    """Return a function that makes an oracle of a class with these attributes."""
    return lambda: type("Odd", (OracleBackend,), {"name": "odd", **attributes})()


class Kind(enum.StrEnum):
    GRU = "gru"


def property_that_raises():
    def raising(self):
        raise NoText

    return property(raising)


FORWARD = "forward raised"
BANK = (
    Hostile("an exception that clears the screen", raises(RuntimeError("\x1b[2Jgone")), r"RuntimeError: \x1b[2Jgone"),
    Hostile("one with a NUL", raises(RuntimeError("a\x00b")), r"RuntimeError: a\x00b"),
    Hostile("one with a lone surrogate", raises(RuntimeError(os.fsdecode(b"mod\xe8le"))), r"mod\udce8le"),
    Hostile("one that changes the direction of writing", raises(RuntimeError("\u202etxt.exe")), r"\u202etxt.exe"),
    Hostile("one of 10 MB", raises(RuntimeError("x" * 10**7)), f"RuntimeError: {'x' * 50}"),
    Hostile("one of 100,000 lines", raises(RuntimeError("line\n" * 10**5)), "RuntimeError: line line line"),
    Hostile("one with the quotes of a docstring", raises(RuntimeError('"""\nimport os\\')), '""" import os'),
    Hostile("one that has no text", raises(NoText()), "no text, because its __str__ raises ValueError"),
    Hostile("one whose text is a number", raises(NumberForText()), "no text, because its __str__ raises TypeError"),
    Hostile("one whose repr raises", raises(NoRepr("why")), f"{FORWARD} NoRepr: why"),
    Hostile("one without a word", raises(RuntimeError()), f"{FORWARD} RuntimeError: no message"),
    Hostile("one of a class with a name of two lines", raises(type("A\x1b\nB", (Exception,), {})("why")),
            r"raised A\x1b"),
    Hostile("one that is its own cause", raises(cycle()), f"{FORWARD} RuntimeError: one"),
    Hostile("a group of exceptions", raises(ExceptionGroup("all", [ValueError(1)] * 3)), f"{FORWARD} ExceptionGroup"),
    Hostile("endless recursion", lambda: Of(recursion), f"{FORWARD} RecursionError: maximum recursion depth"),
    Hostile("MemoryError", raises(MemoryError()), f"{FORWARD} MemoryError"),
    Hostile("StopIteration", raises(StopIteration(3)), f"{FORWARD} StopIteration: 3"),
    Hostile("AssertionError", raises(AssertionError("x > 0")), f"{FORWARD} AssertionError: x > 0"),
    Hostile("SystemExit", raises(SystemExit("giving up")), f"{FORWARD} SystemExit: giving up"),
    Hostile("a warning, raised", raises(DeprecationWarning("old")), f"{FORWARD} DeprecationWarning: old"),
    Hostile("an exception with notes that are a number", raises(with_notes_that_are_none()), f"{FORWARD} RuntimeError: why"),
    Hostile("the last of 20,000 causes", raises(chained()), f"{FORWARD} RuntimeError: 19999"),
    Hostile("an exception that says it is a refusal", raises(Lying("l")), f"{FORWARD} Lying: l"),
    Hostile("Hypothesis's word that an example does not count", raises(UnsatisfiedAssumption("no")),
            f"{FORWARD} UnsatisfiedAssumption: no"),
    Hostile("pytest's word that a test is left out", raises(pytest.skip.Exception("no GPU")), f"{FORWARD} Skipped: no GPU"),
    Hostile("a failure of the suite's own class without a word", raises(Failed("")), "without a word of what is wrong"),
    Hostile("Unsupported of 10 MB for what it claims", raises(Unsupported("x" * 10**7)), "was refused though it is claimed"),
    Hostile("a name of 300 characters", named("x" * 300), f"{FORWARD} RuntimeError: no kernel"),
    Hostile("a name that a shell takes apart", named("my lib'; touch pasted; echo '"), "no kernel"),
    Hostile("a name with quotes of Python", named('"""\\'), "no kernel"),
    Hostile("a name of two lines with an escape", named("a\nb\x1b[2J\udce8"), "no kernel"),
    Hostile("a name of spaces", named("   "), "no kernel"),
    Hostile("no name", named(None), "no kernel"),
    Hostile("a number for a name", named(7), "no kernel"),
    Hostile("a name of slashes and dots", named("../../etc/x"), "no kernel"),
    Hostile("a backend's name of 10 MB", named("x" * 10**7), "no kernel"),
    Hostile("an object without text for a name", named(Object()), "no kernel"),
    Hostile("a version of 10 MB", named("plain", "v" * 10**7), "no kernel"),
    Hostile("a version that clears the screen", named("plain", "\x1b[2J"), "no kernel"),
    Hostile("a version that is no text", named("plain", ("1", b"\xff")), "no kernel"),
    Hostile("a version without text", named("plain", Object()), "no kernel"),
    Hostile("a name that raises", with_attribute(name=property_that_raises()), "cannot tell its name and features",
            comes=REFUSED),
    Hostile("claims that raise", with_attribute(features=property_that_raises()), "cannot tell its name and features",
            comes=REFUSED),
    Hostile("no claims", with_attribute(features=None), "its features are of type NoneType", comes=REFUSED),
    Hostile("claims in a dictionary", with_attribute(features={"kinds": "gru"}), "its features are of type dict",
            comes=REFUSED),
    Hostile("a kind that is none", claiming(kinds={"lsmt"}), "kinds: expected some of", comes=REFUSED),
    Hostile("kinds that are a number", claiming(kinds=3), "cannot be built (TypeError", comes=REFUSED),
    Hostile("a size beyond all memory", claiming(kinds="gru", hidden_sizes={10**30}), "hidden_sizes: expected integers",
            comes=REFUSED),
    Hostile("a boundary beyond all memory", claiming(kinds="gru", boundaries={10**12}), "boundaries: expected integers",
            comes=REFUSED),
    Hostile("a million names of kinds", claiming(kinds={f"k{n}" for n in range(10**5)}), "kinds: expected some of",
            comes=REFUSED),
    Hostile("members of an enumeration for kinds", claiming(kinds={Kind.GRU}), "", comes=PASSED),
    Hostile("NumPy's values for claims", claiming(kinds="gru", cells=np.False_, most_steps=np.int64(40)), "", comes=PASSED),
)  # fmt: skip
