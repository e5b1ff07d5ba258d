"""Find the known mistakes, or pairs of them, that give the recorded numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from conformance.claims import BOOLEAN_FEATURES
from conformance.diagnosis.candidates import Candidate, Explained, alone, best, together, with_another
from conformance.diagnosis.probe import Match, Probe
from conformance.diagnosis.transcript import Entry, alike, differ, plain
from conformance.dumps.judging import Judged, specification_of, trial_of_recorded
from conformance.dumps.mistakes import MISTAKES
from conformance.dumps.recorded import Recorded
from conformance.engine.noise import Noise
from conformance.engine.subject import copied
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.calls import CellCall
from conformance.specifications.torch_nn.faults.bank import COMPOSABLE
from conformance.specifications.torch_nn.faults.changed import Changed
from reference.parameters import GATES

SECONDS = 10.0
MIN_WRONG_FOR_PAIRS = 6  # wrong numbers: fewer are given by chance by a pair, or roughly by a single mistake
MIN_WRONG_FOR_COARSE_PAIRS = 30  # if a pair leaves more than rounding
MIN_AGREEING, PARTIAL_SHARE = 4, 0.05  # of the wrong numbers, which one of two mistakes gives by itself
AGREEING = 1e-3  # of the difference to the documented number
EQUAL = 1e-12  # the rounding of two ways to compute a number in float64
MAX_PARTIAL = 8  # mistakes that give some of the numbers, each tried with all others
MORE_SECONDS, MORE_SHARE = 1.0, 0.3  # for other pairs after the first that gives the numbers
MAX_CANDIDATES = 12
LARGE = 1 << 28  # multiplications of a call; larger ones are compared in two samples
LATE = ("narrow", "extents", "values", "precision")  # families of faults that are rare in dumps


def combined(a: Any, b: Any) -> Any:
    """Build a backend with two mistakes, both of which may change what a direction computes.

    Raises ValueError if they cannot be combined.
    """
    try:
        return TORCH_NN.compose(a, b)
    except ValueError:
        outer, inner = a.build(), b.build()
        equations = set(outer.change.equation) & set(inner.change.equation)
        kinds = outer.features.kinds & inner.features.kinds
        both = outer.change.direction and inner.change.direction
        if not both or equations or not kinds or not (outer.change.parts | inner.change.parts <= COMPOSABLE):
            raise
        claims = {name: outer.features.claims(name) and inner.features.claims(name) for name in BOOLEAN_FEATURES}
        return Changed(f"{a.id}+{b.id}", outer.change, kinds=kinds, inner=inner, **claims)


COMBINING = replace(TORCH_NN, compose=combined)
"""torch.nn, under which diagnosis makes pairs of mistakes."""


class RecordedProbe(Probe):
    """A recorded call, whose backend is not there."""

    def __init__(
        self,
        recorded: Recorded,
        shaped: dict[str, np.ndarray] | None = None,
        printing: Mapping[str, np.ndarray] = MappingProxyType({}),
        limits: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.recorded, self.printing, self.limits = recorded, printing, limits
        heard: list[Entry] = list((shaped or recorded.results).items())
        trial = trial_of_recorded(recorded)
        super().__init__(trial.subject, plain, trial, heard)

    def numbers(self, backend: Any, replica: int | None = None) -> list[Entry]:
        """Return the results that were recorded, of another backend; with the number of a replica, disturbed."""
        noise = None if replica is None else Noise(self.arithmetic.u, replica)
        results = results_of(backend, self.call, noise)
        if isinstance(results, str):
            return [("raised", results)]
        return [(name, self._printed(name, came, results.get(name))) for name, came in self.heard]

    def _printed(self, name: str, came: Any, its: np.ndarray | None) -> np.ndarray | None:
        """Return a candidate's numbers, moved towards the recorded ones as far as printing may have moved these."""
        room = self.printing.get(name)
        if room is None or its is None or not its.shape == came.shape == room.shape or not np.any(room):
            return its
        return np.where(np.isfinite(came), np.clip(came, its - room, its + room), its)

    def agreeing(self, fault: Any) -> int:
        """Return how many of the wrong numbers a mistake gives; all numbers of a result whose shape it alone gives."""
        count = 0
        numbers = dict(self.numbers(fault.build()))
        for (name, came), (_, right) in zip(self.heard, self.documented, strict=True):
            its = numbers.get(name)
            if not isinstance(its, np.ndarray) or its.shape != came.shape:
                continue
            if right.shape != came.shape:
                count += came.size
                continue
            with np.errstate(invalid="ignore"):
                taken = np.abs(came - right)
                telling = taken > AGREEING * np.max(np.abs(right), initial=0.0)
                count += int(np.sum(telling & (np.abs(came - its) <= AGREEING * taken)))
        return count

    def match(self, build: Callable[[], Any]) -> Match | None:
        """Compare the numbers of a candidate with the recorded ones; None if it does not give them."""
        backend = build()
        if self.call.config.kind not in backend.features.kinds:
            return super().match(specification_of(self.call).oracle)
        found = super().match(build)
        return None if found is not None and self.is_documented(build) else found

    def is_documented(self, build: Callable[[], Any]) -> bool:
        """Return whether a candidate gives right numbers for a wrong call, so that it cannot be the cause."""
        numbers = self.numbers(build())
        if self.limits is None or not alike(numbers, self.documented):
            return False
        for (name, mine), (_, its) in zip(numbers, self.documented, strict=True):
            if isinstance(mine, np.ndarray):
                limit = self.limits.get(name, EQUAL)
                limit = limit if np.shape(limit) == mine.shape else EQUAL
                if not np.all((mine == its) | (np.abs(mine - its) <= limit) | (np.isnan(mine) & np.isnan(its))):
                    return False
        return True


def results_of(backend: Any, call: Any, noise: Noise | None = None) -> dict[str, np.ndarray] | str:
    """Return what a backend gives for a call, by name in float64; the name of the exception if it raises one."""
    form = specification_of(call).form_of(call)
    if call.config.dtype not in backend.features.dtypes:  # a fault of one dtype
        one = backend
        while one is not None and hasattr(one, "refuse"):
            one.refuse, one = False, one.inner

    def spread(value: Any) -> Any:
        return value if noise is None else noise.spread(value)

    try:
        with np.errstate(all="ignore"):
            built = getattr(backend, form.build)(call.config, spread(call.parameters))
            returned = getattr(built, form.ask)(*(spread(a) for a in copied(call.arguments).values()))
    except Exception as error:  # faults refuse what they do not touch, and some fail on what they misread
        return type(error).__name__
    if isinstance(call, NodeCall):
        outputs = zip(call.config.output_names, form.parts(returned), strict=False)
        return {name: np.asarray(a, np.float64) for name, a in outputs if a is not None}
    names = ("h", "c") if isinstance(call, CellCall) else form.results
    parts = zip(names, form.parts(returned), strict=True)
    return {name: np.asarray(a, np.float64) for name, a in parts if a is not None}


@dataclass
class Found:
    """The candidates that give the numbers of all calls, best first, and how the search ended."""

    candidates: list[Explained] = field(default_factory=list)
    compared: int = 0
    """The number of candidates compared, pairs too."""
    out_of_time: bool = False


def cost(call: Any) -> int:
    """Return the number of multiplications in a call's recurrent products."""
    if isinstance(call, NodeCall):
        return call.parameters["R"].size * call.T * call.N
    H, G = call.config.hidden_size, len(GATES[call.config.kind])
    return int(G * H * H) * (1 if isinstance(call, CellCall) else call.T * call.N * len(call.parameters) // 2)


def _size(call: Any) -> int:
    x = call.X if isinstance(call, NodeCall) else call.x
    return int(x.size * call.config.hidden_size)


def fewer_samples(judged: Judged) -> Judged:
    """Return a large call cut to two of its samples, the first and a wrong one, where all shapes are documented."""
    recorded = judged.recorded
    call = recorded.call
    if isinstance(call, (CellCall, NodeCall)) or call.unbatched or call.N <= 2 or judged.misshapen:
        return judged
    axes = {"x": 0 if call.config.batch_first else 1, "output": 0 if call.config.batch_first else 1}
    wrong = np.zeros(call.N, bool)
    for name, margins in judged.margins.items():
        wrong |= np.moveaxis(margins > 1, axes.get(name, 1), 0).reshape(call.N, -1).any(1)
    kept = [0, max(1, int(np.argmax(wrong)))]

    def cut(name: str, a: np.ndarray) -> np.ndarray:
        return np.take(a, kept, axis=axes.get(name, 1))

    states = {name: None if (s := getattr(call, name)) is None else cut(name, s) for name in ("h_0", "c_0")}
    ends = None if call.lengths is None else tuple(call.lengths[k] for k in kept)
    smaller = call.replace(x=cut("x", call.x), lengths=ends, **states)
    cut_results = {name: cut(name, a) for name, a in recorded.results.items()}
    printing = {name: cut(name, a) for name, a in judged.printing.items()}
    limits = {name: cut(name, a) for name, a in judged.limits.items()}
    smaller_recorded = replace(recorded, call=smaller, results=cut_results)
    return replace(judged, recorded=smaller_recorded, printing=printing, limits=limits)


class Search:
    """The search for one or two mistakes that give the numbers of all recorded calls."""

    def __init__(self, judged: Sequence[Judged], seconds: float = SECONDS) -> None:
        self.judged = judged
        self.until = time.monotonic() + seconds
        ordered = sorted(judged, key=lambda j: (j.right, _size(j.recorded.call)))
        compared = [fewer_samples(j) if cost(j.recorded.call) > LARGE else j for j in ordered]
        self.probes = [
            RecordedProbe(j.recorded, printing=j.printing, limits=None if j.right else j.limits) for j in compared
        ]
        self.kind = ordered[0].recorded.call.config.kind
        own = specification_of(ordered[0].recorded.call)
        self.combining = COMBINING if own is TORCH_NN else own
        self.wrong = sum(j.wrong for j in judged)
        self.found = Found()

    def over(self) -> bool:
        """Return whether the time is up."""
        self.found.out_of_time = self.found.out_of_time or time.monotonic() > self.until
        return self.found.out_of_time

    def run(self, pairs: bool = True) -> Found:
        """Return the single mistakes that give the numbers, or else, with ``pairs``, the pairs."""
        known = known_mistakes(self.kind, [probe.call for probe in self.probes])
        found = [e for e in self._giving(alone(f) for f in known) if e.within or self.wrong >= MIN_WRONG_FOR_PAIRS]
        misshapen = any(j.misshapen for j in self.judged)
        if not found and pairs and (misshapen or self.wrong >= MIN_WRONG_FOR_PAIRS):
            found = self._giving_in_pairs(known)
        self.found.candidates = sorted(best(found), key=_rank)[:MAX_CANDIDATES]
        return self.found

    def _giving_in_pairs(self, known: Sequence[Any]) -> list[Explained]:
        """Return pairs that give the numbers of every call; the search ends soon after the first."""
        found: list[Explained] = []
        started, most = time.monotonic(), MIN_WRONG_FOR_COARSE_PAIRS
        for each in self._giving(self._pairs(known)):
            known_already = any(_ids(each) == _ids(other) for other in found)
            if (each.within or self.wrong >= most) and not known_already:
                if not found:
                    spent = time.monotonic() - started
                    self.until = min(self.until, time.monotonic() + max(MORE_SECONDS, MORE_SHARE * spent))
                found.append(each)
                if len(found) >= MAX_CANDIDATES:
                    break
        if found:
            self.found.out_of_time = False
        return found

    def _giving(self, candidates: Iterator[Candidate]) -> Iterator[Explained]:
        """Yield the candidates that give the numbers of every call."""
        for candidate in candidates:
            if self.over():
                return
            self.found.compared += 1
            matches = []
            for probe in self.probes:
                match = probe.match(candidate.build)
                if match is None:
                    break
                matches.append(match)
            else:
                yield Explained(candidate, [*matches])

    def _pairs(self, known: Sequence[Any]) -> Iterator[Candidate]:
        """Yield pairs of mistakes: a mistake that gives some wrong numbers with any other, then common ones."""
        active, partial = [], list[tuple[int, Any]]()
        for fault in known:
            if self.over():
                return
            if any(_changes(probe, fault) for probe in self.probes):
                active.append(fault)
                if (count := self.probes[0].agreeing(fault)) >= max(MIN_AGREEING, PARTIAL_SHARE * self.wrong):
                    partial.append((count, fault))
        for _, fault in sorted(partial, key=lambda item: -item[0])[:MAX_PARTIAL]:
            yield from with_another(self.combining, fault, active)

        def rank(pair: tuple[int, int]) -> int:
            return sum(not active[k].common for k in pair)

        for a, b in sorted(combinations(range(len(active)), 2), key=rank):
            if self.over():
                return
            if (pair := together(self.combining, active[a], active[b])) is not None:
                yield pair


def _ids(each: Explained) -> set[str]:
    return {fault.id for fault in each.candidate.faults}


def _changes(probe: RecordedProbe, fault: Any) -> bool:
    numbers = probe.numbers(fault.build())
    if not alike(numbers, probe.documented):
        return numbers[0][0] != "raised"
    return any(differ(mine, its) for (_, mine), (_, its) in zip(numbers, probe.documented, strict=True))


def _rank(each: Explained) -> tuple[Any, ...]:
    faults = each.candidate.faults
    late = sum(fault.family in LATE for fault in faults)
    return (not each.within, late, sum(not fault.common for fault in faults), len(each.candidate.kinds))


def known_mistakes(kind: str, calls: Sequence[Any]) -> list[Any]:
    """Return the mistakes that touch a kind and can show in one of the calls, common ones first."""
    if any(isinstance(call, NodeCall) for call in calls):
        return sorted(specification_of(calls[0]).faults(kind), key=lambda fault: not fault.common)
    used = frozenset().union(*(call.uses | ({"cells"} if isinstance(call, CellCall) else set()) for call in calls))
    every: list[Any] = [*TORCH_NN.faults(kind), *(fault for fault in MISTAKES if kind in fault.kinds)]
    found = [fault for fault in every if fault.numeric and fault.features <= used]
    return sorted(found, key=lambda fault: (not fault.common, fault.family in LATE))
