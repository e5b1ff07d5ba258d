"""The pytest plugin: options, parametrisation over backends, kinds and dtypes, outcomes, report.

Registered under the name ``conformance.plugin``, by the entry point of an installed wheel or by the
checkout's conftest.py. Without a test of the suite in the run it does nothing.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from conformance.campaign import options as exploring
from conformance.runs.prerequisites import Cascade, not_run
from conformance.runs.recorder import Recorder
from conformance.runs.selection import all_requirements, asked_of, combinations

STATE = pytest.StashKey["Run"]()
MOST_PROCESSES = 8  # more than there are kinds helps where there are several backends
FOUND = pytest.StashKey[dict[str, Any]]()  # of an item: what the report is to say of it


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "conformance of recurrent layers")
    group.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="backend to test: a registered name (torch-cpu, onnxruntime, reference, ...) or "
        "package.module:attribute; may be given several times. How hard it is looked at: "
        "--hypothesis-profile smoke, quick, standard (default) or thorough.",
    )
    group.addoption(
        "--conformance-report", metavar="FILE", default=None, help="write the machine-readable result to this JSON file"
    )
    group.addoption(
        "--known-failures",
        metavar="FILE",
        action="append",
        default=[],
        help="TOML file of known failures, each with reason and issue; may be given several times. Those of the "
        "shipped adapters are known without it.",
    )
    group.addoption(
        "--baseline",
        metavar="FILE",
        default=None,
        help="an earlier report: the exit status tells whether something got worse since, and nothing else",
    )
    group.addoption(
        "--shard",
        metavar="I/N",
        default=None,
        help="run the I-th of N parts alone, on as many machines; "
        "python -m conformance merge makes one report of theirs",
    )
    group.addoption(
        "--conformance-examples",
        metavar="N",
        type=int,
        default=None,
        help="examples for each check instead of the profile's number, for campaigns",
    )
    group.addoption(
        "--conformance-seed",
        metavar="N",
        type=int,
        default=None,
        help="seed of the examples (quick and standard: 0; thorough: a new one in each run)",
    )
    group.addoption(
        "--conformance-isolation",
        choices=("process", "none"),
        default=None,
        help="process (default): the backend runs in processes of its own, and nothing that it does ends or holds up "
        "the run; none (default with --pdb): it runs in this one",
    )
    group.addoption(
        "--conformance-timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="a call of the backend that takes longer is a failure, and its process is killed (default 60)",
    )
    group.addoption(
        "--conformance-memory",
        metavar="GIB",
        type=float,
        default=None,
        help="a backend whose process grows beyond that fails, and the process is killed "
        "(default 16, or its share of three quarters of the machine's memory where that is less)",
    )
    group.addoption(
        "--conformance-processes",
        metavar="N",
        type=int,
        default=None,
        help="how many processes of a backend run at a time, each for a kind of its own (default: one for each "
        f"processor, at most {MOST_PROCESSES}); its OpenMP threads share the processors unless OMP_NUM_THREADS says it",
    )
    exploring.add_options(group)


@dataclass(eq=False)
class Job:
    """One test to run: a check, the subject that is put to it, the requirement that it decides."""

    check: Any
    requirement: Any
    subject: Any
    backend_index: int
    place: tuple[str, str, int]  # module, name of the test, number of the check there

    def __str__(self) -> str:
        s = self.subject
        return f"{self.requirement.id}-{s.backend.name}-{s.kind}-{s.dtype}"


@dataclass
class Run:
    """What the plugin knows about a run."""

    config: pytest.Config
    asked: bool = False  # a test of the suite is in the run
    backends: list[Any] | None = None
    isolated: list[Any] = field(default_factory=list)  # one for each backend, if they are isolated
    profile: Any = None
    seed: int = 0
    known: list[Any] = field(default_factory=list)
    subjects: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    streams: dict[Any, Any] = field(default_factory=dict)
    streams_of: Any = None
    plans: Any = None
    problem: pytest.UsageError | None = None
    cascade: Any = None
    keys: list[Any] = field(default_factory=list)  # what is asked, in the order of the run; of a shard, its part
    unmatched: list[str] = field(default_factory=list)
    shard: Any = None
    baseline: Any = None
    database: Any = None  # of failing examples
    campaign: Any = None
    spare: dict[str, Any] = field(default_factory=dict)  # processes in reserve, by the name of the backend
    ahead: Any = None  # runs checks before pytest asks for them, if several processes do
    adding_up: Any = field(default_factory=threading.Lock)  # seconds

    def prepare(self) -> None:
        """Find backends, profile, seed and known failures. Raises UsageError, one sentence each."""
        from conformance import registry
        from conformance.engine.check import DEFAULT_PROFILE, PROFILES
        from conformance.runs.known_failures import BrokenFile, read

        option = self.config.getoption
        name = option("--hypothesis-profile", None) or DEFAULT_PROFILE
        if name not in PROFILES:
            raise pytest.UsageError(f"--hypothesis-profile {name}: the suite has {', '.join(PROFILES)}.")
        self.profile = PROFILES[name]
        if option("--conformance-examples") is not None:
            if option("--conformance-examples") < 1:
                raise pytest.UsageError("--conformance-examples: give a number of at least 1.")
            self.profile = replace(self.profile, examples=option("--conformance-examples"))
        self.seed = option("--conformance-seed")
        if self.seed is None:
            self.seed = 0 if self.profile.derandomize else random.SystemRandom().randrange(2**31)
        campaign = exploring.prepare(self)
        wanted = option("--backend") or registry.installed_defaults()
        if not wanted and option("collectonly"):
            wanted = ["reference"]  # to list the tests there need be no framework
        if not wanted:
            raise pytest.UsageError(
                "no backend was named and neither torch nor onnxruntime is installed: "
                "add --backend NAME, or pip install 'rnn-conformance[torch]'."
            )
        try:
            self.backends = self.built(list(dict.fromkeys(wanted)))
        except registry.UnknownBackend as error:
            raise pytest.UsageError(f"{error}") from None
        for isolated in self.isolated:
            isolated.database = self.database
        names = [backend.name for backend in self.backends]
        for name in names:
            if names.count(name) > 1:
                raise pytest.UsageError(f"two of the backends call themselves {name!r}: run them one by one.")
        self.keys = asked_of(self.backends)
        self.split_and_gate()
        try:
            shipped = [path for name in wanted if (path := registry.known_failures(name)) is not None]
            for path in dict.fromkeys(Path(path).resolve() for path in (*shipped, *option("--known-failures"))):
                self.known += read(path, all_requirements())
        except BrokenFile as error:
            raise pytest.UsageError(f"{error}") from None
        self.unmatched = [str(entry) for entry in self.known if not any(entry.matches(*key) for key in self.keys)]
        if self.shard is not None:
            try:
                self.keys = self.shard.part(self.keys)
            except ValueError as error:
                raise pytest.UsageError(f"--shard {self.shard}: {error}") from None
        self.campaign = campaign and campaign()

    def split_and_gate(self) -> None:
        """The shard that this is and the baseline that it is held against. Raises UsageError."""
        from conformance.reporting.baseline import baseline
        from conformance.reporting.reading import BadReport
        from conformance.runs.shards import Shard

        shard, file = self.config.getoption("--shard"), self.config.getoption("--baseline")
        try:
            if shard is not None:
                self.shard = Shard.of(shard)
            if file is not None:
                self.baseline = baseline(file, self.profile.name)
        except ValueError as error:
            raise pytest.UsageError(f"--shard: {error}") from None
        except BadReport as error:
            raise pytest.UsageError(f"--baseline: {error}") from None
        if self.shard and self.baseline:
            raise pytest.UsageError(
                "--baseline is of a whole run, --shard of a part: merge the shards, then python -m conformance compare."
            )
        if self.shard and self.config.getoption("--conformance-seed") is None and not self.profile.derandomize:
            raise pytest.UsageError(
                f"--shard in profile {self.profile.name}: give all shards the same --conformance-seed N."
            )

    def built(self, names: list[str]) -> list[Any]:
        """The backends of these names, here or in processes of their own. Raises UnknownBackend, UsageError."""
        from conformance import registry
        from conformance.isolation import process as isolation

        option = self.config.getoption
        seconds, memory = option("--conformance-timeout"), option("--conformance-memory")
        processes = option("--conformance-processes")
        numbers = {
            "--conformance-timeout": seconds,
            "--conformance-memory": memory,
            "--conformance-processes": processes,
        }
        for flag, value in numbers.items():
            if value is not None and not value > 0:
                raise pytest.UsageError(f"--conformance-{flag}: give a number above 0.")
        default = "none" if option("usepdb") or exploring.under_hypofuzz() or not isolation.available() else "process"
        if (option("--conformance-isolation") or default) == "none":
            return [registry.backend(name) for name in names]
        self.isolated = [self.one_more(name) for name in names]
        if self.processes > 1 and not option("collectonly"):
            self.spare[names[0]] = self.one_more(names[0])
        from conformance.specifications.torch_nn.suite import test_cases  # noqa: F401 (while they import what they need)

        return [isolated.backend for isolated in self.isolated]

    def one_more(self, name: str):
        """A process for that backend, that in reserve if there is one."""
        from conformance.isolation import process as isolation
        from conformance.isolation import scheduler as ahead

        option, count = self.config.getoption, self.processes
        memory = option("--conformance-memory") or isolation.default_memory(count)
        threads = None if count == 1 else max(1, ahead.processors() // count)
        return self.spare.pop(name, None) or isolation.Isolated(name, option("--conformance-timeout"), memory, threads)

    @property
    def processes(self) -> int:
        """How many of a backend's processes run at a time."""
        from conformance.isolation import scheduler as ahead

        option = self.config.getoption
        if option("--campaign-time") or hasattr(self.config, "workerinput"):
            return 1
        return option("--conformance-processes") or min(ahead.processors(), MOST_PROCESSES)

    def go_ahead(self, jobs: list[Job]) -> None:
        """Start the checks, if several processes run them."""
        from conformance.isolation.scheduler import Ahead

        if self.isolated and self.processes > 1 and self.campaign is None:
            names = [isolated.name for isolated in self.isolated]
            self.ahead = Ahead(jobs, self.processes, self.isolated, lambda n: self.one_more(names[n]), self.judge)

    def subject(self, backend, kind: str, dtype: str):
        from conformance.engine.subject import Clock, Subject

        key = (backend.name, kind, dtype)
        if key not in self.subjects:
            clock = next((s.clock for s in self.subjects.values() if s.backend is backend), None) or Clock()
            self.subjects[key] = Subject(backend, kind, dtype, clock)
        return self.subjects[key]

    def put_to_the_check(self, job: Job, known):
        """Run a job: the verdict, and whether the backend was asked at all.

        The examples that it shares with others of its subject are kept, those of others let go. Where ``known`` is
        the known failure that it is, its example is replayed first, and a hang does not count.
        """
        from conformance.engine.check import Plans

        if self.plans is None:
            self.plans = Plans(self.seed, self.database)
        if self.isolated:
            return self.in_its_process(job, known, self.isolated[job.backend_index])
        if self.streams_of is not job.subject:
            self.streams_of, self.streams = job.subject, {}
        example = () if known is None or known.example is None else (known.example,)
        with job.subject.clock("suite"):
            return job.check.run(job.subject, self.plans, self.streams, self.profile, *example), True

    def in_its_process(self, job: Job, known, isolated, draw=lambda block: block()):
        """The same by one of the backend's own processes; the examples are drawn here."""
        from conformance.engine.check import Plans
        from conformance.engine.subject import Clock
        from conformance.isolation.worker import Task

        subject = job.subject
        example = None if known is None else known.example
        shares = self.database is not None
        task = Task(*job.place, subject.kind, subject.dtype, self.profile, self.seed, example=example, database=shares)

        def block(number: int) -> list:
            def drawn() -> list:
                if self.plans is None:
                    self.plans = Plans(self.seed, self.database)
                return self.plans.block(job.check.draw, subject.backend.features, number)

            return draw(drawn)

        clock = Clock()
        try:
            verdict, asked = isolated.run(task, block, clock, known is not None)
            if not verdict.passed and any(named.area == "refusals" for named in (job.requirement, *exemplified(job))):
                isolated.end_worker()  # what takes a wrong argument may have written past its memory
            return verdict, asked
        finally:
            with self.adding_up:
                subject.clock.seconds.update(clock.seconds)

    def judge(self, job: Job, isolated=None, *draw) -> dict[str, Any]:
        """What the report is to say of a job, put to the backend by ``isolated`` if that is given."""
        key = key_of(job)
        started = time.perf_counter()
        cause = self.cascade.cause(key) if self.campaign is None else self.campaign.blocked(key)
        if cause is not None:
            return {"key": key, **not_run(cause), "seconds": time.perf_counter() - started}
        known = self.known_failure(key)
        if self.campaign is not None:
            verdict, asked = self.campaign.verdict(key)
        elif isolated is not None:
            verdict, asked = self.in_its_process(job, known, isolated, *draw)
        else:
            verdict, asked = self.put_to_the_check(job, known)
        found = {"key": key, "examples": verdict.examples, "margin": verdict.margin, "steps": verdict.steps}
        found["diagnosis"] = verdict.diagnosis
        found["status"] = "passed" if verdict.passed else "failed" if known is None else "known_failure"
        found["message"] = _message(job, verdict, self) if not verdict.passed else verdict.note
        if known is not None and verdict.passed:
            found["status"] = "failed"
            found["message"] = f"known failure {known} passes now: take the entry out of the file ({known.issue})"
        elif not asked:
            found["status"] = "blocked"
        elif known is not None and verdict.replayed not in ("", "fails"):
            found["status"] = "failed"
            told = f"known failure {known}: its example {verdict.replayed}, and another call fails; mend the entry"
            found["message"] = f"{told} ({known.issue})\n{found['message']}"
        elif known is not None:
            found["message"] = f"{known.reason} ({known.issue})\n{found['message']}"
        elif not verdict.passed and (cause := self.excuse(job)) is not None:
            found["status"] = "known_failure"
            found["message"] = f"{cause.requirement}: {cause.reason} ({cause.issue})\n{found['message']}"
        if found["status"] == "failed" and not verdict.passed:
            self.cascade.failed(key)
        if not verdict.passed and asked:
            found["reproducer"] = _reproducer(job, verdict, self)
        return found | {"seconds": time.perf_counter() - started}

    def excuse(self, job: Job):
        """The known failure of a requirement that a failing case is an example of, None if there is none."""
        _, backend, kind, dtype = key_of(job)
        first = combinations(job.subject.backend.features, job.requirement)[0][1]
        named = exemplified(job)
        known = (self.known_failure((r.id, backend, kind, dtype if r.every_dtype else first)) for r in named)
        return next((entry for entry in known if entry is not None), None)

    def known_failure(self, key: tuple[str, str, str, str]):
        return next((entry for entry in self.known if entry.matches(*key)), None)


def exemplified(job: Job) -> list[Any]:
    """The entries of the catalogue that a case is an example of; none of other checks."""
    from reference.catalogue import catalogue

    return [catalogue()[name] for name in getattr(job.check, "names", ())]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    run = config.stash[STATE] = Run(config)
    if not hasattr(config, "workerinput"):  # xdist's processes report to the one that started them
        config.pluginmanager.register(Recorder(config, run), "conformance.runs.recorder")
    if config.getoption("--hypothesis-profile", None):
        from hypothesis import settings

        from conformance.engine.check import PROFILES

        for profile in PROFILES.values():  # so that Hypothesis's own option knows their names
            settings.register_profile(
                profile.name, max_examples=profile.examples, derandomize=profile.derandomize, deadline=None
            )
    if any(config.getoption(name) for name in ("--backend", "--known-failures", "--baseline", "--shard")):
        run.prepare()


def pytest_unconfigure(config: pytest.Config) -> None:
    run = config.stash.get(STATE, None)
    if run is not None and run.ahead is not None:
        run.ahead.close()
    for isolated in (*run.isolated, *run.spare.values()) if run else ():
        isolated.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    run = config.stash[STATE]
    if not run.backends:
        return []
    backends = ", ".join(f"{b.name} ({b.version})" for b in run.backends)
    shard = f", shard {run.shard}" if run.shard else ""
    return [f"conformance: {backends}; profile {run.profile.name}, seed {run.seed}{shard}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    checks = getattr(metafunc.function, "checks", None)
    if checks is None or "trial" not in metafunc.fixturenames:
        return
    run = metafunc.config.stash[STATE]
    run.asked = True
    if run.backends is None:
        try:
            run.prepare()
        except pytest.UsageError as error:
            run.backends, run.problem = [], error
    definition = metafunc.definition
    places = [(metafunc.module.__name__, definition.originalname, number) for number in range(len(checks))]
    jobs = [job for check, place in zip(checks, places, strict=True) for job in _jobs(run, check, place)]
    metafunc.parametrize("trial", [pytest.param(job, id=str(job)) for job in jobs])


def _jobs(run: Run, check, place: tuple[str, str, int]) -> list[Job]:
    requirement = check.entry
    jobs = []
    for index, backend in enumerate(run.backends or []):
        for kind, dtype in combinations(backend.features, requirement):
            jobs.append(Job(check, requirement, run.subject(backend, kind, dtype), index, place))
    return jobs


def job_of(item: pytest.Item) -> Job | None:
    """The item's job, None for a test that is not of the suite."""
    callspec = getattr(item, "callspec", None)
    job = callspec.params.get("trial") if callspec else None
    return job if isinstance(job, Job) else None


def key_of(job: Job) -> tuple[str, str, str, str]:
    subject = job.subject
    return job.requirement.id, subject.backend.name, subject.kind, subject.dtype


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    run = config.stash[STATE]
    if not run.asked:
        return
    if run.problem is not None:
        raise run.problem
    from conformance.specifications.torch_nn.suite import test_cases

    if test_cases.broken is not None:
        raise pytest.UsageError(f"{test_cases.broken}")
    # A test of the suite that no backend's claims call for has no job; pytest would call it skipped.
    items[:] = [i for i in items if job_of(i) is not None or not hasattr(getattr(i, "function", None), "checks")]
    place = {key: number for number, key in enumerate(run.keys)}
    left_out = [item for item in items if (job := job_of(item)) is not None and key_of(job) not in place]
    if left_out:  # the other shards'
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if (job := job_of(item)) is None or key_of(job) in place]
    items.sort(key=lambda item: place[key_of(job)] if (job := job_of(item)) else -1)
    run.cascade = Cascade(all_requirements())
    if exploring.under_hypofuzz():
        exploring.make_fuzzable(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    run = session.config.stash[STATE]
    if run.campaign is not None and not session.testsfailed and not session.config.getoption("collectonly"):
        jobs = {key_of(job): job for item in session.items if (job := job_of(item)) is not None}
        exploring.run_campaign(session.config, run.campaign, jobs, lambda job, v: _reproducer(job, v, run))
    elif not session.testsfailed and not session.config.getoption("collectonly"):
        run.go_ahead([job for item in session.items if (job := job_of(item)) is not None])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    job = job_of(pyfuncitem)
    if job is None:
        return None
    run = pyfuncitem.config.stash[STATE]
    found: dict[str, Any] = {"key": key_of(job), "status": "failed"}
    found["message"] = "the suite itself failed; see the traceback"
    try:
        # The suite's own warnings are errors where it is developed; an adapter may warn as it likes.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run.judge(job) if run.ahead is None else run.ahead.found(job)
        exploring.warn(pyfuncitem, run.database)
    finally:
        pyfuncitem.stash[FOUND] = found
        pyfuncitem.user_properties += properties(found)
    if found["status"] == "blocked" and "examples" not in found:
        pytest.skip(found["message"])
    if found["status"] == "known_failure":
        pytest.xfail(found["message"].splitlines()[0])
    if found["status"] in ("failed", "blocked"):
        left = f"\n  reproducer: {found['reproducer']}" if found.get("reproducer") else ""
        pytest.fail(found["message"] + left, pytrace=False)
    return True


def properties(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """What JUnit's XML says of a check beside its outcome."""
    told = dict(zip(("requirement", "backend", "kind", "dtype"), found["key"], strict=True))
    told |= {name: found[name] for name in ("status", "examples", "margin") if found.get(name) is not None}
    return list(told.items())


def _reproducer(job: Job, verdict, run: Run) -> str:
    """Write the script and, beside it, the entry for a file of known failures; the script's path."""
    if not verdict.reproducer:  # a crash, or a case
        verdict.reproduced(job.subject, job.requirement)
    report = run.config.getoption("--conformance-report")
    folder = Path(".conformance", "reproducers")
    if report:
        folder = Path(report).with_name(f"{Path(report).stem}-reproducers")
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / (re.sub(r"[^\w-]+", "-", str(job)).lower() + ".py")
    script.write_text(verdict.reproducer, "utf-8")
    script.with_suffix(".toml").write_text(verdict.known_failure, "utf-8")
    return str(script)


def _message(job: Job, verdict, run: Run) -> str:
    """What a failing implementer reads: first what is wrong, then what was expected, and of which layer."""
    parts = [verdict.failure, *(f"  diagnosis: {sentence}" for sentence in verdict.told)]
    if verdict.example:
        parts.append(f"  smallest failing call: {verdict.example}")
    parts += [
        f"  required ({job.requirement.id}): {job.requirement.statement}",
        f"  documented in: {job.requirement.source}",
    ]
    if job.requirement.ruling:
        parts.append(f"  ruling: {job.requirement.ruling}")
    parts.append(
        f"  again: pytest --pyargs conformance --backend {_name_as_asked(job, run)} "
        f"--hypothesis-profile {run.profile.name}{exploring.again(run, verdict)} -k '{job}'"
    )
    return "\n".join(parts)


def _name_as_asked(job: Job, run: Run) -> str:
    asked = list(dict.fromkeys(run.config.getoption("--backend")))
    return asked[job.backend_index] if asked else job.subject.backend.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if call.when == "call" and FOUND in item.stash:
        report.conformance = json.dumps(item.stash[FOUND])  # it travels from xdist's processes as a report's attribute
    return report
