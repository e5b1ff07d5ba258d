"""A run, from its settings to the outcome of each backend: the flow that all callers share.

The plugin, ``conformance.run`` and campaigns make a session, get the finding of each job from it, and close it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from conformance import registry, specifications
from conformance.engine.finding import Finding
from conformance.engine.key import Key
from conformance.engine.profiles import PROFILES
from conformance.engine.specification import Specification
from conformance.engine.subject import Clock, Subject
from conformance.engine.verdict import Verdict
from conformance.isolation.interrupt import Interrupt
from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.pool import WorkerPool
from conformance.isolation.scheduler import Drawing, Scheduler
from conformance.isolation.task import RemoteBackend
from conformance.reporting.baseline import Gate, baseline, judge
from conformance.reporting.here import run_here
from conformance.reporting.reading import BadReport, Report, reports_of
from conformance.reporting.report import Outcome, as_text, catalogues, suite_of
from conformance.runs.explanation_time import ExplanationTime
from conformance.runs.failure_message import FailureWriter
from conformance.runs.job import Job, split, unit_of
from conformance.runs.judge import Judge
from conformance.runs.known_failures import BrokenFile, KnownFailure, read
from conformance.runs.prerequisites import Prerequisites, settle
from conformance.runs.runner import Drawn, InProcessRunner, Runner, WorkerRunner
from conformance.runs.selection import Speaker, costs_of, keys_of, outcome, requirements_of
from conformance.runs.settings import Settings, UsageError


class Session:
    """One run. Raises UsageError if its settings or backends cannot be used.

    ``asked`` holds the NAMEs of the backends, or backends built in this process by their name in messages.
    ``database`` keeps failing examples. With ``collects_only`` no process is started in reserve.
    """

    def __init__(
        self,
        settings: Settings,
        asked: Sequence[str] | Mapping[str, Any],
        *,
        database: Any = None,
        collects_only: bool = False,
    ) -> None:
        self.settings, self.database = settings, database
        self.asked = tuple(dict.fromkeys(asked))
        self.pool: WorkerPool | None = None
        self.interrupt: Interrupt | None = None
        """The caller's handler of interrupts, which take effect where a job begins or while it waits."""
        self._scheduler: Scheduler[Job, Finding] | None = None
        self._clocks: dict[int, Clock] = {}
        self._subjects: dict[tuple[int, str, str, str], Subject] = {}
        self.drawn = Drawn(settings.profile, settings.seed, database, ExplanationTime(settings.diagnosis))
        self._runners: dict[int, Runner] = {}
        try:
            self.speakers = self._speakers(asked, collects_only)
            self._require_names()
            self.baseline = self._baseline()
            self.known = self._known_failures()
            whole = keys_of(self.speakers)
            asked_for = [entry for entry in self.known if self._asks_for(entry)]
            self.unmatched = [str(entry) for entry in asked_for if not any(entry.matches(key) for key in whole)]
            self.keys = self._part(whole)
        except BaseException:
            self.close()
            raise
        drawn = {"profile": settings.profile.name, "seed": settings.seed}
        writer = FailureWriter(settings.reproducers, self._asked_name, self.again, drawn)
        self.judge = Judge(self.prerequisites(), self.known, writer, settings.run_blocked)

    # --- backends and keys ----------------------------------------------------------------------------

    def _speakers(self, asked: Sequence[str] | Mapping[str, Any], collects_only: bool) -> list[Speaker]:
        """Build the backends, here or in separate processes; return a speaker for each of their specifications."""
        settings = self.settings
        try:
            if isinstance(asked, Mapping) or settings.isolation == "none":
                built = asked.values() if isinstance(asked, Mapping) else map(specifications.backend, self.asked)
                return [speaker for index, backend in enumerate(built) for speaker in self._spoken(index, backend)]
            pool = WorkerPool(self.asked, settings.timeout, settings.memory, settings.processes)
            self.pool, pool.database = pool, self.database
            if not collects_only:
                pool.start_reserve()
            for specification in settings.specifications:
                _ = specification.modules  # imported while the backends start
            return [s for index, isolated in enumerate(pool.first) for s in self._described(index, isolated)]
        except (registry.UnknownBackend, specifications.UnknownSpecification) as error:
            raise UsageError(f"{error}") from None

    def _spoken(self, index: int, backend: Any) -> list[Speaker]:
        spoken = [s for s in specifications.spoken_by(backend) if s in self.settings.specifications]
        found = [Speaker(s, specifications.adapted(backend, s), index) for s in spoken]
        return self._some(found, backend.name)

    def _described(self, index: int, isolated: IsolatedBackend) -> list[Speaker]:
        described = isolated.description
        name, version, claims = described.name, described.version, described.claims
        found = [
            Speaker(s, RemoteBackend(name, version, claims[s.name], isolated.name), index)
            for s in self.settings.specifications
            if s.name in claims
        ]
        return self._some(found, name)

    def _some(self, found: list[Speaker], backend: str) -> list[Speaker]:
        if not found:
            chosen = ", ".join(s.name for s in self.settings.specifications)
            raise UsageError(f"backend {backend!r} speaks none of the specifications that are asked for ({chosen}).")
        return found

    def _require_names(self) -> None:
        names = [speakers[0].backend.name for speakers in self.by_backend]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two of the backends call themselves {name!r}: run them one by one.")

    @property
    def by_backend(self) -> list[list[Speaker]]:
        """The speakers of each backend."""
        indices = dict.fromkeys(speaker.backend_index for speaker in self.speakers)
        return [[s for s in self.speakers if s.backend_index == index] for index in indices]

    @property
    def specifications(self) -> list[Specification]:
        """The specifications that at least one backend is put to."""
        spoken = {id(speaker.specification) for speaker in self.speakers}
        return [s for s in self.settings.specifications if id(s) in spoken]

    def _baseline(self) -> list[Report] | None:
        if self.settings.baseline is None:
            return None
        try:
            return baseline(self.settings.baseline, self.settings.profile.name)
        except BadReport as error:
            raise UsageError(f"--baseline: {error}") from None

    def _known_failures(self) -> list[KnownFailure]:
        """Read the known failures of the shipped adapters, then the files of the settings."""
        shipped = [path for name in self.asked if (path := registry.known_failures(name)) is not None]
        known: list[KnownFailure] = []
        try:
            for path in dict.fromkeys(Path(path).resolve() for path in (*shipped, *self.settings.known_failures)):
                known += read(path, {s.name: s for s in specifications.every().values()})
        except BrokenFile as error:
            raise UsageError(f"{error}") from None
        return known

    def _asks_for(self, entry: KnownFailure) -> bool:
        """Return whether an entry speaks of a specification that the settings ask for."""
        named = (s for s in self.settings.specifications if entry.specification in (None, s.name))
        return any(entry.requirement in s.requirements for s in named)

    def _part(self, keys: list[Key]) -> list[Key]:
        shard = self.settings.shard
        if shard is None:
            return keys
        try:
            return shard.part(keys, self.costs(keys))
        except ValueError as error:
            raise UsageError(f"--shard {shard}: {error}") from None

    def costs(self, keys: Iterable[Key]) -> list[float]:
        """Return the estimated relative cost of each check."""
        return costs_of(self.specifications, keys)

    def prerequisites(self) -> Prerequisites:
        """Return the prerequisites of the run's requirements, without failures."""
        return Prerequisites(requirements_of(self.specifications))

    # --- jobs -----------------------------------------------------------------------------------------

    @cached_property
    def _places(self) -> dict[Key, int]:
        return {key: place for place, key in enumerate(self.keys)}

    def place(self, job: Job) -> int | None:
        """Return the position of a job in the order of the run; None if it belongs to another shard."""
        return self._places.get(job.key)

    def jobs_of(self, check: Any) -> Iterator[Job]:
        """Yield the jobs of a check for every backend, kind and dtype, including other shards' jobs."""
        for speaker in self.speakers:
            number = speaker.specification.number_of(check)
            if number is None:
                continue
            for kind, dtype in speaker.specification.combinations(speaker.backend.features, check.entry):
                yield Job(check, number, self.subject(speaker, kind, dtype), speaker.backend_index)

    def jobs_of_law(self, law: Any) -> list[Job]:
        """Return the jobs of a test function of the suite, in the order of its checks."""
        return [job for check in law.checks for job in self.jobs_of(check)]

    def jobs(self) -> list[Job]:
        """Return the jobs of the run in its order."""
        checks = [check for specification in self.specifications for check in specification.checks]
        mine = [job for check in checks for job in self.jobs_of(check) if job.key in self._places]
        return sorted(mine, key=lambda job: self._places[job.key])

    def subject(self, speaker: Speaker, kind: str, dtype: str) -> Subject:
        """Return the subject of a speaker, kind and dtype, which all its checks share."""
        index = speaker.backend_index
        place = (index, speaker.specification.name, kind, dtype)
        if place not in self._subjects:
            clock = self._clocks.setdefault(index, Clock())
            self._subjects[place] = Subject(speaker.specification, speaker.backend, kind, dtype, clock)
        return self._subjects[place]

    # --- running --------------------------------------------------------------------------------------

    def start(self, jobs: Sequence[Job]) -> None:
        """Start the jobs in several processes, if the run has several."""
        if self.pool is not None and self.pool.processes > 1 and jobs:
            self._scheduler = Scheduler(
                jobs, self.pool, unit_of, partial(split, self.settings.profile.examples), self._judged, self.interrupt
            )

    def _judged(self, job: Job, isolated: IsolatedBackend, draw: Drawing, earlier: Callable[[], None]) -> Finding:
        return self.judge.judge(job, WorkerRunner(self.drawn, isolated, draw), earlier)

    def finding(self, job: Job) -> Finding:
        """Return the finding of a job. Callers must take the jobs in the order in which they were started."""
        self._look()
        if self._scheduler is not None:
            return self._scheduler.found(job)
        return self.judge.judge(job, self.runner(job))

    def _look(self) -> None:
        if self.interrupt is not None:
            self.interrupt.raise_if_pressed()

    def runner(self, job: Job) -> Runner:
        """Return the runner that puts a job to its backend in the caller's thread."""
        index = job.backend_index
        if index not in self._runners:
            if self.pool is None:
                self._runners[index] = InProcessRunner(self.drawn)
            else:
                isolated = self.pool.take(index)
                isolated.look = self._look
                self._runners[index] = WorkerRunner(self.drawn, isolated)
        return self._runners[index]

    def draw_from(self, seed: int) -> None:
        """Draw further examples from another seed."""
        self.drawn = Drawn(self.drawn.profile, seed, self.database, self.drawn.time)
        for runner in self._runners.values():
            runner.drawn = self.drawn
            if isinstance(runner, InProcessRunner):
                runner.forget()

    def close(self) -> None:
        """End every thread and process of the run."""
        if self._scheduler is not None:
            self._scheduler.close()
        if self.pool is not None:
            self.pool.close()

    # --- the result -----------------------------------------------------------------------------------

    def settle(self, results: dict[Key, Finding]) -> None:
        """Mark failures that another one explains as blocked, if the run's parts did not know of each other."""
        settle(results, requirements_of(self.specifications))

    def outcomes(self, results: Mapping[Key, Finding], campaign: dict[str, Any] | None = None) -> list[Outcome]:
        """Return the outcome of each backend."""
        return [
            outcome(speakers, results, self.keys, self.seconds(speakers[0].backend_index), self.unmatched, campaign)
            for speakers in self.by_backend
        ]

    def seconds(self, index: int) -> Mapping[str, float]:
        """Return the seconds spent on a backend, by name."""
        return self._clocks[index].seconds if index in self._clocks else {}

    def text(self, outcomes: list[Outcome]) -> str:
        """Return the text of the report."""
        settings = self.settings
        shard = str(settings.shard or "")
        catalogue = catalogues(self.specifications)
        suite = suite_of(catalogue, settings.profile.name, settings.profile.examples, settings.seed, shard)
        return as_text(outcomes, suite, run_here())

    def gate(self, text: str) -> Gate | None:
        """Compare the report's text with the baseline; return None without a baseline."""
        return None if self.baseline is None else judge(self.baseline, reports_of(text, "this run"))

    # --- words ----------------------------------------------------------------------------------------

    def _asked_name(self, job: Job) -> str:
        return self.asked[job.backend_index]

    def again(self, verdict: Verdict) -> str:
        """Return the options that find a failure again; the backend and the test are not among them."""
        profile, drawn = self.settings.profile, self.drawn
        options = f"--hypothesis-profile {profile.name}"
        if verdict.recalled and self.database is not None:
            return f"{options} --example-database {self.database.place}"
        if profile.derandomize:
            return options
        options += f" --conformance-seed {drawn.seed if verdict.seed is None else verdict.seed}"
        if profile.examples != PROFILES[profile.name].examples:
            options += f" --conformance-examples {profile.examples}"
        return options
