"""A function of tensors as a module, so that the suite can put it where a module stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from conformance.backend import CellConfig, LayerConfig
from conformance.torch.signature import LENGTHS, Parameters
from conformance.torch.tensors import DTYPES
from reference.parameters import parameter_shapes


class FunctionModule(torch.nn.Module):
    """A function f(x, h_0, c_0, weights) with its weights, under torch.nn's names, as parameters."""

    def __init__(self, function: Callable[..., Any], config: LayerConfig, device: str) -> None:
        super().__init__()
        self.function, self.config = function, config
        self.takes = Parameters(function)
        self.lengths = next((name for name in LENGTHS if self.takes.has(name)), "")
        self.names = tuple(parameter_shapes(config))
        for name, shape in parameter_shapes(config).items():
            value = torch.zeros(shape, dtype=DTYPES[config.dtype], device=device)
            self.register_parameter(name, torch.nn.Parameter(value))

    def forward(self, x: Any, states: Any = None, lengths: Any = None) -> Any:
        """Call the function; omitted states arrive as zeros, c_0 as None unless lstm."""
        config = self.config
        if states is None:
            batch = () if x.dim() == 2 else (x.shape[0 if config.batch_first else 1],)
            rows = (config.num_layers * config.directions, *batch)
            states = x.new_zeros((*rows, config.output_size))
            if config.kind == "lstm":
                states = (states, x.new_zeros((*rows, config.hidden_size)))
        h_0, c_0 = states if config.kind == "lstm" else (states, None)
        keywords: dict[str, Any] = {self.lengths: lengths} if self.lengths else {}
        if self.takes.has("config"):
            keywords["config"] = config
        return self.function(x, h_0, c_0, {name: getattr(self, name) for name in self.names}, **keywords)


class FunctionFactory:
    """Builds modules of a function. Raises ValueError, one sentence, if the function cannot be called so."""

    without_dtype = False

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise ValueError(
                f"the function is of type {type(function).__name__}: give a function f(x, h_0, c_0, weights) that "
                "returns output, h_n, c_n."
            )
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.parameters = Parameters(function)
        unknown = [name for name in self.parameters.required[4:] if name not in (*LENGTHS, "config")]
        if unknown or (len(self.parameters.positional) < 4 and not self.parameters.any_positional):
            raise ValueError(
                f"{self.name}{_signature(self.parameters)} cannot be called as f(x, h_0, c_0, weights): give a "
                "function of these four."
            )

    def takes(self, name: str) -> bool:
        """Return False: no argument of torch.nn's layers reaches the function, whose weights show it."""
        return False

    def build(self, config: LayerConfig | CellConfig, device: str, *, training: bool = False) -> FunctionModule:
        """Build the module of a configuration, in inference mode or in training mode."""
        assert isinstance(config, LayerConfig)
        return FunctionModule(self.function, config, device).train(training)


def _signature(parameters: Parameters) -> str:
    return f"({', '.join(parameters.named)})"
