"""Flax: NaN past the ends that seq_lengths tells makes gradients of the parameters NaN, in linen and in nnx.

The final carry is right: the steps past the end are computed and not selected, and their gradient of 0 is multiplied by
the NaN. Needs flax and jax. Exits with 1 while the fault is there.
"""

import sys

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

x = jnp.array([[[1.0], [jnp.nan]]])
lengths = jnp.array([1])
wrong = 0
print(f"flax {flax.__version__}, jax {jax.__version__}")
for make in (nn.SimpleCell, nn.OptimizedLSTMCell, nn.GRUCell):
    layer = nn.RNN(make(1), return_carry=True)
    variables = layer.init(jax.random.key(0), jnp.ones((1, 2, 1)))

    def total(variables, layer=layer):
        carry, _ = layer.apply(variables, x, seq_lengths=lengths)
        return sum(jnp.sum(a) for a in jax.tree.leaves(carry))

    value, d = jax.value_and_grad(total)(variables)
    finite = all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(d))
    wrong += not finite
    print(f"linen {make.__name__}: carry {value:.3f}, gradients finite: {finite}, expected True")
for make in (nnx.SimpleCell, nnx.OptimizedLSTMCell):
    layer = nnx.RNN(make(1, 1, rngs=nnx.Rngs(0)), return_carry=True)

    def total(cell_layer):
        carry, _ = cell_layer(x, seq_lengths=lengths)
        return sum(jnp.sum(a) for a in jax.tree.leaves(carry))

    d = nnx.grad(total)(layer)
    finite = all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(d))
    wrong += not finite
    print(f"nnx {make.__name__}: carry {total(layer):.3f}, gradients finite: {finite}, expected True")
sys.exit(1 if wrong else 0)
