"""Findings: what a run says of one requirement, for one backend, kind and dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from conformance.engine.key import Key


class Status(StrEnum):
    """The statuses of a finding, as reports write them."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    """Not run because a prerequisite failed, or because the backend hung too often."""
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
    """The largest error as a fraction of what is allowed; None where no numbers are compared."""
    message: str = ""
    """What a failing implementer reads; a remark where the requirement passes."""
    diagnosis: tuple[dict[str, str], ...] = ()
    """The known departures that give the backend's own numbers, best first: ``fault`` and ``explanation``."""
    reproducer: str | None = None
    """The path of a script that shows the failure."""
    steps: tuple[float, ...] | None = None
    """The margin at each time step of the example with the largest margin."""
    seconds: float = 0.0
    prerequisite: str = ""
    """The failed prerequisite for which the requirement was not run."""

    @property
    def key(self) -> Key:
        """What was put to whom."""
        return Key(self.requirement, self.backend, self.kind, self.dtype, self.specification)

    @property
    def departs(self) -> bool:
        """Whether it is a failure of the backend, so that what builds on the requirement says nothing.

        Such a failure has a reproducer; a known failure that passes now and a broken suite have none.
        """
        return self.status is Status.FAILED and self.reproducer is not None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Finding:
        """Invert ``as_json``."""
        steps = data["steps"]
        found = {"status": Status(data["status"]), "diagnosis": tuple(data["diagnosis"])}
        return cls(**{**data, **found, "steps": None if steps is None else tuple(steps)})
