"""The order in which failures are told: the grossest first, and refusals that are missing last, as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import inf

from conformance.reporting.report import Row

WRONG, ACROSS_CALLS, REFUSALS = range(3)  # the ranks of failures
MIN_REFUSALS_AS_ONE = 3  # requirements
CURE = "reference.check_inputs and reference.check_parameters"

ENDS = re.compile(r"the backend's process |gave no answer")
RAISES = re.compile(r" raised \w+: | was refused though it is claimed: ")
# Calls alone are right, and what they leave behind is wrong.
LEAVES = re.compile(r"the same (call|run) gave other bits|wrote into|\bthe call alone is right ")
# Whatever makes several calls of one object may be wrong because of it.
CARRIES = re.compile(
    r"\bcarries something from one call |the same (call|run) gave other bits (?!.*deterministic=False)"
)
ACCEPTED = re.compile(r"accepted, and .*expected an error$")


def severity(area: str, margin: float | None, message: str, also: bool = False) -> tuple[int, bool, float]:
    """Return the place of a failure among others: its rank, then how wrong it is, the most first.

    Failures in addition to that of a requirement on which theirs builds (``also``) come after the others of their rank.
    """
    rank, wrong = _severity(area, margin, message)
    return rank, also, wrong


def _severity(area: str, margin: float | None, message: str) -> tuple[int, float]:
    first = message.partition("\n")[0]
    if area == "refusals" or ACCEPTED.search(first):
        return REFUSALS, 0.0
    if CARRIES.search(message):
        return WRONG, -inf
    if LEAVES.search(message):
        return ACROSS_CALLS, 0.0
    if margin is not None:
        return WRONG, -margin
    if RAISES.search(first) and not ENDS.search(first):
        return WRONG, 0.0  # it may be a combination that the backend does not support
    return WRONG, -inf


def of_row(row: Row) -> tuple[int, bool, float]:
    """Return the place of a failing row."""
    return severity(row.area, row.margin, row.message, row.also)


def grossest_first(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group failing rows by requirement: the requirement with the grossest failure first, and so the rows of each."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=of_row):
        groups.setdefault(row.id, []).append(row)
    return groups


def accepted(groups: dict[str, list[Row]]) -> list[str]:
    """Return the requirements that fail because invalid calls are accepted, if there are several."""
    found = [
        id_ for id_, rows in groups.items() if all(ACCEPTED.search(row.message.partition("\n")[0]) for row in rows)
    ]
    return found if len(found) >= MIN_REFUSALS_AS_ONE else []


def cure(count: int, rows: Sequence[Row]) -> str:
    """Return the sentence on invalid calls that are accepted, and what helps against all of them."""
    said = f"{count} invalid calls are accepted"
    if all(row.specification == "torch.nn" for row in rows):
        return f"{said}: check the arguments first, in Python by {CURE}"
    return f"{said}: check the arguments first"
