"""torch.jit.script: a scripted LSTMCell takes None for a tensor; after two refused calls right calls fail.

Needs torch. Exits with 1 while the fault is there.
"""

import sys

import torch

cell = torch.jit.script(torch.nn.LSTMCell(3, 4))
x, h, c = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 4)
failed = 0
with torch.no_grad():
    for _ in range(2):
        try:
            cell(x, (h, None))
        except Exception as error:
            print("refused:", str(error).strip().splitlines()[-1])
    for call in range(3):
        try:
            cell(x, (h, c))
            print(f"right call {call + 1}: taken")
        except RuntimeError as error:
            failed += 1
            print(f"right call {call + 1}:", str(error)[:120])
sys.exit(1 if failed else 0)
