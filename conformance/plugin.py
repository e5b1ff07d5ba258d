"""The pytest plugin: pytest's hooks only.

It is registered under the name ``conformance.plugin``, by the entry point of an installed wheel or by the checkout's
conftest.py. Without a test of the suite in the run it does nothing.
"""

from __future__ import annotations

import gc
import json
import sys
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from conformance.engine.garbage import rarely_collected

if TYPE_CHECKING:
    from conformance.campaign.campaign import Campaign
    from conformance.campaign.options import Exploration
    from conformance.engine.finding import Finding
    from conformance.isolation.interrupt import Interrupt
    from conformance.runs.job import Job
    from conformance.runs.session import Session

MAX_PROCESSES = 8  # a copy of conformance.isolation.pool.MAX_PROCESSES, whose import takes time
STATE = pytest.StashKey["PluginState"]()
FINDING = pytest.StashKey["Finding | None"]()  # of an item; None if the suite itself failed


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance", "conformance of recurrent layers")
    group.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="backend to test: a registered name (torch-cpu, onnxruntime, reference, ...), package.module:attribute, "
        "torch:package.module:attribute (a class or function that builds a torch module) or exec:COMMAND; may be given "
        "several times. --hypothesis-profile smoke, quick, standard (default) or thorough says how many examples each "
        "check gets.",
    )
    group.addoption(
        "--specification",
        action="append",
        default=[],
        metavar="NAME",
        help="put the backends to this specification alone; may be given several times (default: each that a backend "
        "speaks)",
    )
    group.addoption(
        "--kind", metavar="KIND", help="the kind of a backend torch:... whose name does not say it: gru, lstm, ..."
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
        "shipped adapters are applied without it.",
    )
    group.addoption(
        "--baseline",
        metavar="FILE",
        default=None,
        help="an earlier report: the exit status says whether a requirement got worse since, and nothing else",
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
        help="process (default): the backend runs in separate processes, and nothing that it does ends or delays the "
        "run; none (default with --pdb): it runs in this one",
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
        help="how many processes of a backend run at a time, each for a kind or half of one (default: one for each "
        f"processor, at most {MAX_PROCESSES}); its OpenMP threads share the processors unless OMP_NUM_THREADS says it",
    )
    group.addoption(
        "--run-blocked",
        action="store_true",
        default=False,
        help="judge every requirement by itself, also where the failure of another one explains its failure",
    )
    group.addoption(
        "--diagnosis",
        metavar="off|SECONDS",
        default=None,
        help="how long the suite looks for the smallest call and the cause of a failure (default 20), and six times as "
        "long in the whole run; off: failures are told as they are found",
    )
    group.addoption(
        "--example-database",
        metavar="PLACE",
        default=None,
        help="with the profile thorough: keep failing examples in this directory or in redis://HOST:PORT/DB, and "
        "replay those that are there first, whoever found them",
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
        help="keep the campaign's findings there as it goes, and continue with those that are there; processes may "
        "share it",
    )


class PluginState:
    """The plugin's state in a run of pytest: the session once it is prepared, or the error that prevents it."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.asked = False  # a test of the suite is in the run
        self.session: Session | None = None
        self.exploration: Exploration | None = None
        self.campaign: Campaign | None = None
        self.problem: pytest.UsageError | None = None
        self.interrupt: Interrupt | None = None

    @rarely_collected()
    def prepare(self) -> Session:
        """Prepare the session from the options of the command line. Raises pytest.UsageError, one sentence."""
        from conformance import registry
        from conformance.campaign.hypofuzz import under_hypofuzz
        from conformance.campaign.options import explored
        from conformance.isolation.interrupt import Interrupt
        from conformance.runs.session import Session
        from conformance.runs.settings import FLAGS, Settings, UsageError

        option, distributed = self.config.getoption, hasattr(self.config, "workerinput")
        if self.interrupt is None and not distributed:
            self.interrupt = Interrupt(defer=False)
        given = {keyword: option(flag, None) for keyword, flag in FLAGS.items()}
        isolation = "none" if option("usepdb") or under_hypofuzz() else None
        processes = 1 if option("--campaign-time") or distributed else None
        try:
            settings = Settings.of(given, spelled=FLAGS.__getitem__, isolation=isolation, processes=processes)
            settings, self.exploration = explored(settings, option, distributed or bool(option("numprocesses", None)))
            names = option("--backend") or registry.installed_defaults()
            names = settings.named(names, FLAGS.__getitem__)
            if not names and option("collectonly"):
                names = ["reference"]  # so that tests can be listed without a framework
            if not names:
                raise UsageError(
                    "no backend was named and neither torch nor onnxruntime is installed: "
                    "add --backend NAME, or pip install 'rnn-conformance[torch]'."
                )
            database = self.exploration.database if self.exploration else None
            session = Session(settings, names, database=database, collects_only=option("collectonly"))
            self.session = session
            self.campaign = self.exploration.campaign(session) if self.exploration else None
        except UsageError as error:
            raise pytest.UsageError(f"{error}") from None
        return session

    def close(self) -> None:
        """End every process of the run."""
        if self.session is not None:
            self.session.close()
        if self.interrupt is not None:
            self.interrupt.close()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    state = config.stash[STATE] = PluginState(config)
    if not hasattr(config, "workerinput"):  # xdist's processes report to the one that started them
        from conformance.runs.recorder import Recorder

        config.pluginmanager.register(Recorder(config, state), "conformance.recorder")
    if config.getoption("--hypothesis-profile", None):
        from hypothesis import settings

        from conformance.engine.profiles import PROFILES

        for profile in PROFILES.values():  # Hypothesis's own option must accept their names
            settings.register_profile(
                profile.name, max_examples=profile.examples, derandomize=profile.derandomize, deadline=None
            )
    if any(config.getoption(name) for name in ("--backend", "--known-failures", "--baseline", "--shard", "--kind")):
        state.prepare()


def pytest_unconfigure(config: pytest.Config) -> None:
    state = config.stash.get(STATE, None)
    if state is not None:
        state.close()
    if "conformance.runs.items" in sys.modules:
        sys.modules["conformance.runs.items"].close_runs()


def pytest_report_header(config: pytest.Config) -> list[str]:
    session = config.stash[STATE].session
    if session is None:
        return []
    settings = session.settings
    firsts = [speakers[0].backend for speakers in session.by_backend]
    backends = ", ".join(f"{backend.name} ({backend.version})" for backend in firsts)
    shard = f", shard {settings.shard}" if settings.shard else ""
    return [f"conformance: {backends}; profile {settings.profile.name}, seed {settings.seed}{shard}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    checks = getattr(metafunc.function, "checks", None)
    if checks is None or "trial" not in metafunc.fixturenames:
        return
    state = metafunc.config.stash[STATE]
    state.asked = True
    if state.session is None and state.problem is None:
        try:
            state.prepare()
        except pytest.UsageError as error:
            state.problem = error
    jobs = [] if state.session is None else state.session.jobs_of_law(metafunc.function)
    metafunc.parametrize("trial", [pytest.param(job, id=str(job)) for job in jobs])


def job_of(item: pytest.Item) -> Job | None:
    """Return the item's job, None for a test from elsewhere."""
    callspec = getattr(item, "callspec", None)
    job = callspec.params.get("trial") if callspec else None
    return job if hasattr(job, "subject") and hasattr(job, "key") else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    state = config.stash[STATE]
    if not state.asked:
        return
    if state.problem is not None:
        raise state.problem
    session = state.session
    assert session is not None
    for module in (module for specification in session.specifications for module in specification.modules):
        if getattr(module, "broken", None) is not None:
            raise pytest.UsageError(f"{module.broken}")
    # A test of the suite without a job, because no backend claims its features: pytest would count it as skipped.
    items[:] = [i for i in items if job_of(i) is not None or not hasattr(getattr(i, "function", None), "checks")]
    place = {id(item): session.place(job) for item in items if (job := job_of(item)) is not None}
    left_out = [item for item in items if place.get(id(item), 0) is None]
    if left_out:  # by this shard
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if place.get(id(item), 0) is not None]
    position = {item: at for item, at in place.items() if at is not None}
    items.sort(key=lambda item: position.get(id(item), -1))
    from conformance.campaign.hypofuzz import under_hypofuzz

    if under_hypofuzz():
        _make_fuzzable(items)


class FuzzedFunction(pytest.Function):
    """A test under HypoFuzz, whose examples' key depends on ``nodeid``: a name without paths."""

    @property
    def nodeid(self) -> str:
        return str(self.callspec.params["trial"])


def _make_fuzzable(items: list[pytest.Item]) -> None:
    """Change the tests of the suite so that HypoFuzz collects them; it ignores the others."""
    from conformance.campaign.hypofuzz import fuzzable

    for item in items:
        job = job_of(item)
        if isinstance(item, pytest.Function) and job is not None and (test := fuzzable(job)) is not None:
            item.__class__, item.obj = FuzzedFunction, test
            item.add_marker("hypothesis")


def pytest_collection_finish(session: pytest.Session) -> None:
    if "conformance.runs.items" in sys.modules:  # a user's test may be parametrized with requirements
        sys.modules["conformance.runs.items"].expect_items(session.items)
    if session.config.stash[STATE].asked:
        gc.freeze()  # modules and items stay to the end; pytest's searches for garbage took a quarter of a short run


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    config, state = session.config, session.config.stash[STATE]
    if state.session is None or session.testsfailed or config.getoption("collectonly"):
        return
    jobs = [job for item in session.items if (job := job_of(item)) is not None]
    if state.campaign is None:
        if state.interrupt is not None and state.session.pool is not None:  # not for an adapter in this process
            state.session.interrupt, state.interrupt.defer = state.interrupt, True
        state.session.start(jobs)
    else:
        capture = config.pluginmanager.getplugin("capturemanager")
        drop = capture.read_global_capture if capture.is_globally_capturing() else lambda: None
        state.campaign.go(jobs, config.pluginmanager.getplugin("terminalreporter"), drop)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    job = job_of(pyfuncitem)
    if job is None:
        return None
    state = pyfuncitem.config.stash[STATE]
    assert state.session is not None
    finding: Finding | None = None
    try:
        # In this project warnings are errors, but adapters may warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if state.campaign is None:
                finding = state.session.finding(job)
            else:
                finding = state.session.judge.look_up(job, state.campaign)
        _warn(pyfuncitem, state)
    finally:
        pyfuncitem.stash[FINDING] = finding
        pyfuncitem.user_properties += _properties(job, finding)
    from conformance.runs.items import settle_item

    settle_item(finding)
    return True


def _warn(item: pytest.Item, state: PluginState) -> None:
    """Report once that the database failed, in pytest's summary of warnings and never as an error."""
    problem = state.exploration.database.news() if state.exploration else ""
    if problem:
        message = warnings.WarningMessage(pytest.PytestWarning(problem), pytest.PytestWarning, "", 0)
        recorded = {"warning_message": message, "when": "runtest", "nodeid": item.nodeid, "location": None}
        item.ihook.pytest_warning_recorded.call_historic(kwargs=recorded)


def _properties(job: Job, finding: Finding | None) -> list[tuple[str, Any]]:
    """Return the properties of a check in JUnit's XML."""
    found: dict[str, Any] = dict(job.key._asdict())
    found["status"] = "failed" if finding is None else str(finding.status)
    if finding is not None:
        found |= {name: value for name in ("examples", "margin") if (value := getattr(finding, name)) is not None}
    return list(found.items())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if call.when == "call" and FINDING in item.stash and (job := job_of(item)) is not None:
        finding = item.stash[FINDING]
        # xdist's processes send it as a report's attribute
        if finding is None:
            session: Session = item.config.stash[STATE].session  # type: ignore[assignment]  # it has made the job
            finding = session.judge.writer.of_the_suite(job, report.longreprtext)
        report.conformance = json.dumps(finding.as_json())
    return report
