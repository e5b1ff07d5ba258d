"""``tfjs``: the layers simpleRNN and lstm of TensorFlow.js, on its backend "cpu" under Node.

Bidirectional layers use tf.layers.bidirectional. Lengths become a mask, and the adapter makes the output past a
sample's end zero, where TensorFlow.js repeats the last one. It swaps the axes for inputs with time first, loads the sum
of the two biases (``conformance.layouts.to_keras``), and checks arguments (``checked.py``). Not claimed are stacks,
projections and unbatched input, which the library does not have, and gru, whose only form resets the state before the
product.
"""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer, past_the_end
from conformance.backends.node_process import Node, packed, unpacked
from conformance.layouts import from_keras, to_keras

NODE = Node(Path(__file__).with_suffix(".js"), "@tensorflow/tfjs")
LAYERS = {
    "rnn_tanh": ("simpleRNN", {"activation": "tanh"}),
    "rnn_relu": ("simpleRNN", {"activation": "relu"}),
    "lstm": ("lstm", {"recurrentActivation": "sigmoid"}),
}


def by_name(native):
    """Return a layer's weights in the order of Keras: kernel, recurrent_kernel, bias."""
    return [native[name] for name in ("kernel", "recurrent_kernel", "bias") if name in native]


class TFJSLayer(CheckedLayer):
    """A simpleRNN or lstm, or a bidirectional of one."""

    def build(self, weights):
        config = self.config
        kind, options = LAYERS[config.kind]
        natives = [to_keras(config.kind, w) for w in weights]
        self.names = [n for n in ("kernel", "recurrent_kernel", "bias") if n in natives[0]]
        options = options | {"useBias": config.bias, "returnSequences": True, "returnState": True}
        self.key = next(NODE.keys)
        NODE.ask(
            act="layer",
            key=self.key,
            layer={
                "kind": kind,
                "units": config.hidden_size,
                "inputs": config.input_size,
                "bidirectional": config.bidirectional,
                "options": options,
                "weights": [packed(a) for native in natives for a in by_name(native)],
            },
        )
        weakref.finalize(self, NODE.forget, self.key)

    def compute(self, x, h_0, c_0, lengths):
        past = None if lengths is None else past_the_end(lengths, len(self._batch_first(x)[0]), batch_first=True)
        output, h_n, c_n = self._run(x, h_0, c_0, None if past is None else ~past[..., 0])
        if past is not None:
            output = np.where(past, np.float32(0), output)
        return Result(self._batch_first(output), h_n, c_n)

    def compute_masked(self, x, h_0, c_0, mask):
        mask = mask if self.config.batch_first else mask.T
        output, h_n, c_n = self._run(x, h_0, c_0, mask)
        return Result(self._batch_first(np.where(mask[..., None], output, np.float32(0))), h_n, c_n)

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        d_output = self._batch_first(cotangents.output)
        mask = None
        if lengths is not None:
            past = past_the_end(lengths, d_output.shape[1], batch_first=True)
            mask, d_output = ~past[..., 0], np.where(past, np.float32(0), d_output)
        found = NODE.ask(
            **self._arguments("gradients", x, h_0, c_0, mask),
            cotangents=[packed(a) for a in (d_output, *self._states(*cotangents[1:]))],
        )
        d_x, *others = map(unpacked, found)
        directions = self.config.directions
        count = (2 if self.config.kind == "lstm" else 1) * directions
        states = others[:count] if h_0 is not None else []
        natives = iter(others[len(states) :])
        weights = [
            from_keras(self.config.kind, {name: next(natives) for name in self.names}, gradient=True)
            for _ in range(directions)
        ]
        gradients = {"x": self._batch_first(d_x)}
        if states:
            step = len(states) // directions
            gradients["h_0"] = np.stack(states[::step])
            if c_0 is not None:
                gradients["c_0"] = np.stack(states[1::step])
        return gradients, weights

    def _batch_first(self, array):
        """Return an array of x's axes with the batch first, or back: one exchange does both."""
        return array if self.config.batch_first else array.swapaxes(0, 1)

    @staticmethod
    def _states(h, c):
        return [s for both in zip(*(a for a in (h, c) if a is not None), strict=True) for s in both]

    def _arguments(self, act, x, h_0, c_0, mask):
        return {
            "act": act,
            "key": self.key,
            "x": packed(self._batch_first(x)),
            "states": [] if h_0 is None else [packed(s) for s in self._states(h_0, c_0)],
            "mask": None if mask is None else packed(mask),
        }

    def _run(self, x, h_0, c_0, mask):
        """Return the output, batch first, h_n, and c_n or None."""
        output, *states = map(unpacked, NODE.ask(**self._arguments("call", x, h_0, c_0, mask)))
        if self.config.kind == "lstm":
            return output, np.stack(states[::2]), np.stack(states[1::2])
        return output, np.stack(states), None


class TFJS(CheckedBackend):
    """TensorFlow.js's recurrent layers on its backend "cpu"."""

    name, forks, layer_class = "tfjs", False, TFJSLayer
    features = Features(
        kinds={"rnn_tanh", "rnn_relu", "lstm"},
        dtypes={"float32"},
        multilayer=False,
        unbatched=False,
        projection=False,
        gradients=True,
        masks=True,
    )

    def __init__(self):
        self.version = NODE.version().removeprefix("@tensorflow/tfjs ")
