"""``torch-cpu``: torch.nn.RNN, LSTM, GRU and their cells, eager, on the CPU.

Parameters go in under their own names and as they are: the documentation of these modules is what the
suite checks. ``lengths`` become a PackedSequence.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from conformance import Backend, Cell, Features, Layer, Result

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def to_torch(array: np.ndarray | None) -> torch.Tensor | None:
    """A tensor of its own with the array's values; bfloat16 crosses as the same 16 bits."""
    if array is None:
        return None
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def to_numpy(tensor: torch.Tensor | None) -> np.ndarray | None:
    """An array with the tensor's values."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def layer_module(config) -> nn.RNNBase:
    """The torch.nn module of a configuration, in inference mode, its parameters not yet loaded."""
    arguments = {
        "input_size": config.input_size,
        "hidden_size": config.hidden_size,
        "num_layers": config.num_layers,
        "bias": config.bias,
        "batch_first": config.batch_first,
        "dropout": config.dropout,
        "bidirectional": config.bidirectional,
        "dtype": DTYPES[config.dtype],
    }
    match config.kind:
        case "lstm":
            module = nn.LSTM(**arguments, proj_size=config.proj_size)
        case "gru":
            module = nn.GRU(**arguments, **_projection(config))
        case "rnn_tanh" | "rnn_relu":
            module = nn.RNN(**arguments, **_projection(config), nonlinearity=config.kind.removeprefix("rnn_"))
        case _:
            raise ValueError(f"torch.nn has no recurrent layer of kind {config.kind!r}")
    return module.eval()


def _projection(config):
    """``proj_size`` only where one is asked for: torch then says itself that this kind has none."""
    return {"proj_size": config.proj_size} if config.proj_size else {}


def cell_module(config) -> nn.RNNCellBase:
    """The torch.nn cell of a configuration, its parameters not yet loaded."""
    arguments = {
        "input_size": config.input_size,
        "hidden_size": config.hidden_size,
        "bias": config.bias,
        "dtype": DTYPES[config.dtype],
    }
    match config.kind:
        case "lstm":
            return nn.LSTMCell(**arguments)
        case "gru":
            return nn.GRUCell(**arguments)
        case "rnn_tanh" | "rnn_relu":
            return nn.RNNCell(**arguments, nonlinearity=config.kind.removeprefix("rnn_"))
    raise ValueError(f"torch.nn has no cell of kind {config.kind!r}")


def load(module: nn.Module, parameters) -> None:
    """Load parameters by name. Raises RuntimeError for missing, superfluous or misshapen ones."""
    module.load_state_dict({name: to_torch(value) for name, value in parameters.items()}, strict=True)


def parameters_of(module: nn.Module) -> dict[str, np.ndarray]:
    """A module's parameters by name, arrays of their own, in the module's order."""
    return {name: to_numpy(value).copy() for name, value in module.named_parameters()}


class TorchLayer(Layer):
    """A torch.nn.RNN, LSTM or GRU."""

    def __init__(self, config, parameters):
        self.config = config
        self.module = layer_module(config)
        load(self.module, parameters)

    @torch.no_grad()
    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return Result(*map(to_numpy, self._call(to_torch(x), to_torch(h_0), to_torch(c_0), lengths)))

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = {"x": to_torch(x), "h_0": to_torch(h_0), "c_0": to_torch(c_0)}
        given = {name: a.requires_grad_() for name, a in arguments.items() if a is not None}
        with torch.enable_grad():
            results = self._call(*arguments.values(), lengths)
        cotangents = map(to_torch, (d_output, d_h_n, d_c_n))
        pairs = [(y, d) for y, d in zip(results, cotangents, strict=True) if d is not None]
        wanted = given | dict(self.module.named_parameters())
        if not pairs:
            return {name: to_numpy(torch.zeros_like(a)) for name, a in wanted.items()}
        # What the cotangents do not depend on, the last step's c_0 say, has a gradient of zeros.
        outputs, d = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, list(wanted.values()), d, allow_unused=True, materialize_grads=True)
        return {name: to_numpy(a) for name, a in zip(wanted, found, strict=True)}

    def _call(self, x, h_0, c_0, lengths):
        """output, h_n and c_n, None unless lstm, as tensors."""
        if self.config.kind == "lstm":
            states = None if h_0 is None and c_0 is None else (h_0, c_0)
        elif c_0 is not None:
            raise ValueError(f"c_0: {self.config.kind} has no cell state")
        else:
            states = h_0
        if lengths is None:
            output, states = self.module(x, states)
        else:
            layout = {"batch_first": self.config.batch_first}
            steps = x.shape[1 if self.config.batch_first else 0]
            packed = pack_padded_sequence(x, torch.as_tensor(lengths), enforce_sorted=False, **layout)
            output, states = self.module(packed, states)
            output, _ = pad_packed_sequence(output, total_length=steps, **layout)
        h_n, c_n = states if self.config.kind == "lstm" else (states, None)
        return output, h_n, c_n

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.module.train()
            try:
                return self.forward(x, h_0, c_0, lengths)
            finally:
                self.module.eval()

    def parameters(self):
        return parameters_of(self.module)


class TorchCell(Cell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell."""

    def __init__(self, config, parameters):
        self.config = config
        self.module = cell_module(config)
        load(self.module, parameters)

    @torch.no_grad()
    def step(self, x, h=None, c=None):
        x, h, c = to_torch(x), to_torch(h), to_torch(c)
        if self.config.kind == "lstm":
            h, c = self.module(x, None if h is None and c is None else (h, c))
            return to_numpy(h), to_numpy(c)
        if c is not None:
            raise ValueError(f"c: {self.config.kind} has no cell state")
        return to_numpy(self.module(x, h)), None


class TorchCPU(Backend):
    """Eager torch on the CPU, as it comes: oneDNN where torch chooses it."""

    name = "torch-cpu"
    version = torch.__version__
    features = Features(dtypes=DTYPES, cells=True, parameters=True, gradients=True, dropout=True, initialization=True)

    def layer(self, config, parameters):
        return TorchLayer(config, parameters)

    def cell(self, config, parameters):
        return TorchCell(config, parameters)

    def initial_parameters(self, config, *, seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return parameters_of(layer_module(config))
