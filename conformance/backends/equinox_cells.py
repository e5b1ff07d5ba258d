"""``equinox``: equinox.nn.LSTMCell and GRUCell, and layers that run them by jax.lax.scan, as Equinox's pages do.

The cells compute one sample; the adapter maps them over samples by jax.vmap, and checks arguments (``checked.py``).
LSTMCell has one bias, GRUCell one and ``bias_n``, which the adapter loads with the sums of the two documented biases.
So it cannot read parameters back, and it reports the gradient of a sum for both summands. The layout is MLX's under
other names.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxCell, JaxLayer
from conformance.layouts import from_mlx, to_mlx

CELLS = {"lstm": eqx.nn.LSTMCell, "gru": eqx.nn.GRUCell}
OF_MLX = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias", "bias": "bias", "bhn": "bias_n"}


def to_equinox(kind, weights):
    """Return a cell's arrays by Equinox's names."""
    return {OF_MLX[name]: array for name, array in to_mlx(kind, weights).items()}


def from_equinox(kind, native, *, gradient):
    """Return the Weights of a cell's arrays."""
    names = {theirs: mine for mine, theirs in OF_MLX.items() if mine != ("bias" if kind == "gru" else "b")}
    return from_mlx(kind, {names[name]: array for name, array in native.items()}, gradient=gradient)


def cell_module(config, native):
    """Return the Equinox cell of a configuration with these arrays."""
    sizes = config.input_size, config.hidden_size, config.bias
    empty = eqx.filter_eval_shape(CELLS[config.kind], *sizes, key=jax.random.key(0))
    return eqx.tree_at(lambda cell: [getattr(cell, name) for name in native], empty, list(native.values()))


def initial(config, x_t, states):
    """Return the carry of a cell: (h, c) for lstm, else h; zeros for omitted states."""
    zeros = jnp.zeros((*x_t.shape[:-1], config.hidden_size), x_t.dtype)
    given = states or (zeros, zeros)
    return given[:2] if config.kind == "lstm" else given[0]


def step_of(config, native, x_t):
    """Return the cell's function of input and carry, over samples if there are any."""
    cell = cell_module(config, native)
    return jax.vmap(cell) if x_t.ndim == 2 else cell


class EquinoxLayer(JaxLayer):
    """A scan of an Equinox cell over the steps."""

    to_layout, from_layout = staticmethod(to_equinox), staticmethod(from_equinox)

    @staticmethod
    def run(config, natives, x, states, lengths):
        swapped = config.batch_first and x.ndim == 3
        x = x.swapaxes(0, 1) if swapped else x
        step, lstm = step_of(config, natives[0], x[0]), config.kind == "lstm"

        def scan_fn(carry, x_t):
            carry = step(x_t, carry)
            return carry, carry[0] if lstm else carry

        carry, output = jax.lax.scan(scan_fn, initial(config, x[0], tuple(s[0] for s in states)), x)
        last = (s[None] for s in (carry if lstm else (carry,)))
        return output.swapaxes(0, 1) if swapped else output, *last


class EquinoxCell(JaxCell):
    """An Equinox cell."""

    to_layout = staticmethod(to_equinox)

    @staticmethod
    def run(config, native, x, states):
        carry = step_of(config, native, x)(x, initial(config, x, states))
        return carry[::-1] if config.kind == "lstm" else carry


class Equinox(CheckedBackend):
    """Equinox's cells, compiled by XLA for the CPU."""

    name, forks = "equinox", False
    version = f"{eqx.__version__}, jax {jax.__version__}"
    features = Features(
        kinds={"lstm", "gru"},
        multilayer=False,
        bidirectional=False,
        projection=False,
        lengths=False,
        cells=True,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = EquinoxLayer
    cell_class = EquinoxCell
