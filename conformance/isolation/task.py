"""The messages between the run and a backend's processes: tasks, and the description of a backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from conformance.engine.profiles import Profile


@dataclass(frozen=True)
class Task:
    """A check, named by its requirement and its number among the requirement's checks, and its subject and settings."""

    specification: str
    requirement: str
    number: int
    kind: str
    dtype: str
    profile: Profile
    seed: int
    careful: bool = False
    """Whether each example runs in a separate process, so that a crashing example can be shrunk."""
    example: dict[str, Any] | None = None
    """The example of a known failure."""
    database: bool = False
    """Whether the run has a database of examples."""
    alone: bool = False
    """Whether the process only puts the example, or without one the drawn calls, to the check, and explains nothing."""
    after: tuple[str, ...] = ()
    """The requirements whose laws call the example's object first."""
    before: tuple[str, ...] = ()
    """The requirements whose checks run first."""
    explaining: float = math.inf
    """The seconds for explaining a failure."""


class Question:
    """What a worker is asked besides checks: a value that is sent to it and answers there."""

    def answer(self, backend: Any, watch: Callable[[str], AbstractContextManager[object]]) -> Any:
        """Return the answer, a dataclass made in the worker; ``watch(what)`` surrounds every call of the backend."""
        raise NotImplementedError

    def read(self, data: Any) -> Any:
        """Make the answer from its JSON data. Raises BadMessage."""
        raise NotImplementedError


@dataclass(frozen=True)
class Description:
    """A backend's description of itself.

    It has the claims by the name of the specification, which cross as JSON data.
    """

    name: str
    version: str
    claims: dict[str, Any]
    forks: bool


class RemoteBackend:
    """The run's stand-in for a backend in another process, with the claims for one specification."""

    def __init__(self, name: str, version: str, features: Any, asked_as: str = "") -> None:
        self.name, self.version, self.features, self.asked_as = name, version, features, asked_as

    def snippet(self, call: Any) -> str | None:
        """Return None: the adapter is in the other process."""
        return None
