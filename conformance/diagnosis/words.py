"""Write a diagnosis in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from conformance.diagnosis.conditions import pattern
from conformance.diagnosis.elements import of_elements
from conformance.diagnosis.survey import RESULT, WRONG, Survey
from conformance.engine.form import no_steps
from conformance.engine.pattern import Pattern
from conformance.engine.verdict import Verdict
from conformance.engine.wrong_elements import judged


def common(seen: Survey, found: Pattern, failing: Any) -> Iterator[str]:
    """Yield the pattern of the wrong calls, and what their wrong numbers have in common."""
    yield found.words() if seen.wrong else f"of {len(seen.right)} drawn calls none is wrong"
    if failing.form.elements is not no_steps:
        wrong = [*seen.wrong, failing]
        items = [(t.form, t.call, results) for t in wrong if (results := judged(t)) is not None]
        yield from of_elements(items)


def hurry(seen: Survey, failing: Any) -> Iterator[str]:
    """Return the number of calls in words if there was no time for all."""
    if seen.unmade:
        made = [failing, *seen.right, *(trial for trials in seen.failing.values() for trial in trials)]
        count = len({id(trial.call) for trial in made})
        yield f"judged by {count} call{'s' * (count > 1)}: no time was left for more (--diagnosis SECONDS gives more)"


def conditions_of(seen: Survey, how: str, found: Pattern) -> Iterator[str]:
    """Yield the pattern of the calls that fail like the failing one, and the claim that would exclude them."""
    if not seen.failing.get(how):
        return
    raises = how != WRONG and not how.startswith(RESULT)
    yield found.words(fail="raise", fails="raises") if raises else found.words(fail="fail", fails="fails")
    if raises:
        claim = _excluding(seen.failing[how], seen.right)
        yield f"if that is by design, {claim}keep it as a known failure"


def _excluding(failing: Sequence[Any], right: Sequence[Any]) -> str:
    """Return in words the claim whose absence excludes the failing calls; empty if most right calls need it as well."""
    features, claims = frozenset.intersection(*(trial.call.uses for trial in failing)), failing[0].subject.features
    uses = Counter(name for trial in right for name in trial.call.uses)
    rarest = min(filter(claims.claims, features), key=lambda name: (uses[name], name), default="")
    if not rarest or 2 * uses[rarest] > len(right) or not right:
        return ""
    backend = failing[0].subject.backend
    if hasattr(backend, "claim_of"):  # the claims of an ONNX runtime have names of their own
        return f"claim {backend.claim_of(rarest, claimed=False)}, or "
    is_flag = rarest in {f.name for f in fields(claims)}
    return (f"claim {rarest}=False" if is_flag else f"leave {rarest} out of the claims") + ", or "


def pattern_of(seen: Survey, how: str, failing: Any) -> Pattern:
    """Return what the calls that fail in a manner have in common."""
    alike = seen.failing.get(how, [])
    of_failing = [_attributes(failing)] if alike else []
    found = pattern([*map(_attributes, alike), *of_failing], [_attributes(t) for t in seen.right])
    return replace(found, failing=len(alike), how=how, form=failing.form.name)


def _attributes(trial: Any) -> dict[str, Any]:
    return trial.form.attributes(trial.call)


def first_wrong(trial: Any, call: str = "the smallest failing call") -> str:
    """Return the place of a trial's first wrong element in the order of computation; empty without wrong numbers.

    ``call`` names the trial's call.
    """
    found = judged(trial)
    place = found and trial.form.first_wrong(trial, {name: result.wrong for name, result in found.items()})
    return f"the first wrong element of {call}: {place}" if place else ""


def by_itself(of: str, part: Any, *said: str) -> str:
    """Return in words that a call is wrong by itself, what is ``said`` of it, and where its first wrong number is."""
    call = repr(part.call).partition("; values")[0]
    return "; ".join(filter(None, (f"{of} wrong by itself: {call}", *said, first_wrong(part, "this call"))))


def sentences(
    diagnosis: Sequence[Mapping[str, str]], common: str, numeric: bool = True, more: int = 0, accepts: bool = False
) -> list[str]:
    """Return a diagnosis as sentences. ``accepts`` says that the backend accepts a call which it must refuse."""
    explained = " or of ".join(fault["explanation"] for fault in diagnosis)
    rest = f", or of {more} more known departures" if more else ""
    what = "these are the numbers of" if numeric else "this is the behaviour of"
    if accepts:  # one accepted call does not show what else is accepted
        what = "as far as this call shows, this is the behaviour of"
    return [f"{what} {explained}{rest}"] * bool(explained) + [common] * bool(common)


def told(verdict: Verdict) -> list[str]:
    """Return the diagnosis of a verdict as sentences."""
    accepts = verdict.failure.partition("\n")[0].endswith("expected an error")
    return sentences(verdict.diagnosis, verdict.common, verdict.numeric, verdict.more, accepts)
