"""MLX on the CPU: exp and sigmoid of float64 have float32's precision, and so have LSTM and GRU in float64.

tanh of the same numbers is right to the last place. Needs mlx and numpy. Exits with 1 while the fault is there.
"""

import importlib.metadata
import sys

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
x = np.linspace(-3, 3, 60)
print(f"mlx {importlib.metadata.version('mlx')}")
errors = {}
for name, computed, exact in (
    ("exp", mx.exp, np.exp),
    ("sigmoid", mx.sigmoid, lambda a: 1 / (1 + np.exp(-a))),
    ("tanh", mx.tanh, np.tanh),
):
    got = np.array(computed(mx.array(x, dtype=mx.float64)))
    errors[name] = np.abs(got / exact(x) - 1).max()
    print(f"{name} of {got.dtype}: relative error up to {errors[name]:.1e}, expected below 1e-15")
sys.exit(1 if max(errors.values()) > 1e-14 else 0)
