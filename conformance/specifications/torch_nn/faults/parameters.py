"""Faults in the use of parameters: biases, weights, directions, stacks and projections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.parameters import parameter_shapes

FAULTS: list[Fault] = []
biases, weights, directions, stacking, projection = (
    Family(FAULTS, name) for name in ("biases", "weights", "directions", "stacking", "projection")
)


def each(change, prefix, suffix=""):
    """Return the parts of a fault with a linear, elementwise change of the parameters named ``prefix``...``suffix``."""

    def load(config, p):
        return {
            name: change(a).astype(a.dtype) if name.startswith(prefix) and name.endswith(suffix) else a
            for name, a in p.items()
        }

    return {"load": load, "adjoint": load}


# --- biases --------------------------------------------------------------------------------------------


@biases(
    "PARAM-BIASES-ADD",
    "a layer that leaves bias_hh out",
    "frameworks with one bias a gate, as Flax's cells and Keras's LSTM have it; a missing bias taken for both "
    "(intel/torch-xpu-ops#3770)",
    common=True,
)
def bias_hh_dropped():
    return each(np.zeros_like, "bias_hh")


@biases(
    "PARAM-BIASES-ADD",
    "a layer that leaves bias_ih out",
    "a converter that writes the second bias over the first",
    common=True,
)
def bias_ih_dropped():
    return each(np.zeros_like, "bias_ih")


@biases(
    "FORWARD-EQUATION",
    "a layer that leaves both biases out",
    "a flag for biases that arrives as False",
    common=True,
)
def biases_dropped():
    return each(np.zeros_like, "bias")


@biases("FORWARD-EQUATION", "a layer that adds bias_ih twice", "the sum of the two biases formed of one of them twice")
def bias_ih_doubled():
    return each(lambda a: 2 * a, "bias_ih")


@biases("FORWARD-EQUATION", "a layer that adds bias_hh twice", "the sum of the two biases formed of one of them twice")
def bias_hh_doubled():
    return each(lambda a: 2 * a, "bias_hh")


@biases(
    "FORWARD-EQUATION",
    "a layer that adds both biases twice",
    "the sum of the two biases handed to a library for each of its two",
    common=True,
)
def biases_doubled():
    return each(lambda a: 2 * a, "bias")


@biases("FORWARD-EQUATION", "a layer that adds half of each bias", "a single bias split between two and joined again")
def biases_halved():
    return each(lambda a: a / 2, "bias")


@biases(
    "FORWARD-EQUATION",
    "a layer that adds the biases at the first layer only",
    "biases handed over once, not a layer",
    features={"multilayer"},
)
def biases_of_the_first_layer_only():
    def load(config, p):
        return {
            n: np.zeros_like(a) if n.startswith("bias") and "_l" in n and "_l0" not in n else a for n, a in p.items()
        }

    return {"load": load, "adjoint": load}


@biases(
    "GRU-NEW-GATE",
    "a GRU in which bias_ih and bias_hh have changed places; only in n does that show",
    "the order of the two biases in a buffer mistaken",
    kinds="gru",
    common=True,
)
def biases_exchanged():
    def load(config, p):
        return {n: p[n.replace("_ih", "_xx").replace("_hh", "_ih").replace("_xx", "_hh")] if n.startswith("bias") else a
                for n, a in p.items()}  # fmt: skip

    return {"load": load, "adjoint": load}


@biases(
    "PARAM-NO-BIAS",
    "a layer that has biases of a tenth with bias=False",
    "a buffer for biases that is not cleared (microsoft/onnxruntime#3893)",
    features={"no_bias"},
)
def no_bias_is_a_tenth():
    def filled(config, given):
        config = replace(config, bias=True)
        dtype = next(iter(given.values())).dtype
        shapes = parameter_shapes(config)
        return config, {n: given[n] if n in given else np.full(s, 0.1, dtype) for n, s in shapes.items()}

    def forward(layer, *arguments):
        if layer.config.bias:
            return layer.plain(*arguments)
        return layer.plain_of(*filled(layer.config, layer.given), *arguments)

    def step(cell, *arguments):
        return (
            cell.plain(*arguments) if cell.config.bias else cell.plain_of(*filled(cell.config, cell.given), *arguments)
        )

    return {"forward": forward, "step": step}


@biases(
    "FORWARD-EQUATION",
    "a layer that subtracts bias_hh",
    "a sign lost in moving a term over the equation",
)
def bias_hh_subtracted():
    return each(np.negative, "bias_hh")


@biases(
    "PARAM-REVERSE",
    "a bidirectional layer whose reverse direction uses the forward direction's biases",
    "a table of pointers with one entry for both",
    features={"bidirectional"},
)
def reverse_shares_biases():
    def load(config, p):
        return {n: p[n.removesuffix("_reverse")] if n.startswith("bias") else a for n, a in p.items()}

    return {"load": load}


@biases(
    "FORWARD-EQUATION",
    "a layer that adds the first gate's bias to every gate",
    "a bias of H numbers broadcast over the gates",
    kinds=("lstm", "gru"),
)
def bias_of_the_first_gate_for_all():
    def load(config, p):
        H = config.hidden_size
        return {n: np.tile(a[:H], len(a) // H) if n.startswith("bias") else a for n, a in p.items()}

    return {"load": load}


# --- weights -------------------------------------------------------------------------------------------


def transposed_blocks(name, a):
    if not name.startswith("weight_hh"):
        return a
    return np.concatenate([block.T for block in np.split(a, len(a) // a.shape[1])])


@weights(
    "FORWARD-EQUATION",
    "a layer that uses the transpose of every gate's W_hh",
    "kernels that store (in, out), as Keras, Flax and TensorFlow do, taken over without a transposition",
    common=True,
)
def weight_hh_transposed():
    def load(config, p):
        if getattr(config, "proj_size", 0):
            return p
        return {n: transposed_blocks(n, a) for n, a in p.items()}

    return {"load": load, "adjoint": load}


@weights(
    "FORWARD-EQUATION",
    "a layer that reads weight_hh column by column, as Fortran stores it",
    "a buffer of another memory order taken over as it is",
)
def weight_hh_column_major():
    def load(config, p):
        return {n: a.T.reshape(a.shape) if n.startswith("weight_hh") else a for n, a in p.items()}

    def adjoint(config, d):
        return {n: a.reshape(a.shape[::-1]).T if n.startswith("weight_hh") else a for n, a in d.items()}

    return {"load": load, "adjoint": adjoint}


@weights(
    "FORWARD-EQUATION",
    "a layer that reads weight_ih column by column, as Fortran stores it",
    "a buffer of another memory order taken over as it is",
)
def weight_ih_column_major():
    def load(config, p):
        return {n: a.T.reshape(a.shape) if n.startswith("weight_ih") else a for n, a in p.items()}

    def adjoint(config, d):
        return {n: a.reshape(a.shape[::-1]).T if n.startswith("weight_ih") else a for n, a in d.items()}

    return {"load": load, "adjoint": adjoint}


@weights(
    "FORWARD-EQUATION",
    "a layer that takes its input's features from the last to the first",
    "an axis flipped on the way to the library",
)
def weight_ih_flipped():
    def load(config, p):
        return {n: a[:, ::-1] if n.startswith("weight_ih") else a for n, a in p.items()}

    return {"load": load, "adjoint": load}


@weights(
    "FORWARD-EQUATION",
    "a layer that uses weight_ih for weight_hh where the two have the same shape",
    "one name of the two written twice",
)
def weight_hh_is_weight_ih():
    def load(config, p):
        def used(name, a):
            other = p.get(name.replace("weight_hh", "weight_ih"))
            return other if name.startswith("weight_hh") and other.shape == a.shape else a

        return {n: used(n, a) for n, a in p.items()}

    return {"load": load}


@weights("FORWARD-EQUATION", "a layer that adds W_hh h twice", "a product accumulated onto a buffer that held it")
def weight_hh_doubled():
    return each(lambda a: 2 * a, "weight_hh")


@weights("PARAM-ORDER", "parameters that are read back in the alphabet's order", "a sorted dict", numeric=False)
def read_back_sorted():
    return {"read": lambda p: dict(sorted(p.items()))}


@weights("PARAM-SHAPES", "weights that are read back transposed", "a library that stores (in, out)", numeric=False)
def read_back_transposed():
    return {"read": lambda p: {n: a.T for n, a in p.items()}}


@weights(
    "PARAM-VALUES",
    "parameters that are read back rounded to float16",
    "weights stored in half precision",
    numeric=False,
)
def read_back_rounded():
    return {"read": lambda p: {n: a.astype(np.float16).astype(a.dtype) for n, a in p.items()}}


@weights(
    "PARAM-NAMES",
    "parameters of which the reverse direction's are not read back",
    "a list over layers alone",
    features={"bidirectional"},
    numeric=False,
)
def read_back_without_reverse():
    return {"read": lambda p: {n: a for n, a in p.items() if not n.endswith("_reverse")}}


# --- directions ----------------------------------------------------------------------------------------


@directions(
    "PARAM-REVERSE",
    "a bidirectional layer whose reverse direction uses the forward direction's parameters",
    "one set of weights for both directions of a wrapper (NVIDIA/TensorRT#2492 has a reverse direction that is wrong)",
    features={"bidirectional"},
    common=True,
)
def reverse_shares_forward():
    return {"load": lambda config, p: {n: p[n.removesuffix("_reverse")] for n in p}}


@directions(
    "BIDIRECTIONAL-EQUATION",
    "a bidirectional layer whose two directions have each other's parameters",
    "a list of weights in which the reverse direction comes first",
    features={"bidirectional"},
    common=True,
)
def directions_parameters_exchanged():
    def other(name):
        return name.removesuffix("_reverse") if name.endswith("_reverse") else name + "_reverse"

    def load(config, p):
        return {n: p[other(n)] for n in p} if getattr(config, "bidirectional", False) else p

    def adjoint(config, d):
        return d | load(config, {n: a for n, a in d.items() if n.startswith(("weight", "bias"))})

    return {"load": load, "adjoint": adjoint}


@directions(
    "PARAM-LAYER-INPUT",
    "a stack whose later layers take the reverse half of their input for the forward half",
    "the two halves joined in the other order between layers",
    features={"multilayer", "bidirectional"},
    common=True,
)
def later_layers_input_halves_exchanged():
    def load(config, p):
        if not getattr(config, "bidirectional", False):
            return p
        later = [n for n in p if n.startswith("weight_ih") and not n.startswith("weight_ih_l0")]
        return p | {n: np.roll(p[n], config.output_size, axis=1) for n in later}

    return {"load": load, "adjoint": load}


@directions(
    "PARAM-LAYER-INPUT",
    "a stack whose later layers read the features of the two directions in turns",
    "the directions stacked on the last axis instead of joined",
    features={"multilayer", "bidirectional"},
)
def later_layers_input_interleaved():
    def load(config, p):
        if not getattr(config, "bidirectional", False):
            return p
        take = np.arange(2 * config.output_size).reshape(-1, 2).T.ravel()
        later = [n for n in p if n.startswith("weight_ih") and not n.startswith("weight_ih_l0")]
        return p | {n: p[n][:, take] for n in later}

    return {"load": load}


@directions(
    "PARAM-REVERSE",
    "a bidirectional layer whose reverse direction uses weight_ih of its own and weight_hh of the forward direction",
    "one of two pointers that is not moved on",
    features={"bidirectional"},
)
def reverse_shares_weight_hh():
    def load(config, p):
        return {n: p[n.removesuffix("_reverse")] if n.startswith("weight_hh") else a for n, a in p.items()}

    return {"load": load}


@directions(
    "BIDIRECTIONAL-EQUATION",
    "a bidirectional layer whose reverse direction starts from the first step as well",
    "go_backwards forgotten in building the second direction",
    features={"bidirectional"},
    common=True,
)
def reverse_runs_forward():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        return go(kind, weights, inputs, h, c, running, False, record)

    return {"direction": direction}


@directions(
    "BIDIRECTIONAL-EQUATION",
    "a bidirectional layer whose reverse output is left in the order in which it was computed",
    "Keras's return_sequences with go_backwards=True gives it so; the second flip forgotten",
    features={"bidirectional"},
    common=True,
)
def reverse_output_not_flipped_back():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        output, h, c = go(kind, weights, inputs, h, c, running, reverse, record)
        return output[::-1] if reverse else output, h, c

    return {"direction": direction}


@directions(
    "BIDIRECTIONAL-EQUATION",
    "a bidirectional layer whose reverse output, in the order in which it was computed, is flipped along the batch",
    "a flip of the wrong axis",
    features={"bidirectional"},
)
def reverse_output_flipped_along_the_batch():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        output, h, c = go(kind, weights, inputs, h, c, running, reverse, record)
        return output[::-1, ::-1] if reverse else output, h, c

    return {"direction": direction}


# --- stacking ------------------------------------------------------------------------------------------


@stacking(
    "MULTILAYER-EQUATION",
    "a stack whose layers from the third on use the parameters of the second",
    "a loop that treats the first layer and 'the others'",
    features={"multilayer"},
)
def later_layers_share():
    def load(config, p):
        return {n: p[n.replace("_l2", "_l1").replace("_l3", "_l1")] for n in p}

    return {"load": load}


@stacking(
    "MULTILAYER-EQUATION",
    "a stack whose later layers use weight_hh and the biases of the first",
    "a cell built once and used for every layer",
    features={"multilayer"},
)
def later_layers_recurrence_of_the_first():
    def first(name):
        layer = name.partition("_l")[2].removesuffix("_reverse")
        return name if name.startswith(("weight_ih", "weight_hr")) or not layer else name.replace(f"_l{layer}", "_l0")

    return {"load": lambda config, p: {n: p[first(n)] for n in p}}


@stacking(
    "MULTILAYER-EQUATION",
    "a stack whose layers add their input to their output where the two have the same size",
    "residual connections, as in the wrappers of TensorFlow's rnn_cell",
    features={"multilayer"},
)
def later_layers_residual():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        output, h, c = go(kind, weights, inputs, h, c, running, reverse, record)
        return output + inputs if output.shape == inputs.shape and not reverse else output, h, c

    return {"direction": direction}


@stacking(
    "STATE-INITIAL",
    "a stack in which every layer starts from the first layer's state",
    "h_0[0] handed to each layer",
    features={"multilayer", "initial_state"},
)
def later_layers_state_of_the_first():
    def arguments(layer, x, h_0, c_0, lengths):
        D, L = layer.config.directions, layer.config.num_layers
        first = (None if s is None or s.shape[0] != D * L else np.concatenate([s[:D]] * L) for s in (h_0, c_0))
        return x, *(s if s is not None else given for s, given in zip(first, (h_0, c_0), strict=True)), lengths

    return {"arguments": arguments}


# --- projection ----------------------------------------------------------------------------------------

PROJECTING = {"kinds": "lstm", "features": {"projection"}}


@projection(
    "PROJ-EQUATION",
    "an LSTM whose W_hr enters by its absolute value",
    "a table of magnitudes",
    **PROJECTING,
)
def projection_ignores_sign():
    return {"load": each(np.abs, "weight_hr")["load"]}


@projection(
    "PROJ-BIDIRECTIONAL",
    "an LSTM whose two directions project with the forward direction's W_hr",
    "a pointer that is not moved on from direction to direction",
    kinds="lstm",
    features={"projection", "bidirectional"},
)
def projection_of_reverse_shared():
    def load(config, p):
        return {n: p[n.removesuffix("_reverse")] if n.startswith("weight_hr") else a for n, a in p.items()}

    return {"load": load}


@projection(
    "PROJ-EQUATION",
    "an LSTM that reads weight_hr column by column, as (H, P)",
    "kernels that store (in, out), as TensorFlow's num_proj does",
    **PROJECTING,
)
def projection_column_major():
    def load(config, p):
        return {n: a.T.reshape(a.shape) if n.startswith("weight_hr") else a for n, a in p.items()}

    def adjoint(config, d):
        return {n: a.reshape(a.shape[::-1]).T if n.startswith("weight_hr") else a for n, a in d.items()}

    return {"load": load, "adjoint": adjoint}


@projection(
    "PROJ-EQUATION",
    "an LSTM that takes tanh of the projected state, h = tanh(W_hr (o tanh(c)))",
    "a projection built as a dense layer with an activation",
    **PROJECTING,
)
def projection_with_tanh():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        if weights[4] is None:
            return go(kind, weights, inputs, h, c, running, reverse, record)
        outputs, T = [None] * len(inputs), len(inputs)
        for t in reversed(range(T)) if reverse else range(T):
            now = None if running is None else running[t : t + 1]
            _, h_t, c_t = go(kind, weights, inputs[t : t + 1], h, c, None, reverse)
            h_t = np.tanh(h_t)
            outputs[t] = h_t if now is None else np.where(now[0], h_t, 0.0)
            h, c = (h_t, c_t) if now is None else (np.where(now[0], h_t, h), np.where(now[0], c_t, c))
        return np.stack(outputs), h, c

    return {"direction": direction}


@projection(
    "PROJ-STACKED",
    "an LSTM whose later layers project with the first layer's W_hr",
    "one projection for the whole stack",
    kinds="lstm",
    features={"projection", "multilayer"},
)
def projection_of_the_first_layer():
    def load(config, p):
        def used(n):
            if not n.startswith("weight_hr"):
                return n
            return "weight_hr_l0" + ("_reverse" if n.endswith("_reverse") else "")

        return {n: p[used(n)] for n in p}

    return {"load": load}


@projection(
    "PROJ-SHAPES",
    "an LSTM whose c_n is cut to the size of the projection",
    "the cell state taken for as large as the hidden state",
    **PROJECTING,
)
def projection_of_the_cell_state():
    return {"result": lambda layer, got, _: Result(got.output, got.h_n, got.c_n[..., : layer.config.output_size])}


@projection(
    "PROJ-EQUATION",
    "an LSTM whose projection acts on the output alone, the recurrence seeing the first P units of o tanh(c)",
    "a dense layer put behind an LSTM",
    **PROJECTING,
)
def projection_of_the_output_only():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        W_hr = weights[4]
        if W_hr is None:
            return go(kind, weights, inputs, h, c, running, reverse, record)
        H, P = W_hr.shape
        first = np.eye(H)[:, :P]
        outputs, T, projected = [None] * len(inputs), len(inputs), h
        for t in reversed(range(T)) if reverse else range(T):
            _, whole, c_t = go(kind, (*weights[:4], np.eye(H)), inputs[t : t + 1], h, c, None, reverse)
            runs = np.True_ if running is None else running[t]
            outputs[t] = np.where(runs, whole @ W_hr, 0.0)
            projected, h, c = (
                np.where(runs, new, old) for new, old in ((whole @ W_hr, projected), (whole @ first, h), (c_t, c))
            )
        return np.stack(outputs), projected, c

    return {"direction": direction}
