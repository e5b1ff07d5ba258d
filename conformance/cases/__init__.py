"""Cases: language-neutral files that are replayed on a backend and compared with the numbers they hold.

A case (cases/README.md) holds arrays, modules with their parameters, a program of a few operations and the oracle's
numbers.
"""

from conformance.cases.form import array, fill, module, needs
from conformance.cases.load import Case, CaseError, CaseHeader, default_directory, load_case, load_cases, load_headers
from conformance.cases.program import FIELDS, oracle_calls, run
from conformance.cases.replay import Expected, check, check_read_back, expected, replay

__all__ = [
    "FIELDS",
    "Case",
    "CaseError",
    "CaseHeader",
    "Expected",
    "array",
    "check",
    "check_read_back",
    "default_directory",
    "expected",
    "fill",
    "load_case",
    "load_cases",
    "load_headers",
    "module",
    "needs",
    "oracle_calls",
    "replay",
    "run",
]
