"""Verdicts: the results of checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conformance.engine.cause import Cause
from conformance.engine.compare import Failed
from conformance.engine.pattern import Pattern


@dataclass
class Verdict:
    """The result of one check on one subject."""

    examples: int = 0
    """The number of examples judged."""
    margin: float | None = None
    """The largest error as a fraction of the allowed one; None where no numbers are compared."""
    steps: list[float] | None = None
    """The margin at each time step of the example with the largest margin."""
    failure: str = ""
    """How the check fails; empty if it passes."""
    raised: str = ""
    """The exception or the crash of the failing call without its numbers; empty if nothing was raised."""
    excused: int = 0
    """The number of failing examples that the failure of an earlier requirement explains."""
    cause: str = ""
    """That earlier requirement; empty if there is none."""
    elsewhere: int = 0
    """The number of failing examples in which more is wrong than what the requirement speaks of."""
    refused: int = 0
    """Of the excused examples, the number that raised as they did for the earlier requirement."""
    others: list[str] = field(default_factory=list)
    """The failures of further calls that fail in another way, each in words."""
    after: list[str] = field(default_factory=list)
    """The requirements whose calls of the same object must come first for the check to fail."""
    before: list[str] = field(default_factory=list)
    """The requirements whose checks must come first in the same process for the check to fail."""
    depends: bool = False
    """Whether the failing call alone passes, so that the failure depends on earlier calls."""
    carries: bool = False
    """Whether an object of the backend carries something from one call to the next: with a new object for each call
    the check passes."""
    call: dict[str, Any] | None = None
    """The failing call as data."""
    example: str = ""
    """The failing call in words."""
    note: str = ""
    """A remark on a check that passes."""
    diagnosis: list[dict[str, str]] = field(default_factory=list)
    """The known faults that give the backend's own numbers, best first: ``fault`` and ``explanation``."""
    more: int = 0
    """The number of further known faults that give them as well."""
    numeric: bool = True
    """Whether the numbers of the failing call are wrong."""
    common: str = ""
    """The calls and elements that are wrong, in words; empty if a fault explains the failure."""
    pattern: Pattern | None = None
    """What the calls have in common whose wrong numbers no known fault gives."""
    reproducer: str = ""
    """A standalone script."""
    explaining: float = 0.0
    """The seconds spent on explaining the failure."""
    replayed: str = ""
    """The result of replaying the example of a known failure, if there is one for this kind and dtype."""
    seed: int | None = None
    """The seed of the campaign's round that found the failure."""
    recalled: bool = False
    """Whether the failing example comes from the database."""
    known_failure: str = ""
    """The entry for a file of known failures, its reason and issue left open."""

    @property
    def passed(self) -> bool:
        """Whether the check passes."""
        return not self.failure

    def excuse(self, cause: Cause, failure: Failed) -> None:
        """Count a failing example that an earlier requirement's failure explains."""
        self.excused += 1
        raises = bool(failure.raised) and failure.raised == cause.raised
        self.refused += raises
        if not self.cause or not raises:
            self.cause = cause.requirement

    def fail(self, failure: Failed, call: Any) -> None:
        """Set the failure and its call, and the call that the law made of it if that one raised."""
        self.failure, self.raised, self.example = str(failure), failure.raised, repr(call)
        if failure.asked not in ("", self.example):
            self.example += f"; of the calls that the requirement makes of it this one raises: {failure.asked}"
