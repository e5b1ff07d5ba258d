"""Paddle on the CPU: with sequence_length and initial states gradients of the reverse direction are wrong.

weight_hh's lacks the initial state's part; of GRU those of the update gate and of the initial state are wrong as well.

One step, once as it is and once followed by a step of padding: the gradients must be the same. The reverse direction
of the padded sample starts from its initial state at step 0 as well. Needs paddlepaddle and numpy. Exits with 1 while
the fault is there.
"""

import sys

import numpy as np
import paddle

paddle.set_device("cpu")
faults = 0
print(f"paddle {paddle.__version__}")
for make, components in ((paddle.nn.SimpleRNN, 1), (paddle.nn.LSTM, 2), (paddle.nn.GRU, 1)):
    paddle.seed(1)
    layer = make(1, 1, direction="bidirect")
    states = [paddle.to_tensor(np.full([2, 1, 1], 0.5, np.float32), stop_gradient=False) for _ in range(components)]
    found = []
    for x, lengths in (([[[1.0]]], None), ([[[1.0], [0.0]]], paddle.to_tensor([1]))):
        x = paddle.to_tensor(np.array(x, np.float32), stop_gradient=False)
        output, _ = layer(x, states if components == 2 else states[0], lengths)
        layer.clear_gradients()
        output[:, 0].sum().backward()
        cell = layer[0].cell_bw
        found.append([a.grad.numpy().ravel() for a in (cell.weight_hh, cell.weight_ih, states[0])])
        for state in states:
            state.clear_gradient()
    for name, alone, padded in zip(("reverse weight_hh", "reverse weight_ih", "initial states"), *found, strict=True):
        faults += not np.allclose(alone, padded)
        print(f"{make.__name__}, {name}: alone {alone}, padded {padded}, expected the same")
sys.exit(1 if faults else 0)
