"""Keras on torch: NaN in steps that the mask leaves out makes gradients of the parameters NaN.

The outputs and states are right: the masked steps are computed and then deselected by torch.where, whose gradient of
0 is multiplied by the NaN. Needs keras and torch. Exits with 1 while the fault is there.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

wrong = 0
print(f"keras {keras.__version__}, torch {torch.__version__}")
x = torch.tensor([[[1.0], [float("nan")]]])
mask = torch.tensor([[True, False]])
for make in (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU):
    layer = make(1)
    output = layer(x, mask=mask)
    (d_kernel,) = torch.autograd.grad(output.sum(), layer.trainable_variables[0].value)
    wrong += not torch.isfinite(d_kernel).all()
    print(f"{make.__name__}: output {output.item():.3f}, gradient of the kernel {d_kernel.tolist()}, expected finite")
sys.exit(1 if wrong else 0)
