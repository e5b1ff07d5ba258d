"""Causes: failures of earlier requirements, which may explain a later one's failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.engine.compare import Failed
from conformance.engine.pattern import Pattern
from conformance.engine.subject import Subject

GROSS = 1000.0  # a failure that is so many times as wrong as another is no consequence of it


@dataclass(frozen=True)
class Cause:
    """A requirement that failed on the same subject."""

    requirement: str
    faults: tuple[str, ...] = ()
    """The known faults that give the backend's own numbers."""
    raised: str = ""
    """The exception of the failing call without its numbers; empty if nothing was raised."""
    margin: float | None = None
    """The largest error as a fraction of the allowed one; None if no numbers were compared."""
    depends: bool = False
    """Whether the failing call alone passes, so that the failure depends on earlier calls."""
    carries: bool = False
    """Whether an object of the backend carries something from one call to the next."""
    pattern: Pattern | None = None
    """What the calls have in common whose wrong numbers no known fault gives; None for another failure."""
    direct: bool = True
    """Whether the requirement in question builds on this one, or on one that this one explains."""

    def is_exceeded_by(self, margin: float | None) -> bool:
        """Return whether a failure with a margin is so much more wrong that this cause cannot explain it."""
        if self.margin is None or margin is None or self.margin >= GROSS:
            return False
        return margin >= GROSS * max(self.margin, 1.0)


class Causes(Sequence[Cause]):
    """The earlier failures that may explain a failure, asked for once, where the first example fails.

    A check that passes need not know of them, and so need not wait for the earlier checks.
    """

    def __init__(self, ask: Callable[[], Sequence[Cause]]) -> None:
        self._ask = ask
        self._found: tuple[Cause, ...] | None = None

    def _asked(self) -> tuple[Cause, ...]:
        if self._found is None:  # no cached_property, which before Python 3.12 is locked for all objects of the class
            self._found = tuple(self._ask())
        return self._found

    def __len__(self) -> int:
        return len(self._asked())

    def __getitem__(self, place: Any) -> Any:
        return self._asked()[place]


class Excuse:
    """No excuse: no requirement failed before. Subclasses know of earlier failures."""

    def of_trial(self, check: Any, trial: Any, failure: Failed) -> Cause | None:
        """Return the cause that explains a trial's failure of a check, or None."""
        return None

    def of_replay(
        self,
        failure: Failed,
        replay: Callable[[Subject], Failed | None],
        calls: Callable[[], Sequence[Any]] = tuple,
    ) -> Cause | None:
        """Return the cause that explains the failure of a fixed procedure, or None.

        ``replay(subject)`` returns the failure of another subject, or None if that passes. ``calls()`` returns the
        calls of the procedure.
        """
        return None


NO_EXCUSE = Excuse()
