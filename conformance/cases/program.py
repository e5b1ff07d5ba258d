"""The modules of a case, and the interpreter of its program.

``run`` has four uses: shapes alone when a file is loaded, the oracle, the oracle on disturbed arrays for the tolerance,
and a backend. They differ in the objects that stand for the modules, which have the methods ``layer``, ``cell``,
``linear``, ``gradients`` and ``refuse``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reference.config import CellConfig, LayerConfig, numpy_dtype, require
from reference.gradients import check_cotangents, evaluate_gradients
from reference.layers import Result, check_cell_inputs, check_inputs, evaluate, evaluate_cell
from reference.parameters import check_parameters

INPUTS = {
    "layer": ("x", "h_0", "c_0"),
    "cell": ("x", "h", "c"),
    "gradients": ("x", "h_0", "c_0", "d_output", "d_h_n", "d_c_n"),
}
FIELDS = {"layer": Result._fields, "cell": ("h", "c")}

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Module:
    """A layer, a cell or a linear map: its arguments, and its parameters as float64 arrays in the documented order."""

    type: str
    arguments: Mapping[str, Any]
    parameters: Mapping[str, np.ndarray]

    def layer_config(self, dtype: str) -> LayerConfig:
        """Return the configuration of a layer."""
        return LayerConfig(**self.arguments, dtype=dtype)

    def cell_config(self, dtype: str) -> CellConfig:
        """Return the configuration of a cell."""
        return CellConfig(**self.arguments, dtype=dtype)

    def config(self, dtype: str) -> LayerConfig | CellConfig:
        """Return the configuration of a layer or cell."""
        return self.layer_config(dtype) if self.type == "layer" else self.cell_config(dtype)

    def loaded(self, dtype: str) -> dict[str, np.ndarray]:
        """Return new arrays of the parameters in a dtype."""
        return {name: value.astype(numpy_dtype(dtype)) for name, value in self.parameters.items()}

    def linear(self, x):
        """Map x (..., in_features) to (..., out_features), in float64."""
        return x @ self.parameters["weight"].T + self.parameters["bias"]

    def masks(self, seed: int | None, x) -> list[np.ndarray] | None:
        """Return the units that dropout keeps, (T, N, D*O) for each layer except the last, or None for all.

        Raises ValueError if the results of training depend on the draw.
        """
        config = self.layer_config("float64")
        if seed is None or config.num_layers == 1 or config.dropout == 0:
            return None
        if config.dropout == 1:
            T, N = (x.shape[0], 1) if len(x.shape) == 2 else x.shape[1::-1] if config.batch_first else x.shape[:2]
            return [np.zeros((T, N, config.directions * config.output_size), bool)] * (config.num_layers - 1)
        above = [value for name, value in self.parameters.items() if name.startswith("weight_ih") and "_l0" not in name]
        blind = not any(np.any(value) for value in above)
        require(blind, "seed", "a dropout of 0 or 1, or later layers that see nothing", config.dropout)
        return None


class OracleModule:
    """A module that the oracle computes, on float64 and on disturbed arrays."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.linear = module.linear

    def layer(self, x, h_0, c_0, lengths, seed):
        config = self.module.layer_config("float64")
        return evaluate(config, self.module.parameters, x, h_0, c_0, lengths, self.module.masks(seed, x))

    def cell(self, x, h, c):
        return evaluate_cell(self.module.cell_config("float64"), self.module.parameters, x, h, c)

    def gradients(self, lengths, **arrays):
        config = self.module.layer_config("float64")
        return evaluate_gradients(config, self.module.parameters, lengths=lengths, **arrays)

    def refuse(self, step, arrays):
        """Do nothing: the loader has checked that the oracle rejects the call."""


class DryModule:
    """A module that computes shapes only. Every call raises ValueError if its arguments do not fit."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def layer(self, x, h_0=None, c_0=None, lengths=None, seed=None):
        x, h_0, c_0 = (None if a is None else blank(a.shape) for a in (x, h_0, c_0))
        config = self.module.layer_config("float64")
        check_inputs(config, x, h_0, c_0, lengths)
        self.module.masks(seed, x)
        lead = x.shape[1:-1] if not config.batch_first or x.ndim == 2 else x.shape[:1]
        rows = config.directions * config.num_layers
        return Result(
            blank((*x.shape[:-1], config.directions * config.output_size)),
            blank((rows, *lead, config.output_size)),
            blank((rows, *lead, config.hidden_size)) if config.kind == "lstm" else None,
        )

    def cell(self, x, h=None, c=None):
        x, h, c = (None if a is None else blank(a.shape) for a in (x, h, c))
        config = self.module.cell_config("float64")
        check_cell_inputs(config, x, h, c)
        state = blank((*x.shape[:-1], config.hidden_size))
        return state, state if config.kind == "lstm" else None

    def linear(self, x):
        features = self.module.arguments["in_features"]
        require(x.ndim > 0 and x.shape[-1] == features, "from", f"{features} features (in_features)", x.shape)
        return blank((*x.shape[:-1], self.module.arguments["out_features"]))

    def gradients(self, lengths, x, h_0, c_0, **cotangents):
        x, h_0, c_0 = (None if a is None else blank(a.shape) for a in (x, h_0, c_0))
        config = self.module.layer_config("float64")
        check_inputs(config, x, h_0, c_0, lengths)
        check_cotangents(config, x, **{n: None if d is None else blank(d.shape) for n, d in cotangents.items()})
        given = {name: a for name, a in (("x", x), ("h_0", h_0), ("c_0", c_0)) if a is not None}
        return {name: blank(a.shape) for name, a in (given | dict(self.module.parameters)).items()}

    def refuse(self, step, arrays):
        """Raise ValueError if the documentation allows the call, which a backend must refuse."""
        try:
            self._check(step, {name: blank(a.shape) for name, a in arrays.items()}, step.get("other_dtype", ()))
        except ValueError:
            return
        raise ValueError("the documentation allows this call; only what it does not allow can be refused")

    def _check(self, step, arrays, other):
        module = self.module
        config, parameters = module.config("float64"), dict(module.parameters)
        config.validate()
        if "parameters" in other:
            parameters = module.loaded("float32")
        check_parameters(config, parameters)
        arrays = {name: a.astype("float32") if name in other else a for name, a in arrays.items()}
        if isinstance(config, CellConfig):
            check_cell_inputs(config, **arrays)
        else:
            check_inputs(config, **arrays, lengths=step.get("lengths"))


def blank(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of a shape that takes no memory."""
    return np.broadcast_to(np.float64(0), shape)


def run(program: Sequence[Mapping[str, Any]], arrays: Arrays, calls: Mapping[str, Any]) -> dict[str, Any]:
    """Run a program and return all named arrays; ``calls`` computes the modules, by name.

    The arrays may be any objects that behave like NumPy arrays.
    """
    values = dict(arrays)
    with np.errstate(all="ignore"):  # inputs may be NaN or infinite
        for step in program:
            values.update(perform(step, values, calls))
    return values


def perform(step: Mapping[str, Any], values: Arrays, calls: Mapping[str, Any]) -> dict[str, Any]:
    """Perform one step, whose operations cases/schema.json defines; return its results by name."""
    op, source = step["op"], step["from"]
    to: Any = step.get("to")
    if op in INPUTS:
        inputs = {name: values[source[name]] if name in source else None for name in INPUTS[op]}
    match op:
        case "layer":
            results = calls[step["module"]].layer(*inputs.values(), step.get("lengths"), step.get("seed"))
            return {name: results[FIELDS["layer"].index(field)] for field, name in to.items()}
        case "cell":
            results = calls[step["module"]].cell(*inputs.values())
            return {name: results[FIELDS["cell"].index(field)] for field, name in to.items()}
        case "gradients":
            results = calls[step["module"]].gradients(step.get("lengths"), **inputs)
            return {name: results[field] for field, name in to.items()}
        case "refuse":
            arrays = {name: values[array] for name, array in source.items()}
            return calls[step["module"]].refuse(step, arrays) or {}
        case "linear":
            return {to: calls[step["module"]].linear(values[source])}
        case "take":
            indices = step["indices"]
            indices = indices if isinstance(indices, int) else np.array(indices)
            return {to: values[source][(slice(None),) * step["axis"] + (indices,)]}
        case "stack":
            return {to: np.stack([values[name] for name in source])}
    raise ValueError(f"op: expected layer, cell, linear, take, stack, gradients or refuse, got {op!r}")


def oracle_calls(modules: Mapping[str, Module]) -> dict[str, OracleModule]:
    """Return the modules by name as the oracle computes them."""
    return {name: OracleModule(module) for name, module in modules.items()}


def changed(module: Module, change: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> Module:
    """Return a wrong module: ``module`` with other arguments, without some parameters, and with the given ones."""
    kept = {n: v for n, v in module.parameters.items() if n not in change.get("without", ())}
    arguments = {**module.arguments, **change.get("arguments", {})}
    return replace(module, arguments=arguments, parameters=kept | dict(given))


def names_in(named: str | list[str] | Mapping[str, str]) -> list[str]:
    """Return the names in a step's ``from`` or ``to``."""
    return [named] if isinstance(named, str) else list(named.values() if isinstance(named, Mapping) else named)
