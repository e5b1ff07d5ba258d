"""Calls that are large in one respect, compared with the oracle where the results differ most from it."""

import numpy as np

from conformance.backend import Result
from conformance.engine.trial import whole
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.large import LISTS, MANY
from conformance.specifications.torch_nn.suite.test_state import optional, samples, samples_of
from conformance.specifications.torch_nn.trials import CellResult

WORST = 64  # samples of a large batch, in which the tolerance is computed
WORST_WINDOWS = 16
WINDOW = 256  # steps that the oracle computes at once of a long sequence; it forgets what was before half of them


def extremes(array):
    """Return where an array has, on its first axis, its smallest and its largest number: a quantization's range."""
    rows = np.nan_to_num(np.asarray(array, np.float64)).reshape(len(array), -1)
    return {int(rows.min(axis=1).argmin()), int(rows.max(axis=1).argmax())}


def worst_samples(trial, axis):
    """Return the samples whose results are farthest from the oracle's, and those of the extreme numbers.

    ``axis`` is that of samples in arguments and results.
    """
    off, outer = 0.0, extremes(np.moveaxis(trial.call.x, axis, 0))
    for got, want in zip(trial.got, trial.want, strict=True):
        if got is not None:
            apart = np.nan_to_num(np.abs(np.moveaxis(got, axis, 0) - np.moveaxis(want, axis, 0)), nan=np.inf)
            off = off + apart.reshape(len(apart), -1).max(axis=1)
            outer |= extremes(np.moveaxis(want, axis, 0))
    return sorted({*np.argsort(off)[-WORST:].tolist(), *outer})


@decides("LARGE-SAMPLES", draw=LISTS["LARGE-SAMPLES"], share=100)
def test_many_samples(trial):
    if trial.call.N <= MANY:
        trial.agrees()
        return
    worst = worst_samples(trial, 1)
    some = trial.other(trial.call.replace(**samples(trial.call, worst)))
    some.placed = lambda name, index: (index[0], worst[index[1]], *index[2:])
    agree_in(trial, some, samples_of(trial.call, worst)(trial.got))


def agree_in(trial, other, got, view=whole):
    """Require the oracle's numbers of another call of the results that show it."""
    other.agrees(got, view)
    trial.margin = other.margin


@decides("LARGE-STEPS", draw=LISTS["LARGE-STEPS"], share=100)
def test_many_steps(trial):
    """Windows of the sequence as samples of a batch: the states at a window's middle no longer depend on its start."""
    call, half, got = trial.call, WINDOW // 2, trial.got
    if call.T <= MANY:
        trial.agrees()
        return
    starts = np.array([*range(0, call.T - WINDOW, half), call.T - WINDOW])
    windows = starts + np.arange(WINDOW)[:, None]
    every = trial.other(call.replace(x=call.x[windows, 0], h_0=None, c_0=None))
    off = np.nan_to_num(np.abs(every.want.output[half:] - got.output[windows[half:], 0]), nan=np.inf)
    farthest = np.argsort(off.max(axis=(0, 2)))[-WORST_WINDOWS:].tolist()
    worst = sorted({*farthest, *extremes(np.moveaxis(every.call.x, 1, 0)), len(starts) - 1})
    some = trial.other(every.call.replace(x=every.call.x[:, worst]))
    some.placed = lambda name, index: (
        (int(windows[index[0], worst[index[1]]]), 0, index[2]) if name == "output" else (0, 0, index[2])
    )

    def shown(result):
        """Return the second half of the windows, and the states at the end of the last one."""
        return Result(result.output[half:], result.h_n[:, -1:], optional(result.c_n, (slice(None), slice(-1, None))))

    agree_in(trial, some, Result(got.output[windows[half:, worst], 0], got.h_n, got.c_n), shown)


@decides("LARGE-UNITS", draw=LISTS["LARGE-UNITS"], share=100)
@decides("LARGE-DEPTH", draw=LISTS["LARGE-DEPTH"], share=100)
@decides("LARGE-GRADIENTS", draw=LISTS["LARGE-GRADIENTS"], share=100)
def test_agrees_with_the_formula(trial):
    trial.agrees()


@decides("CELL-LARGE", draw=LISTS["CELL-LARGE"], share=100)
def test_a_large_cell(trial):
    call = trial.call
    if len(call.x) <= MANY:
        trial.agrees()
        return
    worst = worst_samples(trial, 0)
    some = call.replace(x=call.x[worst], h=optional(call.h, worst), c=optional(call.c, worst))
    part = trial.other(some)
    part.placed = lambda name, index: (worst[index[0]], *index[1:])
    agree_in(trial, part, CellResult(None, trial.got.h_n[worst], optional(trial.got.c_n, worst)))
