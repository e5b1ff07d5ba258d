"""Campaigns: the profile ``thorough`` for as long as asked, in rounds through all requirements.

Each round has its own seed, which the report names. A failure is shown at once and kept, its example in the database,
its verdict in a journal: a campaign that was killed continues where it was.
"""

from __future__ import annotations

import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from conformance.campaign.journal import Journal, Record, Total, merged
from conformance.engine.drawing import BLOCK
from conformance.engine.key import Key
from conformance.engine.verdict import Verdict
from conformance.isolation.interrupt import Interrupt
from conformance.runs.job import Job
from conformance.runs.session import Session
from conformance.version import __version__

EXAMPLES = 5 * BLOCK  # of a check in a round, unless another number is asked for
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OFTEN, RARELY = 0.5, 60.0  # seconds between two pictures of the progress, on a terminal and elsewhere


def duration(text: str) -> float:
    """Return the seconds of ``90s``, ``30m``, ``8h``, ``1h30m``. Raises ValueError, one sentence."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text}: give a duration like 90s, 30m, 8h or 1h30m.")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def clock_time(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def round_seed(seed: int, process: str, number: int) -> int:
    """Return the seed of a process's round: another for each process and each round of a campaign."""
    digest = blake2b(f"{seed}/{process}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2  # blocks of a round count on from here


class Campaign:
    """A campaign of a session: its verdicts so far, and how it continues."""

    def __init__(self, session: Session, seconds: float, folder: Path | None) -> None:
        self.session, self.seconds, self.folder = session, seconds, folder
        self.seed = session.settings.seed
        backends = [f"{those[0].backend.name} ({those[0].backend.version})" for those in session.by_backend]
        self.head = {"campaign": [f"suite {__version__}", *backends]}
        self.journal = Journal(folder, self.head) if folder else None
        self.own = self.journal.record if self.journal else Record()
        self.process = self.journal.process if self.journal else f"{socket.gethostname()}-{os.getpid()}"
        self.all = merged(folder, self.head) if folder else self.own
        self.before = self.all.examples
        self.jobs: dict[Key, Job] = {}
        self.prerequisites = session.prerequisites()
        self.drop: Callable[[], object] = lambda: None

    # --- rounds ---------------------------------------------------------------------------------------

    def go(self, jobs: Iterable[Job], reporter: Any, drop: Callable[[], object]) -> None:
        """Replay the failures so far, then go through the jobs in rounds until the time is up or a Ctrl-C.

        ``drop()`` forgets what was printed.
        """
        self.jobs, self.drop = {job.key: job for job in jobs}, drop
        self.note(self.all.found)
        self.progress = Progress(self, reporter)
        self.interrupt = Interrupt()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an adapter may warn as it likes
                if self.seconds > 0:
                    self.replay()
                while self.progress.left > 0 and self.open_jobs():
                    self.round()
        except KeyboardInterrupt:
            self.progress.tell("interrupted: the findings so far are reported")
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
        """Run the jobs again that had failed when the campaign was left."""
        found = {key: found for key, found in self.all.found.items() if key in self.jobs}
        for key, before in found.items():
            self.interrupt.look()
            self.session.draw_from(before["seed"])
            verdict, _ = self._verdict(self.jobs[key])
            fails = not verdict.passed
            self.progress.tell(f"{'FAILS AGAIN' if fails else 'PASSES NOW'} {self.line(key, before)}")
            self.write({"replayed": key, "fails_again": fails})

    def round(self) -> None:
        """Go through one round, or the rest of one that was not finished."""
        if self.own.done:
            number = len(self.own.rounds) + 1
            seed = round_seed(self.seed, self.process, number)
            self.write({"round": number, "seed": seed, "process": self.process, "examples_each": self.each})
        number, seed = self.own.rounds[-1]["round"], self.own.rounds[-1]["seed"]
        self.session.draw_from(seed)
        for key, job in self.jobs.items():
            self.interrupt.look()
            if self.progress.left <= 0:
                return
            judged = key in self.own.judged or key in self.all.found
            if not judged and self.prerequisites.cause(key) is None:
                self.judge(key, job, number, seed)
        self.write({"done": number})

    def _verdict(self, job: Job) -> tuple[Verdict, bool]:
        return self.session.runner(job).run(job, self.session.judge.known_failure(job.key))

    def judge(self, key: Key, job: Job, number: int, seed: int) -> None:
        """Run one check of a round and keep its verdict."""
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
            line |= {"process": self.process, "round": number, "seed": seed, "verdict": asdict(verdict)}
        if asked:
            self.write(line)
        if "verdict" in line:
            where = self.session.judge.writer.reproducer(job, verdict)
            what = "FOUND" if self.session.judge.known_failure(key) is None else "KNOWN"
            self.progress.tell(f"{what} {self.line(key, line)}", f"  reproducer: {where}")
            self.note([key])
        if problem := self.session.database.news():
            self.progress.tell(f"warning: {problem}")
        self.drop()
        self.progress.tick()

    def note(self, failures: Iterable[Key]) -> None:
        """Skip what builds on these failures from here on."""
        for key in failures:
            if self.session.judge.known_failure(key) is None:
                self.prerequisites.failed(key)

    def line(self, key: Key, found: dict[str, Any]) -> str:
        """Return a failure in a line."""
        where = f"{key} (round {found['round']} of {found['process']}, seed {found['seed']})"
        return f"{where}: {found['verdict']['failure'].splitlines()[0]}"

    def write(self, line: dict[str, Any]) -> None:
        """Keep a line of what happened."""
        self.own.add(line)
        if self.all is not self.own:
            self.all.add(line)
        if self.journal:
            self.journal.write(line)

    @property
    def each(self) -> int:
        return self.session.settings.profile.examples

    # --- what it came to ------------------------------------------------------------------------------

    def blocked(self, key: Key) -> str | None:
        """Return the failed prerequisite for which the key was never run, if that is why."""
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
        """Return what the report says of the campaign."""
        found = [
            dict(zip(("requirement", "backend", "kind", "dtype"), key[:4], strict=True))
            | {name: value for name, value in find.items() if name != "verdict"}
            | ({"fails_again": self.all.replayed[key]} if key in self.all.replayed else {})
            for key, find in self.all.found.items()
        ]
        return {"seconds": round(self.progress.spent, 1), "rounds": self.all.rounds, "found": found}


class Progress:
    """Shows a campaign on the terminal: a line that changes, or plain lines from time to time."""

    def __init__(self, campaign: Campaign, reporter: Any) -> None:
        self.campaign, self.reporter = campaign, reporter
        self.since = self.shown = time.monotonic()
        self.live = reporter.isatty
        self.every = OFTEN if self.live else min(RARELY, max(1.0, campaign.seconds / 20))
        reporter.ensure_newline()
        if found := campaign.all.found:
            told = f"{len(campaign.all.rounds)} rounds, {campaign.before} examples, {len(found)} failures"
            reporter.write_line(f"campaign resumed: {told} so far")

    @property
    def spent(self) -> float:
        return time.monotonic() - self.since

    @property
    def left(self) -> float:
        return self.campaign.seconds - self.spent

    def line(self) -> str:
        """The state in a line."""
        c = self.campaign
        examples = c.all.examples
        here = f"round {len(c.own.rounds)}, {len(c.own.judged)} of {len(c.jobs)} checks"
        rate = (examples - c.before) / max(self.spent, 1e-9)
        return (
            f"campaign {clock_time(self.spent)}, {clock_time(max(0, self.left))} left | {here} | "
            f"{examples:,} examples, {rate:.0f}/s | {len(c.all.found)} failed"
        )

    def tick(self) -> None:
        """Show it, if it was not just shown."""
        now = time.monotonic()
        if now - self.shown >= self.every:
            self.shown = now
            if self.live:
                self.reporter.rewrite(self.line(), erase=True)
            else:
                self.reporter.write_line(self.line())

    def tell(self, *lines: str) -> None:
        """Write lines that stay."""
        if self.live:
            self.reporter.rewrite("", erase=True)
        for line in lines:
            self.reporter.write_line(line)
        self.reporter.flush()  # whoever kills the process has read it

    def end(self) -> None:
        """Write the last line."""
        self.tell(self.line())
