"""Layers by hand in NumPy's float32, each with a mistake that the bank of faults does not have.

They share no arithmetic with the oracle: ``tests/test_unknown_mistakes.py`` reads what the suite says of them.
"""

from __future__ import annotations

import numpy as np

from conformance import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedLayer

F = np.float32
PACKED = {}  # weights by their shapes


def sigmoid(a):
    return F(0.5) + F(0.5) * np.tanh(F(0.5) * a)


class ByHand(CheckedLayer):
    """A right layer of an LSTM, GRU or RNN with tanh, a sample and a step at a time. Subclasses make a mistake."""

    calls = 0

    def build(self, weights):
        self.weights = weights

    def tanh(self, a):
        return np.tanh(a)

    def bias(self, b):
        return b

    def lengths(self, lengths, T, N):
        return [T] * N if lengths is None else list(lengths)

    def finished(self, output, h_n, c_n):
        return output, h_n, c_n

    def step(self, x, h, c, w):
        a, u = x @ w.weight_ih.T, h @ w.weight_hh.T
        if w.bias_ih is not None:
            a, u = a + self.bias(w.bias_ih), u + self.bias(w.bias_hh)
        if self.config.kind == "rnn_tanh":
            return self.tanh(a + u), c
        if self.config.kind == "gru":
            (ar, az, an), (ur, uz, un) = np.split(a, 3), np.split(u, 3)
            z = sigmoid(az + uz)
            return (F(1) - z) * self.tanh(an + sigmoid(ar + ur) * un) + z * h, c
        i, f, g, o = np.split(a + u, 4)
        c = sigmoid(f) * c + sigmoid(i) * self.tanh(g)
        h = sigmoid(o) * self.tanh(c)
        return (h if w.weight_hr is None else h @ w.weight_hr.T), c

    def compute(self, x, h_0, c_0, lengths):
        self.calls += 1
        config, single = self.config, x.ndim == 2
        if single:
            x, h_0, c_0 = (a if a is None else a[:, None] for a in (x, h_0, c_0))
        elif config.batch_first:
            x = x.swapaxes(0, 1)
        T, N, _ = x.shape
        D, O, H = 1 + config.bidirectional, config.proj_size or config.hidden_size, config.hidden_size
        h_n = np.zeros((D * config.num_layers, N, O), F) if h_0 is None else h_0.copy()
        c_n = np.zeros((D * config.num_layers, N, H), F) if c_0 is None else c_0.copy()
        for k in range(config.num_layers):
            output = np.zeros((T, N, D * O), F)
            for d in range(D):
                row = k * D + d
                for n, length in enumerate(self.lengths(lengths, T, N)):
                    h, c = h_n[row, n], c_n[row, n]
                    for t in range(length)[:: -1 if d else 1]:
                        h, c = self.step(x[t, n], h, c, self.weights[row])
                        output[t, n, d * O : (d + 1) * O] = h
                    h_n[row, n], c_n[row, n] = h, c
            x = output
        output, h_n, c_n = self.finished(output, h_n, c_n)
        if single:
            output, h_n, c_n = output[:, 0], h_n[:, 0], c_n[:, 0]
        elif config.batch_first:
            output = np.ascontiguousarray(output.swapaxes(0, 1))
        return Result(output, h_n, c_n if config.kind == "lstm" else None)


class LastStepOff(ByHand):
    def finished(self, output, h_n, c_n):
        output[-1] += F(0.01)
        return output, h_n, c_n


class MiddleHalved(ByHand):
    def finished(self, output, h_n, c_n):
        if len(output) > 2:
            output[len(output) // 2] *= F(0.5)
        return output, h_n, c_n


class HardTanh(ByHand):
    def tanh(self, a):
        return np.clip(a, F(-1), F(1))


class HardTanhWithoutLengths(HardTanh):
    def lengths(self, lengths, T, N):
        return [T] * N


class NoBiasInTheFirstCall(ByHand):
    def bias(self, b):
        return b * F(self.calls > 1)


class SwappedStates(ByHand):
    """Its states of the first two layers are exchanged if there are three layers."""

    def compute(self, x, h_0, c_0, lengths):
        if h_0 is not None and self.config.num_layers == 3:
            D = 1 + self.config.bidirectional
            order = [*range(D, 2 * D), *range(D), *range(2 * D, 3 * D)]
            h_0, c_0 = (a if a is None else a[order] for a in (h_0, c_0))
        return super().compute(x, h_0, c_0, lengths)


class Squeezed(ByHand):
    def compute(self, x, h_0, c_0, lengths):
        found = super().compute(x, h_0, c_0, lengths)
        return Result(found.output.squeeze(), found.h_n, found.c_n)


class StaleOutput(ByHand):
    """A call of one step returns the previous output if the shapes are equal."""

    before = None

    def finished(self, output, h_n, c_n):
        stale, self.before = self.before, output.copy()
        if len(output) > 1 or stale is None or stale.shape != output.shape:
            return output, h_n, c_n
        return stale, h_n, c_n


class Doubled(ByHand):
    """The output of a call is added to the previous one if the shapes are equal."""

    before = ()

    def finished(self, output, h_n, c_n):
        again, self.before = output.shape == self.before, output.shape
        return output * F(1 + again), h_n, c_n


class PackedOnce(ByHand):
    """The weights of the first layer in the process serve every layer of the same shapes."""

    def build(self, weights):
        shapes = str([[None if a is None else a.shape for a in each] for each in weights])
        self.weights = PACKED.setdefault(shapes, weights)


class OneStepOff(ByHand):
    """A call of one step returns numbers that are too large."""

    def finished(self, output, h_n, c_n):
        return output + F(0.01) if len(output) == 1 else output, h_n, c_n


class OneSampleHalved(ByHand):
    """A batch of one sample returns half of the last hidden state."""

    def finished(self, output, h_n, c_n):
        return output, h_n * F(0.5) if h_n.shape[1] == 1 else h_n, c_n


def backend(layer: type[ByHand], kind: str) -> type[CheckedBackend]:
    """Return the class of a backend of one kind in float32 with such layers."""
    features = Features(kinds=kind, dtypes="float32")
    return type(layer.__name__, (CheckedBackend,), {"name": layer.__name__, "layer_class": layer, "features": features})


right = backend(ByHand, "lstm")
last_step_off = backend(LastStepOff, "gru")
middle_halved = backend(MiddleHalved, "lstm")
hard_tanh = backend(HardTanh, "lstm")
hard_tanh_without_lengths = backend(HardTanhWithoutLengths, "lstm")
no_bias_in_the_first_call = backend(NoBiasInTheFirstCall, "rnn_tanh")
swapped_states = backend(SwappedStates, "lstm")
squeezed = backend(Squeezed, "gru")
stale_output = backend(StaleOutput, "gru")
doubled = backend(Doubled, "rnn_tanh")
packed_once = backend(PackedOnce, "rnn_tanh")
one_step_off = backend(OneStepOff, "gru")
one_sample_halved = backend(OneSampleHalved, "lstm")
