"""OpenCV's module dnn: reverse GRU and LSTM, sequence_lens, clip and input_forget of LSTM, states and outputs.

A reverse node is a forward one on x in reverse order, whose Y is in reverse order again; its final state is the one
after the step 0. A sample of length 1 is a call of one step. The numbers of clip and input_forget are computed by
hand for one unit, W = 1, R = 0. Needs numpy, onnx and opencv-python-headless. Exits with 1 while the faults are there.
"""

import sys

import cv2
import numpy as np
from onnx import TensorProto, helper

GATES = {"GRU": 3, "LSTM": 4}
ORDER = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c"]
wrong = 0


def run(operator, given, outputs=None, then=None, **attributes):
    H = given["R"].shape[2]
    types = {n: TensorProto.INT32 if a.dtype == np.int32 else TensorProto.FLOAT for n, a in given.items()}
    free = {"X": ["T", "N", given["X"].shape[2]]}
    infos = [helper.make_tensor_value_info(n, types[n], free.get(n, a.shape)) for n, a in given.items()]
    names = [n if n in given else "" for n in ORDER]
    outputs = outputs or ["Y", "Y_h", "Y_c"][: 3 if operator == "LSTM" else 2]
    node = helper.make_node(operator, names, outputs, hidden_size=H, **attributes)
    axes = {"Y": ["T", "D", "N", "H"]}
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, axes.get(n, ["D", "N", "H"])) for n in outputs]
    graph = helper.make_graph([node], "node", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    for name, array in given.items():
        net.setInput(array, name)
    names = net.getUnconnectedOutLayersNames()
    came = {name: np.array(a) for name, a in zip(names, net.forward(names), strict=True)}
    if then is None:
        return came
    net.setInput(then, "X")
    return {name: np.array(a) for name, a in zip(names, net.forward(names), strict=True)}


def compare(what, got, expected):
    global wrong
    off = float(np.max(np.abs(np.asarray(got) - expected)))
    wrong += off > 1e-5
    print(f"{what}: off by {off:.2g}{'   WRONG' if off > 1e-5 else ''}")


def drawn(operator, T=4, N=2, I=3, H=2):
    rng, rows = np.random.default_rng(0), GATES[operator] * H
    shapes = {"X": (T, N, I), "W": (1, rows, I), "R": (1, rows, H), "B": (1, 2 * rows), "initial_h": (1, N, H)}
    shapes |= {"initial_c": (1, N, H)} if operator == "LSTM" else {}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


print(f"opencv {cv2.__version__}")
for operator in GATES:
    given = drawn(operator)
    forward = run(operator, given | {"X": given["X"][::-1].copy()})
    reverse = run(operator, given, direction="reverse")
    compare(f"{operator}, reverse: Y", reverse["Y"], forward["Y"][::-1])
    compare(f"{operator}, reverse: Y_h", reverse["Y_h"], forward["Y_h"])
given = drawn("GRU")
short = run("GRU", given | {"sequence_lens": np.array([1, 4], np.int32)})
alone = run("GRU", {n: a[:1] if n == "X" else a for n, a in given.items()})
compare("GRU, sequence_lens = [1, 4]: Y_h of the first sample", short["Y_h"][:, 0], alone["Y_h"][:, 0])
given = drawn("LSTM")
short = run("LSTM", given | {"sequence_lens": np.array([1, 4], np.int32)})
alone = run("LSTM", {n: a[:1] if n == "X" else a for n, a in given.items()})
compare("LSTM with states, sequence_lens = [1, 4]: Y_h of the first sample", short["Y_h"][:, 0], alone["Y_h"][:, 0])
one = {"W": np.ones((1, 4, 1)), "R": np.zeros((1, 4, 1)), "B": np.zeros((1, 8)), "initial_h": np.zeros((1, 1, 1))}
one = {n: a.astype(np.float32) for n, a in one.items()}
half = one | {"X": np.full((1, 1, 1), 0.5, np.float32), "initial_c": np.full((1, 1, 1), 4, np.float32)}
i = sigmoid(0.5)
compare("LSTM, clip = 1, Ct = 2.8: Y", run("LSTM", half, clip=1.0)["Y"], i * np.tanh(1.0))
large = half | {"X": np.full((1, 1, 1), 3, np.float32), "initial_c": np.zeros((1, 1, 1), np.float32)}
clipped = sigmoid(1.0) * np.tanh(sigmoid(1.0) * np.tanh(1.0))
compare("LSTM, clip = 1, x = 3: Y", run("LSTM", large, clip=1.0)["Y"], clipped)
tied = i * np.tanh((1 - i) * 4 + i * np.tanh(0.5))
compare("LSTM, input_forget = 1: Y", run("LSTM", half, input_forget=1)["Y"], tied)


def attempt(what, operator, given, shape, **changes):
    global wrong
    try:
        came = str(run(operator, given, **changes)["Y"].shape)
    except Exception as error:
        came = f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"
    wrong += came != str(shape)
    print(f"{what}: {came}{'' if came == str(shape) else f', expected {shape}   WRONG'}")


lstm = drawn("LSTM")
attempt("LSTM with initial_h alone", "LSTM", {n: a for n, a in lstm.items() if n != "initial_c"}, (4, 1, 2, 2))
attempt("LSTM with states, without B", "LSTM", {n: a for n, a in lstm.items() if n != "B"}, (4, 1, 2, 2))
attempt("GRU with Y alone", "GRU", drawn("GRU"), (4, 1, 2, 2), outputs=["Y"])
plain = {n: a for n, a in drawn("GRU").items() if n != "initial_h"}
more = np.zeros((4, 3, 3), np.float32)
attempt("GRU of two samples, then of three", "GRU", plain, (4, 1, 3, 2), then=more)
sys.exit(1 if wrong else 0)
