"""Measure what a run says of faults: ``python -m tests.told [--every N] [--pairs N] [--scripts]``.

Each fault of the bank, or each random pair of faults of different areas, is put to the whole suite in ``quick``, as an
unknown backend in one kind. The script prints a line for each and then counts: the faults that are one failure, those
of which the deciding requirement is among the failures, and the pairs of which both faults are reported. With
``--scripts`` every reproducer runs on its backend, where it must exit with 1, and on the reference, where it must exit
with 0. ``tests.told:lstm_gates_f_i`` and ``tests.told:a__and__b`` name such backends.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from conformance import run
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK, Fault, compose
from tests.diagnosing import dtype_of
from tests.harness import built
from tests.kill_matrix import kinds_of

ROOT = Path(__file__).parents[1]
LAWS_OF_DROPOUT = ("dropout", "initialization")  # areas whose faults are not numbers that a second fault can join


def __getattr__(name: str):
    """Build a fault of the bank, or two joined by ``__and__``, in one kind and in float32."""
    ids = [part.replace("_", "-") for part in name.split("__and__")]
    if not all(id_ in BANK for id_ in ids):
        raise AttributeError(name)
    if len(ids) == 1:
        return built(BANK[ids[0]], kinds_of(BANK[ids[0]])[:1])
    return pair_of(*(BANK[id_] for id_ in ids))


def pair_of(a: Fault, b: Fault):
    """Build two faults in one kind and in float32. Raises ValueError if they cannot be combined."""
    backend = compose(a, b)
    kind = next(kind for kind in ("lstm", "gru", "rnn_tanh", "rnn_relu") if kind in backend.features.kinds)
    backend.features = replace(backend.features, kinds={kind}, dtypes={"float32"})
    return backend


@dataclass
class Told:
    """The failures of one run."""

    name: str
    requirements: list[str]
    named: list[str]
    """The first fault that each failure names, in the order of the failures."""
    bad_scripts: list[str]
    seconds: float


def told(name: str, scripts: bool) -> Told:
    """Run the suite on a backend of this module."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = run(f"tests.told:{name}", profile="quick", report=Path(folder, "report.json"), processes=1)
        report.save(Path(folder, "report.json"))
        failures = report.failures
        bad = [f.requirement for f in failures if scripts and not script_is_right(f.reproducer)]
        requirements = list(dict.fromkeys(f.requirement for f in failures))
        named = [f.diagnosis[0]["fault"] if f.diagnosis else "-" for f in failures]
    return Told(name, requirements, named, bad, time.perf_counter() - started)


def script_is_right(path: str | None) -> bool:
    """Return whether a reproducer exits with 1 on its backend and with 0 on the reference."""
    if path is None:
        return False
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    codes = [
        subprocess.run([sys.executable, path, *other], env=environment, capture_output=True, check=False).returncode
        for other in ((), ("reference",))
    ]
    return codes == [1, 0]


def pairs(count: int, seed: int = 0) -> list[tuple[Fault, Fault]]:
    """Return random pairs of numeric faults that different areas decide and that can be combined."""
    rng, found = random.Random(seed), []
    numeric = [
        f
        for f in BANK.values()
        if f.numeric and dtype_of(f) == "float32" and CATALOGUE[f.requirement].area not in LAWS_OF_DROPOUT
    ]
    while len(found) < count:
        a, b = rng.sample(numeric, 2)
        if CATALOGUE[a.requirement].area == CATALOGUE[b.requirement].area:
            continue
        try:
            pair_of(a, b)
        except ValueError:
            continue
        found.append((a, b))
    return found


def both(found: Told, a: Fault, b: Fault) -> bool:
    """Return whether a run reports both faults: by name, by the requirement that decides it, or one of each."""
    names = {part for name in found.named for part in name.split("+")}
    reported = [f.id in names or f.requirement in found.requirements for f in (a, b)]
    return all(reported) and (len(found.requirements) > 1 or {a.id, b.id} <= names)


def main() -> None:
    """Run the faults or the pairs and print the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.told")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth fault only")
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="N random pairs instead of the faults")
    parser.add_argument("--scripts", action="store_true", help="run every reproducer")
    options = parser.parse_args()
    if options.pairs:
        tasks = [(f"{a.id}__and__{b.id}".replace("-", "_"), (a, b)) for a, b in pairs(options.pairs)]
    else:
        tasks = [(f.id.replace("-", "_"), (f,)) for f in list(BANK.values())[:: options.every]]
    one = decided = reported = bad = 0
    for number, (name, faults) in enumerate(tasks, 1):
        found = told(name, options.scripts)
        one += len(found.requirements) == 1
        decided += faults[0].requirement in found.requirements
        reported += len(faults) == 2 and both(found, *faults)
        bad += len(found.bad_scripts)
        left = f"; wrong scripts: {', '.join(found.bad_scripts)}" if found.bad_scripts else ""
        shown = ", ".join(f"{r} ({n})" for r, n in zip(found.requirements, found.named, strict=False))
        wanted = " and ".join(f.requirement for f in faults)
        print(f"{number}/{len(tasks)} {name} [{wanted}]: {shown}; {found.seconds:.0f} s{left}", flush=True)
    print(f"{one} of {len(tasks)} are one failure; the deciding requirement is among the failures of {decided}")
    if options.pairs:
        print(f"both faults are reported for {reported} of {len(tasks)} pairs")
    if options.scripts:
        print(f"{bad} scripts are wrong")


if __name__ == "__main__":
    main()
