"""Faults of the optional features that PyTorch's layers do not have: reverse direction alone, masks, kept states."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import result_of, steps_of, time_first

FAULTS: list[Fault] = []
reverse = Family(FAULTS, "reverse direction alone", numeric=False, reverse_alone=True)
masks = Family(FAULTS, "masks", numeric=False, masks=True)
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
