"""The pool that the generated cases are chosen from: small calls of every form, the same in every run.

``python -m tests.case_kills`` runs the bank of faults on the pool, chooses, and writes data/chosen.json;
``python cases/generate.py`` writes the files of the chosen vectors.
"""

from __future__ import annotations

from collections.abc import Iterator

from cases.candidates import LayerDraft, Vector
from cases.cell_vectors import cells
from cases.forward_vectors import forwards, sequences, specials
from cases.refusals import refusals_of
from cases.training_vectors import gradients, trainings
from reference import KINDS

__all__ = ["Vector", "pool"]


def pool() -> Iterator[Vector]:
    """Yield every candidate, in a fixed order."""
    for kind in KINDS:
        yield from forwards(kind)
        yield from specials(kind)
        yield from sequences(kind)
        yield from gradients(kind)
        yield from cells(kind)
        yield from trainings(kind)
        yield from refusals(kind)


def refusals(kind: str) -> Iterator[Vector]:
    """Yield calls that a backend must refuse, one case for each requirement."""
    for requirement, draft in refusals_of(kind, LayerDraft):
        yield Vector(draft, kind, "refusal", frozenset(), requirement)
