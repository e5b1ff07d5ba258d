"""Does an implementation of RNN, LSTM and GRU layers do what PyTorch's documentation says?

These are the names for adapter authors, and the suite as a function; everything else of the package is internal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from conformance.version import __version__

if TYPE_CHECKING:
    from conformance.dumps import BrokenDump, explain
    from conformance.runs.api import ConformanceError, check_backend, run
    from conformance.runs.items import parametrize_with_requirements

__all__ = [
    "Backend",
    "BrokenDump",
    "Cell",
    "CellConfig",
    "ConformanceError",
    "Features",
    "Layer",
    "LayerConfig",
    "Result",
    "Unsupported",
    "__version__",
    "check_backend",
    "explain",
    "parametrize_with_requirements",
    "run",
]

# Imported on first use: adapters need none of them, and they need pytest and Hypothesis.
_ON_FIRST_USE = {
    "BrokenDump": "conformance.dumps",
    "ConformanceError": "conformance.runs.api",
    "check_backend": "conformance.runs.api",
    "explain": "conformance.dumps",
    "parametrize_with_requirements": "conformance.runs.items",
    "run": "conformance.runs.api",
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        import importlib

        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
