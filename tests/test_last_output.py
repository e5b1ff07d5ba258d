"""Backends that return the last output alone: a foreign implementation, wrong ones, and what is asked of them."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from conformance import Features, Result, run
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.backends.oracle import OracleBackend
from conformance.engine.profiles import PROFILES
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.partial import OF_STEPS
from conformance.start.attempts import attempts
from tests.harness import QUICK, all_checks, failures, verdict_of

SMOKE = replace(QUICK, examples=PROFILES["smoke"].examples)


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


class Embedded(CheckedLayer):
    """A stack of GRUs or LSTMs that keeps the states of each direction and forgets its outputs as soon as it can."""

    def build(self, weights):
        self.weights = [[None if a is None else np.array(a) for a in w] for w in weights]

    def compute_last(self, x, h_0, c_0, lengths):
        config, unbatched = self.config, x.ndim == 2
        x = x[:, None] if unbatched else x.swapaxes(0, 1) if config.batch_first else x
        h_0, c_0 = (s[:, None] if unbatched and s is not None else s for s in (h_0, c_0))
        lengths = np.full(x.shape[1], len(x)) if lengths is None else lengths
        ends = []
        for row, weights in enumerate(self.weights):
            if row % config.directions == 0:
                inputs, outputs = (x if row == 0 else np.concatenate(outputs, -1)), []  # noqa: F821  of the layer below
            zeros = np.zeros((x.shape[1], config.hidden_size), x.dtype)
            h, c = (zeros if s is None else s[row] for s in (h_0, c_0))
            order = range(len(x))[:: -1 if row % config.directions else 1]
            outputs.append(np.zeros((len(x), *h.shape), x.dtype))
            for t in order:
                h, c = (
                    np.where((t < lengths)[:, None], new, old)
                    for new, old in zip(self.step(weights, inputs[t], h, c), (h, c), strict=True)
                )
                outputs[-1][t] = h
            ends.append((h, c))
        h_n, c_n = (np.stack(states)[:, 0] if unbatched else np.stack(states) for states in zip(*ends, strict=True))
        return self.told(Result(self.last(h_n), h_n, c_n if config.kind == "lstm" else None), outputs, lengths)

    def step(self, weights, x, h, c):
        W, U, b, d, _ = weights
        b, d = (0 if a is None else a for a in (b, d))
        x, u = x @ W.T + b, h @ U.T + d
        if self.config.kind == "lstm":
            i, f, g, o = np.split(x + u, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        (x_r, x_z, x_n), (u_r, u_z, u_n) = np.split(x, 3, axis=-1), np.split(u, 3, axis=-1)
        z = sigmoid(x_z + u_z)
        return (1 - z) * np.tanh(x_n + sigmoid(x_r + u_r) * u_n) + z * h, c

    def last(self, h_n):
        return np.concatenate(list(h_n[-self.config.directions :]), axis=-1)

    def told(self, result, outputs, lengths):
        """Return the result; the hook of wrong implementations."""
        return result


class Runtime(CheckedBackend):
    name, version, layer_class = "runtime", "1", Embedded
    features = Features(kinds={"lstm", "gru"}, output="last", projection=False)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_foreign_implementation_conforms(kind):
    class OfOneKind(Runtime):
        features = replace(Runtime.features, kinds=kind)

    report = run(OfOneKind, profile="smoke", isolation="none", diagnosis="off")
    passed = {finding.requirement for finding in report.findings if finding.status.value == "passed"}
    assert report.conformant, report
    assert {"LAST-EQUATION", "LAST-LENGTHS", "FORWARD-EQUATION", "REFUSE-STATE-SIZE", "ROBUST-STRIDED"} <= passed
    assert {"UNCLAIMED-ALL-STEPS", "UNCLAIMED-MASKS"} <= passed
    assert ("UNCLAIMED-PROJECTION" in passed) == (kind == "lstm")
    assert len(passed) > 90
    assert "the last output alone is returned" in str(report)


class AtTheLastStep(Embedded):
    """output[-1] of a bidirectional layer."""

    def told(self, result, outputs, lengths):
        return result._replace(
            output=np.concatenate([output[-1] for output in outputs], -1).reshape(result.output.shape)
        )


class OfThePaddedBatch(Embedded):
    """output[-1] after padding."""

    def told(self, result, outputs, lengths):
        ended = (lengths < len(outputs[0]))[:, None]
        return result._replace(output=np.where(ended, 0, result.output).astype(result.output.dtype))


class OfTheFirstLayer(Embedded):
    def last(self, h_n):
        return np.concatenate(list(h_n[: self.config.directions]), axis=-1)


class Exchanged(Embedded):
    def last(self, h_n):
        return np.concatenate(list(h_n[-self.config.directions :][::-1]), axis=-1)


class WithAnAxisOfSteps(Embedded):
    def last(self, h_n):
        return super().last(h_n)[None]


class Unasked(Embedded):
    """An output of all steps that repeats the last one."""

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        got = self.forward_last(x, h_0, c_0, lengths)
        steps = np.repeat(got.output[None], x.shape[self.config.batch_first and x.ndim == 3], 0)
        return got._replace(output=steps.swapaxes(0, 1) if self.config.batch_first and x.ndim == 3 else steps)


class OfOtherGates(Embedded):
    def step(self, weights, x, h, c):
        H = self.config.hidden_size
        order = np.concatenate([np.arange(H, 2 * H), np.arange(H), np.arange(2 * H, 3 * H)])
        return super().step([a if a is None or len(a) != 3 * H else a[order] for a in weights], x, h, c)


@pytest.mark.parametrize(
    ("layer", "requirement"),
    [
        (AtTheLastStep, "LAST-H-N"),
        (OfThePaddedBatch, "LAST-LENGTHS"),
        (OfTheFirstLayer, "LAST-H-N"),
        (Exchanged, "LAST-H-N"),
        (WithAnAxisOfSteps, "LAST-SHAPE"),
        (Unasked, "UNCLAIMED-ALL-STEPS"),
    ],
)
def test_a_wrong_one_fails(layer, requirement):
    class Wrong(Runtime):
        layer_class, features = layer, replace(Runtime.features, kinds="gru")

    checks = [check for check in all_checks() if "LAST" in check.requirement or "ALL-STEPS" in check.requirement]
    found = failures(Wrong(), SMOKE, checks)
    assert requirement in found
    assert ("LAST-SHAPE" in found) == (requirement == "LAST-SHAPE")
    assert ("LAST-H-N" in found) == (requirement in ("LAST-H-N", "LAST-SHAPE"))


@pytest.mark.parametrize(
    ("layer", "requirement", "fault"),
    [
        (OfOtherGates, "GRU-GATE-ORDER", "gru-gates-r-z"),
        (OfTheFirstLayer, "LAST-H-N", "last-output-of-the-first-layer"),
    ],
)
def test_the_known_mistake_is_named(layer, requirement, fault):
    class Wrong(Runtime):
        layer_class, features = layer, replace(Runtime.features, kinds="gru")

    (check,) = (check for check in all_checks() if check.requirement == requirement)
    verdict = verdict_of(check, Wrong(), "gru")
    assert verdict.diagnosis[0]["fault"] == fault
    assert verdict.call["call"] == "last output"
    assert "layer.forward_last(" in verdict.reproducer


def test_what_is_asked_of_the_oracle_is_right():
    """Every requirement that needs no other step, with the oracle's other methods out of reach."""
    backend = OracleBackend()
    backend.features = Features(kinds="lstm", output="last", parameters=True, parameters_set=True, cells=True)
    others = ("REVERSE", "MASKS", "GRADIENTS", "STATEFUL", "INITIALIZATION")
    asked = [check for check in all_checks() if TORCH_NN.combinations(backend.features, check.entry)]
    asked = [check for check in asked if not (check.entry.unless and check.requirement.endswith(others))]
    names = {check.requirement for check in asked}
    assert len(names) > 130
    assert not names & OF_STEPS
    assert OF_STEPS.issubset(CATALOGUE)
    assert not failures(backend, SMOKE, asked)


@pytest.mark.parametrize("layer", [Embedded, WithAnAxisOfSteps, Exchanged])
def test_check_tries_it(layer):
    class Tried(Runtime):
        layer_class = layer

    backend = Tried()
    found = [each for a in attempts(backend.features) for each in a.answer(backend, lambda what: nullcontext()).amiss]
    said = {amiss.sentence for amiss in found}
    if layer is WithAnAxisOfSteps:
        assert all("an axis of one step was left in" in sentence for sentence in said)
        assert said
    else:
        assert not said


def test_claims_of_outputs():
    assert Features().output == {"all"}
    assert Features(output="last").as_json()["output"] == ["last"]
    both = Features(output=["last", "all"])
    assert both.as_json()["output"] == ["all", "last"]
    assert (both.claims("output.all"), both.claims("output.last")) == (True, True)
    assert not Features(output="last").claims("output.all")
    assert Features(output="last").limits() == ["the last output alone is returned"]
    assert Features(by_kind={"gru": {"output": "last"}}).of("gru").output == {"last"}
    for wrong in ("first", (), {"all", "steps"}):
        with pytest.raises(ValueError, match="output: expected some of all, last"):
            Features(output=wrong)
    with pytest.raises(ValueError, match="output: expected 'all' as well beside gradients, masks"):
        Features(output="last", gradients={"x"}, masks=True)
