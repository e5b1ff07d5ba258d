"""torch on the CPU with packed input: lengths and states that do not fit are taken.

Each of these must raise. Needs torch. Exits with 1 while the fault is there.
"""

import sys
import warnings

import torch
from torch.nn.utils.rnn import pack_padded_sequence

warnings.simplefilter("ignore")
torch.manual_seed(0)
print(f"torch {torch.__version__}")
x, accepted = torch.randn(5, 2, 3), 0


def pack(x, lengths):
    return pack_padded_sequence(x, lengths, enforce_sorted=False)


def states(layer, samples):
    h = torch.zeros(1, samples, 4)
    return (h, h) if isinstance(layer, torch.nn.LSTM) else h


calls = {
    "one length for two samples": lambda: torch.nn.GRU(3, 4)(pack(x, [4])),
    "lengths 4.5 and 2.5 in a list": lambda: torch.nn.GRU(3, 4)(pack(x, [4.5, 2.5])),
    "lengths 4.5 and 2.5 in a tensor": lambda: torch.nn.GRU(3, 4)(pack(x, torch.tensor([4.5, 2.5]))),
    "LSTM, 100 features for 3, equal lengths": lambda: torch.nn.LSTM(3, 4)(pack(torch.randn(5, 2, 100), [5, 5])),
    "LSTM, x of four axes, one step and one sample": lambda: torch.nn.LSTM(3, 4)(pack(x[None, :1, :1], [1])),
    "LSTM(1, 4), x of (1, 1) with one length": lambda: torch.nn.LSTM(1, 4)(pack(x[:1, :1, 0], [1])),
    "LSTM(3, 4, proj_size=2), c_0 of one unit for four": lambda: torch.nn.LSTM(3, 4, proj_size=2)(
        pack(x, [4, 5]), (torch.zeros(1, 2, 2), torch.zeros(1, 2, 1))
    ),
}
for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU):
    layer = kind(3, 4)
    calls[f"{kind.__name__}, states of three samples for two"] = lambda layer=layer: layer(
        pack(x, [4, 5]), states(layer, 3)
    )
for what, call in calls.items():
    try:
        output, _ = call()
        accepted += 1
        print(f"{what}: accepted, {output.batch_sizes.sum()} steps in all")
    except Exception as error:
        print(f"{what}: {type(error).__name__}")
sys.exit(1 if accepted else 0)
