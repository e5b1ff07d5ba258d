"""Diagnose each numeric fault of the bank as if it were an unknown backend.

``python -m tests.diagnosing [--exclude] [--every N]`` prints the diagnosis of each fault and how often the right fault
comes first; ``--exclude`` removes the fault itself from the bank. ``tests.diagnosing:lstm_gates_f_i`` names the bank's
``lstm-gates-f-i`` as a backend.
"""

from __future__ import annotations

import argparse
import time
import warnings

from conformance.diagnosis.diagnose import Diagnostician
from conformance.engine.compare import Failed
from conformance.engine.drawing import Streams
from conformance.engine.profiles import PROFILES
from conformance.engine.shrinking import shrink
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.faults import BANK, compose
from tests.harness import PLANS, all_checks, subject_of

GENERAL = (
    "FORWARD-EQUATION",
    "CELL-EQUATION",
    "GRADIENT-EQUATION",
)  # for a fault whose own requirement compares no numbers
EXAMPLES, ATTEMPTS = PROFILES["standard"].examples, PROFILES["quick"].shrink_attempts


def __getattr__(name):
    """Build a fault of the bank as a backend, or two faults joined by ``__and__``."""
    ids = [part.replace("_", "-") for part in name.split("__and__")]
    if not all(id_ in BANK for id_ in ids):
        raise AttributeError(name)
    return compose(*(BANK[id_] for id_ in ids)) if len(ids) == 2 else BANK[ids[0]].build()


def diagnosed(backend, kind, requirements, exclude=(), dtype="float32"):
    """Return the diagnosis of the first requirement that the backend fails, None if it passes them all."""
    streams = Streams(subject_of(backend, kind, dtype), PLANS)
    diagnostician = Diagnostician(streams, exclude)
    checks = {check.requirement: check for check in all_checks()}
    for check in (checks[id_] for id_ in requirements if id_ in checks):
        if (kind, dtype) not in TORCH_NN.combinations(backend.features, check.entry):
            continue
        stream = streams.of(check.draw)
        for block, trial in stream.applicable(check.applies, max(1, round(EXAMPLES * check.share))):
            try:
                check.law(trial)
            except Failed as failure:
                _, call = shrink(check.judge, check.requirement, stream, block, (failure, trial.call), ATTEMPTS)
                own = [trial for _, trial in stream.applicable(check.applies, 24)]
                return diagnostician.diagnose(check.law, call, own)
    return None


def taken_for_unknown(fault, exclude=False):
    """Return the diagnosis of a fault of the bank."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left_out = (fault.id,) if exclude else ()
        return diagnosed(fault.build(), sorted(fault.kinds)[0], (fault.requirement, *GENERAL), left_out)


def numeric_faults(every=1):
    """Return every ``every``-th numeric fault of the bank."""
    return [fault for fault in BANK.values() if fault.numeric][::every]


def main():
    """Diagnose the whole bank and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.diagnosing")
    parser.add_argument("--exclude", action="store_true", help="leave each fault itself out of what is known")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth of the faults only")
    options = parser.parse_args()
    faults, first, among, started = numeric_faults(options.every), 0, 0, time.perf_counter()
    for fault in faults:
        found = taken_for_unknown(fault, options.exclude)
        named = [] if found is None else [f["fault"] for f in found.faults]
        first, among = first + (named[:1] == [fault.id]), among + (fault.id in named)
        told = "not failed" if found is None else found.common if options.exclude or fault.id not in named[:1] else ""
        print(f"{fault.id}: {', '.join(named) or 'none'}{'; ' * bool(told)}{told}", flush=True)
    seconds = time.perf_counter() - started
    print(f"{first} of {len(faults)} named first, {among} named, {seconds / len(faults):.1f} s each with shrinking")


if __name__ == "__main__":
    main()
