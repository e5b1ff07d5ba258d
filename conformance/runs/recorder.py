"""Record a run of pytest: its findings, the progress, the report, the exit status.

The plugin registers the recorder in the process that the user started; under pytest-xdist others run the tests.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.engine.finding import Finding
    from conformance.engine.key import Key
    from conformance.reporting.baseline import Gate
    from conformance.reporting.report import Outcome
    from conformance.reporting.terminal import Progress
    from conformance.runs.report_file import ReportFile


class Recorder:
    """Pytest's hooks around a run; ``state`` is the PluginState, which holds the session."""

    def __init__(self, config: pytest.Config, state: Any) -> None:
        self.config, self.state = config, state
        self.results: dict[Key, Finding] = {}
        self.elsewhere = 0  # failures of other tests, of fixtures and of xdist's processes
        self.suite_failed = False
        self.progress: Progress | None = None
        self.asked: set[str] = set()  # the tests of the run, by the names of their keys
        self.missing = ""  # what there should be and is not, in a sentence
        self.is_there = True  # unless the report cannot be written
        self.outcomes: list[Outcome] = []
        self.gate: Gate | None = None
        self.file = self.tried()

    def tried(self) -> ReportFile | None:
        """Try out the file of the report and return it. Raises pytest.UsageError, one sentence."""
        if self.path is None or self.config.getoption("collectonly"):
            return None
        from conformance.runs.report_file import CannotWrite, ReportFile

        try:
            return ReportFile(self.path)
        except CannotWrite as problem:
            raise pytest.UsageError(f"--conformance-report: {problem}") from None

    @property
    def path(self) -> str | None:
        """The report's path in the user's words, None without a report."""
        return self.config.getoption("--conformance-report")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show the name of the test that starts."""
        if self.progress is not None:
            self.progress.running(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the finding of a test, in the journal of the report before it is printed."""
        text = getattr(report, "conformance", None)
        if text is None:
            self.elsewhere += report.failed
            return
        from conformance.engine.finding import Finding
        from conformance.runs.failure_message import SUITE_FAILED

        if self.file is not None:
            self.file.note(text)
        finding = Finding.of_json(json.loads(text))
        self.suite_failed |= finding.message.startswith(SUITE_FAILED)
        self.results[finding.key] = finding
        if self.progress is not None:
            self.progress.ended(report.nodeid, finding)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a module that cannot be collected."""
        self.elsewhere += report.failed

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self, report: Any) -> Generator[None, Any, Any]:
        """Print no letter for a check while the progress is shown."""
        status = yield
        return (status[0], "", "") if self.progress is not None and hasattr(report, "conformance") else status

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Show the progress of the collected tests."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        checks = all(hasattr(getattr(item, "function", None), "checks") for item in session.items)
        if self.state.asked and reporter is not None and checks:
            reporter.showfspath = False  # checks of different modules alternate
        self.expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Show the progress of the tests that another process collected."""
        self.expect(ids)

    def expect(self, tests: list[str]) -> None:
        """Expect these tests; show their progress from now on if the output is a terminal."""
        self.asked |= {test.partition("[")[2].removesuffix("]") for test in tests}
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        option, session = self.config.option, self.state.session
        quiet = self.config.get_verbosity() != 0 or option.capture == "no" or option.usepdb or option.collectonly
        if reporter is None or not reporter.isatty or quiet or session is None or self.progress is not None:
            return
        from conformance.reporting.terminal import Progress

        names = [key.name for key in session.keys]
        self.progress = Progress(reporter, dict(zip(names, session.costs(session.keys), strict=True)))
        self.progress.expect(tests)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Settle the findings, write the report, set the exit status."""
        state = self.state
        if state.interrupt is not None:
            state.interrupt.hold = True  # the report is written to the end
        try:
            self.finish(session)
        finally:
            if state.interrupt is not None:
                state.interrupt.hold, state.interrupt.defer = False, True

    def finish(self, session: pytest.Session) -> None:
        """Do the work of ``pytest_sessionfinish``."""
        state = self.state
        if self.progress is not None:
            self.progress.end()
        if self.config.getoption("collectonly") or state.problem is not None:
            return
        if not (state.asked or self.results):
            if self.file is not None:
                self.missing = f"no requirement was asked for in this run, so there is no report {self.path}."
                session.exitstatus = self.if_green(session.exitstatus)
            return
        ours = state.session or state.prepare()  # xdist's main process has no session if no backend is named
        campaign = state.campaign.as_json() if state.campaign else None
        if self.config.getoption("numprocesses", None):  # xdist's processes did not know of each other's failures
            ours.settle(self.results)
        self.outcomes = ours.outcomes(self.results, campaign)
        text = ours.text(self.outcomes)
        self.gate = ours.gate(text)
        self.is_there = self.written(text)
        session.exitstatus = self.exit_status(session.exitstatus)
        judged = {key.name for key in self.results}
        if lacking := {key.name for key in ours.keys} & self.asked - judged:
            without = f"{len(lacking)} of the checks that were asked for have no verdict: {min(lacking)} is one."
            self.missing = self.missing or without
            session.exitstatus = self.if_green(session.exitstatus)
        if not self.is_there:
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def written(self, text: str) -> bool:
        """Write the report if there is to be one; return False if it cannot be written."""
        if self.file is None:
            return True
        from conformance.runs.report_file import CannotWrite

        try:
            self.file.write(text)
        except CannotWrite as problem:
            self.missing = str(problem)
            return False
        return True

    def pytest_unconfigure(self) -> None:
        """Close the journal of the report."""
        if self.file is not None:
            self.file.close()

    @staticmethod
    def if_green(status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """Return the exit status of a run in which something is missing: another one than 0."""
        return pytest.ExitCode.INTERNAL_ERROR if status == pytest.ExitCode.OK else status

    def exit_status(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """Return the exit status: pytest's unless it is 0 or 1, then 1 if the gate or a known-failures file fails.

        It is 3 where the suite itself failed.
        """
        if self.state.interrupt is not None and self.state.interrupt.pressed:
            return pytest.ExitCode.INTERRUPTED
        if self.suite_failed:
            return pytest.ExitCode.INTERNAL_ERROR
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return status
        if any(row.status == "blocked" for outcome in self.outcomes for row in outcome.rows):
            status = pytest.ExitCode.TESTS_FAILED  # also if the failure that explains it was not selected
        if self.gate is not None:
            status = pytest.ExitCode.TESTS_FAILED if self.gate.worse or self.elsewhere else pytest.ExitCode.OK
        # For a shard only the merge can decide whether an entry matches nothing.
        session = self.state.session
        return pytest.ExitCode.TESTS_FAILED if session.unmatched and session.settings.shard is None else status

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None, Any, Any]:
        """Print the summary."""
        if not self.outcomes:
            result = yield
            if self.missing:
                terminalreporter.write_line(self.missing, red=True)
            return result
        from conformance.reporting.terminal import screenful, summary, unmatched

        with screenful(terminalreporter, self.path):
            result = yield
        terminalreporter.section("conformance")
        lines, shard = [*summary(self.outcomes, self.path)], self.state.session.settings.shard
        if shard is None:
            lines += unmatched(self.outcomes)
        else:
            lines.append(f"shard {shard}: python -m conformance merge makes one report of all shards'.")
        if self.gate is not None:
            lines += [*self.gate.lines(self.path), ""]
        if self.missing:
            lines.append(self.missing)
        if self.path and self.is_there:
            lines.append(f"report: {self.path}")
        for line in lines:
            terminalreporter.write_line(line)
        return result
