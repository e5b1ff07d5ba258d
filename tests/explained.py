"""Forty common mistakes in plain float32 NumPy, dumped and explained: ``python -m tests.explained [--only NAME]``.

The layers here are written by hand from the documented equations and share no code with the oracle or its faults. Each
mistake is dumped at a small and at a usual size. The table has the names given to each.
``RIGHT`` are dumps that must pass, ``ODD`` are mistakes that no list has, which must not be taken for another.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from conformance.dumps import explain

F = np.float32
SIZES = {"small": (3, 4, 5, 2), "usual": (10, 32, 7, 3)}  # I, H, T, N


def sigmoid(a):
    return F(1) / (F(1) + np.exp(-a))


def draw(rng, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(F)


def parameters(kind, I, H, L=1, D=1, bias=True, seed=0):
    """Draw parameters by their names in PyTorch."""
    rng = np.random.default_rng(seed)
    G = {"lstm": 4, "gru": 3}.get(kind, 1)
    found = {}
    for k in range(L):
        for suffix in ("", "_reverse")[:D]:
            width = I if k == 0 else D * H
            found[f"weight_ih_l{k}{suffix}"] = draw(rng, G * H, width, scale=0.6)
            found[f"weight_hh_l{k}{suffix}"] = draw(rng, G * H, H, scale=1.2 / np.sqrt(H))
            if bias:
                found[f"bias_ih_l{k}{suffix}"] = draw(rng, G * H, scale=0.5)
                found[f"bias_hh_l{k}{suffix}"] = draw(rng, G * H, scale=0.5)
    return found


def step(kind, x, h, c, Wi, Wh, bi, bh, bug, order):
    """Compute one step from the weights as this code holds them."""
    if kind in ("rnn_tanh", "rnn_relu"):
        a = x @ Wi.T + bi + h @ Wh.T + bh
        if bug == "relu for tanh":
            return np.maximum(a, 0), c
        if bug == "no nonlinearity":
            return a, c
        return (np.tanh(a) if kind == "rnn_tanh" else np.maximum(a, 0)), c
    if kind == "lstm":
        a = x @ Wi.T + bi + h @ Wh.T + bh
        gates = dict(zip(order or "ifgo", np.split(a, 4, axis=-1), strict=True))
        one = F(1) if bug in ("forget bias 1", "TF1 cell") else F(0)
        hard = (lambda v: np.clip(F(0.2) * v + F(0.5), 0, 1)) if bug == "hard sigmoid" else sigmoid
        i, f, o = hard(gates["i"]), hard(gates["f"] + one), hard(gates["o"])
        g = sigmoid(gates["g"]) if bug == "sigmoid cell gate" else np.tanh(gates["g"])
        new_c = f * c + i * g
        if bug == "coupled gates":
            new_c = f * c + (1 - f) * g
        if bug == "no last tanh":
            return o * new_c, new_c
        if bug == "output from old cell":
            return o * np.tanh(c), new_c
        return o * np.tanh(new_c), new_c
    xr, xz, xn = (dict(zip(order or "rzn", np.split(x @ Wi.T + bi, 3, axis=-1), strict=True))[g] for g in "rzn")
    by_gate = dict(zip(order or "rzn", np.split(Wh, 3), strict=True))
    b_by_gate = dict(zip(order or "rzn", np.split(bh, 3), strict=True))
    r = sigmoid(xr + h @ by_gate["r"].T + b_by_gate["r"])
    z = sigmoid(xz + h @ by_gate["z"].T + b_by_gate["z"])
    if bug in ("reset before", "Keras reset_after=False"):
        n = np.tanh(xn + (r * h) @ by_gate["n"].T + b_by_gate["n"])
    elif bug == "b_hn outside":
        n = np.tanh(xn + r * (h @ by_gate["n"].T) + b_by_gate["n"])
    elif bug == "no b_hn":
        n = np.tanh(xn + r * (h @ by_gate["n"].T))
    elif bug == "no reset":
        n = np.tanh(xn + h @ by_gate["n"].T + b_by_gate["n"])
    else:
        n = np.tanh(xn + r * (h @ by_gate["n"].T + b_by_gate["n"]))
    if bug == "update inverted":
        return z * n + (1 - z) * h, c
    return (1 - z) * n + z * h, c


def run(kind, p, x, h_0=None, c_0=None, lengths=None, bug="", order="", batch_first=False):
    """Compute a layer in float32, step by step, with a mistake."""
    L = 1 + max(int(name.split("_l")[1][0]) for name in p)
    D = 2 if "weight_ih_l0_reverse" in p else 1
    H = p["weight_hh_l0"].shape[1]
    if batch_first:
        x = np.swapaxes(x, 0, 1)
    if bug == "reads batch first":
        x = np.swapaxes(x, 0, 1)
    if bug == "reversed input":
        x = x[::-1]
    T, N = x.shape[:2]
    zeros = np.zeros((D * L, N, H), F)
    if bug == "states exchanged":
        h_0, c_0 = c_0, h_0
    if bug == "initial states ignored":
        h_0 = c_0 = None
    h_0 = zeros if h_0 is None else h_0
    c_0 = zeros if c_0 is None else c_0
    if bug == "c_0 ignored":
        c_0 = zeros
    if bug == "first sample's state":
        h_0, c_0 = np.repeat(h_0[:, :1], N, 1), np.repeat(c_0[:, :1], N, 1)
    if bug == "states by direction":
        take = [(row % D) * L + row // D for row in range(D * L)]
        h_0, c_0 = h_0[take], c_0[take]
    ends_h, ends_c = [], []
    for k in range(L):
        outs = []
        for d in range(D):
            suffix = f"_l{k}" + ("_reverse" if d and bug != "reverse shares forward" else "")
            if bug == "directions' weights exchanged":
                suffix = f"_l{k}" + ("" if d else "_reverse")
            if bug == "layers share":
                suffix = (
                    suffix.replace(f"_l{k}", "_l0")
                    if k and p[f"weight_ih_l{k}"].shape == p["weight_ih_l0"].shape
                    else suffix
                )
            Wi, Wh = p[f"weight_ih{suffix}"], p[f"weight_hh{suffix}"]
            bi = p.get(f"bias_ih{suffix}", np.zeros(len(Wi), F))
            bh = p.get(f"bias_hh{suffix}", np.zeros(len(Wi), F))
            Wi, Wh, bi, bh = loaded(kind, Wi, Wh, bi, bh, bug)
            h, c = h_0[k * D + d], c_0[k * D + d]
            if bug == "reverse starts from forward's row" and d:
                h, c = h_0[k * D], c_0[k * D]
            forward = d == 0 or bug == "reverse runs forward"
            out = np.zeros((T, N, H), F)
            c_first = c
            for t in range(T) if forward else reversed(range(T)):
                before = h, c
                if bug == "cell state lost":
                    c = c_first
                h_t, c_t = step(kind, x[t], h, c, Wi, Wh, bi, bh, bug, order)
                if bug == "in place":
                    h_t = h.copy()
                    for u in range(H):
                        rows = slice(u, None, H)
                        own, own_c = (
                            step(kind, x[t], h_t, c, Wi[rows], Wh[rows], bi[rows], bh[rows], "", order)
                            if kind != "gru"
                            else (None, None)
                        )
                        h_t[:, u], c_t[:, u] = own[:, 0], step_unit(c_t, own_c, u)
                on = np.ones(N, bool) if lengths is None or bug == "lengths ignored" else t < np.asarray(lengths)
                if bug == "lengths of output only":
                    h, c = h_t, c_t
                else:
                    h, c = np.where(on[:, None], h_t, h), np.where(on[:, None], c_t, c)
                out[t] = np.where(on[:, None], h_t, h if bug == "padding repeats" else 0)
                if bug == "one step behind":
                    out[t] = before[0]
            if bug == "not flipped back" and d:
                out = out[::-1]
            outs.append(out)
            ends_h.append(out[-1] if bug == "reverse h_n from last step" and d else h)
            ends_c.append(c)
        if bug == "halves exchanged" and k == L - 1:
            outs = outs[::-1]
        x = np.concatenate(outs, axis=-1)
    h_n, c_n = np.stack(ends_h), np.stack(ends_c)
    if bug == "rows by direction":
        take = [d + D * k for d in range(D) for k in range(L)]
        h_n, c_n = h_n[take], c_n[take]
    if bug == "h_n and c_n exchanged":
        h_n, c_n = c_n, h_n
    if bug == "c_n is h_n":
        c_n = h_n
    if bug == "reads batch first":
        x = np.swapaxes(x, 0, 1)
    if batch_first:
        x = np.swapaxes(x, 0, 1)
    if bug == "last step only":
        x = x[-1]
    if bug == "directions summed":
        x = x[..., :H] + x[..., H:]
    found = {"output": x, "h_n": h_n}
    if kind == "lstm":
        found["c_n"] = c_n
    return found


def step_unit(c_t, own_c, u):
    return own_c[:, u] if own_c.shape[1] == c_t.shape[1] else own_c[:, 0]


def loaded(kind, Wi, Wh, bi, bh, bug):
    """Return the weights as a wrong loader leaves them."""
    if bug == "W_hh transposed by gate":
        Wh = np.concatenate([block.T for block in np.split(Wh, len(Wh) // Wh.shape[1])])
    if bug == "square matrices transposed":
        Wi, Wh = (np.concatenate([b.T for b in np.split(W, len(W) // W.shape[1])]) for W in (Wi, Wh))
    if bug == "reshaped, not transposed":
        Wi, Wh = Wi.reshape(Wi.shape[::-1]).T, Wh.reshape(Wh.shape[::-1]).T
    if bug == "column-major":
        Wi, Wh = (np.ascontiguousarray(W.T).ravel().reshape(W.shape) for W in (Wi, Wh))
    if bug == "unit by unit":
        G = len(Wi) // Wh.shape[1]
        Wi, Wh, bi, bh = (np.concatenate([W[g::G] for g in range(G)]) for W in (Wi, Wh, bi, bh))
    if bug == "biases in ONNX order":
        bi, bh = (np.concatenate([b[k] for k in (0, 2, 3, 1)]) for b in (np.split(bi, 4), np.split(bh, 4)))
    if bug == "weights exchanged":
        Wi, Wh = Wh, Wi
    if bug == "no bias_hh":
        bh = 0 * bh
    if bug == "no biases":
        bi, bh = 0 * bi, 0 * bh
    if bug == "biases twice":
        bi, bh = 2 * bi, 2 * bh
    if bug == "biases halved":
        bi, bh = bi / 2, bh / 2
    if bug == "weights in float16":
        Wi, Wh = Wi.astype(np.float16).astype(F), Wh.astype(np.float16).astype(F)
    return Wi, Wh, bi, bh


@dataclass(frozen=True)
class Case:
    """A mistake, how it is called, and the names that are true of it."""

    name: str
    kind: str
    truths: tuple[str, ...]
    """The ids of the faults, or the parts before their variants, or pairs joined by ``+``; one must be named."""
    bug: str = ""
    order: str = ""
    """The order in which the code reads the blocks of gates."""
    call: dict[str, Any] = field(default_factory=dict)
    square: bool = False
    states: bool = True
    change: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Changes the dump in the end."""


def lstm(name, *truths, **more):
    return Case(name, "lstm", truths, **{"bug": name, **more})


def gru(name, *truths, **more):
    return Case(name, "gru", truths, **{"bug": name, **more})


BOTH = {"D": 2}
DEEP = {"L": 2}
ENDS = {"lengths": True}


def kernels(dump, order=None):
    """Return the dump with Keras's kernels (in, out)."""
    changed = dict(dump)
    for name, a in dump.items():
        if name.startswith(("weight", "bias")):
            if order:
                r, z, n = np.split(a, 3)
                a = np.concatenate([z, r, n])
            changed[name] = a.T
    return changed


CASES = [
    lstm("gates f i g o", "lstm-gates-f-i", order="figo", bug=""),
    lstm("gates i o f g (ONNX)", "lstm-gates-i-o-f-g", order="iofg", bug=""),
    lstm("gates i f o g (Caffe)", "lstm-gates-g-o", order="ifog", bug=""),
    lstm("gates i g f o (TensorFlow)", "lstm-gates-f-g", order="igfo", bug=""),
    lstm("TF1 cell", "lstm-tensorflow", "lstm-gates-f-g+lstm-forget-bias-one", order="igfo"),
    gru("gates z r n (Keras)", "gru-gates-r-z", order="zrn", bug=""),
    gru("reset before", "gru-reset-before-product"),
    gru("Keras reset_after=False", "gru-keras-reset-before", "gru-gates-r-z+gru-reset-before", order="zrn"),
    gru("update inverted", "gru-update-inverted"),
    gru("b_hn outside", "gru-bias-hn-outside-reset"),
    gru("no b_hn", "gru-bias-hn-dropped"),
    gru("no reset", "gru-reset-unused"),
    lstm("forget bias 1", "lstm-forget-bias-one"),
    lstm("hard sigmoid", "lstm-gates-hard-sigmoid"),
    lstm("coupled gates", "lstm-input-forget-coupled"),
    lstm("no last tanh", "lstm-output-without-tanh"),
    lstm("sigmoid cell gate", "lstm-cell-gate-sigmoid"),
    lstm("output from old cell", "lstm-output-of-the-old-state"),
    lstm("cell state lost", "cell-state-not-carried"),
    Case("relu for tanh", "rnn_tanh", ("rnn-nonlinearities-exchanged",), "relu for tanh"),
    Case("no nonlinearity", "rnn_tanh", ("rnn-linear",), "no nonlinearity"),
    lstm("W_hh transposed by gate", "weight-hh-transposed"),
    gru("square matrices transposed", "square-weights-transposed", square=True),
    gru("weights exchanged", "weights-exchanged", square=True),
    lstm("reshaped, not transposed", "weights-reshaped"),
    gru("column-major", "weights-column-major"),
    lstm("unit by unit", "lstm-gates-interleaved"),
    lstm("biases in ONNX order", "lstm-gates-of-biases"),
    lstm("no bias_hh", "bias-hh-dropped"),
    gru("no biases", "biases-dropped"),
    lstm("biases twice", "biases-doubled"),
    lstm("biases halved", "biases-halved"),
    lstm("states exchanged", "initial-states-exchanged"),
    gru("initial states ignored", "initial-state-ignored"),
    lstm("c_0 ignored", "initial-cell-state-ignored"),
    gru("first sample's state", "initial-state-of-the-first-sample"),
    lstm("h_n and c_n exchanged", "h-n-and-c-n-exchanged"),
    lstm("c_n is h_n", "c-n-is-h-n"),
    gru("not flipped back", "reverse-output-not-flipped-back", call=BOTH),
    lstm("reverse runs forward", "reverse-runs-forward", call=BOTH),
    gru("reverse shares forward", "reverse-shares-forward", call=BOTH),
    gru("reverse h_n from last step", "reverse-state-from-last-step", call=BOTH),
    lstm("halves exchanged", "output-halves-exchanged", call=BOTH),
    gru("directions summed", "directions-summed", call=BOTH),
    lstm("rows by direction", "rows-direction-major", call={**BOTH, **DEEP}),
    gru("states by direction", "initial-states-direction-major", call={**BOTH, **DEEP}),
    gru("layers share", "layers-share-the-first", call=DEEP, square=True),
    gru("lengths ignored", "lengths-ignored", call=ENDS),
    lstm("lengths of output only", "lengths-of-output-only", call=ENDS),
    gru("padding repeats", "padding-repeats-the-last-output", call=ENDS),
    gru("one step behind", "output-one-step-behind"),
    lstm("reversed input", "input-reversed-in-time"),
    gru("reads batch first", "axes-exchanged", states=False,
        change=lambda dump: {**dump, "batch_first": False}),
    lstm("last step only", "output-of-the-last-step-only"),
    lstm("weights in float16", "matrices-in-float16", "weights-in-float16"),
    lstm("Keras's kernels", "keras-kernels", bug="", change=kernels),
    gru("Keras's kernels of a GRU", "keras-kernels", bug="", change=lambda dump: kernels(dump, "zrn")),
    lstm("ONNX order and no bias_hh", "lstm-gates-i-o-f-g+bias-hh-dropped", "bias-hh-dropped+lstm-gates-i-o-f-g",
         bug="no bias_hh", order="iofg"),
    gru("reset before and not flipped back", "gru-reset-before-product+reverse-output-not-flipped-back",
        "reverse-output-not-flipped-back+gru-reset-before-product", bug="reset before",
        call=BOTH, change=lambda dump: unflipped(dump)),
]  # fmt: skip


def unflipped(dump):
    changed = dict(dump)
    for name, a in dump.items():
        if name.endswith("output"):
            H = a.shape[-1] // 2
            changed[name] = np.concatenate([a[..., :H], a[::-1, :, H:]], axis=-1)
    return changed


def dump_of(case, size="small", seed=1, calls=1):
    """Return the dump of a mistake: one call, or several with their numbers."""
    I, H, T, N = SIZES[size]
    I = H if case.square else I
    call = dict(case.call)
    D, L, lengths = call.pop("D", 1), call.pop("L", 1), call.pop("lengths", None)
    p = parameters(case.kind, I, H, L, D, seed=seed)
    dump = {"kind": case.kind, **p}
    for number in range(calls):
        rng = np.random.default_rng([seed, number])
        given = {"x": draw(rng, T + number, N, I)}
        if case.states:
            given["h_0"] = draw(rng, D * L, N, H, scale=0.5)
            if case.kind == "lstm":
                given["c_0"] = draw(rng, D * L, N, H, scale=0.5)
        if lengths:
            given["lengths"] = np.array([T - n % T if n else T - 2 for n in range(N)])
        with np.errstate(over="ignore"):
            came = run(case.kind, p, **given, bug=case.bug, order=case.order)
        dump |= {(f"{number}/{name}" if calls > 1 else name): a for name, a in {**given, **came}.items()}
    return case.change(dump) if case.change else dump


# --- right ones, and mistakes that no list has ----------------------------------------------------------


def right_dumps():
    """Yield right dumps by name: other sums, sizes, dtypes, few digits."""
    for kind in ("rnn_tanh", "rnn_relu", "lstm", "gru"):
        for size in SIZES:
            for call in ({}, BOTH, DEEP, ENDS, {**BOTH, **DEEP, **ENDS}):
                case = Case("right", kind, (), call=call)
                yield f"{kind} {size} {' '.join(call)}", dump_of(case, size)
    dump = dump_of(Case("right", "lstm", ()), "usual")
    p = {n: a for n, a in dump.items() if n.startswith(("weight", "bias"))}
    flipped = {n: a[:, ::-1] if n.startswith("weight_ih") else a for n, a in p.items()}
    other = run("lstm", flipped, dump["x"][..., ::-1], dump["h_0"], dump["c_0"])
    yield "summed backwards", {**dump, **other}
    for dtype in (np.float16,):
        half = {n: a.astype(dtype) if isinstance(a, np.ndarray) else a for n, a in dump.items()}
        wide = {n: a.astype(F) if isinstance(a, np.ndarray) else a for n, a in half.items()}
        p = {n: a for n, a in wide.items() if n.startswith(("weight", "bias"))}
        came = run("lstm", p, wide["x"], wide["h_0"], wide["c_0"])
        yield "results in float16", {**half, **{n: a.astype(dtype) for n, a in came.items()}}
    yield (
        "printed with six decimals",
        {**dump, **{n: np.round(np.float64(dump[n]), 6) for n in ("output", "h_n", "c_n")}},
    )
    double = {n: np.float64(a) if isinstance(a, np.ndarray) else a for n, a in dump.items()}
    yield "float32 numbers in arrays of float64", double


def odd_dumps():
    """Yield wrong dumps whose mistake is in no list, by name."""
    for size in SIZES:
        for kind in ("lstm", "gru"):
            dump = dump_of(Case("right", kind, ()), size)
            rng = np.random.default_rng(5)
            output = dump["output"]
            yield f"{kind} {size}: output times 1.01", {**dump, "output": output * F(1.01)}
            yield f"{kind} {size}: noise of 1e-3", {**dump, "output": output + draw(rng, *output.shape, scale=1e-3)}
            yield f"{kind} {size}: units permuted in output", {**dump, "output": np.roll(output, 1, axis=-1)}
            p = {n: a for n, a in dump.items() if n.startswith(("weight", "bias"))}
            states = {n: dump[n] for n in ("h_0", "c_0") if n in dump}
            halved = {n: a * F(0.5) if n.startswith("weight_hh") else a for n, a in p.items()}
            yield f"{kind} {size}: half of W_hh", {**dump, **run(kind, halved, dump["x"], **states)}
            shifted = {**dump, **run(kind, p, np.tanh(dump["x"]), **states)}
            yield f"{kind} {size}: tanh of x", shifted
            clipped = {n: np.clip(dump[n], -0.2, 0.2) for n in ("output", "h_n")}
            yield f"{kind} {size}: clipped to 0.2", {**dump, **clipped}
            other = parameters(kind, *SIZES[size][:2], seed=99)
            yield f"{kind} {size}: other weights", {**dump, **run(kind, other, dump["x"], **states)}


# --- table --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """The result of explaining one dump."""

    name: str
    size: str
    calls: int
    named: tuple[str, ...]
    true: bool
    seconds: float


def is_truth(case, named):
    return any(truth == name or (name.startswith(truth) and "+" not in name) for truth in case.truths for name in named)


def examine(case, size, calls, seed=1):
    """Explain one dump."""
    started = time.perf_counter()
    found = explain(dump_of(case, size, seed, calls))
    named = tuple(entry["fault"] for entry in found.diagnosis)
    true = not found.right and len(named) + found.more <= 3 and is_truth(case, named)
    return Row(case.name, size, calls, named, true, time.perf_counter() - started)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--named", action="store_true", help="leave out the right dumps and the odd mistakes")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        if options.only in case.name:
            for size, calls in (("small", 1), ("usual", 2)):
                row = examine(case, size, calls, options.seed)
                rows.append(row)
                print(
                    f"{'ok ' if row.true else 'NOT'} {row.name:36} {size} {calls} {row.seconds:5.1f} s  ",
                    ", ".join(row.named),
                )
    print(f"{sum(row.true for row in rows)} of {len(rows)} named")
    if options.only or options.named:
        return
    wrong = [name for name, dump in right_dumps() if not explain(dump).right]
    print(f"right dumps called wrong: {', '.join(wrong) or 'none'}")
    taken = 0
    for name, dump in odd_dumps():
        found = explain(dump)
        if found.right or found.diagnosis:
            taken += 1
            print(f"{name}: {'right' if found.right else [entry['fault'] for entry in found.diagnosis]}")
    print(f"odd mistakes taken for another: {taken}")


if __name__ == "__main__":
    sys.exit(main())
