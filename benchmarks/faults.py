"""How soon the faults of the bank are found, in the order in which a run checks."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

from conformance.engine.check import Plans
from conformance.engine.subject import Subject
from conformance.runs.prerequisites import ranks
from conformance.runs.selection import combinations
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.faults.bank import Fault
from reference.catalogue import catalogue
from tests.harness import QUICK, all_checks, built
from tests.kill_matrix import kinds_of

QUICK_SEED = 0  # that of quick, unless another is asked for


def distribution(faults: Iterable[Fault] = BANK.values()) -> dict[str, Any]:
    """Processor seconds from the start of checking to the first failure: quantiles over all faults, and how many fail.

    Each fault in one kind and float32, in quick, its examples drawn anew; what lies beside checking, imports say, is
    not in it. A fault that is not found counts as infinitely long.
    """
    faults = list(faults)
    taken = sorted(first_failure(fault) for fault in faults)
    at: dict[str, float] = {
        f"{share:.0%}": taken[min(len(taken) - 1, int(share * len(taken)))] for share in (0.25, 0.5, 0.75, 0.95)
    }
    found = sum(seconds < float("inf") for seconds in taken)
    return {"faults": len(faults), "found": found, "seconds": at | {"the last found": taken[found - 1]}}


def first_failure(fault: Fault) -> float:
    """Processor seconds until a check fails for that fault, infinity if none does."""
    rank = ranks(catalogue())
    kind = kinds_of(fault)[0]
    backend = built(fault, (kind,))
    started = time.process_time()
    subject, plans, streams = Subject(backend, kind, "float32"), Plans(QUICK_SEED), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in sorted(all_checks(), key=lambda check: rank[check.requirement]):
            asked = (kind, "float32") in combinations(backend.features, check.entry)
            if asked and not check.run(subject, plans, streams, QUICK).passed:
                return time.process_time() - started
    return float("inf")
