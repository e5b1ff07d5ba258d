"""brainstate: LSTMCell adds 1 to the forget gate in every step, besides its bias b_f, which its formula does not have.

Needs brainstate, jax and numpy. Exits with 1 while the fault is there.
"""

import sys

import brainstate
import jax.numpy as jnp
import numpy as np

zeros = brainstate.nn.init.ZeroInit()
cell = brainstate.nn.LSTMCell(1, 1, w_init=zeros, b_init=zeros)
cell.init_state(1)
cell.c.value = jnp.ones((1, 1))
cell.update(jnp.zeros((1, 1)))
got, expected = float(cell.c.value[0, 0]), 1 / (1 + np.exp(-0.0))
print(f"brainstate {brainstate.__version__}, all weights and biases 0, c = 1")
print(f"c after one step: got {got:.6f}, expected f_t * c = sigmoid(b_f) = {expected:.6f}")
sys.exit(1 if abs(got - expected) > 1e-5 else 0)
