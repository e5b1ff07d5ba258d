"""``torch-quantized``: torch.nn's modules after torch.ao.quantization.quantize_dynamic, on the CPU.

The weights are 8-bit integers with one step for each matrix; x and h are quantized in every call. Biases, gates and c
stay float32. torch quantizes LSTM, GRU and every cell, but no RNN layer. The quantized modules take no unbatched
input, projection or bias=False. They have no gradients, and give back other parameters than they were given. None of
this is claimed.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from conformance.backend import Features
from conformance.backends.torch_eager import TorchCompiled
from conformance.torch.cells import TorchCell
from conformance.torch.layers import TorchLayer


def quantized(module: Any) -> Any:
    """Return a quantized copy of a module of torch.nn. Raises ValueError if torch leaves it as it is."""
    holder = torch.nn.ModuleList([module])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of torch.ao.quantization
        found = torch.ao.quantization.quantize_dynamic(holder, {type(module)}, dtype=torch.qint8)[0]
    if type(found) is type(module):
        raise ValueError(f"torch quantizes no {type(module).__name__}")
    return found


class QuantizedLayer(TorchLayer):
    """A torch.nn.LSTM or GRU, quantized when it is built."""

    def _put(self, bound, parameters):
        super()._put(bound, parameters)
        self.module = quantized(self.module)


class QuantizedCell(TorchCell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, quantized when it is built."""

    def __init__(self, backend, config, parameters):
        super().__init__(backend, config, parameters)
        self.module = quantized(self.module)


class TorchQuantized(TorchCompiled):
    """The modules of torch.nn, quantized dynamically to 8 bits."""

    name = "torch-quantized"
    layer_class, cell_class = QuantizedLayer, QuantizedCell
    features = Features(
        cells=True,
        no_bias=False,
        unbatched=False,
        projection=False,
        float32_arithmetic="int8-dynamic",
        by_kind={"rnn_tanh": {"layers": False}, "rnn_relu": {"layers": False}},
    )
