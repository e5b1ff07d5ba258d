"""The oracle with exchanged parts: the base of every fault and of the right implementations that round otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from threading import RLock
from unittest import mock

import numpy as np

import reference
from conformance.backend import Features, Result, Unsupported
from conformance.backends.oracle import OracleBackend, OracleCell, OracleLayer, OracleReverseLayer
from conformance.backwards import refused_cotangent
from reference import cells, gradients, layers
from reference.dialects import speaking

EXCHANGING = RLock()  # held while a part of the oracle is exchanged, so that other threads wait
CLAIMS = {"cells": True, "parameters": True, "gradients": True, "output": ("all", "last")}


@dataclass(frozen=True, kw_only=True)
class Change:
    """The exchanged parts of an oracle; a part that is None stays as it is.

    A part that takes a layer or a cell may call its ``plain``, the same call without that part.
    """

    load: Callable | None = None  # (config, parameters) -> the parameters to use
    adjoint: Callable | None = None  # (config, gradients) -> gradients: the transpose of a linear load
    arguments: Callable | None = None  # (layer, x, h_0, c_0, lengths) -> the four arguments to use
    equation: Mapping[str, Callable] = field(default_factory=dict)  # by kind, as in reference.cells
    cotangents: Mapping[str, Callable] = field(default_factory=dict)  # by kind; derived from the equation if missing
    direction: Callable | None = None  # (go, kind, weights, inputs, h, c, running, reverse); go: the oracle's function
    forward: Callable | None = None  # (layer, x, h_0, c_0, lengths) -> Result
    result: Callable | None = None  # (layer, result, lengths) -> Result
    step: Callable | None = None  # (cell, x, h, c) -> (h, c)
    gradients: Callable | None = None  # (layer, arguments by name) -> gradients by name
    train: Callable | None = None  # (layer, x, h_0, c_0, lengths, seed) -> Result
    masks: Callable | None = None  # (layer, masks, seed) -> masks
    dropped: Callable | None = None  # (config, x, mask) -> the next layer's input
    initial: Callable | None = None  # (config, parameters, seed) -> parameters
    read: Callable | None = None  # (parameters) -> the parameters to read back
    kept: Callable | None = None  # (layer, parameters) -> the parameters to read back, by the layer's memory
    accept: Callable | None = None  # (config, parameters) -> valid ones
    renew: Callable | None = None  # (layer, parameters): exchange the parameters; may call ``layer.plain_load``
    cell_gradients: Callable | None = None  # (cell, arguments by name) -> gradients by name
    reversed: Callable | None = None  # (layer, x, h_0, c_0, lengths) -> Result of the reverse direction alone
    masked: Callable | None = None  # (layer, x, h_0, c_0, mask) -> Result
    last: Callable | None = None  # (layer, x, h_0, c_0, lengths) -> Result with the last output alone
    stateful: Callable | None = None  # (layer, x, lengths) -> Result
    reset: Callable | None = None  # (layer): forget the states
    train_gradients: Callable | None = None  # (layer, arguments by name, seed) -> (Result, gradients by name)

    def __post_init__(self) -> None:
        derived = {
            kind: numeric_cotangents(kind, f) for kind, f in self.equation.items() if kind not in self.cotangents
        }
        object.__setattr__(self, "cotangents", {**self.cotangents, **derived})

    @property
    def parts(self) -> frozenset[str]:
        """The names of the exchanged parts."""
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) not in (None, {}))

    @property
    def differentiated(self) -> bool:
        """Whether the gradients match the changed function, or are themselves the changed part."""
        others = {"adjoint", "cotangents", "step", "read", "kept", "renew", "cell_gradients", "train_gradients"}
        forwards = self.parts - others - {"reversed", "masked", "last", "stateful", "reset"}
        return (
            "gradients" in forwards or forwards <= {"equation"} or (forwards == {"load"} and self.adjoint is not None)
        )


class Changed(OracleBackend):
    """A changed oracle, or a changed ``inner``. It refuses unclaimed features unless ``refuse`` is False."""

    version = "test"

    def __init__(self, name, change, *, kinds=reference.KINDS, dtypes=reference.DTYPES, inner=None, refuse=True,
                 **claims):  # fmt: skip
        self.name, self.change, self.refuse = name, change, refuse
        self.inner = inner or OracleBackend()
        self.features = Features(kinds=kinds, dtypes=dtypes, **CLAIMS | claims)

    def layer(self, config, parameters):
        self._refuse_unclaimed(config)
        if self.change.accept:
            config, parameters = self.change.accept(config, parameters)
        return ChangedLayer(self, config, parameters)

    def reverse_layer(self, config, parameters):
        if self.refuse and not self.features.of(config.kind).reverse_alone:
            raise Unsupported("there is no reverse direction alone")
        self._refuse_unclaimed(config)
        return ChangedReverseLayer(self, config, parameters)

    def cell(self, config, parameters):
        self._refuse_unclaimed(config)
        if self.change.accept:
            config, parameters = self.change.accept(config, parameters)
        return ChangedCell(self, config, parameters)

    def initial_parameters(self, config, *, seed):
        given = super().initial_parameters(config, seed=seed)
        return self.change.initial(config, given, seed) if self.change.initial else given

    def _refuse_unclaimed(self, config):
        claims = self.features.of(config.kind)
        asked = {
            "multilayer": getattr(config, "num_layers", 1) > 1,
            "bidirectional": getattr(config, "bidirectional", False),
            "no_bias": not config.bias,
            "batch_first": getattr(config, "batch_first", False),
            "projection": getattr(config, "proj_size", 0) > 0,
            "cells": isinstance(config, reference.CellConfig),
        }
        unclaimed = [name for name, used in asked.items() if used and not claims.claims(name)]
        if self.refuse and (unclaimed or config.kind not in claims.kinds or config.dtype not in claims.dtypes):
            raise Unsupported(f"not claimed: {config}")

    def refuse_cotangents(self, kind, given):
        """Raise Unsupported for a cotangent that is not claimed."""
        if self.refuse and (said := refused_cotangent(self.features.of(kind), kind, given)):
            raise Unsupported(said)

    @contextmanager
    def exchanged(self, backwards=False):
        """Exchange the oracle's equations inside this context, and its directions if not ``backwards``."""
        change = self.change
        with EXCHANGING, mock.patch.dict(cells.EQUATIONS, change.equation):
            if backwards:
                with mock.patch.dict(gradients.COTANGENTS, change.cotangents):
                    yield
            elif change.direction:
                go = layers._direction
                with mock.patch.object(layers, "_direction", lambda *a, **more: change.direction(go, *a, **more)):
                    yield
            else:
                yield


class Speaking(Changed):
    """The oracle in other dialects than the ones in force; with none, PyTorch's own equations."""

    def __init__(self, spoken, **claims):
        super().__init__("speaking", Change(), **{"cell_gradients": True, "training_gradients": True} | claims)
        self.spoken = {kind: names for kind, names in spoken.items() if names}

    @contextmanager
    def exchanged(self, backwards=False):
        with super().exchanged(backwards), speaking(self.spoken):
            yield


class ChangedLayer(OracleLayer):
    """A layer of a changed oracle; ``given`` holds the parameters that it uses, ``memory`` lasts between calls."""

    def __init__(self, backend, config, parameters):
        super().__init__(config, parameters)
        load = backend.change.load
        self.backend, self.memory = backend, {}
        self.given = load(config, self._parameters) if load else self._parameters
        self.inner = backend.inner.layer(config, self.given)

    @property
    def claims(self):
        """The backend's claims for this kind."""
        return self.backend.features.of(self.config.kind)

    def plain(self, x, h_0=None, c_0=None, lengths=None):
        """Compute the forward pass without the changed ``forward`` and ``result``."""
        if self.backend.change.arguments:
            x, h_0, c_0, lengths = self.backend.change.arguments(self, x, h_0, c_0, lengths)
        with self.backend.exchanged():
            return self.inner.forward(x, h_0, c_0, lengths)

    def plain_of(self, config, parameters, *arguments):
        """Compute ``plain`` of a layer of another configuration with these parameters."""
        with self.backend.exchanged():
            return self.backend.inner.layer(config, parameters).forward(*arguments)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        self._refuse_unclaimed("all", x, h_0, lengths)
        return self.every_step(x, h_0, c_0, lengths)

    def _refuse_unclaimed(self, output, x, h_0, lengths):
        given = {"unbatched": x.ndim == 2, "initial_state": h_0 is not None, "lengths": lengths is not None}
        asked = {f"output.{output}", *(name for name, used in given.items() if used)}
        if self.backend.refuse and not all(map(self.claims.claims, asked)):
            raise Unsupported(f"not all claimed: {', '.join(sorted(asked))}")

    def every_step(self, x, h_0=None, c_0=None, lengths=None):
        """Compute the forward pass with every change."""
        change = self.backend.change
        got = change.forward(self, x, h_0, c_0, lengths) if change.forward else self.plain(x, h_0, c_0, lengths)
        return change.result(self, got, lengths) if change.result else got

    def backward(self, arguments):
        """Compute the gradients without the changed ``gradients``; takes and returns arrays by name."""
        change = self.backend.change
        if change.arguments:
            call = ("x", "h_0", "c_0", "lengths")
            used = change.arguments(self, *(arguments[name] for name in call))
            arguments = arguments | dict(zip(call, used, strict=True))
        with self.backend.exchanged(backwards=True):
            d = self.inner.gradients(**arguments)
        return change.adjoint(self.config, d) if change.adjoint else d

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        states = {"h_0": h_0, "c_0": c_0}
        arguments = {"x": x} | states | {"lengths": lengths} | cotangents
        if self.backend.refuse and not self.claims.gradients:
            raise Unsupported("gradients are not computed")
        self.backend.refuse_cotangents(self.config.kind, cotangents)
        if self.backend.change.gradients:
            return self.backend.change.gradients(self, arguments)
        d = self.backward(arguments)
        unused = {name: np.zeros_like(s) for name, s in states.items() if s is not None and name not in d}
        return {name: a for name, a in d.items() if name not in states or states[name] is not None} | unused

    def plain_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        """Compute the forward pass of training without the changed ``train``."""
        with self.backend.exchanged(), dropping(self.backend.change.dropped, self.config):
            parameters = {name: np.asarray(value, np.float64) for name, value in self.given.items()}
            x, h_0, c_0 = (None if a is None else a.astype(np.float64) for a in (x, h_0, c_0))
            return self._rounded(layers.evaluate(self.config, parameters, x, h_0, c_0, lengths, self.masks(x, seed)))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        change = self.backend.change.train
        if change:
            return change(self, x, h_0, c_0, lengths, seed)
        return self.plain_training(x, h_0, c_0, lengths, seed=seed)

    def masks(self, x, seed):
        masks, change = super().masks(x, seed), self.backend.change.masks
        return change(self, masks, seed) if change and masks else masks

    def parameters(self):
        if self.backend.refuse and not self.claims.parameters:
            raise Unsupported("parameters are not read back")
        change, read = self.backend.change, super().parameters()
        read = change.read(read) if change.read else read
        return change.kept(self, read) if change.kept else read

    def plain_last(self, x, h_0=None, c_0=None, lengths=None):
        """Compute ``forward_last`` without the changed ``last``."""
        return layers.last_of(self.config, self.every_step(x, h_0, c_0, lengths))

    def forward_last(self, x, h_0=None, c_0=None, lengths=None):
        self._refuse_unclaimed("last", x, h_0, lengths)
        return (self.backend.change.last or ChangedLayer.plain_last)(self, x, h_0, c_0, lengths)

    def plain_masked(self, x, h_0, c_0, mask):
        """Compute ``forward_masked`` without the changed ``masked``."""
        with self.backend.exchanged():
            return self._rounded(layers.forward(self.config, self.given, x, h_0, c_0, mask=mask))

    def forward_masked(self, x, h_0=None, c_0=None, mask=None):
        if self.backend.refuse and not self.claims.masks:
            raise Unsupported("masks are not taken")
        return (self.backend.change.masked or ChangedLayer.plain_masked)(self, x, h_0, c_0, mask)

    def plain_stateful(self, x, lengths=None):
        """Compute ``forward_stateful`` without the changed ``stateful``."""
        found = self.plain(x, *self.memory.get("states", (None, None)), lengths)
        self.memory["states"] = found.h_n, found.c_n
        return found

    def forward_stateful(self, x, lengths=None):
        if self.backend.refuse and not self.claims.stateful:
            raise Unsupported("no states are kept")
        return (self.backend.change.stateful or ChangedLayer.plain_stateful)(self, x, lengths)

    def reset(self):
        if self.backend.change.reset:
            self.backend.change.reset(self)
        else:
            self.memory.pop("states", None)

    def plain_load(self, parameters):
        """Exchange the parameters without the changed ``renew``."""
        super().load(parameters)
        load = self.backend.change.load
        self.given = load(self.config, self._parameters) if load else self._parameters
        self.inner = self.backend.inner.layer(self.config, self.given)

    def load(self, parameters):
        if self.backend.refuse and not self.claims.parameters_set:
            raise Unsupported("parameters are not exchanged")
        (self.backend.change.renew or type(self).plain_load)(self, parameters)

    def plain_gradients_training(self, arguments, seed):
        """Compute the gradients of a training call; takes arguments by name."""
        names = ("x", "h_0", "c_0", "lengths")
        result = self.plain_training(*(arguments[name] for name in names), seed=seed)
        with self.backend.exchanged(backwards=True):
            d = gradients.gradients(self.config, self.given, **arguments, masks=self.masks(arguments["x"], seed))
        return result, {name: a.astype(self.dtype) for name, a in d.items()}

    def gradients_training(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n, *, seed):
        if self.backend.refuse and not self.claims.training_gradients:
            raise Unsupported("gradients of training calls are not computed")
        arguments = {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths}
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        self.backend.refuse_cotangents(self.config.kind, cotangents)
        arguments |= cotangents
        changed = self.backend.change.train_gradients or ChangedLayer.plain_gradients_training
        return changed(self, arguments, seed)


class ChangedReverseLayer(OracleReverseLayer):
    """The reverse direction alone of a changed oracle."""

    def __init__(self, backend, config, parameters):
        super().__init__(config, parameters)
        load = backend.change.load
        self.backend, self.given = backend, load(config, self._parameters) if load else self._parameters

    def plain(self, x, h_0=None, c_0=None, lengths=None, reverse=True):
        """Compute the forward pass without the changed ``reversed``; with ``reverse=False`` in the other direction."""
        with self.backend.exchanged():
            return self._rounded(layers.forward(self.config, self.given, x, h_0, c_0, lengths, reverse=reverse))

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        change, claims = self.backend.change.reversed, self.backend.features.of(self.config.kind)
        asked = {"unbatched": x.ndim == 2, "initial_state": h_0 is not None, "lengths": lengths is not None}
        if self.backend.refuse and any(used and not claims.claims(name) for name, used in asked.items()):
            raise Unsupported(f"not claimed: {asked}")
        return (change or ChangedReverseLayer.plain)(self, x, h_0, c_0, lengths)


class ChangedCell(OracleCell):
    """A cell of a changed oracle; ``given`` and ``memory`` are as in ``ChangedLayer``."""

    def __init__(self, backend, config, parameters):
        super().__init__(config, parameters)
        load = backend.change.load
        self.backend, self.memory = backend, {}
        self.given = load(config, self._parameters) if load else self._parameters
        self.inner = backend.inner.cell(config, self.given)

    def plain(self, x, h=None, c=None):
        """Compute the step without the changed ``step``."""
        with self.backend.exchanged():
            return self._by_direction(x, h, c) if self.backend.change.direction else self.inner.step(x, h, c)

    def plain_of(self, config, parameters, *arguments):
        """Compute ``plain`` of a cell of another configuration with these parameters."""
        with self.backend.exchanged():
            return self.backend.inner.cell(config, parameters).step(*arguments)

    def plain_gradients(self, x, h, c, d_h, d_c):
        """Compute the gradients without the changed ``cell_gradients``."""
        with self.backend.exchanged(backwards=True):
            d = gradients.cell_gradients(self.config, self.given, x, h, c, d_h, d_c)
        return {name: a.astype(self.dtype) for name, a in d.items()}

    def gradients(self, x, h, c, d_h, d_c):
        if self.backend.refuse and not self.backend.features.of(self.config.kind).cell_gradients:
            raise Unsupported("gradients of cells are not computed")
        cotangents = {"d_h": d_h, "d_c": d_c}
        self.backend.refuse_cotangents(self.config.kind, cotangents)
        arguments = {"x": x, "h": h, "c": c} | cotangents
        change = self.backend.change.cell_gradients
        return change(self, arguments) if change else self.plain_gradients(**arguments)

    def step(self, x, h=None, c=None):
        return self.backend.change.step(self, x, h, c) if self.backend.change.step else self.plain(x, h, c)

    def _by_direction(self, x, h, c):
        """Compute the cell as one step of a layer, so that a changed direction applies to it."""
        layers.check_cell_inputs(self.config, x, h, c)
        weights = layers._weights({name: np.asarray(a, np.float64) for name, a in self.given.items()}, "")
        zeros = np.zeros((1 if x.ndim == 1 else len(x), self.config.hidden_size))
        h, c = (zeros if s is None else np.asarray(s, np.float64).reshape(zeros.shape) for s in (h, c))
        inputs = np.asarray(x, np.float64).reshape(1, len(zeros), -1)
        _, h, c = layers._direction(self.config.kind, weights, inputs, h, c, None, False)
        shape = (*x.shape[:-1], self.config.hidden_size)
        h, c = (np.asarray(s, self.dtype).reshape(shape) for s in (h, zeros if c is None else c))
        return h, c if self.config.kind == "lstm" else None


@contextmanager
def dropping(changed, config):
    """Replace the oracle's dropout by ``changed(config, x, mask)`` inside this context."""
    dropped = (lambda x, mask, _: changed(config, x, mask)) if changed else layers._dropped
    with mock.patch.object(layers, "_dropped", dropped):
        yield


STEP = 1e-4  # of the differences of fourth order: truncation errs by about 1e-16, rounding by about 1e-12


# The variables that each kind's equation names itself; only these need a cotangent.
NAMED = {"rnn_tanh": "xu", "rnn_relu": "xu", "lstm": "xuc", "gru": "xuh"}


def numeric_cotangents(kind, equation):
    """Return the cotangents of an equation by differences; each unit may depend only on its own numbers."""

    def cotangents(x, u, h, c, d_h_t, d_c_t):
        values = {"x": x, "u": u, "h": h, "c": c}
        terms = {name: None if a is None else np.asarray(a, np.float64) for name, a in values.items()}
        H = d_h_t.shape[-1]

        def value(name, block, by):
            moved = terms[name].copy()
            moved[..., block * H : (block + 1) * H] += by
            h_t, c_t = equation(*(terms | {name: moved}).values())
            return h_t * d_h_t if c_t is None else h_t * d_h_t + c_t * d_c_t

        def derivative(name):
            blocks = []
            for block in range(terms[name].shape[-1] // H):
                near = value(name, block, STEP) - value(name, block, -STEP)
                far = value(name, block, 2 * STEP) - value(name, block, -2 * STEP)
                blocks.append((8 * near - far) / (12 * STEP))
            return np.concatenate(blocks, axis=-1)

        return tuple(derivative(name) if name in NAMED[kind] else None for name in terms)

    return cotangents


def rounded_to(dtype, *arrays):
    """Round arrays to a NumPy dtype and back; None passes through."""
    with np.errstate(over="ignore"):
        rounded = [None if a is None else a.astype(dtype).astype(a.dtype) for a in arrays]
    return rounded[0] if len(rounded) == 1 else rounded


def result_of(change, result):
    """Return a Result with ``change`` applied to each array."""
    return Result(*(None if a is None else change(a) for a in result))


def steps_of(layer, x):
    """Return the number of steps in x."""
    return x.shape[1 if layer.config.batch_first and x.ndim == 3 else 0]


def samples_of(layer, x):
    """Return the number of samples in x, 1 if unbatched."""
    return 1 if x.ndim == 2 else x.shape[0 if layer.config.batch_first else 1]


def time_first(layer, a):
    """Return a view of x or output as (T, ...)."""
    return np.swapaxes(a, 0, 1) if layer.config.batch_first and a.ndim == 3 else a
