"""Candidates: faults, and pairs of faults, that may explain a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from conformance.diagnosis.probe import Match, Probe
from conformance.diagnosis.transcript import alike, same
from conformance.engine.compare import margin
from conformance.engine.specification import Specification
from conformance.engine.subject import Subject

MAX_PARTIAL = 4  # faults that explain some of the wrong calls, to be tried together with every other fault
NEARLY_AS_GOOD = 3.0  # times what the best explanation leaves
COARSER = {
    "approximate-activations": "approximate activations",
    "tf32": "products in tf32",
    "bfloat16-products": "products in bfloat16",
}


@dataclass(frozen=True)
class Candidate:
    """One fault, or a pair of faults."""

    fault: str
    explanation: str
    build: Callable[[], Any]
    kinds: frozenset[str] = frozenset()
    """The kinds that it touches; empty if that is not known."""
    faults: tuple[Any, ...] = ()
    """The fault, or the two."""

    @property
    def common(self) -> bool:
        """Whether every fault in it is a common one."""
        return all(fault.common for fault in self.faults)


def alone(fault: Any) -> Candidate:
    """Return a fault as a candidate."""
    return Candidate(fault.id, fault.explanation, fault.build, frozenset(getattr(fault, "kinds", ())), (fault,))


def known_faults(
    specification: Specification, kind: str, exclude: frozenset[str], dialects: Sequence[str] = ()
) -> list[Any]:
    """Return the faults that touch a kind, common ones first.

    The faults that ``dialects`` make right are left out, and other dialects are added.
    """
    right = (
        {fault.id for fault in specification.faults(kind) if specification.claim_of(fault.id, kind)} if dialects else ()
    )
    faults = [fault for fault in specification.faults(kind) if fault.id not in right]
    faults += specification.dialects(kind, dialects)
    return sorted((fault for fault in faults if fault.id not in exclude), key=lambda fault: not fault.common)


@dataclass
class Explained:
    """A candidate with its matches, one for each probe that it was compared with; None where it gives other numbers."""

    candidate: Candidate
    matches: list[Match | None]

    @property
    def all(self) -> bool:
        """Whether it gives the numbers of every probe."""
        return None not in self.matches

    @property
    def count(self) -> int:
        """The number of probes whose numbers it gives."""
        return sum(match is not None for match in self.matches)

    @property
    def within(self) -> bool:
        """Whether rounding explains every difference where it gives the numbers."""
        return all(match.within for match in self.matches if match is not None)

    @property
    def worst(self) -> Match:
        """The match that leaves the largest part."""
        return max((m for m in self.matches if m is not None), key=lambda m: m.part, default=Match(True))

    def compared(self, probes: Sequence[Probe]) -> Explained:
        """Return this candidate compared with further probes as well."""
        more = [probe.match(self.candidate.build) for probe in probes]
        return Explained(self.candidate, [*self.matches, *more])


def explaining(suspects: Iterable[Candidate], probe: Probe) -> list[Explained]:
    """Return the candidates that give a probe's numbers."""
    found = ((candidate, probe.match(candidate.build)) for candidate in suspects)
    return [Explained(candidate, [match]) for candidate, match in found if match is not None]


def best(found: Sequence[Explained]) -> list[Explained]:
    """Return the candidates that rounding alone separates from the backend; without one, all that leave the least."""
    within = [each for each in found if each.within]
    if within or not found:
        return within
    least = min(each.worst.part for each in found)
    return sorted(
        (each for each in found if each.worst.part <= NEARLY_AS_GOOD * least), key=lambda each: each.worst.part
    )


def together(specification: Specification, a: Any, b: Any) -> Candidate | None:
    """Return two faults as one candidate; None if they cannot be combined or are of one family.

    Two orders of the gates, say, are a third order.
    """
    if a.family == b.family:
        return None
    try:
        specification.compose(a, b)
    except ValueError:
        return None
    explanation = f"{a.explanation}, and at the same time of {b.explanation}"
    kinds = frozenset(getattr(a, "kinds", ())) & frozenset(getattr(b, "kinds", ()))
    return Candidate(f"{a.id}+{b.id}", explanation, lambda: specification.compose(a, b), kinds, (a, b))


def with_another(specification: Specification, fault: Any, known: Sequence[Any]) -> Iterator[Candidate]:
    """Yield a fault together with each other fault."""
    for other in known:
        if other.id != fault.id and (pair := together(specification, fault, other)) is not None:
            yield pair


def pairs(
    specification: Specification, known: Sequence[Any], probe: Probe, over: Callable[[], bool]
) -> Iterator[Candidate]:
    """Yield the pairs of faults that both change the numbers of a probe, common faults first, until ``over()``."""
    active = []
    for fault in known:
        if over():
            return
        if not same(probe.documented, probe.numbers(fault.build())):
            active.append(fault)
    ordered = sorted(combinations(range(len(active)), 2), key=lambda pair: sum(not active[k].common for k in pair))
    for a, b in ordered:
        if over():
            return
        if (pair := together(specification, active[a], active[b])) is not None:
            yield pair


def beside(subject: Subject, candidate: Candidate) -> Subject:
    """Return a candidate as a subject with the backend's claims.

    It claims no gradients where its gradients are not those of its own function.
    """
    backend, features = candidate.build(), subject.features
    if getattr(features, "gradients", False) and not getattr(backend.features, "gradients", False):
        features = replace(features, gradients=False)
    backend.features = features
    return subject.beside(backend)


def disproves(probe: Probe, candidate: Candidate) -> bool:
    """Return whether a candidate is wrong on a call on which the backend is right, and not just as the backend is.

    Both may write into the arguments.
    """
    numbers = probe.numbers(candidate.build())
    like = probe.documented if alike(numbers, probe.documented) else probe.heard
    if not alike(numbers, like):
        return True
    limits = [a for a in probe.trial.named(probe.trial.allowed()).values() if a is not None]
    arrays = [(its, right) for (_, its), (_, right) in zip(numbers, like, strict=True)]
    arrays = [pair for pair in arrays if isinstance(pair[0], np.ndarray)]
    least = probe.least(*(right for _, right in arrays if right.dtype.kind == "f"))  # a saturated unit has none itself
    for (its, right), limit in zip(arrays, limits, strict=False):
        limit = np.maximum(2 * limit, least)
        if its.dtype.kind == "f" and np.any(margin(its, right, limit, probe.arithmetic.largest) > 1):
            return probe.match(candidate.build) is None
    return False


def declaring(name: str) -> str:
    """Return the advice to declare a coarser arithmetic, to follow its words."""
    return f' (declare float32_arithmetic="{name}" if it is meant)'


def degree(found: Explained, probes: Sequence[Probe]) -> str:
    """Return a candidate's explanation, with the error that it leaves if rounding does not explain that."""
    candidate = found.candidate
    if found.within or not probes:
        return candidate.explanation
    words = f"{candidate.explanation}, but for an error of {found.worst.left:.0e}"
    left = [probe for probe, match in zip(probes, found.matches, strict=False) if match and not match.within]
    for coarser in zip(*(probe.coarser() for probe in left), strict=True):
        name = coarser[0].arithmetic.name
        if name in COARSER and all(probe.explained(candidate.build) for probe in coarser):
            return f"{words} that looks like {COARSER[name]}{declaring(name)}"
    return words
