"""The bank of faults of ONNX's operators: known departures from the pages, each a small change of the oracle."""

from __future__ import annotations

from conformance.specifications.onnx_operators.faults.bank import Fault, compose

__all__ = ["BANK", "Fault", "compose", "faults"]

from conformance.specifications.onnx_operators.faults import (  # isort: skip  the order of the bank
    gates,
    equations,
    activations,
    sequences,
    models,
    acceptance,
)

FAMILIES = (gates, equations, activations, sequences, models, acceptance)
BANK: dict[str, Fault] = {fault.id: fault for module in FAMILIES for fault in module.FAULTS}
"""Every fault by its id, in a fixed order."""


def faults(kind: str | None = None) -> list[Fault]:
    """Return the faults that touch an operator, or all faults."""
    return [fault for fault in BANK.values() if kind is None or kind in fault.kinds]


def __getattr__(name: str):
    """Return a fault's factory by id, for ``--backend``: ``...onnx_operators.faults:onnx-clip-ignored``."""
    if name in BANK:
        return BANK[name].build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
