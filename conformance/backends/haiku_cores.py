"""``haiku``: haiku.VanillaRNN, LSTM and GRU, run by haiku.dynamic_unroll and stacked by haiku.DeepRNN.

Haiku computes steps, stacks, the reverse direction and batches first; the adapter checks arguments (``checked.py``).
VanillaRNN has a ReLU and both documented biases. LSTM has one bias, and one matrix for x and h; GRU has one bias. Both
are loaded with the sum of the two documented biases. Two equations are dialects: LSTM adds 1 to the forget gate in
every step, and GRU resets the state before the product and has the update gate the other way round.
"""

from __future__ import annotations

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxLayer
from conformance.layouts import Weights, reorder_gates

CORES = {"rnn_relu": hk.VanillaRNN, "lstm": hk.LSTM, "gru": hk.GRU}


def to_haiku(kind, weights):
    """Return a core's arrays by the names of its modules. A GRU has no other modules, and its name is empty."""
    W, R = weights.weight_ih, weights.weight_hh
    zeros = np.zeros(len(W), W.dtype)
    b, d = (zeros if a is None else a for a in (weights.bias_ih, weights.bias_hh))
    if kind == "rnn_relu":
        return {"linear": {"w": W.T.copy(), "b": b.copy()}, "linear_1": {"w": R.T.copy(), "b": d.copy()}}
    single = reorder_gates(b + d, kind, "pytorch", "haiku")
    if kind == "gru":
        W, R = (reorder_gates(a, kind, "pytorch", "haiku").T.copy() for a in (W, R))
        return {"": {"w_i": W, "w_h": R, "b": single}}
    both = reorder_gates(np.concatenate([W, R], axis=1), kind, "pytorch", "haiku")
    return {"linear": {"w": both.T.copy(), "b": single}}


def from_haiku(kind, native, *, gradient):
    """Return the Weights of a core's gradients. The gradient of a single bias is reported for both summands."""
    if kind == "gru":
        own = {name: np.asarray(a).T for name, a in native[""].items()}
        W, R, b = (reorder_gates(own[name], kind, "haiku", "pytorch") for name in ("w_i", "w_h", "b"))
        return Weights(W, R, b, b.copy())
    linear = {name: np.asarray(a) for name, a in native["linear"].items()}
    if kind == "rnn_relu":
        return Weights(
            linear["w"].T, np.asarray(native["linear_1"]["w"]).T, linear["b"], np.asarray(native["linear_1"]["b"])
        )
    both = reorder_gates(linear["w"].T, kind, "haiku", "pytorch")
    size = both.shape[1] - len(both) // 4
    b = reorder_gates(linear["b"], kind, "haiku", "pytorch")
    return Weights(both[:, :size], both[:, size:], b, b.copy())


def unroll(config, natives, x, states, reverse):
    """Return output and last states of the stack of cores with these arrays."""
    swapped, unbatched = config.batch_first and x.ndim == 3, x.ndim == 2
    steps = x.swapaxes(0, 1) if swapped else x
    shape = (config.hidden_size,) if unbatched else (steps.shape[1], config.hidden_size)
    zeros = jnp.zeros((config.num_layers, *shape), x.dtype)
    given = states or (zeros, zeros)

    def run(steps):
        cores = [CORES[config.kind](config.hidden_size, name=f"core_{k}") for k in range(config.num_layers)]
        lstm = config.kind == "lstm"
        initial = tuple(hk.LSTMState(given[0][k], given[1][k]) if lstm else given[0][k] for k in range(len(cores)))
        return hk.dynamic_unroll(hk.DeepRNN(cores), steps, initial, reverse=reverse)

    params = {
        f"core_{k}/{module}".rstrip("/"): arrays
        for k, native in enumerate(natives)
        for module, arrays in native.items()
    }
    output, last = hk.without_apply_rng(hk.transform(run)).apply(params, steps)
    parts = [jnp.stack(s) for s in zip(*last, strict=True)] if config.kind == "lstm" else [jnp.stack(last)]
    return output.swapaxes(0, 1) if swapped else output, *parts


class HaikuLayer(JaxLayer):
    """A stack of Haiku's cores."""

    to_layout, from_layout = staticmethod(to_haiku), staticmethod(from_haiku)

    @staticmethod
    def run(config, natives, x, states, lengths):
        return unroll(config, natives, x, states, reverse=False)


class HaikuReverse(HaikuLayer):
    """The same from the last step to the first."""

    @staticmethod
    def run(config, natives, x, states, lengths):
        return unroll(config, natives, x, states, reverse=True)


class Haiku(CheckedBackend):
    """Haiku's recurrent cores, compiled by XLA for the CPU."""

    name, forks = "haiku", False
    version = f"{hk.__version__}, jax {jax.__version__}"
    features = Features(
        kinds=CORES,
        dialects={"lstm": "forget-gate-plus-one", "gru": ("reset-before-product", "update-gate-inverted")},
        dialect_sources={
            "lstm": "https://dm-haiku.readthedocs.io/en/latest/api.html#lstm, the note on the forget gate",
            "gru": "https://dm-haiku.readthedocs.io/en/latest/api.html#gru, the formula",
        },
        bidirectional=False,
        projection=False,
        lengths=False,
        reverse_alone=True,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = HaikuLayer
    reverse_class = HaikuReverse
