"""``keras-jax``: keras.layers.SimpleRNN, LSTM and GRU and their cells, on Keras's JAX backend.

``keras_layers.py`` lists the parts of Keras and of the adapter. Here ``stateless_call`` makes the calls, and JAX
compiles them. float32 alone is claimed, as in the other adapters of JAX.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

from functools import lru_cache

import jax
import jax.numpy as jnp
import keras

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxCell, JaxLayer
from conformance.layouts import from_keras, to_keras

if keras.backend.backend() != "jax":
    raise ImportError("Keras was imported before with another backend than JAX")

LAYERS = {
    "rnn_tanh": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell, {"activation": "tanh"}),
    "rnn_relu": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell, {"activation": "relu"}),
    "lstm": (keras.layers.LSTM, keras.layers.LSTMCell, {}),
    "gru": (keras.layers.GRU, keras.layers.GRUCell, {"reset_after": True}),
}

ORDER = ("kernel", "recurrent_kernel", "bias")  # of Keras's weights; JAX sorts the names of a dict


@lru_cache(maxsize=512)
def layer_module(config):
    """Return the built Keras layer of a configuration; its own weights are not used."""
    make, _, arguments = LAYERS[config.kind]
    options = {"use_bias": config.bias, "recurrent_initializer": "zeros", **arguments}
    layer = make(config.hidden_size, return_sequences=True, return_state=True, zero_output_for_mask=True, **options)
    if config.bidirectional:
        layer = keras.layers.Bidirectional(layer)
    layer.build((None, None, config.input_size))
    return layer


@lru_cache(maxsize=512)
def cell_module(config):
    """Return the built Keras cell of a configuration; its own weights are not used."""
    _, make, arguments = LAYERS[config.kind]
    cell = make(config.hidden_size, use_bias=config.bias, recurrent_initializer="zeros", **arguments)
    cell.build((None, config.input_size))
    return cell


def stateless(module, natives, *arguments, **options):
    """Call a module with arrays in place of its weights."""
    values = [native[name] for native in natives for name in ORDER if name in native]
    others = [v.value for v in module.non_trainable_variables]
    return module.stateless_call(values, others, *arguments, **options)[0]


class KerasJAXLayer(JaxLayer):
    """A keras.layers.SimpleRNN, LSTM or GRU, or a Bidirectional of one."""

    to_layout, from_layout = staticmethod(to_keras), staticmethod(from_keras)

    def build(self, weights):
        super().build(weights)
        layer_module(self.config)  # outside JAX's tracing

    @staticmethod
    def run(config, natives, x, states, lengths):
        x = x if config.batch_first else x.swapaxes(0, 1)
        options = {"training": False}
        if lengths is not None:
            options["mask"] = jnp.arange(x.shape[1])[None] < lengths[:, None]
        if states:
            options["initial_state"] = [s[d] for d in range(config.directions) for s in states]
        output, *last = stateless(layer_module(config), natives, x, **options)
        count = 2 if config.kind == "lstm" else 1
        return output if config.batch_first else output.swapaxes(0, 1), *(
            jnp.stack(last[k::count]) for k in range(count)
        )


class KerasJAXCell(JaxCell):
    """A keras.layers.SimpleRNNCell, LSTMCell or GRUCell."""

    to_layout = staticmethod(to_keras)

    def build(self, weights):
        super().build(weights)
        cell_module(self.config)

    @staticmethod
    def run(config, native, x, states):
        cell = cell_module(config)
        _, last = stateless(cell, [native], x, list(states) or cell.get_initial_state(len(x)), training=False)
        return tuple(last[::-1]) if config.kind == "lstm" else last[0]


class KerasJAX(CheckedBackend):
    """Keras's recurrent layers on JAX, compiled by XLA for the CPU."""

    name, forks = "keras-jax", False
    version = f"{keras.__version__}, jax {jax.__version__}"
    features = Features(
        multilayer=False,
        unbatched=False,
        projection=False,
        cells=True,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = KerasJAXLayer
    cell_class = KerasJAXCell
