"""Jobs: each a check and the subject that is put to it."""

from __future__ import annotations

from dataclasses import dataclass
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
