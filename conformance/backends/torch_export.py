"""``torch-export``: the programs that torch.export makes of torch.nn modules, run by torch on the CPU.

torch 2.13 exports no recurrent layer with a dynamic number of steps (it specializes to the example's number) and none
that packs its input. So lengths are not claimed, and the adapter exports a program for every shape of the arguments.
The exporter runs the module on these shapes and dtypes, so it is the exporter that refuses invalid calls. The adapter
loads the parameters into the exported program.
"""

from __future__ import annotations

import copy
import warnings
from functools import cached_property, lru_cache

import torch

from conformance.backend import CellConfig, Features, LayerConfig
from conformance.backends.torch_eager import TorchCompiled
from conformance.torch.cells import TorchCell
from conformance.torch.layers import TorchLayer
from conformance.torch.standard import cell_module, layer_module
from conformance.torch.tensors import to_numpy

Signature = tuple[tuple[tuple[int, ...], torch.dtype], ...]  # shapes and dtypes of x and the states


@lru_cache(maxsize=2048)
def exported(config: LayerConfig | CellConfig, signature: Signature) -> torch.fx.GraphModule:
    """Return the program for arguments of these shapes and dtypes; callers copy it and load parameters.

    Raises torch's errors for arguments that do not fit.
    """
    x, *states = (torch.zeros(shape, dtype=dtype) for shape, dtype in signature)
    module = cell_module(config) if isinstance(config, CellConfig) else layer_module(config)
    arguments = (x,) if not states else (x, tuple(states) if config.kind == "lstm" else states[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes self._flat_weights", UserWarning)
        return torch.export.export(module.eval(), arguments).module()


class Programs(dict):
    """The programs of one layer or cell by signature, exported at first use, all with the same parameters."""

    def __init__(self, config, parameters) -> None:
        super().__init__()
        self.config, self.parameters = config, parameters

    def __missing__(self, signature: Signature) -> torch.fx.GraphModule:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated", FutureWarning)
            program = copy.deepcopy(exported(self.config, signature))
        program.load_state_dict(self.parameters)
        return self.setdefault(signature, program)

    def __call__(self, x, states):
        given = () if states is None else states if self.config.kind == "lstm" else (states,)
        if None in given:
            raise ValueError("states: an LSTM takes both or neither")
        program = self[tuple((tuple(a.shape), a.dtype) for a in (x, *given))]
        return program(x) if states is None else program(x, states)

    def read_back(self) -> dict[str, torch.nn.Parameter]:
        """Return the parameters of an exported program, by name."""
        program = next(iter(self.values()), None)
        if program is None:
            cell = isinstance(self.config, CellConfig)
            shape = (1, self.config.input_size) if cell else (1, 1, self.config.input_size)
            dtype = next(iter(self.parameters.values())).dtype
            program = self[((shape, dtype),)]
        return {name.rpartition(".")[2]: value for name, value in program.named_parameters()}


class ExportedLayer(TorchLayer):
    """A torch.nn.RNN, LSTM or GRU, exported."""

    @cached_property
    def programs(self) -> Programs:
        """The layer's programs."""
        return Programs(self.config, self.module.state_dict())

    def _call_module(self, module, x, states):
        return self.programs(x, states)

    def parameters(self):
        return {name: to_numpy(value).copy() for name, value in self.programs.read_back().items()}


class ExportedCell(TorchCell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, exported."""

    @cached_property
    def programs(self) -> Programs:
        """The cell's programs."""
        return Programs(self.config, self.module.state_dict())

    def _call_module(self, x, states):
        return self.programs(x, states)


class TorchExport(TorchCompiled):
    """The modules of torch.nn, exported by torch.export for every shape."""

    name = "torch-export"
    layer_class, cell_class = ExportedLayer, ExportedCell
    features = Features(
        lengths=False, cells=True, parameters=True, configurations=16, fixed_shapes=True, most_steps=100
    )
