"""A cell of the suite around a module of torch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import numpy as np
import torch

from conformance.backend import Cell, CellConfig
from conformance.torch.names import Bound
from conformance.torch.returned import OUTPUT_H
from conformance.torch.tensors import argument, gradients_of, to_numpy, to_torch
from reference.config import numpy_dtype
from reference.layers import check_cell_inputs, step

Arrays: TypeAlias = dict[str, np.ndarray]
TorchBackend: TypeAlias = Any
"""The class of ``conformance.torch.backend``, which imports this module."""


class TorchCell(Cell):
    """A module of torch as a cell."""

    def __init__(self, backend: TorchBackend, config: CellConfig, parameters: Mapping[str, np.ndarray]) -> None:
        self.backend, self.config = backend, config
        self.given = {name: value.astype(numpy_dtype(config.dtype)) for name, value in parameters.items()}
        self.module, self.bound = backend.module(config)
        with backend.environment.entered():
            self.bound.put({name: self._tensor(value) for name, value in parameters.items()})

    @classmethod
    def around(cls, backend: TorchBackend, config: CellConfig, module: Any, bound: Bound) -> TorchCell:
        """Return the cell of a module that is built, with its own parameters."""
        cell = cls.__new__(cls)
        cell.backend, cell.config, cell.module, cell.bound, cell.given = backend, config, module, bound, {}
        return cell

    @torch.no_grad()
    def step(
        self, x: np.ndarray, h: np.ndarray | None = None, c: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Call the module and return the new states; the oracle computes a missing one."""
        self._check(x, h, c)
        with self._watched(x):
            states = self._called(*(self._argument(a) for a in (x, h, c)))
        return self._filled(states, x, h, c)

    def gradients(
        self,
        x: np.ndarray,
        h: np.ndarray | None,
        c: np.ndarray | None,
        d_h: np.ndarray | None,
        d_c: np.ndarray | None,
    ) -> Arrays:
        """Return the gradients of sum(d_h * h') + sum(d_c * c') that autograd finds."""
        self.backend.refuse("cell_gradients", self.config.kind)
        self._check(x, h, c)
        backend, kind = self.backend, self.config.kind
        backend.refuse_cotangents(kind, {"d_h": d_h, "d_c": d_c})
        arguments = {"x": self._argument(x), "h": self._argument(h), "c": self._argument(c)}
        of = (name for name, a in arguments.items() if a is not None)
        given = {
            name: arguments[name].requires_grad_()
            for name in of
            if backend.differentiates("cell_gradients", kind, name)
        }
        with torch.enable_grad():
            with self._watched(x, ", with gradients"):
                states = self._called(*arguments.values())
            return gradients_of(states, (d_h, d_c), given, self.bound, self.backend.environment)

    def _check(self, x: Any, h: Any, c: Any) -> None:
        if self.backend.checks:
            check_cell_inputs(self.config, x, h, c)
        if c is not None and self.config.kind != "lstm":
            raise ValueError(f"{self.config.kind} has no cell state, c was given")
        self.backend.refuse("unbatched", self.config.kind, x.ndim == 1)
        self.backend.refuse("initial_state", self.config.kind, h is not None or c is not None)

    def _watched(self, x: np.ndarray, what: str = "") -> AbstractContextManager[Any]:
        if self.backend.proof is None:
            return nullcontext()
        return self.backend.proof.watched(f"{self.config.kind} cell, {x.dtype}{what}")

    def _tensor(self, array: np.ndarray | None) -> Any:
        return to_torch(array, self.backend.environment.device)

    def _argument(self, array: np.ndarray | None) -> Any:
        return argument(array, self.backend.environment.device)

    def _called(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """Call the module in the surroundings; return h and c, None for a missing one."""
        with self.backend.environment.entered():
            return self._taken(self._call(x, h, c))

    def raw(self, x: Any, lengths: Any = None) -> Any:
        """Return what the module returns for x without states."""
        return self._call(x, None, None)

    def fits(self, x: Any, returned: Any, lengths: Any) -> bool:
        """Return whether what the module returned has the documented shapes."""
        shape = (*x.shape[:-1], self.config.hidden_size)
        return all(state is None or tuple(state.shape) == shape for state in self._taken(returned))

    def _call(self, x: Any, h: Any, c: Any) -> Any:
        lstm, forward = self.config.kind == "lstm", self.backend.manner.forward
        if h is None and c is None and forward.required:
            h = x.new_zeros((*x.shape[:-1], self.config.hidden_size))
            c = torch.zeros_like(h) if lstm else None
        states = (None if h is None and c is None else (h, c)) if lstm else h
        if self.backend.call is not None:
            return self.backend.call(self.module, x, states, None)
        return self._call_module(x, states)

    def _call_module(self, x: Any, states: Any) -> Any:
        if states is None:
            return self.module(x)
        if self.backend.manner.forward.apart and isinstance(states, tuple):
            return self.module(x, *states)
        return self.module(x, states)

    def _taken(self, returned: Any) -> tuple[Any, Any]:
        if self.config.kind != "lstm":
            if isinstance(returned, (tuple, list)) and len(returned) == 1:
                (returned,) = returned
            if not torch.is_tensor(returned):
                raise TypeError(f"the cell returned {type(returned).__name__}, expected the new state")
            return returned, None
        if self.backend.manner.returns == OUTPUT_H and torch.is_tensor(returned):
            return returned, None
        if not isinstance(returned, (tuple, list)) or len(returned) not in (2, 3):
            raise TypeError(f"the cell returned {type(returned).__name__}, expected (h, c)")
        if len(returned) == 3 or not torch.is_tensor(returned[1]):  # (output, h, c) or (output, (h, c))
            returned = returned[1] if len(returned) == 2 else returned[1:]
        return returned[0], returned[1]

    def _filled(self, states: tuple[Any, Any], x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        new_h, new_c = (to_numpy(state) for state in states)
        if new_c is None and self.config.kind == "lstm":
            try:
                new_c = step(self.config, self.given, x, h, c)[1]
            except ValueError:  # the module accepted what it should refuse
                new_c = np.zeros(new_h.shape)
            assert new_c is not None
            new_c = new_c.astype(numpy_dtype(self.config.dtype))
        return new_h, new_c
