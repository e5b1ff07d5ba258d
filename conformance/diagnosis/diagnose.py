"""Find the known departure from the documentation that gives a backend's own numbers.

The law runs once more to record a transcript: its calls of the backend, and the backend's results. The same law then
runs with every known fault in the backend's place. A fault explains a failure if it gives the backend's transcripts
within rounding, for the failing call and for further drawn calls on which the backend is wrong. If no fault does, the
diagnosis says which calls and elements are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.diagnosis.candidates import Candidate, explaining, explaining_pairs, known_faults
from conformance.diagnosis.conditions import necessary, of_elements, separating
from conformance.diagnosis.probe import Probe
from conformance.diagnosis.survey import EVIDENCE, Evidence, Survey, chosen, cost
from conformance.diagnosis.transcript import Law, plain
from conformance.engine.drawing import Streams
from conformance.engine.form import Form, no_steps
from conformance.engine.trial import trial_of
from conformance.engine.wrong_elements import is_right, judged

MAX_COST_OF_FAILING_CALL = 600  # steps, times layers, times directions
SURVEYED_BLOCKS = 5  # blocks of a form's calls, sorted into right and wrong


@dataclass
class Diagnosis:
    """The explanation of a failure: the faults in the report's form, best first, and words for the wrong calls."""

    faults: list[dict[str, str]] = field(default_factory=list)
    common: str = ""


class Diagnostician:
    """The diagnosis of one subject's failures, which share the evidence. ``exclude`` names faults to leave out."""

    def __init__(self, streams: Streams, exclude: Iterable[str] = ()) -> None:
        self.streams, self.subject = streams, streams.subject
        self.exclude = frozenset(exclude)
        self._evidence: dict[str, Evidence] = {}

    def evidence(self, form: Form) -> Evidence:
        """Return the evidence from calls of a form."""
        if form.name not in self._evidence:
            stream = self.streams.of(form.draw)
            trials = [trial for number in range(SURVEYED_BLOCKS) for trial in stream.block(number)]
            self._evidence[form.name] = Evidence(self.subject, trials)
        return self._evidence[form.name]

    def diagnose(self, law: Law, call: Any, own: Sequence[Any] = ()) -> Diagnosis:
        """Explain the law's failure on a call; ``own`` holds trials drawn for the law."""
        subject, failing = self.subject, trial_of(self.subject, call)
        specification, form = subject.specification, failing.form
        known = self.evidence(form)
        controls = [f for f in specification.forms if f is not form and f.controls(subject.backend.features)]
        others = [self.evidence(other) for other in controls]
        numeric = not is_right(failing)
        here = Survey.of(trial for trial in own if trial.form is form) if numeric else Survey()
        faults = known_faults(specification, subject.kind, self.exclude)
        suspects: list[Candidate] | None = None
        heard_numbers = True
        if cost(failing) <= MAX_COST_OF_FAILING_CALL:
            probe = Probe(subject, plain if numeric else law, failing)
            heard_numbers = any(isinstance(value, np.ndarray) for _, value in probe.heard)
            if numeric and known.wrong and known.suspects is not None:
                suspects = explaining(known.suspects, [probe])
            else:
                own_wrong = [Probe(subject, plain, trial) for trial in chosen(here.wrong, EVIDENCE)]
                evidence = [probe, *(known.wrong or own_wrong)] if numeric else [probe]
                suspects = explaining([Candidate(f.id, f.explanation, f.build) for f in faults], evidence)
                if numeric and not suspects:
                    suspects = explaining_pairs(specification, faults, evidence)
                if numeric and known.wrong:
                    known.suspects = suspects
        sure = explaining(suspects or [], known.right)
        if not sure and suspects and not heard_numbers:
            suspects = []  # both raise, but the faults raise on every call
        surer = explaining(sure, [probe for other in others for probe in (*other.wrong, *other.right)])
        found = Diagnosis([{"fault": c.fault, "explanation": c.explanation} for c in surer or sure or suspects or []])
        if numeric:
            unexplained = suspects is not None and not suspects
            parts = [f"none of the {len(faults)} known departures gives these numbers"] if unexplained else []
            found.common = "; ".join([*parts, *common(known.survey + here, failing, bool(sure))])
        return found


def common(seen: Survey, failing: Any, explained: bool) -> Iterator[str]:
    """Yield the condition of the wrong calls, unless a fault explains them, and the place of the first wrong number."""
    wrong, count = [*seen.wrong, failing], len(seen.wrong)
    if not explained:
        of_all = f"{count} of {count + len(seen.right)} drawn calls are wrong"
        attributes = [_attributes(t) for t in wrong], [_attributes(t) for t in seen.right]
        if count == 0:
            yield f"of {len(seen.right)} drawn calls none is wrong"
        elif condition := separating(*attributes):
            yield f"{of_all}, those and no others with {condition}"
        elif seen.right:
            condition, others = necessary(*attributes)
            rest = f", all with {condition}, as are {others} of the right ones" if condition else ""
            yield of_all + (rest or ", and no simple condition tells them from the others")
        else:
            yield "all drawn calls are wrong"
        if failing.form.elements is not no_steps:
            yield from of_elements([(t.form, t.call, results) for t in wrong if (results := judged(t)) is not None])
    place = first_wrong(failing)
    if place:
        yield f"the first wrong element of the smallest failing call: {place}"


def _attributes(trial: Any) -> dict[str, Any]:
    return trial.form.attributes(trial.call)


def first_wrong(trial: Any) -> str:
    """Return the place of a trial's first wrong element in the order of computation; empty without numbers."""
    found = judged(trial)
    if found is None:
        return ""
    return trial.form.first_wrong(trial, {name: wrong for name, (_, wrong) in found.items()})


def sentences(diagnosis: Sequence[Mapping[str, str]], common: str) -> list[str]:
    """Return a diagnosis as sentences."""
    explained = " or of ".join(fault["explanation"] for fault in diagnosis)
    return [f"these are the numbers of {explained}"] * bool(explained) + [common] * bool(common)
