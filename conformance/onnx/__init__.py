"""Put an ONNX runtime to the suite: the author writes ``prepare``, and the suite builds the models.

Importing this module does not import onnx; putting a runtime to the suite does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime

if TYPE_CHECKING:
    from conformance.onnx.graph import Node, build_model
    from conformance.onnx.interface import interface_runtime

__all__ = ["Node", "OnnxFeatures", "OnnxRuntime", "build_model", "interface_runtime"]

_ON_FIRST_USE = {
    "Node": "conformance.onnx.graph",
    "build_model": "conformance.onnx.graph",
    "interface_runtime": "conformance.onnx.interface",
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        import importlib

        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
