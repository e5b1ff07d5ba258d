"""The suite can fail: every fault of the bank fails the requirement that decides it."""

import json
import re
from pathlib import Path

import pytest

from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from tests.harness import QUICK, STANDARD, all_checks, built, deciding, failures
from tests.kill_matrix import ASKED, MATRIX, kinds_of

MATRIX_DATA = json.loads(MATRIX.read_text("utf-8"))
NOT_IN_QUICK = {i for i, found in MATRIX_DATA.items() if BANK[i].requirement not in found["quick"]["failed"]}


@pytest.mark.parametrize("identifier", BANK)
def test_the_requirement_that_decides_a_fault_fails_it(identifier):
    fault = BANK[identifier]
    checks = [check for check in deciding(fault) if check.requirement == fault.requirement]
    backend = built(fault, kinds_of(fault))
    failed = failures(backend, STANDARD if identifier in NOT_IN_QUICK else QUICK, checks)
    assert fault.requirement in failed, f"nothing noticed {fault.explanation}"


# --- the matrix and the page of coverage ----------------------------------------------------------------


def test_the_matrix_is_that_of_the_bank():
    assert list(MATRIX_DATA) == list(BANK), "python -m tests.kill_matrix"
    named = {r for found in MATRIX_DATA.values() for row in found.values() for r in row["failed"]}
    assert named <= set(CATALOGUE)


def test_every_fault_fails_and_most_in_quick():
    assert not [i for i, found in MATRIX_DATA.items() if not any(row["failed"] for row in found.values())]
    assert not [i for i in NOT_IN_QUICK if BANK[i].requirement not in MATRIX_DATA[i]["standard"]["failed"]]
    assert sum(bool(found["quick"]["failed"]) for found in MATRIX_DATA.values()) >= 0.95 * len(BANK)


def test_every_requirement_is_needed_by_some_fault():
    """The faults are NumPy's: tests/test_torch_behaviors.py has wrong modules of torch for the area "torch"."""
    failed = {r for found in MATRIX_DATA.values() for row in found.values() for r in row["failed"]}
    assert failed == set(ASKED)


def test_every_requirement_has_a_check_and_every_check_a_requirement():
    decided = {check.requirement for check in all_checks()}
    assert decided == set(CATALOGUE)


def test_every_area_names_its_own_requirements_once():
    checks = [(check.requirement, check.law.__name__) for check in all_checks()]
    assert len(checks) == len(set(checks))
    assert all(entry.statement.endswith(".") and entry.source for entry in CATALOGUE.values())


def test_the_table_of_coverage_names_every_requirement_and_no_other():
    page = (Path(__file__).parents[1] / "docs" / "coverage.md").read_text("utf-8")
    named = re.findall(r"`([A-Z]+(?:-[A-Z0-9]+)+)`", page)
    assert {id_ for id_ in named if id_ not in ONNX.catalogue} == set(CATALOGUE)
