"""``keras``: keras.layers.SimpleRNN, LSTM and GRU and their cells, on Keras's torch backend.

Bidirectional layers use keras.layers.Bidirectional, which returns the reverse outputs in the order of the steps.
Lengths become a mask of the steps that count, with zero_output_for_mask=True. The adapter swaps the axes for inputs
with time first, and checks arguments (``checked.py``). Not claimed are stacks, projections and unbatched input, which
Keras does not have, and float64, because Keras computes its matrix products in float32 (docs/findings.md).

A GRU has reset_after=True and both biases. SimpleRNN and LSTM have one, which the adapter loads with the sum of the two
(``conformance.layouts.to_keras``). So it cannot read parameters back, and it reports the gradient of the sum for both.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedCell, CheckedLayer, past_the_end, refuse
from conformance.layouts import from_keras, split, to_keras
from conformance.torch.tensors import to_numpy, to_torch

if keras.backend.backend() != "torch":
    raise ImportError("Keras was imported before with another backend than torch")

LAYERS = {
    "rnn_tanh": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell, {"activation": "tanh"}),
    "rnn_relu": (keras.layers.SimpleRNN, keras.layers.SimpleRNNCell, {"activation": "relu"}),
    "lstm": (keras.layers.LSTM, keras.layers.LSTMCell, {}),
    "gru": (keras.layers.GRU, keras.layers.GRUCell, {"reset_after": True}),
}


def assign(layer: keras.Layer, natives: list[dict[str, np.ndarray]]) -> None:
    """Set a built layer's weights: one direction after the other, each in Keras's order."""
    values = [value for native in natives for value in native.values()]
    for variable, value in zip(layer.trainable_variables, values, strict=True):
        variable.assign(to_torch(value))


class KerasLayer(CheckedLayer):
    """A keras.layers.SimpleRNN, LSTM or GRU, or a Bidirectional of one."""

    go_backwards = False

    def build(self, weights):
        self.natives = [to_keras(self.config.kind, w) for w in weights]
        self.names = list(self.natives[0])
        self.layer, self.last, self.stateful = self._made(), None, None

    def load(self, parameters):
        self.natives = [to_keras(self.config.kind, w) for w in split(self.config, parameters)]
        for layer in filter(None, (self.layer, self.last, self.stateful)):
            assign(layer, self.natives)

    def _made(self, samples=None, **options):
        """Return a built Keras layer with the weights."""
        config = self.config
        make, _, arguments = LAYERS[config.kind]
        options = {"return_sequences": True, "zero_output_for_mask": True, **arguments, **options}
        layer = make(
            config.hidden_size,
            use_bias=config.bias,
            return_state=True,
            go_backwards=self.go_backwards,
            recurrent_initializer="zeros",  # the default, a QR decomposition, fails in half precision
            dtype=config.dtype,
            **options,
        )
        if config.bidirectional:
            layer = keras.layers.Bidirectional(layer, dtype=config.dtype)
        layer.build((samples, None, config.input_size))
        assign(layer, self.natives)
        return layer

    @torch.no_grad()
    def compute(self, x, h_0, c_0, lengths):
        return Result(*map(to_numpy, self._call(*map(to_torch, (x, h_0, c_0)), lengths)))

    @torch.no_grad()
    def compute_last(self, x, h_0, c_0, lengths):
        # Where a masked step's output is zero, so is the last one of a padded sample.
        self.last = self.last or self._made(return_sequences=False, zero_output_for_mask=False)
        return Result(*map(to_numpy, self._call(*map(to_torch, (x, h_0, c_0)), lengths, layer=self.last)))

    @torch.no_grad()
    def compute_masked(self, x, h_0, c_0, mask):
        return Result(*map(to_numpy, self._call(*map(to_torch, (x, h_0, c_0)), None, mask)))

    @torch.no_grad()
    def forward_stateful(self, x, lengths=None):
        refuse(self.features, "stateful", True)
        x, _, _, lengths = self._checked(x, None, None, lengths)
        samples = x.shape[0 if self.config.batch_first else 1]
        if self.stateful is None or (self.fresh and samples != self.samples):  # Keras fixes the number of samples
            self.stateful, self.samples = self._made(samples, stateful=True), samples
        self.fresh = False
        return Result(*map(to_numpy, self._call(to_torch(x), None, None, lengths, layer=self.stateful)))

    def reset(self):
        refuse(self.features, "stateful", True)
        if self.stateful is not None:
            self.stateful.reset_states() if self.config.bidirectional else self.stateful.reset_state()
            self.fresh = True

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        arguments = {"x": to_torch(x), "h_0": to_torch(h_0), "c_0": to_torch(c_0)}
        given = {name: a.requires_grad_() for name, a in arguments.items() if a is not None}
        variables = [v.value for v in self.layer.trainable_variables]
        results = [a for a in self._call(*arguments.values(), lengths) if a is not None]
        d = [to_torch(a) for a in cotangents if a is not None]
        wanted = [*given.values(), *variables]
        found = torch.autograd.grad(results, wanted, d, allow_unused=True, materialize_grads=True)
        found = [to_numpy(a) for a in found]
        natives = iter(found[len(given) :])
        weights = [
            from_keras(self.config.kind, {name: next(natives) for name in self.names}, gradient=True)
            for _ in range(self.config.directions)
        ]
        return dict(zip(given, found, strict=False)), weights

    def _call(self, x, h_0, c_0, lengths, mask=None, layer=None):
        """Return output, h_n and c_n as tensors; c_n is None unless the kind is lstm."""
        config = self.config
        steps = x.shape[1 if config.batch_first else 0]
        x = x if config.batch_first else x.transpose(0, 1)
        if lengths is not None:
            mask = ~past_the_end(lengths, steps, batch_first=True)[..., 0]
        elif mask is not None and not config.batch_first:
            mask = mask.T
        mask = None if mask is None else torch.tensor(mask)
        states = None
        if h_0 is not None:
            states = list(h_0) if c_0 is None else [s for both in zip(h_0, c_0, strict=True) for s in both]
        output, *states = (layer or self.layer)(x, initial_state=states, mask=mask, training=False)
        h_n, c_n = (
            (torch.stack(states[::2]), torch.stack(states[1::2]))
            if config.kind == "lstm"
            else (torch.stack(states), None)
        )
        if output.ndim == 3:
            output = output.flip(1) if self.go_backwards else output
            output = output if config.batch_first else output.transpose(0, 1)
        return output, h_n, c_n


class KerasReverseLayer(KerasLayer):
    """A layer with go_backwards=True; the adapter puts its outputs back into the order of the steps."""

    go_backwards = True


class KerasCell(CheckedCell):
    """A keras.layers.SimpleRNNCell, LSTMCell or GRUCell."""

    def build(self, weights):
        config = self.config
        _, make, arguments = LAYERS[config.kind]
        self.cell = make(
            config.hidden_size, use_bias=config.bias, recurrent_initializer="zeros", dtype=config.dtype, **arguments
        )
        self.cell.build((None, config.input_size))
        assign(self.cell, [to_keras(config.kind, weights)])

    @torch.no_grad()
    def compute(self, x, h, c):
        states = self.cell.get_initial_state(len(x)) if h is None else [to_torch(s) for s in (h, c) if s is not None]
        _, states = self.cell(to_torch(x), states, training=False)
        h, *c = map(to_numpy, states)
        return h, c[0] if c else None


class Keras(CheckedBackend):
    """Keras's recurrent layers on torch, on the CPU."""

    name = "keras"
    version = f"{keras.__version__}, torch {torch.__version__}"
    features = Features(
        dtypes={"float32", "float16", "bfloat16"},
        multilayer=False,
        unbatched=False,
        projection=False,
        cells=True,
        gradients=True,
        parameters_set=True,
        reverse_alone=True,
        masks=True,
        output={"all", "last"},
        stateful=True,
    )
    layer_class = KerasLayer
    reverse_class = KerasReverseLayer
    cell_class = KerasCell
