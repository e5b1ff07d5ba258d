"""Candidates: faults, and pairs of common ones, that may explain a failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from conformance.diagnosis.probe import Probe
from conformance.diagnosis.transcript import same
from conformance.engine.specification import Specification


@dataclass(frozen=True)
class Candidate:
    """One fault, or a pair of common ones."""

    fault: str
    explanation: str
    build: Callable[[], Any]


def known_faults(specification: Specification, kind: str, exclude: frozenset[str]) -> list[Any]:
    """Return the faults that touch a kind, common ones first."""
    faults = specification.faults(kind)
    return sorted((fault for fault in faults if fault.id not in exclude), key=lambda fault: not fault.common)


def explaining(suspects: Sequence[Candidate], probes: Sequence[Probe]) -> list[Candidate]:
    """Return the candidates that explain all probes."""
    left = list(suspects)
    for probe in probes:
        left = [candidate for candidate in left if probe.explained(candidate.build)]
    return left


def explaining_pairs(specification: Specification, known: Sequence[Any], probes: Sequence[Probe]) -> list[Candidate]:
    """Return the pairs of common faults of different families that explain all probes.

    On a probe where one of the two faults changes nothing, the pair acts as the other fault. Pairs are evaluated only
    on probes that both faults change.
    """
    alone = [(fault, Candidate(fault.id, fault.explanation, fault.build)) for fault in known if fault.common]
    left = [(a, b) for a, b in combinations(range(len(alone)), 2) if alone[a][0].family != alone[b][0].family]
    together: dict[tuple[int, int], Candidate | None] = {}
    for probe in probes:
        documented = probe.numbers(specification.oracle())
        active = [not same(documented, probe.numbers(candidate.build())) for _, candidate in alone]
        explains = [is_active and probe.explained(c.build) for is_active, (_, c) in zip(active, alone, strict=True)]
        still = []
        for pair in left:
            if all(active[k] for k in pair):
                if pair not in together:
                    together[pair] = _together(specification, alone[pair[0]][0], alone[pair[1]][0])
                candidate = together[pair]
                if candidate is not None and probe.explained(candidate.build):
                    still.append(pair)
            elif any(explains[k] for k in pair):
                still.append(pair)
        left = still
    pairs = [together.get(p) or _together(specification, alone[p[0]][0], alone[p[1]][0]) for p in left]
    return explaining([pair for pair in pairs if pair is not None], probes)


def _together(specification: Specification, a: Any, b: Any) -> Candidate | None:
    """Return two faults as one candidate; None if they cannot be combined."""
    try:
        specification.compose(a, b)
    except ValueError:
        return None
    explanation = f"{a.explanation}, and at the same time of {b.explanation}"
    return Candidate(f"{a.id}+{b.id}", explanation, lambda: specification.compose(a, b))
