"""What the plugin does for runs that explore: the database of examples, campaigns, HypoFuzz."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(".conformance", "examples")  # of the database of a campaign that is given none


def add_options(group: pytest.OptionGroup) -> None:
    """The options of runs that explore."""
    group.addoption(
        "--example-database",
        metavar="PLACE",
        default=None,
        help="with the profile thorough: keep failing examples in this directory or in redis://HOST:PORT/DB, and "
        "replay first those that are there, whoever found them",
    )
    group.addoption(
        "--campaign-time",
        metavar="TIME",
        default=None,
        help="with the profile thorough: go through all requirements in rounds, each with a new seed, for 90s, 30m, "
        "8h; 0s reports what --campaign-state holds",
    )
    group.addoption(
        "--campaign-state",
        metavar="DIR",
        default=None,
        help="keep what the campaign finds there as it goes, and go on with what is there; processes may share it",
    )


def prepare(run: Any) -> Callable[[], Any] | None:
    """Open the database, set the profile; of a campaign, what makes it once there are backends. Raises UsageError."""
    option = run.config.getoption
    place, lasting, state = map(option, ("--example-database", "--campaign-time", "--campaign-state"))
    if place is None and lasting is None and state is None:
        return None
    from conformance.campaign.campaign import EXAMPLES, Campaign, duration
    from conformance.campaign.hypofuzz import use
    from conformance.campaign.journal import OfAnother

    if run.profile.derandomize and not under_hypofuzz():
        raise pytest.UsageError(
            f"--example-database and campaigns explore, and {run.profile.name} gives every run of a commit the same "
            "examples: add --hypothesis-profile thorough."
        )
    if state is not None and lasting is None:
        raise pytest.UsageError("--campaign-state: say with --campaign-time how long the campaign lasts.")
    if lasting is not None and (option("numprocesses", None) or hasattr(run.config, "workerinput")):
        raise pytest.UsageError(
            "--campaign-time: a campaign is one process; start several with the same --campaign-state or "
            "--example-database instead of -n."
        )
    try:
        seconds = None if lasting is None else duration(lasting)
    except ValueError as error:
        raise pytest.UsageError(f"--campaign-time {error}") from None
    folder = None if state is None else Path(state)
    run.database = _database(place, folder)
    if under_hypofuzz():
        use(run.database.shared)
    if seconds is None:
        return None
    if option("--conformance-examples") is None:
        run.profile = replace(run.profile, examples=EXAMPLES)

    def campaign() -> Campaign:
        try:
            return Campaign(run, seconds, folder)
        except (OfAnother, OSError) as error:
            raise pytest.UsageError(f"--campaign-state: {error}") from None

    return campaign


def _database(place: str | None, folder: Path | None):
    from conformance.campaign.example_database import Kept, Unusable, opened

    own = PLACE if folder is None else folder / "examples"
    try:
        return Kept(place or str(own), opened(str(own)) if place and folder else None)
    except Unusable as error:
        raise pytest.UsageError(f"--example-database {error}") from None


def again(run: Any, verdict: Any) -> str:
    """The options with which a failure is found again, beside backend, profile and test."""
    from conformance.engine.check import PROFILES

    if verdict.recalled:
        return f" --example-database {run.database.place}"
    if run.profile.derandomize:
        return ""
    seed = f" --conformance-seed {run.seed if verdict.seed is None else verdict.seed}"
    examples = run.profile.examples
    return seed if examples == PROFILES[run.profile.name].examples else f"{seed} --conformance-examples {examples}"


def run_campaign(config: pytest.Config, campaign: Any, jobs: dict, told: Callable[[Any, Any], str]) -> None:
    """The rounds, before pytest asks for each requirement's verdict."""
    capture = config.pluginmanager.getplugin("capturemanager")
    drop = capture.read_global_capture if capture.is_globally_capturing() else lambda: None
    campaign.go(jobs, config.pluginmanager.getplugin("terminalreporter"), told, drop)


def warn(item: pytest.Item, database: Any) -> None:
    """Tell once that the database failed, in pytest's summary of warnings and never as an error."""
    if database is None or not (problem := database.news()):
        return
    message = warnings.WarningMessage(pytest.PytestWarning(problem), pytest.PytestWarning, "", 0)
    told = {"warning_message": message, "when": "runtest", "nodeid": item.nodeid, "location": None}
    item.ihook.pytest_warning_recorded.call_historic(kwargs=told)


def under_hypofuzz() -> bool:
    """Whether HypoFuzz collects or runs these tests."""
    detection = sys.modules.get("hypofuzz.detection")
    return detection is not None and detection.in_hypofuzz_run()


class Fuzzed(pytest.Function):
    """A test under HypoFuzz, which makes the key of its examples of this name: here one without paths."""

    @property
    def nodeid(self) -> str:
        return str(self.callspec.params["trial"])


def make_fuzzable(items: list[pytest.Item]) -> None:
    """Make the tests of the suite ones that HypoFuzz collects; it leaves the others out."""
    from conformance.campaign.hypofuzz import fuzzable

    for item in items:
        job = item.callspec.params.get("trial") if hasattr(item, "callspec") else None
        if job is not None and (test := fuzzable(job)) is not None:
            item.__class__, item.obj = Fuzzed, test
            item.add_marker("hypothesis")
