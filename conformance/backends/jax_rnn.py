"""``jax-rnn``: jax.experimental.rnn.lstm_ref, JAX's own LSTM without cuDNN.

JAX computes stacks, directions, lengths and initial states. The adapter swaps the axes for inputs with time first.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.experimental import rnn

from conformance.backends.jax_layers import jax
from conformance.jax import function_backend

PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def lstm(params, x, states, *, lengths, config):
    """Return output and (h_n, c_n) of JAX's LSTM."""
    x = x if config.batch_first else x.swapaxes(0, 1)
    endings = [f"l{k}{end}" for k in range(config.num_layers) for end in ("", "_reverse")[: config.directions]]
    weights = [dict(enumerate(params[f"{name}_{end}"] for end in endings)) for name in PARAMETERS]
    lengths = jnp.full(len(x), x.shape[1], jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    sizes = config.input_size, config.hidden_size, config.num_layers
    output, *last = rnn.lstm_ref(x, *states, *weights, lengths, *sizes, 0.0, config.bidirectional)
    return output if config.batch_first else output.swapaxes(0, 1), last


JaxRNN = function_backend(
    lstm,
    "lstm",
    name="jax-rnn",
    version=f"jax {jax.__version__}",
    multilayer=True,
    bidirectional=True,
    batch_first=True,
    configurations=5,
)
