"""Run the suite in this process, without pytest, to see which requirements a backend fails."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from unittest import mock

import numpy as np

import reference
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import examined
from conformance.engine.check import Check
from conformance.engine.drawing import Plans, Stream, Streams
from conformance.engine.profiles import PROFILES, Profile
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from conformance.engine.verdict import Verdict
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import Fault
from reference import cells, layers
from reference.config import KINDS
from reference.dialects import speaking, spoken

QUICK, STANDARD = (Profile(f"{n} without shrinking", PROFILES[n].examples, 0) for n in ("quick", "standard"))
PLANS = Plans(0)


def all_checks(specification=TORCH_NN) -> list[Check]:
    """Return every check in a specification's modules, without the cases."""
    return [check for check in specification.checks if isinstance(check, Check)]


def subject_of(backend, kind, dtype="float32", specification=TORCH_NN) -> Subject:
    """Return a backend as a subject of a specification."""
    return Subject(specification, backend, kind, dtype)


def verdict_of(check, backend, kind, dtype="float32", profile=PROFILES["quick"]) -> Verdict:
    """Run a check on a backend and explain its failure."""
    return examined(check, Diagnostician(Streams(subject_of(backend, kind, dtype), PLANS)), profile)


KNOWN: dict[tuple, tuple[object, dict, dict]] = {}  # the call, the tolerance by replicas, the right result


LARGEST_KEPT = 2**14  # numbers in a result of the plain oracle
PLAIN = dict(cells.EQUATIONS), layers._direction, layers.evaluate, layers.evaluate_cell
ANSWERS: dict[bytes, object] = {}  # answers of the plain oracle by a digest of the question


def remembering(function):
    """Cache an oracle's function while no part of the oracle is exchanged.

    Most faults are the plain oracle in most calls, so that another fault has asked the same question before.
    """

    def answer(config, parameters, *arguments):
        used = cells.EQUATIONS, layers._direction, layers.evaluate, layers.evaluate_cell
        if used != PLAIN or layers._dropped is not DROPPED or any(map(spoken, KINDS)):
            return function(config, parameters, *arguments)
        asked = blake2b(repr((function.__name__, config)).encode(), digest_size=16)
        for a in (*parameters.values(), *arguments):
            array = isinstance(a, np.ndarray)
            asked.update(repr((a.dtype.num, a.shape) if array else a).encode())
            if array:
                asked.update(np.ascontiguousarray(a).view(np.uint8) if a.ndim else a.tobytes())
        key = asked.digest()
        if key in ANSWERS:
            return ANSWERS[key]
        answered = function(config, parameters, *arguments)
        if sum(a.size for a in answered if isinstance(a, np.ndarray)) < LARGEST_KEPT:
            ANSWERS[key] = answered
        return answered

    return answer


DROPPED = layers._dropped


@contextmanager
def remembered() -> Iterator[None]:
    """Cache the oracle that the backends call, inside this context."""
    with (
        mock.patch.object(reference, "forward", remembering(reference.forward)),
        mock.patch.object(reference, "step", remembering(reference.step)),
    ):
        yield


class SharedStream(Stream):
    """A stream that keeps its calls, and the oracle's answers to them, for the next backend."""

    def trial(self, plan):
        subject = self.subject
        claimed = tuple(getattr(subject.features, name, None) for name in ("gradients", "cell_gradients", "output"))
        key = plan, subject.kind, subject.dtype, subject.arithmetic, claimed, subject.dialects.get(subject.kind)
        if key not in KNOWN:
            with speaking(subject.dialects):
                KNOWN[key] = plan.build(subject.kind, subject.dtype), {}, {}
        call, allowed, right = KNOWN[key]
        trial = trial_of(subject, call)
        trial._allowed = allowed
        vars(trial).update(right)
        vars(self).setdefault("made", []).append((trial, right))
        return trial

    def keep(self) -> None:
        """Keep the oracle's answers to the calls so far."""
        for trial, right in vars(self).pop("made", ()):
            if "want" in vars(trial):
                right["want"] = trial.want


class SharedStreams(Streams):
    """The streams of one subject by way of drawing."""

    def stream(self, draw):
        return SharedStream(self.subject, draw, self.plans)

    def keep(self) -> None:
        """Keep the oracle's answers to the calls so far."""
        for stream in self._by_draw.values():
            stream.keep()


def verdicts(
    backend, profile=QUICK, checks=None, specification=TORCH_NN
) -> Iterator[tuple[str, str, str, Verdict, float]]:
    """Yield (requirement, kind, dtype, verdict, processor seconds) for every check of a backend."""
    with warnings.catch_warnings(), remembered():
        warnings.simplefilter("ignore")
        for kind in specification.kinds:
            for dtype in specification.dtypes:
                streams = SharedStreams(subject_of(backend, kind, dtype, specification), PLANS)
                for check in all_checks(specification) if checks is None else checks:
                    if (kind, dtype) in specification.combinations(backend.features, check.entry):
                        started = time.process_time()
                        verdict, _ = check.run(streams, profile)
                        yield check.requirement, kind, dtype, verdict, time.process_time() - started
                streams.keep()


def failures(backend, profile=QUICK, checks=None) -> dict[str, str]:
    """Return the requirements that a backend fails, each with its first message."""
    found = {}
    for requirement, _, _, verdict, _ in verdicts(backend, profile, checks):
        if not verdict.passed:
            found.setdefault(requirement, verdict.failure)
    return found


def dtype_of(fault: Fault) -> str:
    """Return the dtype in which a fault is tried: float32, or the first that it claims."""
    return "float32" if "float32" in (claimed := fault.build().features.dtypes) else min(claimed)


def built(fault: Fault, kinds: Iterable[str] | None = None):
    """Build a fault in one dtype, for ``kinds`` or all its kinds.

    It has gradients, and last outputs alone, only if these decide it.
    """
    backend, deciding = fault.build(), CATALOGUE[fault.requirement]
    gradients = backend.features.gradients and "gradients" in deciding.needs
    output = backend.features.output if "output.last" in deciding.needs or "output" in deciding.unless else "all"
    backend.features = replace(
        backend.features, kinds=kinds or fault.kinds, dtypes={dtype_of(fault)}, gradients=gradients, output=output
    )
    return backend


def deciding(fault: Fault) -> list[Check]:
    """Return the checks in the area of the requirement that decides a fault."""
    area = CATALOGUE[fault.requirement].area
    return [check for check in all_checks() if check.entry.area == area]
