"""Findings: a run's results, each for one requirement, backend, kind and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from conformance.engine.key import Key

HUNG_BEFORE = "hung before"
"""The end of the first line of a blocked finding whose backend hung too often."""


class Status(StrEnum):
    """The statuses of a finding, as reports write them."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """It was not run, because a prerequisite failed or the backend hung too often."""
    KNOWN_FAILURE = "known_failure"
    NOT_CLAIMED = "not_claimed"


@dataclass(frozen=True)
class Finding:
    """The result of one requirement put to one subject."""

    requirement: str
    backend: str
    kind: str
    dtype: str
    specification: str
    status: Status
    examples: int = 0
    """The number of examples judged."""
    margin: float | None = None
    """The largest error as a fraction of the allowed one; None where no numbers are compared."""
    message: str = ""
    """The failure in words for the adapter's author; a remark where the requirement passes."""
    diagnosis: tuple[dict[str, str], ...] = ()
    """The known departures that give the backend's own numbers, best first: ``fault`` and ``explanation``."""
    reproducer: str | None = None
    """The path of a script that shows the failure."""
    steps: tuple[float, ...] | None = None
    """The margin at each time step of the example with the largest margin."""
    seconds: float = 0.0
    prerequisite: str = ""
    """The failed requirement that explains this failure, or for which this requirement was not run."""
    also: bool = False
    """Whether it failed although a requirement that it builds on failed, which does not explain it."""

    @classmethod
    def at(cls, key: Key, status: Status, **fields: Any) -> Finding:
        """Make the finding of a key; ``fields`` are its other fields by name."""
        return cls(key.requirement, key.backend, key.kind, key.dtype, key.specification, status, **fields)

    @property
    def key(self) -> Key:
        """The requirement and the subject."""
        return Key(self.requirement, self.backend, self.kind, self.dtype, self.specification)

    @property
    def departs(self) -> bool:
        """Whether the backend failed, so that this failure may explain others.

        Such a failure has a reproducer. A known failure that passes now and an error of the suite do not.
        """
        return self.status is Status.FAILED and self.reproducer is not None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        return dict(vars(self))

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Finding:
        """Invert ``as_json``."""
        steps = data["steps"]
        found = {"status": Status(data["status"]), "diagnosis": tuple(data["diagnosis"])}
        return cls(**{**data, **found, "steps": None if steps is None else tuple(steps)})
