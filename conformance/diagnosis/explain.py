"""Run a check and explain its failure: diagnosis, simpler numbers, and the reproducer."""

from __future__ import annotations

from typing import Any

from conformance.diagnosis.diagnose import Diagnostician, sentences
from conformance.diagnosis.script import known_failure_entry, script
from conformance.diagnosis.simplify import simplified
from conformance.engine.profiles import Profile
from conformance.engine.serialization import Example
from conformance.engine.shrinking import MAX_SHRINKING_SECONDS
from conformance.engine.subject import Subject
from conformance.engine.verdict import Verdict
from reference.catalogue import Requirement

MAX_OWN_TRIALS = 24  # trials for diagnosis from a failing check's own way of drawing


def examined(check: Any, diagnostician: Diagnostician, profile: Profile, example: Example | None = None) -> Verdict:
    """Run a check. If it fails and the profile shrinks, explain the failure and write its reproducer."""
    verdict, call = check.run(diagnostician.streams, profile, example)
    if call is None:
        return verdict
    if verdict.replayed == "fails":
        write_reproducer(verdict, diagnostician.subject, check.entry, call, numbers=not check.apart)
    elif profile.shrink_attempts:
        explain(check, verdict, diagnostician, call, profile.shrink_attempts)
    return verdict


def explain(check: Any, verdict: Verdict, diagnostician: Diagnostician, call: Any, attempts: int) -> None:
    """Name the known faults that give the failure, simplify its call, and write its reproducer."""
    subject = diagnostician.subject
    if check.apart:
        write_reproducer(verdict, subject, check.entry, call, numbers=False)
        return
    specification = subject.specification
    if check.entry.area not in specification.random_areas:
        with subject.clock("diagnosis"):
            own = []
            if check.draw is not specification.form_of(call).draw:
                stream = diagnostician.streams.of(check.draw)
                own = [trial for _, trial in stream.applicable(check.applies, MAX_OWN_TRIALS)]
            found = diagnostician.diagnose(check.law, call, own)
        verdict.diagnosis, verdict.common = found.faults, found.common
    with subject.clock("shrinking"):
        call, failure = simplified(check, subject, call, attempts, MAX_SHRINKING_SECONDS)
    if failure is not None:  # it fails again
        verdict.fail(failure, call)
    write_reproducer(verdict, subject, check.entry, call)


def write_reproducer(
    verdict: Verdict, subject: Subject, requirement: Requirement, call: Any = None, numbers: bool = True
) -> None:
    """Add the script and the entry of a known failure to a verdict.

    With ``numbers`` the script holds the call's own numbers, if they are wrong.
    """
    with subject.clock("shrinking"):
        diagnosis = sentences(verdict.diagnosis, verdict.common)
        verdict.reproducer = script(subject, requirement, verdict.failure, call, diagnosis, numbers)
    verdict.known_failure = known_failure_entry(requirement.id, subject, call)
