"""Select and order the checks of a run, and turn their findings into the outcome of each backend."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.engine.finding import Finding, Status
from conformance.engine.key import Key
from conformance.engine.specification import Specification
from conformance.reporting.report import Outcome, Row
from conformance.runs.prerequisites import ranks
from reference.catalogue import Requirement


@dataclass(frozen=True)
class Speaker:
    """A backend and a specification that it is put to; ``backend`` has its claims for that specification."""

    specification: Specification
    backend: Any
    backend_index: int


def requirements_of(specifications: Iterable[Specification]) -> dict[str, dict[str, Requirement]]:
    """Return every requirement by the name of its specification and by its id."""
    return {specification.name: specification.requirements for specification in specifications}


def keys_of(speakers: Sequence[Speaker]) -> list[Key]:
    """Return the keys of a run of these backends, in its order.

    A kind and dtype of a backend runs as one block, because its checks share examples. Prerequisites come first.
    """
    keys = []
    for speaker in speakers:
        s, backend = speaker.specification, speaker.backend
        rank = ranks(s.requirements)
        mine = [
            Key(requirement.id, backend.name, *where, s.name)
            for requirement in s.requirements.values()
            for where in s.combinations(backend.features, requirement)
        ]
        keys += sorted(
            mine, key=lambda key: (s.kinds.index(key.kind), s.dtypes.index(key.dtype), rank[key.requirement])
        )
    return keys


def costs_of(specifications: Iterable[Specification], keys: Iterable[Key]) -> list[float]:
    """Return the estimated relative cost of each check."""
    known = {specification.name: specification for specification in specifications}
    return [known[key.specification].cost(key.requirement, key.kind) for key in keys]


def outcome(
    speakers: Sequence[Speaker],
    results: Mapping[Key, Finding],
    asked: Collection[Key],
    seconds: Mapping[str, float],
    unmatched: Iterable[str] = (),
    campaign: dict[str, Any] | None = None,
) -> Outcome:
    """Return the outcome of one backend; ``speakers`` are its entries, one for each specification.

    The outcome is complete if there is a result for every key of the backend in ``asked``.
    """
    rows = [row for speaker in speakers for row in _rows(speaker, results)]
    backend = speakers[0].backend
    complete = all(key in results for key in asked if key.backend == backend.name)
    claims = {speaker.specification.name: speaker.backend.features for speaker in speakers}
    areas = tuple(dict.fromkeys(area for speaker in speakers for area in speaker.specification.areas))
    return Outcome(
        backend.name, backend.version, claims, rows, complete, dict(seconds), tuple(unmatched), campaign, areas
    )


def _rows(speaker: Speaker, results: Mapping[Key, Finding]) -> Iterable[Row]:
    """Yield the rows of a report on a backend and a specification."""
    specification, backend = speaker.specification, speaker.backend
    for requirement in specification.requirements.values():
        where = specification.combinations(backend.features, requirement)
        for kind in requirement.kinds:
            for dtype in (dtype for mine, dtype in where if mine == kind):
                found = results.get(Key(requirement.id, backend.name, kind, dtype, specification.name))
                if found is not None:
                    yield Row.of(requirement, found)
            # A requirement about unclaimed features has no row where they are claimed.
            if not requirement.unless and kind not in (mine for mine, _ in where):
                first = specification.first_dtype(backend.features, kind)
                key = Key(requirement.id, backend.name, kind, first, specification.name)
                yield Row.of(requirement, Finding.at(key, Status.NOT_CLAIMED))
