"""What crosses between the run and a backend's processes: tasks, and what a backend says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance.engine.profiles import Profile


@dataclass(frozen=True)
class Task:
    """A check, by its requirement and its number among the checks that decide it, and what it is put to."""

    specification: str
    requirement: str
    number: int
    kind: str
    dtype: str
    profile: Profile
    seed: int
    careful: bool = False
    """Whether each example is judged in a separate process, so that one that ends it can be made smaller."""
    example: dict[str, Any] | None = None
    """The example of a known failure."""
    database: bool = False
    """Whether the run has a database of examples."""


@dataclass(frozen=True)
class Description:
    """What a backend says of itself: plain data, and its claims by the name of the specification."""

    name: str
    version: str
    claims: dict[str, Any]
    forks: bool


class RemoteBackend:
    """What the run knows of a backend that lives in another process, as one specification calls it."""

    def __init__(self, name: str, version: str, features: Any, asked_as: str = "") -> None:
        self.name, self.version, self.features, self.asked_as = name, version, features, asked_as

    def snippet(self, call: Any) -> str | None:
        """Return None: what the adapter knows is in the other process."""
        return None
