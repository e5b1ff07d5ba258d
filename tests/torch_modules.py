"""Modules of another project: a hand-written LSTM, GRU and cell, right and wrong. The tests copy this file."""

import torch
from torch import nn


def checked(x, states, shape):
    """Return x's states. Raises ValueError unless each has the shape and x's dtype."""
    for state in states:
        if state.shape != shape or state.dtype != x.dtype:
            raise ValueError(f"a state of {state.shape} and {state.dtype}, expected {shape} and {x.dtype}")
    return states


class MyLSTM(nn.Module):
    """An LSTM of one layer that takes (N, T, I) and has torch.nn's names."""

    order = "ifgo"

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.weight_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))
        self.weight_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size, input_size))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(4 * hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.zeros(4 * hidden_size))

    def forward(self, x, states=None):
        samples, steps, features = x.shape
        if features != self.input_size:
            raise ValueError(f"{features} features, expected {self.input_size}")
        if states is None:
            h = c = x.new_zeros(samples, self.hidden_size)
        else:
            h, c = (state[0] for state in checked(x, states, (1, samples, self.hidden_size)))
        output = []
        for step in range(steps):
            u = h @ self.weight_hh_l0.T + self.bias_hh_l0
            blocks = (x[:, step] @ self.weight_ih_l0.T + self.bias_ih_l0 + u).chunk(4, -1)
            a = dict(zip(self.order, blocks, strict=True))
            c = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * torch.tanh(a["g"])
            h = torch.sigmoid(a["o"]) * torch.tanh(c)
            output.append(h)
        return torch.stack(output, 1), (h[None], c[None])


class SwappedLSTM(MyLSTM):
    """An LSTM with the blocks f|i|g|o."""

    order = "figo"


class OutputLSTM(MyLSTM):
    """An LSTM that returns its output alone."""

    def forward(self, x, states=None):
        return super().forward(x, states)[0]


class SwappedOutputLSTM(SwappedLSTM):
    """The wrong LSTM, which returns its output alone."""

    def forward(self, x, states=None):
        return super().forward(x, states)[0]


class LastLSTM(MyLSTM):
    """An LSTM that returns its last state alone, (N, H)."""

    def forward(self, x, states=None):
        return super().forward(x, states)[1][0][0]


class GatesGRU(nn.Module):
    """A GRU with matrices for each gate, x first transposed, and h (1, N, H)."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x2h = nn.ParameterDict({gate: torch.zeros(input_size, hidden_size) for gate in "rzn"})
        self.h2h = nn.ModuleDict({gate: nn.Linear(hidden_size, hidden_size) for gate in "rzn"})
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))

    def forward(self, x, h=None):
        _, samples, _ = x.shape
        H = len(self.h2h["r"].bias)
        (h,) = x.new_zeros(1, samples, H) if h is None else checked(x, [h], (1, samples, H))[0]
        b_r, b_n, b_z = self.bias.chunk(3)
        output = []
        for x_t in x:
            r = torch.sigmoid(x_t @ self.x2h["r"] + b_r + self.h2h["r"](h))
            z = torch.sigmoid(x_t @ self.x2h["z"] + b_z + self.h2h["z"](h))
            n = torch.tanh(x_t @ self.x2h["n"] + b_n + r * self.h2h["n"](h))
            h = n + z * (h - n)
            output.append(h)
        return torch.stack(output), h[None]


class Wrapped(nn.Module):
    """torch.nn's LSTM behind another interface: no states, the output alone."""

    def __init__(self, input_size, hidden_size, **others):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, **others)

    def forward(self, x):
        return self.lstm(x)[0]


class Step(nn.Module):
    """A cell that wraps torch.nn's and checks the states' dtype, which that one does not."""

    def __init__(self, input_size, hidden_size, bias=True):
        super().__init__()
        self.cell = nn.LSTMCell(input_size, hidden_size, bias)

    def forward(self, x, states=None):
        if states is not None and any(state.dtype != x.dtype for state in states):
            raise ValueError("a state of another dtype")
        return self.cell(x, states)


class SameStep(Step):
    """A wrong cell: it returns h as c."""

    def forward(self, x, states=None):
        h, _ = super().forward(x, states)
        return h, h


def my_gru(x, h_0, c_0, weights):
    """Return output and h_n of a GRU."""
    h, output = h_0[0], []
    for x_t in x:
        x_r, x_z, x_n = (x_t @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]).chunk(3, -1)
        u_r, u_z, u_n = (h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]).chunk(3, -1)
        r, z = torch.sigmoid(x_r + u_r), torch.sigmoid(x_z + u_z)
        n = torch.tanh(x_n + r * u_n)
        h = n + z * (h - n)
        output.append(h)
    return torch.stack(output), h[None]


def detached_gru(x, h_0, c_0, weights):
    """Return output and h_n of a GRU whose gradients miss the recurrent weights."""
    return my_gru(x, h_0, c_0, weights | {"weight_hh_l0": weights["weight_hh_l0"].detach()})
