"""``brainstate``: brainstate.nn.ValinaRNNCell, LSTMCell and GRUCell, run by brainstate.transform.for_loop.

BrainState's cells keep h and c as states, which the adapter sets before the first step. Each cell has one matrix for
x and h together, GRUCell two, and one bias, which the adapter loads with the sum of the two documented ones. So it
cannot read parameters back, and it reports the gradient of the sum for both. LSTMCell adds 1 to the forget gate in
every step, and its page does not say so (docs/findings.md): the adapter loads b_f - 1. GRUCell's documented equation is
a dialect: it resets the state before the product and has the update gate the other way round. The adapter adds the axis
order and checks arguments (``checked.py``).
"""

from __future__ import annotations

import brainstate
import jax
import numpy as np

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxLayer
from conformance.layouts import Weights, reorder_gates
from reference.parameters import GATES

ZEROS = brainstate.nn.init.ZeroInit()  # a random one cannot be drawn while JAX traces
CELLS = {
    "rnn_tanh": (brainstate.nn.ValinaRNNCell, "tanh"),
    "rnn_relu": (brainstate.nn.ValinaRNNCell, "relu"),
    "lstm": (brainstate.nn.LSTMCell, "tanh"),
    "gru": (brainstate.nn.GRUCell, "tanh"),
}

MODULES = {kind: ("Wrz", "Wh") if kind == "gru" else ("W",) for kind in CELLS}


def ordered(kind, array, source, target):
    """Return the blocks of the gates in another order; an RNN has one block."""
    return reorder_gates(array, kind, source, target) if kind in ("lstm", "gru") else array


def to_brainstate(kind, weights):
    """Return a cell's weight (I + H, G*H) and bias (G*H) by its module; a GRU has one module for r and z, one for n."""
    both = np.concatenate([weights.weight_ih, weights.weight_hh], axis=1)
    biases = [np.zeros(len(both), both.dtype) if b is None else b for b in (weights.bias_ih, weights.bias_hh)]
    single = biases[0] + biases[1]
    if kind == "lstm":
        single = single - np.repeat(np.array([0, 1, 0, 0], both.dtype), len(both) // 4)
    both, single = (ordered(kind, a, "pytorch", "brainstate") for a in (both, single))
    if kind == "gru":
        first = 2 * len(both) // 3  # blocks r and z, then n
        return {"Wrz": module(both[:first], single[:first]), "Wh": module(both[first:], single[first:])}
    return {"W": module(both, single)}


def module(both, single):
    """Return the arrays of a linear module."""
    return {"weight": both.T.copy(), "bias": single}


def from_brainstate(kind, native, *, gradient):
    """Return the Weights of a cell's gradients. The bias's gradient is reported for both summands."""
    modules = [native[name] for name in MODULES[kind]]
    both, single = (np.concatenate([np.asarray(m[name]).T for m in modules]) for name in ("weight", "bias"))
    both, single = (ordered(kind, a, "brainstate", "pytorch") for a in (both, single))
    hidden = len(both) // len(GATES[kind])
    return Weights(both[:, :-hidden], both[:, -hidden:], single, single.copy())


class BrainStateLayer(JaxLayer):
    """A loop of a BrainState cell over the steps."""

    to_layout, from_layout = staticmethod(to_brainstate), staticmethod(from_brainstate)

    @staticmethod
    def run(config, natives, x, states, lengths):
        make, activation = CELLS[config.kind]
        cell = make(config.input_size, config.hidden_size, activation=activation, w_init=ZEROS, b_init=ZEROS)
        for name in MODULES[config.kind]:
            getattr(cell, name).weight.value = natives[0][name]
        swapped = config.batch_first and x.ndim == 3
        steps = x.swapaxes(0, 1) if swapped else x
        cell.init_state(steps.shape[1] if x.ndim == 3 else None)
        for name, state in zip(("h", "c"), states, strict=False):
            getattr(cell, name).value = state[0]
        output = brainstate.transform.for_loop(cell.update, steps)
        last = [cell.h.value[None]] + ([cell.c.value[None]] if config.kind == "lstm" else [])
        return output.swapaxes(0, 1) if swapped else output, *last


class BrainState(CheckedBackend):
    """BrainState's recurrent cells, compiled by XLA for the CPU."""

    name, forks = "brainstate", False
    version = f"{brainstate.__version__}, jax {jax.__version__}"
    features = Features(
        kinds=CELLS,
        dialects={"gru": ("reset-before-product", "update-gate-inverted")},
        dialect_sources={"gru": "https://brainstate.readthedocs.io/, brainstate.nn.GRUCell, the formulas"},
        multilayer=False,
        bidirectional=False,
        projection=False,
        lengths=False,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = BrainStateLayer
