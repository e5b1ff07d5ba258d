"""``jax-rnn``: jax.experimental.rnn.lstm_ref, JAX's own LSTM without cuDNN.

JAX computes stacks, directions, lengths and initial states, in PyTorch's layout. The adapter swaps the axes for inputs
with time first, passes zeros for omitted states, and checks arguments (``checked.py``).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxLayer
from conformance.layouts import Weights

ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class JaxRNNLayer(JaxLayer):
    """JAX's LSTM."""

    @staticmethod
    def to_layout(kind, weights):
        return {name: getattr(weights, name) for name in ARRAYS}

    @staticmethod
    def from_layout(kind, native, *, gradient):
        return Weights(**native)

    @staticmethod
    def run(config, natives, x, states, lengths):
        x = x if config.batch_first else x.swapaxes(0, 1)
        zeros = jnp.zeros((len(natives), len(x), config.hidden_size), x.dtype)
        lengths = jnp.full(len(x), x.shape[1], jnp.int32) if lengths is None else lengths.astype(jnp.int32)
        arrays = [dict(enumerate(native[name] for native in natives)) for name in ARRAYS]
        sizes = config.input_size, config.hidden_size, config.num_layers
        output, *last = rnn.lstm_ref(
            x, *(states or (zeros, zeros)), *arrays, lengths, *sizes, 0.0, config.bidirectional
        )
        return output if config.batch_first else output.swapaxes(0, 1), *last


class JaxRNN(CheckedBackend):
    """jax.experimental.rnn on the CPU."""

    name, version, forks = "jax-rnn", f"jax {jax.__version__}", False
    features = Features(
        kinds={"lstm"},
        no_bias=False,
        unbatched=False,
        projection=False,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = JaxRNNLayer
