"""torch.nn.LSTMCell on the CPU: a float64 c_0 is taken by a float32 cell.

It must raise, as for h_0. Needs torch. Exits with 1 while the fault is there.
"""

import sys

import torch

cell, x, h = torch.nn.LSTMCell(3, 4), torch.zeros(2, 3), torch.zeros(2, 4)
print(f"torch {torch.__version__}")
accepted = {}
for name, states in {"h_0": (h.double(), h), "c_0": (h, h.double())}.items():
    try:
        h_1, c_1 = cell(x, states)
        accepted[name] = f"accepted, h' {h_1.dtype}, c' {c_1.dtype}"
    except Exception as error:
        print(f"float64 {name}: {type(error).__name__}")
for name, came in accepted.items():
    print(f"float64 {name}: {came}")
sys.exit(1 if accepted else 0)
