"""``torch-cpu`` and ``torch-cpu-native``: torch.nn.RNN, LSTM, GRU and their cells, eager, on the CPU.

The adapter loads parameters unchanged and by name, because the suite checks the documentation of these modules.
``lengths`` become a PackedSequence. ``torch-cpu`` uses torch's defaults, and oneDNN where torch chooses it;
``torch-cpu-native`` uses torch's own kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

import ml_dtypes
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from conformance.backend import Backend, Cell, Features, Layer, Result, Unsupported
from conformance.backends.torch_snippets import snippet

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


class Switched(AbstractContextManager):
    """Flags of torch for a block of code. They hold for the process: the first thread sets them, the last resets."""

    def __init__(self, flags: Callable[[], AbstractContextManager]) -> None:
        self._flags, self._lock, self._inside = flags, Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._set = self._flags()
                self._set.__enter__()
            self._inside += 1

    def __exit__(self, *error) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._set.__exit__(None, None, None)


@dataclass(frozen=True)
class Platform:
    """A device, and the flags that are set around every call and choose torch's kernels."""

    device: str = "cpu"
    flags: AbstractContextManager = field(default_factory=nullcontext)

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Set the seed of torch's random generators inside, and restore their state at the end."""
        if self.device == "cuda":
            with torch.random.fork_rng([torch.cuda.current_device()]):
                torch.manual_seed(seed)
                yield
            return
        generator = torch.default_generator  # torch.manual_seed also stores a stack trace for every other device
        before = generator.get_state()
        generator.manual_seed(seed)
        try:
            yield
        finally:
            generator.set_state(before)


def to_torch(array: np.ndarray | None, device: str = "cpu") -> torch.Tensor | None:
    """Return a copy as a tensor, None for None. bfloat16 crosses as the same 16 bits."""
    if array is None:
        return None
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16).to(device)
    return torch.from_numpy(array.copy()).to(device)


def to_numpy(tensor: torch.Tensor | None) -> np.ndarray | None:
    """Return an array with the tensor's values; None for None."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def layer_module(config, device: str = "cpu") -> nn.RNNBase:
    """Return the torch.nn module of a configuration, in inference mode, before its parameters are loaded."""
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
            module = nn.LSTM(**arguments, proj_size=config.proj_size)
        case "gru":
            module = nn.GRU(**arguments, **_projection(config))
        case "rnn_tanh" | "rnn_relu":
            module = nn.RNN(**arguments, **_projection(config), nonlinearity=config.kind.removeprefix("rnn_"))
        case _:
            raise ValueError(f"torch.nn has no recurrent layer of kind {config.kind!r}")
    return module.eval()


def _projection(config):
    """Return ``proj_size`` only if it is not 0, so that torch itself refuses it for RNN and GRU."""
    return {"proj_size": config.proj_size} if config.proj_size else {}


def cell_module(config, device: str = "cpu") -> nn.RNNCellBase:
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
            return nn.LSTMCell(**arguments)
        case "gru":
            return nn.GRUCell(**arguments)
        case "rnn_tanh" | "rnn_relu":
            return nn.RNNCell(**arguments, nonlinearity=config.kind.removeprefix("rnn_"))
    raise ValueError(f"torch.nn has no cell of kind {config.kind!r}")


def states_of(kind: str, h: torch.Tensor | None, c: torch.Tensor | None):
    """Return the states in torch's form: a pair for lstm, None if omitted. Raises ValueError for c without lstm."""
    if kind == "lstm":
        return None if h is None and c is None else (h, c)
    if c is not None:
        raise ValueError(f"{kind} has no cell state, c was given")
    return h


def load(module: nn.Module, parameters) -> None:
    """Load parameters by name. Raises RuntimeError for missing, superfluous or misshapen ones."""
    module.load_state_dict({name: to_torch(value) for name, value in parameters.items()}, strict=True)


def named_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return a module's parameters by name, in its order, without a wrapper's prefix such as ``layer.``."""
    return {name.rpartition(".")[2]: value for name, value in module.named_parameters()}


def parameters_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of a module's parameters by name, in its order."""
    return {name: to_numpy(value).copy() for name, value in named_parameters(module).items()}


class TorchLayer(Layer):
    """A torch.nn.RNN, LSTM or GRU."""

    def __init__(self, config, parameters, platform):
        self.config, self.platform = config, platform
        with platform.flags:
            self.module = self._module(config, parameters)

    def _module(self, config, parameters) -> nn.Module:
        """Return the callable that takes x and states, and returns output and states."""
        module = layer_module(config, self.platform.device)
        load(module, parameters)
        return module

    @torch.no_grad()
    def forward(self, x, h_0=None, c_0=None, lengths=None):
        with self.platform.flags:
            return Result(*map(to_numpy, self._call(self.module, *map(self._tensor, (x, h_0, c_0)), lengths)))

    @cached_property
    def _undropping(self):
        """The module in training mode without dropout: cuDNN has no backward pass in inference mode."""
        return self._module(replace(self.config, dropout=0.0), self.parameters()).train()

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = {"x": self._tensor(x), "h_0": self._tensor(h_0), "c_0": self._tensor(c_0)}
        given = {name: a.requires_grad_() for name, a in arguments.items() if a is not None}
        with self.platform.flags, torch.enable_grad():
            module = self._undropping
            results = self._call(module, *arguments.values(), lengths)
            cotangents = map(self._tensor, (d_output, d_h_n, d_c_n))
            pairs = [(y, d) for y, d in zip(results, cotangents, strict=True) if d is not None]
            wanted = given | named_parameters(module)
            if not pairs:
                return {name: to_numpy(torch.zeros_like(a)) for name, a in wanted.items()}
            # Arguments that the results do not depend on have gradients of zeros.
            outputs, d = zip(*pairs, strict=True)
            found = torch.autograd.grad(outputs, list(wanted.values()), d, allow_unused=True, materialize_grads=True)
        return {name: to_numpy(a) for name, a in zip(wanted, found, strict=True)}

    def _tensor(self, array):
        return to_torch(array, self.platform.device)

    def _call(self, module, x, h_0, c_0, lengths):
        """Return output, h_n and c_n as tensors; c_n is None unless the kind is lstm."""
        states = states_of(self.config.kind, h_0, c_0)
        if lengths is None:
            output, states = module(x, states)
        else:
            output, states = self._call_packed(module, x, states, torch.as_tensor(lengths))
        h_n, c_n = states if self.config.kind == "lstm" else (states, None)
        return output, h_n, c_n

    def _call_packed(self, module, x, states, lengths):
        layout = {"batch_first": self.config.batch_first}
        steps = x.shape[1 if self.config.batch_first else 0]
        output, states = module(pack_padded_sequence(x, lengths, enforce_sorted=False, **layout), states)
        output, _ = pad_packed_sequence(output, total_length=steps, **layout)
        return output, states

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        with self.platform.seeded(seed):
            self.module.train()
            try:
                return self.forward(x, h_0, c_0, lengths)
            finally:
                self.module.eval()

    def parameters(self):
        return parameters_of(self.module)


class InferenceLayer(TorchLayer):
    """A layer compiled for inference, without lengths, gradients and training."""

    def _call_packed(self, module, x, states, lengths):
        raise Unsupported("packed input is not taken")

    def gradients(self, *arguments):
        raise Unsupported("it is compiled for inference")

    def forward_training(self, *arguments, **options):
        raise Unsupported("it is compiled for inference")


class TorchCell(Cell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell."""

    def __init__(self, config, parameters, platform):
        self.config, self.platform = config, platform
        self.module = self._module(parameters)

    def _module(self, parameters) -> nn.Module:
        """Return the callable, which has the interface of torch.nn's cells."""
        module = cell_module(self.config, self.platform.device)
        load(module, parameters)
        return module

    @torch.no_grad()
    def step(self, x, h=None, c=None):
        x, h, c = (to_torch(a, self.platform.device) for a in (x, h, c))
        with self.platform.flags:
            states = self._call(x, states_of(self.config.kind, h, c))
        h, c = states if self.config.kind == "lstm" else (states, None)
        return to_numpy(h), to_numpy(c)

    def _call(self, x, states):
        return self.module(x, states)


class TorchEager(Backend):
    """The modules of torch.nn on a platform."""

    version = torch.__version__
    features = Features(dtypes=DTYPES, cells=True, parameters=True, gradients=True, dropout=True, initialization=True)
    platform = Platform()

    def layer(self, config, parameters):
        return TorchLayer(config, parameters, self.platform)

    def cell(self, config, parameters):
        return TorchCell(config, parameters, self.platform)

    def initial_parameters(self, config, *, seed):
        with self.platform.flags, self.platform.seeded(seed):
            return parameters_of(layer_module(config, self.platform.device))


class TorchCompiled(Backend):
    """Base class of the backends that compile each configuration. They claim float32 only.

    They do not claim initialization, which happens before a module is compiled; ``torch-cpu`` tests it.
    """

    version = torch.__version__
    Layer: type[TorchLayer]
    Cell: type[TorchCell]

    def layer(self, config, parameters):
        self._refuse_unclaimed(config)
        return self.Layer(config, parameters, Platform())

    def cell(self, config, parameters):
        self._refuse_unclaimed(config)
        return self.Cell(config, parameters, Platform())

    def _refuse_unclaimed(self, config):
        if config.dtype in DTYPES and config.dtype not in self.features.dtypes:
            raise Unsupported(f"{self.name} compiles for float32 alone, not for {config.dtype}")


class TorchCPU(TorchEager):
    """Eager torch on the CPU with its defaults: oneDNN where torch chooses it."""

    name = "torch-cpu"

    def snippet(self, call):
        return snippet(call)


class TorchCPUNative(TorchEager):
    """Eager torch on the CPU with oneDNN off: torch's own kernels."""

    name = "torch-cpu-native"
    platform = Platform("cpu", Switched(lambda: torch.backends.mkldnn.flags(enabled=False, allow_tf32=None)))
