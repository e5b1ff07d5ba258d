"""Causes: failures of earlier requirements, which may explain a later one's failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.engine.compare import Failed

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
    direct: bool = True
    """Whether the requirement in question builds on this one."""

    def is_exceeded_by(self, failure: Failed) -> bool:
        """Return whether a failure is so much more wrong that this cause cannot explain it."""
        known = self.margin is not None and failure.margin is not None and self.margin < GROSS
        return known and failure.margin >= GROSS * max(self.margin, 1.0)  # type: ignore[type-var,operator]  # known


class Excuse:
    """No excuse: no requirement failed before. Subclasses know of earlier failures."""

    def of_trial(self, check: Any, trial: Any, failure: Failed) -> Cause | None:
        """Return the cause that explains a trial's failure of a check, or None."""
        return None

    def of_replay(self, failure: Failed, replay: Callable[[Any], Failed | None]) -> Cause | None:
        """Return the cause that explains the failure of a fixed procedure, or None.

        ``replay(backend)`` returns the failure of another backend, or None if that passes.
        """
        return None


NO_EXCUSE = Excuse()
