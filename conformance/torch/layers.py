"""A layer of the suite around a module of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import reference.gradients
from conformance.backend import Layer, LayerConfig, Result
from conformance.backwards import COTANGENTS
from conformance.torch.behaviors import EXPERIMENTS, Bench
from conformance.torch.names import Bound
from conformance.torch.returned import STATE, Parts, last_of, parts_of
from conformance.torch.tensors import argument, gradients_of, to_numpy, to_torch
from reference.config import numpy_dtype
from reference.layers import check_inputs, forward

Arrays: TypeAlias = dict[str, np.ndarray]
TorchBackend: TypeAlias = Any
"""The class of ``conformance.torch.backend``, which imports this module."""


class TorchLayer(Layer):
    """A module of torch as a layer. Subclasses may make and call the module in another way."""

    def __init__(
        self,
        backend: TorchBackend,
        config: LayerConfig,
        parameters: Mapping[str, np.ndarray],
        *,
        training: bool = False,
    ) -> None:
        self.backend, self.config = backend, config
        self.given = self._kept(parameters)
        self.module, self.bound = backend.module(config, training=training)
        self._put(self.bound, parameters)

    def _kept(self, parameters: Mapping[str, np.ndarray]) -> Arrays:
        """Return the parameters for the oracle, which computes what the module does not give."""
        dtype = numpy_dtype(self.config.dtype)
        return {name: value.astype(dtype) for name, value in parameters.items()} if self.backend.missing else {}

    def _put(self, bound: Bound, parameters: Mapping[str, np.ndarray]) -> None:
        with self.backend.environment.entered():
            bound.put({name: self._tensor(value) for name, value in parameters.items()})

    @classmethod
    def around(cls, backend: TorchBackend, config: LayerConfig, module: Any, bound: Bound) -> TorchLayer:
        """Return the layer of a module that is built, with its own parameters."""
        layer = cls.__new__(cls)
        layer.backend, layer.config, layer.module, layer.bound, layer.given = backend, config, module, bound, {}
        return layer

    @classmethod
    def initial(cls, backend: TorchBackend, config: LayerConfig) -> Arrays:
        """Return the parameters of a new module by torch.nn's names."""
        _, bound = backend.module(config)
        return {name: to_numpy(value).copy() for name, value in bound.take().items()}

    # --- forward --------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Result:
        """Call the module and return its results; the oracle computes missing ones."""
        self._check(x, h_0, c_0, lengths)
        tensors = [self._argument(a) for a in (x, h_0, c_0)]
        with self._watched(x, lengths):
            parts = self._called(self.module, tensors, lengths)
        return self._filled(parts, x, h_0, c_0, lengths)

    def forward_training(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
        *,
        seed: int,
    ) -> Result:
        """Call the module in training mode, its masks drawn from the seed."""
        self.backend.refuse("dropout", self.config.kind)
        with self.backend.environment.seeded(seed):
            self.module.train()
            try:
                return self.forward(x, h_0, c_0, lengths)
            finally:
                self.module.eval()

    def _check(self, x: Any, h_0: Any, c_0: Any, lengths: Any) -> None:
        """Refuse unclaimed features. Raises ValueError for invalid arguments that the module never sees."""
        backend = self.backend
        if backend.checks or (backend.checks is None and lengths is not None and self._packs):
            check_inputs(self.config, x, h_0, c_0, lengths)
        if c_0 is not None and self.config.kind != "lstm":
            raise ValueError(f"{self.config.kind} has no cell state, c_0 was given")
        backend.refuse("unbatched", self.config.kind, x.ndim == 2)
        backend.refuse("initial_state", self.config.kind, h_0 is not None or c_0 is not None)
        backend.refuse("lengths", self.config.kind, lengths is not None)

    def _watched(self, x: np.ndarray, lengths: Any, what: str = "") -> AbstractContextManager[Any]:
        if self.backend.proof is None:
            return nullcontext()
        packed = "no lengths" if lengths is None else "packed input" if self._packs else "lengths"
        said = f"{self.config.kind}, {x.dtype}, {packed}{what}"
        return self.backend.proof.watched(said)

    @property
    def _packs(self) -> bool:
        return not self.backend.call and not self.backend.manner.forward.lengths

    def _tensor(self, array: np.ndarray | None) -> Any:
        return to_torch(array, self.backend.environment.device)

    def _argument(self, array: np.ndarray | None) -> Any:
        return argument(array, self.backend.environment.device)

    def _called(self, module: Any, arguments: Sequence[Any], lengths: Any) -> Parts:
        """Call a module in the surroundings; return output, h_n and c_n as tensors, None for a missing one."""
        with self.backend.environment.entered():
            x, h_0, c_0 = arguments
            return self._taken(self._call(module, x, h_0, c_0, lengths), x, lengths)

    def raw(self, x: Any, lengths: Any = None) -> Any:
        """Return what the module returns for x without states."""
        return self._call(self.module, x, None, None, lengths)

    def fits(self, x: Any, returned: Any, lengths: Any) -> bool:
        """Return whether what the module returned for x, without states, has the documented shapes."""
        parts = self._taken(returned, x, lengths)
        shapes = self._shapes(x)
        return all(part is None or tuple(part.shape) == shapes[name] for name, part in parts._asdict().items())

    def _shapes(self, x: Any) -> dict[str, tuple[int, ...]]:
        config = self.config
        batch = () if x.ndim == 2 else (x.shape[0 if config.batch_first else 1],)
        rows = (config.num_layers * config.directions, *batch)
        return {
            "output": (*x.shape[:-1], config.directions * config.output_size),
            "h_n": (*rows, config.output_size),
            "c_n": (*rows, config.hidden_size),
        }

    # --- the call -------------------------------------------------------------------------------------

    def _flips(self, x: Any) -> bool:
        """Return whether the module has another order of steps and samples than the configuration."""
        return x.dim() == 3 and self._first != self.config.batch_first

    def _call(self, module: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        """Call the module in its own order of axes and return what it returns."""
        if self._flips(x):
            x = x.transpose(0, 1)
        states = self._states(x, h_0, c_0)
        if self.backend.call is not None:
            return self.backend.call(module, x, states, None if lengths is None else torch.as_tensor(lengths))
        if lengths is None:
            return self._call_module(module, x, states)
        if name := self.backend.manner.forward.lengths:
            return self._call_module(module, x, states, **{name: torch.as_tensor(lengths)})
        return self._call_packed(module, x, states, torch.as_tensor(lengths))

    def _states(self, x: Any, h_0: Any, c_0: Any) -> Any:
        """Return the states in torch's form: a pair for lstm, None if omitted."""
        lstm = self.config.kind == "lstm"
        if h_0 is None and c_0 is None and self.backend.manner.forward.required:
            shapes = self._shapes(x.transpose(0, 1) if self._flips(x) else x)
            h_0 = x.new_zeros(shapes["h_n"])
            c_0 = x.new_zeros(shapes["c_n"]) if lstm else None
        if lstm:
            return None if h_0 is None and c_0 is None else (h_0, c_0)
        return h_0

    @property
    def _first(self) -> bool:
        """Whether the module takes (N, T, I)."""
        first = self.backend.manner.batches_first
        return self.config.batch_first if first is None else first

    def _call_module(self, module: Any, x: Any, states: Any, **keywords: Any) -> Any:
        if states is None:
            return module(x, **keywords)
        if self.backend.manner.forward.apart and isinstance(states, tuple):
            return module(x, *states, **keywords)
        return module(x, states, **keywords)

    def _call_packed(self, module: Any, x: Any, states: Any, lengths: Any) -> Any:
        layout = {"batch_first": self._first}
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False, **layout)
        return self._call_module(module, packed, states)

    def _taken(self, returned: Any, x: Any, lengths: Any) -> Parts:
        """Return the parts of a module's return value, in the configuration's order of axes."""
        manner, config, first = self.backend.manner, self.config, self._first
        if lengths is not None:
            returned = self._padded(returned, x, first)
        output, h_n, c_n = parts_of(returned, manner.returns, config.kind)
        unbatched = x.dim() == 2
        if h_n is None and config.num_layers == 1:
            by_time = output if unbatched or not first else output.transpose(0, 1)
            h_n = last_of(by_time, config, lengths, unbatched)
        if manner.returns == STATE and h_n.dim() == (1 if unbatched else 2):
            h_n = h_n.unsqueeze(0)
        if output is not None and self._flips(x):
            output = output.transpose(0, 1)
        return Parts(output, h_n, c_n)

    def _padded(self, returned: Any, x: Any, first: bool) -> Any:
        """Return the return value for packed input with a padded output."""
        alone = isinstance(returned, PackedSequence)
        output = returned if alone else returned[0] if isinstance(returned, (tuple, list)) else returned
        if not isinstance(output, PackedSequence):
            return returned
        steps = x.shape[1 if self.config.batch_first else 0]
        output, _ = pad_packed_sequence(output, batch_first=first, total_length=steps)
        return output if alone else (output, *returned[1:])

    def _filled(self, parts: Parts, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Result:
        """Return a Result of arrays. The oracle computes missing ones, so that they are not compared."""
        found = {name: to_numpy(part) for name, part in parts._asdict().items()}
        wanted = ["output", "h_n", "c_n"][: 3 if self.config.kind == "lstm" else 2]
        if lacking := [name for name in wanted if found[name] is None]:
            dtype = numpy_dtype(self.config.dtype)
            try:
                right = forward(self.config, self.given, x, h_0, c_0, lengths)._asdict()
            except ValueError:  # the module accepted what it should refuse
                right = {name: np.zeros(shape) for name, shape in self._shapes(x).items()}
            with np.errstate(over="ignore"):
                found |= {name: right[name].astype(dtype) for name in lacking}
        return Result(found["output"], found["h_n"], found["c_n"])

    # --- gradients ------------------------------------------------------------------------------------

    @cached_property
    def _undropping(self) -> tuple[Any, Bound]:
        """A module in training mode without dropout: cuDNN has no backward pass in inference mode."""
        module, bound = self.backend.module(replace(self.config, dropout=0.0))
        with self.backend.environment.entered(), torch.no_grad():
            for mine, its in zip(bound.tensors, self.bound.tensors, strict=True):
                mine.copy_(its)
        return module.train(), bound

    def gradients(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        lengths: Sequence[int] | None,
        d_output: np.ndarray | None,
        d_h_n: np.ndarray | None,
        d_c_n: np.ndarray | None,
    ) -> Arrays:
        """Return the gradients that autograd finds; the oracle adds the part of missing results."""
        claim, cotangents = "gradients", (d_output, d_h_n, d_c_n)
        self.backend.refuse(claim, self.config.kind)
        return self._differentiated(claim, *self._undropping, x, h_0, c_0, lengths, cotangents)[1]

    def gradients_training(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        lengths: Sequence[int] | None,
        d_output: np.ndarray | None,
        d_h_n: np.ndarray | None,
        d_c_n: np.ndarray | None,
        *,
        seed: int,
    ) -> tuple[Result, Arrays]:
        """Return the result of a call in training mode and its gradients, under masks drawn from the seed."""
        claim, cotangents = "training_gradients", (d_output, d_h_n, d_c_n)
        self.backend.refuse(claim, self.config.kind)
        with self.backend.environment.seeded(seed):
            self.module.train()
            try:
                return self._differentiated(claim, self.module, self.bound, x, h_0, c_0, lengths, cotangents)
            finally:
                self.module.eval()

    def _differentiated(
        self, claim: str, module: Any, bound: Bound, x: Any, h_0: Any, c_0: Any, lengths: Any, cotangents: Sequence[Any]
    ) -> tuple[Result, Arrays]:
        backend, kind = self.backend, self.config.kind
        self._check(x, h_0, c_0, lengths)
        backend.refuse_cotangents(kind, dict(zip(COTANGENTS, cotangents, strict=True)))
        arguments = {"x": self._argument(x), "h_0": self._argument(h_0), "c_0": self._argument(c_0)}
        given = {
            name: a for name, a in arguments.items() if a is not None and backend.differentiates(claim, kind, name)
        }
        for a in given.values():
            a.requires_grad_()
        with torch.enable_grad():
            with self._watched(x, lengths, ", with gradients"):
                parts = self._called(module, list(arguments.values()), lengths)
            gradients = gradients_of(parts, cotangents, given, bound, backend.environment)
        gradients = self._with_missing(gradients, parts, cotangents, x, h_0, c_0, lengths)
        with torch.no_grad():
            return self._filled(parts, x, h_0, c_0, lengths), gradients

    def _with_missing(self, gradients: Arrays, parts: Parts, cotangents: Sequence[Any], *arguments: Any) -> Arrays:
        """Add what the oracle computes for the cotangents of missing results."""
        lacking = [None if y is not None else d for y, d in zip(parts, cotangents, strict=True)]
        if all(d is None for d in lacking):
            return gradients
        right = reference.gradients.gradients(self.config, self.given, *arguments, *lacking)
        with np.errstate(over="ignore", invalid="ignore"):
            return {n: (a.astype(np.float64) + right[n]).astype(a.dtype) for n, a in gradients.items()}

    def torch_behavior(
        self,
        name: str,
        parameters: Mapping[str, np.ndarray],
        arguments: Mapping[str, Any],
        others: Mapping[str, np.ndarray] | None = None,
    ) -> Mapping[str, Mapping[str, np.ndarray] | None]:
        """Make an experiment of ``conformance.torch.behaviors`` with fresh modules."""
        self.backend.refuse("torch_behaviors", self.config.kind)
        self._check(*(arguments.get(argument) for argument in ("x", "h_0", "c_0", "lengths")))
        return EXPERIMENTS[name](Bench(self, dict(parameters), arguments, dict(others or {})))

    # --- parameters -----------------------------------------------------------------------------------

    def parameters(self) -> Arrays:
        """Return copies of the module's parameters by torch.nn's names."""
        self.backend.refuse("parameters", self.config.kind)
        return {name: to_numpy(value).copy() for name, value in self.bound.take().items()}

    def load(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Exchange the module's parameters in place."""
        self.backend.refuse("parameters_set", self.config.kind)
        self._put(self.bound, parameters)
        self.given = self._kept(parameters)
        if "_undropping" in vars(self):
            self._put(self._undropping[1], parameters)
