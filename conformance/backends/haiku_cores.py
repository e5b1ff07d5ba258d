"""``haiku``: haiku.VanillaRNN and LSTM, run by haiku.dynamic_unroll and stacked by haiku.DeepRNN.

Haiku computes steps, stacks, the reverse direction and batches first; the adapter checks arguments (``checked.py``).
VanillaRNN has a ReLU and both documented biases; LSTM has one bias, and one matrix for x and h. It adds 1 to the forget
gate in every step, and its formula does not (docs/findings.md): the adapter loads b_f - 1. GRU resets the state before
the product and is not claimed.
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

CORES = {"rnn_relu": hk.VanillaRNN, "lstm": hk.LSTM}
FORGET = 1.0


def forget_gate(bias):
    """Return 1 at the forget gate's block of an LSTM's bias, 0 elsewhere."""
    return np.repeat(np.array([0, FORGET, 0, 0], bias.dtype), len(bias) // 4)


def to_haiku(kind, weights):
    """Return a core's arrays by the names of its Linear modules."""
    W, R = weights.weight_ih, weights.weight_hh
    zeros = np.zeros(len(W), W.dtype)
    b, d = (zeros if a is None else a for a in (weights.bias_ih, weights.bias_hh))
    if kind == "rnn_relu":
        return {"linear": {"w": W.T.copy(), "b": b.copy()}, "linear_1": {"w": R.T.copy(), "b": d.copy()}}
    both = reorder_gates(np.concatenate([W, R], axis=1), kind, "pytorch", "haiku")
    return {"linear": {"w": both.T.copy(), "b": reorder_gates(b + d - forget_gate(b), kind, "pytorch", "haiku")}}


def from_haiku(kind, native, *, gradient):
    """Return the Weights of a core's gradients. The gradient of an LSTM's bias is reported for both summands."""
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

    params = {f"core_{k}/{module}": arrays for k, native in enumerate(natives) for module, arrays in native.items()}
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
        kinds={"rnn_relu", "lstm"},
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
