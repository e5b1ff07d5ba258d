"""The diagnosis of one subject's failures, which share the evidence from drawn calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from conformance.diagnosis.candidates import Candidate, alone, known_faults, together
from conformance.diagnosis.probe import Probe
from conformance.diagnosis.search import Diagnosis, Search
from conformance.diagnosis.survey import Evidence, Survey, chosen, probes
from conformance.diagnosis.transcript import Law
from conformance.engine.drawing import Streams
from conformance.engine.form import Form
from conformance.engine.profiles import PROFILES
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of

SURVEYED_BLOCKS = 5  # blocks of a form's calls, sorted into right and wrong
PAIRS_PER_ATTEMPT = 10  # pairs of faults that are tried for each attempt to shrink, common faults first
CONTROLS_OF_OTHER_KINDS = 4  # calls of each other kind, on which a fault must be right if the backend is


class Diagnostician:
    """The diagnosis of one subject's failures, which share the evidence. ``exclude`` names faults to leave out."""

    def __init__(self, streams: Streams, exclude: Iterable[str] = ()) -> None:
        self.streams, self.subject = streams, streams.subject
        self.exclude = frozenset(exclude)
        self._evidence: dict[str, Evidence] = {}
        self._other_kinds: list[Probe] | None = None

    def evidence(self, form: Form) -> Evidence:
        """Return the evidence from calls of a form."""
        if form.name not in self._evidence:
            stream = self.streams.of(form.draw)
            trials = [trial for number in range(SURVEYED_BLOCKS) for trial in stream.block(number)]
            self._evidence[form.name] = Evidence(self.subject, trials)
        return self._evidence[form.name]

    @property
    def faults(self) -> list[Any]:
        """The known faults that touch the subject's kind, without those in what is not claimed, where it is claimed."""
        specification, claims = self.subject.specification, self.subject.features
        dialects = self.subject.dialects.get(self.subject.kind, ())
        known = known_faults(specification, self.subject.kind, self.exclude, dialects)
        entries = specification.requirements
        named = ((fault, entries.get(getattr(fault, "requirement", ""))) for fault in known)
        return [f for f, entry in named if entry is None or not specification.claimed_after_all(claims, entry)]

    def candidate(self, name: str) -> Candidate | None:
        """Return the fault with an id, or the pair of faults joined by ``+``."""
        by_id = {fault.id: fault for fault in self.faults}
        parts = [by_id[part] for part in name.split("+") if part in by_id]
        if len(parts) != len(name.split("+")):
            return None
        return alone(parts[0]) if len(parts) == 1 else together(self.subject.specification, *parts)

    def diagnose(
        self,
        law: Law,
        call: Any,
        own: Sequence[Any] = (),
        *,
        failing: Any = None,
        base: Sequence[str] = (),
        over: Callable[[], bool] = lambda: False,
        numeric: bool = True,
        attempts: int = PROFILES["quick"].shrink_attempts,
    ) -> Diagnosis:
        """Explain the law's failure on a call. ``own`` holds trials drawn for the law, ``failing`` is one of the call.

        ``base`` names faults that the backend has and that do not explain the failure. With ``numeric`` False the
        failure is not one of numbers, even if the call's are wrong. The search for pairs of faults ends once
        ``over()``, and the profile's ``attempts`` to shrink limit their number.
        """
        failing = failing or trial_of(self.subject, call)
        search = Search(self, law, failing, own, base, over, numeric, PAIRS_PER_ATTEMPT * attempts)
        return search.by_numbers() if search.numeric else search.by_law()

    def other_kinds(self) -> list[Probe]:
        """Return probes of calls of the other claimed kinds on which the backend is right."""
        if self._other_kinds is None:
            subject, found = self.subject, list[Probe]()
            for kind in sorted(set(subject.features.kinds) - {subject.kind}):
                other = Subject(
                    subject.specification, subject.backend, kind, subject.dtype, subject.clock, subject.watch
                )
                other.deadline = subject.deadline
                stream = Streams(other, self.streams.plans).of(subject.specification.forms[0].draw)
                seen = Survey.of(chosen(stream.block(0), 2 * CONTROLS_OF_OTHER_KINDS), other.deadline)
                found += probes(other, seen.right[:CONTROLS_OF_OTHER_KINDS], CONTROLS_OF_OTHER_KINDS)
            self._other_kinds = found
        return self._other_kinds
