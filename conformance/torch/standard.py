"""torch.nn's own layers and cells, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from conformance.backend import CellConfig, LayerConfig
from conformance.torch.signature import Parameters
from conformance.torch.tensors import DTYPES, to_torch


def layer_module(config: LayerConfig, device: str = "cpu", *, training: bool = False) -> Any:
    """Return the torch.nn module of a configuration before its parameters are loaded.

    It is in inference mode, or in training mode, as it was made.
    """
    arguments = {
        "input_size": config.input_size,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "bias": config.bias,
        "batch_first": config.batch_first,
        "dropout": config.dropout,
        "bidirectional": config.bidirectional,
        "dtype": DTYPES[config.dtype],
        "device": device,
    }
    match config.kind:
        case "lstm":
            module = torch.nn.LSTM(**arguments, proj_size=config.proj_size)
        case "gru":
            module = torch.nn.GRU(**arguments, **_projection(config))
        case "rnn_tanh" | "rnn_relu":
            nonlinearity = config.kind.removeprefix("rnn_")
            module = torch.nn.RNN(**arguments, **_projection(config), nonlinearity=nonlinearity)
        case _:
            raise ValueError(f"torch.nn has no recurrent layer of kind {config.kind!r}")
    return module if training else module.eval()


def _projection(config: LayerConfig) -> dict[str, int]:
    """Return ``proj_size`` only if it is not 0, so that torch itself refuses it for RNN and GRU."""
    return {"proj_size": config.proj_size} if config.proj_size else {}


def cell_module(config: CellConfig, device: str = "cpu") -> Any:
    """Return the torch.nn cell of a configuration, before its parameters are loaded."""
    arguments = {
        "input_size": config.input_size,
        "hidden_size": config.hidden_size,
        "bias": config.bias,
        "dtype": DTYPES[config.dtype],
        "device": device,
    }
    match config.kind:
        case "lstm":
            return torch.nn.LSTMCell(**arguments)
        case "gru":
            return torch.nn.GRUCell(**arguments)
        case "rnn_tanh" | "rnn_relu":
            return torch.nn.RNNCell(**arguments, nonlinearity=config.kind.removeprefix("rnn_"))
    raise ValueError(f"torch.nn has no cell of kind {config.kind!r}")


def load(module: Any, parameters: Mapping[str, np.ndarray]) -> None:
    """Load parameters by name. Raises RuntimeError for missing, superfluous or misshapen ones."""
    module.load_state_dict({name: to_torch(value) for name, value in parameters.items()}, strict=True)


class Standard:
    """The factory of torch.nn's own modules, which takes all arguments."""

    name, without_dtype = "torch.nn", False
    parameters = Parameters(layer_module)

    def takes(self, name: str) -> bool:
        """Return True: torch.nn's layers take the documented arguments, and refuse others themselves."""
        return True

    def build(self, config: LayerConfig | CellConfig, device: str, *, training: bool = False) -> Any:
        """Build the module of a configuration, in inference mode or in training mode."""
        if isinstance(config, CellConfig):
            return cell_module(config, device)
        return layer_module(config, device, training=training)
