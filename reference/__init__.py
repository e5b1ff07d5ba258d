"""The oracle: what PyTorch's documentation says RNN, LSTM and GRU layers compute, in NumPy alone.

``forward`` and ``step`` evaluate a layer and a cell; ``LayerConfig`` and ``CellConfig`` are their
documented arguments, which ``check_parameters``, ``check_inputs`` and ``check_cell_inputs`` hold
parameters and inputs against; ``reference.precision`` says how far rounding alone may carry a right
implementation from these numbers; ``reference.catalogue`` lists the documented statements.
"""

from reference.config import DTYPES, KINDS, CellConfig, LayerConfig, numpy_dtype
from reference.layers import Result, check_cell_inputs, check_inputs, forward, step
from reference.parameters import check_parameters, parameter_shapes

__all__ = [
    "DTYPES",
    "KINDS",
    "CellConfig",
    "LayerConfig",
    "Result",
    "check_cell_inputs",
    "check_inputs",
    "check_parameters",
    "forward",
    "numpy_dtype",
    "parameter_shapes",
    "step",
]
