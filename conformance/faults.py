"""The name under which the faults of torch.nn are backends: ``--backend conformance.faults:lstm-gates-f-i``."""

from conformance.specifications.torch_nn.faults import BANK, Fault, compose, faults

__all__ = ["BANK", "Fault", "compose", "faults"]


def __getattr__(name: str):
    if name in BANK:
        return BANK[name].build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
