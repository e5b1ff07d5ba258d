"""onnxruntime on the CPU: what its recurrent operators make of no step, of no sample and of a length of 0.

GRU ends the process on the first two, LSTM on the second. RNN and LSTM take an x without a step and return a zero
state, whatever initial_h is. Each call in a process of its own. Needs numpy, onnx and onnxruntime. Exits with 1 while
a process ends by a signal.
"""

import signal
import subprocess
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
CALLS = {"no step": (0, 2, [0, 0]), "no sample": (3, 0, []), "a length of 0": (3, 2, [3, 0])}


def call(operator, T, N, lengths):
    G, H = GATES[operator], 4
    arrays = {
        "X": np.ones((T, N, 1), np.float32),
        "W": np.ones((1, G * H, 1), np.float32),
        "R": np.ones((1, G * H, H), np.float32),
        "h": np.ones((1, N, H), np.float32),
    }
    names = ["X", "W", "R", "", "", "h"]
    if T and N:
        arrays["lens"], names[4] = np.array(lengths, np.int32), "lens"
    node = helper.make_node(operator, names, ["Y", "Y_h"], hidden_size=H)
    shapes = {"X": ("T", "N", 1), "h": (1, "N", H), "lens": ("N",)}
    info = [
        helper.make_tensor_value_info(
            name, TensorProto.INT32 if name == "lens" else TensorProto.FLOAT, shapes.get(name, array.shape)
        )
        for name, array in arrays.items()
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h")]
    graph = helper.make_graph([node], "empty", info, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    Y, Y_h = session.run(None, arrays)
    print(f"taken, Y of shape {Y.shape}, Y_h of values {np.unique(Y_h).tolist()}")


if len(sys.argv) > 1:
    call(sys.argv[1], *CALLS[sys.argv[2]])
    sys.exit()
print(f"onnxruntime {onnxruntime.__version__}")
ended = 0
for operator in GATES:
    for name in CALLS:
        done = subprocess.run([sys.executable, __file__, operator, name], capture_output=True, text=True, check=False)
        ended += done.returncode < 0
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or [""]
        how = f"the process ended by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else last[0]
        print(f"{operator}, {name}: {how}")
sys.exit(1 if ended else 0)
