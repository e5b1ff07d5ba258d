"""Dialects: equations that other frameworks document, each a change of one kind's equation.

A dialect in force (``speaking``) changes the oracle: the forward pass, the gradients, and with them the tolerance.
Parameters keep PyTorch's names and shapes. Both biases of every gate are summands, so that a framework with one bias
loads their sum; in a GRU that resets h before the product this holds for n too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.cells import EQUATIONS, Array, blocks, d_tanh, d_σ, tanh, σ
from reference.config import require

Equation = Callable[[Array, Array, Array, Array], tuple[Array, Array | None]]
Backward = Callable[[Array, Array, Array, Array, Array, Array], Any]


@dataclass(frozen=True)
class Dialect:
    """One documented equation other than PyTorch's."""

    name: str
    kind: str
    equation: str
    """What differs, as the documentations write it."""
    source: str
    """Who documents it, with the place."""
    fault: str
    """The known fault of torch.nn with the same numbers, which a backend has that does not claim the dialect."""


RESET_BEFORE, UPDATE_INVERTED, FORGET_PLUS_ONE = (
    "reset-before-product",
    "update-gate-inverted",
    "forget-gate-plus-one",
)
DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            RESET_BEFORE,
            "gru",
            "n_t = tanh(W_in x_t + b_in + W_hn (r_t h_{t-1}) + b_hn)",
            "Cho et al., arXiv 1406.1078, equation 8; ONNX, GRU with linear_before_reset=0; Keras, GRU with "
            "reset_after=False",
            "gru-reset-before-product",
        ),
        Dialect(
            UPDATE_INVERTED,
            "gru",
            "h_t = (1 - z_t) h_{t-1} + z_t n_t",
            "Chung et al., arXiv 1412.3555, equation 5",
            "gru-update-inverted",
        ),
        Dialect(
            FORGET_PLUS_ONE,
            "lstm",
            "f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf + 1)",
            "Jozefowicz et al., 2015, section 2.2; TensorFlow, BasicLSTMCell with forget_bias=1.0",
            "lstm-forget-bias-one",
        ),
    )
}
"""Every dialect by its name."""

_SPOKEN: ContextVar[Mapping[str, tuple[str, ...]] | None] = ContextVar("dialects", default=None)


@contextmanager
def speaking(dialects: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Put dialects in force inside this context, by kind; those that were in force before are not."""
    token = _SPOKEN.set(dialects)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def spoken(kind: str) -> tuple[str, ...]:
    """Return the names of the dialects in force for a kind."""
    return (_SPOKEN.get() or {}).get(kind, ())


def is_inverted(kind: str, gate: str) -> bool:
    """Return whether a gate is 1 in the dialects in force where PyTorch's equation needs it to be 0."""
    return kind == "gru" and gate == "z" and UPDATE_INVERTED in spoken(kind)


def plain_dialects(given: Any, kinds: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return a claim of dialects with the names of each kind in the order of ``DIALECTS``.

    ``given`` is a mapping from kinds to a name or to several names. Raises ValueError for an unknown kind or name, for
    a kind that is not among ``kinds``, and for a dialect of another kind.
    """
    require(isinstance(given, Mapping), "dialects", "a mapping from kinds to names of dialects", given)
    claimed, found = [*kinds], {}
    with_dialects = sorted({dialect.kind for dialect in DIALECTS.values()})
    for kind, names in given.items():
        plain = next((known for known in with_dialects if known == kind), None)
        require(plain is not None, "dialects", f"kinds that have dialects ({', '.join(with_dialects)})", kind)
        require(kind in claimed, "dialects", f"kinds that are claimed ({', '.join(claimed)})", kind)
        several = isinstance(names, Iterable) and not isinstance(names, str)
        asked = [*names] if several else [names]
        known = [name for name, dialect in DIALECTS.items() if dialect.kind == kind]
        good = bool(asked) and all(name in known for name in asked)
        require(good, f"dialects[{kind!r}]", f"some of {', '.join(known)}", names)
        found[str(plain)] = tuple(name for name in known if name in asked)
    return {kind: found[kind] for kind in EQUATIONS if kind in found}


def judged_by(dialects: Mapping[str, Iterable[str]], sources: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence for each kind with a dialect: the equation that judges the kind, and its source.

    The arguments are those of ``Features``, or a report's; a name that is not known has no equation.
    """
    found = {}
    for kind, names in dialects.items():
        known = [DIALECTS[name] for name in names if name in DIALECTS]
        equations = ", ".join(dialect.equation for dialect in known)
        source = sources.get(kind) or "; ".join(dialect.source for dialect in known)
        found[kind] = f"{kind.upper()} judged by {' and '.join(names)}: {equations} (source: {source})"
    return found


# --- the forward pass -----------------------------------------------------------------------------------


def equation_of(kind: str, W_hh: Array, b_hh: Array | None) -> Equation:
    """Return the equation of a kind in the dialects in force, for one direction's W_hh (H, G*H) and b_hh (G*H).

    The equation takes x, u, h and c as those of reference.cells.
    """
    names, equation = spoken(kind), EQUATIONS[kind]
    if not names:
        return equation
    W_hn, b_hn = _new_gate(W_hh, b_hh) if RESET_BEFORE in names else (None, None)

    def changed(x: Array, u: Array, h: Array, c: Array) -> tuple[Array, Array | None]:
        x, u = _moved(names, x), _moved(names, u, shifted=False)
        if W_hn is None:
            return equation(x, u, h, c)
        if equation is _PLAIN_GRU:
            return gru_reset_before_product(x, u, h, W_hn, b_hn)
        _, product = _reset(x, u, h, W_hn, b_hn)
        return equation(*_opened(x, u, product), h, c)

    return changed


def gru_reset_before_product(x: Array, u: Array, h: Array, W_hn: Array, b_hn: Array | None) -> tuple[Array, None]:
    """Compute a GRU that resets h before its product with W_hn (H, H); u_n is not used."""
    (x_r, x_z, x_n), (u_r, u_z, _) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    u_n = (r_t * h) @ W_hn if b_hn is None else (r_t * h) @ W_hn + b_hn
    n_t = tanh(x_n + u_n)
    h_t = (1 - z_t) * n_t + z_t * h
    return h_t, None


_PLAIN_GRU = EQUATIONS["gru"]  # a fault exchanges it


def _moved(names: tuple[str, ...], a: Array, shifted: bool = True) -> Array:
    """Return x or u as PyTorch's equation takes it: with 1 added to x_f, or with x_z and u_z negated.

    sigmoid(-a) is 1 - sigmoid(a), so that (1 - z) h + z n is PyTorch's line with z of the negated sum.
    """
    if UPDATE_INVERTED in names:
        r, z, n = blocks(a, 3)
        return np.concatenate([r, -z, n], axis=-1)
    if FORGET_PLUS_ONE in names and shifted:
        H = a.shape[-1] // 4
        return a + np.repeat([0.0, 1.0, 0.0, 0.0], H)
    return a


def _new_gate(W_hh: Array, b_hh: Array | None) -> tuple[Array, Array | None]:
    """Return the columns of W_hh and of b_hh that belong to n."""
    size = W_hh.shape[-1] // 3
    return W_hh[:, 2 * size :], None if b_hh is None else b_hh[2 * size :]


def _reset(x: Array, u: Array, h: Array, W_hn: Array, b_hn: Array | None) -> tuple[Array, Array]:
    """Return r_t and W_hn (r_t h) + b_hn."""
    r_t = σ(blocks(x, 3)[0] + blocks(u, 3)[0])
    product = (r_t * h) @ W_hn
    return r_t, product if b_hn is None else product + b_hn


def _opened(x: Array, u: Array, product: Array) -> tuple[Array, Array]:
    """Return the x and u whose reset gate is 1 and whose u_n is ``product``, for an equation that a fault exchanged."""
    (x_r, x_z, x_n), (_, u_z, _) = blocks(x, 3), blocks(u, 3)
    zeros = np.zeros(x_r.shape)
    return np.concatenate([zeros + np.inf, x_z, x_n], axis=-1), np.concatenate([zeros, u_z, product], axis=-1)


# --- the gradients --------------------------------------------------------------------------------------


def backward_of(kind: str, backward: Backward, plain: bool, W_hh: Array, b_hh: Array | None) -> Backward:
    """Return a kind's step backwards in the dialects in force, with the arguments and results of ``backward``.

    ``backward`` is that of reference.gradients; ``plain`` is False if a fault exchanged it.
    """
    names = spoken(kind)
    if not names:
        return backward
    W_hn, b_hn = _new_gate(W_hh, b_hh) if RESET_BEFORE in names else (None, None)

    def changed(x: Array, u: Array, h: Array, c: Array, d_h_t: Array, d_c_t: Array) -> Any:
        x, u = _moved(names, x), _moved(names, u, shifted=False)
        if W_hn is None:
            d_x, d_u, d_h, d_c = backward(x, u, h, c, d_h_t, d_c_t)
        elif plain:
            d_x, d_u, d_h, d_c = d_gru_reset_before_product(x, u, h, d_h_t, W_hn, b_hn)
        else:
            r_t, product = _reset(x, u, h, W_hn, b_hn)
            d_x, d_u, d_h, d_c = backward(*_opened(x, u, product), h, c, d_h_t, d_c_t)
            d_z, d_n = blocks(d_u, 3)[1:]
            d_r, through = _through_reset(r_t, h, d_n, W_hn)
            d_x = np.concatenate([d_r, *blocks(d_x, 3)[1:]], axis=-1)
            d_u, d_h = np.concatenate([d_r, d_z, d_n], axis=-1), d_h + through
        if UPDATE_INVERTED in names:
            same = d_x is d_u
            d_x = _moved(names, d_x)
            d_u = d_x if same else _moved(names, d_u)
        return d_x, d_u, d_h, d_c

    return changed


def d_gru_reset_before_product(x: Array, u: Array, h: Array, d_h_t: Array, W_hn: Array, b_hn: Array | None) -> Any:
    """Compute the cotangents of ``gru_reset_before_product``; that of h has the part through W_hn (r h)."""
    (x_r, x_z, x_n), (u_r, u_z, _) = blocks(x, 3), blocks(u, 3)
    r_t = σ(x_r + u_r)
    z_t = σ(x_z + u_z)
    u_n = (r_t * h) @ W_hn if b_hn is None else (r_t * h) @ W_hn + b_hn
    n_t = tanh(x_n + u_n)
    d_n = (d_h_t - d_h_t * z_t) * d_tanh(n_t)
    d_z = d_h_t * (h - n_t) * d_σ(z_t)
    d_r, through = _through_reset(r_t, h, d_n, W_hn)
    d_a = np.concatenate([d_r, d_z, d_n], axis=-1)
    return d_a, d_a, d_h_t * z_t + through, None


def _through_reset(r_t: Array, h: Array, d_n: Array, W_hn: Array) -> tuple[Array, Array]:
    """Return the cotangents of r's sum and of h through W_hn (r h)."""
    d_product = d_n @ W_hn.T
    return d_product * h * d_σ(r_t), d_product * r_t


def columns_of_h(kind: str, W_hh: Array) -> int | None:
    """Return the number of first columns of W_hh (H, G*H) that multiply h itself; None for all."""
    return 2 * (W_hh.shape[-1] // 3) if RESET_BEFORE in spoken(kind) else None


def reset_states(x: Array, u: Array, h: Array) -> Array:
    """Return r h, which the last columns of W_hh multiply in the dialect that resets h before the product."""
    return σ(blocks(x, 3)[0] + blocks(u, 3)[0]) * h
