"""The cases as ONNX test data, replayed by onnx's own loader and runner under onnxruntime, right and wrong."""

import subprocess
import sys
import unittest
from itertools import permutations
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx.backend.base import Backend, BackendRep  # noqa: E402 (only where there is onnx)
from onnx.backend.test import loader, runner  # noqa: E402

from conformance.cases import default_directory, load_cases  # noqa: E402
from conformance.cases.onnx_export import export, onnx_model, why_not  # noqa: E402
from conformance.specifications.onnx_operators.vectors import vectors  # noqa: E402

CASES = {case.id: case for case in load_cases() if not why_not(case)}
# onnxruntime has no kernel for layout=1, and drops NaN in x: docs/findings.md
NOT_IN_ONNXRUNTIME = {
    c.id for c in CASES.values() if "batch_first" in c.features or "nan" in c.id or "infinity" in c.id
}
LSTM_ORDER = "iofc"  # the order of ONNX's blocks
ORDERS = ["".join(order) for order in permutations(LSTM_ORDER)]


class Session(BackendRep):
    """A model under onnxruntime, whose LSTM nodes receive their weights with the blocks in ``order``."""

    def __init__(self, model, order):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.names = [i.name for i in model.graph.input]
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.order = [LSTM_ORDER.index(gate) for gate in order]
        self.weights = {n: k for node in model.graph.node if node.op_type == "LSTM" for k, n in enumerate(node.input)}

    def run(self, inputs, **_):
        feeds = dict(zip(self.names, inputs, strict=True))
        return self.session.run(None, {name: self._permuted(name, a) for name, a in feeds.items()})

    def _permuted(self, name, array):
        if self.weights.get(name) not in (1, 2, 3):  # W, R, B
            return array
        blocks = np.split(array, 8 if self.weights[name] == 3 else 4, axis=1)
        return np.concatenate([blocks[start + k] for start in range(0, len(blocks), 4) for k in self.order], axis=1)


def backend_of(order=LSTM_ORDER):
    class Ort(Backend):
        @classmethod
        def prepare(cls, model, device="CPU", **_):
            return Session(model, order)

        @classmethod
        def supports_device(cls, device):
            return device == "CPU"

    return Ort


def outcome(tests, order=LSTM_ORDER):
    """Run tests with onnx's runner; return the names of the tests that ran and of the tests that failed."""
    with mock.patch.object(runner, "load_model_tests", lambda kind: tests if kind == "simple" else []):
        suite = runner.Runner(backend_of(order), __name__).exclude("cuda").test_suite
    result = unittest.TestResult()
    suite.run(result)
    failed = {str(test).split()[0].removesuffix("_cpu") for test, _ in [*result.failures, *result.errors]}
    return result.testsRun - len(result.skipped), failed


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export the cases and read them with onnx's loader."""
    folder = tmp_path_factory.mktemp("onnx") / "cases"
    cases = [case for case in CASES.values() if case.id not in NOT_IN_ONNXRUNTIME]
    written, left_out = export(cases, folder)
    assert len(written) == len(cases)
    assert not left_out
    return loader.load_model_tests(str(folder.parent), "cases")


def node_tests(*names):
    return [test for test in loader.load_model_tests(kind="node") if test.name in names]


def test_onnxruntime_passes_every_exported_case(exported):
    count, failed = outcome(exported)
    assert count == len(exported) > 25
    assert failed == set()


def test_a_wrong_output_fails(exported, tmp_path):
    test = next(test for test in exported if "lstm" in test.name)
    data = Path(test.model_dir, "test_data_set_0", "output_0.pb")
    right = data.read_bytes()
    tensor = onnx.TensorProto.FromString(right)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[0] += 3e-5
    data.write_bytes(onnx.numpy_helper.from_array(array, tensor.name).SerializeToString())
    try:
        assert outcome([test])[1] == {test.name}
    finally:
        data.write_bytes(right)


@pytest.mark.filterwarnings("ignore")  # from the tests of other operators, which onnx also computes
def test_onnxs_own_lstm_vectors_pass_for_every_order_of_the_gates():
    """Their weights are constant, so all blocks are equal. onnxruntime has no kernel for layout=1."""
    tests = node_tests(
        "test_lstm_defaults", "test_lstm_with_initial_bias", "test_lstm_bidirectional", "test_lstm_reverse"
    )
    assert len(tests) == 4
    for order in ORDERS:
        with mock.patch.object(runner, "load_model_tests", lambda kind: tests if kind == "node" else []):
            suite = runner.Runner(backend_of(order), __name__).exclude("cuda").test_suite
        result = unittest.TestResult()
        suite.run(result)
        assert result.testsRun - len(result.skipped) == 4
        assert result.wasSuccessful(), order


def test_the_generated_lstm_cases_fail_for_every_wrong_order(exported):
    generated = {path.stem.replace("-", "_") for path in (default_directory() / "generated").glob("lstm-*.json")}
    lstm = [test for test in exported if test.name.removeprefix("test_") in generated]
    assert lstm
    for order in ORDERS:
        assert bool(outcome(lstm, order)[1]) == (order != LSTM_ORDER), order


def test_layout_1_and_nan_are_left_out_for_onnxruntimes_sake_alone():
    left_out = [case for case in CASES.values() if "batch_first" in case.features]
    assert left_out
    model, _, _ = onnx_model(left_out[0])
    with pytest.raises(Exception, match=r"layout|not supported|Not Implemented"):
        Session(model, LSTM_ORDER)


def test_the_models_are_valid_and_a_stack_is_several_nodes():
    seen = set()
    for case in CASES.values():
        model, _inputs, outputs = onnx_model(case)
        onnx.checker.check_model(model)
        nodes = sum(node.op_type in ("LSTM", "GRU", "RNN") for node in model.graph.node)
        (module,) = case.modules.values()
        assert nodes == module.arguments["num_layers"]
        assert list(outputs) == list(case.numbers)
        assert all(a.dtype == np.float32 for a in outputs.values())
        seen.add(nodes)
    assert len(seen) > 1


def test_the_command_says_what_it_wrote_and_what_not(tmp_path):
    command = [sys.executable, "-m", "conformance", "cases", "export", "--onnx", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"{len(CASES)} of {len(load_cases())} cases written to ")
    assert sum(int(line.split()[0]) for line in rest) == len(load_cases()) - len(CASES)
    assert any("gradients" in line for line in rest)
    folder = tmp_path / "out" / "test_lstm_10_20_2"
    assert (folder / "model.onnx").is_file()
    assert (folder / "test_data_set_0" / "input_0.pb").is_file()
    assert (folder / "test_data_set_0" / "output_2.pb").is_file()


def test_without_onnx_the_command_says_what_to_install(tmp_path):
    script = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'onnx' else find(name, *a)\n"
        f"sys.argv = ['conformance', 'cases', 'export', '--onnx', {str(tmp_path)!r}]\n"
        "from conformance.__main__ import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("pip install 'rnn-conformance[onnx-ops]'.")
    assert len(done.stderr.strip().splitlines()) == 1


def test_importing_conformance_imports_no_onnx():
    code = "import sys, conformance, conformance.cases, conformance.__main__; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def is_wrong_in_onnxruntime(call):
    """Return whether a vector shows a departure of onnxruntime that docs/findings.md has, or layout=1."""
    functions = call.config.activations or ()
    threshold_by_default = "ThresholdedRelu" in functions and call.config.activation_alpha is None
    return bool(call.config.layout) or 0 in call.lengths or threshold_by_default


def test_the_vectors_of_the_operators_are_right_and_notice_wrong_gates(tmp_path):
    command = [sys.executable, "-m", "conformance", "cases", "export", "--specification", "onnx"]
    done = subprocess.run([*command, "--onnx", tmp_path / "vectors"], capture_output=True, text=True, check=True)
    tests = loader.load_model_tests(str(tmp_path), "vectors")
    assert done.stdout == f"{len(tests)} vectors written to {tmp_path / 'vectors'}\n"
    assert len(tests) == 56
    wrong = {f"test_{v.name.replace('-', '_')}" for v in vectors() if is_wrong_in_onnxruntime(v.call)}
    assert outcome(tests)[1] == wrong
    of_lstm = {test.name for test in tests if "lstm" in test.name}
    assert outcome(tests, "ifoc")[1] >= of_lstm
