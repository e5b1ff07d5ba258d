"""Does an implementation of RNN, LSTM and GRU layers do what PyTorch's documentation says?

These are the names that an adapter needs; everything else of the package is the suite itself.
"""

from conformance.backend import (
    Backend,
    Cell,
    CellConfig,
    Features,
    Layer,
    LayerConfig,
    Result,
    Unsupported,
)

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "Cell",
    "CellConfig",
    "Features",
    "Layer",
    "LayerConfig",
    "Result",
    "Unsupported",
    "__version__",
]
