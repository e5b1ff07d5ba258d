"""Which known departure from the documentation gives a backend's own numbers, and what to say where none does.

A law is run once more for the calls that it makes, not for what it finds: everything that it asks of the
backend, and what came of it, is written down. The same law is then run with every known fault in the
backend's place. A fault explains a failure if all of its transcripts are the backend's, those of the failing
call and those of further drawn calls on which the backend is wrong, each number within rounding.

How far rounding carries a fault's numbers is computed as the oracle's tolerance is, but from outside, since a
fault need not evaluate on disturbed arrays: arguments, parameters and results err at random by the unit
roundoff, and the spread of such replicas is scaled by how much wider the oracle's own spread is than one
measured from outside, on the same call. ``SPREADS`` of them are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from conformance.backend import Backend, Cell, Layer, Result, Unsupported
from conformance.backends.oracle import OracleBackend
from conformance.diagnosis.conditions import necessary, of_call, of_elements, separating
from conformance.engine.compare import NEAR, Failed, margin
from conformance.engine.subject import Subject, Trial, trial_of
from conformance.specifications.torch_nn.strategies import (
    CellCall,
    GradientCall,
    LayerCall,
    cells,
    gradient_calls,
    layers,
)
from reference.precision import REPLICAS, REPLICAS_ON_FAILURE, allowed

LONG = 12  # of those drawn that take more than MOST_STEPS, the number that is sorted
EVIDENCE, CONTROLS = 8, 16  # calls on which the backend is wrong, and right, that are put to the faults
MOST_STEPS = 150  # steps, times layers, times directions, of further calls that are put to the faults
LARGEST = 600  # the same of the failing call
CERTAIN = 30.0  # times what 8 replicas allow: from there on more of them change nothing
HOPELESS = 1000.0  # deviations of one replica from which on the others are not worth their time
DRAWN = {LayerCall: layers, GradientCall: gradient_calls, CellCall: cells}

Entry = tuple[str, np.ndarray | str | None]  # what it is; the numbers, or a word for what came instead


# --- transcripts --------------------------------------------------------------------------------------


class Listener(Backend):
    """A backend behind one that writes down what is asked of it and what comes; ``noise`` disturbs both."""

    def __init__(self, inner: Backend, claimed: Backend, noise: Noise | None = None) -> None:
        self.inner, self.noise = inner, noise
        self.name, self.version, self.features = claimed.name, claimed.version, claimed.features
        self.heard: list[Entry] = []

    def layer(self, config, parameters):
        return ListeningLayer(self, self.listen("building", self.inner.layer, config, parameters))

    def cell(self, config, parameters):
        return ListeningCell(self, self.listen("building", self.inner.cell, config, parameters))

    def initial_parameters(self, config, *, seed):
        return self.listen("initial_parameters", lambda: self.inner.initial_parameters(config, seed=seed))

    def listen(self, what: str, function: Callable, *arguments):
        """The function's value; it, or a word for what was raised, is written down, and arguments that changed."""
        if self.noise:
            arguments = [self.noise.spread(a) for a in arguments]
        before = [_bits(a) for a in arguments]
        try:
            returned = function(*arguments)
        except Unsupported:
            self.heard.append((what, "Unsupported"))
            raise
        except (Exception, SystemExit) as error:
            self.heard.append((what, "SystemExit" if isinstance(error, SystemExit) else "an error"))
            raise
        if what != "building":
            self.heard += [(f"{what}: {name}", _number(value)) for name, value in _named(returned)]
        if not self.noise and [_bits(a) for a in arguments] != before:
            self.heard.append((what, "arguments written"))
        return returned


class ListeningLayer(Layer):
    """A layer of a Listener."""

    def __init__(self, listener: Listener, layer: Layer) -> None:
        self.listener, self.layer = listener, layer

    def forward(self, *arguments):
        return self.listener.listen("forward", self.layer.forward, *arguments)

    def gradients(self, *arguments):
        return self.listener.listen("gradients", self.layer.gradients, *arguments)

    def forward_training(self, *arguments, seed):
        return self.listener.listen("training", lambda *a: self.layer.forward_training(*a, seed=seed), *arguments)

    def parameters(self):
        return self.listener.listen("parameters", self.layer.parameters)


class ListeningCell(Cell):
    """A cell of a Listener."""

    def __init__(self, listener: Listener, cell: Cell) -> None:
        self.listener, self.cell = listener, cell

    def step(self, *arguments):
        return self.listener.listen("step", self.cell.step, *arguments)


class Noise:
    """Arrays disturbed at the unit roundoff; the same array by the same errors, so that laws of repetition hold."""

    def __init__(self, u: float, seed: int) -> None:
        self.u, self.seed = u, seed

    def spread(self, value):
        if isinstance(value, Mapping):
            return {name: self.spread(v) for name, v in value.items()}
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fV":
            return value
        rng = np.random.Generator(np.random.SFC64([self.seed, value.size]))
        exact = value.astype(np.float64)
        return (exact * (1 + self.u * rng.standard_normal(value.shape))).astype(value.dtype)


def _bits(value):
    if isinstance(value, Mapping):
        return [_bits(v) for v in value.values()]
    return value.tobytes() if isinstance(value, np.ndarray) else None


def _named(returned) -> Iterator[tuple[str, object]]:
    if isinstance(returned, Mapping):
        return iter(returned.items())
    if hasattr(returned, "output"):
        return iter(zip(Result._fields, (returned.output, returned.h_n, getattr(returned, "c_n", None)), strict=True))
    if isinstance(returned, tuple):
        return iter((str(k), value) for k, value in enumerate(returned))
    return iter([("result", returned)])


def _number(value):
    if value is None or isinstance(value, np.ndarray):
        return None if value is None else np.array(value, np.float64 if value.dtype.kind in "fViu" else object)
    return type(value).__name__


def plain(trial: Trial) -> None:
    """The law of one call of the backend."""
    trial.got  # noqa: B018


Law = Callable[[Trial], None]


def transcript(backend: Backend, subject: Subject, law: Law, call, noise: Noise | None = None) -> list[Entry]:
    """What the law asks of the backend, standing in for the subject's own, and what comes."""
    listener = Listener(backend, subject.backend, noise)
    rehearsal = Subject(listener, subject.kind, subject.dtype, watch=subject.watch)
    rehearsal.compares = False
    ended = "as it should"
    try:
        with np.errstate(all="ignore"):
            law(trial_of(rehearsal, call))
    except Failed:
        ended = "by what came"
    except Exception:  # a law goes on with what came, whatever it is
        ended = "by an error"
    return [*listener.heard, ("the law ended", ended)]


# --- calls as evidence --------------------------------------------------------------------------------


class Probe:
    """A law and a call, with the backend's own transcript."""

    def __init__(self, subject: Subject, law: Law, trial: Trial) -> None:
        self.subject, self.law, self.trial, self.call = subject, law, trial, trial.call
        self.heard = transcript(subject.backend, subject, law, trial.call)
        self.arithmetic = subject.arithmetic

    def numbers(self, backend: Backend, replica: int | None = None) -> list[Entry]:
        """The transcript with another backend, a disturbed one if a replica is named."""
        noise = None if replica is None else Noise(self.arithmetic.u, replica)
        return transcript(backend, self.subject, self.law, self.call, noise)

    def explained(self, build: Callable[[], Backend], factor: float | None = None) -> bool:
        """Whether the backend that ``build`` makes has the same transcript but for rounding."""
        plain = self.numbers(build())
        if not _alike(self.heard, plain):
            return False
        off = [k for k, ((_, mine), (_, its)) in enumerate(zip(self.heard, plain, strict=True)) if _differ(mine, its)]
        if not off:
            return True
        factor = self.widening if factor is None else factor
        first = self.deviations(build, plain, 0)
        for k in off:
            largest = np.max(first[k], initial=0.0) * factor
            with np.errstate(invalid="ignore"):
                if np.nanmax(np.abs(self.heard[k][1] - plain[k][1]), initial=0.0) > HOPELESS * largest:
                    return False
        replicas = [first, *(self.deviations(build, plain, n) for n in range(1, REPLICAS))]
        for k in off:
            square = np.mean([deviation[k] ** 2 for deviation in replicas], axis=0)
            # Where a unit happens to be hardly moved from outside, rounding within still moves it as its neighbours.
            square = np.where(square > 0, square + np.mean(square, axis=-1, keepdims=True), 0.0)
            limit = allowed(factor * np.sqrt(square), self.arithmetic)
            if np.any(margin(self.heard[k][1], plain[k][1], limit, self.arithmetic.largest) > 1):
                return False
        return True

    def deviations(self, build, plain: list[Entry], replica: int) -> list[np.ndarray]:
        """How far each number of a disturbed transcript is off; zero where the law went another way."""
        disturbed = self.numbers(build(), replica)
        found = []
        for k, (what, value) in enumerate(plain):
            if not isinstance(value, np.ndarray):
                found.append(np.zeros(0))
                continue
            other = disturbed[k] if k < len(disturbed) else ("", None)
            same = other[0] == what and isinstance(other[1], np.ndarray) and other[1].shape == value.shape
            with np.errstate(invalid="ignore"):
                deviation = np.abs(other[1] - value) if same else np.zeros(value.shape)
            found.append(deviation + self.arithmetic.u * np.abs(np.nan_to_num(value)))  # the result is rounded as well
        return found

    @cached_property
    def widening(self) -> float:
        """How much wider the oracle's spread is than one measured from outside, at least 1."""
        oracle, trial = OracleBackend(), self.trial
        probe = Probe.__new__(Probe)
        probe.subject, probe.law, probe.call, probe.arithmetic = self.subject, plain, self.call, self.arithmetic
        numbers = probe.numbers(oracle)
        outside = [probe.deviations(OracleBackend, numbers, n) for n in range(REPLICAS)]
        inside = [a for a in trial.named(trial.allowed()).values() if a is not None]
        ratios = [1.0]
        arrays = [k for k, (_, value) in enumerate(numbers) if isinstance(value, np.ndarray)]
        for k, limit in zip(arrays, inside, strict=False):
            spread = np.sqrt(np.mean([deviation[k] ** 2 for deviation in outside], axis=0))
            told = np.isfinite(limit) & np.isfinite(spread)
            whole = np.sqrt(np.sum(spread[told] ** 2))
            if whole > 0:
                ratios.append(float(np.sqrt(np.sum((limit[told] / allowed(1.0, self.arithmetic)) ** 2)) / whole))
        return max(ratios)


def _alike(a: list[Entry], b: list[Entry]) -> bool:
    """Whether two transcripts are the same but for their numbers."""
    return len(a) == len(b) and all(
        x == y and _form(mine) == _form(its) for (x, mine), (y, its) in zip(a, b, strict=True)
    )


def _form(value):
    return value.shape if isinstance(value, np.ndarray) else value


def _differ(a, b) -> bool:
    return isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def judged(trial: Trial) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
    """By result what came of the plain call and which elements are wrong; None if not even arrays came."""
    try:
        got, want = trial.named(trial.got), trial.named(trial.want)
    except Failed:
        return None
    if any((want[name] is None) != (got[name] is None) for name in want):
        return None
    factor = trial.subject.arithmetic.largest
    for replicas in (REPLICAS, *REPLICAS_ON_FAILURE[:1]):
        limits = trial.named(trial.allowed(replicas))
        margins = {
            name: margin(got[name].astype(np.float64), want[name], limits[name], factor)
            for name in want
            if want[name] is not None
        }
        worst = max(float(np.max(m, initial=0.0)) for m in margins.values())
        if worst <= NEAR or worst > CERTAIN:
            break
    return {name: (got[name].astype(np.float64), m > 1) for name, m in margins.items()}


def is_right(trial: Trial) -> bool:
    """Whether the plain call's numbers are the oracle's."""
    found = judged(trial)
    return found is not None and not any(wrong.any() for _, wrong in found.values())


def steps(call) -> int:
    """What a call costs: steps, times layers, times directions; 1 for a cell's."""
    return 1 if isinstance(call, CellCall) else call.T * call.config.num_layers * call.config.directions


def chosen(trials: Iterable[Trial], count: int) -> list[Trial]:
    """That many of the trials, small ones, one of every combination of features first."""
    by_size = sorted((t for t in trials if steps(t.call) <= MOST_STEPS), key=lambda t: (steps(t.call), t.call.x.size))
    by_features: dict[frozenset[str], Trial] = {}
    for trial in by_size:
        by_features.setdefault(trial.call.uses, trial)
    return list(dict.fromkeys([*list(by_features.values())[:count], *by_size]))[:count]


# --- faults -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """One fault, or a pair of common ones."""

    fault: str
    explanation: str
    build: Callable[[], Backend]


def known_faults(kind: str, exclude: frozenset[str]) -> list[Any]:
    """The faults of the bank that touch a kind, common ones first."""
    from conformance.specifications.torch_nn.faults import faults  # many modules, wanted only where something failed

    return sorted((fault for fault in faults(kind) if fault.id not in exclude), key=lambda fault: not fault.common)


def explaining_pairs(known: Sequence[Any], probes: Sequence[Probe]) -> list[Candidate]:
    """The pairs of common faults, of different families, that explain all of the probes.

    Where one of the two alone changes nothing, the pair is the other: only where both do they are evaluated.
    """
    from conformance.specifications.torch_nn.faults import compose

    alone = [(fault, Candidate(fault.id, fault.explanation, fault.build)) for fault in known if fault.common]
    left = [(a, b) for a, b in combinations(range(len(alone)), 2) if alone[a][0].family != alone[b][0].family]
    together: dict[tuple[int, int], Candidate | None] = {}
    for probe in probes:
        documented = probe.numbers(OracleBackend())
        active = [not _same(documented, probe.numbers(candidate.build())) for _, candidate in alone]
        explains = [is_active and probe.explained(c.build) for is_active, (_, c) in zip(active, alone, strict=True)]
        still = []
        for pair in left:
            if all(active[k] for k in pair):
                if pair not in together:
                    together[pair] = _together(compose, *(alone[k][0] for k in pair))
                if together[pair] is not None and probe.explained(together[pair].build):
                    still.append(pair)
            elif any(explains[k] for k in pair):
                still.append(pair)
        left = still
    pairs = [together.get(pair) or _together(compose, *(alone[k][0] for k in pair)) for pair in left]
    return explaining([pair for pair in pairs if pair is not None], probes)


def _together(compose, a, b) -> Candidate | None:
    """Two faults at once; None where they do not go together."""
    try:
        compose(a, b)
    except ValueError:
        return None
    explanation = f"{a.explanation}, and at the same time of {b.explanation}"
    return Candidate(f"{a.id}+{b.id}", explanation, lambda: compose(a, b))


def _same(a: list[Entry], b: list[Entry]) -> bool:
    return _alike(a, b) and not any(_differ(mine, its) for (_, mine), (_, its) in zip(a, b, strict=True))


@dataclass
class Diagnosis:
    """What explains a failure: faults, best first, as the report has them; and a sentence on what is wrong where."""

    faults: list[dict[str, str]] = field(default_factory=list)
    common: str = ""


@dataclass
class Survey:
    """Drawn calls on which the backend's plain numbers are wrong, and right."""

    wrong: list[Trial] = field(default_factory=list)
    right: list[Trial] = field(default_factory=list)

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> Survey:
        """The trials sorted."""
        found = cls()
        for trial in trials:
            (found.right if is_right(trial) else found.wrong).append(trial)
        return found

    def __add__(self, other: Survey) -> Survey:
        return Survey([*self.wrong, *other.wrong], [*self.right, *other.right])


class Known:
    """What is known of a subject's calls of one form; every failing requirement that needs it shares it."""

    def __init__(self, subject: Subject, trials: Sequence[Trial]) -> None:
        long = [trial for trial in trials if steps(trial.call) > MOST_STEPS][:LONG]
        self.survey = Survey.of(trial for trial in trials if steps(trial.call) <= MOST_STEPS or trial in long)
        self.evidence = [Probe(subject, plain, trial) for trial in chosen(self.survey.wrong, EVIDENCE)]
        self.controls = [Probe(subject, plain, trial) for trial in chosen(self.survey.right, CONTROLS)]
        self.everything = [*self.evidence, *self.controls]  # for failures of calls of other forms
        self.suspects: list[Candidate] | None = None  # those that explain all the evidence, once they were looked for


def diagnose(
    subject: Subject,
    law: Law,
    call: Any,
    drawn: Callable[[type], Sequence[Trial]],
    own: Sequence[Trial] = (),
    exclude: Iterable[str] = (),
) -> Diagnosis:
    """What explains that the law fails on the call.

    ``drawn(form)`` are trials of calls of a form, of layers, gradients or cells, ``own`` some that were drawn for the
    law; ``exclude`` names faults that are not to be known.
    """
    form, failing = type(call), trial_of(subject, call)
    forms = subject.known
    others = [f for f in (LayerCall, CellCall) if f is not form and (f is LayerCall or subject.backend.features.cells)]
    for needed in (form, *others):
        if needed not in forms:
            forms[needed] = Known(subject, drawn(needed))
    known = forms[form]
    numeric = not is_right(failing)
    here = Survey.of(trial for trial in own if type(trial.call) is type(call)) if numeric else Survey()
    faults = known_faults(subject.kind, frozenset(exclude))
    suspects = None
    if steps(call) <= LARGEST:
        probe = Probe(subject, plain if numeric else law, failing)
        if numeric and known.evidence and known.suspects is not None:
            suspects = explaining(known.suspects, [probe])
        else:
            own_evidence = [Probe(subject, plain, trial) for trial in chosen(here.wrong, EVIDENCE)]
            evidence = [probe, *(known.evidence or own_evidence)] if numeric else [probe]
            suspects = explaining([Candidate(f.id, f.explanation, f.build) for f in faults], evidence)
            if numeric and not suspects:
                suspects = explaining_pairs(faults, evidence)
            if numeric and known.evidence:
                known.suspects = suspects
    sure = explaining(suspects or [], known.controls)
    if not sure and suspects and not any(isinstance(value, np.ndarray) for _, value in probe.heard):
        suspects = []  # it raises, as they do, but they do always
    surer = explaining(sure, [probe for other in others for probe in forms[other].everything])
    told = Diagnosis([{"fault": c.fault, "explanation": c.explanation} for c in surer or sure or suspects or []])
    if numeric:
        parts = (
            [] if suspects or suspects is None else [f"none of the {len(faults)} known departures gives these numbers"]
        )
        told.common = "; ".join([*parts, *common(known.survey + here, failing, bool(sure))])
    return told


def explaining(suspects: list[Candidate], probes: Sequence[Probe]) -> list[Candidate]:
    """Those that explain all of the probes."""
    for probe in probes:
        suspects = [candidate for candidate in suspects if probe.explained(candidate.build)]
    return suspects


# --- what else there is to say ------------------------------------------------------------------------


def common(seen: Survey, failing: Trial, explained: bool) -> Iterator[str]:
    """What wrong calls have in common, unless a fault explains them, and where the first wrong element is."""
    wrong, count = [*seen.wrong, failing], len(seen.wrong)
    if not explained:
        of_all = f"{count} of {count + len(seen.right)} drawn calls are wrong"
        attributes = [of_call(t.call) for t in wrong], [of_call(t.call) for t in seen.right]
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
        if not isinstance(failing.call, GradientCall):
            yield from of_elements([(t.call, results) for t in wrong if (results := judged(t)) is not None])
    place = first_wrong(failing)
    if place:
        yield f"the first wrong element of the smallest failing call: {place}"


def first_wrong(trial: Trial) -> str:
    """Where the smallest failing call goes wrong first, in the order in which a layer is computed."""
    found = judged(trial)
    if found is None:
        return ""
    call = trial.call
    if type(call) is LayerCall and call.config.num_layers > 1:
        for count in range(1, call.config.num_layers):
            below = trial.other(lowest_layers(call, count))
            results = judged(below)
            if results is None:
                return f"a stack of {count} of the layers fails"
            if any(wrong.any() for _, wrong in results.values()):
                trial, found, call = below, results, below.call
                break
    if type(call) is LayerCall and found["output"][1].any():
        return _first_of_output(trial, found["output"][1])
    for name, (_, wrong) in found.items():
        if wrong.any():
            index = tuple(int(i) for i in np.argwhere(wrong)[0])
            return f"{name}[{', '.join(map(str, index))}], {trial.where(name, index)}"
    return ""


def _first_of_output(trial: Trial, wrong: np.ndarray) -> str:
    """The first wrong element of an output; that of the reverse direction is computed from the last step on."""
    call, O = trial.call, trial.call.config.output_size
    axis = 1 if call.config.batch_first and not call.unbatched else 0

    def order(index):
        t = index[axis]
        reverse = index[-1] >= O
        return (call.T - 1 - t if reverse else t, reverse, index)

    first = min((tuple(int(i) for i in index) for index in np.argwhere(wrong)), key=order)
    return trial.where("output", first)


def lowest_layers(call: LayerCall, count: int) -> LayerCall:
    """The call of the stack cut to its first layers."""
    rows = slice(count * call.config.directions)
    gone = tuple(f"_l{k}" for k in range(count, call.config.num_layers))
    parameters = {n: v for n, v in call.parameters.items() if not n.removesuffix("_reverse").endswith(gone)}
    states = {name: None if (s := getattr(call, name)) is None else s[rows] for name in ("h_0", "c_0")}
    return call.replace(config=replace(call.config, num_layers=count), parameters=parameters, **states)


def sentences(diagnosis: Sequence[Mapping[str, str]], common: str) -> list[str]:
    """A diagnosis as one reads it."""
    explained = " or of ".join(fault["explanation"] for fault in diagnosis)
    return [f"these are the numbers of {explained}"] * bool(explained) + [common] * bool(common)
