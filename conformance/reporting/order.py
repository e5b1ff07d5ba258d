"""Order the parts of reports as their specifications do; unknown names come last, in the order of their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from conformance import specifications
from conformance.engine.specification import Specification
from conformance.reporting.report import Row
from reference.catalogue import Requirement


def _spoken(rows: Sequence[Row]) -> list[Specification]:
    names = {row.specification for row in rows}
    return [s for s in specifications.every().values() if s.name in names]


def _ordered(rows: Sequence[Row], known: Callable[[Specification], Iterable[str]], found: Iterable[str]) -> list[str]:
    first = [name for s in _spoken(rows) for name in known(s)]
    return list(dict.fromkeys([*first, *found]))


def names(rows: Sequence[Row]) -> list[str]:
    """Return the names of the rows' specifications: the built-in ones in their order, then others."""
    return list(dict.fromkeys([*(s.name for s in _spoken(rows)), *(row.specification for row in rows)]))


def kinds(rows: Sequence[Row]) -> list[str]:
    """Return the kinds of the rows' specifications, then other kinds."""
    return _ordered(rows, lambda s: s.kinds, (row.kind for row in rows))


def dtypes(rows: Sequence[Row]) -> list[str]:
    """Return the dtypes of the rows' specifications, then other dtypes."""
    return _ordered(rows, lambda s: s.dtypes, (row.dtype for row in rows))


def areas(rows: Sequence[Row]) -> list[str]:
    """Return the areas of the rows' specifications, then other areas."""
    return _ordered(rows, lambda s: s.areas, (row.area for row in rows))


def entries(rows: Sequence[Row]) -> dict[str, Requirement]:
    """Return the entries of the catalogues of the rows' specifications, by id."""
    found: dict[str, Any] = {}
    for specification in _spoken(rows):
        found |= specification.catalogue
    return found
