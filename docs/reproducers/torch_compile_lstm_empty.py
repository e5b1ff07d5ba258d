"""torch.compile of nn.LSTM on the CPU: no steps are taken, and no samples end the process.

Eager torch refuses no steps and takes no samples. Each call is made in a process of its own, for one of them ends it.
Needs torch. Exits with 1 while the fault is there.
"""

import subprocess
import sys

ONE = """
import sys, torch
torch._dynamo.config.allow_rnn = True
layer = getattr(torch.nn, sys.argv[1])(3, 4).eval()
if sys.argv[2] == "compiled":
    layer = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=False)
try:
    with torch.no_grad():
        print("accepted, output", tuple(layer(torch.zeros(int(sys.argv[3]), int(sys.argv[4]), 3))[0].shape))
except Exception as error:
    print("raised", type(error).__name__)
"""

faults = 0
for kind in ("RNN", "GRU", "LSTM"):
    for how in ("eager", "compiled"):
        for what, steps, samples in (("no steps", "0", "2"), ("no samples", "5", "0")):
            command = [sys.executable, "-c", ONE, kind, how, steps, samples]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            came = done.stdout.strip() or f"ended by signal {-done.returncode}"
            faults += what == "no steps" and not came.startswith("raised")
            faults += what == "no samples" and came.startswith("ended")
            print(f"{kind}, {how}, {what}: {came}", flush=True)
sys.exit(1 if faults else 0)
