"""torch.export of nn.RNN, GRU and LSTM: no dynamic number of steps, no packed input.

Samples may be dynamic. Needs torch. Exits with 1 while that is so.
"""

import sys
import warnings

import torch
from torch.nn.utils.rnn import pack_padded_sequence

warnings.simplefilter("ignore")
print(f"torch {torch.__version__}")
refused = 0


class Packing(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths):
        return self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False))[1]


for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
    for what, module, arguments, dynamic in (
        ("fixed shapes", kind(3, 4), (torch.randn(5, 2, 3),), None),
        ("dynamic samples", kind(3, 4), (torch.randn(5, 2, 3),), ({1: torch.export.Dim.DYNAMIC},)),
        ("dynamic steps", kind(3, 4), (torch.randn(5, 2, 3),), ({0: torch.export.Dim.DYNAMIC},)),
        ("packed input", Packing(kind(3, 4)), (torch.randn(5, 2, 3), torch.tensor([5, 3])), None),
    ):
        try:
            torch.export.export(module.eval(), arguments, dynamic_shapes=dynamic)
            came = "exported"
        except Exception as error:
            refused += 1
            came = f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
        print(f"{kind.__name__}, {what}: {came}")
sys.exit(1 if refused else 0)
