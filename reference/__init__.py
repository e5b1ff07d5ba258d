"""The oracle: what PyTorch's documentation says RNN, LSTM and GRU layers compute, in NumPy alone.

``forward`` and ``step`` evaluate a layer and a cell; ``LayerConfig`` and ``CellConfig`` are their
documented arguments; ``reference.precision`` says how far rounding alone may carry a right
implementation from these numbers; ``reference.catalogue`` lists the documented statements.
"""

from reference.config import DTYPES, KINDS, CellConfig, LayerConfig, numpy_dtype
from reference.layers import Result, forward, step
from reference.parameters import parameter_shapes

__all__ = [
    "DTYPES",
    "KINDS",
    "CellConfig",
    "LayerConfig",
    "Result",
    "forward",
    "numpy_dtype",
    "parameter_shapes",
    "step",
]
