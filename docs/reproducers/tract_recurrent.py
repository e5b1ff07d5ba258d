"""tract: direction=reverse is computed forward, RNN with Relu as with Tanh, and LSTM without states takes one sample.

A reverse node is a forward one on x in reverse order, whose Y is in reverse order again. Needs numpy, onnx and tract.
Exits with 1 while the faults are there. ``--abort`` shows that a free number of samples ends the process.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tract
from onnx import TensorProto, helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
wrong = 0


def run(operator, given, samples=None, **attributes):
    H = given["R"].shape[2]
    shapes = {n: list(a.shape) for n, a in given.items()}
    if samples:
        shapes["X"][1] = samples
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in given]
    names = [n if n in given else "" for n in ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if operator == "LSTM" else 2]
    node = helper.make_node(operator, names, outputs, hidden_size=H, **attributes)
    results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
    graph = helper.make_graph([node], "node", infos, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        runnable = tract.onnx().load(file).into_model().into_runnable()
    return {name: a.to_numpy() for name, a in zip(outputs, runnable.run([*given.values()]), strict=True)}


def drawn(operator, T=4, N=2, I=3, H=2):
    rng, rows = np.random.default_rng(0), GATES[operator] * H
    shapes = {"X": (T, N, I), "W": (1, rows, I), "R": (1, rows, H), "B": (1, 2 * rows), "initial_h": (1, N, H)}
    shapes |= {"initial_c": (1, N, H)} if operator == "LSTM" else {}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


print(f"tract {tract.version()}")
if "--abort" in sys.argv:
    run("GRU", {n: a for n, a in drawn("GRU").items() if n != "initial_h"}, samples="N")
for operator in GATES:
    given = drawn(operator)
    forward = run(operator, given | {"X": given["X"][::-1].copy()})
    reverse = run(operator, given, direction="reverse")
    off = float(np.max(np.abs(reverse["Y"] - forward["Y"][::-1])))
    wrong += off > 1e-5
    print(f"{operator}, reverse: Y is off by {off:.2g}; from the forward one by "
          f"{float(np.max(np.abs(reverse['Y'] - run(operator, given)['Y']))):.2g}")  # fmt: skip
given = drawn("RNN")
relu, tanh = run("RNN", given, activations=["Relu"])["Y"], run("RNN", given)["Y"]
wrong += np.array_equal(relu, tanh)
same = "the same as with Tanh" if np.array_equal(relu, tanh) else "another one than with Tanh"
print(f"RNN, activations = [Relu]: the largest Y is {relu.max():.3f}, {same}")
for samples in (1, 2):
    given = {n: a for n, a in drawn("LSTM", N=samples).items() if not n.startswith("initial")}
    try:
        run("LSTM", given)
    except Exception as error:
        wrong += 1
        print(
            f"LSTM of {samples} samples without initial states: {type(error).__name__}: {str(error).split(chr(10))[0]}"
        )
    else:
        print(f"LSTM of {samples} sample without initial states: as it should be")
sys.exit(1 if wrong else 0)
