"""A scripted LSTMCell takes None for a tensor: after two refused calls with one state right calls fail."""

import torch

cell = torch.jit.script(torch.nn.LSTMCell(3, 4))
x, h, c = torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 4)
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
            print(f"right call {call + 1}:", str(error)[:120])
