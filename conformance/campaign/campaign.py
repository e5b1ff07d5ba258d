"""Campaigns: the profile ``thorough`` for a given time, in rounds through all requirements.

Each round has its own seed, which the report names. A failure is shown at once; the database keeps its example, and a
journal its verdict. A killed campaign continues from its journal.
"""

from __future__ import annotations

import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from conformance.campaign.journal import Journal, Record, Total, kept, merged
from conformance.engine.drawing import BLOCK
from conformance.engine.key import Key
from conformance.engine.verdict import Verdict
from conformance.isolation.interrupt import Interrupt
from conformance.reporting.terminal import MAX_LIST_LINES
from conformance.runs.job import Job
from conformance.runs.session import Session
from conformance.version import __version__

EXAMPLES_PER_CHECK = 5 * BLOCK  # in a round, by default
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
TERMINAL_INTERVAL_SECONDS, LOG_INTERVAL_SECONDS = 0.5, 60.0  # between two lines of progress


def duration(text: str) -> float:
    """Return the seconds of ``90s``, ``30m``, ``8h``, ``1h30m``. Raises ValueError, one sentence."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text}: give a duration like 90s, 30m, 8h or 1h30m.")
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)


def clock_time(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def round_seed(seed: int, process: str, number: int) -> int:
    """Return the seed of a round, which differs for each process and each round of a campaign."""
    digest = blake2b(f"{seed}/{process}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2  # room for the blocks of a round, which add their number


class Campaign:
    """A campaign of a session: its verdicts so far, and the rounds that add to them."""

    def __init__(self, session: Session, seconds: float, folder: Path | None) -> None:
        self.session, self.seconds, self.folder = session, seconds, folder
        self.seed = session.settings.seed
        firsts = [speakers[0].backend for speakers in session.by_backend]
        backends = [f"{backend.name} ({backend.version})" for backend in firsts]
        self.head = {"campaign": [f"suite {__version__}", *backends]}
        self.journal = Journal(folder, self.head) if folder else None
        self.own = self.journal.record if self.journal else Record()
        self.process = self.journal.process if self.journal else f"{socket.gethostname()}-{os.getpid()}"
        self.all = merged(folder, self.head) if folder else self.own
        self.before = self.all.examples
        self.jobs: dict[Key, Job] = {}
        self.known: set[Key] = set()
        """The failures that are known ones."""
        self.prerequisites = session.prerequisites()
        self.drop: Callable[[], object] = lambda: None

    # --- rounds ---------------------------------------------------------------------------------------

    def go(self, jobs: Iterable[Job], reporter: Any, drop: Callable[[], object]) -> None:
        """Replay the failures so far, then run the jobs in rounds until the time is over or Ctrl-C is pressed.

        ``drop()`` discards the captured output.
        """
        self.jobs, self.drop = {job.key: job for job in jobs}, drop
        self.note(self.all.found)
        self.progress = Progress(self, reporter)
        self.progress.write(*(f"warning: {sentence}" for sentence in self.all.lost[:MAX_LIST_LINES]))
        self.interrupt = Interrupt()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # adapters may warn
                if self.seconds > 0:
                    self.replay()
                while self.progress.left > 0 and self.open_jobs():
                    self.round()
        except KeyboardInterrupt:
            self.progress.write("interrupted: the findings so far are reported")
        finally:
            self.interrupt.close()
        self.session.draw_from(self.seed)
        self.progress.end()
        if self.folder:
            self.all = merged(self.folder, self.head)
            self.note(self.all.found)

    def open_jobs(self) -> dict[Key, Job]:
        """Return the jobs that have not failed."""
        return {key: job for key, job in self.jobs.items() if key not in self.all.found}

    def replay(self) -> None:
        """Run the jobs again that have failed in an earlier part of the campaign."""
        found = {key: found for key, found in self.all.found.items() if key in self.jobs}
        for key, before in found.items():
            self.interrupt.raise_if_pressed()
            self.session.draw_from(before["seed"])
            verdict, _ = self._verdict(self.jobs[key])
            fails = not verdict.passed
            self.progress.write(f"{'FAILS AGAIN' if fails else 'PASSES NOW'} {self.line(key, before)}")
            self.write({"replayed": key, "fails_again": fails})

    def round(self) -> None:
        """Run one round, or the rest of an unfinished one."""
        if self.own.done:
            number = self.own.last + 1
            seed = round_seed(self.seed, self.process, number)
            self.write({"round": number, "seed": seed, "process": self.process, "examples_each": self.each})
        number, seed = self.own.rounds[-1]["round"], self.own.rounds[-1]["seed"]
        self.session.draw_from(seed)
        for key, job in self.jobs.items():
            self.interrupt.raise_if_pressed()
            if self.progress.left <= 0:
                return
            judged = key in self.own.judged or key in self.all.found
            if not judged and self.prerequisites.cause(key) is None:
                self.judge(key, job, number, seed)
        self.write({"done": number})

    def _verdict(self, job: Job) -> tuple[Verdict, bool]:
        return self.session.runner(job).run(job, self.session.judge.known_failure(job.key))

    def judge(self, key: Key, job: Job, number: int, seed: int) -> None:
        """Run one check of a round and save its verdict."""
        started = time.perf_counter()
        verdict, asked = self._verdict(job)
        line: dict[str, Any] = {
            "judged": key,
            "examples": verdict.examples,
            "seconds": round(time.perf_counter() - started, 4),
        }
        best = self.all.totals.get(key, Total()).margin
        if verdict.margin is not None and (best is None or verdict.margin > best):
            line |= {"margin": verdict.margin, "steps": verdict.steps}
        if verdict.note:
            line["note"] = verdict.note
        if not verdict.passed and asked:
            verdict.seed = seed
            line |= {"process": self.process, "round": number, "seed": seed, "verdict": kept(verdict)}
        if asked:
            self.write(line)
        if "verdict" in line:
            where = self.session.judge.writer.reproducer(job, verdict)
            self.note([key])
            what = "KNOWN" if key in self.known else "FOUND"
            self.progress.write(f"{what} {self.line(key, line)}", f"  reproducer: {where}")
        if problem := self.session.database.news():
            self.progress.write(f"warning: {problem}")
        self.drop()
        self.progress.tick()

    def note(self, failures: Iterable[Key]) -> None:
        """Block the requirements that build on these failures, known failures left out."""
        judge = self.session.judge
        for key in failures:
            job, verdict = self.jobs.get(key), Verdict(**self.all.found[key]["verdict"])
            if judge.is_known(job, verdict) if job else judge.known_failure(key) is not None:
                self.known.add(key)
            else:
                self.prerequisites.failed(key)

    def line(self, key: Key, found: dict[str, Any]) -> str:
        """Return a line on a failure."""
        where = f"{key} (round {found['round']} of {found['process']}, seed {found['seed']})"
        return f"{where}: {found['verdict']['failure'].splitlines()[0]}"

    def write(self, line: dict[str, Any]) -> None:
        """Add a line to the records and the journal."""
        self.own.add(line)
        if self.all is not self.own:
            self.all.add(line)
        if self.journal:
            self.journal.write(line)

    @property
    def failures(self) -> str:
        """The numbers of failed requirements in words; known failures are counted apart."""
        known = len(self.known)
        return f"{len(self.all.found) - known} failed" + (f", {known} known" if known else "")

    @property
    def each(self) -> int:
        return self.session.settings.profile.examples

    # --- the results ----------------------------------------------------------------------------------

    def blocked(self, key: Key) -> str | None:
        """Return the failed prerequisite because of which the key never ran, or None."""
        return None if key in self.all.totals else self.prerequisites.cause(key)

    def verdict(self, key: Key) -> tuple[Verdict, bool]:
        """Return the verdict of all rounds, and whether there is one."""
        total = self.all.totals.get(key)
        if total is None:
            return Verdict(failure="not run: the campaign's time was up before it was reached"), False
        verdict = Verdict(**total.found["verdict"]) if total.found else Verdict(margin=total.margin, steps=total.steps)
        verdict.examples, verdict.note = total.examples, total.note
        return verdict, True

    def as_json(self) -> dict[str, Any]:
        """Return the report's data on the campaign."""
        found = [
            dict(zip(("requirement", "backend", "kind", "dtype"), key[:4], strict=True))
            | {name: value for name, value in find.items() if name != "verdict"}
            | ({"fails_again": self.all.replayed[key]} if key in self.all.replayed else {})
            for key, find in self.all.found.items()
        ]
        return {"seconds": round(self.progress.spent, 1), "rounds": self.all.rounds, "found": found}


class Progress:
    """The progress of a campaign on the terminal, as a line that changes; elsewhere as plain lines."""

    def __init__(self, campaign: Campaign, reporter: Any) -> None:
        self.campaign, self.reporter = campaign, reporter
        self.since = self.shown = time.monotonic()
        self.live = reporter.isatty
        log_interval = min(LOG_INTERVAL_SECONDS, max(1.0, campaign.seconds / 20))
        self.interval = TERMINAL_INTERVAL_SECONDS if self.live else log_interval
        reporter.ensure_newline()
        if campaign.all.found:
            state = f"{len(campaign.all.rounds)} rounds, {campaign.before} examples, {campaign.failures}"
            reporter.write_line(f"campaign resumed: {state} so far")

    @property
    def spent(self) -> float:
        return time.monotonic() - self.since

    @property
    def left(self) -> float:
        return self.campaign.seconds - self.spent

    def line(self) -> str:
        """Return the state in a line."""
        c = self.campaign
        examples = c.all.examples
        here = f"round {len(c.own.rounds)}, {len(c.own.judged)} of {len(c.jobs)} checks"
        rate = (examples - c.before) / max(self.spent, 1e-9)
        return (
            f"campaign {clock_time(self.spent)}, {clock_time(max(0, self.left))} left | {here} | "
            f"{examples:,} examples, {rate:.0f}/s | {c.failures}"
        )

    def tick(self) -> None:
        """Show the state if ``interval`` has passed."""
        now = time.monotonic()
        if now - self.shown >= self.interval:
            self.shown = now
            if self.live:
                self.reporter.rewrite(self.line(), erase=True)
            else:
                self.reporter.write_line(self.line())

    def write(self, *lines: str) -> None:
        """Write permanent lines."""
        if self.live:
            self.reporter.rewrite("", erase=True)
        for line in lines:
            self.reporter.write_line(line)
        self.reporter.flush()  # so that the lines survive if the process is killed

    def end(self) -> None:
        """Write the last line."""
        self.write(self.line())
