"""ONNX's pages of RNN, LSTM and GRU, evaluated one number at a time in 50 digits.

It is a second opinion on ``reference.onnx`` and shares no code with it. It has no batch and no padding: each sample is
a list of steps cut at its own length, the reverse direction is the forward one on the reversed list, and a gate is a
slice of W, R and B that is read where it is used.
"""

from __future__ import annotations

import mpmath
import numpy as np

mp = mpmath.mp.clone()
mp.dps = 50

# The functions of the pages; a and b are alpha and beta.
FUNCTIONS = {
    "Relu": lambda x, a, b: max(mp.zero, x),
    "Tanh": lambda x, a, b: (1 - mp.exp(-2 * x)) / (1 + mp.exp(-2 * x)),
    "Sigmoid": lambda x, a, b: 1 / (1 + mp.exp(-x)),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, b: x if x >= 0 else a * x,
    "ThresholdedRelu": lambda x, a, b: x if x >= a else mp.zero,
    "ScaledTanh": lambda x, a, b: a * mp.tanh(b * x),
    "HardSigmoid": lambda x, a, b: min(max(a * x + b, mp.zero), mp.one),
    "Elu": lambda x, a, b: x if x >= 0 else a * (mp.exp(x) - 1),
    "Softsign": lambda x, a, b: x / (1 + abs(x)),
    "Softplus": lambda x, a, b: mp.log(1 + mp.exp(x)),
}
ALPHA = {"Affine": None, "LeakyRelu": 0.01, "ThresholdedRelu": 1, "ScaledTanh": None, "HardSigmoid": 0.2, "Elu": 1}
BETA = {"Affine": None, "ScaledTanh": None, "HardSigmoid": 0.5}


def number(value):
    return mp.mpf(float(value))


def functions(node):
    """Return every activation of the node, as functions of one number."""
    per = {"RNN": ["Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}[node.op_type]
    names = list(node.activations or per * (2 if node.direction == "bidirectional" else 1))
    given = {"alpha": list(node.activation_alpha or []), "beta": list(node.activation_beta or [])}
    clip = None if node.clip is None else number(np.float32(node.clip))

    def made(name, a, b):
        def apply(x):
            if clip is not None:
                x = clip if x > clip else -clip if x < -clip else x
            return FUNCTIONS[name](x, a, b)

        return apply

    found = []
    for name in names:
        a = np.float32(given["alpha"].pop(0) if given["alpha"] else ALPHA[name]) if name in ALPHA else 0
        b = np.float32(given["beta"].pop(0) if given["beta"] else BETA[name]) if name in BETA else 0
        found.append(made(name, number(a), number(b)))
    return found, len(per)


def dot(row, vector):
    return mp.fsum(number(w) * x for w, x in zip(row, vector, strict=True))


def step(node, acts, x, H, C, W, R, B, P):
    """Return the next hidden and cell state of one sample, lists of numbers."""
    size = node.hidden_size
    gates = {"RNN": ["i"], "LSTM": ["i", "o", "f", "c"], "GRU": ["z", "r", "h"]}[node.op_type]

    def at(gate, j):
        return gates.index(gate) * size + j

    def wx(gate, j):
        return dot(W[at(gate, j)], x)

    def rh(gate, j, state):
        return dot(R[at(gate, j)], state)

    def wb(gate, j):
        return mp.zero if B is None else number(B[at(gate, j)])

    def rb(gate, j):
        return mp.zero if B is None else number(B[len(gates) * size + at(gate, j)])

    def p(gate, j):
        return mp.zero if P is None else number(P["iof".index(gate) * size + j])

    units = range(size)
    if node.op_type == "RNN":
        return [acts[0](wx("i", j) + rh("i", j, H) + wb("i", j) + rb("i", j)) for j in units], C
    if node.op_type == "GRU":
        z, r = ([acts[0](wx(k, j) + rh(k, j, H) + wb(k, j) + rb(k, j)) for j in units] for k in "zr")
        if node.linear_before_reset:
            h = [acts[1](wx("h", j) + r[j] * (rh("h", j, H) + rb("h", j)) + wb("h", j)) for j in units]
        else:
            reset = [r[j] * H[j] for j in units]
            h = [acts[1](wx("h", j) + rh("h", j, reset) + rb("h", j) + wb("h", j)) for j in units]
        return [(1 - z[j]) * h[j] + z[j] * H[j] for j in units], C

    def gate(k, j, cell):
        return acts[0](wx(k, j) + rh(k, j, H) + p(k, j) * cell[j] + wb(k, j) + rb(k, j))

    i = [gate("i", j, C) for j in units]
    f = [1 - i[j] if node.input_forget else gate("f", j, C) for j in units]
    c = [acts[1](wx("c", j) + rh("c", j, H) + wb("c", j) + rb("c", j)) for j in units]
    C = [f[j] * C[j] + i[j] * c[j] for j in units]
    o = [gate("o", j, C) for j in units]
    return [o[j] * acts[2](C[j]) for j in units], C


def node(operator, X, W, R, B=None, sequence_lens=None, initial_h=None, initial_c=None, P=None):
    """Return (Y, Y_h, Y_c) in the documented layouts, as arrays of 50-digit numbers; Y_c is None unless LSTM."""
    acts, per = functions(operator)
    batch_first, size = operator.layout == 1, operator.hidden_size
    N, T = X.shape[:2] if batch_first else X.shape[1::-1]
    D = 2 if operator.direction == "bidirectional" else 1
    Y = np.full((N, T, D, size), mp.zero, object)
    ends = np.full((2, N, D, size), mp.zero, object)
    for n in range(N):
        length = T if sequence_lens is None else int(sequence_lens[n])
        steps = [[number(v) for v in (X[n, t] if batch_first else X[t, n])] for t in range(length)]
        for d in range(D):
            places = list(range(length))
            if d == 1 or operator.direction == "reverse":
                places.reverse()
            H, C = (
                [mp.zero] * size if s is None else [number(v) for v in (s[n, d] if batch_first else s[d, n])]
                for s in (initial_h, initial_c)
            )
            own = acts[d * per : (d + 1) * per]
            for t in places:
                parts = (None if a is None else a[d] for a in (B, P))
                H, C = step(operator, own, steps[t], H, C, W[d], R[d], *parts)
                Y[n, t, d] = H
            ends[0, n, d], ends[1, n, d] = H, C
    if not batch_first:
        Y, ends = Y.transpose(1, 2, 0, 3), ends.transpose(0, 2, 1, 3)
    return Y, ends[0], ends[1] if operator.op_type == "LSTM" else None
