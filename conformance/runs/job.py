"""Jobs: each a check and the subject that is put to it; and which of them run in one process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from conformance.engine.key import Key
from conformance.engine.subject import Subject
from reference.catalogue import Requirement


@dataclass(frozen=True, eq=False)
class Job:
    """One check of a run, and the subject that is put to it."""

    check: Any
    number: int
    """The position of the check among the checks of its requirement."""
    subject: Subject
    backend_index: int
    """The position of the backend in the run."""

    @property
    def requirement(self) -> Requirement:
        """The requirement that the check decides."""
        return self.check.entry

    @property
    def key(self) -> Key:
        """The requirement and the subject."""
        subject = self.subject
        name = subject.backend.name
        return Key(self.requirement.id, name, subject.kind, subject.dtype, subject.specification.name)

    @property
    def exemplified(self) -> list[Requirement]:
        """The requirements that a case is an example of; empty for other checks."""
        catalogue = self.subject.specification.catalogue
        return [catalogue[name] for name in getattr(self.check, "names", ())]

    def __str__(self) -> str:
        return self.key.name


MOST_PARTS = 2  # of a unit: the calls that most checks share are half of its work
COST_OF_A_LIST, COST_OF_DRAWING = 360.0, 12.0  # in examples: of a whole list of large calls, and of a way of drawing


def unit_of(job: Job) -> tuple[int, tuple[str, str]]:
    """Return the position of a job's backend, and what jobs have in common that know of each other's failures."""
    return job.backend_index, (job.subject.specification.name, job.subject.kind)


def split(examples: int, jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """Return parts of about the same cost, at most ``count``, each in the order of the jobs; equal in every run.

    Jobs that share examples, because they draw them in the same way, stay in one part. ``examples`` is the number of
    examples for each check.
    """
    groups: dict[Any, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[getattr(job.check, "draw", job)].append(job)
    costs = [(COST_OF_DRAWING + sum(_cost(examples, job) for job in group), group) for group in groups.values()]
    parts: list[tuple[float, int, list[Job]]] = [(0.0, place, []) for place in range(min(count, MOST_PARTS))]
    for more, group in sorted(costs, key=itemgetter(0), reverse=True):
        cost, place, part = min(parts)
        parts[place] = cost + more, place, [*part, *group]
    places = {job: place for place, job in enumerate(jobs)}
    return [sorted(part, key=places.__getitem__) for _, _, part in parts if part]


def _cost(examples: int, job: Job) -> float:
    """Return the estimated cost of a job without drawing."""
    share = getattr(job.check, "share", 0.0)  # a case has one example
    return COST_OF_A_LIST if share > 1 else max(1.0, examples * share)
