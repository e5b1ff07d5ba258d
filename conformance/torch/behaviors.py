"""Experiments on a module that need torch's own interface: autograd, torch.func, autocast, state_dict, memory layouts.

``TorchLayer.torch_behavior`` makes one, on fresh modules, and returns what came as arrays. The suite's laws judge it.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.func import functional_call
from torch.nn.utils import parametrize

from conformance.torch.tensors import to_numpy, to_torch

Arrays: TypeAlias = dict[str, np.ndarray]
Groups: TypeAlias = dict[str, Arrays | None]
"""Results by what was done; None where torch raised an error that the documentation allows."""
Experiment: TypeAlias = Callable[["Bench"], Groups]

ARGUMENTS, COTANGENTS = ("x", "h_0", "c_0"), ("d_output", "d_h_n", "d_c_n")
PARAMETERS = "parameters"
EXPERIMENTS: dict[str, Experiment] = {}
MAX_FROZEN = 6  # parameters that are frozen one at a time


def named(name: str) -> Callable[[Experiment], Experiment]:
    """Store an experiment under its name."""

    def mark(experiment: Experiment) -> Experiment:
        EXPERIMENTS[name] = experiment
        return experiment

    return mark


class Bench:
    """The call of an experiment, and fresh layers for it. ``others`` are further arrays by the parameters' names."""

    def __init__(self, layer: Any, parameters: Arrays, arguments: Mapping[str, Any], others: Arrays | None) -> None:
        self.layer, self.parameters, self.others = layer, parameters, others or {}
        self.arguments = [arguments.get(name) for name in ARGUMENTS]
        self.lengths = arguments.get("lengths")
        self.cotangents = {name: arguments.get(name) for name in COTANGENTS}

    def fresh(self, parameters: Arrays | None = None, *, training: bool = False) -> Any:
        """Return a layer around a new module, in training mode as it was made or in inference mode."""
        layer = self.layer
        return type(layer)(layer.backend, layer.config, parameters or self.parameters, training=training)

    def around(self, module: Any, parameters: Arrays) -> Any:
        """Return the layer of a module that has these parameters."""
        backend, config = self.layer.backend, self.layer.config
        layer = type(self.layer).around(backend, config, module, backend.names.bind(module, config))
        layer.given = layer._kept(parameters)
        return layer

    @torch.no_grad()
    def result(
        self, layer: Any, *, of: Any = None, arrange: Callable[[Any], Any] = lambda a: a, context: Any = nullcontext
    ) -> Arrays:
        """Return the layer's results by name; of the module ``of`` in its place, with ``arrange`` of its arguments."""
        tensors = [None if a is None else arrange(layer._tensor(a)) for a in self.arguments]
        x, h_0, c_0 = self.arguments
        with layer._watched(x, self.lengths), context():
            parts = layer._called(layer.module if of is None else of, tensors, self.lengths)
        found = layer._filled(parts, x, h_0, c_0, self.lengths)._asdict()
        return {name: value for name, value in found.items() if value is not None}


class Pass:
    """A forward pass of a fresh module in training mode, and the graph that autograd recorded.

    ``without`` are the names of the arguments that require no gradient, and PARAMETERS; ``frozen`` is the number of one
    parameter that requires none.
    """

    def __init__(
        self,
        bench: Bench,
        without: tuple[str, ...] = (),
        frozen: int | None = None,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.bench, self.layer = bench, bench.fresh(training=True)
        self.bound = self.layer.bound
        for number, tensor in enumerate(self.bound.tensors):
            tensor.requires_grad_(PARAMETERS not in without and number != frozen)
        tensors = [self.layer._tensor(a) for a in bench.arguments]
        given = zip(ARGUMENTS, tensors, strict=True)
        self.leaves = {name: a.requires_grad_(name not in without) for name, a in given if a is not None}
        said = ", with gradients"
        with torch.enable_grad(), self.layer._watched(bench.arguments[0], bench.lengths, said), context():
            self.parts = self.layer._called(self.layer.module, tensors, bench.lengths)

    @property
    def wanted(self) -> list[Any]:
        """The tensors that require gradients: arguments, then parameters of the module."""
        return [tensor for tensor in (*self.leaves.values(), *self.bound.tensors) if tensor.requires_grad]

    def scalars(self, names: tuple[str, ...] = COTANGENTS) -> tuple[list[Any], list[Any]]:
        """Return the results that have one of these cotangents and a graph, and their cotangents as tensors."""
        device = self.layer.backend.environment.device
        pairs = [
            (y, to_torch(d, device).to(y.dtype))
            for name, y in zip(COTANGENTS, self.parts, strict=True)
            if name in names and (d := self.bench.cotangents[name]) is not None and y is not None and y.requires_grad
        ]
        return [y for y, _ in pairs], [d for _, d in pairs]

    def gradients(self, names: tuple[str, ...] = COTANGENTS) -> Arrays:
        """Return the gradients by the documented names that torch.autograd.grad finds; the graph remains."""
        outputs, d = self.scalars(names)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        with self.layer.backend.environment.entered():
            found = torch.autograd.grad(outputs, self.wanted, d, **options) if outputs else None
        return self.named([torch.zeros_like(a) for a in self.wanted] if found is None else found, names)

    def named(self, gradients: Any, names: tuple[str, ...] = COTANGENTS) -> Arrays:
        """Return gradients of ``wanted`` by the documented names, with the oracle's part of missing results."""
        left = iter(gradients)
        found = {name: to_numpy(next(left)) for name, a in self.leaves.items() if a.requires_grad}
        of_parameters = [next(left) if a.requires_grad else torch.full_like(a, torch.nan) for a in self.bound.tensors]
        every = {name: to_numpy(a) for name, a in self.bound.gradients(of_parameters).items()}
        found |= {name: a for name, a in every.items() if not np.isnan(a).any()}
        cotangents = [self.bench.cotangents[name] if name in names else None for name in COTANGENTS]
        return self.layer._with_missing(found, self.parts, cotangents, *self.bench.arguments, self.bench.lengths)

    def backward(self) -> None:
        """Accumulate into every ``.grad``; the graph remains."""
        outputs, d = self.scalars()
        with self.layer.backend.environment.entered():
            torch.autograd.backward(outputs, d, retain_graph=True)

    def accumulated(self) -> Arrays:
        """Return every ``.grad`` by the documented names."""
        return self.named([torch.zeros_like(a) if a.grad is None else a.grad.clone() for a in self.wanted])


# --- autograd ----------------------------------------------------------------------------------------


@named("subsets")
def subsets(bench: Bench) -> Groups:
    """Return the gradients where a part of arguments and parameters requires them, for every part."""
    every = [name for name, a in zip(ARGUMENTS, bench.arguments, strict=True) if a is not None] + [PARAMETERS]
    found: Groups = {}
    for size in range(1, len(every)):
        for chosen in combinations(every, size):
            without = tuple(name for name in every if name not in chosen)
            found[" and ".join(chosen)] = Pass(bench, without).gradients()
    return found


@named("frozen")
def frozen(bench: Bench) -> Groups:
    """Return the gradients where one parameter of the module requires none, for up to MAX_FROZEN of them."""
    count = len(bench.layer.bound.tensors)
    chosen = range(0, count, -(-count // MAX_FROZEN))
    return {f"parameter {number}": Pass(bench, frozen=number).gradients() for number in chosen}


@named("grad")
def grad_alone(bench: Bench) -> Groups:
    """Return every ``.grad`` after torch.autograd.grad: where it was None, and where it held sevens."""
    one = Pass(bench)
    tensors = one.leaves | dict(one.layer.module.named_parameters())
    one.gradients()
    appeared = {name: to_numpy(a.grad).copy() for name, a in tensors.items() if a.grad is not None}
    for a in tensors.values():
        a.grad = torch.full_like(a, 7)
    before = {name: to_numpy(a.grad).copy() for name, a in tensors.items()}
    one.gradients()
    after = {name: to_numpy(a.grad).copy() for name, a in tensors.items() if a.grad is not None}
    return {"appeared": appeared, "before": before, "after": after}


@named("accumulated")
def accumulated(bench: Bench) -> Groups:
    """Return every ``.grad`` after one call of backward, and after another one on the same graph."""
    one = Pass(bench)
    found: Groups = {}
    for name in ("once", "twice"):
        one.backward()
        found[name] = one.accumulated()
    return found


@named("in place")
def in_place(bench: Bench) -> Groups:
    """Return the gradients after each tensor, in turn, was changed in place since the forward pass; None for an error.

    A version counter shows such a change to autograd, which raises an error if it needs the old numbers.
    """
    found: Groups = {}
    names = _changeable(Pass(bench))
    for name in names:
        one = Pass(bench)
        try:
            with torch.no_grad():
                _changeable(one)[name].mul_(-0.5).add_(1)
            found[name] = one.gradients()
        except Exception:
            found[name] = None
    return found


def _changeable(one: Pass) -> dict[str, Any]:
    results = {name: part for name, part in one.parts._asdict().items() if part is not None}
    return one.leaves | dict(one.layer.module.named_parameters()) | results


@named("cotangents")
def cotangents(bench: Bench) -> Groups:
    """Return the gradients of one graph for each cotangent alone, and for all of them."""
    one = Pass(bench)
    given = [name for name in COTANGENTS if bench.cotangents[name] is not None]
    found: Groups = {name: one.gradients((name,)) for name in given}
    return found | {"all": one.gradients()}


@named("second")
def second(bench: Bench) -> Groups:
    """Return the gradients of sum(direction * gradient), the directions being ``others``; None for an error."""
    one = Pass(bench)
    if any(y is None and bench.cotangents[name] is not None for name, y in zip(COTANGENTS, one.parts, strict=True)):
        return {}  # the oracle's part of the gradients has no graph
    directions = [one.layer._tensor(bench.others[name]) for name in one.leaves]
    directions += bench.fresh({name: bench.others[name] for name in bench.parameters}).bound.tensors
    try:
        with one.layer.backend.environment.entered(), torch.enable_grad():
            outputs, d = one.scalars()
            d = [a.requires_grad_() for a in d]  # as gradgradcheck does: once_differentiable raises for these alone
            options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
            first = torch.autograd.grad(outputs, one.wanted, d, **options)
            scalar = sum((g * v.detach()).sum() for g, v in zip(first, directions, strict=True))
            torch.autograd.backward(scalar)  # torch.autograd.grad would not reach the node that raises the error
    except Exception:
        return {"second": None}
    return {"second": one.accumulated()}


# --- parameters --------------------------------------------------------------------------------------


class Whole(torch.nn.Module):
    """A module around the module of a layer, which calls it as the layer does."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.inner, self.layer_call = layer.module, layer._call

    def forward(self, *arguments: Any) -> Any:
        """Return what the inner module returns for x, h_0, c_0 and lengths."""
        return self.layer_call(self.inner, *arguments)


@named("functional")
def functional(bench: Bench) -> Groups:
    """Return the results of functional_call with ``others``, and then those of the module itself."""
    one, other = bench.fresh(), bench.fresh(bench.others)
    tensors = [other._tensor(a) for a in bench.arguments]
    values = {**dict(other.module.named_parameters()), **dict(other.module.named_buffers())}
    given = {f"inner.{name}": value for name, value in values.items()}
    environment, x = other.backend.environment, bench.arguments[0]
    with torch.no_grad(), other._watched(x, bench.lengths), environment.entered():
        returned = functional_call(Whole(one), given, (*tensors, bench.lengths))
        parts = other._taken(returned, tensors[0], bench.lengths)
    found = other._filled(parts, *bench.arguments, bench.lengths)._asdict()
    return {"others": {name: a for name, a in found.items() if a is not None}, "own": bench.result(one)}


class Halved(torch.nn.Module):
    """A parametrization: the parameter times -0.5, which is exact."""

    def forward(self, original: Any) -> Any:
        """Return the tensor that takes the parameter's place."""
        return original * -0.5


@named("parametrized")
def parametrized(bench: Bench) -> Groups:
    """Return the results of a module whose parameters are all halved; ``others`` are these.

    Nothing where a parameter belongs to a ParameterDict or ParameterList, which take no parametrization.
    """
    one, other = bench.fresh(), bench.fresh(bench.others)
    owners = [module for module in one.module.modules() if module._parameters]
    if any(isinstance(owner, (torch.nn.ParameterDict, torch.nn.ParameterList)) for owner in owners):
        return {}
    for owner in owners:
        for name in [name for name, a in owner._parameters.items() if a is not None]:
            parametrize.register_parametrization(owner, name, Halved())
    return {"others": bench.result(other, of=one.module)}


@named("state_dict")
def state_dict(bench: Bench) -> Groups:
    """Return the results of another module after it loaded the state_dict, which was saved and read."""
    one, other = bench.fresh(), bench.fresh(bench.others)
    bench.result(one)
    file = io.BytesIO()
    torch.save(one.module.state_dict(), file)
    file.seek(0)
    other.module.load_state_dict(torch.load(file))
    other.given = one.given
    return {"loaded": bench.result(other)}


@named("deepcopy")
def deepcopied(bench: Bench) -> Groups:
    """Return the results of a copy, then of both after the copy, and then the original, got ``others``."""
    one = bench.fresh()
    bench.result(one)
    other = bench.around(copy.deepcopy(one.module), bench.parameters)
    found: Groups = {"copy": bench.result(other)}
    other.load(bench.others)
    found |= {"copy with others": bench.result(other), "original": bench.result(one)}
    other.load(bench.parameters)
    one.load(bench.others)
    return found | {"original with others": bench.result(one), "copy again": bench.result(other)}


@named("modes")
def modes(bench: Bench) -> Groups:
    """Return the results of a new module in training mode, in inference mode, and in both again."""
    one = bench.fresh(training=True)
    found: Groups = {}
    for name, training in (("training", True), ("inference", False), ("training again", True), ("again", False)):
        one.module.train(training)
        found[name] = bench.result(one)
    return found


# --- memory and precision ----------------------------------------------------------------------------


def layouts() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield the ways to lay out a tensor's numbers in memory."""
    yield "transposed", lambda a: a.permute(*reversed(range(a.dim()))).contiguous().permute(*reversed(range(a.dim())))
    yield "every second", lambda a: torch.stack([a, torch.full_like(a, torch.nan)], -1)[..., 0]
    yield "offset", lambda a: torch.cat([a.new_full((3,), torch.nan), a.flatten()])[3:].view(a.shape)
    yield "expanded", _expanded


def _expanded(a: Any) -> Any:
    """Give stride 0 to each axis along which all numbers are the same."""
    for axis in range(a.dim()):
        first = a.narrow(axis, 0, 1)
        if torch.equal(first.expand_as(a), a):
            a = first.expand_as(a)
    return a


@named("views of arguments")
def views_of_arguments(bench: Bench) -> Groups:
    """Return the results for arguments in every memory layout."""
    one = bench.fresh()
    return {how: bench.result(one, arrange=arrange) for how, arrange in layouts()}


@named("views of weights")
def views_of_weights(bench: Bench) -> Groups:
    """Return the results for parameters in every memory layout, which load_state_dict(assign=True) gives them."""
    found: Groups = {}
    for how, arrange in layouts():
        one = bench.fresh()
        state = {name: arrange(a.detach()) for name, a in one.module.named_parameters()}
        one.module.load_state_dict(state, strict=False, assign=True)
        found[how] = bench.result(one)
    return found


def _autocast(bench: Bench) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: torch.autocast(bench.layer.backend.environment.kind, torch.bfloat16)


@named("autocast")
def autocast(bench: Bench) -> Groups:
    """Return the results under autocast to bfloat16."""
    return {"autocast": bench.result(bench.fresh(), context=_autocast(bench))}


@named("autocast gradients")
def autocast_gradients(bench: Bench) -> Groups:
    """Return the gradients of a forward pass under autocast to bfloat16."""
    return {"autocast": Pass(bench, context=_autocast(bench)).gradients()}
