"""``torch-compile``: torch.nn modules under torch.compile(fullgraph=True, backend="aot_eager"), on the CPU.

By default torch.compile leaves recurrent layers uncompiled silently, so the adapter sets
``torch._dynamo.config.allow_rnn``. It counts the runs of compiled graphs and raises an error for a call that ran none.
Dynamo and AOTAutograd make the graphs: RNN and GRU become operations step by step, an LSTM one operation of oneDNN for
each layer and direction, and torch runs these operations. Inductor, the default backend, takes 10 to 30 s for each
shape and is left out. Every shape is compiled for itself. torch.compile accepts neither packed input nor gradients of
an LSTM (docs/findings.md): lengths, gradients and training are not claimed.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import torch

from conformance.backend import CellConfig, Features, LayerConfig
from conformance.backends.torch_eager import TorchCompiled
from conformance.torch.cells import TorchCell
from conformance.torch.layers import TorchLayer
from conformance.torch.standard import cell_module, layer_module

UNLIMITED = 10**6  # compilations of one function: past its default limit of 8 torch would run it uncompiled
OPTIONS = {"allow_rnn": True, "recompile_limit": UNLIMITED, "accumulated_recompile_limit": UNLIMITED}


class Compiled:
    """A compiled module of a configuration. A call loads parameters into it; calls run one at a time."""

    def __init__(self, config: LayerConfig | CellConfig, backend: str = "aot_eager", options=OPTIONS) -> None:
        self.module = (cell_module(config) if isinstance(config, CellConfig) else layer_module(config)).eval()
        self.backend, self.options, self.runs, self._lock = backend, options, 0, Lock()
        self.function = torch.compile(self.module, backend=self._compile, fullgraph=True, dynamic=False)

    def _compile(self, graph, examples):
        compiled = torch._dynamo.lookup_backend(self.backend)(graph, examples)

        def run(*arguments):
            self.runs += 1
            return compiled(*arguments)

        return run

    def __call__(self, parameters, x, states):
        """Call the compiled module. Raises RuntimeError if no compiled graph ran, and torch's errors."""
        with self._lock, torch._dynamo.config.patch(self.options):
            self.module.load_state_dict(parameters)
            before = self.runs
            results = self.function(x, states)
            if self.runs == before:
                raise RuntimeError("torch.compile compiled nothing: the call ran in eager mode")
            return results


compiled = lru_cache(maxsize=None)(Compiled)


class CompiledLayer(TorchLayer):
    """A torch.nn.RNN, LSTM or GRU, compiled."""

    def _call_module(self, module, x, states):
        return compiled(self.config)(module.state_dict(), x, states)


class CompiledCell(TorchCell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, compiled."""

    def _call_module(self, x, states):
        return compiled(self.config)(self.module.state_dict(), x, states)


class TorchCompile(TorchCompiled):
    """The modules of torch.nn, compiled by torch.compile for every shape."""

    name = "torch-compile"
    layer_class, cell_class = CompiledLayer, CompiledCell
    features = Features(lengths=False, cells=True, configurations=5, fixed_shapes=True, most_steps=100)
