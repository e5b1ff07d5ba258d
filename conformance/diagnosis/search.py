"""Find the known departure from the documentation that gives a backend's own numbers.

The law runs once more to record a transcript: its calls of the backend, and the backend's results. The same law then
runs with every known fault in the backend's place. A fault explains a failure if it gives the backend's transcripts
for the failing call and for further drawn calls on which the backend is wrong, and if it is right where the backend is
right. Calls that fail in another way, by an exception say, are another failure: they are no evidence against a fault.
If no fault and no pair of faults explains the failure, the diagnosis says which calls and elements are wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from conformance.diagnosis.candidates import (
    MAX_PARTIAL,
    Candidate,
    Explained,
    alone,
    beside,
    best,
    degree,
    disproves,
    explaining,
    pairs,
    with_another,
)
from conformance.diagnosis.coarser import coarser
from conformance.diagnosis.probe import Probe
from conformance.diagnosis.rehearsals import wrong_parts
from conformance.diagnosis.survey import (
    CONTROLS,
    EVIDENCE,
    RESULT,
    RIGHT,
    WRONG,
    Evidence,
    Survey,
    chosen,
    cost,
    manner,
    manner_under,
    probes,
)
from conformance.diagnosis.transcript import Law, plain, transcript_of
from conformance.diagnosis.words import by_itself, common, conditions_of, hurry, pattern_of, sentences
from conformance.engine.drawing import BLOCK
from conformance.engine.pattern import Pattern
from conformance.engine.trial import trial_of

MAX_COST_OF_FAILING_CALL = 600  # steps, times layers, times directions
MAX_NAMED = 3  # faults
CONTROLS_OF_LAW = 4  # calls that pass the law, and which a fault must pass too
MAX_TELLING = 6  # requirements whose calls, a block of each, tell faults apart
FEW_WRONG = 4  # small wrong calls, of which a fault must give one to be tried together with others
PARTIAL_SHARE = 1 / 3  # of the wrong calls, which one of two faults explains by itself


@dataclass
class Diagnosis:
    """The explanation of a failure: the faults in the report's form, best first, and words for the wrong calls."""

    faults: list[dict[str, str]] = field(default_factory=list)
    common: str = ""
    more: int = 0
    """The number of further known faults that explain it as well."""
    numeric: bool = True
    """Whether the numbers of the failing call are wrong."""
    pattern: Pattern | None = None
    """What the calls have in common whose own numbers or shapes are wrong."""


class Search:
    """The search for the explanation of one failure."""

    def __init__(
        self,
        diagnostician: Any,
        law: Law,
        failing: Any,
        own: Sequence[Any],
        base: Sequence[str],
        over: Callable[[], bool],
        numeric: bool,
        most_pairs: int,
    ) -> None:
        """Make the search. ``diagnostician`` is the Diagnostician."""
        self.diagnostician, self.law, self.failing, self.own, self.over = diagnostician, law, failing, own, over
        self.most_pairs = most_pairs
        self.partly = ""
        """The part of the wrong calls that the named faults give, in words; empty if all."""
        self.subject, self.specification = diagnostician.subject, diagnostician.subject.specification
        self.faults = diagnostician.faults
        self.base = [found for name in base if (found := diagnostician.candidate(name)) is not None]
        self.numeric = numeric and manner(failing) == WRONG and not self.is_of_base()
        """Whether the plain call's wrong numbers are the failure."""
        if self.numeric:
            _ = self.probe  # before other calls take the time
        self.known = diagnostician.evidence(failing.form)
        forms = self.specification.forms
        controls = [f for f in forms if f is not failing.form and f.controls(self.subject.features)]
        self.others = [diagnostician.evidence(form) for form in controls]

    @cached_property
    def probe(self) -> Probe:
        """The plain call."""
        heard = transcript_of(self.failing) if self.subject.deadline.is_short else None
        return Probe(self.subject, plain, self.failing, heard)

    @cached_property
    def here(self) -> Survey:
        """The calls of the failed form that were drawn for the law."""
        return self._survey(self.own)

    def _survey(self, trials: Iterable[Any]) -> Survey:
        return Survey.of((trial for trial in trials if trial.form is self.failing.form), self.subject.deadline)

    @cached_property
    def right(self) -> list[Probe]:
        """Right calls of the failed form: plain calls, and calls that were drawn for the law."""
        return [*self.known.right, *probes(self.subject, self.here.right, CONTROLS)]

    def is_of_base(self) -> bool:
        """Return whether a fault that the backend is known to have gives the numbers of the plain call."""
        return any(self.probe.match(fault.build) is not None for fault in self.base)

    # --- wrong numbers --------------------------------------------------------------------------------

    def by_numbers(self) -> Diagnosis:
        """Explain wrong numbers of the plain call."""
        here = self.here
        seen = self.known.survey + here
        unexplained = pattern_of(seen, WRONG, self.failing)
        if cost(self.failing) > MAX_COST_OF_FAILING_CALL:
            return Diagnosis([], "; ".join(common(seen, unexplained, self.failing)), pattern=unexplained)
        wrong = self.known.wrong or probes(self.subject, here.wrong, EVIDENCE)
        wrong = [w for w in wrong if not any(w.match(fault.build) for fault in self.base)]
        found, remark = self._explained(wrong)
        law = Probe(self.subject, self.law, self.failing) if found else self.probe
        every = [each for each in found if law.match(each.candidate.build) is not None]
        if found and not every:
            remark = [f"the first call is that of {found[0].candidate.explanation}, but not those after it"]
        found = every
        if not found and not remark:
            none = f"none of the {len(self.faults)} known departures gives these numbers"
            # a coarser arithmetic shows everywhere, and not under an exact condition
            remark = [(not unexplained.exact and coarser([self.failing, *(w.trial for w in wrong)])) or none]
        named = self._named(found, [self.probe, *wrong])
        described = [] if found else common(seen, unexplained, self.failing)
        parts = [*remark, *hurry(seen, self.failing), *described]
        return Diagnosis(named[:MAX_NAMED], "; ".join(parts), max(0, len(named) - MAX_NAMED), pattern=unexplained)

    def _explained(self, wrong: Sequence[Probe]) -> tuple[list[Explained], list[str]]:
        """Return what gives the numbers of the failing call and the other wrong calls, and a remark."""
        probe, probes = self.probe, [self.probe, *wrong]
        singles = [each.compared(wrong) for each in explaining(self._singles(), probe)]
        full = [each for each in singles if each.all]
        if full:
            return self._proved(full)
        partial = sorted((e for e in singles if e.count > 1), key=lambda e: -e.count)[:MAX_PARTIAL]
        for each in partial:
            if len(each.candidate.faults) == 1 and (pair := self._completed(each, probes)) is not None:
                proved, _ = self._proved([each])
                if proved:
                    other = next(f for f in pair.candidate.faults if f.id != each.candidate.fault)
                    return proved, [f"other wrong calls are, at the same time, those of {other.explanation}"]
        if partial and partial[0].count - 1 >= PARTIAL_SHARE * len(wrong):
            proved, _ = self._proved([each for each in partial if each.count == partial[0].count])
            if proved:
                compared = f"{partial[0].count} of {len(wrong) + 1} wrong calls compared"
                self.partly = f", in {compared} (the others are wrong in another way as well)"
                return proved, []
        if self.known.in_vain or not self.most_pairs:
            return [], []
        for each in self._elsewhere(wrong):
            if (pair := self._completed(each, probes)) is not None:
                return self._proved([pair])
        unexplained = [w for k, w in enumerate(wrong, 1) if all(each.matches[k] is None for each in singles)]
        found = self._two(unexplained[0] if singles and unexplained else probe, probes)
        self.known.in_vain = not found
        return self._proved(found) if found else ([], [])

    def _singles(self) -> Iterator[Candidate]:
        """Yield the faults; each together with a fault that the backend is known to have, too."""
        for fault in self.faults:
            yield alone(fault)
        for candidate in self.base:
            if len(candidate.faults) == 1:
                yield from with_another(self.specification, candidate.faults[0], self.faults)

    def _elsewhere(self, wrong: Sequence[Probe]) -> list[Explained]:
        """Return the faults that give several of the other wrong calls, but not the failing one."""
        few = sorted(range(len(wrong)), key=lambda k: cost(wrong[k].trial))[:FEW_WRONG]
        found: list[Explained] = []
        for fault in self.faults:
            if self.over():
                break
            first = {k: wrong[k].match(fault.build) for k in few}
            if any(first.values()):
                matches = [first[k] if k in first else probe.match(fault.build) for k, probe in enumerate(wrong)]
                found.append(Explained(alone(fault), [None, *matches]))
        found = [each for each in found if each.count > 1]
        return sorted(found, key=lambda each: -each.count)[:MAX_PARTIAL]

    def _completed(self, partial: Explained, probes: Sequence[Probe]) -> Explained | None:
        """Return a pair that gives all wrong calls: a fault that gives some, with another one."""
        fault = partial.candidate.faults[0]
        if fault.id in self.known.tried:
            return None
        rest = [probe for probe, match in zip(probes, partial.matches, strict=True) if match is None]
        for candidate in with_another(self.specification, fault, self.faults):
            if self.over():
                return None
            if rest[0].match(candidate.build) is None:
                continue
            found = Explained(candidate, []).compared(probes)
            if found.all:
                return found
        self.known.tried.add(fault.id)
        return None

    def _two(self, probe: Probe, wrong: Sequence[Probe]) -> list[Explained]:
        """Return pairs of faults that together give the numbers of all wrong calls; both change those of ``probe``."""
        found: list[Explained] = []
        for candidate in islice(pairs(self.specification, self.faults, probe, self.over), self.most_pairs):
            if probe.match(candidate.build) is not None:
                each = Explained(candidate, []).compared(wrong)
                if each.all:
                    found.append(each)
                    if len(found) > MAX_NAMED:
                        break
        return found

    def _proved(self, found: Sequence[Explained]) -> tuple[list[Explained], list[str]]:
        """Return the candidates that are right where the backend is right; if there are none, a remark about them.

        Candidates that also explain the calls of other forms come alone, if there are any.
        """
        found = best(found)
        sure = [e for e in found if not any(disproves(p, e.candidate) for p in self.right)]
        if not sure:
            return [], [f"on these calls, but not on others, the numbers are those of {found[0].candidate.explanation}"]
        surer = [e for e in sure if all(self._agrees(e.candidate, other) for other in self.others)] or sure
        left = [e for e in surer if not self._disproved_elsewhere(e.candidate)] or surer
        left = self._told_apart(left)
        return sorted(left, key=lambda e: (not e.candidate.common, len(e.candidate.kinds))), []

    def _told_apart(self, found: list[Explained]) -> list[Explained]:
        """Leave out candidates that are disproved by calls drawn for the requirements that the candidates fail."""
        if len(found) < 2:
            return found
        ids = dict.fromkeys(getattr(fault, "requirement", "") for each in found for fault in each.candidate.faults)
        for id_ in list(ids)[:MAX_TELLING]:
            for check in self.specification.checks_of(id_)[:1]:
                stream = self.diagnostician.streams.of(check.draw)
                trials = (trial for _, trial in stream.applicable(check.applies, BLOCK))
                seen = self._survey(trials)
                right, wrong = (probes(self.subject, t, n) for t, n in ((seen.right, BLOCK), (seen.wrong, EVIDENCE)))
                left = [
                    each for each in found
                    if all(probe.match(each.candidate.build) is not None for probe in wrong)
                    and not any(disproves(probe, each.candidate) for probe in right)
                ]  # fmt: skip
                found = left or found
            if len(found) < 2 or self.over():
                break
        return found

    def _agrees(self, candidate: Candidate, other: Evidence) -> bool:
        """Return whether a candidate also gives the wrong calls of another form, and none of its right ones wrong."""
        gives = all(probe.match(candidate.build) is not None for probe in other.wrong)
        return gives and not any(disproves(probe, candidate) for probe in other.right)

    def _disproved_elsewhere(self, candidate: Candidate) -> bool:
        """Return whether a candidate makes another kind wrong of which the backend computes the right numbers."""
        if len(candidate.kinds) < 2:
            return False
        probes = self.diagnostician.other_kinds()
        return any(probe.subject.kind in candidate.kinds and disproves(probe, candidate) for probe in probes)

    def _named(self, found: Sequence[Explained], probes: Sequence[Probe]) -> list[dict[str, str]]:
        """Return the candidates in the report's form."""
        return [{"fault": e.candidate.fault, "explanation": self._degree(e, probes)} for e in found]

    def _degree(self, found: Explained, probes: Sequence[Probe]) -> str:
        claim = self.specification.claim_of(found.candidate.fault, self.subject.kind)
        return degree(found, probes) + (f" ({claim})" if claim else "") + self.partly

    # --- other failures -------------------------------------------------------------------------------

    def by_law(self) -> Diagnosis:
        """Explain an exception, a wrong shape, or a failure between several right calls."""
        how = manner(self.failing)
        if how in (RIGHT, WRONG):  # the plain call does not show the failure
            how = manner_under(self.law, trial_of(self.subject, self.failing.call))
            seen = Survey.of(self.own, self.subject.deadline, lambda trial: manner_under(self.law, trial))
        else:
            seen = self.known.survey + self.here
        unexplained = pattern_of(seen, how, self.failing)
        found: list[Explained] = []
        if cost(self.failing) <= MAX_COST_OF_FAILING_CALL:
            probe = Probe(self.subject, self.law, self.failing)
            numbers = any(isinstance(value, np.ndarray) for _, value in probe.heard)
            found = best(explaining(self._singles(), probe))
            found = [e for e in found if self._fails_law(e.candidate)]
            found = [e for e in found if not any(disproves(p, e.candidate) for p in self.known.right)]
            passing = [Probe(self.subject, self.law, t) for t in chosen(seen.right, CONTROLS_OF_LAW)]
            found = [e for e in found if not any(self._fails(p, e.candidate) for p in passing)]
            if not numbers and not (self.known.right or passing):
                found = []  # both raise, but the faults raise on every call
            found = [e for e in found if all(self._agrees(e.candidate, other) for other in self.others)] or found
        if how == WRONG and not found:
            part = next((part for part in wrong_parts(self.law, self.failing) if manner(part) == WRONG), None)
            if part is not None:
                return self._by_part(part)
        named = self._named(found, [])
        words = list(conditions_of(seen, how, unexplained)) if not found else []
        more = max(0, len(named) - MAX_NAMED)
        shapes = unexplained if how.startswith(RESULT) else None
        return Diagnosis(named[:MAX_NAMED], "; ".join(words), more, numeric=False, pattern=shapes)

    def _by_part(self, part: Any) -> Diagnosis:
        """Explain the failure by a further call of the law whose numbers are wrong by themselves."""
        base = [fault.fault for fault in self.base]
        search = Search(self.diagnostician, plain, part, (), base, self.over, True, self.most_pairs)
        found = search.by_numbers()
        words = by_itself("one of the requirement's calls is", part, *sentences(found.faults[:1], found.common))
        return Diagnosis([], words, numeric=False, pattern=found.pattern)

    def _fails_law(self, candidate: Candidate) -> bool:
        """Return whether a candidate fails the law on the failing call, as the backend does."""
        subject = beside(self.subject, candidate)
        return manner_under(self.law, trial_of(subject, self.failing.call)) != RIGHT

    def _fails(self, probe: Probe, candidate: Candidate) -> bool:
        """Return whether a candidate fails the law on a call that the backend passes."""
        return probe.numbers(candidate.build())[-1] != probe.heard[-1]
