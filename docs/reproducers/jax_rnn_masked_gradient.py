"""JAX: NaN past a sequence's end makes gradients of jax.experimental.rnn.lstm_ref NaN.

Outputs and states are right: the steps past the end are computed and then deselected by jnp.where, whose gradient of 0
meets NaN. Needs jax. Exits with 1 while the fault is there.
"""

import sys

import jax
import jax.numpy as jnp
from jax.experimental.rnn import lstm_ref

H = 1
weights = [{0: jnp.full((4 * H, 1), 0.5)}, {0: jnp.full((4 * H, H), 0.5)}, {0: jnp.zeros(4 * H)}, {0: jnp.zeros(4 * H)}]
state, lengths = jnp.zeros((1, 1, H)), jnp.array([1], jnp.int32)


def total(W_ih, last):
    x = jnp.array([[[1.0], [last]]])
    y, h_n, _ = lstm_ref(x, state, state, W_ih, *weights[1:], lengths, 1, H, 1, 0.0, False)
    return y.sum() + h_n.sum()


print(f"jax {jax.__version__}")
found = {}
for last in (0.0, jnp.nan):
    value, gradient = jax.value_and_grad(total)(weights[0], last)
    found[float(last)] = gradient[0]
    print(f"step past the end {last}: sum {value:.6f}, gradient of W_ih {gradient[0].ravel()}")
print("expected: the same gradient, as the step past the end is not read")
sys.exit(1 if any(jnp.isnan(g).any() for g in found.values()) else 0)
