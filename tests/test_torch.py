"""The adapters of torch: their kernels, the need for a CUDA device, and their common base."""

import json
from pathlib import Path

import numpy as np
import pytest

from conformance import CellConfig, Features, LayerConfig, Unsupported, registry
from conformance.engine.drawing import Plans
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.strategies import layers
from reference.parameters import parameter_shapes
from tests.test_plugin import QUICK, run

torch = pytest.importorskip("torch")

from conformance.backends import torch_compile, torch_cuda, torch_eager, torch_export, torch_script  # noqa: E402 (they import torch)
from conformance.torch.standard import layer_module  # noqa: E402

KNOWN = Path(torch_eager.__file__).parent
CUDA = {
    "torch-cuda": torch_cuda.TorchCUDA,
    "torch-cuda-tf32": torch_cuda.TorchCUDATF32,
    "torch-cuda-native": torch_cuda.TorchCUDANative,
}
LSTM = LayerConfig("lstm", 3, 4, num_layers=2, dropout=0.5)
X = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)


def parameters(config=LSTM):
    rng = np.random.default_rng(1)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in parameter_shapes(config).items()}


def cuda_on_cpu():
    """Return the adapter of ``torch-cuda`` on the CPU."""
    return torch_cuda.TorchCUDA("cpu")


def test_the_cuda_adapter_conforms_on_the_cpu(tmp_path):
    known, report = tmp_path / "known.toml", tmp_path / "report.json"
    text = (KNOWN / "torch-cpu.toml").read_text()
    known.write_text(text.replace('backend = "torch-cpu"', 'backend = "torch-cuda"'))
    backend = ("conformance", "--backend", "tests.test_torch:cuda_on_cpu", "-k", "lstm-float32 or gru-float16")
    status, printed = run(*backend, *QUICK, "--known-failures", str(known), "--conformance-report", str(report))
    found = json.loads(report.read_text())
    assert status == 0, printed
    assert found["backend"]["features"]["deterministic"] is False
    assert found["summary"]["passed"] > 150


@pytest.mark.parametrize("name", CUDA)
def test_without_a_cuda_device_it_is_refused_in_one_sentence(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(registry.UnknownBackend) as refusal:
        registry.backend(name)
    assert str(refusal.value) == f"backend {name!r} needs a CUDA device: torch {torch.__version__} finds none."


@pytest.mark.parametrize(("name", "enabled", "tf32"), [
    ("torch-cuda", True, False), ("torch-cuda-tf32", True, True), ("torch-cuda-native", False, False),
])  # fmt: skip
def test_cudnn_and_tf32_are_as_declared_in_every_call_and_not_after(name, enabled, tf32):
    backend = CUDA[name]("cpu")
    assert backend.name == name
    assert backend.features.arithmetic("lstm", "float32").name == ("tf32" if tf32 else "float32")
    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    seen = during_calls(backend, lambda: (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32))
    assert seen == {(enabled, tf32)}
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before


def test_onednn_is_off_in_every_call_of_the_native_backend_and_on_after():
    assert during_calls(torch_eager.TorchCPU(), lambda: torch.backends.mkldnn.enabled) == {True}
    assert during_calls(torch_eager.TorchCPUNative(), lambda: torch.backends.mkldnn.enabled) == {False}
    assert torch.backends.mkldnn.enabled


def during_calls(backend, look):
    """Return the values of ``look()`` inside each call that computes something."""
    seen = set()
    layer, cell_config = backend.layer(LSTM, parameters()), CellConfig("gru", 3, 4)
    cell = backend.cell(cell_config, parameters(cell_config))
    for module in (layer.module, layer._undropping[0], cell.module):
        module.register_forward_hook(lambda *_: seen.add(look()))
    layer.forward(X)
    layer.forward_training(X, seed=0)
    layer.gradients(X, None, None, None, np.ones((5, 2, 4), np.float32), None, None)
    cell.step(X[0])
    return seen


@pytest.mark.parametrize(("backend", "onednn"), [(torch_eager.TorchCPU, True), (torch_eager.TorchCPUNative, False)])
def test_an_lstm_is_computed_by_onednn_or_not(backend, onednn):
    """torch's profiler shows the kernel of each backend."""
    layer = backend().layer(LSTM, parameters())
    with torch.profiler.profile() as profile:
        layer.forward(X)
    assert any("mkldnn_rnn_layer" in event.key for event in profile.key_averages()) is onednn


def test_flags_hold_until_the_last_thread_has_left():
    flags = torch_eager.Switched(lambda: torch.backends.mkldnn.flags(enabled=False, allow_tf32=None))
    first, second = flags, flags
    with first:
        second.__enter__()
    assert not torch.backends.mkldnn.enabled, "one of two is still inside"
    second.__exit__(None, None, None)
    assert torch.backends.mkldnn.enabled


def test_gradients_are_those_of_inference():
    """The adapter differentiates in training mode, as cuDNN requires, and without dropout."""
    backend, cotangent = torch_eager.TorchCPU(), np.ones((5, 2, 4), np.float32)
    with_dropout = backend.layer(LSTM, parameters()).gradients(X, None, None, None, cotangent, None, None)
    without = LayerConfig("lstm", 3, 4, num_layers=2)
    expected = backend.layer(without, parameters(without)).gradients(X, None, None, None, cotangent, None, None)
    assert all((with_dropout[name] == expected[name]).all() for name in expected)


GRU = LayerConfig("gru", 3, 4)


def test_a_layer_that_is_not_compiled_is_no_result():
    """By default torch leaves recurrent layers in eager mode; the adapter must raise then."""
    weights, x = layer_module(GRU).state_dict(), torch.zeros(3, 2, 3)
    uncompiled = torch_compile.Compiled(GRU, options={"allow_rnn": False})
    try:
        with pytest.raises(Exception, match="does not support RNN, GRU, or LSTM"):
            uncompiled(weights, x, None)
        uncompiled.function = torch.compile(uncompiled.module, backend=uncompiled._compile)  # without fullgraph
        with pytest.raises(RuntimeError, match="compiled nothing"):
            uncompiled(weights, x, None)
    finally:
        torch._dynamo.reset()  # dynamo skips these modules from now on
    assert torch_compile.Compiled(GRU)(weights, x, None)[0].shape == (3, 2, 4)


@pytest.mark.parametrize("backend", [torch_script.TorchScript, torch_export.TorchExport, torch_compile.TorchCompile])
@pytest.mark.parametrize("config", [GRU, LayerConfig("lstm", 3, 4, bidirectional=True)])
def test_two_layers_of_one_configuration_keep_their_own_parameters(backend, config):
    """Layers of one configuration share a compiled function, but not its parameters."""
    first, second = parameters(config), {name: -value for name, value in parameters(config).items()}
    built = [backend().layer(config, weights) for weights in (first, second)]
    for weights, layer in zip((first, second) * 2, built * 2, strict=True):
        expected = torch_eager.TorchCPU().layer(config, weights).forward(X).output
        np.testing.assert_allclose(layer.forward(X).output, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", [torch_script.TorchScript, torch_export.TorchExport, torch_compile.TorchCompile])
def test_unclaimed_dtypes_and_lengths_are_refused(backend):
    config = LayerConfig("gru", 3, 4, dtype="float64")
    with pytest.raises(Unsupported, match="float32 alone"):
        backend().layer(config, {name: a.astype(np.float64) for name, a in parameters(config).items()})
    if not backend.features.lengths:
        with pytest.raises(Unsupported, match="lengths is not claimed"):
            backend().layer(GRU, parameters(GRU)).forward(X, lengths=[5, 3])


def test_fixed_shapes_bound_the_shapes_that_are_asked_for():
    def shapes(**features):
        plans = Plans(0).block(TORCH_NN, layers, Features(configurations=4, lengths=False, **features), 0)
        return {(p.config.input_size, p.config.hidden_size, p.T, p.N, p.with_states) for p in plans}

    assert len(shapes(fixed_shapes=True)) <= 4 * 4  # four for each way in which a call is large, and four small ones
    assert len(shapes()) > 2 * len(shapes(fixed_shapes=True))
