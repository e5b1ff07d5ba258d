"""``flax``: flax.linen.RNN and Bidirectional over OptimizedLSTMCell, GRUCell and SimpleCell, and these cells.

Flax computes steps, directions, lengths and batches; ``jax_layers.py`` lists what the adapter adds. OptimizedLSTMCell
and SimpleCell have one bias, GRUCell one and b_hn (``conformance.layouts.to_flax_linen``). The adapter loads them with
the sums of the two documented biases, so it cannot read parameters back, and it reports the gradient of a sum for both
summands.
"""

from __future__ import annotations

import flax
import flax.linen as nn
import jax

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxCell, JaxLayer, carries, results
from conformance.layouts import from_flax_linen, to_flax_linen


def cell_module(config) -> nn.RNNCellBase:
    """Return the flax.linen cell of a configuration."""
    arguments = {"features": config.hidden_size, "dtype": config.dtype, "param_dtype": config.dtype}
    match config.kind:
        case "lstm":
            return nn.OptimizedLSTMCell(**arguments)
        case "gru":
            return nn.GRUCell(**arguments)
        case "rnn_relu":
            return nn.SimpleCell(**arguments, activation_fn=nn.relu)
    return nn.SimpleCell(**arguments)


class LinenLayer(JaxLayer):
    """A flax.linen.RNN, or a Bidirectional of two."""

    to_layout, from_layout = staticmethod(to_flax_linen), staticmethod(from_flax_linen)

    @staticmethod
    def run(config, natives, x, states, lengths, reverse=False):
        rnns = [nn.RNN(cell_module(config)) for _ in natives]
        call = {} if config.bidirectional else {"reverse": reverse, "keep_order": True}
        call |= {"time_major": not config.batch_first, "return_carry": True, "seq_lengths": lengths}
        initial = carries(config, states)
        if config.bidirectional:
            variables = {f"{name}_rnn": {"cell": n} for name, n in zip(("forward", "backward"), natives, strict=True)}
            layer, initial = nn.Bidirectional(*rnns), initial if states else None
        else:
            (layer,), (initial,), variables = rnns, initial, {"cell": natives[0]}
        carry, output = layer.apply({"params": variables}, x, initial_carry=initial, **call)
        return results(config, carry if config.bidirectional else [carry], output, lengths)


class LinenReverseLayer(LinenLayer):
    """A flax.linen.RNN with reverse=True and keep_order=True."""

    @staticmethod
    def run(config, natives, x, states, lengths):
        return LinenLayer.run(config, natives, x, states, lengths, reverse=True)


class LinenCell(JaxCell):
    """A flax.linen OptimizedLSTMCell, GRUCell or SimpleCell."""

    to_layout = staticmethod(to_flax_linen)

    @staticmethod
    def run(config, native, x, states):
        cell = cell_module(config)
        given = (states[::-1] if config.kind == "lstm" else states[0]) if states else None
        carry = given if states else cell.initialize_carry(jax.random.key(0), x.shape)
        return cell.apply({"params": native}, carry, x)[0]


class Linen(CheckedBackend):
    """Flax linen's recurrent layers, compiled by XLA for the CPU."""

    name, forks = "flax", False
    version = f"{flax.__version__}, jax {jax.__version__}"
    features = Features(
        multilayer=False,
        projection=False,
        cells=True,
        gradients=True,
        reverse_alone=True,
        configurations=12,
        fixed_shapes=True,
    )
    layer_class = LinenLayer
    reverse_class = LinenReverseLayer
    cell_class = LinenCell
