"""The suite as a function: ``run``, ``check_backend`` and ``ConformanceError``."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from conformance import registry, specifications
from conformance.engine.finding import Finding, Status
from conformance.engine.whole_files import write_whole
from conformance.isolation.interrupt import Interrupt
from conformance.isolation.system import available
from conformance.reporting.baseline import Gate
from conformance.reporting.report import Outcome
from conformance.reporting.terminal import summary, unmatched
from conformance.runs.report_file import CannotWrite, ReportFile
from conformance.runs.session import Session
from conformance.runs.settings import Settings, UsageError


class ConformanceError(AssertionError):
    """A backend that does not conform; ``report`` has the findings, and the message describes the failures."""

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


class Report:
    """A run's findings about one backend."""

    def __init__(self, session: Session, findings: dict[Any, Finding]) -> None:
        self._text_of = session.text
        self._outcomes: list[Outcome] = session.outcomes(findings)
        self.findings: tuple[Finding, ...] = tuple(findings.values())
        """A finding for each requirement, kind and dtype, in the order of the run."""
        self.gate: Gate | None = session.gate(self.text)
        """The comparison with the baseline; None without a baseline."""

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings whose status is failed."""
        return tuple(finding for finding in self.findings if finding.status is Status.FAILED)

    @property
    def conformant(self) -> bool:
        """Whether the backend conforms in all that it claims, apart from known failures.

        With a baseline: whether no requirement got worse. As on the command line, an entry of known failures that
        matches nothing counts as a failure.
        """
        entries = not any(outcome.unmatched for outcome in self._outcomes)
        if self.gate is not None:
            return entries and not self.gate.worse
        return entries and all(outcome.conformant for outcome in self._outcomes)

    @cached_property
    def text(self) -> str:
        """The text of the report, JSON of schema 1."""
        return self._text_of(self._outcomes)

    def save(self, path: str | Path) -> None:
        """Write the file of ``--conformance-report``. Raises OSError if it cannot be written."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), self.text)

    def __str__(self) -> str:
        lines = [*summary(self._outcomes), *unmatched(self._outcomes)]
        return "\n".join([*lines, *(self.gate.lines() if self.gate else ())]).rstrip()

    def __repr__(self) -> str:
        outcome = self._outcomes[0]
        verdict = "conformant" if self.conformant else f"{len(self.failures)} findings failed"
        return f"<Report on {outcome.name} ({outcome.version}): {verdict}>"

    def raise_failures(self) -> None:
        """Raise ConformanceError unless the backend conforms."""
        if not self.conformant:
            raise ConformanceError(f"the backend does not conform\n{self}", self)


def run(backend: Any, profile: str = "standard", **options: Any) -> Report:
    """Put a backend to every requirement that its claims call for, and return the report.

    ``backend`` is a NAME as after ``--backend`` on the command line, or a ``Backend`` subclass, an instance, or a
    function without arguments that returns an instance. ``options`` are the command line's options by keyword:
    specification, kind (of torch:package.module:attribute), known_failures (a path or several), baseline, shard, report
    (a path), examples, seed, isolation ("process" or "none"), timeout (seconds), memory (GiB), processes, run_blocked,
    diagnosis ("off" or seconds). A class or function that a new process can import runs in separate processes, and so
    does an instance that ``conformance.torch`` made at the top of a module. Other instances run in this process, and so
    does a class or function that is defined inside a function or a script. Raises ValueError, one sentence, for an
    option or a backend that cannot be used, and KeyboardInterrupt after Ctrl-C or SIGTERM, with the report written.
    Raises ValueError for a report that cannot be written, and OSError if that shows at the end of the run.
    """
    session = prepared(backend, profile, options)
    findings: dict[Any, Finding] = {}
    try:
        file = None if session.settings.report is None else ReportFile(session.settings.report)
    except CannotWrite as problem:
        session.close()
        raise ValueError(f"report: {problem}") from None
    session.interrupt = interrupt = Interrupt(defer=session.pool is not None)
    try:
        jobs = session.jobs()
        with warnings.catch_warnings(), suppress(KeyboardInterrupt):  # the findings are kept
            warnings.simplefilter("ignore")  # adapters may warn
            session.start(jobs)
            for job in jobs:
                findings[job.key] = session.finding(job)
                if file is not None:
                    file.note(findings[job.key].as_json())
        interrupt.hold = True
        report = Report(session, findings)
        if file is not None:
            file.write(report.text)
        interrupt.hold, interrupt.defer = False, True
    except CannotWrite as problem:
        raise OSError(str(problem)) from None
    finally:
        if file is not None:
            file.close()
        session.close()
        interrupt.close()
    if len(findings) < len(jobs):
        raise KeyboardInterrupt
    interrupt.raise_if_pressed()
    return report


def check_backend(backend: Any, profile: str = "standard", **options: Any) -> Report:
    """Run a backend as ``run`` does and return the report. Raises ConformanceError if it does not conform."""
    report = run(backend, profile, **options)
    report.raise_failures()
    return report


def prepared(backend: Any, profile: str, options: dict[str, Any]) -> Session:
    """Return the session of a backend and of options by keyword. Raises ValueError, one sentence."""
    try:
        in_process = options.get("isolation") == "none" or (options.get("isolation") is None and not available())
        name = backend if isinstance(backend, str) else importable_name(backend)
        if name is None and options.get("isolation") == "process":
            raise UsageError(
                f"isolation: {_shown(backend)} cannot be imported by another process; define it at the top of a module "
                "and pass the class or function, or give isolation='none'."
            )
        isolation = "none" if name is None or in_process else "process"
        settings = Settings.of({**options, "profile": profile}, isolation=isolation)
        if settings.kind is not None:
            (name,) = settings.named([backend if isinstance(backend, str) else ""])
            backend = name
        if isolation == "process":
            return Session(settings, [str(name)])
        return Session(settings, {name or _shown(backend): _built(name, backend)})
    except (UsageError, registry.UnknownBackend) as error:
        raise ValueError(str(error)) from None


def _built(name: str | None, backend: Any) -> Any:
    if isinstance(backend, str):
        return specifications.backend(backend)
    return specifications.built(name or _shown(backend), backend)


def _shown(backend: Any) -> str:
    return getattr(backend, "__qualname__", None) or type(backend).__qualname__


def importable_name(backend: Callable[..., Any] | Any) -> str | None:
    """Return the NAME ``module:attribute`` under which another process can import a backend, or None.

    A class or function knows its name. An instance that conformance.torch made is searched
    in the module that made it.
    """
    module, qualname = getattr(backend, "__module__", None), getattr(backend, "__qualname__", None)
    if qualname is None and "__module__" in getattr(backend, "__dict__", {}):
        names = vars(sys.modules.get(str(module))).items() if str(module) in sys.modules else ()
        qualname = next((name for name, value in names if value is backend), None)
    elif not callable(backend):
        return None
    if not module or not qualname or "<" in qualname or module == "__main__":
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return f"{module}:{qualname}" if found is backend else None
