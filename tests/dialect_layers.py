"""Layers in the dialects, as strangers write them: in torch, with torch's own arithmetic and gradients.

On the command line ``tests.dialect_layers:RESET_BEFORE`` names one. ``PLAIN_UNDER_CLAIM`` is torch's own equation under
a claim that is wrong, ``RESET_BEFORE_UNCLAIMED`` a dialect that nobody claims.
"""

from __future__ import annotations

from functools import partial

import torch

from conformance.torch import function_backend


def gru(x, h_0, c_0, weights, *, reset_before, inverted):
    """Return output and h_n of a GRU of one layer; one bias is loaded where the equation has no use for two."""
    W, R = weights["weight_ih_l0"], weights["weight_hh_l0"]
    zeros = torch.zeros(len(W), dtype=x.dtype)
    b, d = (weights.get(name, zeros) for name in ("bias_ih_l0", "bias_hh_l0"))
    h, output, H = h_0[0], [], R.shape[1]
    for x_t in x:
        a = torch.nn.functional.linear(x_t, W, b + d if reset_before else b)
        r, z = torch.sigmoid(a[..., : 2 * H] + h @ R[: 2 * H].T + (0 if reset_before else d[: 2 * H])).split(H, -1)
        if reset_before:
            n = torch.tanh(a[..., 2 * H :] + (r * h) @ R[2 * H :].T)
        else:
            n = torch.tanh(a[..., 2 * H :] + r * (h @ R[2 * H :].T + d[2 * H :]))
        h = (1 - z) * h + z * n if inverted else n + z * (h - n)
        output.append(h)
    return torch.stack(output), h[None]


def lstm(x, h_0, c_0, weights):
    """Return output, h_n and c_n of an LSTM of one layer that adds 1 to the forget gate."""
    both = torch.cat([weights["weight_ih_l0"], weights["weight_hh_l0"]], 1)
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"] if "bias_ih_l0" in weights else None
    h, c, output = h_0[0], c_0[0], []
    for x_t in x:
        i, f, g, o = torch.nn.functional.linear(torch.cat([x_t, h], -1), both, bias).chunk(4, -1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        output.append(h)
    return torch.stack(output), h[None], c[None]


def _named(name, function, kind, *dialects):
    claim = {"dialects": {kind: dialects}} if dialects else {}
    return function_backend(function, kinds=kind, name=name, version="test", dtypes=("float32",), **claim)


before, other = {"reset_before": True, "inverted": False}, {"reset_before": False, "inverted": True}
RESET_BEFORE = _named("reset-before", partial(gru, **before), "gru", "reset-before-product")
INVERTED = _named("inverted", partial(gru, **other), "gru", "update-gate-inverted")
BOTH = _named(
    "both", partial(gru, reset_before=True, inverted=True), "gru", "reset-before-product", "update-gate-inverted"
)
FORGET = _named("forget", lstm, "lstm", "forget-gate-plus-one")
RIGHT = {"RESET_BEFORE": RESET_BEFORE, "INVERTED": INVERTED, "BOTH": BOTH, "FORGET": FORGET}

plain = partial(gru, reset_before=False, inverted=False)
PLAIN_UNDER_CLAIM = _named("plain", plain, "gru", "reset-before-product")
RESET_BEFORE_UNCLAIMED = _named("unclaimed", partial(gru, **before), "gru")
BOTH_UNCLAIMED = _named("both-unclaimed", partial(gru, reset_before=True, inverted=True), "gru")
FORGET_UNCLAIMED = _named("forget-unclaimed", lstm, "lstm")
