"""``keras-jax``: keras.layers.SimpleRNN, LSTM and GRU and their cells, on Keras's JAX backend.

``keras-jax-reset-before``: its GRU with reset_after=False, which Keras documents: "whether to apply reset gate after or
before matrix multiplication". It has one bias, which the adapter loads with the sum of the two documented ones.

``keras_layers.py`` lists the parts of Keras and of the adapter. Here ``stateless_call`` makes the calls, and JAX
compiles them. float32 alone is claimed, as in the other adapters of JAX.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "jax"

from dataclasses import replace
from functools import lru_cache, partial

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
def layer_module(config, **more):
    """Return the built Keras layer of a configuration; its own weights are not used."""
    make, _, arguments = LAYERS[config.kind]
    options = {"use_bias": config.bias, "recurrent_initializer": "zeros", **arguments, **more}
    layer = make(config.hidden_size, return_sequences=True, return_state=True, zero_output_for_mask=True, **options)
    if config.bidirectional:
        layer = keras.layers.Bidirectional(layer)
    layer.build((None, None, config.input_size))
    return layer


@lru_cache(maxsize=512)
def cell_module(config, **more):
    """Return the built Keras cell of a configuration; its own weights are not used."""
    _, make, arguments = LAYERS[config.kind]
    cell = make(config.hidden_size, use_bias=config.bias, recurrent_initializer="zeros", **arguments | more)
    cell.build((None, config.input_size))
    return cell


def stateless(module, natives, *arguments, **options):
    """Call a module with arrays in place of its weights."""
    values = [native[name] for native in natives for name in ORDER if name in native]
    others = [v.value for v in module.non_trainable_variables]
    return module.stateless_call(values, others, *arguments, **options)[0]


def run_layer(module_of, config, natives, x, states, lengths):
    """Return output, h_n and, for lstm, c_n of the layer that ``module_of(config)`` builds."""
    x = x if config.batch_first else x.swapaxes(0, 1)
    options = {"training": False}
    if lengths is not None:
        options["mask"] = jnp.arange(x.shape[1])[None] < lengths[:, None]
    if states:
        options["initial_state"] = [s[d] for d in range(config.directions) for s in states]
    output, *last = stateless(module_of(config), natives, x, **options)
    count = 2 if config.kind == "lstm" else 1
    return output if config.batch_first else output.swapaxes(0, 1), *(jnp.stack(last[k::count]) for k in range(count))


def run_cell(module_of, config, native, x, states):
    """Return the new carry of the cell that ``module_of(config)`` builds."""
    cell = module_of(config)
    _, last = stateless(cell, [native], x, list(states) or cell.get_initial_state(len(x)), training=False)
    return tuple(last[::-1]) if config.kind == "lstm" else last[0]


class KerasJAXLayer(JaxLayer):
    """A keras.layers.SimpleRNN, LSTM or GRU, or a Bidirectional of one."""

    to_layout, from_layout = staticmethod(to_keras), staticmethod(from_keras)
    module_of = staticmethod(layer_module)
    run = staticmethod(partial(run_layer, layer_module))

    def build(self, weights):
        super().build(weights)
        self.module_of(self.config)  # outside JAX's tracing


class KerasJAXCell(JaxCell):
    """A keras.layers.SimpleRNNCell, LSTMCell or GRUCell."""

    to_layout = staticmethod(to_keras)
    module_of = staticmethod(cell_module)
    run = staticmethod(partial(run_cell, cell_module))

    def build(self, weights):
        super().build(weights)
        self.module_of(self.config)


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


before = {"reset_after": False}


class ResetBeforeLayer(KerasJAXLayer):
    """A keras.layers.GRU with reset_after=False, or a Bidirectional of one."""

    to_layout = staticmethod(partial(to_keras, **before))
    module_of = staticmethod(partial(layer_module, **before))
    run = staticmethod(partial(run_layer, partial(layer_module, **before)))


class ResetBeforeCell(KerasJAXCell):
    """A keras.layers.GRUCell with reset_after=False."""

    to_layout = staticmethod(partial(to_keras, **before))
    module_of = staticmethod(partial(cell_module, **before))
    run = staticmethod(partial(run_cell, partial(cell_module, **before)))


class KerasJAXResetBefore(KerasJAX):
    """Keras's GRU with reset_after=False on JAX."""

    name = "keras-jax-reset-before"
    features = replace(
        KerasJAX.features,
        kinds="gru",
        dialects={"gru": "reset-before-product"},
        dialect_sources={"gru": "https://keras.io/api/layers/recurrent_layers/gru/, reset_after"},
    )
    layer_class = ResetBeforeLayer
    cell_class = ResetBeforeCell
