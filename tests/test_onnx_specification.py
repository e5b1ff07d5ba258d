"""The specification ``onnx``: its catalogue, its bank of faults, its oracle, runtimes under it, and reproducers."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from conformance import specifications
from conformance.backends.onnx_oracle import OnnxOracle
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import examined
from conformance.engine.drawing import Streams
from conformance.engine.profiles import PROFILES
from conformance.engine.serialization import call_of, example_of
from conformance.onnx import OnnxFeatures
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.faults import BANK, compose, faults
from conformance.specifications.onnx_operators.plans import NodePlan
from conformance.specifications.onnx_operators.strategies import nodes
from reference.onnx import GATES, OPERATORS
from tests import onnx_kill_matrix
from tests.harness import PLANS, QUICK, STANDARD, subject_of, verdicts
from tests.test_plugin import ROOT

SMOKE = replace(PROFILES["smoke"], shrink_attempts=0)


def drawn_call(kind="LSTM", dtype="float32", **changes):
    """Return a call with every optional input."""
    plan = NodePlan(3, 4, 5, 2, inputs=("B", "initial_h", "initial_c", "P"), regime="ordinary")
    return replace(plan, **changes).build(kind, dtype)


# --- the catalogue --------------------------------------------------------------------------------------


def test_every_requirement_has_a_check_and_a_fault():
    catalogue = ONNX.catalogue
    assert {check.requirement for check in ONNX.checks} == set(catalogue)
    assert {fault.requirement for fault in BANK.values()} == set(catalogue)
    assert catalogue.fingerprints[catalogue.version] == catalogue.fingerprint


def test_the_ids_are_not_those_of_torch_nn():
    """Reports name a requirement by its id."""
    assert all(id_.startswith("ONNX-") for id_ in ONNX.catalogue)
    assert not any(id_.startswith("ONNX-") for id_ in specifications.named("torch.nn").requirements)


def test_the_page_of_coverage_names_every_requirement():
    text = (ROOT / "docs" / "coverage.md").read_text("utf-8")
    assert [id_ for id_ in ONNX.catalogue if f"`{id_}`" not in text] == []


# --- the bank -------------------------------------------------------------------------------------------


def test_the_bank_is_well_formed():
    assert len(BANK) >= 200
    for identifier, fault in BANK.items():
        assert fault.id == identifier
        assert re.fullmatch(r"onnx(-[a-z0-9]+)+", identifier)
        assert fault.kinds <= set(OPERATORS)
        assert not fault.explanation.endswith(".")
        assert fault.build().features.kinds <= fault.kinds
    assert len({fault.explanation for fault in BANK.values()}) == len(BANK)
    assert [fault.id for fault in faults("GRU")] == [i for i, fault in BANK.items() if "GRU" in fault.kinds]


@pytest.mark.parametrize(("kind", "count"), [("LSTM", 23), ("GRU", 5)])
def test_every_wrong_order_of_gates_is_in_the_bank(kind, count):
    wrong = {"".join(order) for order in permutations(GATES[kind])} - {GATES[kind]}
    assert len(wrong) == count
    assert {f"onnx-{kind.lower()}-order-{order}" for order in wrong} <= set(BANK)


@pytest.mark.parametrize("identifier", BANK)
def test_a_fault_fails_the_requirement_that_names_it(identifier):
    """In quick, or, as the committed matrix says, in standard alone."""
    fault = BANK[identifier]
    stored = json.loads(onnx_kill_matrix.MATRIX.read_text("utf-8"))[identifier]
    profile = QUICK if fault.requirement in stored["quick"] else STANDARD
    found = onnx_kill_matrix.failures(fault, profile, onnx_kill_matrix.deciding(fault))
    assert fault.requirement in found


def test_the_matrix_says_that_nearly_all_faults_fail_in_quick():
    matrix = json.loads(onnx_kill_matrix.MATRIX.read_text("utf-8"))
    assert list(matrix) == list(BANK)
    quick = [identifier for identifier, found in matrix.items() if BANK[identifier].requirement in found["quick"]]
    assert len(quick) >= 0.95 * len(BANK)
    assert all(BANK[i].requirement in found["quick"] | found.get("standard", {}) for i, found in matrix.items())
    page = "\n".join(onnx_kill_matrix.page(matrix)) + "\n"
    assert page == onnx_kill_matrix.PAGE.read_text("utf-8")


def test_two_faults_go_together():
    both = compose(BANK["onnx-bias-rb-ignored"], BANK["onnx-clip-not-before-h"])
    call = drawn_call().configured(clip=0.2)
    parameters = call.parameters | {"B": call.parameters["B"].copy()}
    parameters["B"][:, 16:] = 0
    given = call.arguments
    want = BANK["onnx-clip-not-before-h"].build().node(call.config, parameters).run(**given)
    got = both.node(call.config, call.parameters).run(**given)
    np.testing.assert_array_equal(got["Y"], want["Y"])
    with pytest.raises(ValueError, match="do not go together"):
        compose(BANK["onnx-clip-not-before-h"], BANK["onnx-clip-of-the-cell"])


# --- the oracle and calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", OPERATORS)
def test_the_oracle_conforms(kind, dtype):
    backend = OnnxOracle()
    backend.features = replace(backend.features, operators={kind}, dtypes={dtype})
    found = {r: verdict.failure for r, _, _, verdict, _ in verdicts(backend, SMOKE, None, ONNX) if not verdict.passed}
    left_out = "no example could be drawn that this requirement speaks of: nothing was checked"
    assert {r: failure for r, failure in found.items() if failure != left_out} == {}
    assert set(found) <= {"ONNX-UNCLAIMED-DTYPE"}


def test_a_backend_with_few_claims_is_asked_for_little():
    few = OnnxFeatures("LSTM", 14, attributes=(), inputs={"B"}, directions="forward")
    asked = {r.id for r in ONNX.catalogue.values() if ONNX.combinations(few, r)}
    assert "ONNX-LSTM-EQUATION" in asked
    assert "ONNX-UNCLAIMED-CLIP" in asked
    assert not asked & {"ONNX-CLIP", "ONNX-LENGTHS", "ONNX-REVERSE", "ONNX-OPSETS", "ONNX-REFUSE-X-RANK", "ONNX-LAYOUT"}


def test_a_call_is_stored_and_read_again():
    call = drawn_call(names=("HardSigmoid",) * 6, numbers="all", clip=True, lengths="any", layout=True)
    example = json.loads(json.dumps(example_of(ONNX.form_of(call), call)))
    again = call_of(ONNX, example, "LSTM", "float32")
    assert again.config == call.config
    assert repr(again) == repr(call)
    for name, array in (call.parameters | {"X": call.X, "initial_h": call.initial_h}).items():
        np.testing.assert_array_equal(again.parameters.get(name, getattr(again, name, None)), array)
    assert call_of(ONNX, example, "GRU", "float32") is None
    plan = {"plan": {"hidden_size": 2, "T": 3, "inputs": ["B", "P"], "clip": True}}
    assert call_of(ONNX, plan, "LSTM", "float32").config.clip is not None
    assert "P" not in call_of(ONNX, plan, "GRU", "float32").parameters


@pytest.mark.parametrize("kind", OPERATORS)
def test_drawn_calls_are_valid(kind):
    features = OnnxOracle.features
    for number in range(2):
        for plan in PLANS.block(ONNX, nodes, features, number):
            for dtype in ONNX.dtypes:
                call = plan.build(kind, dtype)
                ONNX.form_of(call).validate(call)
                assert all(features.claims(name) for name in call.uses)


# --- diagnosis and runtimes -----------------------------------------------------------------------------


def explained(requirement, backend, kind):
    """Run the check of a requirement on a backend and explain its failure."""
    (check,) = ONNX.checks_of(requirement)
    return examined(
        check, Diagnostician(Streams(subject_of(backend, kind, specification=ONNX), PLANS)), PROFILES["quick"]
    )


def test_a_failure_is_named_and_made_small():
    verdict = explained("ONNX-LSTM-EQUATION", BANK["onnx-lstm-order-ifco"].build(), "LSTM")
    assert [found["fault"] for found in verdict.diagnosis] == ["onnx-lstm-order-ifco"]
    assert "LSTM(input_size=1, hidden_size=1" in verdict.example
    assert "as PyTorch orders them" in verdict.diagnosis[0]["explanation"]


@pytest.mark.parametrize("name", ["onnx-ops-ort", "onnx-ops-reference"])
def test_the_reproducer_builds_the_model_with_onnx_alone(name, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    backend = specifications.view(name, "onnx")
    verdict = explained("ONNX-CLIP-H", backend, "LSTM")
    named = "onnx-clip-not-before-h" if name == "onnx-ops-ort" else "onnx-clip-ignored"
    assert named in [found["fault"] for found in verdict.diagnosis]
    assert "conformance" not in verdict.reproducer.partition('"""\n')[2]
    script = tmp_path / "reproducer.py"
    script.write_text(verdict.reproducer)
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "elements are wrong" in done.stdout


def test_onnxruntime_is_right_in_the_plain_equations():
    pytest.importorskip("onnxruntime")
    backend = specifications.view("onnx-ops-ort", "onnx")
    names = {"ONNX-LSTM-EQUATION", "ONNX-GRU-EQUATION", "ONNX-RNN-EQUATION", "ONNX-ALPHA-ORDER", "ONNX-INPUT-FORGET"}
    checks = [check for check in ONNX.checks if check.requirement in names]
    found = [(r, verdict) for r, _, dtype, verdict, _ in verdicts(backend, SMOKE, checks, ONNX) if dtype == "float32"]
    assert {r for r, _ in found} == names
    assert {r: verdict.failure for r, verdict in found if not verdict.passed} == {}


def collected(*arguments):
    """Return the names of the tests that pytest collects for the suite."""
    command = [sys.executable, "-m", "pytest", "-p", "conformance.plugin", "-q", "-p", "no:cacheprovider", "--pyargs"]
    command += ["conformance.specifications", "--collect-only", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"\[(.*)\]", done.stdout)


def test_a_runtime_is_put_to_both_specifications_and_one_can_be_chosen():
    pytest.importorskip("onnxruntime")
    names = collected("--backend", "onnx-ops-ort")
    assert any(name.startswith("ONNX-LSTM-EQUATION") for name in names)
    assert any(name.startswith("LSTM-EQUATION") for name in names)
    chosen = collected("--backend", "onnx-ops-ort", "--specification", "onnx")
    assert chosen == [name for name in names if name.startswith("ONNX-")]
    assert not any(name.startswith("ONNX-") for name in collected("--backend", "reference"))


def test_what_contradicts_the_model_is_rejected_by_the_model():
    """A model says the shapes of parameters that do not fit, and onnxruntime rejects it."""
    pytest.importorskip("onnxruntime")
    backend, call = specifications.view("onnx-ops-ort", "onnx"), drawn_call()
    wrong = replace(call.config, hidden_size=3)
    with pytest.raises(Exception, match=r"(?i)hidden_size|shape|dimension"):
        backend.node(wrong, call.parameters).run(**call.arguments)
