"""OpenVINO on the CPU: a model of float64 is computed in float32, and says that its outputs are float64.

An ONNX RNN node whose X, W and R are float64: Y is tanh(W x). Needs numpy, onnx and openvino. Exits with 1 while the
fault is there.
"""

import sys

import numpy as np
import openvino
from onnx import TensorProto, helper

given = {name: np.full(shape, 0.3) for name, shape in {"X": (1, 1, 1), "W": (1, 1, 1), "R": (1, 1, 1)}.items()}
info = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, array.shape) for name, array in given.items()]
node = helper.make_node("RNN", list(given), ["Y"], hidden_size=1)
graph = helper.make_graph([node], "double", info, [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, None)])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
core = openvino.Core()
properties = {"INFERENCE_PRECISION_HINT": "f32"}
compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties)
came = compiled(given)[compiled.outputs[0]]
expected = np.tanh(0.3 * 0.3)
error = abs(came.item() - expected)
print(f"openvino {openvino.__version__}: Y of {came.dtype}, {came.item()!r}, expected {expected!r}, off by {error:.3g}")
sys.exit(1 if error > 1e-15 else 0)
