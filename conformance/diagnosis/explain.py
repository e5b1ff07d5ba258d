"""Run a check and explain its failure: diagnosis, simpler numbers, and the reproducer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from conformance.diagnosis.consequences import Consequences
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.rehearsals import passes_renewed
from conformance.diagnosis.script import known_failure_entry, script
from conformance.diagnosis.simplify import simplified
from conformance.diagnosis.survey import MAX_COST, WRONG, manner
from conformance.diagnosis.transcript import plain
from conformance.diagnosis.words import by_itself, first_wrong, told
from conformance.engine.cause import Cause
from conformance.engine.check import fails_after, failure_of
from conformance.engine.deadline import Deadline
from conformance.engine.profiles import Profile
from conformance.engine.serialization import Example, example_of
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from conformance.engine.verdict import Verdict
from reference.catalogue import Requirement

OUT_OF_TIME = "no time was left to explain this failure (--diagnosis SECONDS gives more)"
CARRIES = "each of the calls is right on a new {0}: the {0} carries something from one call to the next"
MAX_OWN_TRIALS = 50  # trials for diagnosis from a failing check's own way of drawing


def examined(
    check: Any,
    diagnostician: Diagnostician,
    profile: Profile,
    example: Example | None = None,
    causes: Sequence[Cause] = (),
    deadline: Deadline | None = None,
) -> Verdict:
    """Run a check. If it fails and the profile shrinks, explain the failure and write its reproducer.

    ``causes`` are earlier failures, which may explain failing examples of this check. The explanation ends at the
    deadline.
    """
    subject = diagnostician.subject
    subject.deadline = deadline or Deadline()
    try:
        return _examined(check, diagnostician, profile, example, causes)
    finally:
        subject.deadline = Deadline()


def _examined(
    check: Any,
    diagnostician: Diagnostician,
    profile: Profile,
    example: Example | None,
    causes: Sequence[Cause],
) -> Verdict:
    verdict, call = check.run(diagnostician.streams, profile, example, Consequences(diagnostician, causes))
    if call is None:
        if not verdict.passed and not verdict.raised and hasattr(check, "calls") and profile.shrink_attempts:
            explain_case(check, verdict, diagnostician, profile.shrink_attempts)
        return verdict
    if verdict.replayed == "fails":
        write_reproducer(verdict, diagnostician.subject, check.entry, call, numbers=not check.apart)
    elif profile.shrink_attempts:
        explain(check, verdict, diagnostician, call, profile.shrink_attempts, causes)
    verdict.explaining = diagnostician.subject.deadline.spent
    return verdict


def explain(
    check: Any,
    verdict: Verdict,
    diagnostician: Diagnostician,
    call: Any,
    attempts: int,
    causes: Sequence[Cause] = (),
) -> None:
    """Name the known faults that give the failure, simplify its call, and write its reproducer.

    If the time ends meanwhile, what was found is written.
    """
    subject = diagnostician.subject
    if check.apart:
        write_reproducer(verdict, subject, check.entry, call, numbers=False)
        return
    with subject.deadline.enforced():
        _explain(check, verdict, diagnostician, call, attempts, causes)
    if not verdict.reproducer:
        if not (verdict.diagnosis or verdict.common):
            verdict.common = OUT_OF_TIME
        write_reproducer(verdict, subject, check.entry, call, numbers=False)


def _explain(
    check: Any, verdict: Verdict, diagnostician: Diagnostician, call: Any, attempts: int, causes: Sequence[Cause]
) -> None:
    subject = diagnostician.subject
    stream, failed = diagnostician.streams.of(check.draw), None
    known = known_trial(check, stream, call)
    if known is None:
        with subject.deadline.call():
            failed = failure_of(check, trial_of(subject, call))
        if failed is None:
            after_other_calls(check, verdict, diagnostician, call)
            return
        known = known_trial(check, stream, call)  # the call may have shown how slow the backend is
    specification = subject.specification
    if check.entry.area not in specification.random_areas | specification.undiagnosed_areas:
        with subject.clock("diagnosis"):
            own = [trial for _, trial in stream.applicable(check.applies, MAX_OWN_TRIALS)]
            base = [name for cause in causes for name in cause.faults[:1]]
            found = diagnostician.diagnose(
                check.law,
                call,
                own,
                failing=known,
                base=base,
                over=lambda: subject.deadline.over,
                numeric=failed is None or not failed.accepted,
                attempts=0 if check.entry.unless else attempts,
            )
        verdict.carries = failed is not None and not found.numeric and passes_renewed(check, subject, call)
        verdict.diagnosis, verdict.common = found.faults, found.common
        if verdict.carries and not found.faults:
            verdict.common = f"{CARRIES.format(specification.form_of(call).build)}; {found.common}"
        verdict.more, verdict.numeric = found.more, found.numeric
        if not found.faults:
            verdict.pattern = found.pattern
    if known is not None:
        _add_place(verdict, known)
        return
    with subject.clock("shrinking"):
        call, failure = simplified(check, subject, call, attempts)
    if failure is not None:  # it fails again
        verdict.fail(failure, call)
    _add_place(verdict, trial_of(subject, call))
    write_reproducer(verdict, subject, check.entry, call)


def _add_place(verdict: Verdict, trial: Any) -> None:
    """Add the place of the failing call's first wrong number to the diagnosis if the numbers are explained."""
    if verdict.numeric and (verdict.diagnosis or verdict.common):
        verdict.common = "; ".join(filter(None, (verdict.common, first_wrong(trial))))


def explain_case(check: Any, verdict: Verdict, diagnostician: Diagnostician, attempts: int) -> None:
    """Explain the failure of a case by the first of its calls that is wrong by itself, if there is one."""
    subject = diagnostician.subject
    with subject.deadline.enforced(), subject.clock("diagnosis"):
        for call in check.calls(subject):
            trial = trial_of(subject, call)
            if trial.form.cost(call) <= MAX_COST and manner(trial) == WRONG:
                found = diagnostician.diagnose(
                    plain, call, failing=trial, over=lambda: subject.deadline.over, attempts=attempts
                )
                verdict.common = by_itself("of the case's calls this one is", trial, found.common)
                verdict.diagnosis, verdict.more = found.faults, found.more
                verdict.pattern = None if found.faults else found.pattern
                break
    verdict.explaining = subject.deadline.spent


def known_trial(check: Any, stream: Any, call: Any) -> Any:
    """Return the trial of a failing call whose result is known, if there is no time for more calls; otherwise None.

    A refusal has none: whether the plain call is right says nothing about the call that must be refused.
    """
    if check.entry.area == "refusals" or not stream.subject.deadline.is_short:
        return None
    trials = [stream.shrunk, *(trial for _, trials in stream.blocks for trial in trials)]
    return next((trial for trial in trials if trial is not None and trial.call is call and trial.called), None)


def after_other_calls(check: Any, verdict: Verdict, diagnostician: Diagnostician, call: Any) -> None:
    """Explain a failure of a call that passes on a fresh object: find the calls that must come before it."""
    subject, stream = diagnostician.subject, diagnostician.streams.of(check.draw)
    kept = [trial for _, trials in stream.blocks for trial in trials if trial.call is call]
    before = [name for trial in kept for name in trial.judged if name != check.requirement]
    verdict.numeric, verdict.depends = False, True
    built = subject.specification.form_of(call).build
    with subject.clock("diagnosis"):
        if before and fails_after(check, subject, call, before):
            for name in list(before):
                fewer = [other for other in before if other != name]
                if fails_after(check, subject, call, fewer):
                    before = fewer
            verdict.after, verdict.carries = before, True
            verdict.common = (
                f"the call alone is right on a fresh {built}; it fails after the calls that {', '.join(before)} "
                f"{'makes' if len(before) == 1 else 'make'} of the same {built}"
            )
        else:
            verdict.common = f"the call alone is right on a fresh {built}: the failure depends on earlier calls"
            call = None
    write_reproducer(verdict, subject, check.entry, call, numbers=False)


def write_reproducer(
    verdict: Verdict,
    subject: Subject,
    requirement: Requirement,
    call: Any = None,
    numbers: bool = True,
    drawn: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Add the script and the entry of a known failure to a verdict.

    With ``numbers`` the script holds the call's own numbers, if they are wrong. If there is no call, ``drawn`` holds
    the profile and the seed of the calls that the script draws.
    """
    with subject.clock("shrinking"):
        diagnosis = told(verdict)
        first = {name: list(value) for name in ("after", "before") if (value := getattr(verdict, name))}
        verdict.reproducer = script(subject, requirement, verdict.failure, call, diagnosis, numbers, {**first, **drawn})
    verdict.call = None if call is None else example_of(subject.specification.form_of(call), call)
    verdict.known_failure = known_failure_entry(requirement.id, subject, None if verdict.after else call)
