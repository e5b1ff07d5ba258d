"""ONNX's operators built directly: the models are right on a right runtime, and the negative control fails."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

import reference
from conformance import LayerConfig, Unsupported
from conformance.backends.onnx_ops_ort import OnnxOpsOrt
from conformance.backends.onnx_ops_reference import OnnxOpsReference
from conformance.diagnosis.words import sentences
from conformance.onnx.layers import layers_of
from conformance.specifications.torch_nn.plans import Fill
from reference.config import KINDS
from tests.harness import all_checks, failures, verdict_of


def layers(runtime, **claims):
    """Return torch.nn's layers on a runtime, with other claims."""
    if claims:
        runtime.features = replace(runtime.features, **claims)
    return layers_of(runtime)


def layer_and_call(backend, config, T=4, N=3):
    fill = Fill(config, "ordinary", 3)
    parameters = fill.parameters()
    rows = config.num_layers * config.directions
    states = [fill.array((rows, N, config.hidden_size)) for _ in range(2 if config.kind == "lstm" else 1)]
    x = fill.array((N, T, config.input_size) if config.batch_first else (T, N, config.input_size))
    return (
        backend.layer(config, parameters),
        (x, *states),
        lambda *arguments: reference.forward(config, parameters, *arguments),
    )


def assert_close(got, want):
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        assert a is None or np.abs(a - b).max() < 3e-6


@pytest.mark.parametrize("parameters", ["inputs", "initializers"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers_", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_the_documented_layer(kind, layers_, bidirectional, parameters):
    backend = layers(OnnxOpsOrt(), parameters=parameters, opsets={7, 14, 22})
    config = LayerConfig(kind, 3, 5, layers_, bidirectional=bidirectional)
    layer, (x, *states), want = layer_and_call(backend, config)
    states += [None] * (2 - len(states))
    assert_close(layer.forward(x), want(x))
    assert_close(layer.forward(x, *states), want(x, *states))
    assert_close(layer.forward(x, *states, [2, 4, 1]), want(x, *states, [2, 4, 1]))


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru", "lstm"])
def test_batch_first_is_layout_1(kind):
    config = LayerConfig(kind, 3, 5, 2, bidirectional=True, batch_first=True)
    layer, (x, *states), want = layer_and_call(layers(OnnxOpsReference()), config)
    assert_close(layer.forward(x, *states), want(x, *states))


@pytest.mark.parametrize(("parameters", "prepared"), [("inputs", 1), ("initializers", 2)])
def test_a_model_is_prepared_once(parameters, prepared):
    """For a configuration, or for each set of parameters where these are constants."""
    backend, config = layers(OnnxOpsOrt(), parameters=parameters), LayerConfig("gru", 3, 5)
    for seed, steps in ((3, 2), (3, 5), (4, 2)):
        backend.layer(config, Fill(config, "ordinary", seed).parameters()).forward(np.ones((steps, 2, 3), np.float32))
    assert len(backend._prepared) == prepared


@pytest.mark.parametrize("kind", ["rnn_tanh", "lstm"])
@pytest.mark.parametrize("bias", [True, False])
def test_biases_are_columns_of_w_for_a_runtime_without_b(kind, bias):
    models = []

    class WithoutB(OnnxOpsOrt):
        features = replace(OnnxOpsOrt.features, inputs={"sequence_lens"}, parameters="initializers")

        def prepare(self, model):
            models.append(onnx.load_model_from_string(model))
            return super().prepare(model)

    config = LayerConfig(kind, 3, 5, bias=bias, bidirectional=True)
    backend = layers(WithoutB())
    assert not backend.features.initial_state
    assert not backend.features.multilayer
    assert "gru" not in backend.features.kinds
    layer, (x, *_), want = layer_and_call(backend, config)
    assert_close(layer.forward(x, lengths=[2, 4, 1]), want(x, None, None, [2, 4, 1]))
    assert "B" not in {name for model in models for node in model.graph.node for name in node.input}


def test_openvino_ignores_lengths_where_parameters_are_constants():
    openvino = pytest.importorskip("conformance.backends.onnx_ops_openvino", exc_type=ImportError)
    ends = [check for check in all_checks() if check.requirement == "LENGTHS-OUTPUT-ZERO"]
    assert failures(layers(openvino.OnnxOpsOpenVINO()), checks=ends) == {}
    found = failures(layers(openvino.OnnxOpsOpenVINOConstants()), checks=ends)
    assert set(found) == {"LENGTHS-OUTPUT-ZERO"}


@pytest.mark.parametrize(
    "changes", [{"proj_size": 2}, {"batch_first": True}, {"dtype": "float64"}, {"dtype": "bfloat16"}]
)
def test_what_is_not_claimed_is_refused(changes):
    """The runtime refuses it, or the layers do where ONNX cannot express it."""
    config = replace(LayerConfig("lstm", 3, 5), **changes)

    def ask():
        layer, (x, *_), _ = layer_and_call(layers(OnnxOpsOrt()), config)
        layer.forward(x)

    with pytest.raises(Unsupported):
        ask()


def test_the_negative_control_fails_for_the_lengths_that_it_ignores():
    area = [check for check in all_checks() if check.requirement.startswith("LENGTHS-")]
    found = failures(layers(OnnxOpsReference()), checks=area)
    assert {"LENGTHS-OUTPUT-ZERO", "LENGTHS-FINAL-STATE", "LENGTHS-REVERSE-START"} <= set(found)


def test_the_diagnosis_of_the_negative_control_is_that_lengths_are_ignored():
    """In a whole run every failure has one cause, which the diagnosis finds in the backend's numbers."""
    check = next(check for check in all_checks() if check.requirement == "LENGTHS-FINAL-STATE")
    verdict = verdict_of(check, layers(OnnxOpsReference()), "gru")
    assert [found["fault"] for found in verdict.diagnosis] == ["lengths-ignored"]
    assert (
        sentences(verdict.diagnosis, verdict.common)[0] == "these are the numbers of a layer that ignores the lengths"
    )


def test_the_negative_control_fails_for_nothing_else():
    class WithoutLengths(OnnxOpsReference):
        features = replace(
            OnnxOpsReference.features,
            inputs=set(OnnxOpsReference.features.inputs) - {"sequence_lens"},
            dtypes={"float32"},
        )

        def prepare(self, model):
            for node in onnx.load_model_from_string(model).graph.node:
                if "sequence_lens" in node.input:
                    raise NotImplementedError("sequence_lens")
            return super().prepare(model)

    assert failures(layers(WithoutLengths())) == {}
