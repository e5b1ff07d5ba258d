"""The way of parameters: from torch.nn's names to the names of a module, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import torch

from conformance.backend import CellConfig, LayerConfig
from reference.parameters import GATES, parameter_shapes

Config: TypeAlias = LayerConfig | CellConfig
Tensors: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[Callable[..., Any], Callable[..., Any]]

KEY = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(_l(\d+|\{k\})(_reverse|\{reverse\})?)?")


@dataclass(frozen=True)
class Block:
    """Rows of a documented parameter and the tensor of the module that holds them.

    ``rows`` are the gates' blocks in the order of that tensor, None for the whole parameter.
    """

    target: str
    rows: tuple[int, ...] | None
    transposed: bool


@lru_cache(maxsize=4096)
def blocks_of(pattern: str, kind: str) -> tuple[Block, ...]:
    """Return the blocks that a value of the mapping describes, in the documented order. Raises ValueError.

    ``"W"`` is a whole parameter, ``"W_{i,f,g,o}"`` a tensor for each gate, ``"W[i,f,o,g]"`` a tensor with the gates'
    blocks in that order. ``.T`` at the end: each tensor is the transpose.
    """
    gates = GATES[kind]
    transposed, plain = pattern.endswith(".T"), pattern.removesuffix(".T")
    if found := re.fullmatch(r"(.*)\[([^\]]*)\]", plain):
        order = [letter.strip() for letter in found[2].split(",")]
        if sorted(order) != sorted(gates):
            raise ValueError(f"names: {pattern!r} orders the gates {', '.join(order)}; {kind} has {', '.join(gates)}.")
        return (Block(found[1], tuple(gates.index(letter) for letter in order), transposed),)
    braces = re.search(r"\{([^{}]*,[^{}]*)\}", plain)
    if braces is None:
        return (Block(plain, None, transposed),)
    choices = [choice.strip() for choice in braces[1].split(",")]
    if len(choices) != len(gates):
        raise ValueError(
            f"names: {pattern!r} names {len(choices)} tensors; {kind} has the {len(gates)} gates {', '.join(gates)}."
        )
    before, after = plain[: braces.start()], plain[braces.end() :]
    return tuple(Block(f"{before}{choice}{after}", (gate,), transposed) for gate, choice in enumerate(choices))


class Names:
    """The argument ``names``. Raises ValueError, one sentence, for an argument of another form.

    With ``own_order`` parameters are read back in the module's order, not the documented one.
    """

    def __init__(self, given: Any = None, own_order: bool = False) -> None:
        self.own_order = own_order
        self.mapping: Mapping[str, str] = {}
        self.pair: Pair | None = None
        if given is None:
            return
        if isinstance(given, Mapping):
            for key, value in given.items():
                if not isinstance(key, str) or not KEY.fullmatch(key):
                    raise ValueError(
                        f"names: {key!r} is no parameter of torch.nn; the keys are weight_ih_l0, weight_hh_l0, "
                        "bias_ih_l0, bias_hh_l0 and so on, with {k} for any layer, or weight_ih and so on of a cell."
                    )
                if not isinstance(value, str):
                    raise ValueError(f"names: {key} has a value of type {type(value).__name__}; give a name, a string.")
            self.mapping = dict(given)
        elif isinstance(given, Sequence) and len(given) == 2 and all(callable(one) for one in given):
            self.pair = (given[0], given[1])
        else:
            raise ValueError(
                "names: give None, a mapping from torch.nn's names to the module's, or a pair of functions "
                f"put(module, parameters), take(module); got {type(given).__name__}."
            )

    def value(self, name: str) -> str | None:
        """Return the mapping's value for a documented name, None where it says nothing."""
        if not self.mapping or name in self.mapping:
            return self.mapping.get(name)
        found = re.fullmatch(r"(\w+?)_l(\d+)(_reverse)?", name)
        if found is None:
            return None
        k, reverse = found[2], found[3] or ""
        for key, value in self.mapping.items():
            if key.replace("{k}", k).replace("{reverse}", reverse) == name:
                return value.replace("{k}", k).replace("{reverse}", reverse)
        return None

    def bind(self, module: Any, config: Config) -> Bound:
        """Return the parameters of a module of a configuration. Raises ValueError if the names do not fit it."""
        if self.pair is not None:
            return PairBound(module, config, self.pair)
        return MappedBound(module, config, self)


class Bound:
    """The parameters of one module under torch.nn's names."""

    def __init__(self, module: Any, config: Config) -> None:
        self.module, self.config = module, config
        self.shapes = parameter_shapes(config)

    shared = False
    """Whether a tensor of the module holds a sum of parameters, which cannot be read back."""

    @property
    def tensors(self) -> list[Any]:
        """The tensors of the module that hold the parameters."""
        raise NotImplementedError

    def put(self, parameters: Mapping[str, Any]) -> None:
        """Load tensors by their documented names. Raises ValueError for missing, superfluous or misshapen ones."""
        if (missing := [name for name in self.shapes if name not in parameters]) or len(parameters) > len(self.shapes):
            unknown = [name for name in parameters if name not in self.shapes]
            said = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(unknown)} unknown"] * bool(unknown)
            raise ValueError(f"parameters: {'; '.join(said)}")
        for name, shape in self.shapes.items():
            if tuple(parameters[name].shape) != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {tuple(parameters[name].shape)}")
        with torch.no_grad():
            self._put(parameters)

    def _put(self, parameters: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def take(self) -> Tensors:
        """Return copies of the parameters by their documented names, in the documented order."""
        raise NotImplementedError

    def gradients(self, gradients: Sequence[Any]) -> Tensors:
        """Return gradients by the documented names, given the gradients of ``tensors``."""
        raise NotImplementedError


class MappedBound(Bound):
    """Parameters that a mapping names, or torch.nn's own names, also below one wrapped module."""

    def __init__(self, module: Any, config: Config, names: Names) -> None:
        super().__init__(module, config)
        self.own: Tensors = dict(module.named_parameters(remove_duplicate=False))
        everything = self.own | dict(module.named_buffers(remove_duplicate=False))
        prefix = self._prefix(names)
        self.blocks = {
            name: blocks_of(prefix + name if (value := names.value(name)) is None else value, config.kind)
            for name in self.shapes
        }
        targets = [block.target for blocks in self.blocks.values() for block in blocks]
        if absent := sorted({target for target in targets if target not in everything}):
            has = ", ".join(self.own) or "none"
            raise ValueError(
                f"names: the module has no parameter {', '.join(absent)}; its parameters are {has}: give "
                "names={torch.nn's name: the module's, ...}."
            )
        if more := [name for name in self.own if name not in targets]:
            raise ValueError(
                f"names: torch.nn has no parameter for the module's {', '.join(more)}; give names={{...}} that use "
                "all of its parameters, or wrap the module."
            )
        self.order = [block.target for (block,) in self.blocks.values()] if names.own_order else []
        self.shared = len(set(targets)) < len(targets)
        self.everything = {target: everything[target] for target in dict.fromkeys(targets)}
        for name, blocks in self.blocks.items():
            for block in blocks:
                came, expected = tuple(self.everything[block.target].shape), self._shape(name, block)
                if came != expected:
                    raise ValueError(
                        f"names: the module's {block.target} has shape {came}, which torch.nn's {name} fills with "
                        f"{expected}."
                    )

    def _prefix(self, names: Names) -> str:
        """Return what stands before torch.nn's names, such as ``lstm.``."""
        wanted = [name for name in self.shapes if names.value(name) is None]
        if not wanted or all(name in self.own for name in wanted):
            return ""
        prefixes = [name.removesuffix(wanted[0]) for name in self.own if name.endswith("." + wanted[0])]
        fitting = [prefix for prefix in prefixes if all(prefix + name in self.own for name in wanted)]
        return fitting[0] if len(fitting) == 1 else ""

    def _shape(self, name: str, block: Block) -> tuple[int, ...]:
        rows, *columns = self.shapes[name]
        if block.rows is not None and len(block.rows) == 1:
            rows //= len(GATES[self.config.kind])
        return tuple(reversed((rows, *columns))) if block.transposed else (rows, *columns)

    @property
    def tensors(self) -> list[Any]:
        """The tensors of the module that hold the parameters, each once."""
        return list(self.everything.values())

    def _put(self, parameters: Mapping[str, Any]) -> None:
        loaded: Tensors = {}
        for name, blocks in self.blocks.items():
            for block in blocks:
                value = self._rows(parameters[name], block.rows)
                value = value.mT if block.transposed and value.dim() > 1 else value
                loaded[block.target] = loaded[block.target] + value if block.target in loaded else value
        for target, value in loaded.items():
            self.everything[target].copy_(value)

    def _rows(self, value: Any, rows: tuple[int, ...] | None) -> Any:
        if rows is None:
            return value
        gates = value.chunk(len(GATES[self.config.kind]))
        return torch.cat([gates[row] for row in rows])

    def take(self) -> Tensors:
        """Return copies of the parameters by their documented names, in the documented order."""
        composed = self._composed({target: value.detach() for target, value in self.everything.items()})
        if not self.order:
            return composed
        names = dict(zip(self.order, self.blocks, strict=True))
        return {names[target]: composed[names[target]] for target in self.own}

    def gradients(self, gradients: Sequence[Any]) -> Tensors:
        """Return gradients by the documented names, given the gradients of ``tensors``."""
        return self._composed(dict(zip(self.everything, gradients, strict=True)))

    def _composed(self, values: Tensors) -> Tensors:
        composed: Tensors = {}
        for name, blocks in self.blocks.items():
            parts = []
            for block in blocks:
                value = values[block.target]
                value = value.mT if block.transposed and value.dim() > 1 else value
                if block.rows is not None and len(block.rows) > 1:
                    gates = value.chunk(len(block.rows))
                    value = torch.cat([gates[block.rows.index(gate)] for gate in range(len(gates))])
                parts.append(value)
            composed[name] = torch.cat(parts) if len(parts) > 1 else parts[0].clone()
        return composed


class PairBound(Bound):
    """Parameters that the functions put(module, parameters) and take(module) move."""

    def __init__(self, module: Any, config: Config, pair: Pair) -> None:
        super().__init__(module, config)
        self.putting, self.taking = pair

    @property
    def tensors(self) -> list[Any]:
        """All parameters of the module."""
        return list(self.module.parameters())

    def _put(self, parameters: Mapping[str, Any]) -> None:
        self.putting(self.module, dict(parameters))

    def take(self) -> Tensors:
        """Return copies of the parameters by their documented names, in the documented order."""
        with torch.no_grad():
            taken = self.taking(self.module)
        if not isinstance(taken, Mapping):
            raise TypeError(f"names: take(module) returned {type(taken).__name__}, expected tensors by name")
        return {name: value.detach().clone() for name, value in taken.items()}

    def gradients(self, gradients: Sequence[Any]) -> Tensors:
        """Return gradients by the documented names: ``take`` reads them in the place of the parameters."""
        tensors = self.tensors
        kept = [tensor.detach().clone() for tensor in tensors]
        with torch.no_grad():
            try:
                for tensor, gradient in zip(tensors, gradients, strict=True):
                    tensor.copy_(gradient)
                return self.take()
            finally:
                for tensor, value in zip(tensors, kept, strict=True):
                    tensor.copy_(value)
