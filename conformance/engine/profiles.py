"""Profiles: how hard the suite looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """The number of examples for each check and of attempts to shrink a failure, and whether every run is alike.

    Attempts are counted, not timed, so that the same failure reads the same on every machine.
    """

    name: str
    examples: int
    shrink_attempts: int
    derandomize: bool = True


PROFILES = {
    p.name: p
    for p in (
        Profile("smoke", 3, 60),
        Profile("quick", 6, 150),
        Profile("standard", 50, 400),
        Profile("thorough", 1000, 5000, derandomize=False),
    )
}
DEFAULT_PROFILE = "standard"
