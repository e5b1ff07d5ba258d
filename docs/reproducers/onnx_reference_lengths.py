"""onnx.reference: LSTM, GRU and RNN ignore sequence_lens.

Two samples, of which the second ends after one of three steps: Y past its end must be 0 and Y_h its state after one
step. Needs numpy and onnx. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

ignored = 0
print(f"onnx {onnx.__version__}")
for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    rng = np.random.default_rng(0)
    arrays = {"X": rng.standard_normal((3, 2, 2)), "W": rng.standard_normal((1, gates * 2, 2))}
    arrays["R"] = rng.standard_normal((1, gates * 2, 2))
    feeds = {name: array.astype(np.float32) for name, array in arrays.items()} | {"lens": np.array([3, 1], np.int32)}
    types = {name: TensorProto.INT32 if name == "lens" else TensorProto.FLOAT for name in feeds}
    info = [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in feeds.items()]
    node = helper.make_node(operator, ["X", "W", "R", "", "lens"], ["Y", "Y_h"], hidden_size=2)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h")]
    graph = helper.make_graph([node], "lengths", info, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    Y, Y_h = ReferenceEvaluator(model).run(None, feeds)
    past_the_end, off = np.abs(Y[1:, 0, 1]).max(), np.abs(Y_h[0, 1] - Y[0, 0, 1]).max()
    ignored += past_the_end > 0
    print(f"{operator}: largest |Y| past the end {past_the_end:.3g}, expected 0; Y_h off by {off:.3g}")
sys.exit(1 if ignored else 0)
