"""onnxruntime's GRU on the CPU: tanh exceeds 1 and a shut reset gate is below 0.

One unit, one step, update gate shut, as torch.onnx.export writes it (linear_before_reset=1). Blocks are
z, r, h. Needs numpy, onnx and onnxruntime. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def gru(gate, x, b):
    """h after one step: x is the argument of that gate alone, b is Rb_h."""
    W = np.zeros((1, 3, 1), np.float32)
    W[0, "zrh".index(gate)] = 1
    arrays = {"W": W, "R": np.zeros((1, 3, 1), np.float32), "B": np.array([[-100, 0, 0, 0, 0, b]], np.float32)}
    node = helper.make_node("GRU", ["x", "W", "R", "B"], ["", "h"], hidden_size=1, linear_before_reset=1)
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1]) for name in ("x", "h")]
    constants = [numpy_helper.from_array(value, name) for name, value in arrays.items()]
    graph = helper.make_graph([node], "gru", info[:1], info[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, {"x": np.array([[[x]]], np.float32)})[0].item())


new = gru("h", 40.0, 0.0)
shut = gru("r", -40.0, 1e6)
print(f"onnxruntime {onnxruntime.__version__}")
print(f"new gate at 40:                      got {new:.9f}, expected tanh(40) = 1.000000000, at most 1")
print(f"reset gate at -40 over b_hn = 1e6:   got {shut:.9f}, expected tanh(0.000000000004) = 0.000000000")
sys.exit(1 if new > 1 or shut < 0 else 0)
