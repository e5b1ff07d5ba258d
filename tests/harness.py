"""The suite run in this process: which requirements a backend fails, without pytest around each."""

from __future__ import annotations

import importlib
import pkgutil
import warnings

import conformance
from conformance.checks import PROFILES, Check, Plans, Profile
from conformance.plugin import combinations
from conformance.subject import Subject
from reference.config import DTYPES, KINDS

QUICK = Profile("quick without shrinking", PROFILES["quick"].examples, shrink_attempts=0)
PLANS = Plans(0)


def all_checks() -> list[Check]:
    """Every check of the catalogue's requirements that the suite's modules hold; not the cases."""
    found = []
    for module in pkgutil.iter_modules(conformance.__path__):
        if module.name.startswith("test_"):
            content = vars(importlib.import_module(f"conformance.{module.name}"))
            found += [check for value in content.values() for check in getattr(value, "checks", ())]
    return [check for check in found if isinstance(check, Check)]


def verdicts(backend, profile=QUICK, checks=None):
    """Yields (requirement, kind, dtype, verdict) for everything that is put to the backend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            for dtype in DTYPES:
                subject, streams = Subject(backend, kind, dtype), {}
                for check in all_checks() if checks is None else checks:
                    if (kind, dtype) in combinations(backend.features, check.entry):
                        yield check.requirement, kind, dtype, check.run(subject, PLANS, streams, profile)


def failures(backend, profile=QUICK, checks=None):
    """The requirements that a backend fails, each with its first message."""
    found = {}
    for requirement, _, _, verdict in verdicts(backend, profile, checks):
        if not verdict.passed:
            found.setdefault(requirement, verdict.failure)
    return found
