"""Paddle on the CPU: NaN in the padding reaches the final state, and relu makes a NaN in x 0.

Past a sample's end Paddle computes the step and multiplies it by 0, which NaN and infinity survive. Needs
paddlepaddle and numpy. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import paddle

paddle.set_device("cpu")
faults = 0
print(f"paddle {paddle.__version__}")
x = paddle.to_tensor(np.array([[[1.0], [np.nan]]], np.float32))
for make in (paddle.nn.SimpleRNN, paddle.nn.LSTM, paddle.nn.GRU):
    _, state = make(1, 1)(x, None, paddle.to_tensor([1]))
    h_n = (state[0] if make is paddle.nn.LSTM else state).item()
    faults += np.isnan(h_n)
    print(f"{make.__name__}, length 1 of 2 steps, NaN in the second: h_n {h_n}, expected a number")
output, _ = paddle.nn.SimpleRNN(1, 1, activation="relu")(x[:, 1:])
faults += not np.isnan(output.item())
print(f"SimpleRNN with relu, x NaN: output {output.item()}, expected nan")
sys.exit(1 if faults else 0)
