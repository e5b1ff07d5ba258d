"""torch.nn's cells on the CPU take states of (H, H) for x of (I): RNNCell returns such states, two cells crash.

LSTMCell ends the process for H = 3, GRUCell for H = 1. They must raise, as for another number of samples. Needs torch.
Exits with 1 while the fault is there.
"""

import subprocess
import sys

CALL = """
import torch
cell = torch.nn.{name}(3, {H})
h = torch.ones({H}, {H})
with torch.no_grad():
    found = cell(torch.ones(3), (h, h) if "{name}" == "LSTMCell" else h)
print([tuple(a.shape) for a in (found if isinstance(found, tuple) else (found,))])
"""

wrong = 0
for name, H in (("RNNCell", 3), ("LSTMCell", 3), ("GRUCell", 1)):
    call = [sys.executable, "-c", CALL.format(name=name, H=H)]
    run = subprocess.run(call, capture_output=True, text=True, check=False)
    if run.returncode < 0:
        print(f"{name}: the process ended by signal {-run.returncode}")
    elif run.returncode == 0:
        print(f"{name}: accepted, and states of {run.stdout.strip()} came back")
    else:
        print(f"{name}: {run.stderr.strip().splitlines()[-1]}")
    wrong += run.returncode <= 0
sys.exit(1 if wrong else 0)
