"""Robustness: NaN, infinite, huge and subnormal numbers; memory layouts; repeated, interleaved and parallel calls."""

from itertools import count
from threading import Barrier, Thread
from typing import Any

import numpy as np

from conformance.backend import Result
from conformance.engine.compare import Failed
from conformance.engine.subject import copied
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import both_directions, cells, very_long_layers
from conformance.specifications.torch_nn.suite.test_lengths import expect_zero_past_the_end, time_first
from conformance.specifications.torch_nn.suite.test_state import (
    expect_repeated,
    forward_only,
    free_of_lengths,
    samples_of,
    several_samples,
    single_layer,
)
from reference.precision import ARITHMETICS

TAME = 1e30
ROUNDS = 3  # of calls at once


def spoiled(call, t, n, value, states=False):
    """Return changes that replace one number of sample n at step t, and with ``states`` the sample's states."""
    changes = {"x": call.x.copy()}
    place = (t,) if call.unbatched else (n, t) if call.config.batch_first else (t, n)
    changes["x"][(*place, call.config.input_size // 2)] = value
    for name in ("h_0", "c_0") if states else ():
        if (state := getattr(call, name)) is not None:
            changes[name] = state.copy()
            changes[name][(0,) if call.unbatched else (0, n)] = value
    return changes


def middle(call):
    """Return a step and a sample of the call, the step within the sample's length; not the first if there are more."""
    n = call.N // 2
    return (call.T if call.lengths is None else call.lengths[n]) // 2, n


# --- values -------------------------------------------------------------------------------------------


@decides("ROBUST-NAN-SAMPLES", when=several_samples)
def test_nan_stays_in_its_sample(trial):
    call = trial.call
    t, n = middle(call)
    view = samples_of(call, [k for k in range(call.N) if k != n])
    for value in (np.nan, np.inf):
        trial.same(view(trial.run(**spoiled(call, t, n, value, states=True))), view, other="with NaN in another sample")


@decides("ROBUST-NAN-PAST", when=lambda call: forward_only(call) and call.T > 1)
def test_nan_does_not_reach_the_past(trial):
    call = trial.call
    t, n = middle(call)

    def view(result):
        return Result(result.output[:t], result.output[:t], None)

    for value in (np.nan, np.inf):
        trial.same(view(trial.run(**spoiled(call, t, n, value))), view, other="with NaN at a later step")


@decides("ROBUST-NAN-REVERSE", draw=both_directions, when=lambda call: single_layer(call) and call.T > 1)
def test_nan_does_not_reach_later_steps_of_the_reverse(trial):
    call, O = trial.call, trial.call.config.output_size
    t, n = middle(call)
    t -= t == call.T - 1

    def view(result):
        return Result(result.output[t + 1 :, :, O:], result.output[:0], None)

    for value in (np.nan, np.inf):
        trial.same(view(trial.run(**spoiled(call, t, n, value))), view, other="with NaN at an earlier step")


@decides("ROBUST-NAN-PADDING", when=lambda call: min(call.lengths) < call.T)
def test_nan_does_not_reach_the_padding(trial):
    call = trial.call
    n = int(np.argmin(call.lengths))
    for value in (np.nan, np.inf):
        got = trial.run(**spoiled(call, call.lengths[n] - 1, n, value, states=True))
        past = time_first(got.output, call)[call.lengths[n] :, n]
        if not np.all(past == 0):
            raise Failed(f"sample {n} with {value} in its last step: got {past.flat[0]} past its end, expected 0")
    expect_zero_past_the_end(trial)


def agrees_when(trial, **changes):
    """Raise Failed unless the changed call agrees with the oracle."""
    other = trial.other(trial.call.replace(**changes))
    other.agrees()
    trial.margin = max(other.margin or 0.0, trial.margin or 0.0)


@decides("ROBUST-NAN-KEPT")
def test_nan_is_kept(trial):
    t, n = middle(trial.call)
    agrees_when(trial, **spoiled(trial.call, t, n, np.nan))


def agrees_saturated(trial, value):
    """Raise Failed unless the call with that number in x agrees with the oracle.

    The oracle computes with 1e30 instead: tanh and sigmoid are at their limits there too, and no overflow makes the
    tolerance infinite.
    """
    call = trial.call
    t, n = middle(call)
    got = trial.run(**spoiled(call, t, n, value))
    wide = call.replace(x=call.x.astype(np.float64))
    tame = trial.other(call.replace(**spoiled(wide, t, n, np.clip(value, -TAME, TAME))))
    tame.agrees(got)
    trial.margin = max(tame.margin or 0.0, trial.margin or 0.0)


@decides("ROBUST-INFINITE")
def test_infinite_input(trial):
    for value in (np.inf, -np.inf):
        agrees_saturated(trial, value)


@decides("ROBUST-INFINITE-RELU")
def test_infinite_input_of_relu(trial):
    call = trial.call
    t, n = middle(call)
    for value in (np.inf, -np.inf):
        changes = spoiled(call, t, n, value)
        want, got = trial.other(call.replace(**changes)).want, trial.run(**changes)
        for name, expected, array in zip(("output", "h_n"), want, got, strict=False):
            for what, pattern in (("NaN", np.isnan), ("infinite", np.isinf)):
                wrong = np.argwhere(pattern(expected) != pattern(array.astype(np.float64)))
                if len(wrong):
                    at = tuple(int(i) for i in wrong[0])
                    raise Failed(
                        f"{name}[{', '.join(map(str, at))}], {trial.where(name, at)}: got {array[at]}, "
                        f"expected {expected[at]}: {what} is where the formula makes it, {value} being in x"
                    )


@decides("ROBUST-HUGE")
def test_huge_input(trial):
    largest = ARITHMETICS[trial.subject.dtype].largest
    for value in (largest, -largest / 4):
        agrees_saturated(trial, value)


def flushed(got, want, near):
    """Replace numbers of ``got`` that flushing to zero explains by the numbers of ``want``."""
    if got is None:
        return None
    got = got.astype(np.float64)
    return np.where(np.abs(got - want) <= near, want, got)


@decides("ROBUST-SUBNORMAL")
def test_subnormal_numbers(trial):
    call = trial.call
    smallest = ARITHMETICS[trial.subject.dtype].floor / 8

    def subnormal(array):
        return None if array is None else (np.sign(array.astype(np.float64)) * smallest).astype(array.dtype)

    changes = {"x": subnormal(call.x), "h_0": subnormal(call.h_0), "c_0": subnormal(call.c_0)}
    other = trial.other(call.replace(**changes))
    near = ARITHMETICS[trial.subject.dtype].floor * call.T  # relu passes flushed numbers on and adds them up
    other.agrees(Result(*(flushed(a, w, near) for a, w in zip(trial.run(**changes), other.want, strict=True))))
    trial.margin = max(other.margin or 0.0, trial.margin or 0.0)


@decides("ROBUST-LONG", draw=very_long_layers, share=0.06)
def test_a_very_long_sequence(trial):
    trial.agrees()


# --- memory -------------------------------------------------------------------------------------------


def strided(array):
    """Return a copy whose elements are every second element of a larger array along each axis."""
    wide = np.full([2 * n for n in array.shape], 7, array.dtype)[tuple(slice(None, None, 2) for _ in array.shape)]
    wide[...] = array
    return wide


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def offset(array):
    """Return a copy that starts one byte after an aligned address."""
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    shifted = buffer[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def transposed(array):
    """Return the array in Fortran order."""
    return np.asfortranarray(array)


def expect_arranged(trial, arrange, words):
    trial.same(trial.arranged(arrange), other=words)


def culprits(trial, arrange):
    """Name the arrays that fail when they alone are laid out otherwise."""
    arguments = [name for name, a in trial.call.arguments.items() if isinstance(a, np.ndarray)]
    found = []
    for number, name in enumerate((*arguments, *trial.call.parameters)):
        try:
            expect_arranged(trial, one_of_them(arrange, number), f"{name} laid out otherwise")
        except Failed:
            found.append(name)
    return f"it fails with each of these alone: {', '.join(found)}" if found else "no array alone does it"


def one_of_them(arrange, number):
    """Return ``arrange`` for the array of that number, in a trial's order; copy the others."""
    numbers = count()
    return lambda array: arrange(array) if next(numbers) == number else array.copy()


def memory_decides(requirement, arrange):
    def test(trial):
        try:
            expect_arranged(trial, arrange, "the arrays laid out otherwise")
        except Failed as failure:
            failure.args = (f"{failure}; {culprits(trial, arrange)}",)
            raise

    return decides(requirement)(decides(requirement.replace("ROBUST-", "ROBUST-CELL-"), draw=cells)(test))


test_strided_arrays = memory_decides("ROBUST-STRIDED", strided)
test_arrays_in_fortrans_order = memory_decides("ROBUST-FORTRAN", transposed)
test_read_only_arrays = memory_decides("ROBUST-READ-ONLY", read_only)
test_offset_arrays = memory_decides("ROBUST-OFFSET", offset)


def own_arguments(call):
    return list(copied(call.arguments).values())


@decides("ROBUST-RESULTS-OWN")
@decides("ROBUST-CELL-RESULTS-OWN", draw=cells)
def test_results_do_not_share_memory_with_arguments(trial):
    arguments = own_arguments(trial.call)
    for result in trial.raw(*arguments):
        for name, argument in zip(("x", "the first state", "the second state"), arguments, strict=False):
            if argument is not None and np.shares_memory(result, argument):
                raise Failed(f"a result of shape {result.shape} shares memory with {name}")


@decides("ROBUST-RESULTS-KEPT")
@decides("ROBUST-CELL-RESULTS-KEPT", draw=cells)
def test_a_later_call_does_not_change_earlier_results(trial):
    first = trial.raw(*own_arguments(trial.call))
    seen = [a.tobytes() for a in first]
    arguments = own_arguments(trial.call)
    arguments[0] = -arguments[0] + 1
    second = trial.raw(*arguments)
    for earlier, bits in zip(first, seen, strict=True):
        if earlier.tobytes() != bits:
            raise Failed(f"a second call changed the result of shape {earlier.shape} of the first one")
        if any(np.shares_memory(earlier, later) for later in second):
            raise Failed(f"the results of two calls, of shape {earlier.shape}, share memory")


# --- calls --------------------------------------------------------------------------------------------


@decides("ROBUST-INTERLEAVED", when=free_of_lengths)
def test_two_layers_in_turns(trial):
    """Two layers of one configuration run in turns, at last with the final states of each other."""
    negated = {name: -value for name, value in trial.call.parameters.items()}
    second = trial.other(trial.call.replace(parameters=negated, x=-trial.call.x))
    first_alone, second_alone = trial.got, second.got
    for _ in range(2):
        expect_repeated(trial, trial.run())
        expect_repeated(second, second.run())
    states = {"h_0": first_alone.h_n, "c_0": first_alone.c_n}
    other_states = {"h_0": second_alone.h_n, "c_0": second_alone.c_n}
    if trial.call.h_0 is not None:
        ours = trial.run(**other_states)
        second.run(**states)
        fresh = trial.other(trial.call.replace(**other_states))
        fresh.same(ours, other="called in turns with another layer")


@decides("ROBUST-THREADS", share=0.5)
def test_calls_from_two_threads(trial):
    call = trial.call
    other = call.replace(x=-call.x)
    alone = [trial.got, trial.ask(other)]
    for _ in range(ROUNDS):
        together = at_once(trial, [call, other])
        trial.same(together[0], other="called from two threads")
        for name, first, second in zip(trial.form.results, alone[1], together[1], strict=True):
            if first is not None and not np.allclose(first.astype(float), second.astype(float), 1e-3, 1e-3):
                raise Failed(f"{name}: the call in the second thread gave other numbers than alone")


def at_once(trial, calls):
    """Run each call in its own thread on one layer, all at once; return the results."""
    layer, barrier = trial.layer, Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def work(number):
        arguments = own_arguments(calls[number])
        barrier.wait()
        try:
            results[number] = trial.use(layer, arguments)
        except BaseException as error:
            results[number] = error

    threads = [Thread(target=work, args=(number,)) for number in range(len(calls))]
    with trial.subject.calling("forward in two threads"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [trial.form.receive(result) for result in results]
