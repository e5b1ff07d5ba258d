"""``thinc``: thinc.layers.LSTM on NumPy, with its Cython kernels.

thinc computes stacks, directions and lengths, and returns the output alone. The oracle computes h_n and c_n, which are
therefore not compared. One pair of initial states serves all samples: with states the adapter runs each sample alone.
Without them thinc's own zeros stay. The two documented biases are loaded as they are; the gradient that thinc gives for
their sum is reported for both. The adapter swaps the axes for inputs with batches first, and checks arguments.
"""

from __future__ import annotations

from importlib.metadata import version
from threading import Lock

import numpy as np
from thinc.api import LSTM, use_ops

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.layouts import Weights, join, reorder_gates
from reference.layers import forward

ARRAYS = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")  # in thinc's order


class ThincLayer(CheckedLayer):
    """A thinc.layers.LSTM."""

    def build(self, weights):
        config = self.config
        self.lock = Lock()
        self.named = join(config, weights)
        with use_ops("numpy"):
            self.model = LSTM(
                config.hidden_size * config.directions,
                config.input_size,
                bi=config.bidirectional,
                depth=config.num_layers,
            ).initialize()
        arrays = [reorder_gates(getattr(w, name), "lstm", "pytorch", "thinc") for w in weights for name in ARRAYS]
        self.shapes = [a.shape for a in arrays]
        self.model.set_param("LSTM", np.concatenate([a.ravel() for a in arrays]))

    def compute(self, x, h_0, c_0, lengths):
        with self.lock:  # HC0 is set before each call
            output, _ = self._call(x, h_0, c_0, lengths, train=False)
        rest = forward(self.config, self.named, x, h_0, c_0, lengths)
        return Result(output, *(a.astype(x.dtype) for a in rest[1:]))

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        self.model.set_grad("LSTM", np.zeros_like(self.model.get_param("LSTM")))
        _, pull = self._call(x, h_0, c_0, lengths, train=True)
        d_x = pull(cotangents.output)
        found, arrays = self.model.get_grad("LSTM"), []
        for shape in self.shapes:
            block, found = np.split(found, [int(np.prod(shape))])
            arrays.append(reorder_gates(block.reshape(shape), "lstm", "thinc", "pytorch"))
        weights = [dict(zip(ARRAYS, arrays[k : k + 4], strict=True)) for k in range(0, len(arrays), 4)]
        weights = [Weights(**w | {"bias_hh": w["bias_ih"]}) for w in weights]
        return {"x": d_x}, weights

    def _call(self, x, h_0, c_0, lengths, *, train):
        """Return output and a function from the output's cotangent to the gradient of x."""
        swapped = not self.config.batch_first
        samples = x.swapaxes(0, 1) if swapped else x
        ends = [samples.shape[1]] * len(samples) if lengths is None else [int(n) for n in lengths]
        groups = [[n] for n in range(len(samples))] if h_0 is not None else [list(range(len(samples)))]
        output = np.zeros((*samples.shape[:2], self.config.directions * self.config.hidden_size), x.dtype)
        ops, calls = self.model.ops, []
        for group in groups:
            if h_0 is not None:
                shape = (self.config.num_layers, self.config.directions, -1)
                states = [s[:, group[0]].reshape(shape) for s in (h_0, c_0)]
                self.model.set_param("HC0", np.ascontiguousarray(np.stack(states)))
            else:
                self.model.set_param("HC0", np.zeros_like(self.model.get_param("HC0")))
            given = [np.ascontiguousarray(samples[n, : ends[n]]) for n in group]
            came, pull = self.model(ops.list2padded(given), is_train=train)
            calls.append((group, pull))
            for n, rows in zip(group, ops.padded2list(came), strict=True):
                output[n, : ends[n]] = rows

        def back(d_output):
            d = d_output.swapaxes(0, 1) if swapped else d_output
            d_x = np.zeros_like(samples)
            for group, pull in calls:
                padded = ops.list2padded([np.ascontiguousarray(d[n, : ends[n]]) for n in group])
                for n, rows in zip(group, ops.padded2list(pull(padded)), strict=True):
                    d_x[n, : ends[n]] = rows
            return d_x.swapaxes(0, 1) if swapped else d_x

        return output.swapaxes(0, 1) if swapped else output, back


class Thinc(CheckedBackend):
    """thinc's LSTM on the CPU."""

    name, version = "thinc", version("thinc")
    features = Features(
        kinds={"lstm"},
        no_bias=False,
        unbatched=False,
        projection=False,
        gradients={"x", "weight_ih", "weight_hh", "bias_ih", "bias_hh"},
        cotangents={"d_output"},
    )
    layer_class = ThincLayer
