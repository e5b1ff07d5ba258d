"""Faults of the equations, of clip, and of the attributes that change an equation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.onnx import nodes

FAULTS: list[Fault] = []
family = Family(FAULTS, "equations")


def without(name: str, value=None) -> dict:
    """Return the parts of a fault that ignores an attribute."""
    return {"attributes": lambda config: replace(config, **{name: value})}


def lstm(f_=None, cell=None, out=None, i=None, h_of=None, o_cell=None, peep=True):
    """Return the equation of an LSTM with other parts; each is a function of the right one's ingredients."""

    def equation(node, w, f, g, h, Xt, H, C):
        (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc), (Pi, Po, Pf) = w.W, w.R, w.P
        (bi, bo, bf, bc), (ri, ro, rf, rc) = w.Wb, w.Rb
        it = f(Xt @ Wi + H @ Ri + Pi * C + bi + ri)
        ft = 1 - it if node.input_forget else f(Xt @ Wf + H @ Rf + Pf * C + bf + rf)
        if f_ is not None:
            ft = f_(node, it, ft)
        ct = (g if cell is None else cell(f, g, h))(Xt @ Wc + H @ Rc + bc + rc)
        Ct = ft * C + it * ct
        if out is not None:
            Ct = out(node, Ct)
        ot = f(Xt @ Wo + H @ Ro + Po * (Ct if o_cell is None else o_cell(C, Ct)) + bo + ro)
        Ht = ot * (h if h_of is None else h_of(f, g, h))(Ct)
        return Ht, Ct

    return {"equations": {"LSTM": equation}}


@family("INPUT-FORGET", "an LSTM that ignores input_forget", kinds="LSTM", common=True)
def input_forget_ignored():
    return without("input_forget", 0)


@family("INPUT-FORGET-TIED", "an LSTM whose forget gate equals the input gate under input_forget", kinds="LSTM")
def input_forget_equal():
    return lstm(f_=lambda node, it, ft: it if node.input_forget else ft)


@family("INPUT-FORGET", "an LSTM that computes it = 1 - ft under input_forget", kinds="LSTM")
def input_forget_of_forget_gate():
    def equation(node, w, f, g, h, Xt, H, C):
        (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc), (Pi, Po, Pf) = w.W, w.R, w.P
        (bi, bo, bf, bc), (ri, ro, rf, rc) = w.Wb, w.Rb
        ft = f(Xt @ Wf + H @ Rf + Pf * C + bf + rf)
        it = 1 - ft if node.input_forget else f(Xt @ Wi + H @ Ri + Pi * C + bi + ri)
        Ct = ft * C + it * g(Xt @ Wc + H @ Rc + bc + rc)
        return f(Xt @ Wo + H @ Ro + Po * Ct + bo + ro) * h(Ct), Ct

    return {"equations": {"LSTM": equation}}


@family("INPUT-FORGET-UNUSED", "an LSTM that has input_forget on and adds a tenth of the forget gate", kinds="LSTM")
def input_forget_mixed():
    def equation(node, w, f, g, h, Xt, H, C):
        (_, _, Wf, _), (_, _, Rf, _), (_, _, bf, _) = w.W, w.R, w.Wb
        Ht, Ct = nodes.LSTM(node, w, f, g, h, Xt, H, C)
        more = 0.1 * f(Xt @ Wf + H @ Rf + bf) if node.input_forget else 0
        return Ht + more, Ct

    return {"equations": {"LSTM": equation}}


@family("PEEPHOLES", "an LSTM that ignores its peepholes", kinds="LSTM", common=True)
def peepholes_ignored():
    return {"inputs": lambda config, given: {n: a for n, a in given.items() if n != "P"}}


@family(
    "PEEPHOLES", "an LSTM whose output gate sees Ct-1 through its peephole instead of Ct", kinds="LSTM", common=True
)
def peephole_of_old_cell():
    return lstm(o_cell=lambda C, Ct: C)


@family("PEEPHOLES", "an LSTM whose peepholes see the hidden state instead of the cell", kinds="LSTM")
def peepholes_of_hidden():
    def equation(node, w, f, g, h, Xt, H, C):
        (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc), (Pi, Po, Pf) = w.W, w.R, w.P
        (bi, bo, bf, bc), (ri, ro, rf, rc) = w.Wb, w.Rb
        it = f(Xt @ Wi + H @ Ri + Pi * H + bi + ri)
        ft = 1 - it if node.input_forget else f(Xt @ Wf + H @ Rf + Pf * H + bf + rf)
        Ct = ft * C + it * g(Xt @ Wc + H @ Rc + bc + rc)
        return f(Xt @ Wo + H @ Ro + Po * H + bo + ro) * h(Ct), Ct

    return {"equations": {"LSTM": equation}}


@family("P-ZERO", "an LSTM that takes peepholes of 0 for peepholes of 1", kinds="LSTM")
def peepholes_zero_ones():
    def inputs(config, given):
        return given | ({"P": np.where(given["P"] == 0, 1, given["P"])} if "P" in given else {})

    return {"inputs": inputs}


@family("LSTM-EQUATION", "an LSTM that leaves h out: Ht = ot (.) Ct", kinds="LSTM")
def hidden_function_missing():
    return lstm(h_of=lambda f, g, h: lambda x: x)


@family("RNN-EQUATION", "an RNN without a recurrence", kinds="RNN")
def rnn_recurrence_missing():
    return {"equations": {"RNN": lambda node, w, f, Xt, H, C: nodes.RNN(node, w, f, Xt, 0 * H, C)}}


@family(
    "GRU-EQUATION", "a GRU whose update gate is inverted, Ht = zt (.) ht + (1 - zt) (.) Ht-1", kinds="GRU", common=True
)
def gru_update_inverted():
    def equation(node, w, f, g, Xt, H, C):
        (Wz, *_), (Rz, *_), (bz, *_), (rz, *_) = w.W, w.R, w.Wb, w.Rb
        Ht, _ = nodes.GRU(node, w, f, g, Xt, H, C)
        zt = f(Xt @ Wz + H @ Rz + bz + rz)
        with np.errstate(all="ignore"):
            ht = (Ht - zt * H) / (1 - zt)
        return zt * ht + (1 - zt) * H, C

    return {"equations": {"GRU": equation}}


@family("RESET-AFTER", "a GRU that ignores linear_before_reset", kinds="GRU", common=True)
def linear_before_reset_ignored():
    return without("linear_before_reset", 0)


@family(
    "RESET-BEFORE", "a GRU that always applies the linear transformation before the reset", kinds="GRU", common=True
)
def linear_before_reset_always():
    return without("linear_before_reset", 1)


def gru(new):
    """Return the equation of a GRU with another argument of g under linear_before_reset."""

    def equation(node, w, f, g, Xt, H, C):
        (Wz, Wr, Wh), (Rz, Rr, Rh), (bz, br, bh), (rz, rr, rh) = w.W, w.R, w.Wb, w.Rb
        zt, rt = f(Xt @ Wz + H @ Rz + bz + rz), f(Xt @ Wr + H @ Rr + br + rr)
        after = node.linear_before_reset
        ht = g(new(Xt @ Wh, rt, H @ Rh, bh, rh) if after else Xt @ Wh + (rt * H) @ Rh + rh + bh)
        return (1 - zt) * ht + zt * H, C

    return {"equations": {"GRU": equation}}


@family("RESET-AFTER", "a GRU that leaves Rbh out of the reset under linear_before_reset", kinds="GRU")
def reset_without_rb():
    return gru(lambda x, r, u, b, rb: x + r * u + rb + b)


@family("RESET-AFTER", "a GRU that resets both biases under linear_before_reset", kinds="GRU")
def reset_of_both_biases():
    return gru(lambda x, r, u, b, rb: x + r * (u + rb + b))


@family("RESET-AFTER-B", "a GRU that without B computes as if linear_before_reset were 0", kinds="GRU")
def reset_after_without_b():
    def equation(node, w, f, g, Xt, H, C):
        bare = not any(np.any(b) for b in (*w.Wb, *w.Rb))
        return nodes.GRU(replace(node, linear_before_reset=0) if bare else node, w, f, g, Xt, H, C)

    return {"equations": {"GRU": equation}}


@family("B-SUM", "a node that adds Rb twice")
def rb_twice():
    def inputs(config, given):
        return given | ({"B": given["B"] * np.repeat([1, 2], given["B"].shape[1] // 2)} if "B" in given else {})

    return {"inputs": inputs}


def rounded_to(bits: int):
    def outputs(config, came, given):
        return nodes.Outputs(*(None if a is None else np.round(a * 2.0**bits) / 2.0**bits for a in came))

    return {"outputs": outputs}


@family("LSTM-EQUATION", "a node computed in about float16", kinds="LSTM")
def computed_coarsely():
    return rounded_to(11)


def beyond(extent, limit):
    """Return the parts of a fault that is wrong for more than so many steps, samples or units."""

    def outputs(config, came, given):
        X = given["X"]
        steps, samples = X.shape[:2][:: -1 if config.layout else 1]
        size = {"steps": steps, "samples": samples, "units": config.hidden_size}[extent]
        return came if size <= limit else nodes.Outputs(*(None if a is None else a * 0.99 for a in came))

    return {"outputs": outputs}


@family("LONG", "a node that is wrong for more than 40 steps")
def wrong_beyond_40_steps():
    return beyond("steps", 40)


@family("MANY", "a node that is wrong for more than 32 samples")
def wrong_beyond_32_samples():
    return beyond("samples", 32)


@family("WIDE", "a node that is wrong for more than 64 units")
def wrong_beyond_64_units():
    return beyond("units", 64)


@family("SATURATION", "a node whose functions have arguments of at most 8")
def arguments_bounded_by_8():
    return {"clipped": lambda f, threshold, x: nodes_clipped(f, min(threshold or 8.0, 8.0), x)}


# --- clip -----------------------------------------------------------------------------------------------

nodes_clipped = nodes.clipped


@family("CLIP", "a node that ignores clip", common=True)
def clip_ignored():
    return without("clip")


@family("CLIP-F", "a node that bounds the results of the functions instead of their arguments", common=True)
def clip_after_the_function():
    def clipped(f, threshold, x):
        return f(x) if threshold is None else np.maximum(np.minimum(f(x), threshold), -threshold)

    return {"clipped": clipped}


@family("CLIP-F", "a node that bounds arguments from above alone")
def clip_from_above():
    return {"clipped": lambda f, threshold, x: f(x if threshold is None else np.minimum(x, threshold))}


def raw(function):
    """Return a function of an equation without the clipping of its argument."""
    return function.args[0]


@family(
    "CLIP-H", "an LSTM that bounds the arguments of f and g, and not Ct as the argument of h", kinds="LSTM", common=True
)
def clip_not_before_h():
    return lstm(h_of=lambda f, g, h: raw(h))


@family("CLIP-H", "an LSTM that bounds Ct itself", kinds="LSTM", common=True)
def clip_of_the_cell():
    def out(node, Ct):
        return Ct if node.clip is None else np.clip(Ct, -node.clip, node.clip)

    return lstm(out=out)


@family("CLIP-G", "an LSTM that does not bound the argument of g", kinds="LSTM")
def lstm_clip_not_before_g():
    return lstm(cell=lambda f, g, h: raw(g))


@family("CLIP-G", "a GRU that does not bound the argument of g", kinds="GRU")
def gru_clip_not_before_g():
    return {"equations": {"GRU": lambda node, w, f, g, Xt, H, C: nodes.GRU(node, w, f, raw(g), Xt, H, C)}}


@family("CLIP-F", "a node that does not bound the arguments of f")
def clip_not_before_f():
    def of(kind):
        right = nodes.EQUATIONS[kind]
        return lambda node, w, f, *rest: right(node, w, raw(f), *rest)

    return {"equations": {kind: of(kind) for kind in ("RNN", "LSTM", "GRU")}}


@family("CLIP", "a node that bounds X instead of the arguments of the functions")
def clip_of_x():
    def inputs(config, given):
        return given if config.clip is None else given | {"X": np.clip(given["X"], -config.clip, config.clip)}

    return {"inputs": inputs, "clipped": lambda f, threshold, x: f(x)}


@family("CLIP-BEYOND", "a node for which a threshold above 1000 is 1")
def clip_large_is_one():
    def attributes(config):
        return replace(config, clip=1.0) if config.clip is not None and config.clip > 1000 else config

    return {"attributes": attributes}
