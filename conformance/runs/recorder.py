"""What a run came to: kept as pytest reports it, shown while it goes on, then the report, the summary, the exit status.

Registered by the plugin in the process that the user started: under pytest-xdist the tests are run in others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.runs.selection import all_requirements, outcome


class Recorder:
    """Hooks of pytest around a run of the plugin's."""

    def __init__(self, config: pytest.Config, run: Any) -> None:
        self.config, self.run = config, run
        self.results: dict[tuple[str, ...], dict[str, Any]] = {}
        self.elsewhere = 0  # failures that are none of a check: of other tests, of fixtures, of a process of xdist
        self.progress: Any = None
        self.outcomes: list[Any] = []
        self.gate: Any = None

    @property
    def path(self) -> str | None:
        """Where the report is written."""
        return self.config.getoption("--conformance-report")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self.progress is not None:
            self.progress.running(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        text = getattr(report, "conformance", None)
        if text is None:
            self.elsewhere += report.failed
            return
        found = json.loads(text)
        key = tuple(found.pop("key"))
        self.results[key] = found
        if self.progress is not None:
            self.progress.ended(report.nodeid, key, found)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.elsewhere += report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report):
        status = yield
        return (status[0], "", "") if self.progress is not None and hasattr(report, "conformance") else status

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        checks = all(hasattr(getattr(item, "function", None), "checks") for item in session.items)
        if self.run.asked and reporter is not None and checks:
            reporter.showfspath = False  # the checks of a module are not run one after the other
        self.expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self.expect(ids)

    def expect(self, tests: list[str]) -> None:
        """Show the progress of these tests from now on, where somebody may be looking at a terminal."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        option = self.config.option
        quiet = self.config.get_verbosity() != 0 or option.capture == "no" or option.usepdb or option.collectonly
        if reporter is None or not reporter.isatty or quiet or not self.run.backends or self.progress is not None:
            return
        from conformance.reporting.terminal import Progress
        from conformance.runs.shards import costs

        names = ["-".join(key) for key in self.run.keys]
        self.progress = Progress(reporter, dict(zip(names, costs(self.run.keys), strict=True)))
        self.progress.expect(tests)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        run = self.run
        if self.progress is not None:
            self.progress.end()
        if not (run.asked or self.results) or self.config.getoption("collectonly"):
            return
        if run.backends is None:  # under xdist, of the default backends
            run.prepare()
        if not run.backends:
            return
        from conformance.reporting.report import as_text, suite_of
        from conformance.runs.prerequisites import settle

        settle(self.results, all_requirements())
        for backend in run.backends:
            clock = next((s.clock for s in run.subjects.values() if s.backend is backend), None)
            seconds = clock.seconds if clock else {}
            campaign = run.campaign.as_json() if run.campaign else None
            self.outcomes.append(outcome(backend, self.results, run.keys, seconds, run.unmatched, campaign))
        suite = suite_of(run.profile.name, run.profile.examples, run.seed, str(run.shard or ""))
        text = as_text(self.outcomes, suite)
        if self.path:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            Path(self.path).write_text(text, "utf-8")
        if run.baseline is not None:
            from conformance.reporting.baseline import judge
            from conformance.reporting.reading import reports_of

            self.gate = judge(run.baseline, reports_of(text, "this run"))
        session.exitstatus = self.exit_status(session.exitstatus)

    def exit_status(self, status: int) -> int:
        """pytest's, where that is not only whether tests failed; else as baseline and known failures have it."""
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return status
        if self.gate is not None:
            status = pytest.ExitCode.TESTS_FAILED if self.gate.worse or self.elsewhere else pytest.ExitCode.OK
        # Whether the entries of a shard's file are those of nothing is for the merge to say.
        return pytest.ExitCode.TESTS_FAILED if self.run.unmatched and self.run.shard is None else status

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter):
        if not self.outcomes:
            return (yield)
        from conformance.reporting.terminal import screenful, summary, unmatched

        with screenful(terminalreporter, self.path):
            result = yield
        terminalreporter.section("conformance")
        lines = [*summary(self.outcomes, self.path)]
        if self.run.shard is None:
            lines += unmatched(self.outcomes)
        else:
            lines.append(f"shard {self.run.shard}: python -m conformance merge makes one report of all shards'.")
        if self.gate is not None:
            lines += [*self.gate.lines(self.path), ""]
        if self.path:
            lines.append(f"report: {self.path}")
        for line in lines:
            terminalreporter.write_line(line)
        return result
