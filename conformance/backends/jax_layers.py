"""Base classes of the two Flax adapters: layers and cells that ``jax.jit`` compiles for each shape of a call.

Flax has no stacks and no projections, so neither is claimed. The adapter adds three things: it sets the output past a
sample's end to zero, which Flax documents that it does not; it loads zeros for a layer without biases, because Flax's
cells always have them; and it checks arguments (``checked.py``). JAX computes in float32 unless the whole process is
configured otherwise, so float32 alone is claimed.

JAX starts threads: a process that has run it must not be forked.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from conformance.backend import Result
from conformance.backends.checked import CheckedCell, CheckedLayer

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_default_matmul_precision", "highest")

MOST_PROGRAMS = 1000  # each takes memory maps; Linux gives a process 65,530, and LLVM aborts without them
_programs: set[tuple] = set()


def to_numpy(array: jax.Array) -> np.ndarray:
    """Return a copy as a NumPy array."""
    return np.array(array)


def call(function, run, config, *arguments):
    """Call ``function(run, config)`` with the arguments; drop all compiled programs when there are too many."""
    key = function, run, config, *((a.shape, a.dtype) for a in jax.tree.leaves(arguments))
    if key not in _programs and len(_programs) == MOST_PROGRAMS:
        _programs.clear()
        jax.clear_caches()
    _programs.add(key)
    return function(run, config)(*arguments)


@lru_cache(maxsize=512)
def compiled(run, config):
    """Return ``run`` of a configuration, which JAX compiles for each shape of its arguments."""
    return jax.jit(partial(run, config))


@lru_cache(maxsize=512)
def pulled_back(run, config):
    """Return the vector-Jacobian product of ``run`` of a configuration.

    It takes natives, x, states, lengths and cotangents, and returns the gradients of natives, x and states.
    """

    def vjp(natives, x, states, lengths, cotangents):
        _, pull = jax.vjp(lambda n, x, s: run(config, n, x, s, lengths), natives, x, states)
        return pull(cotangents)

    return jax.jit(vjp)


def carries(config, states):
    """Return Flax's carry of each direction: (c, h) for lstm, else h; None if there are no states."""
    if not states:
        return [None] * config.directions
    return [(states[1][d], states[0][d]) if config.kind == "lstm" else states[0][d] for d in range(config.directions)]


def results(config, found, output, lengths):
    """Return output, h_n and, for lstm, c_n from the carry of each direction."""
    if lengths is not None:
        time_axis = 1 if config.batch_first else 0
        runs = jnp.arange(output.shape[time_axis])[:, None] < lengths
        output = jnp.where((runs.T if config.batch_first else runs)[..., None], output, 0)
    if config.kind == "lstm":
        return output, jnp.stack([h for _, h in found]), jnp.stack([c for c, _ in found])
    return output, jnp.stack(found)


class JaxLayer(CheckedLayer):
    """A layer that ``run`` computes from parameters in the framework's layout."""

    @staticmethod
    @abstractmethod
    def run(config, natives, x, states, lengths):
        """Return output, h_n and, for lstm, c_n; ``states`` is (), (h_0,) or (h_0, c_0)."""

    @staticmethod
    @abstractmethod
    def to_layout(kind, weights): ...

    @staticmethod
    @abstractmethod
    def from_layout(kind, native, *, gradient): ...

    def build(self, weights):
        self.natives = jax.tree.map(jnp.array, [self.to_layout(self.config.kind, w) for w in weights])

    def compute(self, x, h_0, c_0, lengths):
        states = tuple(s for s in (h_0, c_0) if s is not None)
        found = call(compiled, self.run, self.config, self.natives, x, states, lengths)
        return Result(*map(to_numpy, found))

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        states = {name: s for name, s in (("h_0", h_0), ("c_0", c_0)) if s is not None}
        d = tuple(a for a in cotangents if a is not None)
        arguments = self.natives, x, tuple(states.values()), lengths, d
        of_natives, of_x, of_states = call(pulled_back, self.run, self.config, *arguments)
        of_natives = jax.tree.map(to_numpy, of_natives)
        weights = [self.from_layout(self.config.kind, native, gradient=True) for native in of_natives]
        return {"x": to_numpy(of_x)} | dict(zip(states, map(to_numpy, of_states), strict=True)), weights


class JaxCell(CheckedCell):
    """A cell that ``run`` computes from parameters in the framework's layout."""

    @staticmethod
    @abstractmethod
    def run(config, native, x, states):
        """Return the new carry; ``states`` is (), (h,) or (h, c)."""

    @staticmethod
    @abstractmethod
    def to_layout(kind, weights): ...

    def build(self, weights):
        self.native = jax.tree.map(jnp.array, self.to_layout(self.config.kind, weights))

    def compute(self, x, h, c):
        states = tuple(s for s in (h, c) if s is not None)
        carry = call(compiled, self.run, self.config, self.native, x, states)
        if self.config.kind == "lstm":
            c, h = carry
            return to_numpy(h), to_numpy(c)
        return to_numpy(carry), None
