"""A JAX function as a backend: ``function_backend``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache, partial
from inspect import Parameter, signature
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from conformance.backend import Features, LayerConfig, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.layouts import Weights, join, split
from reference.config import KINDS

__all__ = ["function_backend"]

FLAGS = ("multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "projection")
CLAIMS = tuple(field.name for field in fields(Features) if field.name not in ("kinds", "dtypes"))


def function_backend(
    function: Callable[..., Any],
    kinds: Iterable[str] | str | None = None,
    *,
    dtypes: Iterable[str] | str = "float32",
    name: str | None = None,
    version: str | None = None,
    params: Callable[[dict[str, Any]], Any] | None = None,
    jit: bool = True,
    **claims: Any,
) -> FunctionBackend:
    """Return the backend of a function f(params, x, h_0) -> (output, h_n).

    For an LSTM it is f(params, x, (h_0, c_0)) -> (output, (h_n, c_n)), or f(params, x, h_0, c_0) -> (output, h_n, c_n).
    x is (T, N, I), the states have the shapes that torch.nn documents; omitted ones arrive as zeros. ``params`` is a
    dict by torch.nn's names, or the value of the argument ``params`` for that dict: a function of JAX that brings the
    parameters into another layout. Gradients are those of ``jax.vjp``, through that function as well. With ``jit`` JAX
    compiles f for every shape. A parameter ``lengths`` of f receives an array of lengths, and claims them; a parameter
    ``config`` receives the LayerConfig.

    It claims initial states and gradients, and nothing else unless ``claims`` say so: one layer and direction, with
    biases, x with an axis of samples. Arguments are checked here. Raises ValueError, one sentence, for an argument that
    cannot be used.
    """
    if not callable(function):
        raise ValueError(
            f"the function is of type {type(function).__name__}: give a function f(params, x, h_0) that returns "
            "output, h_n."
        )
    label = str(name or getattr(function, "__name__", type(function).__name__))
    if kinds is None:
        found = [kind for kind in ("lstm", "gru") if kind in label.lower()]
        if len(found) != 1:
            raise ValueError(f"kinds: {label!r} does not say the kind; give kinds, some of {', '.join(KINDS)}.")
        kinds = found
    if unknown := [claim for claim in claims if claim not in CLAIMS]:
        raise ValueError(f"{unknown[0]}: there is no such argument, and no such claim of conformance.Features.")
    if params is not None and not callable(params):
        raise ValueError(f"params: expected a function of a dict of arrays, got {type(params).__name__}.")
    return FunctionBackend(function, label, version, kinds, dtypes, params, jit, claims)


class FunctionBackend(CheckedBackend):
    """The backend of a function of JAX. JAX starts threads: the process must not be forked."""

    forks = False

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        version: str | None,
        kinds: Iterable[str] | str,
        dtypes: Iterable[str] | str,
        params: Callable[[dict[str, Any]], Any] | None,
        jit: bool,
        claims: Mapping[str, Any],
    ) -> None:
        positional, self.keywords = _parameters(function)
        defaults = {**dict.fromkeys(FLAGS, False), "lengths": "lengths" in self.keywords, "gradients": True}
        compiled = {"configurations": 12, "fixed_shapes": True} if jit else {}
        self.features = Features(kinds=kinds, dtypes=dtypes, **(defaults | compiled | dict(claims)))
        if "float64" in self.features.dtypes and not jax.config.jax_enable_x64:
            raise ValueError('dtypes: float64 needs jax.config.update("jax_enable_x64", True) before.')
        least = 3
        if positional is not None and not least <= positional <= least + ("lstm" in self.features.kinds):
            raise ValueError(
                f"{name} has {positional} positional parameters: give a function f(params, x, h_0), or "
                "f(params, x, h_0, c_0) for an LSTM."
            )
        self.apart = positional == least + 1
        self.function, self.params, self.jit = function, params or (lambda named: named), jit
        self.name, self.version = name, version or f"jax {jax.__version__}"
        self.layer_class = partial(FunctionLayer, self)  # type: ignore[assignment]  # called as the class is
        self.__module__ = sys._getframe(2).f_globals.get("__name__", "__main__")  # for conformance.run
        self.forward = lru_cache(maxsize=512)(self._forward)
        self.backward = lru_cache(maxsize=512)(self._backward)

    def _forward(self, config: LayerConfig) -> Callable[..., Any]:
        run = partial(self.called, config)
        return jax.jit(run) if self.jit else run

    def _backward(self, config: LayerConfig) -> Callable[..., Any]:
        def vjp(named: Any, x: Any, states: Any, lengths: Any, cotangents: Any) -> Any:
            _, pull = jax.vjp(lambda n, y, s: self.called(config, n, y, s, lengths), named, x, states)
            return pull(cotangents)

        return jax.jit(vjp) if self.jit else vjp

    def called(self, config: LayerConfig, named: Any, x: Any, states: Any, lengths: Any) -> tuple[Any, ...]:
        """Call the function; return output, h_n and, for lstm, c_n."""
        lstm = config.kind == "lstm"
        known = {"lengths": lengths, "config": config}
        keywords = {name: known[name] for name in self.keywords}
        given = states if not lstm or self.apart else (states,)
        output, *rest = self.function(self.params(named), x, *given, **keywords)
        if lstm and len(rest) == 1:
            rest = list(rest[0])
        if len(rest) < 1 + lstm or any(part is None for part in rest[: 1 + lstm]):
            raise TypeError(f"{self.name} returned {1 + len(rest)} parts, expected output and the last states")
        return (output, *rest[: 1 + lstm])


class FunctionLayer(CheckedLayer):
    """A layer that the function computes."""

    def __init__(
        self, backend: FunctionBackend, features: Features, config: LayerConfig, weights: list[Weights]
    ) -> None:
        self.backend = backend
        super().__init__(features, config, weights)

    def build(self, weights: list[Weights]) -> None:
        """Store copies of the weights by torch.nn's names."""
        self.named = {name: jnp.array(value) for name, value in join(self.config, weights).items()}

    def _states(self, x: np.ndarray, h_0: Any, c_0: Any) -> tuple[Any, ...]:
        """Return the states; omitted ones are zeros."""
        given = (h_0, c_0)[: 1 + (self.config.kind == "lstm")]
        shapes = self._result_shapes(x)[1:]
        return tuple(np.zeros(s, x.dtype) if a is None else a for a, s in zip(given, shapes, strict=False))

    def compute(self, x: np.ndarray, h_0: Any, c_0: Any, lengths: Any) -> Result:
        """Call the compiled function."""
        found = self.backend.forward(self.config)(self.named, x, self._states(x, h_0, c_0), lengths)
        return Result(*(np.array(a) for a in found))

    def differentiate(
        self, x: np.ndarray, h_0: Any, c_0: Any, lengths: Any, cotangents: Result
    ) -> tuple[dict[str, np.ndarray], list[Weights]]:
        """Pull the cotangents back through the compiled function."""
        d: Sequence[Any] = tuple(a for a in cotangents if a is not None)
        states = self._states(x, h_0, c_0)
        of_named, of_x, of_states = self.backend.backward(self.config)(self.named, x, states, lengths, d)
        found = {"x": np.array(of_x)}
        names = [name for name, state in (("h_0", h_0), ("c_0", c_0)) if state is not None]
        found |= {name: np.array(a) for name, a in zip(names, of_states, strict=False)}
        return found, split(self.config, {name: np.array(a) for name, a in of_named.items()})


def _parameters(function: Callable[..., Any]) -> tuple[int | None, tuple[str, ...]]:
    """Return the number of positional parameters, None for any, and the keywords among lengths and config."""
    try:
        found = list(signature(function).parameters.values())
    except (TypeError, ValueError):
        return None, ()
    keywords = tuple(p.name for p in found if p.name in ("lengths", "config"))
    if any(p.kind is Parameter.VAR_POSITIONAL for p in found):
        return None, keywords
    positional = [p for p in found if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in positional if p.default is Parameter.empty or p.name in ("h_0", "c_0", "h0", "c0")]
    return len([p for p in needed if p.name not in keywords]), keywords
