"""A failure explains what it gives and nothing else; what depends on earlier calls is reported as such."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import reference
from conformance import Backend, Features, Layer, Result, Unsupported, run, specifications
from conformance.backends.oracle import OracleBackend
from conformance.engine.check import Check
from conformance.specifications.torch_nn.faults import BANK, compose
from tests.harness import PLANS
from tests.test_plugin import ROOT

ENDLESS = math.inf  # seconds for explaining a failure: these tests ask what is found, on a machine however busy
STRANGERS = '''
import numpy as np

import reference
from conformance import Backend, Features, Layer, Result, Unsupported


class Gru(Layer):
    def __init__(self, config, parameters):
        reference.check_parameters(config, parameters)
        self.config, self.parameters_, self.calls = config, {k: v.copy() for k, v in parameters.items()}, 0

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        reference.check_inputs(self.config, x, h_0, c_0, lengths)
        got = reference.forward(self.config, self.parameters_, x, h_0, c_0, lengths)
        return Result(got.output.astype(np.float32), got.h_n.astype(np.float32))


class Plain(Backend):
    name, version, made = "strange", "1", Gru
    features = Features(kinds={"gru"})

    def layer(self, config, parameters):
        config.validate()
        if config.kind != "gru" or config.dtype != "float32":
            raise Unsupported("a GRU in float32")
        return self.made(config, parameters)


class WrongFromTheThirdCall(Gru):
    right = 2

    def forward(self, *arguments):
        got = super().forward(*arguments)
        self.calls += 1
        return got if self.calls <= self.right else Result(got.output * 0.5, got.h_n)


class WrongFromTheEleventhCall(WrongFromTheThirdCall):
    right = 10


WEIGHTS = {}


class WeightsOfTheFirst(Gru):
    """Weights kept by configuration, for the whole process."""

    def __init__(self, config, parameters):
        super().__init__(config, parameters)
        self.parameters_ = WEIGHTS.setdefault(config, self.parameters_)


class RaisesForLengths(Gru):
    def forward(self, x, h_0=None, c_0=None, lengths=None):
        if lengths is not None and x.ndim == 3:
            raise RuntimeError(f"kernel 7 of {x.shape} is missing")
        return super().forward(x, h_0, c_0, lengths)


class third(Plain):
    made = WrongFromTheThirdCall


class eleventh(Plain):
    made = WrongFromTheEleventhCall


class first(Plain):
    made = WeightsOfTheFirst


class raises(Plain):
    made = RaisesForLengths
'''


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "strangers.py").write_text(STRANGERS)
    return folder


def failures_of(folder, name, monkeypatch):
    """Return the failures of a backend of STRANGERS, and how each script ends on it."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    report = run(f"strangers:{name}", profile="quick", processes=1, report=folder / f"{name}.json", diagnosis=ENDLESS)
    report.save(folder / f"{name}.json")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    ends = [
        subprocess.run([sys.executable, f.reproducer], env=environment, capture_output=True, check=False).returncode
        for f in report.failures
    ]
    return report, ends


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("third", ["the layer carries something from one call to the next"]),
        ("eleventh", ["the call alone is right on a fresh layer; it fails after the calls that", "of the same layer"]),
        ("first", ["the call alone is right in a fresh process; it fails after the calls that", "object to another"]),
    ],
)
def test_what_depends_on_earlier_calls_is_said_to_and_the_script_makes_them(strangers, name, words, monkeypatch):
    report, ends = failures_of(strangers, name, monkeypatch)
    assert report.failures
    assert set(ends) == {1}, [f.requirement for f in report.failures]
    assert not any(f.diagnosis for f in report.failures), "no fault of the bank: the calls alone are right"
    said = [f.message for f in report.failures]
    assert any(all(each in message for each in words) for message in said), said


def test_a_refused_combination_is_one_failure_and_the_claim_is_proposed(strangers, monkeypatch):
    report, ends = failures_of(strangers, "raises", monkeypatch)
    (failure,) = report.failures
    assert ends == [1]
    assert "raise, those and no others with lengths" in failure.message
    assert "if that is by design, claim lengths=False" in failure.message
    assert "numbers" not in failure.message.split("smallest failing call")[0]
    left_out = [f for f in report.findings if "they raise as in" in f.message]
    assert len(left_out) > 10
    assert {str(f.status) for f in left_out} == {"passed"}


def told(backend, **options):
    """Return the failures of a backend of this process by requirement."""
    report = run(lambda: backend, profile="quick", isolation="none", **({"diagnosis": ENDLESS} | options))
    return {f.requirement: f for f in report.failures}


def in_one_kind(backend, kind):
    """Return the backend with the claims of the forward pass, in one kind and float32."""
    without = dict.fromkeys(("gradients", "dropout", "initialization"), False)
    backend.features = replace(backend.features, kinds={kind}, dtypes={"float32"}, **without)
    return backend


class RaisesUnbatched(OracleBackend):
    """It does not claim unbatched input, and has another error for it than Unsupported."""

    name, features = "raises-unbatched", Features(kinds="gru", dtypes="float32", unbatched=False)

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        forward = layer.forward

        def batched(x, *others):
            if x.ndim == 2:
                raise RuntimeError("two axes")
            return forward(x, *others)

        layer.forward = batched
        return layer


def test_no_claim_is_proposed_that_is_made_already():
    (failure,) = run(RaisesUnbatched(), profile="quick", diagnosis=ENDLESS).failures
    assert failure.requirement == "UNCLAIMED-UNBATCHED"
    assert "raise, those and no others with unbatched input" in failure.message
    assert "if that is by design, keep it as a known failure" in failure.message


@pytest.mark.parametrize("specification", specifications.every().values(), ids=lambda found: found.name)
def test_what_a_call_uses_is_a_claim(specification):
    features = specification.oracle().features
    kinds = {check.draw: check.entry.kinds[0] for check in specification.checks if isinstance(check, Check)}
    used = {
        name
        for draw, kind in kinds.items()
        for plan in PLANS.block(specification, draw, features, 0)
        for name in plan.build(kind, "float32").uses
    }
    assert used
    assert all(isinstance(features.claims(name), bool) for name in used)


class LastStepOff(OracleBackend):
    """A mistake that no known fault has. It refuses nothing that it does not claim: its process is often replaced."""

    name = "last-step-off"
    unclaimed = "multilayer bidirectional no_bias batch_first unbatched lengths projection gradients cells parameters"
    features = Features(kinds="gru", dtypes="float32", **dict.fromkeys(unclaimed.split(), False))

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        forward = layer.forward

        def shifted(*arguments, **named):
            result = forward(*arguments, **named)
            result.output[-1] += 1
            return result

        layer.forward = shifted
        return layer


def test_an_unknown_mistake_explains_the_same_in_one_process_in_new_ones_and_in_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"profile": "smoke", "diagnosis": ENDLESS}
    reports = [
        run(LastStepOff, isolation="none", **settings),
        run(LastStepOff, processes=1, **settings),
        run(LastStepOff, processes=2, **settings),
    ]
    found = [{(f.requirement, f.kind, f.dtype): (f.status, f.prerequisite) for f in r.findings} for r in reports]
    assert found[0] == found[1] == found[2]
    failed = sorted(failure.requirement for failure in reports[1].failures)
    assert failed == ["STATE-CHUNKED", "STATE-RANGE", "UNCLAIMED-DTYPE", *["UNCLAIMED-KIND"] * 3], "of three kinds"
    what = "of these only the last step; each wrong number is the documented one plus 1"
    assert any(what in failure.message for failure in reports[1].failures)


def test_two_faults_are_two_failures():
    failures = told(in_one_kind(compose(BANK["lstm-gates-f-i"], BANK["lengths-ignored"]), "lstm"))
    of_gates, of_lengths = failures["LSTM-GATE-ORDER"], failures["LENGTHS-OUTPUT-ZERO"]
    assert [fault["fault"] for fault in of_gates.diagnosis] == ["lstm-gates-f-i"]
    assert set(of_lengths.diagnosis[0]["fault"].split("+")) == {"lstm-gates-f-i", "lengths-ignored"}
    assert {name for name in failures if not name.startswith("CASE")} == {"LSTM-GATE-ORDER", "LENGTHS-OUTPUT-ZERO"}


def test_every_requirement_is_judged_by_itself_on_request():
    failures = told(
        in_one_kind(BANK["gru-update-inverted"].build(), "gru"), run_blocked=True, examples=2, diagnosis="off"
    )
    assert len(failures) > 20
    assert failures["GRU-EQUATION"].also
    assert not failures["GRU-UPDATE-GATE"].also


class Float32Gates(Layer):
    """An LSTM in float32 throughout, with its blocks in another order and sums in another order for each unit."""

    def __init__(self, config, parameters):
        reference.check_parameters(config, parameters)
        self.config, self.p = config, {name: value.copy() for name, value in parameters.items()}

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        reference.check_inputs(self.config, x, h_0, c_0, lengths)
        T, N, _ = x.shape
        H = self.config.hidden_size
        h = np.zeros((N, H), np.float32) if h_0 is None else h_0[0]
        c = np.zeros((N, H), np.float32) if c_0 is None else c_0[0]
        output = []
        for t in range(T):
            a = (x[t][:, None] * self.p["weight_ih_l0"]).sum(-1, dtype=np.float32) + self.p["bias_ih_l0"]
            a = a + ((h[:, None] * self.p["weight_hh_l0"]).sum(-1, dtype=np.float32) + self.p["bias_hh_l0"])
            i, o, f, g = np.split(a, 4, -1)
            c = self.sigmoid(f) * c + self.sigmoid(i) * np.tanh(g)
            h = self.sigmoid(o) * np.tanh(c)
            output.append(h)
        return Result(np.stack(output), h[None], c[None])

    @staticmethod
    def sigmoid(a):
        return (1 / (1 + np.exp(-a.astype(np.float64)))).astype(np.float32)


class SwappedInFloat32(Backend):
    name, version = "swapped", "1"
    features = Features(
        kinds="lstm",
        **dict.fromkeys(("multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "projection"), False),
        lengths=False,
    )

    def layer(self, config, parameters):
        config.validate()
        plain = config.num_layers == 1 and config.bias and not (config.batch_first or config.bidirectional)
        if config.kind != "lstm" or config.dtype != "float32" or not plain or config.proj_size:
            raise Unsupported("a plain LSTM in float32")
        layer = Float32Gates(config, parameters)
        forward = layer.forward

        def refusing(x, h_0=None, c_0=None, lengths=None):
            if x.ndim == 2 or lengths is not None:
                raise Unsupported("batched input without lengths")
            return forward(x, h_0, c_0)

        layer.forward = refusing
        return layer


def test_a_gate_swap_in_float32_fails_no_law_by_rounding():
    failures = told(SwappedInFloat32(), examples=40)
    assert list(failures) == ["LSTM-GATE-ORDER"], {name: f.message[:200] for name, f in failures.items()}
    assert failures["LSTM-GATE-ORDER"].diagnosis[0]["fault"] == "lstm-gates-i-o-f-g"
