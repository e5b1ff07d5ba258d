"""onnxruntime on the CPU: NaN in x vanishes in RNN with Relu, and in LSTM and GRU that have a bias.

One unit, one step, x = NaN, all weights from x 1, all others 0: h must be NaN. Needs numpy, onnx and
onnxruntime. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

swallowed = 0
print(f"onnxruntime {onnxruntime.__version__}")
for operator, gates, options in (
    ("LSTM", 4, {}),
    ("GRU", 3, {"linear_before_reset": 1}),
    ("RNN", 1, {"activations": ["Relu"]}),
    ("RNN", 1, {"activations": ["Tanh"]}),
):
    for bias in (False, True):
        arrays = {"W": np.ones((1, gates, 1)), "R": np.zeros((1, gates, 1))}
        if bias:
            arrays["B"] = np.zeros((1, 2 * gates))
        node = helper.make_node(operator, ["x", *arrays], ["", "h"], hidden_size=1, **options)
        info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1]) for name in ("x", "h")]
        constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in arrays.items()]
        graph = helper.make_graph([node], "nan", info[:1], info[1:], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        h = float(session.run(None, {"x": np.full((1, 1, 1), np.nan, np.float32)})[0].item())
        swallowed += not np.isnan(h)
        print(f"{operator} {options} {'B = 0' if bias else 'no B '}: got {h}, expected nan")
sys.exit(1 if swallowed else 0)
