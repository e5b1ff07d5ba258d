"""torch.onnx.export(dynamo=False) under onnxruntime: graphs take lengths and states that the modules do not document.

Each of these must raise. Needs numpy, torch, onnx and onnxruntime. Exits with 1 while the fault is there.
"""

import io
import sys
import warnings

import numpy as np
import onnxruntime
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

warnings.simplefilter("ignore")


class Packed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.GRU(3, 4)

    def forward(self, x, lengths, h_0):
        output, h_n = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False), h_0)
        return pad_packed_sequence(output, total_length=x.shape[0])[0], h_n


def session(module, arguments, axes):
    file = io.BytesIO()
    dynamic = {name: {axis: "N"} for name, axis in axes.items()}
    torch.onnx.export(module, arguments, file, input_names=list(axes), dynamic_axes=dynamic, dynamo=False)
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


def zeros(*shape):
    return np.zeros(shape, np.float32)


layer = session(
    Packed(),
    (torch.zeros(3, 2, 3), torch.tensor([3, 1]), torch.zeros(1, 2, 4)),
    {"x": 1, "lengths": 0, "h_0": 1},
)
cell = session(torch.nn.RNNCell(3, 4), (torch.zeros(2, 3), torch.zeros(2, 4)), {"x": 0, "h_0": 0})
accepted = 0
for what, graph, feeds in (
    ("a length of 0", layer, {"x": zeros(3, 2, 3), "lengths": np.array([3, 0]), "h_0": zeros(1, 2, 4)}),
    ("one length for two samples", layer, {"x": zeros(3, 2, 3), "lengths": np.array([3]), "h_0": zeros(1, 2, 4)}),
    ("h_0 of three samples for two", layer, {"x": zeros(3, 2, 3), "lengths": np.array([3, 1]), "h_0": zeros(1, 3, 4)}),
    ("cell, h_0 of one sample for two", cell, {"x": zeros(2, 3), "h_0": zeros(1, 4)}),
    ("cell, h_0 of two samples for one", cell, {"x": zeros(1, 3), "h_0": zeros(2, 4)}),
):
    try:
        shapes = [a.shape for a in graph.run(None, feeds)]
        accepted += 1
        print(f"{what}: accepted, results of shapes {shapes}")
    except Exception as error:
        print(f"{what}: {type(error).__name__}")
sys.exit(1 if accepted else 0)
