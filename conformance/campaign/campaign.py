"""Campaigns: the profile ``thorough`` for as long as asked, in rounds through all requirements.

Each round has a seed of its own, told in the report. What fails is told at once, and kept: the example in the
database, the verdict in a journal, so that a campaign that was killed goes on where it was.
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

from conformance import __version__
from conformance.campaign.journal import Journal, Key, Record, Total, merged
from conformance.engine.check import BLOCK, Verdict
from conformance.isolation.interrupt import Interrupt
from conformance.runs.prerequisites import Cascade

EXAMPLES = 5 * BLOCK  # of a check in a round, unless another number is asked for
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OFTEN, RARELY = 0.5, 60.0  # seconds between two pictures of the progress, on a terminal and elsewhere


def duration(text: str) -> float:
    """The seconds of ``90s``, ``30m``, ``8h``, ``1h30m``. Raises ValueError, one sentence."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text}: give a duration like 90s, 30m, 8h or 1h30m.")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def clock_time(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def round_seed(seed: int, process: str, number: int) -> int:
    """The seed of a process's round: another for each process and each round of a campaign."""
    digest = blake2b(f"{seed}/{process}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2  # blocks of a round count on from here


class Campaign:
    """A campaign of a run: what it found so far, and how it goes on.

    ``run`` is the plugin's: its seed and profile are the round's while one goes on.
    """

    def __init__(self, run: Any, seconds: float, folder: Path | None) -> None:
        self.run, self.seconds, self.folder = run, seconds, folder
        self.seed = run.seed
        backends = [f"{backend.name} ({backend.version})" for backend in run.backends]
        self.head = {"campaign": [f"suite {__version__}", *backends]}
        self.journal = Journal(folder, self.head) if folder else None
        self.own = self.journal.record if self.journal else Record()
        self.process = self.journal.process if self.journal else f"{socket.gethostname()}-{os.getpid()}"
        self.all = merged(folder, self.head) if folder else self.own
        self.before = self.all.examples

    # --- rounds ---------------------------------------------------------------------------------------

    def go(self, jobs: dict[Key, Any], reporter: Any, told: Callable[[Any, Verdict], str], drop: Callable) -> None:
        """Replay what was found before, then go through the jobs in rounds until the time is up or a Ctrl-C.

        ``told(job, verdict)`` writes a failure's reproducer and returns its path; ``drop()`` lets go of what was
        printed.
        """
        from conformance.plugin import all_requirements

        self.jobs, self.told, self.drop = jobs, told, drop
        self.cascade = Cascade(all_requirements())
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
            self.progress.tell("interrupted: what was found so far is reported")
        finally:
            self.interrupt.close()
        self.run.seed = self.seed
        self.progress.end()
        if self.folder:
            self.all = merged(self.folder, self.head)
            self.note(self.all.found)

    def open_jobs(self) -> dict[Key, Any]:
        """Those that have not failed."""
        return {key: job for key, job in self.jobs.items() if key not in self.all.found}

    def start(self, seed: int) -> None:
        """Draw from that seed from here on."""
        self.run.seed, self.run.plans, self.run.streams, self.run.streams_of = seed, None, {}, None

    def replay(self) -> None:
        """Put to the backend again what had failed when the campaign was left."""
        found = {key: found for key, found in self.all.found.items() if key in self.jobs}
        for key, before in found.items():
            self.interrupt.look()
            self.start(before["seed"])
            verdict, _ = self.run.put_to_the_check(self.jobs[key], self.run.known_failure(key))
            fails = not verdict.passed
            self.progress.tell(f"{'FAILS AGAIN' if fails else 'PASSES NOW'} {self.line(key, before)}")
            self.write({"replayed": key, "fails_again": fails})

    def round(self) -> None:
        """One round, or what is left of one that was not finished."""
        if self.own.done:
            number = len(self.own.rounds) + 1
            seed = round_seed(self.seed, self.process, number)
            self.write({"round": number, "seed": seed, "process": self.process, "examples_each": self.each})
        number, seed = self.own.rounds[-1]["round"], self.own.rounds[-1]["seed"]
        self.start(seed)
        for key, job in self.jobs.items():
            self.interrupt.look()
            if self.progress.left <= 0:
                return
            judged = key in self.own.judged or key in self.all.found
            if not judged and self.cascade.cause(key) is None:
                self.judge(key, job, number, seed)
        self.write({"done": number})

    def judge(self, key: Key, job: Any, number: int, seed: int) -> None:
        """One check of a round."""
        started = time.perf_counter()
        verdict, asked = self.run.put_to_the_check(job, self.run.known_failure(key))
        line = {"judged": key, "examples": verdict.examples, "seconds": round(time.perf_counter() - started, 4)}
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
            where = self.told(job, verdict)
            what = "FOUND" if self.run.known_failure(key) is None else "KNOWN"
            self.progress.tell(f"{what} {self.line(key, line)}", f"  reproducer: {where}")
            self.note([key])
        if problem := self.run.database.news():
            self.progress.tell(f"warning: {problem}")
        self.drop()
        self.progress.tick()

    def note(self, failures: Iterable[Key]) -> None:
        """What builds on these is not run from here on."""
        for key in failures:
            if self.run.known_failure(key) is None:
                self.cascade.failed(key)

    def line(self, key: Key, found: dict[str, Any]) -> str:
        """A find in a line."""
        where = f"{' '.join(key)} (round {found['round']} of {found['process']}, seed {found['seed']})"
        return f"{where}: {found['verdict']['failure'].splitlines()[0]}"

    def write(self, line: dict[str, Any]) -> None:
        """Keep what happened."""
        self.own.add(line)
        if self.all is not self.own:
            self.all.add(line)
        if self.journal:
            self.journal.write(line)

    @property
    def each(self) -> int:
        return self.run.profile.examples

    # --- what it came to ------------------------------------------------------------------------------

    def blocked(self, key: Key) -> str | None:
        """The failed requirement for which this one was never run, if that is why."""
        return None if key in self.all.totals else self.cascade.cause(key)

    def verdict(self, key: Key) -> tuple[Verdict, bool]:
        """The verdict of all rounds, and whether there was one."""
        total = self.all.totals.get(key)
        if total is None:
            return Verdict(failure="not run: the campaign's time was up before it was reached"), False
        verdict = Verdict(**total.found["verdict"]) if total.found else Verdict(margin=total.margin, steps=total.steps)
        verdict.examples, verdict.note = total.examples, total.note
        return verdict, True

    def as_json(self) -> dict[str, Any]:
        """What the report tells of the campaign."""
        found = [
            dict(zip(("requirement", "backend", "kind", "dtype"), key, strict=True))
            | {name: value for name, value in find.items() if name != "verdict"}
            | ({"fails_again": self.all.replayed[key]} if key in self.all.replayed else {})
            for key, find in self.all.found.items()
        ]
        return {"seconds": round(self.progress.spent, 1), "rounds": self.all.rounds, "found": found}


class Progress:
    """How a campaign goes, on the terminal: a line that changes, or plain lines now and then."""

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
        """Write how it ended."""
        self.tell(self.line())
