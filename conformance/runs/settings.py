"""The settings of a run, from pytest's options or from keywords. A wrong value raises an error of one sentence."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conformance import registry, specifications
from conformance.engine.files import STARTED_IN, working_folder
from conformance.engine.profiles import DEFAULT_PROFILE, PROFILES, Profile
from conformance.engine.specification import Specification
from conformance.isolation.pool import MAX_PROCESSES
from conformance.isolation.system import available, processors
from conformance.runs.explanation_time import ExplanationTime
from conformance.runs.shards import Shard
from reference.config import KINDS

ISOLATIONS = ("process", "none")
SEED_BOUND = 2**31
REPRODUCERS = STARTED_IN / ".conformance" / "reproducers"  # for runs without a report

# The options of a run: the keyword of ``conformance.run``, and the option of the command line.
FLAGS = {
    "profile": "--hypothesis-profile",
    "report": "--conformance-report",
    "known_failures": "--known-failures",
    "baseline": "--baseline",
    "shard": "--shard",
    "specification": "--specification",
    "kind": "--kind",
    "examples": "--conformance-examples",
    "seed": "--conformance-seed",
    "isolation": "--conformance-isolation",
    "timeout": "--conformance-timeout",
    "memory": "--conformance-memory",
    "processes": "--conformance-processes",
    "run_blocked": "--run-blocked",
    "diagnosis": "--diagnosis",
}
DEFAULT_TIMEOUT_SECONDS = 60.0


class UsageError(Exception):
    """Options or backends that cannot be used; the message is one sentence that says what to change."""


@dataclass(frozen=True)
class Settings:
    """The options of a run."""

    profile: Profile
    seed: int
    specifications: tuple[Specification, ...]
    """The chosen specifications; each backend is put to the ones that it supports."""
    report: Path | None = None
    """The absolute path of the report."""
    reproducers: Path = REPRODUCERS
    """The absolute path of the folder of the scripts that show failures."""
    known_failures: tuple[Path, ...] = ()
    baseline: str | None = None
    shard: Shard | None = None
    isolation: str = "process"
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    """Seconds that a call of the backend may take."""
    memory: float | None = None
    """GiB to which a backend's process may grow; None for the default."""
    processes: int = 1
    """The number of a backend's processes that run at a time."""
    run_blocked: bool = False
    """Whether requirements are judged as if no other had failed."""
    diagnosis: float | str | None = None
    """The seconds for explaining a failure, ``off``, or None for the default."""
    kind: str | None = None
    """The kind of the torch modules among the backends, None if their names say it."""

    @classmethod
    def of(
        cls,
        given: Mapping[str, Any],
        *,
        spelled: Callable[[str], str] = lambda name: name,
        isolation: str | None = None,
        processes: int | None = None,
    ) -> Settings:
        """Check options by keyword and return the settings; None stands for a default. Raises UsageError.

        ``spelled(keyword)`` returns the name of an option in messages; ``isolation`` and ``processes`` are defaults.
        """
        unknown = sorted(set(given) - set(FLAGS))
        if unknown:
            raise UsageError(f"{unknown[0]}: there is no such option; the options are {', '.join(FLAGS)}.")
        option = dict.fromkeys(FLAGS) | dict(given)
        profile = _profile(option, spelled)
        shard = _shard(option["shard"], spelled)
        if shard is not None and option["baseline"] is not None:
            raise UsageError(
                f"{spelled('baseline')} is of a whole run, {spelled('shard')} of a part: merge the shards, then python "
                "-m conformance compare."
            )
        seed = option["seed"]
        if shard is not None and seed is None and not profile.derandomize:
            flag = spelled("seed")
            raise UsageError(f"{spelled('shard')} in profile {profile.name}: give all shards the same {flag} N.")
        if seed is None:
            seed = 0 if profile.derandomize else random.SystemRandom().randrange(SEED_BOUND)
        _require(_is_integer(seed) and seed >= 0, "seed", "give a number of at least 0", spelled)
        for name in ("timeout", "memory", "processes"):
            value = option[name]
            _require(value is None or (_is_number(value) and value > 0), name, "give a number above 0", spelled)
        chosen = option["isolation"] or isolation or ("process" if available() else "none")
        _require(chosen in ISOLATIONS, "isolation", f"give one of {', '.join(ISOLATIONS)}", spelled)
        report = None if option["report"] is None else working_folder() / option["report"]
        return cls(
            profile=profile,
            seed=seed,
            specifications=_specifications(option["specification"]),
            report=report,
            reproducers=REPRODUCERS if report is None else report.with_name(f"{report.stem}-reproducers"),
            known_failures=tuple(Path(path) for path in _several(option["known_failures"])),
            baseline=None if option["baseline"] is None else str(option["baseline"]),
            shard=shard,
            isolation=chosen,
            timeout=option["timeout"] or DEFAULT_TIMEOUT_SECONDS,
            memory=option["memory"],
            processes=option["processes"] or processes or min(processors(), MAX_PROCESSES),
            run_blocked=bool(option["run_blocked"]),
            diagnosis=_diagnosis(option["diagnosis"], spelled),
            kind=_kind(option["kind"], spelled),
        )

    def named(self, names: Sequence[str], spelled: Callable[[str], str] = lambda name: name) -> list[str]:
        """Return the NAMEs of backends with the kind of these settings. Raises UsageError if none takes a kind."""
        if self.kind is None:
            return list(names)
        found = [registry.with_kind(name, self.kind) for name in names]
        if found == list(names):
            raise UsageError(
                f"{spelled('kind')} {self.kind}: it is for a backend torch:package.module:attribute, and none is named."
            )
        return found

    def with_examples(self, examples: int) -> Settings:
        """Return these settings with another number of examples for each check."""
        return replace(self, profile=replace(self.profile, examples=examples))


def _profile(option: Mapping[str, Any], spelled: Callable[[str], str]) -> Profile:
    name = option["profile"] or DEFAULT_PROFILE
    if name not in PROFILES:
        raise UsageError(f"{spelled('profile')} {name}: the suite has {', '.join(PROFILES)}.")
    examples = option["examples"]
    if examples is None:
        return PROFILES[name]
    _require(_is_integer(examples) and examples > 0, "examples", "give a number of at least 1", spelled)
    return replace(PROFILES[name], examples=examples)


def _kind(given: Any, spelled: Callable[[str], str]) -> str | None:
    if given is not None and given not in KINDS:
        raise UsageError(f"{spelled('kind')} {given}: give one of {', '.join(KINDS)}.")
    return given


def _diagnosis(given: Any, spelled: Callable[[str], str]) -> Any:
    try:
        ExplanationTime(given)
    except ValueError as error:
        raise UsageError(f"{spelled('diagnosis')}: {error}.") from None
    return given


def _shard(text: Any, spelled: Callable[[str], str]) -> Shard | None:
    try:
        return None if text is None else Shard.of(str(text))
    except ValueError as error:
        raise UsageError(f"{spelled('shard')}: {error}") from None


def _specifications(names: Any) -> tuple[Specification, ...]:
    try:
        if not _several(names):
            return tuple(specifications.every().values())
        return tuple(specifications.named(name) for name in dict.fromkeys(_several(names)))
    except specifications.UnknownSpecification as error:
        raise UsageError(f"{error}") from None


def _several(value: Any) -> Sequence[Any]:
    """Return one value or several as a sequence; an empty one for None."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, Path)) else tuple(value)


def _require(holds: bool, name: str, what: str, spelled: Callable[[str], str]) -> None:
    if not holds:
        raise UsageError(f"{spelled(name)}: {what}.")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
