"""``torchrl``: torchrl.modules.LSTM and GRU and their cells, layers of torch written in Python.

They are subclasses of torch.nn's modules, with the same parameters and names, for torch.vmap and torch.compile. They
have one direction, and no unbatched or packed input; their mask is not used. LSTM takes ``proj_size`` and computes no
projection (docs/findings.md), and the adapter claims none. torchrl checks arguments itself: an invalid one that it
accepts is a finding.
"""

from __future__ import annotations

import torch
import torchrl
from torchrl.modules import GRU, LSTM, GRUCell, LSTMCell

from conformance.backend import CellConfig, Features
from conformance.torch.backend import TorchBackend
from conformance.torch.names import Names
from conformance.torch.standard import Standard
from conformance.torch.tensors import DTYPES

LAYERS, CELLS = {"lstm": LSTM, "gru": GRU}, {"lstm": LSTMCell, "gru": GRUCell}


class TorchRLFactory(Standard):
    """The factory of torchrl's modules."""

    name = "torchrl"

    def build(self, config, device, *, training=False):
        made = CELLS if isinstance(config, CellConfig) else LAYERS
        arguments = {"bias": config.bias, "dtype": DTYPES[config.dtype], "device": device}
        if not isinstance(config, CellConfig):
            arguments |= {name: getattr(config, name) for name in ("num_layers", "batch_first", "dropout")}
            arguments |= {"proj_size": config.proj_size} if config.proj_size else {}
        return made[config.kind](config.input_size, config.hidden_size, **arguments).train(training)


class TorchRL(TorchBackend):
    """The Python layers of torchrl, eager, on the CPU."""

    name = "torchrl"
    features = Features(
        kinds={"lstm", "gru"},
        bidirectional=False,
        unbatched=False,
        projection=False,
        lengths=False,
        cells=True,
        parameters=True,
        gradients=True,
        dropout=True,
        initialization=True,
        cell_gradients=True,
        parameters_set=True,
        training_gradients=True,
        torch_behaviors=True,
    )

    def __init__(self) -> None:
        made, version = TorchRLFactory(), f"{torchrl.__version__}, torch {torch.__version__}"
        super().__init__(made, made, name=self.name, version=version, names=Names(own_order=True), checks=False)
