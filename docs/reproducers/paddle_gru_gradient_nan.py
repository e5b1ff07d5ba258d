"""Paddle on the CPU: the gradients of GRU are NaN where the reset gate is 0.

One unit, one step, no lengths; one gate's bias is so large that the gate is 0 or 1. The results are right and the
gradients finite by the formula. Needs paddlepaddle and numpy. Exits with 1 while the fault is there.
"""

import sys

import numpy as np
import paddle

paddle.set_device("cpu")
faults = 0
print(f"paddle {paddle.__version__}")
for row, gate in enumerate(("reset", "update", "new")):
    for bias in (-200.0, 200.0):
        paddle.seed(1)
        layer = paddle.nn.GRU(1, 1)
        biases = layer[0].cell.bias_ih.numpy()
        biases[row] = bias
        layer[0].cell.bias_ih.set_value(biases)
        x = paddle.to_tensor(np.ones((1, 1, 1), np.float32), stop_gradient=False)
        output, _ = layer(x)
        output.sum().backward()
        found = {"x": x.grad, "weight_hh": layer[0].cell.weight_hh.grad, "bias_hh": layer[0].cell.bias_hh.grad}
        wrong = [name for name, value in found.items() if not np.isfinite(value.numpy()).all()]
        faults += len(wrong)
        said = f"NaN in the gradient of {', '.join(wrong)}" if wrong else "all gradients finite"
        print(f"bias of the {gate} gate {bias:g}: output {output.item():.3g}, {said}, expected all finite")
sys.exit(1 if faults else 0)
