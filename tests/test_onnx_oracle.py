"""The proof that the oracle of ONNX's operators is right, and that the proof can fail.

Second opinions: the pages evaluated number by number in 50 digits (``tests/onnx_scalar.py``), the oracle of torch.nn
where both define the same, onnxruntime and onnx.reference where they are right, and an exercise computed by hand.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

import reference
from conformance.layouts import split, to_onnx
from reference.config import DTYPES, LayerConfig, numpy_dtype
from reference.onnx import ACTIVATIONS, DIRECTIONS, OPERATORS, Operator, evaluate, forward, input_shapes, nodes
from reference.onnx import activations as functions
from reference.onnx.activations import has
from reference.onnx.attributes import DEFAULT_ACTIVATIONS
from reference.parameters import parameter_shapes
from reference.precision import ARITHMETICS, allowed, spreads
from tests import onnx_scalar

SEEDS = range(150)  # nodes of each operator
ULPS_PER_STEP = 8.0  # in ulps (2^-52) of the largest value: unbounded activations have no other scale
FEWEST = 5  # nodes with each feature


def drawn(op_type, seed):
    """Return a node and its inputs, with every attribute and optional input in some of the nodes."""
    rng = np.random.default_rng([OPERATORS.index(op_type), seed])
    chance, pick = (lambda p: bool(rng.random() < p)), (lambda options: options[int(rng.integers(len(options)))])
    direction = pick(DIRECTIONS)
    D = 2 if direction == "bidirectional" else 1
    names = None
    if chance(0.7):
        names = [pick(ACTIVATIONS) for _ in range(len(DEFAULT_ACTIVATIONS[op_type]) * D)]
    used = names or DEFAULT_ACTIVATIONS[op_type] * D
    counts = [sum(has(name)[place] for name in used) for place in (0, 1)]
    needed = {"Affine", "ScaledTanh"} & set(used)  # no default
    alpha, beta = (
        np.round(rng.uniform(-1, 1, n if needed else rng.integers(n + 1)), 2).tolist() or None for n in counts
    )
    node = Operator(
        op_type,
        int(rng.integers(1, 5)),
        int(rng.integers(1, 5)),
        direction,
        names,
        alpha,
        beta,
        clip=round(float(rng.uniform(0.05, 1)), 2) if chance(0.4) else None,
        input_forget=int(op_type == "LSTM" and chance(0.4)),
        linear_before_reset=int(op_type == "GRU" and chance(0.5)),
        layout=int(chance(0.4)),
        dtype=pick(DTYPES),
        opset=22,
    )
    T, N = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    given = {}
    for name, shape in input_shapes(node, T, N).items():
        if name == "sequence_lens":
            given[name] = rng.integers(0, T + 1, N).astype(np.int32) if chance(0.5) else None
        elif name in ("X", "W", "R") or chance(0.6):
            given[name] = rng.uniform(-1, 1, shape).astype(numpy_dtype(node.dtype))
    return node, given


def features(node, given):
    yield from (
        f"{f.name}={getattr(node, f.name)}" for f in fields(Operator) if f.name in ("direction", "dtype", "layout")
    )
    yield from (name for name in ("clip", "activation_alpha", "activation_beta") if getattr(node, name) is not None)
    yield from (name for name in ("input_forget", "linear_before_reset") if getattr(node, name))
    yield from set(node.activations or ())
    yield from (name for name, array in given.items() if array is not None)


def in_float64(given):
    return {n: a if a is None or n == "sequence_lens" else a.astype(np.float64) for n, a in given.items()}


def off(node, given):
    """Return the largest distance of the oracle from 50 digits, in ulps for each step of the largest value."""
    want = onnx_scalar.node(node, **given)
    got = forward(node, **given)
    steps = got.Y.shape[1 if node.layout else 0]
    worst = 0.0
    largest = max(1.0, *(float(abs(v)) for w in want if w is not None for v in w.flat))
    for g, w in zip((*got, None)[:3], want, strict=True):
        assert (g is None) == (w is None)
        if w is not None:
            assert g.shape == w.shape
            assert g.dtype == np.float64
            worst = max(worst, *(float(abs(onnx_scalar.number(a) - b)) for a, b in zip(g.flat, w.flat, strict=True)))
    return worst / 2.0**-52 / largest / steps


@pytest.mark.parametrize("op_type", OPERATORS)
def test_the_oracle_agrees_with_50_digits(op_type):
    seen = Counter()
    for seed in SEEDS:
        node, given = drawn(op_type, seed)
        seen.update(features(node, given))
        assert off(node, given) <= ULPS_PER_STEP, (seed, node)
    rare = {"X", "W", "R", "B", "sequence_lens", "initial_h", "clip", *ACTIVATIONS, *(f"dtype={d}" for d in DTYPES)}
    rare |= {*(f"direction={d}" for d in DIRECTIONS), "layout=0", "layout=1", "activation_alpha", "activation_beta"}
    rare |= {"LSTM": {"P", "initial_c", "input_forget"}, "GRU": {"linear_before_reset"}}.get(op_type, set())
    assert {name: seen[name] for name in rare if seen[name] < FEWEST} == {}


MISTAKES = {
    "LSTM": {
        "peepholes of C": ("Po * Ct", "Po * C"),
        "peepholes exchanged": ("Pi, Po, Pf) = w", "Pf, Po, Pi) = w"),
        "gate order": ("Wi, Wo, Wf, Wc", "Wi, Wf, Wc, Wo"),
        "input_forget": ("1 - it", "it"),
        "no h": ("ot * h(Ct)", "ot * g(Ct)"),
        "Rb left out": ("Wbc + Rbc", "Wbc"),
    },
    "GRU": {
        "reset": ("rt * (H @ Rh + Rbh) + Wbh", "rt * (H @ Rh) + Rbh + Wbh"),
        "update": ("(1 - zt) * ht + zt * H", "zt * ht + (1 - zt) * H"),
        "gate order": ("Wz, Wr, Wh", "Wr, Wz, Wh"),
    },
    "RNN": {"no recurrence": ("H @ Ri", "0 * (H @ Ri)")},
}


@pytest.mark.parametrize(("op_type", "mistake"), [(o, m) for o, mistakes in MISTAKES.items() for m in mistakes])
def test_a_mistake_in_an_equation_is_found(op_type, mistake, monkeypatch):
    import inspect
    import textwrap

    source = textwrap.dedent(inspect.getsource(nodes.EQUATIONS[op_type]))
    right, wrong = MISTAKES[op_type][mistake]
    assert source.count(right) == 1
    scope = dict(vars(nodes))
    exec(compile(source.replace(right, wrong), "mistake", "exec", dont_inherit=True), scope)
    monkeypatch.setitem(nodes.EQUATIONS, op_type, scope[op_type])
    assert max(off(*drawn(op_type, seed)) for seed in SEEDS) > 1e6


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_mistake_in_a_function_is_found(name, monkeypatch):
    right = functions.FUNCTIONS[name]
    monkeypatch.setitem(functions.FUNCTIONS, name, lambda x, a, b: right(x, a, b) * (1 + 1e-6) + 1e-6)
    found = [off(*drawn("GRU", seed)) for seed in SEEDS if name in (drawn("GRU", seed)[0].activations or ())]
    assert max(found) > 1e6


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["rnn_tanh", "rnn_relu", "lstm", "gru"])
def test_it_is_the_layer_of_torch_where_both_define_it(kind, bidirectional):
    rng = np.random.default_rng(3)
    config = LayerConfig(kind, 3, 5, bidirectional=bidirectional, dtype="float64")
    parameters = {name: rng.standard_normal(shape) / 2 for name, shape in parameter_shapes(config).items()}
    D, T, N = config.directions, 4, 3
    x, h, c = rng.standard_normal((T, N, 3)), rng.standard_normal((D, N, 5)), rng.standard_normal((D, N, 5))
    c = c if kind == "lstm" else None
    lengths = [2, 4, 1]
    want = reference.forward(config, parameters, x, h, c, lengths)
    node = Operator(
        {"lstm": "LSTM", "gru": "GRU"}.get(kind, "RNN"),
        3,
        5,
        "bidirectional" if bidirectional else "forward",
        ["Relu"] * D if kind == "rnn_relu" else None,
        linear_before_reset=int(kind == "gru"),
        dtype="float64",
    )
    native = to_onnx(kind, split(config, parameters))
    got = forward(node, x, **native, sequence_lens=lengths, initial_h=h, **({} if c is None else {"initial_c": c}))
    Y = got.Y.transpose(0, 2, 1, 3).reshape(T, N, -1)
    for a, b in zip((Y, *got[1:]), want, strict=True):
        assert (a is None) == (b is None)
        assert a is None or np.abs(a - b).max() < 1e-14


# --- runtimes, where they are right -----------------------------------------------------------------------


def in_runtime(run, node, given):
    """Return the outputs of a runtime that takes a model and inputs by name."""
    from conformance.onnx import Node, build_model

    attributes = {
        name: value
        for name in ("activations", "activation_alpha", "activation_beta", "clip")
        if (value := getattr(node, name)) is not None
    }
    attributes |= {n: 1 for n in ("input_forget", "linear_before_reset", "layout") if getattr(node, n)}
    present = {name: array for name, array in given.items() if array is not None}
    optional = set(present) - {"X", "W", "R"}
    built = Node(node.op_type, node.input_size, node.hidden_size, node.direction, attributes, optional)
    return run(build_model(built, opset=node.opset, dtype=node.dtype).SerializeToString(), present)


def agrees(node, given, came):
    """Return whether outputs are the oracle's within the tolerance of their arithmetic."""
    names = [name for name, array in given.items() if array is not None and name != "sequence_lens"]
    lengths, plain = given.get("sequence_lens"), in_float64(given)

    def outputs(*arrays):
        return evaluate(node, **dict(zip(names, arrays, strict=True)), sequence_lens=lengths)

    expected = outputs(*(plain[name] for name in names))
    arithmetic = replace(ARITHMETICS[node.dtype], tanh_error=6.0)  # onnxruntime's approximations
    limits = spreads(outputs, [plain[name] for name in names], expected, arithmetic, 16)
    for name, want, spread in zip(expected._fields, expected, limits, strict=False):
        if want is not None and not np.all(np.abs(came[name] - want) <= allowed(spread, arithmetic)):
            return False
    return True


def test_onnxruntime_agrees_where_it_is_right():
    """onnxruntime has no layout, no clip before h of LSTM, and other rules for lengths of 0 and ThresholdedRelu."""
    pytest.importorskip("onnxruntime")
    from conformance.backends.onnx_ops_ort import OnnxOpsOrt

    def run(model, inputs):
        return OnnxOpsOrt().prepare(model)(inputs)

    for op_type in OPERATORS:
        for seed in SEEDS:
            node, given = drawn(op_type, seed)
            if "ThresholdedRelu" in (node.activations or ()) and len(node.activation_alpha or ()) < sum(
                has(name)[0] for name in node.activations
            ):
                continue
            turned = ("X", "initial_h", "initial_c") if node.layout else ()
            node = replace(node, dtype="float32", layout=0, clip=None if op_type == "LSTM" else node.clip)
            for name, array in given.items():
                if name == "sequence_lens" and array is not None:
                    given[name] = np.maximum(array, 1)
                elif array is not None:
                    given[name] = np.ascontiguousarray(array.swapaxes(0, 1) if name in turned else array, np.float32)
            assert agrees(node, given, in_runtime(run, node, given)), (op_type, seed, node)


def test_onnx_reference_agrees_where_it_is_right():
    """onnx.reference has no lengths, clip, input_forget and other activations."""
    pytest.importorskip("onnx")
    from conformance.backends.onnx_ops_reference import OnnxOpsReference

    def run(model, inputs):
        return OnnxOpsReference().prepare(model)(inputs)

    for op_type in OPERATORS:
        for seed in range(20):
            node, given = drawn(op_type, seed)
            node = replace(
                node, dtype="float64", clip=None, activations=None, activation_alpha=None, activation_beta=None
            )
            node = replace(node, input_forget=0)
            given = in_float64({**given, "sequence_lens": None})
            assert agrees(node, given, in_runtime(run, node, given)), (op_type, seed)


# --- an exercise by hand ----------------------------------------------------------------------------------


X1, X2, X3 = [1, 3, 2, 4, 2, 1, 3, 6, 1], [0, 1, 0, 1, 0, 0, -1, 1, 0], [0, 0, 0, 0, 0, 1, 0, 0, 1]
BEFORE, OUTPUT = [0, 0, 3, 3, 7, 7, 7, 0, 6], [0, 0, 0, 0, 0, 7, 0, 0, 6]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_exercise_of_a_memory_cell(dtype):
    """Step gates and linear activations: x2 = 1 adds x1 to the memory, x2 = -1 clears it, x3 = 1 shows it.

    The gates are 100 x2 - 10, 100 x2 + 10 and 100 x3 - 10 through a step, HardSigmoid with a steep alpha.
    """
    node = Operator(
        "LSTM",
        3,
        1,
        activations=["HardSigmoid", "Affine", "Affine"],
        activation_alpha=[100.0, 1.0, 1.0],
        activation_beta=[0.5, 0.0, 0.0],
        dtype=dtype,
    )
    W = np.array([[[0, 100, 0], [0, 0, 100], [0, 100, 0], [1, 0, 0]]], numpy_dtype(dtype))  # i, o, f, c
    B = np.array([[-10, -10, 10, 0, 0, 0, 0, 0]], numpy_dtype(dtype))
    X = np.array([X1, X2, X3], numpy_dtype(dtype)).T[:, None].copy()
    R, memory = np.zeros((1, 4, 1), X.dtype), np.zeros((1, 1, 1), X.dtype)
    got = forward(node, X, W, R, B)
    assert got.Y[:, 0, 0, 0].tolist() == OUTPUT
    before = []
    for t in range(len(X)):
        before.append(float(memory.item()))
        memory = forward(node, X[t : t + 1], W, R, B, initial_c=memory).Y_c.astype(X.dtype)
    assert before == BEFORE
    assert got.Y_c.item() == memory.item() == 6
    if dtype == "float32":
        pytest.importorskip("onnxruntime")
        from conformance.backends.onnx_ops_ort import OnnxOpsOrt

        came = in_runtime(lambda m, i: OnnxOpsOrt().prepare(m)(i), node, {"X": X, "W": W, "R": R, "B": B})
        assert came["Y"][:, 0, 0, 0].tolist() == OUTPUT


# --- rules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op_type": "Lstm"}, "op_type: expected one of RNN, LSTM, GRU, got 'Lstm'"),
        ({"hidden_size": 0}, "hidden_size: expected an integer of at least 1, got 0"),
        ({"direction": "backward"}, "direction: expected one of forward"),
        ({"dtype": "bfloat16", "opset": 14}, "dtype: expected bfloat16 in opset 22 alone"),
        ({"layout": 1, "opset": 7}, "layout: expected 0 before opset 14, got 1"),
        ({"opset": 1}, "opset: expected 7 or newer, got 1"),
        ({"op_type": "RNN", "input_forget": 1}, "input_forget: expected 0, as only LSTM has it, got 1"),
        ({"linear_before_reset": 1}, "linear_before_reset: expected 0, as only GRU has it, got 1"),
        ({"clip": -1.0}, "clip: expected None or a number of at least 0, got -1.0"),
        ({"activations": ["Tanh"]}, "activations: expected 3 names"),
        ({"activations": ["tanh"] * 3}, "activations: expected some of Relu"),
        ({"activation_alpha": [0.1]}, "activation_alpha: expected at most 0 numbers"),
        ({"activations": ["Affine"] * 3}, "activations: expected alpha and beta for Affine, which has no default"),
    ],
)
def test_attributes_that_the_pages_do_not_allow(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(Operator("LSTM", 3, 4), **changes).validate()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("X", np.zeros((2, 3), np.float32), "X: expected an array of 3 axes, got (2, 3)"),
        ("X", np.zeros((0, 2, 3), np.float32), "X: expected at least one step and one sample"),
        ("W", None, "W: expected an array, got None"),
        ("W", np.zeros((2, 16, 3), np.float32), "W: expected shape (1, 16, 3), got (2, 16, 3)"),
        ("B", np.zeros((1, 32)), "B: expected dtype float32, got dtype('float64')"),
        ("sequence_lens", [1, 5], "sequence_lens: expected integers from 0 to 4, got [1, 5]"),
        ("sequence_lens", [1, -1], "sequence_lens: expected integers from 0 to 4"),
        ("sequence_lens", [1.0, 2.0], "sequence_lens: expected integers"),
        ("P", np.zeros((1, 16), np.float32), "P: expected shape (1, 12), got (1, 16)"),
    ],
)
def test_inputs_that_do_not_fit(name, array, message):
    node = Operator("LSTM", 3, 4)
    given = {n: np.zeros(s, np.float32) for n, s in input_shapes(node, 4, 2).items() if n in ("X", "W", "R")}
    with pytest.raises(ValueError, match=re.escape(message)):
        forward(node, **{**given, name: array})


def test_an_input_of_another_operator():
    node = Operator("GRU", 3, 4)
    given = {n: np.zeros(s, np.float32) for n, s in input_shapes(node, 4, 2).items() if n in ("X", "W", "R")}
    with pytest.raises(ValueError, match="initial_c: expected nothing, as GRU has no such input"):
        forward(node, **given, initial_c=np.zeros((1, 2, 4), np.float32))
