"""The linter of case files: broken files, unknown requirements, and requirements without a case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.cases.coverage import NOT_CARRIED
from conformance.cases.load import Case, CaseError, case_files, check_names, load_case
from reference.catalogue import Catalogue


def lint(directory: Path, catalogue: Catalogue, whole: bool) -> tuple[int, list[str]]:
    """Return the number of case files in a directory, and a sentence for each error in them.

    ``whole``: also report requirements without a case, as the project's own directory must carry every requirement
    that data can carry.
    """
    files, faults, cases = case_files(directory), [], []
    taken: dict[str, Path] = {}
    for path in files:
        try:
            case = load_case(path)
            check_names(path, case, taken)
        except CaseError as error:
            faults.append(str(error))
            continue
        cases.append(case)
        faults += [f"{path.name}: {fault}" for fault in _of(case, catalogue)]
    if not files:
        faults.append(f"{directory}: no case files here; name a folder of .json cases")
    elif whole and not faults:
        faults += _missing(cases, catalogue)
    return len(files), faults


def _of(case: Case, known: Catalogue) -> Iterator[str]:
    for identifier in case.requirements:
        if identifier not in known:
            yield f"requirements: {identifier} is none of the catalogue (python -m conformance requirements)"
        elif identifier in NOT_CARRIED:
            yield f"requirements: {identifier} is none that a case can carry. {NOT_CARRIED[identifier]}"
        elif not case.kinds & set(known[identifier].kinds):
            yield f"requirements: {identifier} does not speak of {', '.join(sorted(case.kinds))}"


def _missing(cases: list[Case], catalogue: Catalogue) -> Iterator[str]:
    carried = {identifier for case in cases for identifier in case.requirements}
    for identifier in catalogue:
        if identifier not in carried and identifier not in NOT_CARRIED:
            yield f"{identifier}: no case has this requirement; add one, or say in coverage.py why data cannot carry it"
    for identifier in NOT_CARRIED:
        if identifier not in catalogue:
            yield f"{identifier}: coverage.py says that data cannot carry it, and the catalogue has none of that id"
