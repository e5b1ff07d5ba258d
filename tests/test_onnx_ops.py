"""ONNX's operators built directly: the graph is right on a right runtime, and the negative control fails."""

from dataclasses import replace

import numpy as np
import pytest

import reference
from conformance import LayerConfig, Unsupported
from conformance.backends.onnx_ops import model, native_parameters, with_constants
from conformance.backends.onnx_ops_ort import OnnxOpsOrt
from conformance.backends.onnx_ops_reference import OnnxOpsReference
from conformance.diagnosis.words import sentences
from conformance.specifications.torch_nn.plans import Fill
from reference.config import KINDS
from tests.harness import all_checks, failures, verdict_of


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


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_is_the_documented_layer(kind, layers, bidirectional):
    config = LayerConfig(kind, 3, 5, layers, bidirectional=bidirectional)
    layer, (x, *states), want = layer_and_call(OnnxOpsOrt(), config)
    states += [None] * (2 - len(states))
    assert_close(layer.forward(x), want(x))
    assert_close(layer.forward(x, *states), want(x, *states))
    assert_close(layer.forward(x, *states, [2, 4, 1]), want(x, *states, [2, 4, 1]))


@pytest.mark.parametrize("kind", ["rnn_tanh", "gru", "lstm"])
def test_batch_first_is_layout_1(kind):
    config = LayerConfig(kind, 3, 5, 2, bidirectional=True, batch_first=True)
    layer, (x, *states), want = layer_and_call(OnnxOpsReference(), config)
    assert_close(layer.forward(x, *states), want(x, *states))


def test_a_graph_is_compiled_once_for_a_configuration():
    backend, config = OnnxOpsOrt(), LayerConfig("gru", 3, 5)
    for steps in (2, 5):
        layer, (x, *_), _ = layer_and_call(backend, config, T=steps)
        layer.forward(x)
    assert len(backend._compiled) == 1


def test_constants_stand_for_the_parameters():
    backend, config = OnnxOpsOrt(), LayerConfig("gru", 3, 5, 2, bidirectional=True)
    _, (x, _), want = layer_and_call(backend, config)
    native = native_parameters(config, Fill(config, "ordinary", 3).parameters())
    graph = with_constants(model(config, native, states=False, lengths=True), native)
    assert [i.name for i in graph.graph.input] == ["x", "lengths"]
    lengths = np.array([2, 4, 1], np.int32)
    assert_close(backend.compile(graph)({"x": x, "lengths": lengths}), want(x, None, None, lengths.tolist())[:2])


def test_openvino_ignores_lengths_where_parameters_are_constants():
    openvino = pytest.importorskip("conformance.backends.onnx_ops_openvino", exc_type=ImportError)
    ends = [check for check in all_checks() if check.requirement == "LENGTHS-OUTPUT-ZERO"]
    assert failures(openvino.OnnxOpsOpenVINO(), checks=ends) == {}
    assert set(failures(openvino.OnnxOpsOpenVINOConstants(), checks=ends)) == {"LENGTHS-OUTPUT-ZERO"}


@pytest.mark.parametrize(
    "changes", [{"proj_size": 2}, {"batch_first": True}, {"dtype": "float64"}, {"dtype": "bfloat16"}]
)
def test_what_is_not_claimed_is_refused(changes):
    with pytest.raises(Unsupported):
        OnnxOpsOrt().layer(replace(LayerConfig("lstm", 3, 5), **changes), {})


def test_the_negative_control_fails_for_the_lengths_that_it_ignores():
    area = [check for check in all_checks() if check.requirement.startswith("LENGTHS-")]
    found = failures(OnnxOpsReference(), checks=area)
    assert {"LENGTHS-OUTPUT-ZERO", "LENGTHS-FINAL-STATE", "LENGTHS-REVERSE-START"} <= set(found)


def test_the_diagnosis_of_the_negative_control_is_that_lengths_are_ignored():
    """In a whole run every failure has one cause, which the diagnosis finds in the backend's numbers."""
    check = next(check for check in all_checks() if check.requirement == "LENGTHS-FINAL-STATE")
    verdict = verdict_of(check, OnnxOpsReference(), "gru")
    assert [found["fault"] for found in verdict.diagnosis] == ["lengths-ignored"]
    assert (
        sentences(verdict.diagnosis, verdict.common)[0] == "these are the numbers of a layer that ignores the lengths"
    )


def test_the_negative_control_fails_for_nothing_else():
    class WithoutLengths(OnnxOpsReference):
        features = replace(OnnxOpsReference.features, lengths=False, dtypes={"float32"})

        def check(self, config, x, h_0, c_0, lengths):
            if lengths is not None:
                raise Unsupported("lengths")
            super().check(config, x, h_0, c_0, lengths)

    assert failures(WithoutLengths()) == {}
