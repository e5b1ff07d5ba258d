"""The oracle: RNN, LSTM and GRU layers and cells as PyTorch documents them, in NumPy alone.

``forward`` evaluates a layer and ``step`` a cell. ``LayerConfig`` and ``CellConfig`` are their documented arguments;
``DIALECTS`` are equations that other frameworks document. ``check_parameters``, ``check_inputs`` and
``check_cell_inputs`` validate parameters and inputs. The module ``reference.precision`` computes how far rounding alone
may carry a right implementation from these numbers, and ``reference.catalogue`` reads the documented statements.
"""

from reference.config import DTYPES, KINDS, CellConfig, LayerConfig, numpy_dtype
from reference.dialects import DIALECTS, Dialect
from reference.layers import Result, check_cell_inputs, check_inputs, forward, step
from reference.parameters import check_parameters, parameter_shapes

__all__ = [
    "DIALECTS",
    "DTYPES",
    "KINDS",
    "CellConfig",
    "Dialect",
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
