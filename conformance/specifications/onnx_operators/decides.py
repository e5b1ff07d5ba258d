"""The decorator that marks a test of this suite with the requirements that it decides."""

from __future__ import annotations

from conformance.engine.check import Decides
from conformance.specifications.onnx_operators.calls import CALL_FEATURES
from conformance.specifications.onnx_operators.catalogue import CATALOGUE
from conformance.specifications.onnx_operators.strategies import nodes

decides = Decides(CATALOGUE, nodes, CALL_FEATURES)
