"""``torch-script``: torch.nn modules compiled by torch.jit.script, on the CPU.

A layer is scripted inside a wrapper that packs padded input where lengths are given, so that packing and padding run
in TorchScript as well; a cell is scripted as it is. Scripting takes 0.2 s for every
configuration and dtype. One state without the other is refused by the adapter.
"""

from __future__ import annotations

import copy
import warnings
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from conformance import CellConfig, Features, LayerConfig
from conformance.backends.torch_eager import TorchCell, TorchCompiled, TorchLayer, cell_module, layer_module, load

States = tuple[Tensor, Tensor]


class PackingLSTM(nn.Module):
    """An LSTM that takes padded input and, where it is to be packed, lengths (N)."""

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
    """The same of an RNN or GRU."""

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
    """A layer or cell in TorchScript, to be copied before its parameters are loaded.

    Raises what torch raises for a module that it does not make or script.
    """
    if isinstance(config, CellConfig):
        module = cell_module(config)
    else:
        module = (PackingLSTM if config.kind == "lstm" else Packing)(layer_module(config))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        return torch.jit.script(module)


def loaded(config: LayerConfig | CellConfig, parameters) -> torch.jit.ScriptModule:
    """A scripted layer or cell with these parameters. Raises RuntimeError for those that do not fit."""
    module = copy.deepcopy(scripted(config))  # scripting anew takes 0.3 s, this 0.3 ms
    load(module.layer if isinstance(config, LayerConfig) else module, parameters)
    return module


def give_both(h: Tensor | None, c: Tensor | None) -> None:
    """Refuse one state alone here. Raises TypeError.

    TorchScript refuses it too, but takes None for a tensor first, and its graph fails for right calls from then on:
    docs/findings.md.
    """
    if (h is None) != (c is None):
        raise TypeError("an LSTM's states are a pair of tensors, one alone was given")


class ScriptedLayer(TorchLayer):
    """A torch.nn.RNN, LSTM or GRU, scripted."""

    def _module(self, config, parameters):
        return loaded(config, parameters)

    def _call(self, module, x, h_0, c_0, lengths):
        if self.config.kind == "lstm":
            give_both(h_0, c_0)
        return super()._call(module, x, h_0, c_0, lengths)

    def _call_packed(self, module, x, states, lengths):
        return module(x, states, lengths)


class ScriptedCell(TorchCell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, scripted."""

    def _module(self, parameters):
        return loaded(self.config, parameters)

    def _call(self, x, states):
        if self.config.kind == "lstm":
            give_both(*(states or (None, None)))
        return super()._call(x, states)


class TorchScript(TorchCompiled):
    """What torch.jit.script makes of torch.nn, in TorchScript's interpreter."""

    name = "torch-script"
    Layer, Cell = ScriptedLayer, ScriptedCell
    features = Features(cells=True, parameters=True, gradients=True, dropout=True, configurations=16)
