"""OpenVINO on the CPU: NaN vanishes in an ONNX RNN node with Relu.

One unit, one step, x = NaN, the weight from x 1, the other 0: Y must be NaN. Needs numpy, onnx and openvino. Exits
with 1 while the fault is there.
"""

import sys

import numpy as np
import openvino
from onnx import TensorProto, helper

swallowed = 0
print(f"openvino {openvino.__version__}")
for activation in ("Tanh", "Relu"):
    feeds = {"X": np.full((1, 1, 1), np.nan), "W": np.ones((1, 1, 1)), "R": np.zeros((1, 1, 1))}
    feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1]) for name in feeds]
    node = helper.make_node("RNN", list(feeds), ["Y"], hidden_size=1, activations=[activation])
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [1, 1, 1, 1])
    model = helper.make_model(
        helper.make_graph([node], "nan", info, [output]), opset_imports=[helper.make_opsetid("", 22)], ir_version=10
    )
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    Y = float(compiled(feeds)[compiled.outputs[0]].item())
    swallowed += not np.isnan(Y)
    print(f"{activation}: got {Y}, expected nan")
sys.exit(1 if swallowed else 0)
