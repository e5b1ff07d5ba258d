"""A library with one recurrent layer: tanh, one direction, batch first, one bias, transposed matrices."""

import numpy as np


class TanhRNN:
    """A layer with h_t = tanh(x_t kernel + h_{t-1} recurrent_kernel + bias)."""

    def __init__(self, kernel, recurrent_kernel, bias=None):
        self.kernel, self.recurrent_kernel = kernel, recurrent_kernel
        self.bias = np.zeros(kernel.shape[1], kernel.dtype) if bias is None else bias

    def __call__(self, x, h=None):
        """Return every h_t (N, T, H) for x (N, T, I), from h (N, H) or zeros."""
        h = np.zeros((len(x), self.kernel.shape[1]), x.dtype) if h is None else h
        states = []
        for t in range(x.shape[1]):
            h = np.tanh(x[:, t] @ self.kernel + h @ self.recurrent_kernel + self.bias)
            states.append(h)
        return np.stack(states, axis=1)
