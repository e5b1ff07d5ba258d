"""``brainstate``: brainstate.nn.ValinaRNNCell and LSTMCell, run by brainstate.transform.for_loop.

BrainState's cells keep h and c as states, which the adapter sets before the first step. Each cell has one matrix for
x and h together and one bias, which the adapter loads with the sum of the two documented ones. So it cannot read
parameters back, and it reports the gradient of the sum for both. LSTMCell adds 1 to the forget gate in every step, and
its formula does not (docs/findings.md): the adapter loads b_f - 1. GRUCell resets the state before the product and is
not claimed. The adapter adds the axis order and checks arguments (``checked.py``).
"""

from __future__ import annotations

import brainstate
import jax
import numpy as np

from conformance.backend import Features
from conformance.backends.checked import CheckedBackend
from conformance.backends.jax_layers import JaxLayer
from conformance.layouts import Weights, reorder_gates

ZEROS = brainstate.nn.init.ZeroInit()  # a random one cannot be drawn while JAX traces
CELLS = {
    "rnn_tanh": (brainstate.nn.ValinaRNNCell, "tanh"),
    "rnn_relu": (brainstate.nn.ValinaRNNCell, "relu"),
    "lstm": (brainstate.nn.LSTMCell, "tanh"),
}


def ordered(kind, array, source, target):
    """Return the blocks of an LSTM's gates in another order; other kinds have one block."""
    return reorder_gates(array, kind, source, target) if kind == "lstm" else array


def to_brainstate(kind, weights):
    """Return a cell's weight (I + H, G*H) and bias (G*H)."""
    both = np.concatenate([weights.weight_ih, weights.weight_hh], axis=1)
    biases = [np.zeros(len(both), both.dtype) if b is None else b for b in (weights.bias_ih, weights.bias_hh)]
    single = biases[0] + biases[1]
    if kind == "lstm":
        single = single - np.repeat(np.array([0, 1, 0, 0], both.dtype), len(both) // 4)
    return {
        "weight": ordered(kind, both, "pytorch", "brainstate").T.copy(),
        "bias": ordered(kind, single, "pytorch", "brainstate"),
    }


def from_brainstate(kind, native, *, gradient):
    """Return the Weights of a cell's gradients. The bias's gradient is reported for both summands."""
    both = ordered(kind, np.asarray(native["weight"]).T, "brainstate", "pytorch")
    single = ordered(kind, np.asarray(native["bias"]), "brainstate", "pytorch")
    hidden = len(both) // (4 if kind == "lstm" else 1)
    return Weights(both[:, :-hidden], both[:, -hidden:], single, single.copy())


class BrainStateLayer(JaxLayer):
    """A loop of a BrainState cell over the steps."""

    to_layout, from_layout = staticmethod(to_brainstate), staticmethod(from_brainstate)

    @staticmethod
    def run(config, natives, x, states, lengths):
        make, activation = CELLS[config.kind]
        cell = make(config.input_size, config.hidden_size, activation=activation, w_init=ZEROS, b_init=ZEROS)
        cell.W.weight.value = natives[0]
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
        multilayer=False,
        bidirectional=False,
        projection=False,
        lengths=False,
        gradients=True,
        configurations=5,
        fixed_shapes=True,
    )
    layer_class = BrainStateLayer
