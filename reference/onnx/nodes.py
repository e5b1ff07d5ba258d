"""The operators: the equations, one line each in the symbols of their pages, and time, direction, layout and lengths.

T is seq_length, N batch_size, I input_size, H hidden_size, D num_directions, G the number of gates. In the equations
Xt is (N, I), H and C are Ht-1 and Ct-1, (N, H); W. is (I, H), R. (H, H), Wb., Rb. and P. (1, H). All arithmetic is in
float64.

Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html, "Equations".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from reference.config import numpy_dtype, require
from reference.onnx.activations import Array
from reference.onnx.attributes import Operator

Function = Callable[[Array], Array]


class Outputs(NamedTuple):
    """Y (T, D, N, H), Y_h (D, N, H) and, for LSTM, Y_c (D, N, H). With layout=1 Y is (N, T, D, H), Y_h (N, D, H)."""

    Y: np.ndarray
    Y_h: np.ndarray
    Y_c: np.ndarray | None = None


class Weights(NamedTuple):
    """One direction's blocks, each a list in the order of the gates; P is in the order i, o, f."""

    W: list[Array]
    R: list[Array]
    Wb: list[Array]
    Rb: list[Array]
    P: list[Array]


def RNN(node: Operator, w: Weights, f: Function, Xt: Array, H: Array, C: Array) -> tuple[Array, Array]:
    (Wi,), (Ri,), (Wbi,), (Rbi,) = w.W, w.R, w.Wb, w.Rb
    Ht = f(Xt @ Wi + H @ Ri + Wbi + Rbi)
    return Ht, C


def LSTM(
    node: Operator, w: Weights, f: Function, g: Function, h: Function, Xt: Array, H: Array, C: Array
) -> tuple[Array, Array]:
    (Wi, Wo, Wf, Wc), (Ri, Ro, Rf, Rc), (Pi, Po, Pf) = w.W, w.R, w.P
    (Wbi, Wbo, Wbf, Wbc), (Rbi, Rbo, Rbf, Rbc) = w.Wb, w.Rb
    it = f(Xt @ Wi + H @ Ri + Pi * C + Wbi + Rbi)
    ft = 1 - it if node.input_forget else f(Xt @ Wf + H @ Rf + Pf * C + Wbf + Rbf)
    ct = g(Xt @ Wc + H @ Rc + Wbc + Rbc)
    Ct = ft * C + it * ct
    ot = f(Xt @ Wo + H @ Ro + Po * Ct + Wbo + Rbo)
    Ht = ot * h(Ct)
    return Ht, Ct


def GRU(node: Operator, w: Weights, f: Function, g: Function, Xt: Array, H: Array, C: Array) -> tuple[Array, Array]:
    (Wz, Wr, Wh), (Rz, Rr, Rh), (Wbz, Wbr, Wbh), (Rbz, Rbr, Rbh) = w.W, w.R, w.Wb, w.Rb
    zt = f(Xt @ Wz + H @ Rz + Wbz + Rbz)
    rt = f(Xt @ Wr + H @ Rr + Wbr + Rbr)
    if not node.linear_before_reset:
        ht = g(Xt @ Wh + (rt * H) @ Rh + Rbh + Wbh)
    else:
        ht = g(Xt @ Wh + rt * (H @ Rh + Rbh) + Wbh)
    Ht = (1 - zt) * ht + zt * H
    return Ht, C


EQUATIONS: dict[str, Callable[..., tuple[Array, Array]]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}


def clipped(function: Function, threshold: float | None, x: Array) -> Array:
    """Apply an activation function to x, first bounded to [-threshold, +threshold]."""
    return function(x if threshold is None else np.maximum(np.minimum(x, threshold), -threshold))


def forward(
    node: Operator,
    X: np.ndarray,
    W: np.ndarray,
    R: np.ndarray,
    B: np.ndarray | None = None,
    sequence_lens: Sequence[int] | None = None,
    initial_h: np.ndarray | None = None,
    initial_c: np.ndarray | None = None,
    P: np.ndarray | None = None,
) -> Outputs:
    """Evaluate a node.

    X is (T, N, I), W (D, G*H, I), R (D, G*H, H), B (D, 2*G*H), P (D, 3*H), initial_h and initial_c (D, N, H);
    with layout=1 X is (N, T, I), and the states are (N, D, H). sequence_lens are N integers from 0 to T in any order:
    sample n ends after sequence_lens[n] steps, Y is zero past its end, Y_h and Y_c are its states there, and the
    reverse direction starts there. Returns Outputs of float64 arrays. Raises ValueError, naming what does not fit.
    """
    node.validate()
    given = {"X": X, "W": W, "R": R, "B": B, "sequence_lens": sequence_lens}
    given |= {"initial_h": initial_h, "initial_c": initial_c, "P": P}
    check_inputs(node, given)
    arrays = (None if a is None else np.asarray(a, np.float64) for a in (X, W, R, B, initial_h, initial_c, P))
    X, W, R, B, initial_h, initial_c, P = arrays  # type: ignore[assignment]  # X, W and R are given
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity may lie in the padding
        return evaluate(node, X, W, R, B, sequence_lens, initial_h, initial_c, P)


def input_shapes(node: Operator, T: int, N: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input that the operator has, by name and in its order."""
    D, G, H, I = node.num_directions, len(node.gates), node.hidden_size, node.input_size
    state = (N, D, H) if node.layout else (D, N, H)
    shapes: dict[str, tuple[int, ...]] = {
        "X": (N, T, I) if node.layout else (T, N, I),
        "W": (D, G * H, I),
        "R": (D, G * H, H),
        "B": (D, 2 * G * H),
        "sequence_lens": (N,),
        "initial_h": state,
    }
    return shapes | ({"initial_c": state, "P": (D, 3 * H)} if node.op_type == "LSTM" else {})


def check_inputs(node: Operator, given: dict[str, Any]) -> None:
    """Raise ValueError, naming the input, if one is missing, misshapen, of another dtype or of another operator.

    ``given`` holds the inputs by name, with None for a missing input.
    """
    X: Any = given.get("X")
    require(isinstance(X, np.ndarray) and X.ndim == 3, "X", "an array of 3 axes", np.shape(X))
    T, N = X.shape[:2][::-1] if node.layout else X.shape[:2]
    require(T > 0 and N > 0, "X", "at least one step and one sample", (T, N))
    shapes, dtype = input_shapes(node, T, N), numpy_dtype(node.dtype)
    for name, array in given.items():
        if array is None:
            require(name not in ("W", "R"), name, "an array", None)
            continue
        require(name in shapes, name, f"nothing, as {node.op_type} has no such input", np.shape(array))
        require(np.shape(array) == shapes[name], name, f"shape {shapes[name]}", np.shape(array))
        if name == "sequence_lens":
            lengths = np.asarray(array)
            right = lengths.dtype.kind in "iu" and bool(np.all((lengths >= 0) & (lengths <= T)))
            require(right, name, f"integers from 0 to {T}", lengths.tolist())
        else:
            require(array.dtype == dtype, name, f"dtype {node.dtype}", array.dtype)


# The functions below also evaluate disturbed arrays (reference.precision), which behave as float64 arrays.


def evaluate(
    node: Operator,
    X: Array,
    W: Array,
    R: Array,
    B: Array | None = None,
    sequence_lens: Sequence[int] | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    P: Array | None = None,
) -> Outputs:
    """Compute ``forward`` without its checks."""
    if node.layout:
        X, initial_h, initial_c = (None if a is None else np.swapaxes(a, 0, 1) for a in (X, initial_h, initial_c))
    (T, N), H = X.shape[:2], node.hidden_size
    lengths = [T] * N if sequence_lens is None else [int(n) for n in sequence_lens]
    Ys: list[Array] = []
    hs: list[Array] = []
    cs: list[Array] = []
    for d in range(node.num_directions):
        w = _weights(node, *(None if a is None else a[d] for a in (W, R, B, P)))
        functions = [partial(clipped, f, _threshold(node)) for f in node.functions[d]]
        equation = partial(EQUATIONS[node.op_type], node, w, *functions)
        h, c = (np.zeros((N, H)) if s is None else s[d] for s in (initial_h, initial_c))
        backward = node.direction == "reverse" or d == 1
        Y: list[Array] = [np.zeros((N, H))] * T
        for t in reversed(range(T)) if backward else range(T):
            runs = np.array([[t < length] for length in lengths])
            Ht, Ct = equation(X[t], h, c)
            h, c = _chosen(runs, Ht, h), _chosen(runs, Ct, c)
            Y[t] = _chosen(runs, Ht, np.zeros((N, H)))
        Ys.append(np.stack(Y))
        hs.append(h)
        cs.append(c)
    outputs = [np.swapaxes(np.stack(Ys), 0, 1), np.stack(hs), np.stack(cs)]  # Y (T, D, N, H)
    if node.layout:
        outputs = [np.swapaxes(np.swapaxes(outputs[0], 1, 2), 0, 1), *(np.swapaxes(s, 0, 1) for s in outputs[1:])]
    return Outputs(*outputs) if node.op_type == "LSTM" else Outputs(*outputs[:2])


def _chosen(runs: np.ndarray, a: Array, b: Array) -> Array:
    """Return a where a sample runs, and b elsewhere."""
    return a if runs.all() else np.where(runs, a, b)


def _threshold(node: Operator) -> float | None:
    return None if node.clip is None else float(np.float32(node.clip))


def _weights(node: Operator, W: Array, R: Array, B: Array | None, P: Array | None) -> Weights:
    """Return the blocks of one direction, W (G*H, I), R (G*H, H), B (2*G*H) and P (3*H); zeros for None."""
    H, G = node.hidden_size, len(node.gates)

    def matrices(a: Array) -> list[Array]:
        return [a[k * H : (k + 1) * H].T for k in range(G)]

    def rows(a: Array | None, count: int) -> list[Array]:
        return [np.zeros((1, H)) if a is None else np.reshape(a[k * H : (k + 1) * H], (1, H)) for k in range(count)]

    biases = rows(B, 2 * G)
    return Weights(matrices(W), matrices(R), biases[:G], biases[G:], rows(P, 3))
