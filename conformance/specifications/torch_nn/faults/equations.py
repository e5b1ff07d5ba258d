"""Faults of the equations."""

from __future__ import annotations

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference import cells
from reference.cells import blocks, relu, tanh, σ

FAULTS: list[Fault] = []
family = Family(FAULTS, "equations")


def hard_sigmoid(a):
    """Compute HardSigmoid as ONNX and earlier Keras versions do: a line of slope 1/5, clipped."""
    return np.clip(a / 5 + 0.5, 0, 1)


def hard_sigmoid_sixth(a):
    """Compute Hardsigmoid as PyTorch and Keras 3 do: a line of slope 1/6, clipped."""
    return np.clip(a / 6 + 0.5, 0, 1)


def hard_tanh(a):
    return np.clip(a, -1, 1)


def sigmoid_by_exp(a):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def lstm_with(i=σ, f=σ, g=tanh, o=σ, h=tanh, c=lambda c: c):
    """Return the equation of an LSTM with other functions for its gates, its h_t and its c_t."""

    def lstm(x, u, _, c_0):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = c(f(a_f) * c_0 + i(a_i) * g(a_g))
        return o(a_o) * h(c_t), c_t

    return lstm


def gru_with(r=σ, z=σ, n=tanh, mix=lambda z, n, h: (1 - z) * n + z * h, new=lambda x, r, u: x + r * u):
    """Return the equation of a GRU with other functions for its gates, its h_t and the argument of n_t."""

    def gru(x, u, h, c):
        (x_r, x_z, x_n), (u_r, u_z, u_n) = blocks(x, 3), blocks(u, 3)
        n_t = n(new(x_n, r(x_r + u_r), u_n))
        return mix(z(x_z + u_z), n_t, h), None

    return gru


# --- GRU -----------------------------------------------------------------------------------------------


def by_step(equation, kind):
    """Return the parts of a fault whose equation needs the weights: ``equation(x, u, h, c, weights)``."""

    def direction(go, came, weights, *arguments, **more):
        if came != kind:
            return go(came, weights, *arguments, **more)
        kept = cells.EQUATIONS[kind]
        cells.EQUATIONS[kind] = lambda x, u, h, c: equation(x, u, h, c, weights)
        try:
            return go(came, weights, *arguments, **more)
        finally:
            cells.EQUATIONS[kind] = kept

    return {"direction": direction}


def _reset_before(bias_in_reset):
    def gru(x, u, h, c, weights):
        _, W_hh, _, b_hh, _ = weights
        H = h.shape[-1]
        (x_r, x_z, x_n), (u_r, u_z, _) = blocks(x, 3), blocks(u, 3)
        r_t, z_t = σ(x_r + u_r), σ(x_z + u_z)
        product = (r_t * h) @ W_hh[:, 2 * H :]
        b_hn = 0 if b_hh is None else b_hh[2 * H :]
        n_t = tanh(x_n + product + (r_t * b_hn if bias_in_reset else b_hn))
        return (1 - z_t) * n_t + z_t * h, None

    return gru


@family(
    "GRU-EQUATION",
    "a GRU that resets h before the product, n = tanh(W_in x + b_in + W_hn (r h) + b_hn), as Cho et al., ONNX by "
    "default and Keras with reset_after=False have it; the documentation resets W_hn h + b_hn",
    "ONNX's GRU without linear_before_reset=1 (microsoft/onnxscript#2852) and Keras's with reset_after=False",
    kinds="gru",
    common=True,
)
def gru_reset_before_product():
    return by_step(_reset_before(bias_in_reset=False), "gru")


@family(
    "GRU-EQUATION",
    "a GRU that resets h before the product and b_hn too, n = tanh(W_in x + b_in + W_hn (r h) + r b_hn)",
    "a repair of the reset before the product that moves the bias and forgets the matrix",
    kinds="gru",
)
def gru_reset_before_product_and_on_bias():
    return by_step(_reset_before(bias_in_reset=True), "gru")


@family(
    "GRU-NEW-GATE",
    "a GRU whose b_hn stands outside the reset, n = tanh(W_in x + b_in + r W_hn h + b_hn)",
    "whoever adds the two biases at loading, as is right for an LSTM",
    kinds="gru",
    common=True,
)
def gru_bias_hn_outside_reset():
    def moved(p, a, b):
        H = len(p["bias_hh" + a]) // 3
        b_ih, b_hh = p["bias_ih" + a].copy(), p["bias_hh" + a].copy()
        b_ih[2 * H :] += b_hh[2 * H :]
        b_hh[2 * H :] = 0
        return b_ih, b_hh

    def load(config, p):
        changed = dict(p)
        for name in p:
            if name.startswith("bias_ih"):
                suffix = name.removeprefix("bias_ih")
                changed[name], changed["bias_hh" + suffix] = moved(p, suffix, suffix)
        return changed

    def adjoint(config, d):
        changed = dict(d)
        for name in d:
            if name.startswith("bias_ih"):
                H, other = len(d[name]) // 3, name.replace("_ih", "_hh")
                changed[other] = np.concatenate([d[other][: 2 * H], d[name][2 * H :]])
        return changed

    return {"load": load, "adjoint": adjoint}


@family(
    "GRU-NEW-GATE",
    "a GRU whose b_in stands inside the reset too, n = tanh(W_in x + r (W_hn h + b_in + b_hn))",
    "the two biases added at loading and handed over as the recurrent one",
    kinds="gru",
)
def gru_bias_in_inside_reset():
    def load(config, p):
        changed = dict(p)
        for name in p:
            if name.startswith("bias_ih"):
                H, other = len(p[name]) // 3, name.replace("_ih", "_hh")
                b_ih, b_hh = p[name].copy(), p[other].copy()
                b_hh[2 * H :] += b_ih[2 * H :]
                b_ih[2 * H :] = 0
                changed[name], changed[other] = b_ih, b_hh
        return changed

    def adjoint(config, d):
        changed = dict(d)
        for name in d:
            if name.startswith("bias_ih"):
                H, other = len(d[name]) // 3, name.replace("_ih", "_hh")
                changed[name] = np.concatenate([d[name][: 2 * H], d[other][2 * H :]])
        return changed

    return {"load": load, "adjoint": adjoint}


@family(
    "GRU-UPDATE-GATE",
    "a GRU whose update gate is inverted, h' = z n + (1 - z) h; the documentation says h' = (1 - z) n + z h",
    "the convention of Chung et al. (arXiv 1412.3555) and of Wikipedia (pytorch/pytorch#20129)",
    kinds="gru",
    common=True,
)
def gru_update_inverted():
    return {"equation": {"gru": gru_with(mix=lambda z, n, h: z * n + (1 - z) * h)}}


@family(
    "GRU-RESET-GATE",
    "a GRU without a reset gate, n = tanh(W_in x + b_in + W_hn h + b_hn)",
    "an implementation that forgets to multiply by r (zhiyongc/GRU-D#2)",
    kinds="gru",
    common=True,
)
def gru_reset_unused():
    return {"equation": {"gru": gru_with(new=lambda x, r, u: x + u)}}


@family(
    "GRU-RESET-GATE",
    "a GRU whose reset gate is inverted, n = tanh(W_in x + b_in + (1 - r) (W_hn h + b_hn))",
    "whoever reads r as what is forgotten, not as what is kept",
    kinds="gru",
)
def gru_reset_inverted():
    return {"equation": {"gru": gru_with(new=lambda x, r, u: x + (1 - r) * u)}}


@family(
    "GRU-NEW-GATE",
    "a GRU whose reset gate multiplies the input's part too, n = tanh(r (W_in x + b_in + W_hn h + b_hn))",
    "the two products fused into one before the reset",
    kinds="gru",
)
def gru_reset_of_everything():
    return {"equation": {"gru": gru_with(new=lambda x, r, u: r * (x + u))}}


@family(
    "GRU-NEW-GATE",
    "a GRU whose new gate is hard, n = clip(...) to [-1, 1]; the documentation says tanh",
    "a kernel for small devices that replaces tanh by a clipped line",
    kinds="gru",
)
def gru_new_gate_hard():
    return {"equation": {"gru": gru_with(n=hard_tanh)}}


@family(
    "GRU-NEW-GATE",
    "a GRU whose new gate is ReLU",
    "the option activation='relu' of Keras left on",
    kinds="gru",
)
def gru_new_gate_relu():
    return {"equation": {"gru": gru_with(n=relu)}}


@family(
    "GRU-UPDATE-GATE",
    "a GRU whose r and z are hard sigmoids of slope 1/5, clip(a/5 + 1/2)",
    "Keras before 2.3, whose recurrent_activation was hard_sigmoid by default; ONNX's HardSigmoid",
    kinds="gru",
    common=True,
)
def gru_gates_hard_sigmoid():
    return {"equation": {"gru": gru_with(r=hard_sigmoid, z=hard_sigmoid)}}


@family(
    "GRU-EQUATION",
    "a GRU that coupled nothing, h' = n + z h",
    "a term of the update lost in rewriting (1 - z) n + z h as n + z (h - n)",
    kinds="gru",
)
def gru_update_not_complementary():
    return {"equation": {"gru": gru_with(mix=lambda z, n, h: n + z * h)}}


# --- LSTM ----------------------------------------------------------------------------------------------


@family(
    "LSTM-INPUT-GATE",
    "an LSTM whose input gate is a hard sigmoid of slope 1/5, clip(a/5 + 1/2)",
    "a kernel that approximates one gate",
    kinds="lstm",
)
def lstm_input_gate_hard():
    return {"equation": {"lstm": lstm_with(i=hard_sigmoid)}}


@family(
    "LSTM-EQUATION",
    "an LSTM whose i, f and o are hard sigmoids of slope 1/5, clip(a/5 + 1/2)",
    "Keras before 2.3, whose recurrent_activation was hard_sigmoid by default; ONNX's HardSigmoid",
    kinds="lstm",
    common=True,
)
def lstm_gates_hard_sigmoid():
    return {"equation": {"lstm": lstm_with(i=hard_sigmoid, f=hard_sigmoid, o=hard_sigmoid)}}


@family(
    "LSTM-EQUATION",
    "an LSTM whose i, f and o are hard sigmoids of slope 1/6, clip(a/6 + 1/2)",
    "PyTorch's Hardsigmoid, chosen for speed on small devices",
    kinds="lstm",
)
def lstm_gates_hard_sigmoid_sixth():
    return {"equation": {"lstm": lstm_with(i=hard_sigmoid_sixth, f=hard_sigmoid_sixth, o=hard_sigmoid_sixth)}}


@family(
    "LSTM-FORGET-GATE",
    "an LSTM that adds one to the forget gate's sum, f = sigmoid(... + 1)",
    "forget_bias=1.0, the default of TensorFlow's BasicLSTMCell and built into Haiku's LSTM",
    kinds="lstm",
    common=True,
)
def lstm_forget_bias_one():
    return {"equation": {"lstm": lstm_with(f=lambda a: σ(a + 1))}}


@family(
    "LSTM-FORGET-GATE",
    "an LSTM whose forget gate is inverted, c' = (1 - f) c + i g",
    "whoever reads f as what is forgotten, not as what is kept",
    kinds="lstm",
)
def lstm_forget_inverted():
    return {"equation": {"lstm": lstm_with(f=lambda a: 1 - σ(a))}}


@family(
    "LSTM-INPUT-GATE",
    "an LSTM whose input and forget gates are coupled, c' = f c + (1 - f) g",
    "the coupled variant (CIFG), an option of TensorFlow Lite's LSTM and of ONNX's (input_forget)",
    kinds="lstm",
)
def lstm_input_forget_coupled():
    def lstm(x, u, h, c):
        _, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = σ(a_f) * c + (1 - σ(a_f)) * tanh(a_g)
        return σ(a_o) * tanh(c_t), c_t

    return {"equation": {"lstm": lstm}}


@family(
    "LSTM-EQUATION",
    "an LSTM with peepholes of weight one: c is added to the sums of i and f, c' to that of o",
    "the peephole variant of Gers and Schmidhuber, an input of ONNX's LSTM, with its weights left at one",
    kinds="lstm",
)
def lstm_peephole():
    def lstm(x, u, h, c):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = σ(a_f + c) * c + σ(a_i + c) * tanh(a_g)
        return σ(a_o + c_t) * tanh(c_t), c_t

    return {"equation": {"lstm": lstm}}


@family(
    "LSTM-CELL-GATE",
    "an LSTM whose cell gate g is a sigmoid; the documentation says tanh",
    "one call of the sigmoid over all four blocks at once",
    kinds="lstm",
)
def lstm_cell_gate_sigmoid():
    return {"equation": {"lstm": lstm_with(g=σ)}}


@family(
    "LSTM-CELL-GATE",
    "an LSTM whose cell gate g is ReLU; the documentation says tanh",
    "the option activation='relu' of Keras left on",
    kinds="lstm",
)
def lstm_cell_gate_relu():
    return {"equation": {"lstm": lstm_with(g=relu)}}


@family(
    "LSTM-OUTPUT-GATE",
    "an LSTM whose output gate is a hard sigmoid of slope 1/5, clip(a/5 + 1/2)",
    "a kernel that approximates one gate",
    kinds="lstm",
)
def lstm_output_gate_hard():
    return {"equation": {"lstm": lstm_with(o=hard_sigmoid)}}


@family(
    "LSTM-EQUATION",
    "an LSTM that adds the input gate to g, c' = f c + i + g",
    "a sign of addition for one of multiplication",
    kinds="lstm",
)
def lstm_input_gate_added():
    def lstm(x, u, h, c):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        c_t = σ(a_f) * c + σ(a_i) + tanh(a_g)
        return σ(a_o) * tanh(c_t), c_t

    return {"equation": {"lstm": lstm}}


@family(
    "LSTM-EQUATION",
    "an LSTM without the last tanh, h' = o c'",
    "the second activation forgotten; ONNX's h set to Affine",
    kinds="lstm",
    common=True,
)
def lstm_output_without_tanh():
    return {"equation": {"lstm": lstm_with(h=lambda c: c)}}


@family(
    "LSTM-EQUATION",
    "an LSTM whose h' is computed from c instead of c', h' = o tanh(c)",
    "the state read before it is written",
    kinds="lstm",
)
def lstm_output_of_the_old_state():
    def lstm(x, u, h, c):
        a_i, a_f, a_g, a_o = blocks(x + u, 4)
        return σ(a_o) * tanh(c), σ(a_f) * c + σ(a_i) * tanh(a_g)

    return {"equation": {"lstm": lstm}}


@family(
    "LSTM-EQUATION",
    "an LSTM whose cell state is clipped to [-1, 1]",
    "the option cell_clip of TensorFlow's LSTMCell",
    kinds="lstm",
)
def lstm_cell_state_clipped():
    return {"equation": {"lstm": lstm_with(c=lambda c: np.clip(c, -1, 1))}}


# --- RNN and all ---------------------------------------------------------------------------------------


@family(
    "RNN-TANH-EQUATION",
    "an RNN with ReLU for tanh and tanh for ReLU",
    "the nonlinearity's flag read the wrong way round",
    kinds=("rnn_tanh", "rnn_relu"),
)
def rnn_nonlinearities_exchanged():
    return {
        "equation": {
            "rnn_tanh": lambda x, u, h, c: (relu(x + u), None),
            "rnn_relu": lambda x, u, h, c: (tanh(x + u), None),
        }
    }


@family(
    "RNN-RELU-EQUATION",
    "an RNN with tanh whatever the nonlinearity asked for",
    "an adapter that does not pass nonlinearity on",
    kinds="rnn_relu",
)
def rnn_relu_is_tanh():
    return {"equation": {"rnn_relu": lambda x, u, h, c: (tanh(x + u), None)}}


@family(
    "RNN-RELU-EQUATION",
    "an RNN with a leaky ReLU of slope 0.01",
    "ONNX's LeakyRelu, whose alpha is 0.01 by default, taken for Relu",
    kinds="rnn_relu",
)
def rnn_relu_leaky():
    return {"equation": {"rnn_relu": lambda x, u, h, c: (np.where(x + u > 0, x + u, (x + u) * 0.01), None)}}


@family(
    "RNN-RELU-EQUATION",
    "an RNN whose ReLU is clipped at 6",
    "ReLU6, the activation of mobile kernels",
    kinds="rnn_relu",
)
def rnn_relu_clipped_at_6():
    return {"equation": {"rnn_relu": lambda x, u, h, c: (np.clip(x + u, 0, 6), None)}}


@family(
    "RNN-TANH-EQUATION",
    "an RNN with a sigmoid for tanh",
    "the wrong entry in a list of activations",
    kinds="rnn_tanh",
)
def rnn_sigmoid():
    return {"equation": {"rnn_tanh": lambda x, u, h, c: (σ(x + u), None)}}


@family(
    "RNN-TANH-EQUATION",
    "an RNN with a clipped line, clip(a) to [-1, 1], for tanh",
    "a kernel for small devices",
    kinds="rnn_tanh",
)
def rnn_tanh_hard():
    return {"equation": {"rnn_tanh": lambda x, u, h, c: (hard_tanh(x + u), None)}}


@family(
    "STATE-STEPWISE",
    "a layer without recurrence: every step starts from the initial state",
    "a loop that does not hand the state on",
)
def recurrence_missing():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        ends = [go(kind, weights, inputs[t : t + 1], h, c, None, reverse) for t in range(len(inputs))]
        outputs = np.concatenate([output for output, _, _ in ends])
        if running is not None:
            outputs = np.where(running, outputs, 0.0)
        last = [0 if reverse else len(inputs) - 1] if running is None or reverse else None
        if last is not None:
            return outputs, ends[last[0]][1], ends[last[0]][2]
        own = np.sum(running[:, :, 0], axis=0) - 1
        at = (own, np.arange(len(own)))
        states = [None if ends[0][k] is None else np.stack([end[k] for end in ends])[at] for k in (1, 2)]
        return outputs, *states

    return {"direction": direction}


@family(
    "SATURATION-EQUATION",
    "a layer whose tanh is (exp(2a) - 1) / (exp(2a) + 1), NaN where exp overflows",
    "the textbook's formula written down",
    kinds=("rnn_tanh", "lstm", "gru"),
    gradients=False,
)
def naive_exponentials():
    def naive_tanh(a):
        with np.errstate(all="ignore"):
            e = np.exp(np.float32(2) * np.asarray(a, np.float32))
            return ((e - 1) / (e + 1)).astype(np.float64)

    naive = {"g": naive_tanh, "h": naive_tanh, **dict.fromkeys("ifo", sigmoid_by_exp)}
    return {
        "equation": {
            "lstm": lstm_with(**naive),
            "gru": gru_with(r=sigmoid_by_exp, z=sigmoid_by_exp, n=naive_tanh),
            "rnn_tanh": lambda x, u, h, c: (naive_tanh(x + u), None),
        }
    }
