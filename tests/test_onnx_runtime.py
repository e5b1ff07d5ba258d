"""ONNX runtimes by conformance.onnx: the guide's ten lines, wrong and smaller ones, and a stranger's interpreter."""

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import conformance  # noqa: E402 (only where there is onnx)
from conformance import LayerConfig, Unsupported, registry  # noqa: E402
from conformance.engine.profiles import PROFILES  # noqa: E402
from conformance.onnx import Node, OnnxFeatures, OnnxRuntime, build_model, interface_runtime  # noqa: E402
from conformance.onnx.layers import layer_features, layers_of  # noqa: E402
from conformance.specifications.torch_nn.plans import Fill  # noqa: E402
from conformance.start.attempts import attempts  # noqa: E402
from tests import onnx_interpreter  # noqa: E402
from tests.harness import all_checks, verdict_of  # noqa: E402
from tests.test_plugin import ROOT  # noqa: E402

GUIDE = (ROOT / "docs" / "onnx.md").read_text("utf-8")
RUNTIME = re.search(r"<!-- my_runtime.py -->\n```python\n(.*?)```", GUIDE, re.DOTALL).group(1)
OTHERS = '''
from dataclasses import replace

import numpy as np
import onnx
from onnx import numpy_helper

from my_runtime import MyRuntime
from conformance.onnx import OnnxFeatures


class GatesOfTorch(MyRuntime):
    """Brings the blocks of W, R and B from PyTorch's order into the runtime's, though they are in ONNX's."""

    name = "gates-of-torch"

    def prepare(self, model):
        proto = onnx.load_model_from_string(model)
        blocks = {n: 8 if k == 3 else 4 for node in proto.graph.node if node.op_type == "LSTM"
                  for k, n in enumerate(node.input[:4]) if k}
        for tensor in proto.graph.initializer:
            if tensor.name in blocks:
                parts = np.split(numpy_helper.to_array(tensor), blocks[tensor.name], axis=1)
                order = [0, 3, 1, 2, 4, 7, 5, 6][: len(parts)]
                tensor.CopyFrom(numpy_helper.from_array(np.concatenate([parts[k] for k in order], 1), tensor.name))
        return super().prepare(proto.SerializeToString())


class WithoutLengths(MyRuntime):
    """Ignores sequence_lens."""

    name = "without-lengths"
    features = replace(MyRuntime.features, parameters="inputs")

    def prepare(self, model):
        proto = onnx.load_model_from_string(model)
        for node in proto.graph.node:
            node.input[:] = [name if name != "sequence_lens" else "" for name in node.input]
        return super().prepare(proto.SerializeToString())


class Smaller(MyRuntime):
    """An LSTM of one direction, without lengths, which it refuses."""

    name = "smaller"
    inputs = {"B", "initial_h", "initial_c"}
    features = OnnxFeatures("LSTM", 14, attributes=(), inputs=inputs, directions="forward", parameters="inputs")

    def prepare(self, model):
        proto = onnx.load_model_from_string(model)
        for node in proto.graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            plain = attributes.get("direction") == b"forward" and "layout" not in attributes
            if not (node.op_type in ("Transpose", "Reshape") or (node.op_type == "LSTM" and plain)):
                raise NotImplementedError(node.op_type)
            if "sequence_lens" in node.input:
                raise NotImplementedError("sequence_lens")
        return super().prepare(model)


class SmallerAndSilent(WithoutLengths):
    """Does not claim lengths, and ignores them instead of refusing them."""

    name = "silent"
    features = OnnxFeatures("LSTM", 14, attributes=(), inputs={"B"}, directions="forward", parameters="inputs")
'''
SMOKE = PROFILES["smoke"]
FEW = "(FORWARD-EQUATION or LSTM-GATE-ORDER or LENGTHS-OUTPUT-ZERO or UNCLAIMED-LENGTHS) and lstm-float32"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return another project's folder with the guide's runtime and others."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_runtime.py").write_text(RUNTIME)
    (folder / "others.py").write_text(OTHERS)
    return folder


def suite(project, backend, *arguments, chosen=FEW):
    """Run the suite in the project's folder; return exit status, output and report."""
    report = project / "report.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conformance.plugin", "--pyargs"]
    command += [
        "conformance.specifications.torch_nn.suite",
        "--backend",
        backend,
        "--hypothesis-profile",
        "smoke",
        "--diagnosis",
        "120",
    ]
    command += ["--conformance-report", str(report), "-k", chosen, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    found = json.loads(report.read_text("utf-8")) if report.exists() else {}
    return done.returncode, done.stdout + done.stderr, found


def failed(report):
    return [row for row in report["requirements"] if row["status"] == "failed"]


def test_the_guides_runtime_conforms_where_onnxruntime_is_right(project):
    status, printed, report = suite(project, "my_runtime:MyRuntime")
    assert status == 0, printed
    assert report["backend"]["name"] == "my-runtime"
    assert {row["specification"] for row in report["requirements"]} == {"torch.nn", "onnx"}
    assert "torch.nn" in report["backend"]["claims"]
    assert report["backend"]["features"] == report["backend"]["claims"]["torch.nn"]
    assert {row["id"] for row in report["requirements"] if row["status"] == "passed"} >= {"FORWARD-EQUATION"}


def test_gates_in_another_order_are_the_first_failure_and_named(project):
    status, printed, report = suite(project, "others:GatesOfTorch", chosen="LSTM-GATE-ORDER and lstm-float32")
    assert status == 1, printed
    (row,) = failed(report)
    assert (row["id"], row["kind"]) == ("LSTM-GATE-ORDER", "lstm")
    assert "blocks are ordered i|c|o|f" in row["diagnosis"][0]["explanation"]
    script = subprocess.run(
        [sys.executable, row["reproducer"]],
        cwd=project,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{project}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.returncode == 1, script.stderr
    assert "elements are wrong" in script.stdout


def test_lengths_that_are_ignored_are_named(project):
    status, printed, report = suite(project, "others:WithoutLengths", chosen="LENGTHS-OUTPUT-ZERO and lstm-float32")
    assert status == 1, printed
    assert {row["id"] for row in failed(report)} == {"LENGTHS-OUTPUT-ZERO"}
    assert {row["diagnosis"][0]["fault"] for row in failed(report)} == {"lengths-ignored"}


def test_a_smaller_runtime_is_asked_for_what_it_claims_and_refuses_the_rest(project):
    status, printed, report = suite(project, "others:Smaller")
    assert status == 0, printed
    assert {row["kind"] for row in report["requirements"] if row["status"] == "passed"} == {"lstm"}
    claims = report["backend"]["features"]
    assert (claims["kinds"], claims["lengths"], claims["bidirectional"]) == (["lstm"], False, False)
    status, printed, report = suite(
        project, "others:SmallerAndSilent", "--diagnosis", "off", chosen="UNCLAIMED-LENGTHS and lstm-float32"
    )
    assert status == 1, printed
    assert [row["id"] for row in failed(report)] == ["UNCLAIMED-LENGTHS"]


def test_onnxs_own_backend_interface_needs_no_adapter(project):
    status, printed, report = suite(project, "onnx:onnxruntime.backend", "--specification", "torch.nn")
    assert status == 0, printed
    claims = report["backend"]["features"]
    assert claims["dtypes"] == ["float32", "float16"]
    assert claims["lengths"]
    assert claims["initial_state"]
    assert not claims["batch_first"]


def test_the_operators_own_specification_is_chosen_by_name(project):
    status, printed, _ = suite(project, "my_runtime:MyRuntime", "--specification", "onyx")
    assert status == 4
    assert "specification 'onyx' is unknown: give one of" in printed


# --- a stranger's interpreter ---------------------------------------------------------------------------


def found_in(runtime, kind, requirements):
    """Return the requirements that a runtime fails, with the first diagnosis of each."""
    backend = layers_of(runtime)
    checks = [c for c in all_checks() if c.requirement in requirements and kind in c.entry.kinds]
    verdicts = {check.requirement: verdict_of(check, backend, kind, profile=SMOKE) for check in checks}
    failed = {name: verdict for name, verdict in verdicts.items() if not verdict.passed}
    return {name: verdict.diagnosis[0]["fault"] if verdict.diagnosis else "" for name, verdict in failed.items()}


INTERPRETED = {
    "LSTM-GATE-ORDER",
    "GRU-NEW-GATE",
    "RNN-RELU-EQUATION",
    "RNN-TANH-EQUATION",
    "LENGTHS-OUTPUT-ZERO",
    "LENGTHS-REVERSE-START",
    "STATE-INITIAL",
}


@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
def test_a_right_interpreter_passes(kind):
    assert found_in(onnx_interpreter.NumpyRuntime(), kind, INTERPRETED) == {}


class Checking(onnx_interpreter.NumpyRuntime):
    """Gets its inputs as they are. It computes no step and a length of 0, as ONNX's operators may."""

    features = replace(onnx_interpreter.NumpyRuntime.features, checks_inputs=True)
    least = 0

    def prepare(self, model):
        run = super().prepare(model)

        def checked(given):
            if given["X"].shape[0] < self.least or np.any(np.less(given.get("sequence_lens", 1), self.least)):
                raise ValueError("no step")
            return run(given)

        return checked


class Refusing(Checking):
    """Refuses no step and a length of 0, as torch.nn's layers do."""

    least = 1


@pytest.mark.parametrize("runtime", [Checking, Refusing])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_runtime_may_compute_no_step_and_a_length_of_0_or_refuse_them(runtime, kind):
    assert found_in(runtime(), kind, {"REFUSE-STEPS-ZERO", "REFUSE-LENGTHS-ZERO"}) == {}


@pytest.mark.parametrize(
    ("fault", "kind", "requirement", "named"),
    [
        ("GatesOfTorch", "lstm", "LSTM-GATE-ORDER", "lstm-gates-i-g-o-f"),
        ("ResetBefore", "gru", "GRU-NEW-GATE", "gru-reset-before-product"),
        ("LengthsIgnored", "rnn_tanh", "LENGTHS-OUTPUT-ZERO", "lengths-ignored"),
        ("FirstActivations", "rnn_relu", "RNN-RELU-EQUATION", "rnn-relu-is-tanh"),
    ],
)
def test_its_faults_are_named(fault, kind, requirement, named):
    assert found_in(getattr(onnx_interpreter, fault)(), kind, {requirement}) == {requirement: named}


def test_check_names_the_claims_of_the_runtime():
    fewer = onnx_interpreter.NumpyRuntime()
    fewer.features = OnnxFeatures("LSTM", attributes=(), inputs={"B"})
    backend = layers_of(fewer)
    tried = [attempt.answer(backend, lambda what: nullcontext()) for attempt in attempts(backend.features)]
    assert {note.partition("you could claim ")[2] for one in tried for note in one.notes} == {
        "operators with 'RNN' in OnnxFeatures",
        "inputs with 'sequence_lens' in OnnxFeatures",
        "inputs with 'initial_h' and 'initial_c' in OnnxFeatures",
    }


class WithoutLengths(onnx_interpreter.NumpyRuntime):
    """Refuses the sequence_lens that it claims."""

    def length(self, T, n, lens):
        if lens is not None:
            raise Unsupported("sequence_lens")
        return T


class Raising(onnx_interpreter.NumpyRuntime):
    """Raises an error for sequence_lens, which it claims."""

    def length(self, T, n, lens):
        if lens is not None:
            raise RuntimeError("sequence_lens")
        return T


def test_check_names_the_claim_to_leave_out():
    backend = layers_of(WithoutLengths())
    tried = [attempt.answer(backend, lambda what: nullcontext()) for attempt in attempts(backend.features)]
    said = [amiss.sentence for one in tried for amiss in one.amiss]
    assert len(said) == 1
    assert said[0].endswith("do it, or claim inputs without 'sequence_lens' in OnnxFeatures.")


def test_a_failure_by_design_names_the_claim_of_the_runtime():
    (check,) = [c for c in all_checks() if c.requirement == "STATE-INITIAL"]
    verdict = verdict_of(check, layers_of(Raising()), "lstm", profile=SMOKE)
    assert "claim inputs without 'sequence_lens', or keep it as a known failure" in verdict.common


@pytest.mark.parametrize(
    ("feature", "claimed", "words"),
    [
        ("multilayer", False, "stacks=False"),
        ("bidirectional", True, "directions with 'bidirectional'"),
        ("rnn_relu", True, "attributes with 'activations'"),
        ("gru", True, "attributes with 'linear_before_reset'"),
        ("bfloat16", True, "dtypes with 'bfloat16'"),
    ],
)
def test_claims_of_layers_in_the_words_of_a_runtime(feature, claimed, words):
    assert layers_of(onnx_interpreter.NumpyRuntime()).claim_of(feature, claimed) == words


# --- claims, models, mistakes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, {"lengths": True, "initial_state": True, "bidirectional": True, "batch_first": True}),
        ({"inputs": {"B"}}, {"lengths": False, "initial_state": False}),
        ({"inputs": {"B", "initial_h"}}, {"initial_state": True, "by_kind": {"lstm": {"initial_state": False}}}),
        ({"inputs": {"B", "initial_h"}, "operators": "GRU"}, {"initial_state": True}),
        ({"directions": {"forward", "reverse"}}, {"bidirectional": False}),
        ({"opsets": {7}}, {"batch_first": False}),
        ({"opsets": {14}, "dtypes": {"float32", "bfloat16"}}, {"dtypes": {"float32"}}),
        ({"attributes": {"clip"}}, {"kinds": {"rnn_tanh", "lstm"}}),
        (
            {"attributes": {"linear_before_reset", "activations"}, "activations": {"Tanh"}},
            {"kinds": {"rnn_tanh", "lstm", "gru"}},
        ),
        ({"stacks": False}, {"multilayer": False}),
        ({"float32_arithmetic": {"GRU": "tf32"}}, {"by_kind": {"gru": {"float32_arithmetic": "tf32"}}}),
        ({"fixed_shapes": {"steps"}}, {"fixed_shapes": {"steps"}}),
        ({"hidden_sizes": {64}, "input_sizes": 8}, {"hidden_sizes": (64,), "input_sizes": (8,)}),
        ({"input_sizes": {2, 8}, "inputs": ()}, {"input_sizes": (6,)}),
        (
            {"by_operator": {"GRU": {"inputs": {"B"}}}},
            {"lengths": True, "by_kind": {"gru": {"initial_state": False, "lengths": False}}},
        ),
    ],
)
def test_claims_follow_from_the_runtimes(claims, expected):
    derived = layer_features(OnnxFeatures(**claims))
    assert {name: getattr(derived, name) for name in expected} == expected
    assert json.dumps(OnnxFeatures(**claims).as_json())
    assert replace(OnnxFeatures(**claims)) == OnnxFeatures(**claims)


@pytest.mark.parametrize("claims", [{"operators": "GRU", "attributes": ()}, {"directions": "reverse"}])
def test_claims_that_make_up_no_layer(claims):
    runtime = OnnxRuntime()
    runtime.features = OnnxFeatures(**claims)
    with pytest.raises(ValueError, match="speaks none of the specifications that are asked for"):
        conformance.run(runtime, profile="smoke", specification="torch.nn")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"operators": ()}, "operators: expected some of RNN, LSTM, GRU, got"),
        ({"operators": "lstm"}, "operators: expected some of RNN"),
        ({"operators": 3}, "operators: expected some of RNN"),
        ({"opsets": {1}}, "opsets: expected some whole numbers of at least 7, got"),
        ({"opsets": "14"}, "opsets: expected some whole numbers"),
        ({"dtypes": {"float"}}, "dtypes: expected some of float32"),
        ({"attributes": {"clips"}}, "attributes: expected none or some of activations"),
        ({"inputs": {"lengths"}}, "inputs: expected none or some of B"),
        ({"directions": {"backward"}}, "directions: expected some of forward"),
        ({"parameters": "constants"}, "parameters: expected one of initializers, inputs"),
        ({"hidden_sizes": 0}, "hidden_sizes: expected whole numbers of at least 1"),
        ({"by_operator": {"Gru": {}}}, "by_operator: expected some of RNN, LSTM, GRU, got ['Gru']"),
        ({"by_operator": {"GRU": {"input": ()}}}, "by_operator['GRU']: expected names of claims, such as inputs"),
        ({"by_operator": {"GRU": {"inputs": "b"}}}, "inputs: expected none or some of B"),
        ({"configurations": 0}, "configurations: expected None or at least 1"),
        ({"float32_arithmetic": "half"}, "float32_arithmetic: expected one of"),
    ],
)
def test_wrong_claims_are_one_sentence(claims, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        OnnxFeatures(**claims)


def answering(answer):
    """Return layers of a runtime whose prepared models give ``answer(inputs)``."""

    class Answering(OnnxRuntime):
        def prepare(self, model):
            return answer

    return layers_of(Answering())


Y, Y_H = np.zeros((2, 1, 3, 4), np.float32), np.zeros((1, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "prepare returned of type NoneType, not a function from inputs to outputs"),
        (lambda inputs: [Y, Y_H], "the prepared model returned of type list, not a dict of its outputs by name"),
        (lambda inputs: {"Y": Y}, "the prepared model returned Y, without Y_h"),
        (
            lambda inputs: {"Y": Y.tolist(), "Y_h": Y_H},
            "the prepared model returned Y of type list, not as a NumPy array",
        ),
        (lambda inputs: {"Y": Y[:, 0], "Y_h": Y_H}, "returned Y of shape (2, 3, 4): expected 4 axes"),
    ],
)
def test_mistakes_of_the_adapter_are_one_sentence(answer, message):
    config = LayerConfig("gru", 3, 4)
    layer = answering(answer).layer(config, Fill(config, "ordinary", 1).parameters())
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        layer.forward(np.ones((2, 3, 3), np.float32))


def test_errors_of_the_runtime_are_refusals_where_it_claims_nothing():
    class Refusing(OnnxRuntime):
        features = OnnxFeatures("GRU")

        def prepare(self, model):
            raise RuntimeError("no")

    for kind, error in (("gru", RuntimeError), ("lstm", Unsupported)):
        config = LayerConfig(kind, 3, 4)
        layer = layers_of(Refusing()).layer(config, Fill(config, "ordinary", 1).parameters())
        with pytest.raises(error, match="no"):
            layer.forward(np.ones((2, 3, 3), np.float32))


def test_names_and_classes_that_are_no_runtime(monkeypatch):
    with pytest.raises(ValueError, match=r"json has no prepare\(model, device\)"):
        conformance.run("onnx:json", isolation="none")
    with pytest.raises(ValueError, match="module 'no_such' cannot be imported"):
        conformance.run("onnx:no_such", isolation="none")

    class Torchs(OnnxRuntime):
        features = conformance.Features()

    with pytest.raises(ValueError, match=r"features are of type Features, not conformance.onnx.OnnxFeatures\(...\)"):
        conformance.run(Torchs, isolation="none")

    class Newer(OnnxRuntime):
        features = OnnxFeatures(opsets={14, 99})

    with pytest.raises(ValueError, match="claims opset 99, and the installed onnx knows"):
        conformance.run(Newer, isolation="none")
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs onnx, not installed here: pip install 'rnn-conformance\[onnx\]'"):
        conformance.run(OnnxRuntime, isolation="none")


class Nothing:
    """ONNX's backend interface that prepares nothing."""

    @staticmethod
    def prepare(model, device):
        raise NotImplementedError("no recurrent operator")


def test_an_interface_that_runs_nothing_is_one_sentence():
    with pytest.raises(ValueError, match=r"runs none of RNN, LSTM and GRU in float32 .*no recurrent operator"):
        conformance.run(interface_runtime(Nothing, "nothing"), isolation="none")


@pytest.mark.parametrize("opset", [7, 13, 14, 22])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("operator", ["RNN", "LSTM", "GRU"])
def test_models_are_valid(operator, dtype, opset):
    inputs = {"B", "sequence_lens", "initial_h"} | ({"initial_c", "P"} if operator == "LSTM" else set())
    node = Node(operator, 3, 4, "bidirectional", {"layout": 1} if opset >= 14 else {}, inputs)
    above = replace(node, input_size=8)
    if dtype == "bfloat16" and opset < 22:
        with pytest.raises(ValueError, match="22 or newer for bfloat16"):
            build_model(node, dtype=dtype, opset=opset)
        return
    for nodes in (node, [node, above, above]):
        for extents in ({}, {"steps": 5, "samples": 2}):
            onnx.checker.check_model(build_model(nodes, dtype=dtype, opset=opset, **extents), full_check=True)


def test_models_have_constants_or_inputs():
    constants = {"W": np.ones((1, 12, 3), np.float32)}
    model = build_model(Node("GRU", 3, 4), constants=constants, samples=2)
    assert [value.name for value in model.graph.input] == ["X", "R", "B"]
    assert [tensor.name for tensor in model.graph.initializer] == ["W"]
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["T", 2, 3]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Node("Gru", 3, 4), "operator: expected one of RNN, LSTM, GRU, got 'Gru'"),
        (lambda: Node("GRU", 3, 4, inputs={"P"}), "inputs: expected some of B, sequence_lens, initial_h, got ['P']"),
        (lambda: Node("RNN", 3, 4, attributes={"input_forget": 1}), "attributes: expected some of activations"),
        (lambda: build_model(Node("GRU", 3, 4), opset=99), "opset: expected one that the installed onnx knows"),
        (lambda: build_model(Node("GRU", 3, 4, attributes={"layout": 1}), opset=7), "14 or newer for layout"),
        (
            lambda: build_model([Node("GRU", 3, 4)] * 2),
            "input_size: expected 4, the joined Y of the layer below, got 3",
        ),
        (lambda: build_model(Node("GRU", 3, 4), constants={"V": Y}), "constants: expected some of X, W, R, B, got 'V'"),
        (lambda: build_model(Node("GRU", 3, 4), constants={"W": Y}), "W: expected shape (1, 12, 3), got (2, 1, 3, 4)"),
    ],
)
def test_wrong_models_are_one_sentence(build, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build()
