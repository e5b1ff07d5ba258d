"""Faults of optional features that PyTorch's layers lack: reverse direction alone, masks, last outputs, kept states."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import result_of, steps_of, time_first
from reference.layers import last_of

FAULTS: list[Fault] = []
reverse = Family(FAULTS, "reverse direction alone", numeric=False, reverse_alone=True)
masks = Family(FAULTS, "masks", numeric=False, masks=True)
last = Family(FAULTS, "last output alone", numeric=False)
stateful = Family(FAULTS, "kept states", numeric=False, stateful=True)


# --- the reverse direction alone ---------------------------------------------------------------------


@reverse(
    "REVERSE-ALONE-EQUATION",
    "a reverse layer whose output has the steps in the order of computation, the last one first",
    "Keras's go_backwards returns the reversed sequence",
)
def reverse_alone_output_in_the_order_of_computation():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        output = got.output.copy()
        time_first(layer, output)[...] = time_first(layer, got.output)[::-1]
        return got._replace(output=output)

    return {"reversed": forward}


@reverse("REVERSE-ALONE-EQUATION", "a reverse layer that goes forward", "a direction that is ignored")
def reverse_alone_forward():
    return {"reversed": lambda layer, *arguments: layer.plain(*arguments, reverse=False)}


@reverse(
    "REVERSE-ALONE-HALF",
    "a reverse layer without the biases",
    "a kernel of one direction whose biases are added by the code for two",
)
def reverse_alone_without_biases():
    def forward(layer, x, h_0, c_0, lengths):
        kept = layer.given
        layer.given = {n: np.zeros_like(a) if n.startswith("bias") else a for n, a in kept.items()}
        try:
            return layer.plain(x, h_0, c_0, lengths)
        finally:
            layer.given = kept

    return {"reversed": forward}


@reverse(
    "REVERSE-ALONE-LENGTHS",
    "a reverse layer that begins in the padding",
    "a sequence flipped as a whole, with the padding in front",
    features=("lengths",),
)
def reverse_alone_begins_in_the_padding():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, None)
        if lengths is None:
            return got
        output = got.output.copy()
        for n, length in enumerate(lengths):
            time_first(layer, output)[length:, n] = 0
        return got._replace(output=output)

    return {"reversed": forward}


@reverse(
    "UNCLAIMED-REVERSE-ALONE",
    "a reverse layer that is not claimed, not refused, and goes forward",
    "a direction that is ignored",
    reverse_alone=False,
    refuse=False,
)
def unclaimed_reverse_layer_goes_forward():
    return {"reversed": lambda layer, *arguments: layer.plain(*arguments, reverse=False)}


# --- masks -------------------------------------------------------------------------------------------


def kept_of(layer, x, mask):
    """Return the mask as (T, N)."""
    return mask[:, None] if x.ndim == 2 else mask.T if layer.config.batch_first else mask


@masks(
    "MASK-EQUATION",
    "a masked call whose output repeats the last one at a step that is left out",
    "Keras's default, zero_output_for_mask=False",
)
def masked_output_repeated():
    def masked(layer, x, h_0, c_0, mask):
        got = layer.plain_masked(x, h_0, c_0, mask)
        output = got.output.copy()
        by_time, kept = time_first(layer, output), kept_of(layer, x, mask)
        by_time = by_time[:, None] if x.ndim == 2 else by_time
        for t in range(1, len(by_time)):
            by_time[t] = np.where(kept[t][:, None], by_time[t], by_time[t - 1])
        return got._replace(output=output)

    return {"masked": masked}


@masks(
    "MASK-EQUATION",
    "a masked call that sets x to zero at the steps that are left out, and goes through them",
    "a mask that is multiplied with the input",
)
def masked_steps_are_zeros():
    def masked(layer, x, h_0, c_0, mask):
        got = layer.plain_masked(np.where(mask[..., None], x, x.dtype.type(0)), h_0, c_0, np.ones_like(mask))
        return got._replace(output=np.where(mask[..., None], got.output, got.output.dtype.type(0)))

    return {"masked": masked}


@masks(
    "MASK-EQUATION",
    "a masked call that takes the number of steps that are kept for the length",
    "lengths = mask.sum()",
)
def mask_taken_for_lengths():
    def masked(layer, x, h_0, c_0, mask):
        first = np.zeros_like(mask)
        kept_of(layer, x, first)[...] = np.arange(steps_of(layer, x))[:, None] < kept_of(layer, x, mask).sum(axis=0)
        return layer.plain_masked(x, h_0, c_0, first)

    return {"masked": masked}


@masks(
    "MASK-ALL",
    "a masked call in which a mask that keeps every step leaves out the last one",
    "an end of the mask that is searched for and not found",
)
def full_mask_leaves_out_the_last_step():
    def masked(layer, x, h_0, c_0, mask):
        used = mask.copy()
        if mask.all() and steps_of(layer, x) > 1:
            kept_of(layer, x, used)[-1] = False
        return layer.plain_masked(x, h_0, c_0, used)

    return {"masked": masked}


@masks(
    "MASK-LENGTHS",
    "a masked call in which the step after a sample's last one is kept too",
    "the index of the last step that is kept, taken for a length",
)
def mask_keeps_a_step_too_many():
    def masked(layer, x, h_0, c_0, mask):
        used = mask.copy()
        kept = kept_of(layer, x, used)
        for n in range(kept.shape[1]):
            last = np.flatnonzero(kept[:, n])[-1:] + 1
            kept[last[last < len(kept)], n] = True
        return layer.plain_masked(x, h_0, c_0, used)

    return {"masked": masked}


@masks(
    "MASK-EMPTY",
    "a masked call in which a sample without a step ends in zeros",
    "a buffer of states that only a step fills",
    features=("initial_state",),
)
def sample_without_a_step_ends_in_zeros():
    def masked(layer, x, h_0, c_0, mask):
        got = layer.plain_masked(x, h_0, c_0, mask)
        some = kept_of(layer, x, mask).any(axis=0)
        some = some[0] if x.ndim == 2 else some[:, None]
        ends = (None if a is None else np.where(some, a, a.dtype.type(0)) for a in got[1:])
        return Result(got.output, *ends)

    return {"masked": masked}


@masks(
    "MASK-IGNORED",
    "a masked call in which NaN and infinity at a step that is left out come through",
    "mask * new + (1 - mask) * old",
)
def masked_by_a_product():
    def masked(layer, x, h_0, c_0, mask):
        got = layer.plain_masked(x, h_0, c_0, mask)
        with np.errstate(invalid="ignore"):
            spoilt = 0 * np.where(mask[..., None], x.dtype.type(0), x).sum()
        return result_of(lambda a: a + spoilt.astype(a.dtype), got)

    return {"masked": masked}


@masks(
    "REFUSE-MASK-SHAPE",
    "a masked call that takes the first rows and columns of a mask that is too large",
    "indices that are never compared with the extents",
)
def mask_of_another_shape_accepted():
    def masked(layer, x, h_0, c_0, mask):
        return layer.plain_masked(x, h_0, c_0, mask[tuple(slice(n) for n in x.shape[:-1])])

    return {"masked": masked}


@masks(
    "UNCLAIMED-MASKS",
    "a masked call that is not claimed, not refused, and ignores the mask",
    "an argument that is ignored",
    masks=False,
    refuse=False,
)
def unclaimed_mask_ignored():
    return {"masked": lambda layer, x, h_0, c_0, mask: layer.plain(x, h_0, c_0)}


# --- the last output alone ---------------------------------------------------------------------------


def of_output(change):
    """Return the parts of a fault whose last output is ``change(layer, output as (T, N, ...), result, lengths)``."""

    def forward(layer, x, h_0, c_0, lengths):
        got = layer.every_step(x, h_0, c_0, lengths)
        return got._replace(output=np.array(change(layer, time_first(layer, got.output), got, lengths)))

    return {"last": forward}


def of_rows(change):
    """Return the parts of a fault whose last output joins the rows ``change(layer, result)``."""
    return of_output(lambda layer, output, got, lengths: np.concatenate(change(layer, got), axis=-1))


def ends_of(layer, a):
    """Return the rows of the last layer of h_n or c_n."""
    return [a[row] for row in range(-layer.config.directions, 0)]


def joined(layer, got):
    """Return the right last output."""
    return np.concatenate(ends_of(layer, got.h_n), axis=-1)


@last(
    "LAST-H-N",
    "a last output that has both directions at the last step",
    "output[-1], output[:, -1]",
    features=("bidirectional",),
)
def last_output_of_the_last_step():
    def both(layer, output, got, lengths):
        return output[-1] if lengths is None else joined(layer, got)

    return of_output(both)


@last(
    "LAST-LENGTHS",
    "a last output that is the one at the last step of the padded batch, zero for shorter samples",
    "output[-1] after pad_packed_sequence",
    features=("lengths",),
)
def last_output_of_the_padded_batch():
    def padded(layer, got, lengths):
        ended = np.array(lengths) < steps_of(layer, got.output)
        return joined(layer, got) * ~ended[:, None]

    return of_output(
        lambda layer, output, got, lengths: joined(layer, got) if lengths is None else padded(layer, got, lengths)
    )


@last(
    "LAST-H-N",
    "a last output that is the padded batch's last step, of both directions and zero for shorter samples",
    "output[-1] after pad_packed_sequence",
    features=("lengths", "bidirectional"),
)
def last_output_of_the_last_row():
    return of_output(lambda layer, output, got, lengths: output[-1])


@last(
    "LAST-LENGTHS",
    "a last output, h_n and c_n that ignore the lengths",
    "a kernel of fixed steps that goes through the padding",
    features=("lengths",),
)
def last_output_past_the_end():
    return {"last": lambda layer, x, h_0, c_0, lengths: layer.plain_last(x, h_0, c_0, None)}


@last("LAST-H-N", "a last output that is the one at the first step", "a sequence that was stored backwards")
def last_output_of_the_first_step():
    return of_output(lambda layer, output, got, lengths: output[0])


@last("LAST-H-N", "a last output that is the first layer's", "h_n[0]", features=("multilayer",))
def last_output_of_the_first_layer():
    return of_rows(lambda layer, got: [got.h_n[d] for d in range(layer.config.directions)])


@last(
    "LAST-H-N",
    "a last output that has the reverse direction first",
    "the directions joined in the order of computation",
    features=("bidirectional",),
)
def last_output_with_the_directions_exchanged():
    return of_rows(lambda layer, got: ends_of(layer, got.h_n)[::-1])


@last("LAST-H-N", "a last output that is the cell state", "the first of the states (c, h)", kinds="lstm")
def last_output_is_the_cell_state():
    return of_rows(lambda layer, got: ends_of(layer, got.h_n if layer.config.proj_size else got.c_n))


@last("LAST-SHAPE", "a last output with an axis of one step", "output[-1:]")
def last_output_with_an_axis_of_steps():
    return of_output(lambda layer, output, got, lengths: joined(layer, got)[None])


@last(
    "LAST-SHAPE",
    "a last output that is the sum of the directions",
    "Keras's merge_mode='sum'",
    features=("bidirectional",),
)
def last_outputs_summed():
    return of_rows(lambda layer, got: [sum(ends_of(layer, got.h_n))])


@last(
    "LAST-SHAPE",
    "a last output that is every output of the last sample under batch_first",
    "output[-1], whatever the layout",
    features=("batch_first",),
)
def last_output_of_the_last_sample():
    def taken(layer, output, got, lengths):
        wrong = layer.config.batch_first and output.ndim == 3
        return output[:, -1] if wrong else joined(layer, got)

    return of_output(taken)


@last(
    "LAST-FORWARD",
    "a call for the last output that begins at zeros, whatever states are given",
    "a path for classifiers, which have no states",
    features=("initial_state",),
)
def last_output_from_zeros():
    return {"last": lambda layer, x, h_0, c_0, lengths: layer.plain_last(x, None, None, lengths)}


@last(
    "LAST-EQUATION",
    "a last output, h_n and c_n in steps of 1/128",
    "outputs of an embedded runtime, dequantized",
)
def last_output_in_8_bits():
    def forward(layer, *arguments):
        return result_of(lambda a: np.round(a * 128).astype(a.dtype) / a.dtype.type(128), layer.plain_last(*arguments))

    return {"last": forward}


@last(
    "REFUSE-LAST-ARGUMENTS",
    "a call for the last output that cuts lengths beyond the steps",
    "min(length, T)",
    features=("lengths",),
)
def last_output_with_lengths_cut():
    def forward(layer, x, h_0, c_0, lengths):
        cut = None if lengths is None else [min(n, steps_of(layer, x)) for n in lengths]
        return layer.plain_last(x, h_0, c_0, cut)

    return {"last": forward}


@last(
    "UNCLAIMED-LAST-OUTPUT",
    "a last output that is not claimed, not refused, and has both directions at the last step",
    "output[-1]",
    output="all",
    refuse=False,
)
def unclaimed_last_output_of_the_last_step():
    return of_output(lambda layer, output, got, lengths: output[-1])


@last(
    "UNCLAIMED-ALL-STEPS",
    "an output of all steps that is not claimed, not refused, and repeats the last one",
    "RepeatVector after return_sequences=False",
    output="last",
    gradients=False,
    refuse=False,
)
def unclaimed_steps_repeat_the_last_one():
    def forward(layer, x, h_0, c_0, lengths):
        got = layer.plain(x, h_0, c_0, lengths)
        output = got.output.copy()
        time_first(layer, output)[...] = joined(layer, got)
        return got._replace(output=output)

    return {"forward": forward, "last": lambda layer, *arguments: last_of(layer.config, layer.plain(*arguments))}


# --- kept states -------------------------------------------------------------------------------------


@stateful("STATEFUL-CONTINUES", "calls in turn that each begin at zeros", "a flag that is ignored")
def stateful_calls_begin_at_zeros():
    def forward(layer, x, lengths):
        layer.reset()
        return layer.plain_stateful(x, lengths)

    return {"stateful": forward}


@stateful("STATEFUL-CONTINUES", "calls in turn of which each begins where the first one ended", "a state written once")
def stateful_calls_begin_at_the_first_end():
    def forward(layer, x, lengths):
        kept = layer.memory.get("states")
        got = layer.plain_stateful(x, lengths)
        layer.memory["states"] = kept or layer.memory["states"]
        return got

    return {"stateful": forward}


@stateful("STATEFUL-FIRST", "calls in turn of which the first begins at ones", "a buffer that is not cleared")
def stateful_first_call_begins_at_ones():
    def forward(layer, x, lengths):
        if "states" not in layer.memory:
            ones = layer.plain(x, None, None, lengths)
            layer.memory["states"] = tuple(None if a is None else np.ones_like(a) for a in ones[1:])
        return layer.plain_stateful(x, lengths)

    return {"stateful": forward}


@stateful("STATEFUL-RESET", "calls in turn that a reset does not end", "a reset of a copy of the states")
def stateful_without_reset():
    return {"reset": lambda layer: None}


@stateful(
    "STATEFUL-APART",
    "calls in turn whose states all layers share",
    "states kept in the class, or by the sizes of a layer",
)
def stateful_states_shared():
    shared = {}

    def forward(layer, x, lengths):
        key = repr(layer.config), x.shape
        layer.memory["states"] = shared.get(key, (None, None))
        got = layer.plain_stateful(x, lengths)
        shared[key] = layer.memory["states"]
        return got

    def reset(layer):
        shared.clear()
        layer.memory.pop("states", None)

    return {"stateful": forward, "reset": reset}


@stateful(
    "REFUSE-STATEFUL-SAMPLES",
    "calls in turn that begin at zeros again where the number of samples changes",
    "states made anew where they do not fit",
)
def stateful_begins_anew_with_other_samples():
    def forward(layer, x, lengths):
        kept = layer.memory.get("states", (None,))[0]
        shape = x.shape[0 if layer.config.batch_first else 1] if x.ndim == 3 else None
        if kept is not None and x.ndim == 3 and (kept.ndim < 3 or kept.shape[1] != shape):
            layer.memory.pop("states")
        return layer.plain_stateful(x, lengths)

    return {"stateful": forward}


@stateful(
    "UNCLAIMED-STATEFUL",
    "calls in turn that are not claimed, not refused, and begin at ones",
    "a draft that was left reachable",
    stateful=False,
    refuse=False,
)
def unclaimed_stateful_begins_at_ones():
    return stateful_first_call_begins_at_ones()
