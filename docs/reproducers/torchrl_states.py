"""torchrl: LSTM and the cells take states of wrong shapes and dtypes, and LSTM ignores proj_size.

torchrl.modules.LSTM is a subclass of torch.nn.LSTM; its GRU refuses the same states. Needs torch and torchrl. Exits
with 1 while the faults are there.
"""

import sys

import torch
import torchrl
from torchrl.modules import GRU, LSTM, GRUCell, LSTMCell

wrong = 0


def attempt(what, call):
    global wrong
    try:
        found = call()
    except (RuntimeError, ValueError, IndexError) as error:
        print(f"{what}: {type(error).__name__}: {str(error).splitlines()[0]}")
        return
    wrong += 1
    print(f"{what}: accepted, {found}; expected an error")


def shapes(returned):
    return [f"{tuple(a.shape)} {a.dtype}" for a in torch.utils._pytree.tree_leaves(returned)]


print(f"torchrl {torchrl.__version__}, torch {torch.__version__}")
x, one, two = torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 2, 1)
with torch.no_grad():
    attempt("LSTM, states of 2 samples for 1", lambda: shapes(LSTM(1, 1)(x, (two, two))))
    attempt("GRU, a state of 2 samples for 1", lambda: shapes(GRU(1, 1)(x, two)))
    attempt("LSTM, states of 2 layers for 1", lambda: shapes(LSTM(1, 1)(x, (torch.zeros(2, 1, 1),) * 2)))
    attempt("LSTM, c_0 of 2 units for 1", lambda: shapes(LSTM(1, 1)(x, (one, torch.zeros(1, 1, 2)))))
    attempt("LSTM, float64 c_0 for float32, one step", lambda: shapes(LSTM(1, 1)(x, (one, one.double()))))
    attempt("LSTMCell, states of 2 samples for 1", lambda: shapes(LSTMCell(1, 1)(x[0], (two[0], two[0]))))
    attempt("GRUCell, a state of 2 samples for 1", lambda: shapes(GRUCell(1, 1)(x[0], two[0])))
    output, _ = torch.nn.LSTM(1, 2, proj_size=1)(x)
    found = LSTM(1, 2, proj_size=1, batch_first=False)
    try:
        came = tuple(found(x)[0].shape)
    except RuntimeError as error:
        came = f"RuntimeError: {str(error).splitlines()[0]}"
    print(f"LSTM(1, 2, proj_size=1) without states: {came}, expected an output of shape {tuple(output.shape)}")
    wrong += came != tuple(output.shape)
sys.exit(1 if wrong else 0)
