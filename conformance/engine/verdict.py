"""Verdicts: the results of checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from conformance.engine.compare import Failed


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
    example: str = ""
    """The failing call in words."""
    note: str = ""
    """A remark on a check that passes."""
    diagnosis: list[dict[str, str]] = field(default_factory=list)
    """The known faults that give the backend's own numbers, best first: ``fault`` and ``explanation``."""
    common: str = ""
    """The calls and elements that are wrong, in words; empty if a fault explains the failure."""
    reproducer: str = ""
    """A standalone script."""
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

    def fail(self, failure: Failed, call: Any) -> None:
        """Set the failure and its call."""
        self.failure, self.example = str(failure), repr(call)
