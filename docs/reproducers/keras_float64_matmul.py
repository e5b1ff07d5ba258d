"""Keras on torch: layers of dtype float64 compute their matrix products in float32.

keras.ops.matmul of two float64 arrays is float32, so that a SimpleRNN, and an LSTM or GRU with a mask, has float32's
precision though everything about it says float64. Needs keras and torch. Exits with 1 while the fault is there.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

torch.manual_seed(0)
x = torch.randn(5, 1, 3, dtype=torch.float64)
layer = keras.layers.SimpleRNN(4, dtype="float64")
got = layer(x)
kernel, _, bias = (v.value for v in layer.trainable_variables)
error = (got - torch.tanh(x[:, 0] @ kernel + bias)).abs().max().item()
product = keras.ops.matmul(x[:, 0], kernel)
print(f"keras {keras.__version__}, torch {torch.__version__}")
print(f"matmul of {x.dtype} and {kernel.dtype}: got {product.dtype}, expected torch.float64")
print(f"SimpleRNN of dtype float64, one step: got {got.dtype} off by {error:.1e}, expected below 1e-15")
sys.exit(1 if error > 1e-14 else 0)
