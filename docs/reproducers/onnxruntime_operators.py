"""onnxruntime: a sample of length 0 loses its initial state, and RNN takes more activations than it has directions.

A sample without a step has its initial state as its last one, so Y_h is to be 1; and two activations for one direction
of RNN are to be an error. Needs numpy, onnx and onnxruntime. Exits with 1 while the faults are there.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

wrong = 0


def run(operator, gates, lengths, **attributes):
    given = {"X": np.ones((1, 1, 1)), "W": np.ones((1, gates, 1)), "R": np.ones((1, gates, 1))}
    given = {name: array.astype(np.float32) for name, array in given.items()}
    given |= {"lens": np.array(lengths, np.int32), "initial_h": np.ones((1, 1, 1), np.float32)}
    types = {name: TensorProto.INT32 if name == "lens" else TensorProto.FLOAT for name in given}
    info = [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in given.items()]
    inputs = ["X", "W", "R", "", "lens", "initial_h"]
    node = helper.make_node(operator, inputs, ["", "Y_h"], hidden_size=1, **attributes)
    graph = helper.make_graph([node], "node", info, [helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return float(session.run(None, given)[0].item())


print(f"onnxruntime {onnxruntime.__version__}")
for operator, gates in (("RNN", 1), ("LSTM", 4), ("GRU", 3)):
    Y_h = run(operator, gates, [0])
    wrong += Y_h != 1
    print(f"{operator}, a sample of length 0: Y_h {Y_h}, expected 1.0")
try:
    Y_h = run("RNN", 1, [1], activations=["Tanh", "Relu"])
    wrong += 1
    print(f"RNN, two activations for one direction: Y_h {Y_h}, expected an error")
except Exception as error:
    print(f"RNN, two activations for one direction: {type(error).__name__}, as it should be")
sys.exit(1 if wrong else 0)
