"""onnxruntime: activation_alpha's default for ThresholdedRelu is 0, and clip does not bound the input of h in LSTM.

ThresholdedRelu's documented default is alpha = 1, so x = 0.5 gives 0. clip "is applied to the input of activations",
and so to Ct in Ht = ot (.) h(Ct): with g and h linear, gates of 1 and clip = 1, Ct is 2 in the second step, and Ht is
to be 1. Needs numpy, onnx and onnxruntime. Exits with 1 while the faults are there.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

wrong = 0


def run(operator, gates, X, W, **attributes):
    given = {"X": np.reshape(X, (-1, 1, 1)), "W": np.reshape(W, (1, gates, 1)), "R": np.zeros((1, gates, 1))}
    given = {name: array.astype(np.float32) for name, array in given.items()}
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape) for name, array in given.items()]
    node = helper.make_node(operator, list(given), ["Y"], hidden_size=1, **attributes)
    graph = helper.make_graph([node], "node", info, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)[0].ravel()


def compare(what, got, expected):
    global wrong
    wrong += got.tolist() != expected
    print(f"{what}: got {got.tolist()}, expected {expected}")


print(f"onnxruntime {onnxruntime.__version__}")
compare("RNN, ThresholdedRelu", run("RNN", 1, [0.5, 2.0], [1.0], activations=["ThresholdedRelu"]), [0.0, 2.0])
linear = {"activations": ["HardSigmoid", "Affine", "Affine"], "activation_alpha": [100.0, 1.0, 1.0]}
linear["activation_beta"] = [0.5, 0.0, 0.0]
compare("LSTM, clip=1", run("LSTM", 4, [1.0, 1.0], [1.0] * 4, clip=1.0, **linear), [1.0, 1.0])
sys.exit(1 if wrong else 0)
