"""OpenVINO on the CPU: x without a step or sample, and other samples in initial_h than in X, end the process.

A forward ONNX LSTM node with dynamic extents and parameters as inputs of the graph. Each case is called after a right
call, thirty times, in a process of its own. Needs numpy, onnx and openvino. Exits with 1 while the fault is there.
"""

import signal
import subprocess
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper

T, N, H = 5, 4, 9
CASES = {  # steps and samples of X, samples of the states, sequence_lens
    "no step": (0, N, N, None),
    "no sample": (T, 0, 0, None),
    "states of three samples for four": (T, N, 3, None),
    "a length of 1000 for five steps": (T, N, N, [T, T, T, 1000]),
    "a length of -1": (T, N, N, [T, T, T, -1]),
    "two lengths for four samples": (T, N, N, [T, T]),
}


def feeds(T, N, samples, lengths):
    arrays = {"X": np.ones((T, N, 3)), "W": np.ones((1, 4 * H, 3)), "R": np.ones((1, 4 * H, H))}
    arrays |= {"B": np.ones((1, 8 * H)), "h": np.ones((1, samples, H)), "c": np.ones((1, samples, H))}
    own = {} if lengths is None else {"lens": np.array(lengths, np.int32)}
    return {name: a.astype(np.float32) for name, a in arrays.items()} | own


def call(case):
    right, wrong = feeds(T, N, N, case[3] and [5, 4, 2, 1]), feeds(*case)
    dynamic = {"X": ("T", "N", 3), "h": (1, "N", H), "c": (1, "N", H), "lens": ("N",)}
    types = {name: TensorProto.INT32 if name == "lens" else TensorProto.FLOAT for name in right}
    info = [helper.make_tensor_value_info(n, types[n], dynamic.get(n, a.shape)) for n, a in right.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h", "Y_c")]
    node = helper.make_node(
        "LSTM", ["X", "W", "R", "B", "lens" if case[3] else "", "h", "c"], ["Y", "Y_h", "Y_c"], hidden_size=H
    )
    graph = helper.make_graph([node], "extents", info, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU")
    outcomes = {}
    for _ in range(30):
        for arrays in (right, wrong):
            request = compiled.create_infer_request()
            try:
                request.infer({name: openvino.Tensor(array) for name, array in arrays.items()})
                outcome = f"taken, Y of shape {tuple(request.get_tensor(compiled.outputs[0]).shape)}"
            except RuntimeError as error:
                outcome = f"refused, {str(error).strip().splitlines()[-1][:60]}"
            if arrays is wrong and outcome not in outcomes:
                outcomes[outcome] = print(outcome, flush=True)


if len(sys.argv) > 1:
    call(CASES[sys.argv[1]])
    sys.exit()
print(f"openvino {openvino.__version__}, expected: an error")
taken = 0
for name in CASES:
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=False)
    said = done.stdout.strip().splitlines()
    said += [f"then ended by {signal.Signals(-done.returncode).name}"] if done.returncode < 0 else []
    taken += done.returncode < 0 or "taken" in done.stdout
    print(f"{name}: {'; '.join(said) or done.stderr.strip()}")
sys.exit(1 if taken else 0)
