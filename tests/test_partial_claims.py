"""A part of the gradients, and of the cotangents, as a claim: it must be right, the rest is not looked at."""

import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from conformance import Features, Unsupported, run
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.backends.oracle import OracleBackend, OracleLayer
from conformance.backwards import COTANGENTS, PARTS, gives, refused_cotangent
from conformance.engine.profiles import PROFILES
from conformance.layouts import Weights, join
from conformance.specifications.torch_nn import TORCH_NN
from conformance.torch import module_backend
from tests.harness import QUICK, all_checks, failures, verdict_of
from tests.test_exec_features import PROGRAM

SMOKE = replace(QUICK, examples=PROFILES["smoke"].examples)
AREAS = ("GRADIENT", "COTANGENT", "PARAM-KEPT")
CHECKS = [check for check in all_checks() if any(area in check.requirement for area in AREAS)]


class Partial(OracleBackend):
    """The oracle with a part of the gradients: ``change(claimed, name, right)`` comes, or nothing on KeyError."""

    def __init__(self, change, refuses=True, **claims):
        self.features = replace(OracleBackend.features, **({"kinds": "lstm", "dtypes": "float32"} | claims))
        self.change, self.refuses = change, refuses

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        inference, training = layer.gradients, layer.gradients_training

        def backwards(*arguments):
            self.expect(config, dict(zip(COTANGENTS, arguments[4:], strict=True)))
            return self.changed("gradients", inference(*arguments))

        def train_backwards(*arguments, seed):
            self.expect(config, dict(zip(COTANGENTS, arguments[4:], strict=True)))
            result, d = training(*arguments, seed=seed)
            return result, self.changed("training_gradients", d)

        layer.gradients, layer.gradients_training = backwards, train_backwards
        return layer

    def cell(self, config, parameters):
        cell = super().cell(config, parameters)
        right = cell.gradients

        def backwards(x, h, c, d_h, d_c):
            self.expect(config, {"d_h": d_h, "d_c": d_c})
            return self.changed("cell_gradients", right(x, h, c, d_h, d_c))

        cell.gradients = backwards
        return cell

    def expect(self, config, cotangents):
        if self.refuses and (said := refused_cotangent(self.features.of(config.kind), config.kind, cotangents)):
            raise Unsupported(said)

    def changed(self, claim, d):
        found = {}
        for name, a in d.items():
            try:
                found[name] = self.change(gives(self.features, claim, name), name, a)
            except KeyError:
                continue
        return found


def left_out(claimed, name, right):
    return right if claimed else {}[name]


def none(claimed, name, right):
    return right if claimed else None


def no_array(claimed, name, right):
    return right if claimed else ["no array"]


def applying(backend):
    """Return the requirements that apply to a backend."""
    return {check.requirement for check in CHECKS if TORCH_NN.combinations(backend.features, check.entry)}


CLAIMS = {
    "one": {"cotangents": {"d_output", "d_h"}},
    "c alone": {"cotangents": {"d_c_n", "d_c"}},
    "two of two kinds": {"cotangents": {"d_output", "d_c_n"}, "kinds": {"lstm", "gru"}},
    "x and weight_ih": dict.fromkeys(("gradients", "cell_gradients", "training_gradients"), ("x", "weight_ih")),
    "states": {"gradients": {"h_0", "c_0"}, "cell_gradients": "h", "training_gradients": {"h_0"}},
    "no x": {"gradients": {"h_0", "c_0", "weight_hh", "bias_ih", "weight_hr"}, "cotangents": {"d_h_n", "d_c_n"}},
}


@pytest.mark.parametrize("change", [left_out, none, no_array])
@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_part_conforms_whatever_the_rest_is(claims, change):
    assert not failures(Partial(change, **claims), SMOKE, CHECKS)


@pytest.mark.parametrize(
    ("name", "applies", "not_asked"),
    [
        (
            "one",
            {"GRADIENT-D-OUTPUT", "GRADIENT-STACK", "UNCLAIMED-COTANGENTS"},
            {"GRADIENT-D-H-N", "GRADIENT-CHUNKED"},
        ),
        ("c alone", {"GRADIENT-D-C-N", "UNCLAIMED-CELL-COTANGENTS"}, {"GRADIENT-STACK", "GRADIENT-NONE-ZEROS"}),
        ("x and weight_ih", {"GRADIENT-X", "GRADIENT-NONE-ZEROS"}, {"GRADIENT-H-0", "UNCLAIMED-COTANGENTS"}),
        ("states", {"GRADIENT-CHUNKED"}, {"GRADIENT-PADDING-ZERO", "GRADIENT-OMITTED-ZEROS"}),
        ("no x", {"GRADIENT-CHUNKED", "GRADIENT-WEIGHT-HR"}, {"GRADIENT-STACK", "GRADIENT-BIASES-ALIKE"}),
    ],
)
def test_what_is_asked_for(name, applies, not_asked):
    asked = applying(Partial(left_out, **CLAIMS[name]))
    assert applies <= asked
    assert not not_asked & asked
    assert applying(OracleBackend()) >= not_asked - {"UNCLAIMED-COTANGENTS"}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_a_wrong_number_in_the_part_fails(claims):
    def doubled(claimed, name, right):
        return 2 * right if claimed else right

    found = failures(Partial(doubled, **claims), SMOKE, CHECKS)
    assert {"GRADIENT-EQUATION", "CELL-GRADIENT-EQUATION", "TRAINING-GRADIENT-EQUATION"} <= set(found)


def test_a_part_that_is_missing_or_named_otherwise_fails():
    def renamed(claimed, name, right):
        return {}[name] if name == "x" else right

    found = failures(Partial(renamed, gradients={"x", "h_0"}, cell_gradients="x"), SMOKE, CHECKS)
    assert {"GRADIENT-NAMES", "GRADIENT-X", "CELL-GRADIENT-NAMES"} <= set(found)
    assert "x missing" in found["GRADIENT-NAMES"]


def test_a_cotangent_that_is_not_claimed_and_computed_is_noted_and_ignored_fails():
    right = Partial(left_out, refuses=False, cotangents={"d_output", "d_h"})
    assert not failures(right, SMOKE, CHECKS)

    class Ignoring(Partial):
        def layer(self, config, parameters):
            layer = super().layer(config, parameters)
            whole = layer.gradients
            layer.gradients = lambda *a: whole(*a[:5], None, None)
            return layer

    found = failures(Ignoring(left_out, refuses=False, cotangents={"d_output", "d_h"}), SMOKE, CHECKS)
    assert set(found) == {"UNCLAIMED-COTANGENTS"}
    assert "one of the cotangents" in found["UNCLAIMED-COTANGENTS"]


def test_a_mistake_in_the_part_is_named():
    def halved(claimed, name, right):
        return {}[name] if not claimed else right / 2 if name.startswith("bias") else right

    (check,) = (check for check in CHECKS if check.requirement == "GRADIENT-BIAS-IH")
    verdict = verdict_of(check, Partial(halved, gradients={"bias_ih", "x"}, cotangents={"d_output"}), "lstm")
    assert [named["fault"] for named in verdict.diagnosis][:1] == ["gradients-of-biases-halved"]


# --- claims as data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"gradients": {"y"}}, "gradients: expected True, False or some of x, h_0, c_0, weight_ih"),
        ({"gradients": []}, "gradients: expected True, False or some of x"),
        ({"cell_gradients": {"h_0"}}, "cell_gradients: expected True, False or some of x, h, c"),
        ({"training_gradients": [["x"]]}, "training_gradients: expected True, False or some of"),
        ({"cotangents": ()}, "cotangents: expected some of d_output, d_h_n, d_c_n, d_h, d_c, got []"),
        ({"cotangents": True}, "cotangents: expected some of d_output"),
        ({"kinds": "gru", "cotangents": "d_c_n"}, "cotangents: expected names that gru has too, got ['d_c_n']"),
        ({"kinds": "gru", "gradients": {"c_0"}}, "gradients: expected names that gru has too, got ['c_0']"),
        ({"by_kind": {"gru": {"gradients": "all"}}}, "gradients: expected True, False or some of"),
    ],
)
def test_a_wrong_claim_is_one_sentence(claims, sentence):
    with pytest.raises(ValueError, match=rf"^[^\n]*{re.escape(sentence)}[^\n]*$"):
        Features(**claims)


def test_claims_as_data_and_in_words():
    features = Features(gradients={"weight_ih", "x"}, cotangents="d_output", by_kind={"gru": {"gradients": ["x"]}})
    data = features.as_json()
    assert (data["gradients"], data["cotangents"]) == (["x", "weight_ih"], ["d_output"])
    assert data["by_kind"] == {"gru": {"gradients": ["x"]}}
    assert Features(**data) == features
    assert features.limits()[:2] == [
        "gradients x, weight_ih alone are asked for",
        "cotangents d_output alone are given",
    ]
    assert (features.claims("gradients"), features.claims("gradients.h_0"), features.of("gru").gradients) == (
        True,
        False,
        {"x"},
    )
    assert not Features().claims("gradients.x")
    assert Features(cotangents="d_output").claims("cotangents.d_h")
    assert Features().limits() == []
    assert Features(gradients=np.True_, cell_gradients=1).as_json()["gradients"] is True
    with pytest.raises(ValueError, match="a part of"):
        Features().claims("gradients.y")
    assert set(PARTS) == {"gradients", "cell_gradients", "training_gradients", "cotangents", "output"}


# --- adapters -----------------------------------------------------------------------------------------


class OneLayer(CheckedLayer):
    """The oracle, whose backward gives x and weight_ih alone."""

    def build(self, weights):
        self.inner = OracleLayer(self.config, join(self.config, weights))

    def compute(self, x, h_0, c_0, lengths):
        return self.inner.forward(x, h_0, c_0, None if lengths is None else lengths.tolist())

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        d = self.inner.gradients(x, h_0, c_0, None if lengths is None else lengths.tolist(), *cotangents)
        weights = [a for name, a in d.items() if name.startswith("weight_ih")]
        return {"x": d["x"]}, [Weights(a, None) for a in weights]


class OneBackend(CheckedBackend):
    name, layer_class = "one", OneLayer
    features = Features(gradients={"x", "weight_ih"}, cotangents={"d_output"})


def test_a_checked_layer_gives_a_part_and_refuses_other_cotangents():
    asked = [check for check in CHECKS if check.requirement in applying(OneBackend())]
    assert len(asked) > 20
    assert not failures(OneBackend(), SMOKE, asked)


class Frozen(torch.nn.GRU):
    """A GRU whose weight_hh takes no gradients."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name, value in self.named_parameters():
            value.requires_grad_("weight_hh" not in name)


@pytest.mark.parametrize("kept", [("x", "weight_ih", "h_0"), ("x", "weight_hh")])
def test_a_torch_module_of_a_part(kept):
    backend = module_backend(Frozen, kinds="gru", gradients=kept, cotangents={"d_output"})
    found = failures(backend, SMOKE, [check for check in CHECKS if "CELL" not in check.requirement])
    assert bool(found) == ("weight_hh" in kept)
    assert not found or "GRADIENT-WEIGHT-HH" in found


@pytest.mark.parametrize("mistake", ["claimed", "unclaimed"])
def test_a_program_with_one_cotangent(tmp_path, pytestconfig, mistake):
    program = PROGRAM.format(root=str(pytestconfig.rootpath), mistake=False)
    program = program.replace('"gradients": True', '"gradients": ["x", "bias_ih"], "cotangents": ["d_output"]')
    program = program.replace('"dropout": True, "cell_gradients": True', '"dropout": False, "cell_gradients": False')
    program = program.replace('"training_gradients": True', '"training_gradients": False')
    wrong = {"claimed": "d['x'] = -d['x']", "unclaimed": "d['weight_hh_l0'] = None; d.pop('weight_ih_l0')"}
    refusal = "if given['d_h_n'] is not None or given['d_c_n'] is not None: raise Unsupported('one cotangent')"
    head = '        d = one.gradients(**given)\n        if MISTAKE and "d_h"'
    assert head in program
    program = program.replace(
        head,
        head.replace("        d =", f"        {refusal}\n        d =").replace(
            "\n        if", f"\n        {wrong[mistake]}\n        if"
        ),
    )
    path = tmp_path / "program.py"
    path.write_text(program)
    report = run(f"exec:{sys.executable} {path}", profile="smoke", processes=1, diagnosis="off")
    found = {finding.requirement: finding.status for finding in report.findings}
    assert report.conformant == (mistake != "claimed"), report
    assert found["UNCLAIMED-COTANGENTS"] in (("passed", "blocked") if mistake == "claimed" else ("passed",))
    assert (found["GRADIENT-X"] == "failed") == (mistake == "claimed")
    saved = tmp_path / "report.json"
    report.save(saved)
    features = json.loads(saved.read_text())["backend"]["features"]
    assert (features["gradients"], features["cotangents"]) == (["x", "bias_ih"], ["d_output"])
    assert "cotangents d_output alone are given" in str(report)
