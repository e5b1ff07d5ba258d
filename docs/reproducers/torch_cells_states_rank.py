"""torch.nn's cells on the CPU take states of (H, H) for x of (I): RNNCell returns such states, two cells crash.

LSTMCell ends the process for H = 3, GRUCell for H = 1. The dynamically quantized cells of one unit do the same with
states of three axes for x of one sample. They must raise, as for another number of samples. Needs torch. Exits with 1
while the fault is there.
"""

import subprocess
import sys

CALL = """
import torch, warnings
warnings.simplefilter("ignore")
cell = torch.nn.{name}(3, {H})
if {quantized}:
    modules = torch.nn.ModuleList([cell])
    cell = torch.ao.quantization.quantize_dynamic(modules, {{type(cell)}}, dtype=torch.qint8)[0]
h = torch.ones({states})
with torch.no_grad():
    found = cell(torch.ones({x}), (h, h) if "{name}" == "LSTMCell" else h)
print([tuple(a.shape) for a in (found if isinstance(found, tuple) else (found,))])
"""

wrong = 0
cells = [(name, H, False, (3,), (H, H)) for name, H in (("RNNCell", 3), ("LSTMCell", 3), ("GRUCell", 1))]
cells += [(name, 1, True, (1, 3), (1, 1, 1)) for name in ("RNNCell", "LSTMCell", "GRUCell")]
for name, H, quantized, x, states in cells:
    call = [sys.executable, "-c", CALL.format(name=name, H=H, quantized=quantized, x=x, states=states)]
    name = "quantized " * quantized + name
    run = subprocess.run(call, capture_output=True, text=True, check=False)
    if run.returncode < 0:
        print(f"{name}: the process ended by signal {-run.returncode}")
    elif run.returncode == 0:
        print(f"{name}: accepted, and states of {run.stdout.strip()} came back")
    else:
        print(f"{name}: {run.stderr.strip().splitlines()[-1]}")
    wrong += run.returncode <= 0
sys.exit(1 if wrong else 0)
