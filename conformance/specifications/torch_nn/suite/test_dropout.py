"""Dropout: its place, its scale, and the distribution of its masks.

The checks read the masks from the output instead of estimating them. Above the first layer the parameters make every
element of the output depend on one element of each mask (``_showing`` of plans.py); a comparison with the oracle's
numbers for that element kept and dropped decides. The checks then compare all results under these masks. Only
frequencies are a matter of chance; ``conformance.engine.statistics`` tests them.
"""

from itertools import product
from zlib import crc32

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.statistics import MIN_DRAWS, expect_frequency
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import dropping, layers, many_masked
from reference.parameters import layer_directions

whatever = dropping()
everything = dropping(rates=(1.0,))
blind = dropping(upper="blind")
showing = dropping(upper="showing")

FEW = 0.1  # the share of a profile's examples for checks of frequencies, whose calls are large


def single(call):
    return call.config.num_layers == 1


def three_layers(call):
    return call.config.num_layers == 3


def seed_of(trial):
    """Return a seed that depends on the trial's call alone and differs for almost all calls."""
    return crc32(trial.call.x.tobytes()) % 2**31


def constant_masks(call, kept):
    """Return masks (T, N, D*O) that keep everything or nothing above layer k, as ``kept[k]`` says."""
    shape = (call.T, call.N, call.config.directions * call.config.output_size)
    return tuple(np.full(shape, all_) for all_ in kept)


def by_step(call, output):
    """Bring an output of any layout to (T, N, D*O), in float64."""
    output = output.astype(np.float64)
    if call.unbatched:
        return output[:, None]
    return np.swapaxes(output, 0, 1) if call.config.batch_first else output


def halves(call, array):
    """Reshape (T, N, D*O) to (T, N, D, O)."""
    return array.reshape(*array.shape[:2], call.config.directions, -1)


def ends(call, direction):
    """Return each sample's last step in a direction."""
    if direction == 1:
        return [0] * call.N
    return [call.T - 1] * call.N if call.lengths is None else [length - 1 for length in call.lengths]


def read_masks(trial, got):
    """Return the masks that the output shows, and for each mask a boolean array of its certain elements.

    For each element of the output the masks are the combination of kept and dropped elements on its path whose number
    is nearest; at a sample's end the comparison includes h_n, which shows what the masks above a layer drop. An element
    is certain if all masks above keep it and its own value makes a difference in the output. Neither condition depends
    on the element itself, so the certain elements have the frequencies of all elements.
    """
    call, gaps = trial.call, trial.call.config.num_layers - 1
    ways = list(product((True, False), repeat=gaps))
    wanted = [trial.other(call.replace(masks=constant_masks(call, way))).want for way in ways]
    numbers = np.stack([by_step(call, want.output) for want in wanted])
    off = np.abs(numbers - by_step(call, got.output))
    for way, want in enumerate(wanted):
        off_state = np.abs(want.h_n - got.h_n.astype(np.float64)).reshape(len(got.h_n), call.N, -1)
        for layer, direction in layer_directions(call.config):
            if layer > 0:
                row = layer * call.config.directions + direction
                halves(call, off[way])[ends(call, direction), range(call.N), direction] += off_state[row]
    off = np.nan_to_num(off, nan=np.inf)
    found = np.array(ways)[np.argmin(off, axis=0)]
    masks = tuple(np.ascontiguousarray(found[..., k]) for k in range(gaps))

    arithmetic = trial.subject.arithmetic
    least = 0.01 + 32 * (arithmetic.u + arithmetic.product_u)
    told = [np.ones(masks[0].shape, bool)] * gaps
    for k in reversed(range(gaps)):
        above = (True,) * (gaps - 1 - k)
        differences = [
            np.abs(numbers[ways.index((*below, True, *above))] - numbers[ways.index((*other, False, *above))])
            for below, other in product(product((True, False), repeat=k), repeat=2)
        ]
        told[k] = np.min(differences, axis=0) > least
        for higher in range(k + 1, gaps):
            told[k] = told[k] & masks[higher] & told[higher]
    return masks, told


def drawn(trial, seed):
    """Train with that seed; return the masks and their certain elements."""
    return read_masks(trial, trial.train(seed))


def expect_trained(trial, got, masks=None):
    """Raise Failed unless the numbers agree with the oracle under these masks."""
    other = trial.other(trial.call.replace(masks=masks))
    other.agrees(got)
    trial.margin = max(trial.margin or 0.0, other.margin)


@decides("DROPOUT-INFERENCE", draw=whatever)
def test_none_in_inference(trial):
    trial.agrees()
    trial.train(seed_of(trial))
    trial.agrees(trial.run())


@decides("DROPOUT-ZERO", draw=layers)
def test_nothing_dropped(trial):
    expect_trained(trial, trial.train(seed_of(trial)))


@decides("DROPOUT-ONE", draw=everything)
def test_everything_dropped(trial):
    nothing = constant_masks(trial.call, (False,) * (trial.call.config.num_layers - 1))
    expect_trained(trial, trial.train(seed_of(trial)), nothing)


@decides("DROPOUT-SINGLE-LAYER", draw=whatever, when=single)
@decides("DROPOUT-BETWEEN-LAYERS", draw=blind)
def test_no_effect(trial):
    expect_trained(trial, trial.train(seed_of(trial)))


@decides("DROPOUT-EQUATION", draw=showing)
def test_with_the_masks_read(trial):
    got = trial.train(seed_of(trial))
    masks, _ = read_masks(trial, got)
    expect_trained(trial, got, masks)


def gap(k):
    return f"between layers {k} and {k + 1}"


@decides("DROPOUT-SAME-SEED", draw=many_masked, share=FEW)
def test_the_same_seed(trial):
    seed = seed_of(trial)
    first, _ = drawn(trial, seed)
    drawn(trial, seed + 1)
    for again, what in ((trial, "the same call"), (trial.other(trial.call), "the same call of a new layer")):
        for k, (before, after) in enumerate(zip(first, drawn(again, seed)[0], strict=True)):
            differ = np.argwhere(before != after)
            if len(differ):
                t, n, unit = differ[0]
                raise Failed(
                    f"{what} with the same seed drew another mask {gap(k)}: {len(differ)} of {before.size} elements "
                    f"differ, first that of step {t}, sample {n}, unit {unit}"
                )


def expect_unrelated(trial, what, masks, told, others, others_told):
    """Raise Failed unless two masks agree in as many elements as independent masks would."""
    p = trial.call.config.dropout
    both = told & others_told
    expect_frequency(f"{what}, elements that are alike", (masks == others)[both], p * p + (1 - p) * (1 - p))


@decides("DROPOUT-OTHER-SEED", draw=many_masked, share=FEW)
def test_another_seed(trial):
    seed = seed_of(trial)
    masks, told = drawn(trial, seed)
    for other in (seed + 1, seed ^ 2**20):
        others, others_told = drawn(trial, other)
        # In the last mask every element is certain; in a lower one the masks above, of both seeds, select them.
        expect_unrelated(trial, f"seeds {seed} and {other}", masks[-1], told[-1], others[-1], others_told[-1])


@decides("DROPOUT-RATE", draw=many_masked, share=FEW)
def test_the_rate(trial):
    masks, told = drawn(trial, seed_of(trial))
    expect_frequency(f"kept {gap(len(masks) - 1)}", masks[-1][told[-1]], 1 - trial.call.config.dropout)


@decides("DROPOUT-FRESH-LAYERS", draw=many_masked, when=three_layers, share=FEW)
def test_fresh_for_each_layer(trial):
    masks, told = drawn(trial, seed_of(trial))
    expect_frequency(f"kept {gap(0)}, of those kept {gap(1)}", masks[0][told[0]], 1 - trial.call.config.dropout)


def expect_fresh(trial, axis, name):
    """Raise Failed unless elements next to each other and half the axis apart are independent; axis of (T, N, D, O)."""
    masks, told = drawn(trial, seed_of(trial))
    for k in reversed(range(len(masks))):
        mask, mine = (np.moveaxis(halves(trial.call, array[k]), axis, 0) for array in (masks, told))
        n, half = len(mask), len(mask) // 2
        pairs = {1: (np.arange(0, n - 1, 2), np.arange(1, n, 2)), half: (np.arange(half), np.arange(half) + half)}
        for distance, (first, second) in pairs.items():
            # The last mask has enough certain elements; a lower one has as many as the masks above happen to keep.
            if k == len(masks) - 1 or np.count_nonzero(mine[first] & mine[second]) >= MIN_DRAWS:
                what = f"{gap(k)}, {name} {distance} apart"
                expect_unrelated(trial, what, mask[first], mine[first], mask[second], mine[second])


@decides("DROPOUT-FRESH-STEPS", draw=many_masked, share=FEW)
def test_fresh_for_each_step(trial):
    expect_fresh(trial, 0, "steps")


@decides("DROPOUT-FRESH-SAMPLES", draw=many_masked, share=FEW)
def test_fresh_for_each_sample(trial):
    expect_fresh(trial, 1, "samples")


@decides("DROPOUT-FRESH-DIRECTIONS", draw=many_masked, share=FEW)
def test_fresh_for_each_direction(trial):
    expect_fresh(trial, 2, "directions")


@decides("DROPOUT-FRESH-UNITS", draw=many_masked, share=FEW)
def test_fresh_for_each_unit(trial):
    expect_fresh(trial, 3, "units")
