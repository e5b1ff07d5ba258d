"""Haiku: LSTM adds 1 to the forget gate in every step, besides its bias b_f, which its formula does not have.

The page's note says that 1 is added to b_f after initialization, which the stored bias does not show: a layer that is
loaded with the parameters of the formula gives other numbers. Needs dm-haiku, jax and numpy. Exits with 1 while the
fault is there.
"""

import sys

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np


def run(x, h, c):
    return hk.LSTM(1)(x, hk.LSTMState(h, c))


params = {"lstm/linear": {"w": jnp.zeros((2, 4)), "b": jnp.zeros(4)}}
core = hk.without_apply_rng(hk.transform(run))
_, state = core.apply(params, jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)))
fresh = core.init(jax.random.key(0), jnp.zeros((1, 1)), jnp.zeros((1, 1)), jnp.ones((1, 1)))["lstm/linear"]["b"]
got, expected = float(state.cell[0, 0]), 1 / (1 + np.exp(-0.0))
print(f"haiku {hk.__version__}, all weights and biases 0, c = 1")
print(f"c after one step: got {got:.6f}, expected f_t * 1 = sigmoid(b_f) = {expected:.6f}")
print(f"biases after initialization: {fresh} (none is 1)")
sys.exit(1 if abs(got - expected) > 1e-5 else 0)
