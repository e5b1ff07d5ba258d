"""The layouts: round trips for every valid layer, and each framework's equation on its own arrays."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from conformance import layouts
from conformance.backend import CellConfig, LayerConfig, Unsupported
from conformance.layouts import Weights
from reference.config import KINDS, numpy_dtype
from reference.parameters import GATES, parameter_shapes

# Layouts by their arguments: both directions of a layer, or one.
PAIRED = ("onnx", "onednn")
SINGLE = ("keras", "flax_linen", "flax_nnx", "mlx", "cudnn", "paddle")
PROJECTING = ("cudnn", "onednn", "paddle")
TWO_BIASES = ("onnx", "cudnn", "paddle")


def to(layout, kind, weights):
    """Convert one direction's Weights to a layout."""
    return getattr(layouts, f"to_{layout}")(kind, [weights] if layout in PAIRED else weights)


def back(layout, kind, native, **options):
    weights = getattr(layouts, f"from_{layout}")(kind, native, **options)
    return weights[0] if layout in PAIRED else weights


def leaves(native):
    """Return every array of a native structure by its path."""
    if isinstance(native, np.ndarray):
        return {"": native}
    items = native.items() if isinstance(native, dict) else enumerate(native)
    return {f"/{name}{path}": array for name, inner in items for path, array in leaves(inner).items()}


def mapped(native, function):
    if isinstance(native, np.ndarray):
        return function(native)
    if isinstance(native, dict):
        return {name: mapped(inner, function) for name, inner in native.items()}
    return [mapped(inner, function) for inner in native]


@st.composite
def directions(draw, layout="", dtypes=("float32", "float64", "float16", "bfloat16")):
    """Draw (kind, Weights) that the layout can hold."""
    kind = draw(st.sampled_from(KINDS))
    I, H = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    P = draw(st.integers(0, H - 1)) if kind == "lstm" and layout in PROJECTING else 0
    config = LayerConfig(kind, I, H, proj_size=P, bias=draw(st.booleans()), dtype=draw(st.sampled_from(dtypes)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    parameters = {
        n: rng.standard_normal(s).astype(numpy_dtype(config.dtype)) for n, s in parameter_shapes(config).items()
    }
    (weights,) = layouts.split(config, parameters)
    if layout == "flax_nnx" and kind == "gru" and config.bias:
        weights.bias_hh[2 * H :] = 0
    return kind, weights


def same(a, b):
    return a is b if a is None or b is None else a.dtype == b.dtype and a.shape == b.shape and (a == b).all()


@pytest.mark.parametrize("layout", TWO_BIASES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_two_biases_come_back(layout, data):
    kind, weights = data.draw(directions(layout))
    assert all(map(same, back(layout, kind, to(layout, kind, weights)), weights))


@pytest.mark.parametrize("layout", [name for name in SINGLE + PAIRED if name not in TWO_BIASES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_matrices_come_back_and_biases_as_their_sum(layout, data):
    kind, weights = data.draw(directions(layout))
    native = to(layout, kind, weights)
    returned = back(layout, kind, native)
    assert same(returned.weight_ih, weights.weight_ih)
    assert same(returned.weight_hh, weights.weight_hh)
    assert same(returned.weight_hr, weights.weight_hr)
    if weights.bias_ih is None:
        assert returned.bias_ih is None or (not np.any(returned.bias_ih) and not np.any(returned.bias_hh))
    else:
        H = weights.weight_hh.shape[0] // len(GATES[kind])
        summed = slice(0, 2 * H if kind == "gru" else None)
        assert same((returned.bias_ih + returned.bias_hh)[summed], (weights.bias_ih + weights.bias_hh)[summed])
        if kind == "gru":
            assert same(returned.bias_ih[2 * H :], weights.bias_ih[2 * H :])
            assert same(returned.bias_hh[2 * H :], weights.bias_hh[2 * H :])
    again = leaves(to(layout, kind, returned))
    assert list(again) == list(leaves(native))
    assert all(same(array, again[path]) for path, array in leaves(native).items())


@pytest.mark.parametrize("layout", SINGLE + PAIRED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_gradients_are_the_adjoint(layout, data):
    """A step along any Weights has the same effect by the native and by the documented gradients."""
    kind, weights = data.draw(directions(layout, ["float64"]))
    if layout in ("flax_linen", "flax_nnx") and weights.bias_ih is None:
        weights = weights._replace(bias_ih=np.zeros(len(weights.weight_ih)), bias_hh=np.zeros(len(weights.weight_ih)))
    native = to(layout, kind, weights)
    rng = np.random.default_rng(0)
    cotangents = mapped(native, lambda a: rng.standard_normal(a.shape))
    options = {} if layout in TWO_BIASES else {"gradient": True}
    d = back(layout, kind, cotangents, **options)
    by_native = sum(np.vdot(a, leaves(cotangents)[path]) for path, a in leaves(native).items())
    by_documented = sum(np.vdot(a, b) for a, b in zip(weights, d, strict=True) if a is not None)
    assert by_native == pytest.approx(by_documented, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("layout", SINGLE + PAIRED)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_nothing_is_shared_with_the_arguments(layout, data):
    kind, weights = data.draw(directions(layout))
    before = [None if a is None else a.copy() for a in weights]
    native = to(layout, kind, weights)
    returned = back(layout, kind, native)
    for a in leaves(native).values():
        a[...] = 77
    assert all(map(same, weights, before))
    assert not any(a is not None and np.any(a == 77) for a in returned)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 3), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_split_and_join(kind, layers, bidirectional, bias, seed):
    config = LayerConfig(kind, 3, 4, layers, bias, bidirectional=bidirectional, proj_size=2 * (kind == "lstm"))
    rng = np.random.default_rng(seed)
    parameters = {n: rng.standard_normal(s).astype(np.float32) for n, s in parameter_shapes(config).items()}
    weights = layouts.split(config, parameters)
    assert len(weights) == layers * config.directions
    assert same(weights[-1].weight_hh, parameters[f"weight_hh_l{layers - 1}" + "_reverse" * bidirectional])
    joined = layouts.join(config, weights)
    assert list(joined) == list(parameters)
    assert all(same(joined[name], parameters[name]) for name in parameters)


def σ(a):
    return 1 / (1 + np.exp(-a))


def rnn(a, h, kind):
    return (np.tanh if kind == "rnn_tanh" else lambda a: np.maximum(a, 0))(a), None


def lstm(i, f, g, o, c):
    c = σ(f) * c + σ(i) * np.tanh(g)
    return σ(o) * np.tanh(c), c


# One step of each framework on its own arrays, as in its documentation.


def keras_step(kind, w, x, h, c):
    kernel, recurrent, bias = w["kernel"], w["recurrent_kernel"], w.get("bias", 0.0)
    if kind == "gru":
        input_bias, recurrent_bias = bias if "bias" in w else (0.0, 0.0)
        x_z, x_r, x_h = np.split(x @ kernel + input_bias, 3, -1)
        h_z, h_r, h_h = np.split(h @ recurrent + recurrent_bias, 3, -1)
        z, r = σ(x_z + h_z), σ(x_r + h_r)
        return z * h + (1 - z) * np.tanh(x_h + r * h_h), None
    a = x @ kernel + h @ recurrent + bias
    if kind == "lstm":
        i, f, g, o = np.split(a, 4, -1)
        return lstm(i, f, g, o, c)
    return rnn(a, h, kind)


def linen_step(kind, w, x, h, c):
    def dense(name, a):
        return a @ w[name]["kernel"] + w[name].get("bias", 0.0)

    if kind == "gru":
        r, z = σ(dense("ir", x) + dense("hr", h)), σ(dense("iz", x) + dense("hz", h))
        return (1 - z) * np.tanh(dense("in", x) + r * dense("hn", h)) + z * h, None
    if kind == "lstm":
        return lstm(*(dense(f"i{gate}", x) + dense(f"h{gate}", h) for gate in "ifgo"), c)
    return rnn(dense("i", x) + dense("h", h), h, kind)


def nnx_step(kind, w, x, h, c):
    a, u = (v @ w[d]["kernel"] + w[d].get("bias", 0.0) for v, d in ((x, "dense_i"), (h, "dense_h")))
    if kind == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(a, 3, -1), np.split(u, 3, -1)
        r, z = σ(x_r + h_r), σ(x_z + h_z)
        return (1 - z) * np.tanh(x_n + r * h_n) + z * h, None
    if kind == "lstm":
        return lstm(*np.split(a + u, 4, -1), c)
    return rnn(a + u, h, kind)


def mlx_step(kind, w, x, h, c):
    if kind == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (
            np.split(a, 3, -1) for a in (x @ w["Wx"].T + w.get("b", 0.0), h @ w["Wh"].T)
        )
        r, z = σ(x_r + h_r), σ(x_z + h_z)
        return (1 - z) * np.tanh(x_n + r * (h_n + w.get("bhn", 0.0))) + z * h, None
    if kind == "lstm":
        return lstm(*np.split(x @ w["Wx"].T + h @ w["Wh"].T + w.get("bias", 0.0), 4, -1), c)
    return rnn(x @ w["Wxh"].T + h @ w["Whh"].T + w.get("bias", 0.0), h, kind)


def cudnn_step(kind, w, x, h, c):
    W, b = w["matrices"], w["biases"] or [0.0] * 8
    if kind == "gru":
        r = σ(x @ W[0].T + h @ W[3].T + b[0] + b[3])
        i = σ(x @ W[1].T + h @ W[4].T + b[1] + b[4])
        n = np.tanh(x @ W[2].T + r * (h @ W[5].T + b[5]) + b[2])
        return (1 - i) * n + i * h, None
    if kind == "lstm":
        h, c = lstm(*(x @ W[k].T + h @ W[k + 4].T + b[k] + b[k + 4] for k in range(4)), c)
        return h @ W[8].T if len(W) > 8 else h, c
    return rnn(x @ W[0].T + h @ W[1].T + b[0] + b[1], h, kind)


def onednn_step(kind, w, x, h, c):
    W, U = w["weights_layer"][0, 0], w["weights_iter"][0, 0]
    B = w["bias"][0, 0] if "bias" in w else np.zeros(4)
    if kind == "gru":
        u = σ(x @ W[:, 0] + h @ U[:, 0] + B[0])
        r = σ(x @ W[:, 1] + h @ U[:, 1] + B[1])
        o = np.tanh(x @ W[:, 2] + r * (h @ U[:, 2] + B[3]) + B[2])
        return u * h + (1 - u) * o, None
    if kind == "lstm":
        h, c = lstm(*(x @ W[:, k] + h @ U[:, k] + B[k] for k in range(4)), c)
        return h @ w["weights_projection"][0, 0] if "weights_projection" in w else h, c
    return rnn(x @ W[:, 0] + h @ U[:, 0] + B[0], h, kind)


def paddle_step(kind, w, x, h, c):
    a, u = x @ w["weight_ih"].T + w.get("bias_ih", 0.0), h @ w["weight_hh"].T + w.get("bias_hh", 0.0)
    if kind == "gru":
        (x_r, x_z, x_c), (h_r, h_z, h_c) = np.split(a, 3, -1), np.split(u, 3, -1)
        r, z = σ(x_r + h_r), σ(x_z + h_z)
        return z * h + (1 - z) * np.tanh(x_c + r * h_c), None
    if kind == "lstm":
        i, f, g, o = np.split(a + u, 4, -1)
        h, c = lstm(i, f, g, o, c)
        return h @ w["weight_ho"] if "weight_ho" in w else h, c
    return rnn(a + u, h, kind)


def onnx_step(kind, w, x, h, c):
    """Evaluate a node of the operator by onnx.reference."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    if kind == "rnn_relu":  # onnx.reference has no Relu
        Wb, Rb = np.split(w["B"][0], 2) if "B" in w else (0.0, 0.0)
        return rnn(x @ w["W"][0].T + h @ w["R"][0].T + Wb + Rb, h, kind)
    operator, outputs = {"rnn_tanh": ("RNN", 2), "gru": ("GRU", 2), "lstm": ("LSTM", 3)}[kind]
    states = {"h": h[None], "c": c[None]} if kind == "lstm" else {"h": h[None]}
    feeds = {"x": x[None], **w, **states}
    inputs = ["x", "W", "R", "B" if "B" in w else "", "", *states]
    options = {"linear_before_reset": 1} if kind == "gru" else {}
    names = ["Y", "Y_h", "Y_c"][:outputs]
    node = helper.make_node(operator, inputs, names, hidden_size=h.shape[-1], **options)
    info = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in (*feeds, *names)]
    graph = helper.make_graph([node], "one", info[: len(feeds)], info[len(feeds) :])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    _, *states = ReferenceEvaluator(model).run(None, feeds)
    return states[0][0], states[1][0] if kind == "lstm" else None


STEPS = {
    "onnx": onnx_step,
    "keras": keras_step,
    "flax_linen": linen_step,
    "flax_nnx": nnx_step,
    "mlx": mlx_step,
    "cudnn": cudnn_step,
    "onednn": onednn_step,
    "paddle": paddle_step,
}


def one_step(layout, kind, bias=True, P=0):
    """Return one step of two samples by the framework's equation on the converted arrays, and by the oracle."""
    I, H = 3, 4
    config = LayerConfig(kind, I, H, bias=bias, proj_size=P, dtype="float64")
    rng = np.random.default_rng(5)
    parameters = {name: rng.standard_normal(shape) for name, shape in parameter_shapes(config).items()}
    if layout == "flax_nnx" and kind == "gru" and bias:
        parameters["bias_hh_l0"][2 * H :] = 0
    x, h, c = rng.standard_normal((2, I)), rng.standard_normal((2, P or H)), rng.standard_normal((2, H))
    (weights,) = layouts.split(config, parameters)
    got = STEPS[layout](kind, to(layout, kind, weights), x, h, c)
    states = (h[None], c[None]) if kind == "lstm" else (h[None],)
    _, h_n, c_n = reference.forward(config, parameters, x[None], *states)
    return got, (h_n[0], None if c_n is None else c_n[0])


def differ(got, want):
    return max(np.abs(a - b).max() for a, b in zip(got, want, strict=True) if b is not None)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", STEPS)
def test_the_frameworks_equation_on_its_arrays_is_pytorchs(layout, kind, bias):
    assert differ(*one_step(layout, kind, bias)) < 1e-13


@pytest.mark.parametrize("layout", PROJECTING)
def test_projections_are_pytorchs(layout):
    assert differ(*one_step(layout, "lstm", P=3)) < 1e-13


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("layout", STEPS)
def test_every_other_order_of_gates_is_seen(layout, kind, monkeypatch):
    framework = layout.split("_")[0]
    right = layouts.GATE_ORDERS[framework][kind]
    for wrong in map("".join, itertools.permutations(right)):
        monkeypatch.setitem(layouts.GATE_ORDERS, framework, {kind: wrong})
        if wrong != right and layout != "flax_linen":
            assert differ(*one_step(layout, kind)) > 1e-3, wrong
        else:  # linen uses names, so that the order makes no difference
            assert differ(*one_step(layout, kind)) < 1e-13, wrong


@pytest.mark.parametrize("layout", ["onnx", "keras", "flax_linen", "flax_nnx", "mlx"])
def test_a_projection_is_refused_where_there_is_none(layout):
    weights = Weights(np.zeros((8, 3)), np.zeros((8, 1)), weight_hr=np.zeros((1, 2)))
    with pytest.raises(Unsupported, match="no projection"):
        to(layout, "lstm", weights)


def test_a_bias_inside_the_reset_gate_is_refused_by_nnx_alone():
    weights = Weights(np.zeros((6, 3)), np.zeros((6, 2)), np.ones(6), np.array([1.0, 1, 1, 1, 0, 0.5]))
    for layout in set(STEPS) - {"flax_nnx"}:
        native = to(layout, "gru", weights)
        assert any(np.any(a == 0.5) for a in leaves(native).values()), layout
    with pytest.raises(Unsupported, match="no b_hn"):
        to("flax_nnx", "gru", weights)


@pytest.mark.parametrize(
    ("kind", "weights", "message"),
    [
        ("rnn", Weights(np.zeros((4, 3)), np.zeros((4, 4))), "kind: expected one of"),
        ("lstm", Weights(np.zeros((6, 3)), np.zeros((6, 2))), "weight_ih: expected the gates of lstm"),
        ("gru", Weights(np.zeros((6, 3)), np.zeros((6, 3))), "weight_hh: expected shape"),
        ("gru", Weights(np.zeros((6, 3)), np.zeros((6, 2)), np.zeros(6)), "bias_hh: expected both biases"),
        ("gru", Weights(np.zeros((6, 3)), np.zeros((6, 2)), np.zeros(6), np.zeros(2)), "bias_hh: expected shape"),
        ("gru", Weights(np.zeros((6, 3)), np.zeros((6, 1)), weight_hr=np.zeros((1, 2))), "gru has no projection"),
        ("lstm", Weights(np.zeros((8, 3)), np.zeros((8, 1)), weight_hr=np.zeros((1, 5))), "weight_hr: expected shape"),
    ],
)
@pytest.mark.parametrize("layout", STEPS)
def test_arrays_that_do_not_fit_are_refused(layout, kind, weights, message):
    with pytest.raises(ValueError, match=message):
        to(layout, kind, weights)


def test_other_arguments_that_do_not_fit_are_refused():
    w = Weights(np.zeros((2, 3), np.float32), np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="weights: expected 2 of them, got 1"):
        layouts.join(LayerConfig("rnn_tanh", 3, 2, 2), [w])
    with pytest.raises(ValueError, match="bias_ih: expected shape"):
        layouts.join(CellConfig("rnn_tanh", 3, 2), [w])
    with pytest.raises(ValueError, match="directions: expected one or two"):
        layouts.to_onnx("rnn_tanh", [w, w, w])
    with pytest.raises(ValueError, match="layout: expected one of pytorch, onnx"):
        layouts.reorder_gates(np.zeros(8), "lstm", "pytorch", "tensorflow")
    with pytest.raises(ValueError, match="4 equal blocks along axis 0"):
        layouts.reorder_gates(np.zeros(6), "lstm", "pytorch", "onnx")
    with pytest.raises(ValueError, match="matrices: expected 6 of gru, got 7"):
        layouts.from_cudnn("gru", {"matrices": [np.zeros((1, 1))] * 7, "biases": []})
    with pytest.raises(ValueError, match="weights_layer: expected one layer"):
        layouts.from_onednn(
            "gru", {"weights_layer": np.zeros((2, 1, 3, 3, 2)), "weights_iter": np.zeros((2, 1, 2, 3, 2))}
        )
