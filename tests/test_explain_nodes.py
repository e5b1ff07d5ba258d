"""``explain`` of an ONNX node: the verdict, known mistakes, files and folders, and broken dumps."""

import json

import numpy as np
import pytest

from conformance import explain
from conformance.__main__ import main
from conformance.dumps.files import BrokenDump
from conformance.dumps.nodes import MAX_NUMBERS
from conformance.specifications.onnx_operators.vectors import export
from tests.onnx_interpreter import NumpyRuntime

BLOCKS = {"RNN": 1, "GRU": 3, "LSTM": 4}
LENGTHS = np.array([2, 4], np.int32)


def inputs(op_type, D=1, T=4, N=2, I=3, H=2):
    """Return the inputs of a node in float32, by name."""
    rng, rows = np.random.default_rng(0), BLOCKS[op_type] * H
    shapes = {"X": (T, N, I), "W": (D, rows, I), "R": (D, rows, H), "B": (D, 2 * rows), "initial_h": (D, N, H)}
    shapes |= {"initial_c": (D, N, H)} if op_type == "LSTM" else {}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def dump(op_type, runtime=None, D=1, lengths=None, **attributes):
    """Return the dump of a call of another hand's interpreter, whose arithmetic is not the oracle's."""
    given = inputs(op_type, D)
    states = [given[name] for name in ("initial_h", "initial_c") if name in given]
    direction = "bidirectional" if D == 2 else "forward"
    node = {"linear_before_reset": 1, "direction": direction.encode(), **attributes}
    came = (runtime or NumpyRuntime()).recurrent(
        op_type, node, given["X"], given["W"], given["R"], given["B"], lengths, *states
    )
    names = ("Y", "Y_h", "Y_c") if op_type == "LSTM" else ("Y", "Y_h")
    results = dict(zip(names, came, strict=False))
    own = {"linear_before_reset": 1} if op_type == "GRU" else {}
    ends = {} if lengths is None else {"sequence_lens": lengths}
    return {"op_type": op_type, "direction": direction, **own, **ends, **given, **results}


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("op_type", BLOCKS)
def test_right_nodes_of_another_arithmetic(op_type, D):
    found = explain(dump(op_type, D=D, lengths=LENGTHS))
    assert found.right, str(found)
    assert found.diagnosis == ()


def order(gates):
    runtime = NumpyRuntime()
    runtime.lstm = gates
    return runtime


class TwoSteps(NumpyRuntime):
    def length(self, T, n, lens):
        return T


class FromTheLastStep(NumpyRuntime):
    def backward(self, T, length):
        return range(T - 1, -1, -1)


def cleared(given):
    for n, length in enumerate(LENGTHS):
        given["Y"][length:, :, n] = 0
    return given


class Before(NumpyRuntime):
    def reset(self, reset, h, matrix, bias):
        return matrix @ (reset * h) + bias


class Inverted(NumpyRuntime):
    def step(self, kind, f, x, h, c, w, r, wb, rb):
        new, c = super().step(kind, f, x, h, c, w, r, wb, rb)
        if kind != "GRU":
            return new, c
        z = f[0](w["z"] @ x + wb["z"] + r["z"] @ h + rb["z"])
        n = (new - z * h) / (1 - z)
        return z * n + (1 - z) * h, c


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: dump("LSTM", order("ifco")), "i|f|c|o"),
        (lambda: dump("LSTM", order("fico")), "f|i|c|o"),
        (lambda: dump("LSTM", order("oifc"), D=2), "o|i|f|c"),
        (lambda: dump("RNN", TwoSteps(), lengths=LENGTHS), "sequence_lens"),
        (lambda: cleared(dump("LSTM", FromTheLastStep(), D=2, lengths=LENGTHS)), "begins at step T - 1"),
        (lambda: dump("GRU", Before()), "linear_before_reset"),
        (lambda: dump("GRU", Inverted()), "update gate"),
    ],
    ids=["torchs-order", "f-first", "o-first", "lengths", "reverse-from-the-last-step", "reset-before", "inverted"],
)
def test_mistakes_in_another_arithmetic_are_named(given, words):
    found = explain(given())
    assert not found.right
    assert words in found.diagnosis[0]["explanation"], str(found)


def test_folders_of_the_vectors_are_right_and_changed_ones_are_not(tmp_path, capsys, monkeypatch):
    written = [tmp_path / name for name, _ in export(tmp_path)]
    for folder in written[::12]:
        monkeypatch.setattr("sys.argv", ["conformance", "explain", str(folder)])
        main()
        assert "Right:" in capsys.readouterr().out
    file = written[0] / "test_data_set_0" / "output_0.pb"
    from onnx import TensorProto, numpy_helper

    tensor = TensorProto.FromString(file.read_bytes())
    file.write_bytes(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(1e-3)).SerializeToString())
    monkeypatch.setattr("sys.argv", ["conformance", "explain", str(written[0])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "numbers are wrong" in capsys.readouterr().out
    file.write_bytes(b"no tensor")
    with pytest.raises(BrokenDump, match=r"test_data_set_0/output_0\.pb: this is no tensor of ONNX"):
        explain(written[0])
    (written[0] / "test_data_set_0" / "input_0.pb").unlink()
    with pytest.raises(BrokenDump, match=r"test_data_set_0/input_0\.pb is missing"):
        explain(written[0])
    (written[0] / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BrokenDump, match=r"model\.onnx: this is no ONNX model"):
        explain(written[0])


def test_files_hold_attributes_and_several_calls(tmp_path):
    one = dump("RNN", activations=[b"Sigmoid"])
    np.savez(tmp_path / "node.npz", activations=["Sigmoid"], **one)
    assert explain(tmp_path / "node.npz").right
    lists = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in one.items()}
    (tmp_path / "node.json").write_text(json.dumps({"activations": ["Sigmoid"], **lists}))
    assert explain(tmp_path / "node.json").right
    assert not explain(tmp_path / "node.npz", seconds=0).diagnosis
    two = explain([{"activations": ["Sigmoid"], **one}, dump("RNN", lengths=LENGTHS, activations=[b"Sigmoid"])])
    assert two.right
    assert len(two.calls) == 2


def test_a_further_call_tells_mistakes_apart():
    """One step without a state does not show what is reset."""
    given = inputs("GRU")
    short = {name: given[name] for name in ("X", "W", "R", "B")}
    short["X"] = short["X"][:1]
    Y, *_ = Before().recurrent("GRU", {"linear_before_reset": 1}, *short.values(), None, None)
    found = explain({"op_type": "GRU", "linear_before_reset": 1, **short, "Y": Y})
    assert {entry["fault"] for entry in found.diagnosis} == {
        "onnx-linear-before-reset-ignored",
        "onnx-reset-without-rb",
    }
    assert found.next_call["give"] == ["initial_h"]
    numbers = [entry["number"] for entry in found.next_call["gives"]]
    assert len(set(numbers)) == len(numbers) == 2


def without(*names):
    return {name: value for name, value in dump("LSTM").items() if name not in names}


BROKEN = {
    "op_type: got 'Gru', expected one of RNN, LSTM, GRU": lambda: dump("GRU") | {"op_type": "Gru"},
    "W is missing": lambda: without("W"),
    "nothing that came is given": lambda: without("Y", "Y_h", "Y_c"),
    "X: got the shape (4, 2), expected three axes": lambda: dump("LSTM") | {"X": np.zeros((4, 2), np.float32)},
    "hidden_size: got 3, but R (1, 8, 2)": lambda: dump("LSTM") | {"hidden_size": 3},
    "initial_h: expected shape (2, 2, 2)": lambda: dump("LSTM", D=2) | {"initial_h": np.zeros((1, 2, 2), np.float32)},
    "Y_c: GRU has no such output": lambda: dump("GRU") | {"Y_c": np.zeros((1, 2, 2), np.float32)},
    "direction: got 'both', expected one of": lambda: dump("LSTM") | {"direction": "both"},
    "clip: got 'x', expected a number": lambda: dump("LSTM") | {"clip": "x"},
    "layout: got 0.5, expected an integer": lambda: dump("LSTM") | {"layout": 0.5},
    "activations: expected a list of names": lambda: dump("LSTM") | {"activations": [1, 2, 3]},
    "activations: got 'Tanh', expected a list": lambda: dump("LSTM") | {"activations": "Tanh"},
    "activations: expected 3 names": lambda: dump("LSTM") | {"activations": ["Tanh"]},
    "sequence_lens: expected a list of one integer": lambda: dump("LSTM") | {"sequence_lens": [0.5, 1]},
    "sequence_lens: expected integers from 0 to 4": lambda: dump("LSTM") | {"sequence_lens": [1, 5]},
    "Ws: this is no input, output or attribute of a node; did you mean W?": lambda: dump("LSTM") | {"Ws": [1.0]},
    "X: 1 of 24 numbers is NaN or infinite": lambda: nan_in(dump("LSTM")),
    "arithmetic: tf32 is one of float32": lambda: dump("LSTM") | {"dtype": "float64", "arithmetic": "tf32"},
    "2 steps of 3000 samples are too many": lambda: {
        "op_type": "RNN",
        "X": np.zeros((2, 3000, 1), np.float32),
        "W": np.zeros((1, 1000, 1), np.float32),
        "R": np.zeros((1, 1000, 1000), np.float32),
        "Y_h": np.zeros((1, 3000, 1000), np.float32),
    },
    "some calls have op_type": lambda: {
        **{f"0/{name}": value for name, value in dump("RNN").items()},
        "1/kind": "gru",
        "1/x": np.zeros((2, 1, 1)),
        "1/weight_ih_l0": np.zeros((3, 1)),
        "1/weight_hh_l0": np.zeros((3, 1)),
        "1/output": np.zeros((2, 1, 1)),
    },
}


def nan_in(given):
    given["X"][0, 0, 0] = np.nan
    return given


@pytest.mark.parametrize("words", BROKEN)
def test_broken_dump_is_one_sentence(words):
    assert MAX_NUMBERS < 2 * 3000 * 1000
    with pytest.raises(BrokenDump) as told:
        explain(BROKEN[words]())
    assert words in str(told.value)
    assert "\n" not in str(told.value)
