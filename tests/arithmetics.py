"""Any backend of the oracle's equations in other people's arithmetic.

``ARITHMETICS`` holds four: the oracle's own, and three that compute in float32 with their own activations and order of
sums. ``arithmetic_of(fault, name)`` is a fault as a stranger would write it. On the command line
``tests.arithmetics:lstm_gates_f_i__in__float32`` names one, and ``right__in__float32`` the right implementation.

An array of float32 that knows its arithmetic takes the place of the arrays of float64 that the oracle computes with.
The oracle and the faults then work in that arithmetic without a change.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from unittest import mock

import numpy as np

from conformance.backend import Backend
from conformance.backends.oracle import OracleBackend
from conformance.specifications.torch_nn.faults import BANK, Fault
from conformance.specifications.torch_nn.faults.changed import EXCHANGING
from reference import cells, gradients, layers

FLOAT32 = np.float32


def plain(a):
    """Return an array without its arithmetic, in float32 if it holds floating-point numbers of 64 bits."""
    if not isinstance(a, (np.ndarray, np.floating)):
        return a
    a = np.asarray(a)
    return a.astype(FLOAT32) if a.dtype == np.float64 else a


class Single(np.ndarray):
    """An array of float32 whose products, sums of products and tanh are those of ``arithmetic``."""

    arithmetic: Arithmetic

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **more):
        if out is not None:
            more["out"] = tuple(a.view(np.ndarray) for a in out)
        inputs = tuple(map(plain, inputs))
        if method == "__call__" and ufunc is np.tanh:
            return self._like(self.arithmetic.tanh(*inputs))
        if method == "__call__" and ufunc is np.matmul:
            return self._like(self.arithmetic.product(*inputs))
        computed = self._like(getattr(ufunc, method)(*inputs, **more))
        return computed if out is None else out[0]

    def __array_function__(self, function, types, arguments, keywords):
        return self._like(super().__array_function__(function, types, arguments, keywords))

    def _like(self, a):
        if isinstance(a, (list, tuple)):
            return type(a)(map(self._like, a))
        a = plain(a)
        return a.view(type(self)) if isinstance(a, np.ndarray) and a.dtype == FLOAT32 else a


# --- activations and products --------------------------------------------------------------------------
# The code of a sigmoid takes that of the oracle's place, so that it may use no names but a, np and tanh.


def sigmoid_by_exp(a):
    return 1 / (1 + np.exp(-a))


def sigmoid_by_exp_in_float64(a):
    return (1 / (1 + np.exp(-np.asarray(a, np.float64)))) * np.ones_like(a)


def tanh_by_sigmoid(a):
    return 2 / (1 + np.exp(-2 * a)) - 1


def tanh_by_exp(a):
    """Compute tanh of few digits near 0, right to about 1e-7."""
    t = np.exp(-2 * np.abs(a))
    return np.sign(a) * (1 - t) / (1 + t)


def from_the_last(x, w):
    """Sum from the last element to the first, one after the other."""
    return np.einsum("...k,kj->...j", x[..., ::-1], w[::-1])


def in_halves(x, w):
    """Sum the second half of the elements, then the first, and add both."""
    half = len(w) // 2
    return x[..., half:] @ w[half:] + x[..., :half] @ w[:half]


def in_float64(x, w):
    """Sum in float64 from the last element to the first."""
    return x[..., ::-1].astype(np.float64) @ w[::-1].astype(np.float64)


@dataclass(frozen=True)
class Arithmetic:
    """The functions that a stranger's float32 code computes with."""

    sigmoid: Callable
    tanh: Callable
    product: Callable

    def of(self, *arrays):
        """Return arrays that compute in this arithmetic; None passes through."""
        return tuple(None if a is None else np.asarray(a, FLOAT32).view(self.array) for a in arrays)

    @cached_property
    def array(self):
        """The class of arrays that compute in this arithmetic."""
        return type("Single", (Single,), {"arithmetic": self})

    @contextmanager
    def exchanged(self):
        """Exchange the arithmetic of the oracle's functions inside this context."""
        with EXCHANGING, ExitStack() as stack, np.errstate(all="ignore"):
            for module, name in ((layers, "evaluate"), (layers, "evaluate_cell"), (gradients, "evaluate_gradients")):
                stack.enter_context(mock.patch.object(module, name, self._evaluating(getattr(module, name))))
            stack.enter_context(mock.patch.object(layers, "_direction", self._going(layers._direction)))
            stack.callback(setattr, cells.σ, "__code__", cells.σ.__code__)
            cells.σ.__code__ = self.sigmoid.__code__  # the faults hold the function itself
            yield

    def _evaluating(self, evaluate):
        def computed(config, parameters, *arguments, **named):
            parameters = dict(zip(parameters, self.of(*parameters.values()), strict=True))
            arguments = [self.of(a)[0] if is_numbers(a) else a for a in arguments]
            named = {name: self.of(a)[0] if is_numbers(a) else a for name, a in named.items()}
            found = evaluate(config, parameters, *arguments, **named)
            if isinstance(found, dict):
                return {name: np.asarray(a, np.float64) for name, a in found.items()}
            values = (None if a is None else np.asarray(a, np.float64) for a in found)
            return type(found)(*values) if hasattr(found, "_fields") else tuple(values)

        return computed

    def _going(self, go):
        def computed(kind, weights, inputs, h, c, *others, **more):
            return go(kind, self.of(*weights), *self.of(inputs, h, c), *others, **more)

        return computed


def is_numbers(a):
    """Return whether an argument is an array of numbers to compute with."""
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


ARITHMETICS = {
    "oracle": None,
    "float32": Arithmetic(sigmoid_by_exp, tanh_by_sigmoid, from_the_last),
    "coarse": Arithmetic(cells.σ, tanh_by_exp, in_halves),
    "float64-sums": Arithmetic(sigmoid_by_exp_in_float64, np.tanh, in_float64),
}
"""By name: the oracle's own; float32 throughout with exp; activations right to 1e-7; products summed in float64."""


class InArithmetic(Backend):
    """A backend of the oracle's equations that computes float32 in another arithmetic, the other dtypes as before."""

    def __init__(self, inner, name):
        self.inner, self.arithmetic = inner, ARITHMETICS[name]
        self.name, self.version, self.features = f"{inner.name} in {name}", inner.version, inner.features

    def layer(self, config, parameters):
        return self._computing(config, self.inner.layer(config, parameters))

    def reverse_layer(self, config, parameters):
        return self._computing(config, self.inner.reverse_layer(config, parameters))

    def cell(self, config, parameters):
        return self._computing(config, self.inner.cell(config, parameters))

    def initial_parameters(self, config, *, seed):
        return self.inner.initial_parameters(config, seed=seed)

    def _computing(self, config, built):
        return built if self.arithmetic is None or config.dtype != "float32" else Computing(built, self.arithmetic)


class Computing:
    """A layer or cell all of whose methods compute in an arithmetic."""

    def __init__(self, inner, arithmetic):
        self._inner, self._arithmetic = inner, arithmetic

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        def computed(*arguments, **named):
            with self._arithmetic.exchanged():
                return method(*arguments, **named)

        return computed


def arithmetic_of(fault: Fault | None, name: str) -> Backend:
    """Return a fault as a backend in the arithmetic of that name; for None the right implementation."""
    return InArithmetic(OracleBackend() if fault is None else fault.build(), name)


def __getattr__(name):
    """Return a factory of a backend by the names of a fault, or ``right``, and of an arithmetic."""
    fault, _, arithmetic = (part.replace("_", "-") for part in name.partition("__in__"))
    if arithmetic not in ARITHMETICS or fault not in {"right", *BANK}:
        raise AttributeError(name)
    return lambda: arithmetic_of(None if fault == "right" else BANK[fault], arithmetic)
