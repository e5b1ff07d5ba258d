"""torch.onnx.export(dynamo=True) under onnxruntime: what is exported, what is not, and what its graphs take.

Steps are fixed, packed input is refused, a projection gives a model that does not run; a layer of an x without a sample
ends the process, and a cell takes states of one sample for many. Each in a process of its own. Needs numpy, torch,
onnx, onnxscript and onnxruntime. Exits with 1 while one of these is there.
"""

import signal
import subprocess
import sys

import numpy as np
import onnxruntime
import torch
from torch.nn.utils.rnn import pack_padded_sequence

SAMPLES, STEPS = {1: torch.export.Dim("N")}, {0: torch.export.Dim("T")}


class Packed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.GRU(3, 4)

    def forward(self, x, lengths):
        return self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]


def run(module, example, shapes, *others):
    """Export with the example and run with zeros of the shapes."""
    arguments = (torch.zeros(example), *others)
    dynamic = None if others else (shapes,)
    program = torch.onnx.export(module.eval(), arguments, dynamo=True, dynamic_shapes=dynamic, verbose=False)
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])


def steps(module):
    graph = run(module, (5, 2, 3), STEPS)
    return graph.run(None, {graph.get_inputs()[0].name: np.zeros((7, 2, 3), np.float32)})


def projection():
    graph = run(torch.nn.LSTM(3, 4, proj_size=2), (5, 2, 3), SAMPLES)
    return graph.run(None, {graph.get_inputs()[0].name: np.zeros((5, 2, 3), np.float32)})


def no_sample(module):
    graph = run(module, (5, 2, 3), SAMPLES)
    return graph.run(None, {graph.get_inputs()[0].name: np.zeros((5, 0, 3), np.float32)})


def broadcast():
    dynamic = ({0: torch.export.Dim("N")}, {0: torch.export.Dim("N")})
    arguments = (torch.zeros(2, 3), torch.zeros(2, 4))
    program = torch.onnx.export(
        torch.nn.RNNCell(3, 4).eval(), arguments, dynamo=True, dynamic_shapes=dynamic, verbose=False
    )
    graph = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [i.name for i in graph.get_inputs()]
    return graph.run(None, dict(zip(names, (np.zeros((2, 3), np.float32), np.zeros((1, 4), np.float32)), strict=True)))


# What is asked, and whether it is a fault that it is taken or that it is not.
CASES = {
    "RNN, 7 steps where the example had 5": (lambda: steps(torch.nn.RNN(3, 4)), "must run"),
    "GRU, 7 steps where the example had 5": (lambda: steps(torch.nn.GRU(3, 4)), "must run"),
    "LSTM, 7 steps where the example had 5": (lambda: steps(torch.nn.LSTM(3, 4)), "must run"),
    "packed input": (lambda: run(Packed(), (5, 2, 3), None, torch.tensor([5, 3])), "must run"),
    "LSTM with a projection": (projection, "must run"),
    "GRU, no sample": (lambda: no_sample(torch.nn.GRU(3, 4)), "must not end the process"),
    "LSTM, no sample": (lambda: no_sample(torch.nn.LSTM(3, 4)), "must not end the process"),
    "RNNCell, h of one sample for two": (broadcast, "must be refused"),
}

if len(sys.argv) > 1:
    try:
        CASES[sys.argv[1]][0]()
        print("taken")
    except Exception as error:
        message = [line for line in str(error).splitlines() if line.strip()]
        print(f"refused, {type(error).__name__}: {message[-1][:100]}")
    sys.exit()
print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")
faults = 0
for name, (_, rule) in CASES.items():
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    ended = done.returncode < 0
    how = f"the process ended by {signal.Signals(-done.returncode).name}" if ended else last
    fault = ended or (rule == "must run" and how != "taken") or (rule == "must be refused" and how == "taken")
    faults += fault
    print(f"{name}: {how}; {rule}")
sys.exit(1 if faults else 0)
