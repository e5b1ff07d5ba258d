"""How soon the faults of the bank are found, in the order in which a run checks."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from conformance.cascade import ranks
from conformance.faults import BANK
from reference.catalogue import catalogue
from tests.harness import QUICK, all_checks, built, verdicts


def distribution() -> dict[str, Any]:
    """Processor seconds from the start of checking to the first failure, over every fault: quantiles, and how many are.

    Each fault in one kind and float32, in quick; what lies beside checking, imports say, is not in it.
    """
    rank = ranks(catalogue())
    checks = sorted(all_checks(), key=lambda check: rank[check.requirement])
    taken = []
    for fault in BANK.values():
        started = time.process_time()
        backend = built(fault, fault.kinds[:1])
        if any(not verdict.passed for _, _, _, verdict, _ in verdicts(backend, QUICK, checks)):
            taken.append(time.process_time() - started)
    taken.sort()
    at = {f"{share:.0%}": taken[min(len(taken) - 1, int(share * len(BANK)))] for share in (0.25, 0.5, 0.75, 0.95, 1.0)}
    return {"faults": len(BANK), "found": len(taken), "median": median(taken), "seconds": at}
