"""The bank of faults: known departures from the documentation, each a small change of the oracle.

Mutation testing calls a fault a mutant. The project's tests prove that the suite fails every fault,
docs/kill-matrix.md shows which requirement fails it, and diagnosis compares a failing backend with all of them.
"""

from __future__ import annotations

from conformance.specifications.torch_nn.faults.bank import Fault, compose

__all__ = ["BANK", "Fault", "compose", "faults"]

from conformance.specifications.torch_nn.faults import (  # isort: skip  the order of the bank
    gates,
    equations,
    parameters,
    states,
    recurrence,
    layouts,
    lengths,
    narrow,
    extents,
    precision,
    gradients,
    backward,
    dropout,
    initialization,
    acceptance,
    calls,
    caches,
    loading,
    further_gradients,
    optional,
)

FAMILIES = (
    gates, equations, parameters, states, recurrence, layouts, lengths, narrow, extents, precision,
    gradients, backward, dropout, initialization, acceptance, calls, caches, loading, further_gradients, optional,
)  # fmt: skip
BANK: dict[str, Fault] = {fault.id: fault for module in FAMILIES for fault in module.FAULTS}
"""Every fault by its id, in a fixed order."""


def faults(kind: str | None = None) -> list[Fault]:
    """Return the faults that touch a kind, or all faults."""
    return [fault for fault in BANK.values() if kind is None or kind in fault.kinds]


def __getattr__(name: str):
    """Return a fault's factory by id, for ``--backend conformance.faults:lstm-gates-f-i`` on the command line."""
    if name in BANK:
        return BANK[name].build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
