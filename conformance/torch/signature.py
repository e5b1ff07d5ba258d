"""Signatures: the arguments that a factory, a module's forward, a cell or a function takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from conformance.backend import CellConfig, LayerConfig
from conformance.torch.tensors import DTYPES

Config: TypeAlias = LayerConfig | CellConfig

LENGTHS = ("lengths", "seq_lens", "seq_lengths", "sequence_lens", "sequence_lengths", "input_lengths")
"""Names under which a forward function may take lengths."""
CELL_STATES = ("c", "c0", "c_0", "cx", "c_prev", "cell", "cell_state")
"""Names of a cell state that is an argument of its own."""
FLAGS = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size")


class Parameters:
    """The parameters of a function. One without a signature takes all."""

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            found = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            found = [inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)]
        if found and found[0].name == "self":
            del found[0]
        self.any = any(p.kind is p.VAR_KEYWORD for p in found)
        self.any_positional = any(p.kind is p.VAR_POSITIONAL for p in found)
        self.named = {p.name: p for p in found if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        self.positional = [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.required = [name for name, p in self.named.items() if p.default is p.empty]

    def take(self, name: str) -> bool:
        """Return whether the function takes a keyword of that name."""
        return self.any or self.has(name)

    def has(self, name: str) -> bool:
        """Return whether the function has a parameter of that name, which may be a keyword."""
        return name in self.named and self.named[name].kind is not inspect.Parameter.POSITIONAL_ONLY


class Factory:
    """A class or function that is called as torch.nn's layers or cells are, and returns a module.

    Raises ValueError, one sentence, if it cannot be called so.
    """

    def __init__(self, factory: Any, cell: bool = False) -> None:
        if isinstance(factory, type) or not hasattr(factory, "forward"):
            callable_factory = callable(factory)
        else:
            raise ValueError(
                f"the factory is a module, an instance of {type(factory).__name__}: give the class, or a function of "
                "input_size and hidden_size that builds one."
            )
        if not callable_factory:
            raise ValueError(
                f"the factory is of type {type(factory).__name__}: give a class or function of input_size and "
                "hidden_size that builds a torch.nn.Module."
            )
        self.factory, self.cell = factory, cell
        self.name = getattr(factory, "__name__", type(factory).__name__)
        self.parameters = Parameters(factory)
        self.without_dtype = False
        """Whether a factory of any keywords takes no dtype and device; found out by trying."""
        self.by_position = self._sizes_by_position()
        known = {"input_size", "hidden_size", "nonlinearity", "dtype", "device", *FLAGS, *self.by_position}
        if unknown := [name for name in self.parameters.required if name not in known]:
            raise ValueError(
                f"{self.name} needs {', '.join(unknown)}, which torch.nn's layers do not take: give a function of "
                "input_size and hidden_size that builds it."
            )

    def _sizes_by_position(self) -> list[str]:
        """Return the names of the first two parameters if these are the sizes under other names."""
        parameters = self.parameters
        if all(parameters.take(name) for name in ("input_size", "hidden_size")):
            return []
        first = [name for name in parameters.positional if name not in (*FLAGS, "nonlinearity", "dtype", "device")][:2]
        if len(first) == 2 or parameters.any_positional:
            return first or ["", ""]
        raise ValueError(
            f"{self.name} takes no input_size and hidden_size: give a function of both that builds the module."
        )

    def takes(self, name: str) -> bool:
        """Return whether the factory takes an argument of torch.nn's layers."""
        return self.parameters.take(name) and not (self.without_dtype and name in ("dtype", "device"))

    def build(self, config: Config, device: str, *, training: bool = False) -> Any:
        """Build the module of a configuration in inference mode, or leave it in training mode, as it was made.

        Raises what the factory raises.
        """
        wanted: dict[str, Any] = {"bias": config.bias}
        if isinstance(config, LayerConfig):
            wanted |= {name: getattr(config, name) for name in FLAGS}
            if not self.parameters.has("proj_size") and not config.proj_size:
                del wanted["proj_size"]  # as of torch.nn.GRU, which refuses another one
        if config.kind.startswith("rnn_"):
            wanted["nonlinearity"] = config.kind.removeprefix("rnn_")
        wanted |= {"dtype": DTYPES[config.dtype], "device": device}
        keywords = {name: value for name, value in wanted.items() if self.takes(name)}
        sizes = (config.input_size, config.hidden_size)
        if not self.by_position:
            keywords |= dict(zip(("input_size", "hidden_size"), sizes, strict=True))
        module = self.factory(*(sizes if self.by_position else ()), **keywords)
        if not hasattr(module, "named_parameters"):
            raise TypeError(f"{self.name} returned {type(module).__name__}, expected a torch.nn.Module")
        if "dtype" not in keywords:
            module = module.to(DTYPES[config.dtype])
        if "device" not in keywords:
            module = module.to(device)
        return module if training else module.eval()


@dataclass(frozen=True)
class Forward:
    """The way in which a module's forward function takes states and lengths."""

    states: bool = True
    """Whether it takes states."""
    apart: bool = False
    """Whether h and c are two arguments."""
    required: bool = False
    """Whether it takes no call without states."""
    lengths: str = ""
    """The keyword for lengths; empty: they come as packed input."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Forward:
        """Read a signature: x comes first, then the states."""
        parameters = Parameters(function)
        lengths = next((name for name in LENGTHS if parameters.has(name)), "")
        rest = [name for name in parameters.positional[1:] if name not in LENGTHS]
        if not rest:
            return cls(states=parameters.any_positional, lengths=lengths)
        apart = len(rest) > 1 and rest[1] in CELL_STATES
        return cls(True, apart, rest[0] in parameters.required, lengths)
