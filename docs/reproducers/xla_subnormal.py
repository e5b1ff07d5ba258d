"""JAX on the CPU: XLA replaces subnormal float32 numbers by 0, so that gradients that later steps enlarge are lost.

A chain of three factors has the derivative 1e-30 * 1e-9 * 1e3 = 1e-36, a normal number; its first product is subnormal.
Needs jax and numpy. Exits with 1 while the fault is there.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np


@jax.jit
def chain(x, factors):
    for factor in factors:
        x = x * factor
    return x


factors = tuple(jnp.float32(f) for f in (1e3, 1e-9, 1e-30))
got = float(jax.grad(chain)(jnp.float32(1), factors))
steps = np.float32(1e-30) * np.float32(1e-9) * np.float32(1e3)
print(f"jax {jax.__version__}")
print(f"derivative of the chain: got {got:.3g}, expected {steps:.3g} as NumPy has it in float32")
sys.exit(1 if got != steps else 0)
