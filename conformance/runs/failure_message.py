"""Write the message of a failure, and the script that reproduces it."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.diagnosis.explain import write_reproducer
from conformance.diagnosis.words import sentences
from conformance.engine.text import printable
from conformance.engine.verdict import Verdict
from conformance.runs.job import Job
from conformance.runs.report_file import write_whole

MAX_FILE_NAME_BYTES = 200  # systems allow 255, with an ending


@dataclass(frozen=True)
class FailureWriter:
    """The writer of a failure's message and reproducer.

    ``folder`` is the reproducers' folder as messages name it; ``asked(job)`` returns the backend's NAME after
    ``--backend``; ``again(verdict)`` returns the further options that find the failure again.
    """

    folder: Path
    asked: Callable[[Job], str]
    again: Callable[[Verdict], str]
    drawn: Mapping[str, Any]
    """The profile and the seed of the run, as arguments of ``replay``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", self.folder.absolute())  # an adapter may change the working folder

    def message(self, job: Job, verdict: Verdict) -> str:
        """Return the failure, its diagnosis, its call, and the requirement with its source."""
        diagnosed = sentences(verdict.diagnosis, verdict.common, verdict.numeric, verdict.more)
        parts = [verdict.failure, *(f"  diagnosis: {sentence}" for sentence in diagnosed)]
        if verdict.example:
            parts.append(f"  smallest failing call: {verdict.example}")
        parts += [
            f"  required ({job.requirement.id}): {job.requirement.statement}",
            f"  documented in: {job.requirement.source}",
        ]
        if job.requirement.ruling:
            parts.append(f"  ruling: {job.requirement.ruling}")
        backend = shlex.quote(self.asked(job))
        chosen = shlex.quote(_chosen(job))
        parts.append(f"  again: pytest --pyargs conformance --backend {backend} {self.again(verdict)} -k {chosen}")
        return printable("\n".join(parts))

    def reproducer(self, job: Job, verdict: Verdict) -> str:
        """Write the script and, next to it, the entry for a file of known failures; return the script's path."""
        if not verdict.reproducer:  # a crash, or a case
            write_reproducer(verdict, job.subject, job.requirement, drawn=self.drawn)
        name = f"{_file_name(str(job))}.py"
        script: Path = self._place / name  # type: ignore[attr-defined]  # set above
        script.parent.mkdir(parents=True, exist_ok=True)
        write_whole(script, verdict.reproducer)
        write_whole(script.with_suffix(".toml"), verdict.known_failure)
        return str(self.folder / name)


def _chosen(job: Job) -> str:
    """Return the expression that chooses the job's test after pytest's ``-k``, which takes few characters."""
    name = str(job)
    if re.fullmatch(r"[\w.-]+", name):
        return name
    return f"{job.requirement.id} and {job.subject.kind}-{job.subject.dtype}"


def _file_name(name: str) -> str:
    """Return a name as one of a file: few characters, and not too many."""
    plain = re.sub(r"[^\w-]+", "-", name).lower()
    if len(plain.encode()) <= MAX_FILE_NAME_BYTES:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return plain.encode()[: MAX_FILE_NAME_BYTES - len(digest) - 1].decode(errors="ignore") + f"-{digest}"
