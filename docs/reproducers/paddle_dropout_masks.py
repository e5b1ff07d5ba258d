"""Paddle on the CPU: the dropout between the layers has one mask for all of them.

Layers above the first hand on what they are fed: relu of the identity, no recurrence. With dropout p between three
layers an element survives with probability (1 - p)^2 if the masks are independent, and 1 - p if they are one.
Needs paddlepaddle and numpy. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import paddle

paddle.set_device("cpu")
paddle.seed(1)
H, p, faults = 50, 0.5, 0
print(f"paddle {paddle.__version__}")
for layers in (2, 3, 4):
    module = paddle.nn.SimpleRNN(3, H, layers, dropout=p, activation="relu")
    for number, row in enumerate(module):
        row.cell.bias_ih.set_value(np.full(H, 5 if number == 0 else 0, np.float32))
        row.cell.bias_hh.set_value(np.zeros(H, np.float32))
        row.cell.weight_hh.set_value(np.zeros((H, H), np.float32))
        if number:
            row.cell.weight_ih.set_value(np.eye(H, dtype=np.float32))
    module.train()
    output = module(paddle.randn([20, 30, 3]))[0].numpy()
    kept, expected = (output != 0).mean(), (1 - p) ** (layers - 1)
    faults += abs(kept - expected) > 0.02
    print(f"{layers} layers: {kept:.3f} of the elements survive, expected about {expected:.3f}")
sys.exit(1 if faults else 0)
