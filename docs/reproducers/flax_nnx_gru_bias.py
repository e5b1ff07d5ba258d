"""Flax nnx: GRUCell has no b_hn, which its page prints and linen's GRUCell has.

Needs flax and jax. Exits with 1 while the fault is there.
"""

import sys

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

linen = nn.GRUCell(4).init(jax.random.key(0), jnp.zeros((1, 4)), jnp.ones((1, 3)))["params"]
cell = nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))
print(f"flax {flax.__version__}")
print("linen: biases in", ", ".join(name for name, dense in linen.items() if "bias" in dense))
biased = [name for name in ("dense_i", "dense_h") if getattr(cell, name).bias is not None]
print("nnx: biases in", ", ".join(biased), "- expected dense_h or another among them, for b_hn")
sys.exit(1 if biased == ["dense_i"] else 0)
