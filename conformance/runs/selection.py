"""What a run is about, and what it came to: who is asked what in which order, and the answers as a report's rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from conformance.backend import Backend, Features
from conformance.reporting.report import Outcome, Row
from conformance.runs.prerequisites import Key, ranks
from reference.catalogue import Requirement, catalogue
from reference.config import DTYPES, KINDS


def all_requirements() -> dict[str, Requirement]:
    """Every requirement by its id: the catalogue's entries, and one for each case."""
    from conformance.specifications.torch_nn.suite.test_cases import test_case

    return catalogue() | {check.requirement: check.entry for check in test_case.checks}


def combinations(features: Features, requirement: Requirement) -> list[tuple[str, str]]:
    """The kinds and dtypes in which a requirement is put to a backend that claims these features; none if it is not.

    What is asked for although it is not claimed, a kind or a dtype, is asked for in those alone.
    """
    unless = requirement.unless
    if not all(features.claims(need) for need in requirement.needs):
        return []
    if features.most_steps is not None and requirement.steps > features.most_steps:
        return []
    if unless not in ("", "kinds", "dtypes") and features.claims(unless):
        return []
    kinds = [kind for kind in requirement.kinds if (kind in features.kinds) != (unless == "kinds")]
    dtypes = [dtype for dtype in DTYPES if (dtype in features.dtypes) != (unless == "dtypes")]
    every = requirement.every_dtype or unless == "dtypes"
    return [(kind, dtype) for kind in kinds for dtype in (dtypes if every else dtypes[:1])]


def asked_of(backends: Iterable[Backend]) -> list[Key]:
    """Everything that a run puts to these backends, in the order in which it does.

    One kind and dtype of a backend after the other: its examples are shared, then let go. What others build on comes
    before them.
    """
    requirements = all_requirements()
    rank = ranks(requirements)
    keys = []
    for backend in backends:
        mine = [
            (r.id, backend.name, *where) for r in requirements.values() for where in combinations(backend.features, r)
        ]
        keys += sorted(mine, key=lambda key: (KINDS.index(key[2]), DTYPES.index(key[3]), rank[key[0]]))
    return keys


def outcome(
    backend: Backend,
    results: Mapping[Key, Mapping[str, Any]],
    asked: Collection[Key],
    seconds: Mapping[str, float],
    unmatched: Iterable[str] = (),
    campaign: dict[str, Any] | None = None,
) -> Outcome:
    """What the results say of one backend; complete if they hold everything that was asked of it."""
    first = next(dtype for dtype in DTYPES if dtype in backend.features.dtypes)
    rows = []
    for requirement in all_requirements().values():
        where = combinations(backend.features, requirement)
        for kind in requirement.kinds:
            for dtype in (dtype for mine, dtype in where if mine == kind):
                found = results.get((requirement.id, backend.name, kind, dtype))
                if found is not None:
                    rows.append(Row.of(requirement, kind, dtype, **found))
            # Of what is asked for where it is not claimed there is nothing to say where it is.
            if not requirement.unless and kind not in (mine for mine, _ in where):
                rows.append(Row.of(requirement, kind, first, "not_claimed"))
    complete = all(key in results for key in asked if key[1] == backend.name)
    return Outcome(backend, rows, complete, dict(seconds), tuple(unmatched), campaign)
