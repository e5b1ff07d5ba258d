"""Mistakes of loading weights, passing arguments and collecting results, beyond the faults of the bank.

They have the form of the bank's faults, so that both can be combined. The kill matrix does not have them: most are no
mistakes of a backend, which gets its weights by name.
"""

from conformance.dumps.mistakes import collecting, computing, loading
from conformance.specifications.torch_nn.faults.bank import Fault

MISTAKES: list[Fault] = [*loading.MISTAKES, *computing.MISTAKES, *collecting.MISTAKES]

__all__ = ["MISTAKES"]
