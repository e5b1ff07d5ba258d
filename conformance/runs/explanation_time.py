"""The time that a run spends on explaining its failures."""

from __future__ import annotations

import threading
from math import inf
from typing import Any

SECONDS_OF_A_FAILURE = 20.0
FAILURES_OF_A_RUN = 6  # whose time a run has in all


class ExplanationTime:
    """The seconds for one failure, of those that a run has in all; the kinds of a run share them.

    Raises ValueError for another value than ``off``, a number above 0, or None for the default.
    """

    def __init__(self, given: Any = None) -> None:
        self.of_a_failure = _seconds(given)
        self._left = self.of_a_failure * FAILURES_OF_A_RUN
        self._lock = threading.Lock()

    @classmethod
    def endless(cls) -> ExplanationTime:
        """Return the time of a run that explains every failure to the end."""
        return cls(inf)

    def of_next(self) -> float:
        """Return the seconds for the next failure; 0 if none are left."""
        return max(0.0, min(self.of_a_failure, self._left))

    def spend(self, seconds: float) -> None:
        """Take seconds from those that are left."""
        with self._lock:
            self._left -= seconds


def _seconds(given: Any) -> float:
    if given is None:
        return SECONDS_OF_A_FAILURE
    if given == "off":
        return 0.0
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = 0.0
    if isinstance(given, bool) or not seconds > 0:
        raise ValueError("give off or a number of seconds above 0")
    return seconds
