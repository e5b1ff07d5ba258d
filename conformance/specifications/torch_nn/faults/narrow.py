"""Faults that show under a narrow condition only: one size, one step, the last units."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import rounded_to, samples_of, steps_of, time_first
from conformance.specifications.torch_nn.faults.parameters import each

FAULTS: list[Fault] = []
family = Family(FAULTS, "narrow")


def x_changed(when, change):
    """Return the parts of a fault that changes x if ``when(layer, x)``."""

    def arguments(layer, x, h_0, c_0, lengths):
        return change(x) if when(layer, x) else x, h_0, c_0, lengths

    return {"arguments": arguments}


def halved(x):
    return x * x.dtype.type(0.5)


def slightly_off(x):
    return x * x.dtype.type(1.001)


# --- steps ---------------------------------------------------------------------------------------------


@family(
    "STATE-STEPWISE",
    "a layer that ignores the initial state of sequences of one step",
    "a path of its own for T = 1 (pytorch/pytorch#34036 is about that size)",
    features={"initial_state"},
)
def states_ignored_for_one_step():
    def arguments(layer, x, h_0, c_0, lengths):
        return (x, None, None, lengths) if steps_of(layer, x) == 1 else (x, h_0, c_0, lengths)

    return {"arguments": arguments}


@family(
    "FORWARD-EQUATION",
    "a layer that computes sequences of more than 16 steps from an input rounded to float16",
    "a kernel for long sequences in half precision",
)
def half_precision_past_step_16():
    return x_changed(lambda layer, x: steps_of(layer, x) > 16, lambda x: rounded_to(np.float16, x))


@family("LONG-SEQUENCE-EQUATION", "a layer whose output after step 64 repeats that of step 64", "a buffer for 64 steps")
def steps_past_64_repeated():
    def result(layer, got, lengths):
        time = time_first(layer, got.output)
        if len(time) > 64 and lengths is None:
            time[64:] = time[63]
        return got

    return {"result": result}


@family(
    "LONG-SEQUENCE-EQUATION",
    "a layer that starts from zeros again every 32 steps",
    "a sequence cut into chunks whose states are not handed on",
)
def state_lost_every_32_steps():
    def forward(layer, x, h_0, c_0, lengths):
        if steps_of(layer, x) <= 32 or lengths is not None or layer.config.bidirectional:
            return layer.plain(x, h_0, c_0, lengths)
        time, parts = time_first(layer, x), []
        for start in range(0, len(time), 32):
            chunk = np.ascontiguousarray(time_first(layer, time[start : start + 32]))
            parts.append(layer.plain(chunk, *((h_0, c_0) if start == 0 else (None, None))))
        axis = 1 if layer.config.batch_first and x.ndim == 3 else 0
        return Result(np.concatenate([part.output for part in parts], axis), *parts[-1][1:])

    return {"forward": forward}


@family(
    "STATE-REVERSE-FIRST",
    "a bidirectional layer whose reverse direction leaves out the last step of sequences of an odd number of steps",
    "steps taken two at a time",
    features={"bidirectional"},
)
def reverse_tail_of_odd_steps():
    def result(layer, got, lengths):
        time, O = time_first(layer, got.output), layer.config.output_size
        if layer.config.bidirectional and len(time) % 2 and lengths is None:
            time[-1][..., O:] = 0
        return got

    return {"result": result}


@family("ROBUST-LONG", "a layer whose state stays what it is from step 900 on", "a counter of ten bits", numeric=False)
def steps_counted_in_ten_bits():
    def result(layer, got, lengths):
        time = time_first(layer, got.output)
        if len(time) > 900:
            time[900:] = time[899]
        return got

    return {"result": result}


# --- samples -------------------------------------------------------------------------------------------


@family("LARGE-BATCH-EQUATION", "a layer that leaves the samples from the 33rd on zero", "one warp of 32 threads")
def samples_past_32_zero():
    def result(layer, got, lengths):
        if got.output.ndim == 3:
            np.swapaxes(time_first(layer, got.output), 0, 1)[32:] = 0
        return got

    return {"result": result}


@family(
    "FORWARD-EQUATION",
    "a layer that takes the input of batches of more than 8 samples times 1.001",
    "a path of its own for larger batches",
)
def batches_over_8_slightly_off():
    return x_changed(lambda layer, x: samples_of(layer, x) > 8, slightly_off)


@family(
    "FORWARD-EQUATION",
    "a layer that gives the second half of batches of even size the first half's states",
    "a batch divided between two threads",
    features={"initial_state"},
)
def states_of_the_first_half():
    def arguments(layer, x, h_0, c_0, lengths):
        N = samples_of(layer, x)
        if x.ndim == 3 and N % 2 == 0:
            h_0, c_0 = (None if s is None else np.concatenate([s[:, : N // 2]] * 2, axis=1) for s in (h_0, c_0))
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@family("FORWARD-EQUATION", "a layer that halves the input of a batch of one sample", "an axis of one squeezed away")
def batch_of_one_halved():
    return x_changed(lambda layer, x: x.ndim == 3 and samples_of(layer, x) == 1, halved)


@family(
    "FORWARD-EQUATION", "a layer that exchanges batch and time of x where N = T", "a test of shapes in place of a flag"
)
def square_input_transposed():
    def change(x):
        return np.swapaxes(x, 0, 1).copy()

    return x_changed(lambda layer, x: x.ndim == 3 and x.shape[0] == x.shape[1] > 1, change)


# --- sizes ---------------------------------------------------------------------------------------------


def tail_left_out(when, width):
    """Return the parts of a fault whose recurrence leaves out the last units."""

    def load(config, p):
        if not when(config.hidden_size):
            return p
        return {n: cut(a, width(config.hidden_size)) if n.startswith("weight_hh") else a for n, a in p.items()}

    def cut(a, last):
        a = a.copy()
        a[:, -last:] = 0
        return a

    return {"load": load}


@family(
    "FORWARD-EQUATION",
    "a layer of an odd number of units that leaves the last one out of W_hh h",
    "a product two elements at a time, the tail forgotten",
)
def odd_hidden_size_tail():
    return tail_left_out(lambda H: H % 2 == 1 and H > 1, lambda H: 1)


@family(
    "FORWARD-EQUATION",
    "a layer whose number of units leaves 3 over a multiple of 4 that leaves these 3 out of W_hh h",
    "a product four elements at a time, its tail handled for 1 and 2",
)
def hidden_size_3_modulo_4_tail():
    return tail_left_out(lambda H: H % 4 == 3, lambda H: 3)


@family(
    "FORWARD-EQUATION",
    "a layer of more than 8 units that leaves those past the last multiple of 8 out of W_hh h",
    "a product eight elements at a time, the tail forgotten",
)
def hidden_size_past_8_tail():
    return tail_left_out(lambda H: H > 8 and H % 8, lambda H: H % 8)


@family(
    "FORWARD-EQUATION",
    "a layer with an odd number of features that leaves the last one out",
    "a product two elements at a time, the tail forgotten",
)
def odd_input_size_tail():
    def load(config, p):
        def cut(a):
            if a.shape[1] % 2 == 0 or a.shape[1] == 1:
                return a
            a = a.copy()
            a[:, -1] = 0
            return a

        return {n: cut(a) if n.startswith("weight_ih") else a for n, a in p.items()}

    return {"load": load}


@family("LONG-SEQUENCE-EQUATION", "a layer of one unit whose W_hh is left out", "an axis of one squeezed away")
def one_unit_without_recurrence():
    def load(config, p):
        return each(np.zeros_like, "weight_hh")["load"](config, p) if config.hidden_size == 1 else p

    return {"load": load}


@family("FORWARD-EQUATION", "a layer of one feature that halves its input", "an axis of one squeezed away")
def one_feature_halved():
    def load(config, p):
        return each(halved, "weight_ih", "_l0")["load"](config, p) if config.input_size == 1 else p

    return {"load": load}


@family("LARGE-HIDDEN-EQUATION", "a layer that leaves h_n zero from the 65th unit on", "a block of 64 threads")
def units_past_64_zero():
    def result(layer, got, lengths):
        got.h_n[..., 64:] = 0
        return got

    return {"result": result}


@family(
    "LARGE-HIDDEN-EQUATION", "a layer that leaves out the units from the 129th on of W_hh h", "a tile of 128 columns"
)
def columns_past_128_left_out():
    return tail_left_out(lambda H: H > 128, lambda H: H - 128)


@family(
    "FORWARD-EQUATION",
    "a layer whose I and H are equal and that reads weight_ih transposed",
    "an orientation told by the shape, which a square matrix does not tell",
)
def square_weight_ih_transposed():
    def load(config, p):
        def read(a):
            H, I = config.hidden_size, config.input_size
            if I != H or a.shape[1] != I:
                return a
            return np.concatenate([block.T for block in np.split(a, a.shape[0] // H)])

        return {n: read(a) if n.startswith("weight_ih") else a for n, a in p.items()}

    return {"load": load}


# --- layers and combinations ---------------------------------------------------------------------------


@family(
    "MULTILAYER-EQUATION",
    "a stack whose third layer takes its biases for zeros",
    "a table of two layers",
    features={"multilayer"},
)
def third_layer_without_biases():
    def load(config, p):
        return {n: np.zeros_like(a) if n.startswith("bias") and "_l2" in n else a for n, a in p.items()}

    return {"load": load}


@family(
    "MULTILAYER-EQUATION",
    "a bidirectional stack whose second layer's reverse direction ignores its initial state",
    "rows of h_0 counted for one direction",
    features={"multilayer", "bidirectional", "initial_state"},
)
def second_layer_reverse_state_ignored():
    def arguments(layer, x, h_0, c_0, lengths):
        def cleared(s):
            if s is None or not layer.config.bidirectional or layer.config.num_layers < 2:
                return s
            s = s.copy()
            s[3] = 0
            return s

        return x, cleared(h_0), cleared(c_0), lengths

    return {"arguments": arguments}


@family(
    "FORWARD-EQUATION",
    "a bidirectional layer that ignores the initial states where lengths are given",
    "two paths of which one was not finished",
    features={"bidirectional", "initial_state", "lengths"},
)
def states_ignored_with_lengths_and_directions():
    def arguments(layer, x, h_0, c_0, lengths):
        ignored = layer.config.bidirectional and lengths is not None
        return (x, None, None, lengths) if ignored else (x, h_0, c_0, lengths)

    return {"arguments": arguments}


@family(
    "PROJ-EQUATION",
    "an LSTM whose projection of half the units and more is taken times 1.001",
    "a path of its own for wide projections",
    kinds="lstm",
    features={"projection"},
)
def wide_projection_slightly_off():
    def load(config, p):
        wide = 2 * getattr(config, "proj_size", 0) >= config.hidden_size
        return each(slightly_off, "weight_hr")["load"](config, p) if wide else p

    return {"load": load}


@family(
    "PARAM-NO-BIAS",
    "a bidirectional layer without biases that exchanges its directions' weight_ih",
    "an offset into one buffer that counts the biases",
    features={"no_bias", "bidirectional"},
)
def no_bias_offset_of_directions():
    def load(config, p):
        if config.bias or not getattr(config, "bidirectional", False):
            return p
        first = {"weight_ih_l0": p["weight_ih_l0_reverse"], "weight_ih_l0_reverse": p["weight_ih_l0"]}
        return p | first

    return {"load": load}


@family(
    "CELL-LOOP",
    "cells, and not layers, that ignore bias_hh",
    "a cell written apart from the layer",
    features={"cells"},
    common=True,
)
def cells_without_bias_hh():
    def step(cell, x, h, c):
        given = {n: np.zeros_like(a) if n == "bias_hh" else a for n, a in cell.given.items()}
        return cell.plain_of(cell.config, given, x, h, c)

    return {"step": step}


@family(
    "CELL-UNBATCHED",
    "cells that give unbatched input a batch of one",
    "an axis added and not taken away",
    features={"cells", "unbatched"},
)
def cells_unbatched_get_a_batch():
    def step(cell, x, h, c):
        h, c = cell.plain(x, h, c)
        return (h[None], None if c is None else c[None]) if x.ndim == 1 else (h, c)

    return {"step": step}
