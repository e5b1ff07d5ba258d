"""The options of exploring runs: a database of examples, campaigns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.campaign.campaign import EXAMPLES_PER_CHECK, Campaign, duration
from conformance.campaign.example_database import ResilientDatabase, Unusable, opened
from conformance.campaign.hypofuzz import under_hypofuzz, use
from conformance.campaign.journal import OfAnother
from conformance.runs.session import Session
from conformance.runs.settings import Settings, UsageError

PLACE = Path(".conformance", "examples")  # of a campaign's database by default


@dataclass(frozen=True)
class Exploration:
    """The database of an exploring run; a campaign also has a duration, and a folder or None."""

    database: ResilientDatabase
    seconds: float | None = None
    folder: Path | None = None

    def campaign(self, session: Session) -> Campaign | None:
        """Return the campaign of a session; None for a run that is no campaign. Raises UsageError."""
        if self.seconds is None:
            return None
        try:
            return Campaign(session, self.seconds, self.folder)
        except (OfAnother, OSError) as error:
            raise UsageError(f"--campaign-state: {error}") from None


def explored(
    settings: Settings, option: Callable[[str], Any], several_processes: bool
) -> tuple[Settings, Exploration | None]:
    """Return the settings and the Exploration of a run with these options of the command line. Raises UsageError.

    ``several_processes`` says that pytest-xdist distributes the tests.
    """
    place, lasting, state = map(option, ("--example-database", "--campaign-time", "--campaign-state"))
    if place is None and lasting is None and state is None:
        return settings, None
    if settings.profile.derandomize and not under_hypofuzz():
        raise UsageError(
            f"--example-database and campaigns explore, and {settings.profile.name} gives every run of a commit the "
            "same examples: add --hypothesis-profile thorough."
        )
    if state is not None and lasting is None:
        raise UsageError("--campaign-state: say with --campaign-time how long the campaign lasts.")
    if lasting is not None and several_processes:
        raise UsageError(
            "--campaign-time: a campaign is one process; start several with the same --campaign-state or "
            "--example-database instead of -n."
        )
    try:
        seconds = None if lasting is None else duration(lasting)
    except ValueError as error:
        raise UsageError(f"--campaign-time {error}") from None
    folder = None if state is None else Path(state)
    database = _database(place, folder)
    if under_hypofuzz():
        use(database.shared)
    if seconds is not None and option("--conformance-examples") is None:
        settings = settings.with_examples(EXAMPLES_PER_CHECK)
    return settings, Exploration(database, seconds, folder)


def _database(place: str | None, folder: Path | None) -> ResilientDatabase:
    own = PLACE if folder is None else folder / "examples"
    try:
        return ResilientDatabase(place or str(own), opened(str(own)) if place and folder else None)
    except Unusable as error:
        raise UsageError(f"--example-database {error}") from None
