"""onnx.reference: activations (but RNN's, which it refuses), clip and input_forget are ignored.

One unit, one step, all weights 1, X = 2. Each attribute is to change Y. Needs numpy and onnx. Exits with 1 while the
faults are there.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(operator, gates, **attributes):
    given = {"X": np.full((1, 1, 1), 2), "W": np.ones((1, gates, 1)), "R": np.ones((1, gates, 1))}
    given = {name: array.astype(np.float32) for name, array in given.items()}
    states = {name: np.ones((1, 1, 1), np.float32) for name in ("initial_h", "initial_c")[: 1 + (operator == "LSTM")]}
    given |= states
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in given.items()]
    inputs = ["X", "W", "R", "", "", *states]
    node = helper.make_node(operator, inputs, ["Y"], hidden_size=1, **attributes)
    graph = helper.make_graph([node], "node", info, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    return float(ReferenceEvaluator(model).run(None, given)[0].item())


print(f"onnx {onnx.__version__}")
ignored = 0
for operator, gates, attributes in (
    ("LSTM", 4, {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    ("GRU", 3, {"activations": ["Sigmoid", "Relu"]}),
    ("LSTM", 4, {"clip": 0.5}),
    ("GRU", 3, {"clip": 0.5}),
    ("RNN", 1, {"clip": 0.5}),
    ("LSTM", 4, {"input_forget": 1}),
):
    plain, changed = run(operator, gates), run(operator, gates, **attributes)
    ignored += plain == changed
    print(f"{operator} {attributes}: Y {changed:.7g}, without the attribute {plain:.7g}")
sys.exit(1 if ignored else 0)
