"""The adapters of torch.onnx.export run the exported graph and export it once."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest

import reference
from conformance import CellConfig, Features, LayerConfig, Unsupported
from conformance.backends.cross_process_cache import LENGTH, CrossProcessCache
from conformance.backends.kept_exports import KeptExports
from conformance.engine.drawing import Plans
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.plans import Fill
from conformance.specifications.torch_nn.strategies import POOL, cells, layers
from reference.parameters import parameter_shapes
from tests.harness import all_checks, failures

torch = pytest.importorskip("torch")

from conformance.backends import torch_onnx_dynamo as dynamo  # noqa: E402 (it imports torch)

GRU = LayerConfig("gru", 3, 4)
GATES = [check for check in all_checks() if check.requirement in ("GRU-GATE-ORDER", "GRU-EQUATION")]


class FewGRUs(dynamo.DynamoOnnxRuntime):
    """An adapter with one configuration of the pool, a GRU of one layer and one direction: one export."""

    features = replace(dynamo.DynamoOnnxRuntime.features, kinds={"gru"}, configurations=1)


@pytest.fixture(scope="module")
def backend():
    return FewGRUs()


def layer_and_call(backend, config, T=3, N=3):
    fill = Fill(config, "ordinary", 3)
    parameters, rows = fill.parameters(), config.num_layers * config.directions
    x = fill.array((N, T, config.input_size) if config.batch_first else (T, N, config.input_size))
    h_0 = fill.array((rows, N, config.hidden_size))
    return backend.layer(config, parameters), x, h_0, reference.forward(config, parameters, x, h_0)


def test_it_conforms_where_gates_are_looked_at(backend):
    assert failures(backend, checks=GATES) == {}


def test_gates_that_the_exporter_swaps_are_found(monkeypatch):
    """The adapter runs the exported graph; a change of the exporter would not affect torch's module."""
    right = torch.onnx.export

    def swapped(*arguments, **options):
        program = right(*arguments, **options)
        gates = [node for node in program.model.graph if node.op_type == "Concat" and len(node.inputs) == 3]
        assert len(gates) == 4  # two matrices and two biases
        for node in gates:
            first, second = node.inputs[:2]
            node.replace_input_with(0, second)
            node.replace_input_with(1, first)
        return program

    monkeypatch.setattr(torch.onnx, "export", swapped)
    found = failures(FewGRUs(), checks=GATES)
    assert set(found) == {"GRU-GATE-ORDER", "GRU-EQUATION"}
    assert "z|r|n" in found["GRU-GATE-ORDER"]


def test_one_export_serves_every_number_of_samples_and_every_set_of_parameters(monkeypatch):
    exports, right = [], dynamo.exported

    def counted(*arguments):
        exports.append(arguments)
        return right(*arguments)

    monkeypatch.setattr(dynamo, "exported", counted)
    backend, config = dynamo.DynamoOnnxRuntime(), LayerConfig("rnn_relu", 3, 4, 2)
    for N in (1, 2, 5):
        layer, x, h_0, want = layer_and_call(backend, replace(config, dropout=N / 10), N=N)
        got = layer.forward(x, h_0)
        assert np.abs(got.output - want.output).max() < 3e-6
        assert np.abs(got.h_n - want.h_n).max() < 3e-6
    assert len(exports) == 1
    layer.forward(x)  # without states, and with other steps: further graphs
    layer.forward(x[:2])
    assert len(exports) == 3


@pytest.mark.parametrize("kind", ["gru", "rnn_tanh"])
def test_parameters_as_inputs_change_no_number(backend, kind):
    """The default export, with constant parameters, gives the same numbers."""
    config = LayerConfig(kind, 3, 4, 2)
    layer, x, _, want = layer_and_call(backend, config)
    module = dynamo.layer_module(config)
    parameters = Fill(config, "ordinary", 3).parameters()
    module.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    with dynamo.quietly():
        model = torch.onnx.export(module, (torch.zeros(x.shape),), dynamo=True, verbose=False).model_proto
    graph = dynamo.session(model.SerializeToString())
    constant = graph.run(None, {graph.get_inputs()[0].name: x})[0]
    assert np.abs(layer.forward(x).output - constant).max() < 3e-6
    assert np.abs(constant - want.output).max() > 0.01  # that call has states


def test_what_is_not_claimed_is_refused(backend):
    def parameters(config):
        return {name: np.zeros(shape, config.dtype) for name, shape in parameter_shapes(config).items()}

    for config in (
        replace(GRU, dtype="float64"),
        replace(GRU, dtype="float16"),
        LayerConfig("lstm", 3, 4, proj_size=2),
    ):
        with pytest.raises(Unsupported):
            backend.layer(config, parameters(config))
    cell = CellConfig("gru", 3, 4, dtype="float64")
    with pytest.raises(Unsupported):
        backend.cell(cell, parameters(cell))
    layer = backend.layer(GRU, parameters(GRU))
    with pytest.raises(Unsupported, match="packed input"):
        layer.forward(np.zeros((3, 2, 3), np.float32), lengths=[3, 1])
    with pytest.raises(Unsupported):
        layer.parameters()


# --- once ---------------------------------------------------------------------------------------------


def in_a_fork(work):
    """Run ``work`` in a forked process and wait for its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
def test_what_one_process_computed_another_does_not(tmp_path):
    cache, log = CrossProcessCache(), tmp_path / "log"

    def compute():
        with log.open("a") as file:
            file.write("computed\n")
        return b"a model"

    in_a_fork(lambda: cache("key", compute))
    in_a_fork(lambda: cache("key", compute))
    assert cache("key", compute) == b"a model"
    assert cache("another", lambda: b"another model") == b"another model"
    assert log.read_text() == "computed\n"


def test_what_raised_raises_again():
    cache, calls = CrossProcessCache(), []

    def fails():
        calls.append(1)
        raise ValueError("not exported")

    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^ValueError: not exported$"):
            cache("key", fails)
    assert len(calls) == 1


def test_a_record_that_its_writer_did_not_finish_is_none():
    cache = CrossProcessCache()
    assert cache("first", lambda: 1) == 1
    os.pwrite(cache.file, LENGTH.pack(1000) + b"the beginning", cache.read)
    assert cache("second", lambda: 2) == 2
    cache.known.clear()
    cache.read = 0
    assert [cache(key, lambda: None) for key in ("first", "second")] == [1, 2]


def kept_exports(folder, monkeypatch, packages=("numpy",)):
    monkeypatch.setenv("CONFORMANCE_EXPORTS", str(folder))
    return KeptExports(packages, (sys.modules[__name__],))


def test_exports_stay_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    exports = []

    def export():
        exports.append(1)
        return b"a model"

    for _ in range(2):
        assert kept_exports(tmp_path / "kept", monkeypatch)("key", export) == b"a model"
    assert len(exports) == 1
    kept_exports(tmp_path / "kept", monkeypatch)("another key", export)
    kept_exports(tmp_path / "kept", monkeypatch, ("numpy", "onnx"))("key", export)
    assert len(exports) == 3


def test_a_damaged_export_is_exported_again(tmp_path, monkeypatch):
    kept = kept_exports(tmp_path, monkeypatch)
    kept("key", lambda: b"a model")
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert kept("key", lambda: b"again") == b"again"
    assert kept("key", lambda: b"not asked for") == b"again"


def test_without_the_variable_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("CONFORMANCE_EXPORTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert KeptExports(("numpy",), ())("key", lambda: b"a model") == b"a model"
    assert not list(tmp_path.iterdir())


# --- drawn configurations -----------------------------------------------------------------------------


def test_few_configurations_are_those_of_the_pool():
    features = Features(configurations=len(POOL), fixed_shapes="steps", projection=False, lengths=False)
    plans = Plans(0).block(TORCH_NN, layers, features, 0)
    members = {(p.config.input_size, p.config.num_layers, p.config.batch_first, p.T, p.with_states) for p in plans}
    asked = {(m.input_size, m.num_layers, m.batch_first, m.T, m.initial_state) for m in POOL}
    assert members == asked
    assert len({p.N for p in plans}) > 5  # samples are free
    assert any(p.config.batch_first and p.N is None for p in plans)
    of_cells = Plans(0).block(TORCH_NN, cells, features, 0)
    assert {p.N is None for p in of_cells} == {p.with_states for p in of_cells} == {True, False}


def test_steps_are_limited_where_a_graph_grows_with_them():
    from conformance.specifications.torch_nn.strategies import long_layers, very_long_layers

    features = Features(configurations=5, fixed_shapes={"steps"}, most_steps=33)
    for draw in (long_layers, very_long_layers):
        assert {p.T for p in Plans(0).block(TORCH_NN, draw, features, 0)} == {33}
    assert {p.T for p in Plans(0).block(TORCH_NN, very_long_layers, Features(), 0)} == {1000, 2000}


def test_fixed_shapes_are_checked():
    assert Features(fixed_shapes={"steps"}).as_json()["fixed_shapes"] == ["steps"]
    assert Features(fixed_shapes=True).fixes("samples")
    assert not Features(fixed_shapes={"steps"}).fixes("samples")
    with pytest.raises(ValueError, match="True, False or some of steps, samples"):
        Features(fixed_shapes={"units"})
    with pytest.raises(ValueError, match="most_steps"):
        Features(most_steps=0)
