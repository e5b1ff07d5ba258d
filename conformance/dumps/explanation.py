"""Explain recorded calls: the verdict, the first wrong number, the mistakes that give the numbers, a further call."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conformance.claims import FLOAT32_ARITHMETICS
from conformance.diagnosis.candidates import Explained
from conformance.dumps import files, nodes
from conformance.dumps.carried import state_carried
from conformance.dumps.clues import clues
from conformance.dumps.files import BrokenDump
from conformance.dumps.further import Further, further
from conformance.dumps.judging import Judged, fitted, judge, printed_arguments
from conformance.dumps.onnx_folders import is_folder_of_a_test, read_folder
from conformance.dumps.recorded import Recorded, as_dtype, recorded, recorded_layer
from conformance.dumps.search import SECONDS, Found, Search
from conformance.dumps.words import joined, lines
from conformance.onnx.features import OUTPUTS
from conformance.onnx.nodes import GIVEN
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn.calls import CellCall
from reference.precision import ARITHMETICS

SCHEMA = 1
MAX_NAMED = 3
SECONDS_FOR_THE_FURTHER_CALL = 3.0
COARSER = {
    "float32": ("approximate-activations", "tf32", "bfloat16-products", "float16", "bfloat16"),
    "float64": ("float32",),
}
COARSE_WORDS = {
    "approximate-activations": "approximate activations",
    "tf32": "products in TF32",
    "bfloat16-products": "products in bfloat16",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "float32": "float32",
}


@dataclass(frozen=True)
class Explanation:
    """The explanation of recorded calls: text by ``str()``, data by ``as_json()``."""

    right: bool
    """Whether shapes and numbers are the documented ones, within what rounding explains."""
    diagnosis: tuple[dict[str, str], ...] = ()
    """The known mistakes that give the numbers of all calls, best first: ``fault`` and ``explanation`` of each. Several
    remain possible."""
    remarks: tuple[str, ...] = ()
    """Further sentences about the cause."""
    calls: tuple[dict[str, Any], ...] = ()
    """A dict for each call: ``call`` in words, ``right``, ``margin``, ``wrong``, ``elements``, ``first_wrong``."""
    notes: tuple[str, ...] = ()
    """How the dump was read where it is not as documented."""
    more: int = 0
    """The number of further known mistakes that give the same numbers."""
    next_call: dict[str, Any] | None = field(default=None, repr=False)
    """A call on which the possibilities differ: words under ``give``, ``arrays``, each number in ``gives``."""
    certain: int = 0
    """How many entries of ``diagnosis``, the first ones, hold in any case; of the others one holds."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        return {
            "schema": SCHEMA,
            "verdict": "right" if self.right else "wrong",
            "diagnosis": list(self.diagnosis),
            "certain": self.certain,
            "more": self.more,
            "remarks": list(self.remarks),
            "calls": list(self.calls),
            "notes": list(self.notes),
            "next_call": self.next_call,
        }

    def __str__(self) -> str:
        return "\n".join(lines(self))


def explain(
    calls: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | os.PathLike[str], *, seconds: float = SECONDS
) -> Explanation:
    """Judge recorded calls and, if they are wrong, find the known mistake that gives their numbers.

    ``calls`` is a mapping of one call, a list of such mappings, or the path of a dump. A mapping holds ``kind``, every
    parameter by name, ``x``, if given ``h_0``, ``c_0`` and ``lengths``, and of ``output``, ``h_n`` and ``c_n`` what
    came; ``batch_first``, ``dtype`` and ``arithmetic`` where the shapes do not say. The names ``0/x``, ``1/x`` stand
    for several calls in one mapping. Later mappings of a list may leave out what the first one has, except results and
    arguments. The search for the mistake ends after ``seconds``.

    Raises BrokenDump, a ValueError, with one sentence that names the broken array and the remedy.
    """
    if isinstance(calls, (str, os.PathLike)):
        try:
            path = Path(calls)
            return _explained(read_folder(path) if is_folder_of_a_test(path) else files.read(path), seconds)
        except BrokenDump as error:
            raise BrokenDump(f"{os.fspath(calls)}: {error}") from error
    if isinstance(calls, Mapping):
        return _explained(files.flat(calls), seconds)
    if not isinstance(calls, Sequence) or not all(isinstance(call, Mapping) for call in calls):
        raise BrokenDump(f"calls: got {type(calls).__name__}, expected a mapping of arrays by name or a list of such")
    each = [files.flat(call) for call in calls if isinstance(call, Mapping)]
    if not each:
        raise BrokenDump("calls: the list is empty; give at least one call")
    shared = {name: value for name, value in each[0].items() if name not in ARGUMENTS_AND_RESULTS}
    numbered = {f"{k}/{name}": value for k, call in enumerate(each) for name, value in {**shared, **call}.items()}
    return _explained(numbered if len(each) > 1 else each[0], seconds)


ARGUMENTS_AND_RESULTS = frozenset(
    {"x", "h_0", "c_0", "h0", "c0", "h", "c", "lengths", "output", "h_n", "c_n", "hn", "cn", "h_1", "c_1"}
    | {*GIVEN, *OUTPUTS}
)


def _read(values: Mapping[str, Any], label: str) -> Recorded:
    return (nodes.recorded_node if nodes.is_node(values) else recorded_layer)(values, label)


def _explained(values: Mapping[str, Any], seconds: float) -> Explanation:
    calls = recorded(values, _read)
    if len({isinstance(one.call, NodeCall) for one in calls}) > 1:
        raise BrokenDump("some calls have op_type, a node's, and some have kind, a layer's; dump them in two files")
    judged = [_best_reading(one) for one in calls]
    unknown = [j for j in judged if any(_unfitted(j, name) for name in j.misshapen)]
    departures = [_of_reading(j) for j in judged if j.recorded.readings[0].id and not j.recorded.readings[0].named]
    right = all(j.right for j in judged) and not departures
    notes = _notes(judged)
    shown = tuple(_of_call(j) for j in judged)
    if right:
        return Explanation(True, remarks=tuple(_of_right(judged)), calls=shown, notes=notes)
    diagnosis = list({d["fault"]: d for d in departures}.values())
    remarks: list[str] = []
    numbers_right = all(j.numbers_right for j in judged)
    found = Found()
    if any(j.misshapen for j in judged):
        found = Search(judged, seconds).run(pairs=bool(unknown))
        if unknown and not found.candidates:
            raise _unknown_shape(unknown[0])
        if not found.candidates:
            diagnosis += _of_axes(judged)
    cause: list[dict[str, str]] = []
    if not numbers_right and not found.candidates:
        cause = _narrow_format(judged) or state_carried(judged)
        found = Search([j.in_documented_shapes() for j in judged], seconds).run(pairs=not cause)
    certain = len(diagnosis)
    named, next_call, more = _named(judged, found.candidates)
    diagnosis += named
    if departures and numbers_right:
        remarks.append("read so, the numbers are the documented ones")
    if not numbers_right and not named:
        diagnosis += cause
        if not cause:
            remarks += _few_digits(judged) or [*_unexplained(found), *_coarser(judged), *clues(judged)]
    if not diagnosis or any(entry["fault"] == "axes-exchanged" for entry in diagnosis):
        remarks += list(dict.fromkeys(word for j in judged for word in j.recorded.asked))
    return Explanation(False, tuple(diagnosis), tuple(remarks), shown, notes, more, next_call, certain)


def _few_digits(judged: Sequence[Judged]) -> list[str]:
    """Return the sentence that arguments of few digits may explain the errors, if they do."""
    wrong = [(j, None if j.printed else printed_arguments(j.recorded)) for j in judged if not j.numbers_right]
    if all(own is not None and judge(j.recorded, of_arguments=own).numbers_right for j, own in wrong):
        return [
            f"the arguments have {wrong[0][1]}: if the program computed with more, that explains the errors; dump all "
            "digits of the arguments"
        ]
    return []


def _unknown_shape(judged: Judged) -> BrokenDump:
    name, (came, documented) = next((n, pair) for n, pair in judged.misshapen.items() if _unfitted(judged, n))
    shown = f"{judged.recorded.label}{judged.recorded.names.get(name, name)}"
    return BrokenDump(
        f"{shown}: got the shape {came}, a layer of these parameters and this x gives {documented}; dump what came of "
        "this very call"
    )


def _best_reading(one: Recorded) -> Judged:
    """Return the call as judged in the first reading of its parameters that makes it right; otherwise in the first."""
    first = judge(one)
    if first.numbers_right:
        return first
    for reading in one.readings[1:]:
        other = judge(one.read_as(reading))
        if other.numbers_right:
            return other
    return first


def _unfitted(judged: Judged, name: str) -> bool:
    came, documented = judged.misshapen[name]
    return fitted(np.empty(came), documented).shape != documented


def _of_reading(judged: Judged) -> dict[str, str]:
    reading = judged.recorded.readings[0]
    return {"fault": reading.id, "explanation": f"{judged.recorded.label}{reading.layout}: {reading.advice}"}


def _of_axes(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """Return the results whose shape lacks, or has too many, axes of length one."""
    found: dict[str, dict[str, str]] = {}
    for j in judged:
        for name, (came, documented) in j.misshapen.items():
            if not _unfitted(j, name):
                what = "axis-of-one-" + ("missing" if len(came) < len(documented) else "more")
                what = "axes-in-another-order" if len(came) == len(documented) else what
                shown = f"{j.recorded.label}{j.recorded.names.get(name, name)}"
                found.setdefault(what, {
                    "fault": what,
                    "explanation": f"{shown} has the shape {came}, documented is {documented}; its numbers are "
                    "compared in the documented shape",
                })  # fmt: skip
    return list(found.values())


def _notes(judged: Sequence[Judged]) -> tuple[str, ...]:
    notes = [note for j in judged for note in j.recorded.notes]
    for j in judged:
        if j.printed is not None and ARITHMETICS[j.recorded.dtype].u < 10.0**-j.printed.digits:
            more = ", and what half a unit of the arguments', which have as many, changes in them" if j.moved else ""
            notes.append(
                f"the results have {j.printed}: half a unit of the last one is allowed{more}; dump all digits "
                "for a sharper verdict"
            )
    return tuple(dict.fromkeys(notes))


def _of_call(judged: Judged) -> dict[str, Any]:
    margin = judged.margin
    return {
        "call": judged.recorded.label.rstrip("/"),
        "described": judged.recorded.described,
        "right": judged.right,
        "margin": margin if np.isfinite(margin) else None,
        "wrong": judged.wrong,
        "elements": judged.elements,
        "shapes": {judged.recorded.names.get(n, n): [list(s) for s in pair] for n, pair in judged.misshapen.items()},
        "first_wrong": _finite_numbers(judged.first_wrong()),
    }


def _finite_numbers(first: dict[str, Any] | None) -> dict[str, Any] | None:
    if first is None:
        return None
    return {n: v if not isinstance(v, float) or np.isfinite(v) else str(v) for n, v in first.items()}


def _of_right(judged: Sequence[Judged]) -> list[str]:
    """Return what these calls cannot show."""
    calls = [j.recorded.call for j in judged]
    if isinstance(calls[0], NodeCall):
        lacks = nodes.lacking(calls)
        return [f"calls with {joined(lacks)} would show more"] if lacks else []
    lacks = []
    if all((c.h if isinstance(c, CellCall) else c.h_0) is None for c in calls):
        lacks.append("an initial state")
    if all(not isinstance(c, CellCall) and c.T == 1 for c in calls):
        lacks.append("T >= 2")
    if all((1 if c.unbatched else len(c.x)) == 1 if isinstance(c, CellCall) else c.N == 1 for c in calls):
        lacks.append("N >= 2")
    zero = all(not np.any(a) for c in calls for n, a in c.parameters.items() if n.startswith("bias"))
    if zero:
        lacks.append("biases other than zero")
    return [f"calls with {joined(lacks)} would show more"] if lacks else []


def _named(
    judged: Sequence[Judged], found: Sequence[Explained]
) -> tuple[list[dict[str, str]], dict[str, Any] | None, int]:
    """Return the candidates as a diagnosis, a call on which they differ, and the number of unnamed ones."""
    if not found:
        return [], None, 0
    candidates = [each.candidate for each in found]
    told: Further | None = None
    if len(candidates) > 1:
        until = time.monotonic() + SECONDS_FOR_THE_FURTHER_CALL
        told = further([j.recorded for j in judged], candidates, lambda: time.monotonic() > until)
    groups = told.groups if told is not None else (tuple(range(len(candidates))),)
    ordered = [group[0] for group in groups] + [k for group in groups for k in group[1:]]
    named = []
    for k in ordered[:MAX_NAMED]:
        each = found[k]
        words = each.candidate.explanation
        if not each.within:
            words += f", but for an error of {each.worst.left:.0e}"
        named.append({"fault": each.candidate.fault, "explanation": words})
    return named, None if told is None else _next_call(told, candidates, judged[0]), len(found) - len(named)


def _next_call(told: Further, candidates: Sequence[Any], first: Judged) -> dict[str, Any]:
    call = told.call
    cell = isinstance(call, CellCall)
    arrays = {n: np.asarray(a).tolist() for n, a in call.arguments.items() if a is not None}
    given = dict(arrays)
    same = first.recorded.call.parameters
    given |= {n: a.tolist() for n, a in call.parameters.items() if told.own_parameters or a is not same.get(n)}
    name, index = told.element
    shown = {"h": "h_n", "c": "c_n"}.get(name, name) if cell else name
    return {
        "give": list(told.give),
        "kind": call.config.kind,
        "batch_first": bool(getattr(call.config, "batch_first", False)),
        "arrays": given,
        "parameters": "of its own" if told.own_parameters else "those of the dump",
        "element": f"{shown}[{', '.join(map(str, index))}]",
        "documented": told.documented,
        "gives": [
            {"fault": candidates[group[0]].fault, "number": told.given[group[0]]} for group in told.groups[:MAX_NAMED]
        ],
    }


def _unexplained(found: Found) -> list[str]:
    said = f"none of the {found.compared} known mistakes and pairs of them that were compared gives these numbers"
    return [said + (" (the time was up)" if found.out_of_time else "")]


def _narrow_format(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """Return the narrower format whose numbers the wrong results are, if its rounding explains the errors."""
    u = ARITHMETICS[judged[0].recorded.dtype].u
    wrong = [j.recorded.results[name] for j in judged for name, m in j.margins.items() if np.any(m > 1)]
    for name in ("float32", "float16", "bfloat16"):
        exact = all(np.array_equal(a, as_dtype(a, name), equal_nan=True) for a in wrong)
        if exact and ARITHMETICS[name].u > u and _right_in(name, judged):
            words = f"the documented equations with results in {name}: give dtype {name} if it is meant"
            return [{"fault": f"results-in-{name}", "explanation": words}]
    return []


def _right_in(name: str, judged: Sequence[Judged]) -> bool:
    return all(judge(j.recorded, ARITHMETICS[name]).numbers_right for j in judged)


def _coarser(judged: Sequence[Judged]) -> list[str]:
    """Return a remark on the coarser arithmetic that explains the errors, if one does."""
    for name in COARSER.get(judged[0].recorded.dtype, ()):
        if _right_in(name, judged):
            declare = f"arithmetic {name}" if name in FLOAT32_ARITHMETICS[1:] else f"dtype {name}"
            return [
                f"rounding as in {COARSE_WORDS[name]} would explain the errors, up to "
                f"{max(j.off for j in judged):.0e}: give {declare} if it is meant"
            ]
    return []
