"""OpenVINO: attributes and inputs of ONNX's LSTM, GRU and RNN that the importer does not read.

Each line compares the CPU plugin with the number that the operator's page gives by hand, for one unit and W = 1, R = 0:
P takes part in the gates; input_forget ties f to 1 - i; clip bounds the cell state before h; the second half of
activations is the reverse direction's; a sample of length 0 keeps initial_h; one function too many, a length beyond
the steps, one length for two samples, a state of two samples for one and a hidden_size that R does not have are errors.
Needs numpy, onnx and openvino. Exits with 1 while the faults are there.
"""

import sys

import numpy as np
import openvino
from onnx import TensorProto, helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
wrong = 0


def run(operator, X, output="Y", D=1, given=(), dynamic=False, **attributes):
    G = GATES[operator]
    arrays = {"X": np.reshape(X, (-1, 1, 1)), "W": np.ones((D, G, 1)), "R": np.zeros((D, G, 1)), **dict(given)}
    names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    inputs = {n: np.asarray(a, np.int32 if n == "sequence_lens" else np.float32) for n, a in arrays.items()}
    infos = [
        helper.make_tensor_value_info(
            n, TensorProto.INT32 if n == "sequence_lens" else TensorProto.FLOAT, [None] * a.ndim if dynamic else a.shape
        )
        for n, a in inputs.items()
    ]
    node = helper.make_node(
        operator, [n if n in inputs else "" for n in names], ["Y", "Y_h"], hidden_size=1, **attributes
    )
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in node.output]
    graph = helper.make_graph([node], "node", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    request = compiled.create_infer_request()
    there = {name for port in compiled.inputs for name in port.names}
    for name, array in inputs.items():
        if name in there:
            request.set_tensor(name, openvino.Tensor(array))
        else:
            print(f"  the compiled model has no input {name}")
    request.infer()
    return request.get_tensor(output).data.ravel().astype(float)


def compare(what, call, expected):
    global wrong
    try:
        got = call()
    except Exception as error:
        got = type(error).__name__
    refused = isinstance(got, str)
    right = refused if expected == "RuntimeError" else not refused and np.allclose(got, expected, 1e-5)
    wrong += not right
    print(f"{what}: got {got}, expected {expected}{'' if right else '   WRONG'}")


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


one = np.ones((1, 1, 1))
print(f"openvino {openvino.__version__}")
c = sigmoid(0.5) * np.tanh(0.5)  # after a step from zeros, x = 0.5
h = sigmoid(0.5 + 2 * c) * np.tanh(c)  # Po = 2
compare("LSTM with P = (0, 2, 0)", lambda: run("LSTM", [0.5], given={"P": [[0.0, 2.0, 0.0]]}), [h])
tied = sigmoid(0.5) * np.tanh(0.5) + (1 - sigmoid(0.5)) * 1.0  # initial_c = 1
states = {"initial_h": 0 * one, "initial_c": one}
tied_h = sigmoid(0.5) * np.tanh(tied)
compare("LSTM with input_forget = 1", lambda: run("LSTM", [0.5], given=states, input_forget=1), [tied_h])
large = {"initial_h": 0 * one, "initial_c": 4 * one}
clipped = sigmoid(0.5) * np.tanh(1.0)
compare("LSTM with clip = 1, Ct = 2.8", lambda: run("LSTM", [0.5], given=large, clip=1.0), [clipped])
two = {"direction": "bidirectional", "activations": ["Tanh", "Relu"]}
compare("RNN with Tanh and, in reverse, Relu", lambda: run("RNN", [2.0], D=2, **two), [np.tanh(2.0), 2.0])
kept = {"sequence_lens": [0], "initial_h": one}
compare("RNN with a length of 0: Y_h", lambda: run("RNN", [2.0], "Y_h", given=kept), [1.0])
compare("RNN with two functions", lambda: run("RNN", [2.0], activations=["Tanh", "Relu"]), "RuntimeError")
compare("RNN with a length of 2 in 1 step", lambda: run("RNN", [2.0], given={"sequence_lens": [2]}), "RuntimeError")
compare("RNN with a length of -1", lambda: run("RNN", [2.0], given={"sequence_lens": [-1]}), "RuntimeError")
both = {"X": np.ones((1, 2, 1)), "sequence_lens": [1]}
compare("RNN with one length for two samples", lambda: run("RNN", [2.0], given=both, dynamic=True), "RuntimeError")
mixed = {"initial_h": np.ones((1, 2, 1)), "initial_c": one}
compare(
    "LSTM with initial_h of two samples for one", lambda: run("LSTM", [2.0], given=mixed, dynamic=True), "RuntimeError"
)
units = {"W": np.ones((1, 2, 1)), "R": np.zeros((1, 2, 2))}
compare("RNN with hidden_size = 1 for R of two units", lambda: run("RNN", [2.0], given=units), "RuntimeError")
sys.exit(1 if wrong else 0)
