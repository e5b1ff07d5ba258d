"""OpenVINO on the CPU: arguments of an ONNX LSTM node that do not fit each other are taken, or end the process.

Extents are dynamic, parameters inputs of the graph. Each case is called after a right call, ten times, in a process of
its own; after some of them the right call gives wrong results. With one thread what is refused with two gives an empty
result, then ends the process. Needs numpy, onnx and openvino. Exits with 1 while the fault is there.
"""

import signal
import subprocess
import sys

import numpy as np
import openvino
from onnx import TensorProto, helper

T, N, I, H = 5, 4, 3, 9
CASES = {  # directions, steps and samples of X, samples of initial_h and initial_c, sequence_lens
    "no step": (2, 0, N, None, None),
    "no sample": (1, T, 0, 0, None),
    "states of three samples for four": (2, T, N, 3, None),
    "states of one sample for four": (1, T, N, 1, None),
    "states of one sample for four, with lengths": (1, T, N, 1, [5, 4, 2, 1]),
    "a length of 1000 for five steps": (1, T, N, N, [T, T, T, 1000]),
    "a length of 9 for five steps": (2, T, N, None, [T, T, T, 9]),
    "a length of -1": (1, T, N, N, [T, T, T, -1]),
    "a length of 0": (1, T, N, N, [T, T, T, 0]),
    "two lengths for four samples": (2, T, N, None, [T, T]),
    "one length for four samples": (2, T, N, None, [T]),
}


def feeds(D, T, N, samples, lengths):
    rng = np.random.default_rng(0)
    shapes = {"X": (T, N, I), "W": (D, 4 * H, I), "R": (D, 4 * H, H), "B": (D, 8 * H)}
    shapes |= {} if samples is None else {"h": (D, samples, H), "c": (D, samples, H)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return arrays | ({} if lengths is None else {"lens": np.array(lengths, np.int32)})


def compiled(D, right, threads):
    dynamic = {"X": ("T", "N", I), "h": (D, "N", H), "c": (D, "N", H), "lens": ("N",)}
    types = {name: TensorProto.INT32 if name == "lens" else TensorProto.FLOAT for name in right}
    info = [helper.make_tensor_value_info(n, types[n], dynamic.get(n, a.shape)) for n, a in right.items()]
    given = ["X", "W", "R", "B", *(name if name in right else "" for name in ("lens", "h", "c"))]
    direction = "bidirectional" if D == 2 else "forward"
    node = helper.make_node("LSTM", given, ["Y", "Y_h", "Y_c"], hidden_size=H, direction=direction)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h", "Y_c")]
    graph = helper.make_graph([node], "extents", info, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    core = openvino.Core()
    properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    return core.compile_model(core.read_model(model.SerializeToString()), "CPU", properties)


def run(case, threads):
    D, _, _, samples, lengths = case
    right = feeds(D, T, N, None if samples is None else N, lengths and [5, 4, 2, 1])
    wrong = feeds(*case)
    model, first, told = compiled(D, right, threads), None, []
    for _ in range(10):
        for arrays in (right, wrong):
            request = model.create_infer_request()
            try:
                request.infer({name: openvino.Tensor(array) for name, array in arrays.items()})
                y = request.get_tensor(model.outputs[0]).data.copy()
                outcome = f"taken, Y of shape {y.shape}"
            except RuntimeError as error:
                outcome = f"refused, {str(error).strip().splitlines()[-1][:60]}"
            if arrays is right:
                first = y if first is None else first
                off = np.abs(y - first).max() if y.shape == first.shape else np.inf
                outcome = f"then the right call is off by {off:.2g}" if off > 1e-6 else ""
            if outcome and outcome.partition(" off by")[0] not in told:
                told.append(outcome.partition(" off by")[0])
                print(outcome, flush=True)


if len(sys.argv) > 1:
    run(CASES[sys.argv[1]], int(sys.argv[2]))
    sys.exit()
print(f"openvino {openvino.__version__.partition('-')[0]}, expected: refused")
departs = 0
for threads in (2, 1):
    for name in CASES:
        command = [sys.executable, __file__, name, str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stdout.strip().splitlines()
        said += [f"then the process ended by {signal.Signals(-done.returncode).name}"] if done.returncode < 0 else []
        departs += done.returncode < 0 or "taken" in done.stdout or "off by" in done.stdout
        print(f"threads {threads}, {name}: {'; '.join(said) or done.stderr.strip()}")
sys.exit(1 if departs else 0)
