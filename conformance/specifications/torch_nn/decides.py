"""The decorator that marks a test of torch.nn's suite with the requirements that it decides."""

from __future__ import annotations

from conformance.engine.check import Decides
from conformance.specifications.torch_nn.calls import CALL_FEATURES
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.strategies import layers

decides = Decides(CATALOGUE, layers, CALL_FEATURES)
