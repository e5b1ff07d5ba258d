"""``torch-script``: torch.nn modules compiled by torch.jit.script, on the CPU.

A layer is scripted inside a wrapper that packs padded input if there are lengths, so packing and padding run in
TorchScript as well; a cell is scripted without a wrapper. Scripting takes 0.2 s for every configuration and dtype. The
adapter refuses one state without the other.
"""

from __future__ import annotations

import copy
import warnings
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from conformance.backend import CellConfig, Features, LayerConfig
from conformance.backends.torch_eager import TorchCompiled
from conformance.torch.cells import TorchCell
from conformance.torch.layers import TorchLayer
from conformance.torch.standard import Standard, cell_module, layer_module

States = tuple[Tensor, Tensor]


class PackingLSTM(nn.Module):
    """An LSTM that takes padded input and, optionally, lengths (N) by which it packs the input."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer, self.batch_first = layer, layer.batch_first

    def forward(self, x: Tensor, states: States | None = None, lengths: Tensor | None = None):
        if lengths is None:
            return self.layer(x, states)
        steps = x.size(1 if self.batch_first else 0)
        packed = pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
        output, states = self.layer(packed, states)
        return pad_packed_sequence(output, self.batch_first, total_length=steps)[0], states


class Packing(nn.Module):
    """An RNN or GRU with the same wrapper."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer, self.batch_first = layer, layer.batch_first

    def forward(self, x: Tensor, states: Tensor | None = None, lengths: Tensor | None = None):
        if lengths is None:
            return self.layer(x, states)
        steps = x.size(1 if self.batch_first else 0)
        packed = pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
        output, states = self.layer(packed, states)
        return pad_packed_sequence(output, self.batch_first, total_length=steps)[0], states


@lru_cache(maxsize=512)
def scripted(config: LayerConfig | CellConfig) -> torch.jit.ScriptModule:
    """Return a layer or cell in TorchScript; callers copy it before they load parameters.

    Raises torch's errors for a module that it does not build or script.
    """
    if isinstance(config, CellConfig):
        module = cell_module(config)
    else:
        module = (PackingLSTM if config.kind == "lstm" else Packing)(layer_module(config))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        return torch.jit.script(module)


class Scripts(Standard):
    """The factory of scripted modules."""

    def build(self, config: LayerConfig | CellConfig, device: str, *, training: bool = False) -> torch.jit.ScriptModule:
        return copy.deepcopy(scripted(config))  # 0.3 ms, where scripting takes 0.3 s


def give_both(h: Tensor | None, c: Tensor | None) -> None:
    """Raise TypeError for one state without the other.

    TorchScript refuses it as well, but its profile then records an undefined tensor, and later valid calls fail:
    docs/findings.md.
    """
    if (h is None) != (c is None):
        raise TypeError("an LSTM's states are a pair of tensors, one alone was given")


class ScriptedLayer(TorchLayer):
    """A torch.nn.RNN, LSTM or GRU, scripted."""

    def _states(self, x, h_0, c_0):
        if self.config.kind == "lstm":
            give_both(h_0, c_0)
        return super()._states(x, h_0, c_0)

    def _call_packed(self, module, x, states, lengths):
        return module(x, states, lengths)


class ScriptedCell(TorchCell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, scripted."""

    def _call(self, x, h, c):
        if self.config.kind == "lstm":
            give_both(h, c)
        return super()._call(x, h, c)


class TorchScript(TorchCompiled):
    """The modules of torch.nn, compiled by torch.jit.script, in TorchScript's interpreter."""

    name = "torch-script"
    layer_class, cell_class = ScriptedLayer, ScriptedCell
    features = Features(cells=True, parameters=True, gradients=True, dropout=True, configurations=16)

    def factory(self):
        return Scripts()
