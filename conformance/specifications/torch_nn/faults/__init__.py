"""The bank of faults: known departures from the documentation, each a small change of the oracle.

Each is used three times. The project's tests prove that the suite fails every one of them; docs/kill-matrix.md
shows which requirement does; and on a user's failure their numbers are compared with the backend's own.
"""

from __future__ import annotations

from conformance.specifications.torch_nn.faults.bank import Fault, compose

__all__ = ["BANK", "Fault", "compose", "faults"]

from conformance.specifications.torch_nn.faults import (  # isort: skip  the order of the bank
    gates,
    equations,
    parameters,
    states,
    layouts,
    lengths,
    narrow,
    precision,
    gradients,
    dropout,
    initialization,
    acceptance,
    calls,
)

FAMILIES = (
    gates, equations, parameters, states, layouts, lengths, narrow, precision,
    gradients, dropout, initialization, acceptance, calls,
)  # fmt: skip
BANK: dict[str, Fault] = {fault.id: fault for module in FAMILIES for fault in module.FAULTS}
"""Every fault by its id, in an order that stays."""


def faults(kind: str | None = None) -> list[Fault]:
    """Those that touch a kind; all without one."""
    return [fault for fault in BANK.values() if kind is None or kind in fault.kinds]


def __getattr__(name: str):
    """``conformance.faults:lstm-gates-f-i`` names a fault as a backend on the command line."""
    if name in BANK:
        return BANK[name].build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
