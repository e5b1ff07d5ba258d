"""Paddle on the CPU: dropout of float64 scales what it keeps by a 1 - p of float32.

The factor is to be 1 / (1 - p). Needs paddlepaddle and numpy. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import paddle

paddle.set_device("cpu")
faults = 0
print(f"paddle {paddle.__version__}")
for p in (0.1, 0.2, 0.25, 0.3, 0.9):
    kept = paddle.nn.functional.dropout(paddle.ones([1000], dtype="float64"), p, training=True).numpy().max()
    narrow = 1 / float(np.float32(1) - np.float32(p))
    off = abs(kept * (1 - p) - 1)
    faults += off > 1e-15
    print(f"p = {p}: {kept:.12g}, expected {1 / (1 - p):.12g}, 1 / (1 - p) by float32's 1 - p {narrow:.12g}")
sys.exit(1 if faults else 0)
