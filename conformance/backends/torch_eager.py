"""``torch-cpu`` and ``torch-cpu-native``: torch.nn.RNN, LSTM, GRU and their cells, eager, on the CPU.

``conformance.torch`` makes the adapters of torch.nn's own modules. Parameters are loaded unchanged and by name,
because the suite checks the documentation of these modules. ``lengths`` become a PackedSequence. ``torch-cpu`` uses
torch's defaults, and oneDNN where torch chooses it; ``torch-cpu-native`` uses torch's own kernels.
"""

from __future__ import annotations

import torch

from conformance.backend import Features, Unsupported
from conformance.backends.torch_snippets import snippet
from conformance.torch.backend import TorchBackend
from conformance.torch.environment import Environment, Switched
from conformance.torch.names import Names
from conformance.torch.standard import Standard
from conformance.torch.tensors import DTYPES


class TorchEager(TorchBackend):
    """The modules of torch.nn, eager."""

    features = Features(
        dtypes=DTYPES,
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

    def __init__(self, device: str = "cpu", context=None) -> None:
        environment = Environment(device, context)
        names = Names(own_order=True)
        super().__init__(
            Standard(), Standard(), name=self.name, names=names, environment=environment, checks=False, forks=self.forks
        )


class TorchCompiled(TorchBackend):
    """Base class of the backends that compile each configuration. They claim float32 only.

    They do not claim initialization, which happens before a module is compiled; ``torch-cpu`` tests it.
    """

    def __init__(self) -> None:
        made = self.factory()
        super().__init__(made, made, name=self.name, names=Names(own_order=True), checks=False)

    def factory(self) -> Standard:
        """Return the factory of the modules."""
        return Standard()

    def refuse_unclaimed(self, config):
        if config.dtype in DTYPES and config.dtype not in self.features.dtypes:
            raise Unsupported(f"{self.name} compiles for float32 alone, not for {config.dtype}")
        super().refuse_unclaimed(config)


class TorchCPU(TorchEager):
    """Eager torch on the CPU with its defaults: oneDNN where torch chooses it."""

    name = "torch-cpu"

    def snippet(self, call):
        return snippet(call)


class TorchCPUNative(TorchEager):
    """Eager torch on the CPU with oneDNN off: torch's own kernels."""

    name = "torch-cpu-native"

    def __init__(self) -> None:
        super().__init__("cpu", Switched(lambda: torch.backends.mkldnn.flags(enabled=False, allow_tf32=None)))
