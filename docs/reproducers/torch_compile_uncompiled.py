"""torch.compile leaves recurrent layers uncompiled and says nothing, unless fullgraph or allow_rnn is set.

Needs torch. Exits with 1 while that is so.
"""

import sys

import torch

torch._dynamo.config.allow_rnn = False  # the default
print(f"torch {torch.__version__}")
graphs = []


def backend(graph, examples):
    graphs.append(graph)
    return graph


silent = 0
for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
    graphs.clear()
    torch.compile(kind(3, 4), backend=backend)(torch.randn(5, 2, 3))
    print(f"{kind.__name__}: {len(graphs)} graphs compiled, no error")
    silent += not graphs
    try:
        torch.compile(kind(3, 4), backend=backend, fullgraph=True)(torch.randn(5, 2, 3))
    except Exception as error:
        print(f"  fullgraph=True: {type(error).__name__}")
sys.exit(1 if silent else 0)
