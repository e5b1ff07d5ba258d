"""Faults with samples of different lengths."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import time_first

FAULTS: list[Fault] = []
family = Family(FAULTS, "lengths", features={"lengths"})


def by_length(lengths):
    """Return the samples' numbers, from the longest to the shortest."""
    return np.argsort([-n for n in lengths], kind="stable")


def when_given(change):
    """Return the parts of a fault that applies ``change(layer, result, lengths)`` if there are lengths."""
    return {"result": lambda layer, got, lengths: got if lengths is None else change(layer, got, lengths)}


@family(
    "LENGTHS-OUTPUT-ZERO",
    "a layer that ignores the lengths",
    "sequence_lens accepted and ignored, as onnx.reference 1.23 does",
    common=True,
    gradients=True,
)
def lengths_ignored():
    return {"arguments": lambda layer, x, h_0, c_0, lengths: (x, h_0, c_0, None)}


@family(
    "LENGTHS-FINAL-STATE",
    "a layer whose output ends with each sample, its h_n and c_n with step T - 1",
    "padding masked in the output alone; frozen states forgotten",
    common=True,
)
def lengths_of_output_only():
    def forward(layer, x, h_0, c_0, lengths):
        got, whole = layer.plain(x, h_0, c_0, lengths), layer.plain(x, h_0, c_0, None)
        return Result(got.output, whole.h_n, whole.c_n)

    return {"forward": forward}


@family(
    "LENGTHS-OUTPUT-ZERO",
    "a layer whose output past a sample's end repeats its last step",
    "Keras's masking, which carries the last output on",
    common=True,
)
def padding_repeats_the_last_output():
    def result(layer, got, lengths):
        output = time_first(layer, got.output)
        for n, length in enumerate(lengths):
            output[length:, n] = output[length - 1, n]
        return got

    return when_given(result)


@family(
    "LENGTHS-OUTPUT-ZERO",
    "a layer whose output past a sample's end is what the padding gives",
    "states frozen at each end, the output not cleared",
    common=True,
)
def padding_computed():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        if lengths is None:
            return got
        return Result(layer.plain(x, h_0, c_0, None).output, *got[1:])

    return {"forward": forward}


@family(
    "LENGTHS-ANY-ORDER",
    "a layer whose results come from the longest sample to the shortest",
    "samples sorted for packing and not put back (enforce_sorted=False undoes it in PyTorch)",
    common=True,
)
def results_sorted_by_length():
    def result(layer, got, lengths):
        order, axis = by_length(lengths), 0 if layer.config.batch_first else 1
        return Result(
            np.take(got.output, order, axis), got.h_n[:, order], None if got.c_n is None else got.c_n[:, order]
        )

    return when_given(result)


@family(
    "LENGTHS-STATES-ORDER",
    "a layer whose initial states go to the samples from the longest to the shortest",
    "samples sorted for packing, their states not",
    features={"lengths", "initial_state"},
    common=True,
)
def initial_states_sorted_by_length():
    def arguments(layer, x, h_0, c_0, lengths):
        if lengths is not None and h_0 is not None:
            order = by_length(lengths)
            h_0, c_0 = h_0[:, order], None if c_0 is None else c_0[:, order]
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@family(
    "LENGTHS-STATES-ORDER",
    "a layer whose h_n and c_n come from the longest sample to the shortest",
    "the output put back into order, the states not (the slip of salesforce/decaNLP#9 is one index away)",
    features={"lengths", "initial_state"},
)
def final_states_sorted_by_length():
    def result(layer, got, lengths):
        order = by_length(lengths)
        return Result(got.output, *(None if s is None else s[:, order] for s in got[1:]))

    return when_given(result)


@family(
    "LENGTHS-REVERSE-START",
    "a layer whose reverse direction starts at step T - 1, the padding taken for zeros",
    "the whole padded sequence flipped, not each sample to its own end (pytorch/pytorch#3662 compares the two)",
    features={"lengths", "bidirectional"},
    common=True,
)
def reverse_starts_in_the_padding():
    def forward(layer, x, h_0, c_0, lengths):
        if lengths is None or not layer.config.bidirectional:
            return layer.plain(x, h_0, c_0, lengths)
        x = x.copy()
        time = time_first(layer, x)
        for n, length in enumerate(lengths):
            time[length:, n] = 0
        right, whole = layer.plain(x, h_0, c_0, lengths), layer.plain(x, h_0, c_0, None)
        O, rows = layer.config.output_size, slice(1, None, 2)
        output = time_first(layer, right.output)
        output[..., O:] = time_first(layer, whole.output)[..., O:]
        for n, length in enumerate(lengths):
            output[length:, n] = 0
        right.h_n[rows] = whole.h_n[rows]
        return right

    return {"forward": forward}


@family(
    "LENGTHS-PADDING-IGNORED",
    "a layer into which the padding enters times zero, so that NaN reaches all",
    "padding multiplied by a mask instead of left out",
)
def padding_multiplied_by_zero():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        with np.errstate(invalid="ignore"):
            leak = (x * x.dtype.type(0)).sum().astype(x.dtype)
        return Result(got.output + leak, *got[1:])

    return {"forward": forward}


@family(
    "LENGTHS-SHORTER-THAN-T",
    "an output that stops at the longest sample",
    "pad_packed_sequence without total_length",
    numeric=False,
)
def output_cut_at_the_longest():
    def result(layer, got, lengths):
        cut = slice(max(lengths))
        return Result(got.output[:, cut] if layer.config.batch_first else got.output[cut], *got[1:])

    return when_given(result)


@family(
    "LENGTHS-FULL",
    "a layer that takes lengths that are all T for T - 1",
    "an index of the last step taken for a count",
)
def full_lengths_shortened():
    def arguments(layer, x, h_0, c_0, lengths):
        if (
            lengths is not None
            and len(set(lengths)) == 1
            and lengths[0] > 1
            and len(time_first(layer, x)) == lengths[0]
        ):
            lengths = [n - 1 for n in lengths]
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@family(
    "LENGTHS-EQUATION",
    "a layer that ends each sample one step early",
    "an index of the last step taken for a count",
    common=True,
)
def lengths_one_short():
    def arguments(layer, x, h_0, c_0, lengths):
        return x, h_0, c_0, None if lengths is None else [max(1, n - 1) for n in lengths]

    return {"arguments": arguments}


@family(
    "LENGTHS-EQUATION",
    "a layer that ends each sample one step late where there is one",
    "a comparison with <= for <",
    common=True,
)
def lengths_one_long():
    def arguments(layer, x, h_0, c_0, lengths):
        T = len(time_first(layer, x))
        return x, h_0, c_0, None if lengths is None else [min(T, n + 1) for n in lengths]

    return {"arguments": arguments}


@family(
    "LENGTHS-STACK",
    "a stack whose second layer runs on through the padding",
    "a mask handed to the first layer and not passed on",
    features={"lengths", "multilayer"},
)
def lengths_of_the_first_layer_only():
    first: list[np.ndarray] = []

    def arguments(layer, x, h_0, c_0, lengths):
        first[:] = [np.swapaxes(x, 0, 1) if layer.config.batch_first and x.ndim == 3 else x]
        return x, h_0, c_0, lengths

    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        upper = running is not None and not np.array_equal(inputs, first[0], equal_nan=True)
        return go(kind, weights, inputs, h, c, None if upper else running, reverse, record)

    return {"arguments": arguments, "direction": direction}


@family(
    "LENGTHS-SAMPLE-ALONE",
    "a layer that runs every sample to the mean of the lengths",
    "one length for the whole batch",
)
def lengths_averaged():
    def arguments(layer, x, h_0, c_0, lengths):
        return x, h_0, c_0, None if lengths is None else [int(np.mean(lengths))] * len(lengths)

    return {"arguments": arguments}


@family(
    "LENGTHS-FINAL-STATE",
    "a layer whose h_n and c_n of short samples are zero",
    "states multiplied by the mask of the last step",
    common=True,
)
def final_states_masked():
    def result(layer, got, lengths):
        T = len(time_first(layer, got.output))
        ends = np.asarray([n == T for n in lengths])[:, None]
        return Result(got.output, *(None if s is None else s * ends.astype(s.dtype) for s in got[1:]))

    return when_given(result)


@family(
    "LENGTHS-FINAL-STATE",
    "a layer that ignores the lengths and clears the output past each sample's end afterwards",
    "a mask put on the output alone, after the last layer",
    common=True,
)
def lengths_ignored_output_cleared():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        if lengths is None:
            return got
        got = layer.plain(x, h_0, c_0, None)
        output = time_first(layer, got.output)
        for n, length in enumerate(lengths):
            output[length:, n] = 0
        return got

    return {"forward": forward}


@family(
    "LENGTHS-FINAL-STATE",
    "a layer that ignores the lengths and clears every layer's output past each sample's end",
    "a mask put on what goes out, not on the state",
    common=True,
)
def lengths_ignored_every_output_cleared():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        output, h, c = go(kind, weights, inputs, h, c, None, reverse, record)
        return output if running is None else np.where(running, output, 0.0), h, c

    return {"direction": direction}


@family(
    "LENGTHS-REVERSE-START",
    "a layer whose reverse direction starts at step T - 1, over what lies in the padding",
    "lengths handed to the forward direction alone",
    features={"lengths", "bidirectional"},
    common=True,
)
def reverse_runs_over_the_padding():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        output, h, c = go(kind, weights, inputs, h, c, None if reverse else running, reverse, record)
        return output if running is None else np.where(running, output, 0.0), h, c

    return {"direction": direction}


@family(
    "LENGTHS-PADDING-IGNORED",
    "a layer that blends its states by the mask m, new * m + old * (1 - m), through which NaN and infinity pass",
    "a mask multiplied where a selection is meant",
    common=True,
)
def masks_blended():
    def direction(go, kind, weights, inputs, h, c, running, reverse, record=None):
        T, output = len(inputs), [None] * len(inputs)
        for t in reversed(range(T)) if reverse else range(T):
            m = 1.0 if running is None else running[t] * 1.0  # a mask of ones where no lengths are given
            _, h_t, c_t = go(kind, weights, inputs[t : t + 1], h, c, None, reverse)
            h = h_t * m + h * (1 - m)
            c = c if c_t is None else c_t * m + c * (1 - m)
            output[t] = h * m
        return np.stack(output), h, c

    return {"direction": direction}
