"""A small GRU and LSTM in Triton, forward and backward: each step's gates are one kernel.

``Kernels`` says how they are written: right by default, with three faults that real kernels have.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice

BLOCK = 128


class Kernels(NamedTuple):
    """Ways of writing the kernels; the defaults are right."""

    blocks: bool = True
    """Every block of units is computed; False: the first 128 alone."""
    exact: bool = True
    """libdevice's tanh; False: (exp(2a) - 1) / (exp(2a) + 1), which is NaN beyond 44."""
    activated: bool = True
    """The workspace holds the gates after activation; False: before, and the backward pass takes them as they are."""


@triton.jit
def tanh(a, EXACT: tl.constexpr):
    if EXACT:
        return libdevice.tanh(a)
    else:  # noqa: RET505  two branches of a constant, of which Triton compiles one
        e = tl.exp(2 * a)
        return (e - 1) / (e + 1)


@triton.jit
def lstm_forward(a, c, h_t, c_t, work, H, BLOCK: tl.constexpr, EXACT: tl.constexpr, ACTIVATED: tl.constexpr):
    n, unit = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < H
    row = a + n * 4 * H + unit
    a_i, a_f = tl.load(row, mask=inside), tl.load(row + H, mask=inside)
    a_g, a_o = tl.load(row + 2 * H, mask=inside), tl.load(row + 3 * H, mask=inside)
    i, f, g, o = tl.sigmoid(a_i), tl.sigmoid(a_f), tanh(a_g, EXACT), tl.sigmoid(a_o)
    new = f * tl.load(c + n * H + unit, mask=inside) + i * g
    tl.store(c_t + n * H + unit, new, mask=inside)
    tl.store(h_t + n * H + unit, o * tanh(new, EXACT), mask=inside)
    out = work + n * 4 * H + unit
    tl.store(out, i if ACTIVATED else a_i, mask=inside)
    tl.store(out + H, f if ACTIVATED else a_f, mask=inside)
    tl.store(out + 2 * H, g if ACTIVATED else a_g, mask=inside)
    tl.store(out + 3 * H, o if ACTIVATED else a_o, mask=inside)


@triton.jit
def lstm_backward(work, c, c_t, d_h, d_c, d_a, d_c_0, H, BLOCK: tl.constexpr, EXACT: tl.constexpr):
    n, unit = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < H
    row, state = work + n * 4 * H + unit, n * H + unit
    i, f = tl.load(row, mask=inside), tl.load(row + H, mask=inside)
    g, o = tl.load(row + 2 * H, mask=inside), tl.load(row + 3 * H, mask=inside)
    t = tanh(tl.load(c_t + state, mask=inside), EXACT)
    d_h_t = tl.load(d_h + state, mask=inside)
    d_c_t = tl.load(d_c + state, mask=inside) + d_h_t * o * (1 - t * t)
    out = d_a + n * 4 * H + unit
    tl.store(out, d_c_t * g * i * (1 - i), mask=inside)
    tl.store(out + H, d_c_t * tl.load(c + state, mask=inside) * f * (1 - f), mask=inside)
    tl.store(out + 2 * H, d_c_t * i * (1 - g * g), mask=inside)
    tl.store(out + 3 * H, d_h_t * t * o * (1 - o), mask=inside)
    tl.store(d_c_0 + state, d_c_t * f, mask=inside)


@triton.jit
def gru_forward(x, u, h, h_t, work, H, BLOCK: tl.constexpr, EXACT: tl.constexpr, ACTIVATED: tl.constexpr):
    n, unit = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < H
    x_row, u_row, state = x + n * 3 * H + unit, u + n * 3 * H + unit, n * H + unit
    a_r = tl.load(x_row, mask=inside) + tl.load(u_row, mask=inside)
    a_z = tl.load(x_row + H, mask=inside) + tl.load(u_row + H, mask=inside)
    r, z = tl.sigmoid(a_r), tl.sigmoid(a_z)
    new = tanh(tl.load(x_row + 2 * H, mask=inside) + r * tl.load(u_row + 2 * H, mask=inside), EXACT)
    tl.store(h_t + state, new + z * (tl.load(h + state, mask=inside) - new), mask=inside)
    out = work + n * 3 * H + unit
    tl.store(out, r if ACTIVATED else a_r, mask=inside)
    tl.store(out + H, z if ACTIVATED else a_z, mask=inside)
    tl.store(out + 2 * H, new, mask=inside)


@triton.jit
def gru_backward(work, u, h, d_h, d_x, d_u, d_h_0, H, BLOCK: tl.constexpr):
    n, unit = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < H
    row, state = work + n * 3 * H + unit, n * H + unit
    r, z = tl.load(row, mask=inside), tl.load(row + H, mask=inside)
    new = tl.load(row + 2 * H, mask=inside)
    d_h_t = tl.load(d_h + state, mask=inside)
    d_n = d_h_t * (1 - z) * (1 - new * new)
    d_z = d_h_t * (tl.load(h + state, mask=inside) - new) * z * (1 - z)
    d_r = d_n * tl.load(u + n * 3 * H + 2 * H + unit, mask=inside) * r * (1 - r)
    for d, d_last in ((d_x, d_n), (d_u, d_n * r)):
        out = d + n * 3 * H + unit
        tl.store(out, d_r, mask=inside)
        tl.store(out + H, d_z, mask=inside)
        tl.store(out + 2 * H, d_last, mask=inside)
    tl.store(d_h_0 + state, d_h_t * z, mask=inside)


def grid(state, kernels):
    """Return the programs for a state (N, H): one for each sample and block of units."""
    samples, H = state.shape
    return samples, triton.cdiv(H, BLOCK) if kernels.blocks else 1


class LSTMStep(torch.autograd.Function):
    """(h', c') of the gates before activation (N, 4H) and c (N, H)."""

    @staticmethod
    def forward(ctx, a, c, kernels):
        a, c = a.contiguous(), c.contiguous()
        h_t, c_t, work = torch.zeros_like(c), torch.zeros_like(c), torch.zeros_like(a)
        lstm_forward[grid(c, kernels)](a, c, h_t, c_t, work, c.shape[1], BLOCK, kernels.exact, kernels.activated)
        ctx.save_for_backward(work, c, c_t)
        ctx.kernels = kernels
        return h_t, c_t

    @staticmethod
    def backward(ctx, d_h, d_c):
        work, c, c_t = ctx.saved_tensors
        d_a, d_c_0 = torch.zeros_like(work), torch.zeros_like(c)
        cotangents = d_h.contiguous(), d_c.contiguous()
        lstm_backward[grid(c, ctx.kernels)](work, c, c_t, *cotangents, d_a, d_c_0, c.shape[1], BLOCK, ctx.kernels.exact)
        return d_a, d_c_0, None


class GRUStep(torch.autograd.Function):
    """h' of x's and h's parts of the gates (N, 3H), and h (N, H)."""

    @staticmethod
    def forward(ctx, x, u, h, kernels):
        x, u, h = x.contiguous(), u.contiguous(), h.contiguous()
        h_t, work = torch.zeros_like(h), torch.zeros_like(x)
        gru_forward[grid(h, kernels)](x, u, h, h_t, work, h.shape[1], BLOCK, kernels.exact, kernels.activated)
        ctx.save_for_backward(work, u, h)
        ctx.kernels = kernels
        return h_t

    @staticmethod
    def backward(ctx, d_h):
        work, u, h = ctx.saved_tensors
        d_x, d_u, d_h_0 = torch.zeros_like(work), torch.zeros_like(work), torch.zeros_like(h)
        gru_backward[grid(h, ctx.kernels)](work, u, h, d_h.contiguous(), d_x, d_u, d_h_0, h.shape[1], BLOCK)
        return d_x, d_u, d_h_0, None


def layer(x, h_0, c_0, weights, kernels):
    """Return output, h_n and, for an LSTM, c_n of a layer of one direction."""
    h, c, output = h_0[0], None if c_0 is None else c_0[0], []
    for x_t in x:
        x_part = x_t @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        u = h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        if c is None:
            h = GRUStep.apply(x_part, u, h, kernels)
        else:
            h, c = LSTMStep.apply(x_part + u, c, kernels)
        output.append(h)
    return torch.stack(output), h[None], None if c is None else c[None]


@triton.autotune(configs=[triton.Config({"SIZE": 16}), triton.Config({"SIZE": 32})], key=["count"])
@triton.jit
def autotuned_sum(x, y, count, SIZE: tl.constexpr):
    """Store erf(x) + exp2(x) + x**2."""
    at = tl.arange(0, SIZE)
    inside = at < count
    value = tl.load(x + at, mask=inside)
    tl.store(y + at, libdevice.erf(value) + libdevice.exp2(value) + libdevice.pow(value, 2.0), mask=inside)
