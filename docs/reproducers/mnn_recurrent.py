"""MNN: direction=reverse is computed forward, attributes are ignored, NaN is lost, and free extents fail.

A reverse node is a forward one on x in reverse order, whose Y is in reverse order again; NumPy gives the other right
numbers. Needs mnn, numpy and onnx. Exits with 1 while the faults are there.
"""

import os
import sys
import tempfile
from pathlib import Path

import _tools
import MNN
import numpy as np
from MNN import expr, nn
from onnx import TensorProto, helper, numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
T, N, I, H = 4, 2, 3, 2
wrong = 0
out = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the converter prints much


def run(operator, given, free=False, alone=False, **attributes):
    """Convert a node whose parameters are constants, and run it; x and the states are inputs."""
    shapes = {n: list(a.shape) for n, a in given.items()}
    if free:
        shapes["X"][:2] = "T", "N"
    inputs = {n: np.ascontiguousarray(a) for n, a in given.items() if n not in "WRB"}
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in inputs]
    constants = [numpy_helper.from_array(given[n], n) for n in given if n in "WRB"]
    names = [n if n in given else "" for n in ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")]
    outputs = ["Y", "Y_h", "Y_c"][: 1 if alone else 3 if operator == "LSTM" else 2]
    node = helper.make_node(operator, names[: 7 if operator == "LSTM" else 6], outputs, hidden_size=H, **attributes)
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph([node], "node", infos, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder) / "model.onnx"), str(Path(folder) / "model.mnn")
        Path(source).write_bytes(model.SerializeToString())
        _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"])
        module = nn.load_module_from_file(target, list(inputs), outputs)
    came = module.forward([expr.const(a, list(a.shape), expr.NCHW, expr.float) for a in inputs.values()])
    return np.array(expr.convert(came[0], expr.NCHW).read()) if came else None


def drawn(operator):
    rng, rows = np.random.default_rng(0), GATES[operator] * H
    shapes = {"X": (T, N, I), "W": (1, rows, I), "R": (1, rows, H), "B": (1, 2 * rows), "initial_h": (1, N, H)}
    shapes |= {"initial_c": (1, N, H)} if operator == "LSTM" else {}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def told(case, came, right):
    """Print how far a result is from the right one, and count it if it is wrong."""
    global wrong
    if came is None or came.shape != right.shape:
        wrong += 1
        said.append(f"{case}: {'no output' if came is None else f'Y of shape {came.shape}, expected {right.shape}'}")
        return
    off = float(np.max(np.abs(came - right)))
    wrong += not off < 1e-4
    said.append(f"{case}: Y is off by {off:.2g}")


def step(given, f=np.tanh, clip=np.inf):
    """The first step of an RNN node."""
    b = given["B"][0, :H] + given["B"][0, H:]
    return f(np.clip(given["X"][0] @ given["W"][0].T + given["initial_h"][0] @ given["R"][0].T + b, -clip, clip))


def gru_step(given):
    """The first step of a GRU node with linear_before_reset=0."""
    (W,), (R,), (B,), (h,) = given["W"], given["R"], given["B"], given["initial_h"]
    (wz, wr, wh), (rz, rr, rh) = np.split(W, 3), np.split(R, 3)
    b = np.split(B[: 3 * H] + B[3 * H :], 3)
    z, r = (1 / (1 + np.exp(-(given["X"][0] @ w.T + h @ u.T + c))) for w, u, c in ((wz, rz, b[0]), (wr, rr, b[1])))
    return (1 - z) * np.tanh(given["X"][0] @ wh.T + (r * h) @ rh.T + b[2]) + z * h


if "--abort" in sys.argv:
    run("LSTM", drawn("LSTM"), alone=True)
said = [f"MNN {MNN.version()}"]
for operator in GATES:
    given, extra = drawn(operator), {"linear_before_reset": 1} if operator == "GRU" else {}
    right = run(operator, given | {"X": given["X"][::-1]}, **extra)[::-1]
    told(f"{operator}, direction=reverse", run(operator, given, direction="reverse", **extra), right)
given = drawn("RNN")
told("RNN, as it is, first step", run("RNN", given)[0, 0], step(given))
relu = run("RNN", given, activations=["Relu"])[0, 0]
told("RNN, activations=[Relu], first step", relu, step(given, lambda a: np.maximum(a, 0)))
told("RNN, clip=0.3, first step", run("RNN", given, clip=0.3)[0, 0], step(given, clip=0.3))
turned = {n: a.swapaxes(0, 1).copy() if n in ("X", "initial_h") else a for n, a in given.items()}
told("RNN, layout=1", run("RNN", turned, layout=1), run("RNN", given).transpose(2, 0, 1, 3))
told("GRU, linear_before_reset=0, first step", run("GRU", drawn("GRU"))[0, 0], gru_step(drawn("GRU")))
given = drawn("LSTM")
told("LSTM, free T and N", run("LSTM", given, free=True), run("LSTM", given))
given = drawn("GRU")
free = run("GRU", given, free=True, linear_before_reset=1)
told("GRU, free T and N", free, run("GRU", given, linear_before_reset=1))
both = {n: np.concatenate([a, a]) if n in "WRB" else a for n, a in given.items() if n != "initial_h"}
nothing = run("GRU", both, direction="bidirectional") is None
wrong += nothing
said.append(f"GRU in two directions, linear_before_reset=0, without states: {'no output' if nothing else 'an output'}")
lost = given | {"X": given["X"] * np.float32(np.nan)}
numbers = np.isfinite(run("GRU", lost, linear_before_reset=1)).all()
wrong += numbers
said.append(f"GRU, x is NaN: {'all outputs are finite' if numbers else 'NaN'}")
print("\n".join(said), file=out, flush=True)
sys.exit(1 if wrong else 0)
