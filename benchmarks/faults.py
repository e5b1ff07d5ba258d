"""The time until a run finds each fault of the bank, with the checks in the order of a run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from typing import Any

from conformance.engine.drawing import Plans, Streams
from conformance.engine.subject import Subject
from conformance.runs.prerequisites import ranks
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.faults.bank import Fault
from tests.harness import QUICK, all_checks, built
from tests.kill_matrix import kinds_of

QUICK_SEED = 0  # the default of quick


def distribution(faults: Iterable[Fault] = BANK.values()) -> dict[str, Any]:
    """Return quantiles over all faults of the processor seconds to the first failure, and the number of faults found.

    Each fault is checked in one kind and float32, in the profile quick, and draws its own examples. The seconds count
    checking only, without imports. A fault that is not found counts as infinity.
    """
    faults = list(faults)
    taken = sorted(first_failure(fault) for fault in faults)
    at: dict[str, float] = {
        f"{share:.0%}": taken[min(len(taken) - 1, int(share * len(taken)))] for share in (0.25, 0.5, 0.75, 0.95)
    }
    found = sum(seconds < float("inf") for seconds in taken)
    return {"faults": len(faults), "found": found, "seconds": at | {"the last found": taken[found - 1]}}


def first_failure(fault: Fault) -> float:
    """Return the processor seconds until a check fails for the fault; infinity if every check passes."""
    rank = ranks(CATALOGUE)
    kind = kinds_of(fault)[0]
    backend = built(fault, (kind,))
    started = time.process_time()
    streams = Streams(Subject(TORCH_NN, backend, kind, "float32"), Plans(QUICK_SEED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in sorted(all_checks(), key=lambda check: rank[check.requirement]):
            asked = (kind, "float32") in TORCH_NN.combinations(backend.features, check.entry)
            if asked and not check.run(streams, QUICK)[0].passed:
                return time.process_time() - started
    return float("inf")
