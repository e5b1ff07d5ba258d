"""Diagnosis put to the bank: each numeric fault taken for an unknown backend.

``python -m tests.diagnosing [--exclude] [--every N]`` prints what is named for each and how often the right fault
is named first; with ``--exclude`` the fault itself is left out of what is known. ``tests.diagnosing:lstm_gates_f_i``
names the bank's ``lstm-gates-f-i`` as a backend.
"""

from __future__ import annotations

import argparse
import time
import warnings

from conformance.diagnosis import diagnose as diagnosis
from conformance.engine.check import PROFILES, SURVEYED, Stream, shrink
from conformance.engine.compare import Failed
from conformance.engine.subject import Subject
from conformance.plugin import combinations
from conformance.specifications.torch_nn.faults import BANK, compose
from tests.harness import PLANS, all_checks

GENERAL = (
    "FORWARD-EQUATION",
    "CELL-EQUATION",
    "GRADIENT-EQUATION",
)  # where what decides a fault is no matter of numbers
EXAMPLES, ATTEMPTS = PROFILES["standard"].examples, PROFILES["quick"].shrink_attempts


def __getattr__(name):
    """A fault of the bank, or two of them joined by ``__and__``, as a backend."""
    ids = [part.replace("_", "-") for part in name.split("__and__")]
    if not all(id_ in BANK for id_ in ids):
        raise AttributeError(name)
    return compose(*(BANK[id_] for id_ in ids)) if len(ids) == 2 else BANK[ids[0]].build()


def diagnosed(backend, kind, requirements, exclude=(), dtype="float32"):
    """The diagnosis of the first of the requirements that the backend fails, None if it passes them all."""
    subject, streams = Subject(backend, kind, dtype), {}

    def stream_of(draw):
        return streams.setdefault(draw, Stream(subject, draw, PLANS))

    def drawn(form):
        return [t for number in range(SURVEYED) for t in stream_of(diagnosis.DRAWN[form]).block(number)]

    checks = {check.requirement: check for check in all_checks()}
    for check in (checks[id_] for id_ in requirements if id_ in checks):
        if (kind, dtype) not in combinations(backend.features, check.entry):
            continue
        stream = stream_of(check.draw)
        for block, trial in stream.those(check.applies, max(1, round(EXAMPLES * check.share))):
            try:
                check.law(trial)
            except Failed as failure:
                _, call = shrink(check, stream, block, (failure, trial.call), ATTEMPTS)
                own = [trial for _, trial in stream.those(check.applies, 24)]
                return diagnosis.diagnose(subject, check.law, call, drawn, own, exclude)
    return None


def taken_for_unknown(fault, exclude=False):
    """The diagnosis of a fault of the bank."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left_out = (fault.id,) if exclude else ()
        return diagnosed(fault.build(), sorted(fault.kinds)[0], (fault.requirement, *GENERAL), left_out)


def numeric_faults(every=1):
    """The numeric faults of the bank, every so manieth of them."""
    return [fault for fault in BANK.values() if fault.numeric][::every]


def main():
    """The whole bank."""
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
