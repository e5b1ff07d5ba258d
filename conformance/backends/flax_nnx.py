"""``flax-nnx``: flax.nnx.RNN and Bidirectional over OptimizedLSTMCell and SimpleCell, and these cells.

Flax computes steps, directions, lengths and batches; ``jax_layers.py`` lists what the adapter adds. The cells have one
bias, which the adapter loads with the sum of the two (``conformance.layouts.to_flax_nnx``). So it cannot read
parameters back, and it reports the gradient of the sum for both. GRUCell has no b_hn and no bias that could replace it:
gru is not claimed.
"""

from __future__ import annotations

import flax
import jax
from flax import nnx

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxCell, JaxLayer, carries, results
from conformance.layouts import from_flax_nnx, to_flax_nnx


def cell_module(config, native) -> nnx.RNNCellBase:
    """Return the flax.nnx cell of a configuration with these parameters. Each trace needs a new one."""
    arguments = {"dtype": config.dtype, "param_dtype": config.dtype, "rngs": nnx.Rngs(0)}
    arguments["recurrent_kernel_init"] = nnx.initializers.zeros_init()  # the default is slow, and its result unused
    match config.kind:
        case "lstm":
            cell = nnx.OptimizedLSTMCell(config.input_size, config.hidden_size, **arguments)
        case "rnn_tanh":
            cell = nnx.SimpleCell(config.input_size, config.hidden_size, **arguments)
        case "rnn_relu":
            cell = nnx.SimpleCell(config.input_size, config.hidden_size, **arguments, activation_fn=nnx.relu)
    for dense, arrays in native.items():
        for name, value in arrays.items():
            getattr(getattr(cell, dense), name)[...] = value
    return cell


class NNXLayer(JaxLayer):
    """A flax.nnx.RNN, or a Bidirectional of two."""

    to_layout, from_layout = staticmethod(to_flax_nnx), staticmethod(from_flax_nnx)

    @staticmethod
    def run(config, natives, x, states, lengths, reverse=False):
        rnns = [nnx.RNN(cell_module(config, native)) for native in natives]
        call = {} if config.bidirectional else {"reverse": reverse, "keep_order": True}
        call |= {"time_major": not config.batch_first, "return_carry": True, "seq_lengths": lengths}
        initial = carries(config, states)
        if config.bidirectional:
            layer, initial = nnx.Bidirectional(*rnns), initial if states else None
        else:
            (layer,), (initial,) = rnns, initial
        carry, output = layer(x, initial_carry=initial, **call)
        return results(config, carry if config.bidirectional else [carry], output, lengths)


class NNXReverseLayer(NNXLayer):
    """A flax.nnx.RNN with reverse=True and keep_order=True."""

    @staticmethod
    def run(config, natives, x, states, lengths):
        return NNXLayer.run(config, natives, x, states, lengths, reverse=True)


class NNXCell(JaxCell):
    """A flax.nnx OptimizedLSTMCell or SimpleCell."""

    to_layout = staticmethod(to_flax_nnx)

    @staticmethod
    def run(config, native, x, states):
        cell = cell_module(config, native)
        given = (states[::-1] if config.kind == "lstm" else states[0]) if states else None
        return cell(given if states else cell.initialize_carry(x.shape, nnx.Rngs(0)), x)[0]


class NNX(CheckedBackend):
    """Flax nnx's recurrent layers, compiled by XLA for the CPU."""

    name, forks = "flax-nnx", False
    version = f"{flax.__version__}, jax {jax.__version__}"
    features = Features(
        kinds={"rnn_tanh", "rnn_relu", "lstm"},
        multilayer=False,
        projection=False,
        cells=True,
        gradients=True,
        reverse_alone=True,
        configurations=12,
        fixed_shapes=True,
    )
    layer_class = NNXLayer
    reverse_class = NNXReverseLayer
    cell_class = NNXCell
