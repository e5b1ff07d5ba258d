"""Diagnose each numeric fault of the bank as if it were an unknown backend, in four arithmetics.

``python -m tests.diagnosing [--exclude] [--every N] [--arithmetic NAME] [--only ID]`` prints a line for each fault that
is not named first, and then a table with a row for each arithmetic. ``--exclude`` removes each fault from the bank
before it is diagnosed; the table then says how often the printed condition is true of fresh calls.
``tests.diagnosing:lstm_gates_f_i`` names the bank's ``lstm-gates-f-i`` as a backend.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.search import Diagnosis
from conformance.diagnosis.survey import RIGHT, manner, manner_under
from conformance.diagnosis.transcript import alike, plain, transcript
from conformance.engine.compare import Failed
from conformance.engine.drawing import Plans, Streams
from conformance.engine.profiles import PROFILES
from conformance.engine.shrinking import shrink
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.faults import BANK, Fault, compose
from tests.arithmetics import ARITHMETICS, arithmetic_of
from tests.harness import PLANS, SharedStreams, all_checks, dtype_of, subject_of

GENERAL = (
    "FORWARD-EQUATION",
    "CELL-EQUATION",
    "GRADIENT-EQUATION",
)  # for a fault whose own requirement compares no numbers
EXAMPLES, ATTEMPTS = PROFILES["standard"].examples, PROFILES["quick"].shrink_attempts
HELD_OUT, TRUE_SHARE = 100, 0.95  # fresh calls, and the share of them of which a true condition says right or wrong
FRESH = Plans(20261)
ALIKE = {"rtol": 1e-6, "atol": 1e-7}  # of the numbers of two faults that cannot be told apart


def __getattr__(name):
    """Build a fault of the bank as a backend, or two faults joined by ``__and__``."""
    ids = [part.replace("_", "-") for part in name.split("__and__")]
    if not all(id_ in BANK for id_ in ids):
        raise AttributeError(name)
    return compose(*(BANK[id_] for id_ in ids)) if len(ids) == 2 else BANK[ids[0]].build()


@dataclass
class Examination:
    """One failure of a backend, and its diagnosis."""

    subject: Any
    check: Any
    diagnostician: Diagnostician
    call: Any
    found: Diagnosis

    def same(self, a: str, b: str) -> bool:
        """Return whether two faults, or pairs of faults, give the same numbers on every call of the evidence."""
        law = plain if self.found.numeric else self.check.law
        known = self.diagnostician.evidence(trial_of(self.subject, self.call).form)
        calls = [(law, self.call), *((plain, probe.call) for probe in (*known.wrong, *known.right))]
        return all(same_numbers(*(transcript(made(x), self.subject, law, call) for x in (a, b))) for law, call in calls)

    def condition_is_true(self) -> bool:
        """Return whether what was printed tells fresh calls that fail so from right ones, ``TRUE_SHARE`` of them."""
        failing, fresh = trial_of(self.subject, self.call), Streams(self.subject, FRESH)
        form, how = failing.form, manner(failing)

        def by_law(trial):
            return manner_under(self.check.law, trial)

        if how == RIGHT:
            how, sort, stream, applies = by_law(failing), by_law, fresh.of(self.check.draw), self.check.applies
        else:
            sort, stream, applies = manner, fresh.of(form.draw), lambda call: TORCH_NN.form_of(call) is form
        trials = [trial for _, trial in stream.applicable(applies, HELD_OUT)]
        sorted_ = [(trial, sort(trial)) for trial in trials]
        agree = [self.found.pattern.predicts(t.form.attributes(t.call)) == (so == how) for t, so in sorted_
                 if so in (how, RIGHT)]  # fmt: skip
        return sum(agree) >= TRUE_SHARE * len(agree)


def made(name, bank=BANK, compose=compose):
    """Build a fault of a bank, or a pair of faults joined by ``+``."""
    parts = [bank[part] for part in name.split("+")]
    return parts[0].build() if len(parts) == 1 else compose(*parts)


def same_numbers(a, b):
    """Return whether two transcripts have the same numbers, but for rounding."""
    return alike(a, b) and all(
        np.allclose(mine, its, **ALIKE, equal_nan=True) if getattr(mine, "dtype", None) == np.float64 else True
        for (_, mine), (_, its) in zip(a, b, strict=True)
    )


def examined(backend, kind, requirements, exclude=(), dtype="float32"):
    """Diagnose the first requirement that the backend fails; return None if it passes them all."""
    streams = SharedStreams(subject_of(backend, kind, dtype), PLANS)
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
                found = diagnostician.diagnose(check.law, call, own)
                streams.keep()
                return Examination(streams.subject, check, diagnostician, call, found)
    return None


def diagnosed(backend, kind, requirements, exclude=(), dtype="float32"):
    """Return the diagnosis of the first requirement that the backend fails, None if it passes them all."""
    found = examined(backend, kind, requirements, exclude, dtype)
    return None if found is None else found.found


def examination_of(fault: Fault, arithmetic="oracle", exclude=False):
    """Diagnose a fault of the bank in an arithmetic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend, left_out = arithmetic_of(fault, arithmetic), (fault.id,) if exclude else ()
        return examined(backend, sorted(fault.kinds)[0], (fault.requirement, *GENERAL), left_out, dtype_of(fault))


def taken_for_unknown(fault, exclude=False, arithmetic="oracle"):
    """Return the diagnosis of a fault of the bank."""
    found = examination_of(fault, arithmetic, exclude)
    return None if found is None else found.found


def numeric_faults(every=1):
    """Return every ``every``-th numeric fault of the bank."""
    return [fault for fault in BANK.values() if fault.numeric][::every]


@dataclass
class Row:
    """The counts of one arithmetic."""

    arithmetic: str
    faults: int = 0
    passed: int = 0
    """Faults that fail none of their requirements."""
    first: int = 0
    """Diagnoses whose first name is the fault."""
    tied: int = 0
    """Diagnoses whose first name is another fault that gives the same numbers on all calls of the evidence."""
    wrong: int = 0
    """Diagnoses with a name that is neither."""
    true: int = 0
    """With ``--exclude``: diagnoses without a name whose condition is true of fresh calls."""
    unnamed: int = 0
    seconds: float = 0.0

    def add(self, fault: Fault, exclude: bool) -> str:
        """Diagnose a fault, count the result, and return words for what is not as it should be."""
        started = time.perf_counter()
        case = examination_of(fault, self.arithmetic, exclude)
        self.seconds += time.perf_counter() - started
        self.faults += 1
        if case is None:
            self.passed += 1
            return "not failed"
        named = [found["fault"] for found in case.found.faults]
        tied = {name for name in named if name != fault.id and case.same(name, fault.id)}
        wrong = [name for name in named if name != fault.id and name not in tied]
        self.first += named[:1] == [fault.id]
        self.tied += bool(named) and named[0] in tied
        self.wrong += bool(wrong)
        told = f"{case.check.requirement}: {', '.join(n + ' (same numbers)' * (n in tied) for n in named) or 'none'}"
        if not exclude:
            return "" if named[:1] == [fault.id] and not wrong else f"{told}; {case.found.common}"
        self.unnamed += not named
        true = not named and case.condition_is_true()
        self.true += true
        return f"{told}; {'true' * true or 'NOT TRUE' * (not named)}: {case.found.common}"

    def cells(self, exclude: bool) -> list[str]:
        """Return the cells of the row in the table."""
        failed = max(1, self.faults - self.passed)

        def share(count, of=failed):
            return f"{count / max(1, of):.1%}"

        means = f"{self.seconds / max(1, self.faults):.1f}"
        first = share(self.true, self.unnamed) if exclude else share(self.first)
        return [self.arithmetic, str(failed), first, share(self.tied), share(self.wrong), means]


HEADS = {
    False: ("arithmetic", "faults", "named first", "another of the same numbers first", "a wrong name", "seconds each"),
    True: ("arithmetic", "faults", "a true condition, if none is named", "another of the same numbers", "a false name",
           "seconds each"),
}  # fmt: skip


def table(heads, rows):
    """Yield the lines of a table with these heads."""
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cells)} |"


def parser_of(prog, description):
    """Return the parser of a command that diagnoses a bank."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth of the faults only")
    parser.add_argument("--arithmetic", choices=ARITHMETICS, action="append", help="one of the four; repeatable")
    parser.add_argument("--only", metavar="ID", action="append", help="one fault; repeatable")
    return parser


def main():
    """Diagnose the bank and print the results."""
    parser = parser_of("python -m tests.diagnosing", __doc__.splitlines()[0])
    parser.add_argument("--exclude", action="store_true", help="leave each fault itself out of what is known")
    options = parser.parse_args()
    faults = [BANK[id_] for id_ in options.only] if options.only else numeric_faults(options.every)
    rows = [Row(name) for name in options.arithmetic or ARITHMETICS]
    for row in rows:
        for number, fault in enumerate(faults, 1):
            if told := row.add(fault, options.exclude):
                print(f"{number}/{len(faults)} {row.arithmetic} {fault.id}: {told}", flush=True)
            elif number % 10 == 0:
                print(f"{number}/{len(faults)} {row.arithmetic}, {row.seconds:.0f} s", flush=True)
    print("\n".join(table(HEADS[options.exclude], [row.cells(options.exclude) for row in rows])))


if __name__ == "__main__":
    main()
