"""Steps left out by a mask (``Layer.forward_masked``)."""

import numpy as np

from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.optional_calls import rows
from conformance.specifications.torch_nn.optional_forms import masked_layers
from conformance.specifications.torch_nn.suite.test_unclaimed import expect_refused


def steps(call):
    """Return the mask as (T, N)."""
    kept = call.kept
    return kept[:, None] if call.unbatched else kept.T if call.config.batch_first else kept


def with_gaps(call):
    """Return whether each sample keeps a step, and one of them leaves out a step before one that it keeps."""
    kept = steps(call)
    return bool(kept.any(axis=0).all() and (np.diff(kept.astype(int), axis=0) > 0).any())


def with_an_empty_sample(call):
    return not steps(call).any(axis=0).all()


def with_left_out_steps(call):
    return not call.kept.all()


@decides("MASK-EQUATION", draw=masked_layers, when=with_gaps)
@decides("MASK-EMPTY", draw=masked_layers, when=with_an_empty_sample)
def test_masked_steps_are_left_out(trial):
    trial.agrees()


def layer_call(call, **changes):
    """Return the call of ``forward`` without the mask."""
    return LayerCall(call.config, call.parameters, call.x, call.h_0, call.c_0, values=call.values, **changes)


@decides("MASK-ALL", draw=masked_layers)
def test_a_mask_that_keeps_all_steps_changes_nothing(trial):
    everything = trial.other(trial.call.replace(mask=rows(np.ones_like(trial.call.kept))))
    everything.same(trial_of(trial.subject, layer_call(trial.call)).got, other="without a mask")


@decides("MASK-LENGTHS", draw=masked_layers)
def test_a_mask_of_the_first_steps_is_lengths(trial):
    """Each sample keeps as many first steps as it kept steps before, one at least."""
    call = trial.call
    lengths = tuple(int(n) for n in np.maximum(steps(call).sum(axis=0), 1))
    first = np.arange(call.T)[:, None] < np.array(lengths)
    cut = trial.other(call.replace(mask=rows(first.T if call.config.batch_first else first)))
    cut.same(trial_of(trial.subject, layer_call(call, lengths=lengths)).got, other="with lengths")


@decides("MASK-IGNORED", draw=masked_layers, when=with_left_out_steps)
def test_what_x_holds_at_left_out_steps_does_not_matter(trial):
    call = trial.call
    for rubbish in (7.0, np.inf, np.nan):
        x = np.where(call.kept[..., None], call.x, call.x.dtype.type(rubbish))
        trial.same(trial.run(x=x), other="with other numbers at the steps that are left out")


@decides("REFUSE-MASK-SHAPE", draw=masked_layers)
def test_masks_of_another_shape(trial):
    kept = trial.call.kept
    for axis in range(kept.ndim):
        wrong = np.concatenate([kept, np.take(kept, [0], axis)], axis)
        trial.rejects(f"a mask of shape {wrong.shape} for x {trial.call.x.shape}", mask=rows(wrong))


@decides("UNCLAIMED-MASKS", draw=masked_layers)
def test_unclaimed_masks(trial):
    expect_refused(trial, "masks")
