"""torch.nn.LSTMCell on the CPU: a float64 c_0 is taken by a float32 cell, and by a quantized LSTM for one step.

It must raise, as for h_0. Needs torch. Exits with 1 while the fault is there.
"""

import sys
import warnings

import torch

warnings.simplefilter("ignore")

cell, x, h = torch.nn.LSTMCell(3, 4), torch.zeros(2, 3), torch.zeros(2, 4)
print(f"torch {torch.__version__}")
accepted = {}
for name, states in {"h_0": (h.double(), h), "c_0": (h, h.double())}.items():
    try:
        h_1, c_1 = cell(x, states)
        accepted[name] = f"accepted, h' {h_1.dtype}, c' {c_1.dtype}"
    except Exception as error:
        print(f"float64 {name}: {type(error).__name__}")
quantized = torch.ao.quantization.quantize_dynamic(
    torch.nn.ModuleList([torch.nn.LSTM(3, 4)]), {torch.nn.LSTM}, dtype=torch.qint8
)[0]
for steps in (1, 2):
    name = f"c_0 of a quantized LSTM, x of {steps} step{'s' * (steps > 1)}"
    try:
        output, _ = quantized(torch.zeros(steps, 2, 3), (h[None], h[None].double()))
        accepted[name] = f"accepted, output {output.dtype}"
    except Exception as error:
        print(f"float64 {name}: {type(error).__name__}")
for name, came in accepted.items():
    print(f"float64 {name}: {came}")
sys.exit(1 if accepted else 0)
