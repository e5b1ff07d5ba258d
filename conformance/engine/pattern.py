"""Patterns of the failing calls of a requirement, as data that a run's processes exchange."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Attributes = Mapping[str, Any]
"""Booleans and integers by name: the attributes of a call, a step, a sample, a unit."""

COMPARED = {"=": operator.eq, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}


def sign(a: int, b: int) -> int:
    """Return 1 if a is above b, -1 if it is below, 0 if they are equal."""
    return (a > b) - (a < b)


@dataclass(frozen=True)
class Test:
    """A test of an item's attributes. An item that lacks an attribute fails it."""

    __test__ = False  # pytest takes classes of this name for tests

    op: str
    """A key of COMPARED: the attribute is compared with ``number``. ``related``: the sign of its difference from the
    attribute ``other`` is among ``among``. ``remainder``: what it leaves modulo ``number`` is among ``among``."""
    name: str
    number: int = 0
    other: str = ""
    among: list[int] = field(default_factory=list)
    negated: bool = False

    def __call__(self, item: Attributes) -> bool:
        """Return whether an item passes the test."""
        return self._holds(item) != self.negated

    def _holds(self, item: Attributes) -> bool:
        value = item.get(self.name)
        if value is None:
            return False
        if self.op == "related":
            return self.other in item and sign(value, item[self.other]) in self.among
        if self.op == "remainder":
            return self.number > 0 and value % self.number in self.among
        return self.op in COMPARED and COMPARED[self.op](value, self.number)


@dataclass(frozen=True)
class Condition:
    """A condition of items: its words, which follow "with", and the tests of which all or one must hold."""

    words: str
    tests: list[Test]
    every: bool = True
    """Whether all of the tests must hold; otherwise one is enough."""

    def __str__(self) -> str:
        return self.words

    def holds(self, item: Attributes) -> bool:
        """Return whether an item meets the condition."""
        found = (test(item) for test in self.tests)
        return all(found) if self.every else any(found)


@dataclass(frozen=True)
class Pattern:
    """A pattern of failing calls: their condition, and the numbers of calls that meet it or do not.

    ``missed`` failing calls do not meet the condition, ``others`` of the passing ones do; one of the two is 0. All
    failing calls meet ``also`` too, which separates no more calls.
    """

    failing: int
    passing: int
    condition: Condition | None = None
    how: str = ""
    """How the plain calls fail: with wrong numbers, or with which wrong result."""
    form: str = ""
    """The name of the calls' form."""
    missed: int = 0
    others: int = 0
    also: Condition | None = None

    @property
    def exact(self) -> bool:
        """Whether the condition holds for the failing calls and for no other."""
        return self.condition is not None and not self.missed and not self.others

    def predicts(self, item: Attributes) -> bool:
        """Return whether a call with these attributes fails; without a condition whether most calls do."""
        return self.failing > self.passing if self.condition is None else self.condition.holds(item)

    def words(self, calls: str = "drawn calls", fail: str = "are wrong", fails: str = "is wrong") -> str:
        """Return the pattern as a sentence; ``fail`` and ``fails`` are the verb for several calls and for one."""
        if not self.failing:
            return f"of {self.passing} {calls} none {fails}"
        if not self.passing:
            return f"all {calls} {fail}"
        numbers = f"{self.failing} of {self.failing + self.passing} {calls} {fails if self.failing == 1 else fail}"
        if self.condition is None:
            return f"{numbers}, and no simple condition tells them from the others"
        also = f", all of them with {self.also}" if self.also else ""
        if self.missed:
            return f"{numbers}: all calls with {self.condition}, and {self.missed} more"
        if self.others:
            has = "has" if self.others == 1 else "have"
            return f"{numbers}, all with {self.condition}, which {self.others} of the others {has} as well"
        return f"{numbers}, those and no others with {self.condition}{also}"
