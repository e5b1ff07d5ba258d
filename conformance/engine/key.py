"""Keys, which identify a check and the subject that it is put to."""

from __future__ import annotations

from typing import NamedTuple

from conformance.engine.example_key import name_of


class Key(NamedTuple):
    """A requirement put to a backend, for one kind and dtype."""

    requirement: str
    backend: str
    kind: str
    dtype: str
    specification: str = "torch.nn"

    @property
    def name(self) -> str:
        """The name in ids of tests and in databases of examples."""
        return name_of(self.requirement, self.backend, self.kind, self.dtype)

    def __str__(self) -> str:
        return " ".join(self[:4])
