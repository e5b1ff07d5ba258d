"""torch.nn.LSTM on the CPU without oneDNN: for a single step a float64 c_0 is taken by a float32 layer.

It must raise, as it does for two steps and with oneDNN. Needs torch. Exits with 1 while the fault is there.
"""

import sys

import torch

torch.backends.mkldnn.set_flags(False)
layer, h_0 = torch.nn.LSTM(3, 4), torch.zeros(1, 2, 4)
print(f"torch {torch.__version__}")
accepted = False
for steps in (1, 2):
    try:
        with torch.no_grad():
            output, (_, c_n) = layer(torch.zeros(steps, 2, 3), (h_0, h_0.double()))
        accepted = True
        print(f"{steps} steps, float64 c_0: accepted, output {output.dtype}, c_n {c_n.dtype}")
    except Exception as error:
        print(f"{steps} steps, float64 c_0: {type(error).__name__}")
sys.exit(1 if accepted else 0)
