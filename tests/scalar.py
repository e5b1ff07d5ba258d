"""PyTorch's documentation of the recurrent layers and cells, evaluated one number at a time in 50 digits.

It follows the docstrings of torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell and GRUCell, in their symbols, as a second
opinion on the oracle: it shares no code with the oracle and has another structure. It has no batch and no padding. Each
sample is a list of steps cut at its own length, the reverse direction is the forward one on the reversed list, a step
is a list of numbers, and a number has 50 decimal digits.
"""

from __future__ import annotations

import mpmath
import numpy as np

mp = mpmath.mp.clone()  # a separate precision, which others cannot change
mp.dps = 50

# "Attributes": (W_ii|W_if|W_ig|W_io) and (W_ir|W_iz|W_in); RNN has the one block W_ih.
BLOCKS = {"rnn_tanh": "h", "rnn_relu": "h", "lstm": "ifgo", "gru": "rzn"}


def sigmoid(a):
    return 1 / (1 + mp.exp(-a))


# The equations. Wi(g) is W_ig x_t + b_ig and Wh(g, h) is W_hg h + b_hg, for the gate g.


def rnn_tanh(Wi, Wh, h, c):
    return [mp.tanh(a + b) for a, b in zip(Wi("h"), Wh("h", h), strict=True)], None


def rnn_relu(Wi, Wh, h, c):
    return [max(a + b, mp.zero) for a, b in zip(Wi("h"), Wh("h", h), strict=True)], None


def lstm(Wi, Wh, h, c):
    i = [sigmoid(a + b) for a, b in zip(Wi("i"), Wh("i", h), strict=True)]
    f = [sigmoid(a + b) for a, b in zip(Wi("f"), Wh("f", h), strict=True)]
    g = [mp.tanh(a + b) for a, b in zip(Wi("g"), Wh("g", h), strict=True)]
    o = [sigmoid(a + b) for a, b in zip(Wi("o"), Wh("o", h), strict=True)]
    c = [f[j] * c[j] + i[j] * g[j] for j in range(len(c))]
    return [o[j] * mp.tanh(c[j]) for j in range(len(c))], c


def gru(Wi, Wh, h, c):
    r = [sigmoid(a + b) for a, b in zip(Wi("r"), Wh("r", h), strict=True)]
    z = [sigmoid(a + b) for a, b in zip(Wi("z"), Wh("z", h), strict=True)]
    n = [mp.tanh(a + r_j * b) for a, b, r_j in zip(Wi("n"), Wh("n", h), r, strict=True)]
    return [(1 - z[j]) * n[j] + z[j] * h[j] for j in range(len(h))], None


EQUATIONS = {"rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu, "lstm": lstm, "gru": gru}


def layer(config, parameters, x, h_0=None, c_0=None, lengths=None, masks=None):
    """Return (output, h_n, c_n) of RNN, LSTM or GRU in the documented layouts, as arrays of 50-digit numbers."""
    P = exact(parameters)
    unbatched = x.ndim == 2
    samples = [x] if unbatched else list(x) if config.batch_first else [x[:, n] for n in range(x.shape[1])]
    results = []
    for n, sample in enumerate(samples):
        rows_h, rows_c = ([row if unbatched else row[n] for row in s] if s is not None else None for s in (h_0, c_0))
        end = len(sample) if lengths is None else lengths[n]
        kept = None if masks is None else [mask[:end, n] for mask in masks]
        output, h_n, c_n = _sample(config, P, numbers(sample[:end]), rows_h, rows_c, kept)
        past_the_end = [[mp.zero] * len(output[0])] * (len(sample) - end)
        results.append((output + past_the_end, h_n, c_n))
    outputs, h_n, c_n = zip(*results, strict=True)
    if unbatched:
        return _array(outputs[0]), _array(h_n[0]), _array(c_n[0])
    rows_first = [np.swapaxes(_array(states), 0, 1) if states[0][0] else None for states in (h_n, c_n)]
    return (_array(outputs) if config.batch_first else np.swapaxes(_array(outputs), 0, 1), *rows_first)


def cell(config, parameters, x, h=None, c=None):
    """Return (h', c') of RNNCell, LSTMCell or GRUCell, as arrays of 50-digit numbers."""
    P = exact(parameters)
    zeros = [mp.zero] * config.hidden_size

    def one(x, h, c):
        h, c = (zeros if s is None else numbers(s) for s in (h, c))
        return _step(config, P, "", numbers(x), h, c if config.kind == "lstm" else None)

    if x.ndim == 1:
        h, c = one(x, h, c)
        return _array(h), _array(c)
    each = [one(x[n], None if h is None else h[n], None if c is None else c[n]) for n in range(len(x))]
    hs, cs = zip(*each, strict=True)
    return _array(hs), _array(cs) if cs[0] else None


def _sample(config, P, steps, rows_h, rows_c, masks):
    """Evaluate every layer and direction on one sample; return its output and the rows of h_n and c_n."""
    D, H = 2 if config.bidirectional else 1, config.hidden_size
    h_n, c_n = [], []
    for k in range(config.num_layers):
        halves = []
        for d in range(D):
            row, suffix = k * D + d, f"_l{k}_reverse" if d == 1 else f"_l{k}"
            h = numbers(rows_h[row]) if rows_h else [mp.zero] * (config.proj_size or H)
            c = None if config.kind != "lstm" else numbers(rows_c[row]) if rows_c else [mp.zero] * H
            hs = []
            for x_t in reversed(steps) if d == 1 else steps:
                h, c = _step(config, P, suffix, x_t, h, c)
                hs.append(h)
            halves.append(hs[::-1] if d == 1 else hs)
            h_n.append(h)
            c_n.append(c)
        steps = [[h_j for h in at_t for h_j in h] for at_t in zip(*halves, strict=True)]
        if masks is not None and k < config.num_layers - 1:
            steps = [_dropout(config.dropout, h_t, kept) for h_t, kept in zip(steps, masks[k], strict=True)]
    return steps, h_n, c_n


def _dropout(p, h, kept):
    return [h_j / (1 - mp.mpf(p)) if keep else mp.zero for h_j, keep in zip(h, kept, strict=True)]


def _step(config, P, suffix, x, h, c):
    """Evaluate the equations of one step, and then the projection h_t = W_hr h_t."""
    H, blocks = config.hidden_size, BLOCKS[config.kind]

    def linear(side, gate, v):
        """Multiply the gate's block of weight_ih (or _hh) by v and add its block of the bias."""
        W, b = P[f"weight_{side}{suffix}"], P.get(f"bias_{side}{suffix}")
        first = blocks.index(gate) * H
        return [_dot(W[j], v) + (b[j] if b else 0) for j in range(first, first + H)]

    h, c = EQUATIONS[config.kind](lambda g: linear("ih", g, x), lambda g, h: linear("hh", g, h), h, c)
    if f"weight_hr{suffix}" in P:
        h = [_dot(row, h) for row in P[f"weight_hr{suffix}"]]
    return h, c


def _dot(w, v):
    total = mp.zero
    for w_j, v_j in zip(w, v, strict=True):
        total += w_j * v_j
    return total


def exact(parameters):
    """Convert parameters to nested lists of 50-digit numbers."""
    return {name: numbers(values) for name, values in parameters.items()}


def numbers(array):
    """Convert an array to nested lists of 50-digit numbers, without rounding."""
    return [numbers(a) if np.ndim(a) else mp.mpf(float(a)) for a in array]


def _array(nested):
    return None if nested is None or nested[0] is None else np.array(nested, dtype=object)
