"""torch.nn.LSTM on the CPU with packed input: states of other shapes than documented are not refused.

Each wrong state is tried in a process of its own, for one of them ends it. nn.RNN and nn.GRU refuse all of these
but more samples. Needs torch. Exits with 1 while the fault is there.
"""

import subprocess
import sys

ONE = """
import sys, torch
torch.manual_seed(0)
kind, h, c = sys.argv[1], *(tuple(map(int, a.split(","))) for a in sys.argv[2:])
layer = torch.nn.LSTM(3, 4, proj_size=2) if kind == "projected LSTM" else getattr(torch.nn, kind)(3, 4)
x = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 3), torch.tensor([5, 3]))
states = (torch.zeros(h), torch.zeros(c)) if "LSTM" in kind else torch.zeros(h)
try:
    layer(x, states)
    print("accepted")
except Exception as error:
    print("raised", type(error).__name__)
"""


def tried(kind, h, c):
    done = subprocess.run([sys.executable, "-c", ONE, kind, h, c], capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"ended by signal {-done.returncode}"


FITTING, faults = "1,2,4", 0
for kind in ("LSTM", "GRU", "RNN"):
    for what, shape in (
        ("fitting", FITTING),
        ("one row more", "2,2,4"),
        ("one sample more", "1,3,4"),
        ("one sample", "1,1,4"),
        ("one unit more", "1,2,5"),
        ("one unit", "1,2,1"),
    ):
        for h, c, name in ((shape, FITTING, "h_0"), (FITTING, shape, "c_0")):
            if kind != "LSTM" and name == "c_0":
                continue
            came = tried(kind, h, c)
            faults += what != "fitting" and not came.startswith("raised")
            print(f"{kind}, {name} {what} ({shape} for {FITTING}): {came}")
came = tried("projected LSTM", "1,2,2", "1,2,1")
faults += not came.startswith("raised")
print(f"LSTM with proj_size=2, c_0 one unit (1,2,1 for {FITTING}): {came}")
sys.exit(1 if faults else 0)
