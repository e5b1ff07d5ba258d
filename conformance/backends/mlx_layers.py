"""``mlx``: mlx.nn.RNN, LSTM and GRU on the CPU.

They are layers of one direction over (N, T, I) or (T, I) that return the states of all steps. MLX has no stacks, no
second direction, no lengths and no cells, so none of these is claimed. The adapter swaps the axes for inputs with time
first, takes the last step's states as h_n and c_n, and checks arguments (``checked.py``).

RNN and LSTM have one bias, GRU one and ``bhn`` (``conformance.layouts.to_mlx``). The adapter loads them with the sums
of the two documented biases, so it cannot read parameters back, and it reports the gradient of a sum for both summands.
"""

from __future__ import annotations

from importlib.metadata import version

import ml_dtypes
import mlx.core as mx
import mlx.nn as nn
import numpy as np

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer, bits
from conformance.layouts import from_mlx as from_layout
from conformance.layouts import to_mlx as to_layout

DTYPES = {"float32": mx.float32, "float64": mx.float64, "float16": mx.float16, "bfloat16": mx.bfloat16}


def to_mlx(array: np.ndarray | None) -> mx.array | None:
    """Return a copy as an MLX array; None for None."""
    if array is None:
        return None
    return (
        mx.array(bits(array)).view(mx.bfloat16)
        if array.dtype == ml_dtypes.bfloat16
        else mx.array(array, DTYPES[array.dtype.name])
    )


def to_numpy(array: mx.array) -> np.ndarray:
    """Return a copy as a NumPy array."""
    if array.dtype == mx.bfloat16:
        return np.array(array.view(mx.uint16)).view(ml_dtypes.bfloat16)
    return np.array(array)


def module(config, native: dict[str, mx.array]) -> nn.Module:
    """Return the mlx.nn layer of a configuration with these parameters, by MLX's names."""
    arguments = (config.input_size, config.hidden_size, config.bias)
    match config.kind:
        case "lstm":
            layer = nn.LSTM(*arguments)
        case "gru":
            layer = nn.GRU(*arguments)
        case "rnn_tanh":
            layer = nn.RNN(*arguments)
        case "rnn_relu":
            layer = nn.RNN(*arguments, nonlinearity=nn.relu)
    layer.update(native)
    return layer


class MLXLayer(CheckedLayer):
    """An mlx.nn.RNN, LSTM or GRU."""

    def build(self, weights):
        (only,) = weights
        self.native = {name: to_mlx(value) for name, value in to_layout(self.config.kind, only).items()}
        self.module = module(self.config, self.native)

    def compute(self, x, h_0, c_0, lengths):
        results = self._call(self.module, *map(to_mlx, (x, h_0, c_0)))
        return Result(*(None if a is None else to_numpy(a) for a in results))

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        arguments = {name: to_mlx(a) for name, a in (("x", x), ("h_0", h_0), ("c_0", c_0)) if a is not None}
        given = arguments | self.native

        def called(*arrays):
            by_name = dict(zip(given, arrays, strict=True))
            layer = module(self.config, {name: by_name[name] for name in self.native})
            results = self._call(layer, *(by_name[name] for name in arguments))
            return [a for a in results if a is not None]

        _, found = mx.vjp(called, list(given.values()), [to_mlx(d) for d in cotangents if d is not None])
        d = {name: to_numpy(a) for name, a in zip(given, found, strict=True)}
        weights = from_layout(self.config.kind, {name: d.pop(name) for name in self.native}, gradient=True)
        return d, [weights]

    def _call(self, layer, x, h_0=None, c_0=None):
        """Return output, h_n and c_n as MLX arrays; c_n is None unless the kind is lstm."""
        time_first = x.ndim == 3 and not self.config.batch_first
        x = mx.swapaxes(x, 0, 1) if time_first else x
        states = [s[0] for s in (h_0, c_0) if s is not None]
        every = layer(x, *states)
        h, c = every if self.config.kind == "lstm" else (every, None)
        h_n, c_n = (None if s is None else s[..., -1, :][None] for s in (h, c))
        return mx.swapaxes(h, 0, 1) if time_first else h, h_n, c_n


class MLX(CheckedBackend):
    """MLX's recurrent layers on its CPU device."""

    name = "mlx"
    version = version("mlx")
    features = Features(
        dtypes=DTYPES, multilayer=False, bidirectional=False, projection=False, lengths=False, gradients=True
    )
    layer_class = MLXLayer

    def __init__(self):
        mx.set_default_device(mx.cpu)
