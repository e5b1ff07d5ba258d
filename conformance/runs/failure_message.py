"""Write the message of a failure, and the script that reproduces it."""

from __future__ import annotations

import hashlib
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.diagnosis.explain import write_reproducer
from conformance.diagnosis.words import told
from conformance.engine.finding import Finding, Status
from conformance.engine.text import printable
from conformance.engine.verdict import Verdict
from conformance.engine.whole_files import write_whole
from conformance.runs.job import Job
from conformance.version import __version__

SUITE_FAILED = "the suite itself failed, which says nothing about the backend"
MAX_FILE_NAME_BYTES = 200  # systems allow 255, with an ending
PLAIN_EXPRESSION = re.compile(r"[\w.:+/\\\[\]-]+", re.ASCII)  # what pytest takes for one word after -k


@dataclass(frozen=True)
class FailureWriter:
    """The writer of a failure's message and reproducer.

    ``folder`` is the absolute path of the reproducers' folder; ``asked(job)`` returns the backend's NAME after
    ``--backend``; ``again(verdict)`` returns the further options that find the failure again.
    """

    folder: Path
    asked: Callable[[Job], str]
    again: Callable[[Verdict], str]
    drawn: Mapping[str, Any]
    """The profile and the seed of the run, as arguments of ``replay``."""

    def message(self, job: Job, verdict: Verdict) -> str:
        """Return the failure, its diagnosis, its call, and the requirement with its source."""
        diagnosed = told(verdict)
        parts = [verdict.failure, *(f"  diagnosis: {sentence}" for sentence in diagnosed)]
        if verdict.example:
            parts.append(f"  smallest failing call: {verdict.example}")
        parts += [
            f"  required ({job.requirement.id}): {job.requirement.statement}",
            f"  documented in: {job.requirement.source}",
        ]
        if said := _judged_by(job):
            parts.append(f"  in place of PyTorch's formula: {said}")
        if job.requirement.ruling:
            parts.append(f"  ruling: {job.requirement.ruling}")
        backend = shlex.quote(self.asked(job))
        chosen = shlex.quote(_chosen(job))
        parts.append(f"  again: pytest --pyargs conformance --backend {backend} {self.again(verdict)} -k {chosen}")
        return printable("\n".join(parts))

    def of_the_suite(self, job: Job, traceback: str) -> Finding:
        """Return the finding of a job in which the suite itself failed; keep the traceback beside the scripts."""
        place = self.folder / f"{_file_name(str(job))}.suite-failed.txt"
        text = f"rnn-conformance {__version__}, Python {sys.version}\n{self.again(Verdict())}\n\n{job}\n\n{traceback}\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            place.write_text(printable(text), "utf-8")
        except OSError:
            message = f"{SUITE_FAILED}: report it with the traceback above"
        else:
            message = f"{SUITE_FAILED}: report it with {place}, which has the traceback"
        return Finding.at(job.key, Status.FAILED, message=message)

    def reproducer(self, job: Job, verdict: Verdict) -> str:
        """Write the script and, next to it, the entry for a file of known failures; return the script's path."""
        if not verdict.reproducer:  # a crash, or a case
            write_reproducer(verdict, job.subject, job.requirement, drawn=self.drawn)
        script = self.folder / f"{_file_name(str(job))}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        write_whole(script, verdict.reproducer)
        write_whole(script.with_suffix(".toml"), verdict.known_failure)
        return str(script)


def _judged_by(job: Job) -> str:
    """Return by which dialect the subject is judged, with its equation and source; empty without one."""
    said: dict[str, str] = getattr(job.subject.features, "judged_by", dict)()
    return said.get(job.subject.kind, "")


def _chosen(job: Job) -> str:
    """Return the expression that chooses the job's test, and no other one, after pytest's ``-k``.

    An expression takes few characters and looks for parts of names. pytest writes a test's name in ASCII.
    """
    id_, end = job.requirement.id, f"-{job.subject.kind}-{job.subject.dtype}]"
    written = str(job).encode("unicode_escape").decode("ascii")
    if PLAIN_EXPRESSION.fullmatch(written):
        return f"[{written}]"
    start = PLAIN_EXPRESSION.match(f"[{written}")
    assert start is not None
    longer = [other for other in job.subject.specification.requirements if other.startswith(f"{id_}-")]
    others = [f"not [{other}-" for other in longer if f"[{other}-".startswith(start[0])]
    return " and ".join([start[0], end, *others])


def _file_name(name: str) -> str:
    """Return a name as one of a file: few characters, not too many, and different for different names."""
    plain = re.sub(r"[^a-z0-9_]+", "-", name.lower())
    if re.fullmatch(r"[A-Z0-9-]*-[a-z0-9_-]+", name) and len(plain) <= MAX_FILE_NAME_BYTES:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{plain[: MAX_FILE_NAME_BYTES - len(digest) - 1]}-{digest}"
