"""A small interpreter of ONNX's recurrent nodes in NumPy, as somebody else writes one, right and with faults.

It reads the protobuf by onnx's helpers, works in float32, and shares nothing with the suite.
"""

import numpy as np
import onnx
from onnx import numpy_helper

from conformance.onnx import OnnxFeatures, OnnxRuntime


def sig(v):
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * v) + np.float32(1))


FUNCTIONS = {"Tanh": np.tanh, "Sigmoid": sig, "Relu": lambda v: np.where(v < 0, np.float32(0), v)}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


class NumpyRuntime(OnnxRuntime):
    """The right one."""

    name, version = "numpy-interpreter", "1"
    features = OnnxFeatures(
        attributes={"activations", "linear_before_reset"}, inputs={"B", "sequence_lens", "initial_h", "initial_c"}
    )
    lstm = "iofc"
    """The order in which the blocks of W, R and B are read."""

    def prepare(self, model):
        graph = onnx.load_model_from_string(model).graph
        for value in [*graph.input, *graph.output]:
            if value.type.tensor_type.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT32):
                raise NotImplementedError("float32 only")
        known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        plan = [(node, {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}) for node in graph.node]
        for node, attributes in plan:
            if attributes.get("layout") or "clip" in attributes or len(node.input) > 7:
                raise NotImplementedError(f"{node.op_type} with {sorted(attributes)}")

        def run(given):
            env = {"": None, **known, **given}
            for node, attributes in plan:
                came = getattr(self, node.op_type)(attributes, *(env[name] for name in node.input))
                env.update(zip(node.output, came, strict=False))
            return {value.name: env[value.name] for value in graph.output}

        return run

    def Transpose(self, attributes, x):
        return [np.transpose(x, attributes["perm"])]

    def Reshape(self, attributes, x, shape):
        return [x.reshape([have if want == 0 else want for have, want in zip(x.shape, shape, strict=False)])]

    def RNN(self, attributes, X, W, R, B=None, lens=None, h0=None):
        return self.recurrent("RNN", attributes, X, W, R, B, lens, h0)

    def GRU(self, attributes, X, W, R, B=None, lens=None, h0=None):
        if not attributes.get("linear_before_reset"):
            raise NotImplementedError("linear_before_reset=0")
        return self.recurrent("GRU", attributes, X, W, R, B, lens, h0)

    def LSTM(self, attributes, X, W, R, B=None, lens=None, h0=None, c0=None):
        return self.recurrent("LSTM", attributes, X, W, R, B, lens, h0, c0)

    def recurrent(self, kind, attributes, X, W, R, B, lens, h0, c0=None):
        T, N, _ = X.shape
        D, H = R.shape[0], R.shape[2]
        gates = {"LSTM": self.lstm, "GRU": "zrh", "RNN": "i"}[kind]
        names = [n.decode() for n in attributes.get("activations", [])] or DEFAULTS[kind] * D
        functions = [FUNCTIONS[name] for name in names]
        per = len(functions) // D
        Y = np.zeros((T, D, N, H), np.float32)
        ends = []
        reversed_first = attributes.get("direction", b"forward") == b"reverse"
        for d in range(D):
            w, r = ({g: M[d, k * H : (k + 1) * H] for k, g in enumerate(gates)} for M in (W, R))
            b = np.zeros(2 * len(gates) * H, np.float32) if B is None else B[d]
            wb, rb = ({g: half[k * H : (k + 1) * H] for k, g in enumerate(gates)} for half in np.split(b, 2))
            f = functions[d * per : (d + 1) * per]
            H_n, C_n = (np.zeros((N, H), np.float32) if s is None else s[d].copy() for s in (h0, c0))
            for n in range(N):
                length = self.length(T, n, lens)
                order = range(length)
                if d == 1 or reversed_first:
                    order = self.backward(T, length)
                h, c = H_n[n], C_n[n]
                for t in order:
                    h, c = self.step(kind, f, X[t, n], h, c, w, r, wb, rb)
                    Y[t, d, n] = h
                H_n[n], C_n[n] = h, c
            ends.append((H_n, C_n))
        return [Y, np.stack([h for h, _ in ends]), np.stack([c for _, c in ends])]

    def length(self, T, n, lens):
        return T if lens is None else int(lens[n])

    def backward(self, T, length):
        return range(length - 1, -1, -1)

    def step(self, kind, f, x, h, c, w, r, wb, rb):
        def gate(g, extra=None):
            return w[g] @ x + wb[g] + (r[g] @ h + rb[g] if extra is None else extra)

        if kind == "RNN":
            return f[0](gate("i")), c
        if kind == "GRU":
            z, reset = f[0](gate("z")), f[0](gate("r"))
            new = f[1](gate("h", self.reset(reset, h, r["h"], rb["h"])))
            return (1 - z) * new + z * h, c
        i, o, forget, new = f[0](gate("i")), f[0](gate("o")), f[0](gate("f")), f[1](gate("c"))
        c = forget * c + i * new
        return o * f[2](c), c

    def reset(self, reset, h, matrix, bias):
        return reset * (matrix @ h + bias)


class GatesOfTorch(NumpyRuntime):
    """Reads LSTM's blocks in PyTorch's order, i f g o."""

    name = "gates-of-torch"
    lstm = "ifco"


class ResetBefore(NumpyRuntime):
    """Takes GRU's linear_before_reset=1 for 0."""

    name = "reset-before"

    def reset(self, reset, h, matrix, bias):
        return matrix @ (reset * h) + bias


class ReverseFromTheEnd(NumpyRuntime):
    """Starts the reverse direction at the last step of X without regard to sequence_lens, and clears nothing."""

    name = "reverse-from-the-end"

    def backward(self, T, length):
        return range(T - 1, -1, -1)


class LengthsIgnored(NumpyRuntime):
    """Ignores sequence_lens."""

    name = "lengths-ignored"

    def length(self, T, n, lens):
        return T


class FirstActivations(NumpyRuntime):
    """Ignores the attribute activations."""

    name = "first-activations"

    def recurrent(self, kind, attributes, *arrays):
        return super().recurrent(kind, {n: v for n, v in attributes.items() if n != "activations"}, *arrays)
