"""OpenVINO on the CPU: sequence_lens is ignored where parameters are constants and extents are dynamic.

An ONNX LSTM, GRU and RNN node, two samples of which the second ends after two of five steps: Y past its end must be
0. With parameters as inputs of the graph, or with fixed extents, it is. And layout=1, which the importer ignores: Y
of (N, T, D, H) has no sample. Needs numpy, onnx and openvino. Exits with 1 while the faults are there.
"""

import sys

import numpy as np
import openvino
from onnx import TensorProto, helper, numpy_helper

T, N, I, H = 5, 2, 3, 4
wrong = 0


def run(operator, gates, constant, dynamic, layout=0):
    rng = np.random.default_rng(0)
    parameters = {"W": rng.standard_normal((1, gates * H, I)), "R": rng.standard_normal((1, gates * H, H))}
    parameters = {name: array.astype(np.float32) for name, array in parameters.items()}
    x = rng.standard_normal((N, T, I) if layout else (T, N, I)).astype(np.float32)
    feeds = {"X": x} | ({} if layout else {"lens": np.array([T, 2], np.int32)}) | ({} if constant else parameters)
    shapes = {"X": ("N", "T", I) if layout else ("T", "N", I), "lens": ("N",)} if dynamic else {}
    types = {name: TensorProto.INT32 if name == "lens" else TensorProto.FLOAT for name in feeds}
    info = [helper.make_tensor_value_info(n, types[n], shapes.get(n, a.shape)) for n, a in feeds.items()]
    options = {"linear_before_reset": 1} if operator == "GRU" else {}
    node = helper.make_node(
        operator, ["X", "W", "R", "", "" if layout else "lens"], ["Y"], hidden_size=H, layout=layout, **options
    )
    constants = [numpy_helper.from_array(a, n) for n, a in parameters.items()] if constant else []
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "lengths", info, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    core = openvino.Core()
    properties = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties)
    return compiled(feeds)[compiled.outputs[0]]


print(f"openvino {openvino.__version__}")
for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    for constant in (False, True):
        for dynamic in (False, True):
            past_the_end = np.abs(run(operator, gates, constant, dynamic)[2:, 0, 1]).max()
            wrong += past_the_end > 0
            where = f"parameters {'constant' if constant else 'inputs'}, extents {'dynamic' if dynamic else 'fixed'}"
            print(f"{operator}, {where}: largest |Y| past the end {past_the_end:.3g}, expected 0")
    shape = run(operator, gates, False, True, layout=1).shape
    wrong += shape != (N, T, 1, H)
    print(f"{operator}, layout=1: Y of shape {tuple(shape)}, expected {(N, T, 1, H)}")
sys.exit(1 if wrong else 0)
