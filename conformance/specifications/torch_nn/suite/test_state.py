"""State: laws that relate sequences to steps, stacks to layers, batches to samples, and calls to each other."""

from dataclasses import replace

import numpy as np

from conformance.backend import Result
from conformance.engine import repeated
from conformance.engine.compare import Failed, of_another
from conformance.engine.wrong_elements import is_right, judged
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import both_directions, cells
from conformance.specifications.torch_nn.suite.test_shapes import batched, time_major, transposed
from reference.parameters import parameter_suffix

DECLARE = "a backend that may do so declares Features(deterministic=False)"


def free_of_lengths(call):
    return time_major(call) and call.lengths is None


def forward_only(call):
    return free_of_lengths(call) and not call.config.bidirectional


def several_steps(call):
    return forward_only(call) and call.T > 1


def several_samples(call):
    return batched(call) and call.N > 1


def single_layer(call):
    return free_of_lengths(call) and call.config.num_layers == 1


def without_states(call):
    return call.h_0 is None


def optional(array, key):
    return None if array is None else array[key]


def joined(steps):
    """Join the results of consecutive parts of a sequence: outputs one after the other, the last states."""
    return Result(np.concatenate([r.output for r in steps]), steps[-1].h_n, steps[-1].c_n)


def agrees_or(trial, counts):
    """Require the oracle's numbers. Unless ``counts()``, wrong numbers are left to another requirement."""
    try:
        trial.agrees()
    except Failed as failure:
        if failure.raised or counts():
            raise
        raise of_another(failure) from None


def unsorted(call):
    return call.lengths is not None and list(call.lengths) != sorted(call.lengths, reverse=True)


def right_in_the_other_layout(trial):
    return is_right(trial.other(transposed(trial.call)))


def right_with_sorted_lengths(trial):
    order = np.argsort(trial.call.lengths)[::-1]
    return is_right(trial.other(trial.call.replace(**samples(trial.call, order))))


def right_without_states(trial):
    """Return whether the call without states is right, and longer ones whose states in the middle are not zero."""
    call = trial.call
    calls = [call.replace(h_0=None, c_0=None)]
    if not trial.subject.features.fixes("steps"):
        axis = 1 if call.config.batch_first and not call.unbatched else 0
        lengths = None if call.lengths is None else tuple(call.T + n for n in call.lengths)
        for before in (-call.x, 0 * call.x, 3 * call.x, -3 * call.x):  # relu's units sleep in some of them
            calls.append(calls[0].replace(x=np.concatenate([before, call.x], axis), lengths=lengths))
    return all(is_right(trial.other(each)) for each in calls)


@decides("STATE-INITIAL")
def test_initial_state(trial):
    """A failure counts if the same call without states is right; otherwise something else than the states is wrong.

    Nor does it count if only batch_first or the order of lengths makes it fail.
    """

    def counts():
        layout = trial.call.config.batch_first and not trial.call.unbatched and right_in_the_other_layout(trial)
        return (
            right_without_states(trial)
            and not layout
            and not (unsorted(trial.call) and right_with_sorted_lengths(trial))
        )

    agrees_or(trial, counts)


@decides("BATCH-FIRST-STATES", when=batched)
def test_batch_first_leaves_states(trial):
    """A failure counts if the call is right without states, and with them in the other layout of x."""
    agrees_or(trial, lambda: right_without_states(trial) and right_in_the_other_layout(trial))


@decides("LENGTHS-STATES-ORDER", when=unsorted)
def test_states_keep_the_order_of_the_samples(trial):
    """A failure counts if sorted lengths make the call right, and without states the output is right as it is."""

    def counts():
        without = trial.other(trial.call.replace(h_0=None, c_0=None))
        found = judged(without)
        return found is not None and not found["output"].wrong.any() and right_with_sorted_lengths(trial)

    agrees_or(trial, counts)


@decides("STATE-OMITTED", when=without_states)
def test_omitted_state(trial):
    """A failure counts if states of zeros are right; otherwise something else than the omitted states is wrong."""
    agrees_or(trial, lambda: is_right(trial.other(trial.call.replace(**zero_states(trial.call)))))


def zero_states(call):
    """Return states of zeros for a layer's call, by name."""
    _, *shapes = call.result_shapes
    return {n: None if s is None else np.zeros(s, call.x.dtype) for n, s in zip(("h_0", "c_0"), shapes, strict=True)}


@decides("STATE-OMITTED-ZEROS")
def test_omitted_state_is_zeros(trial):
    zeros = {name: np.zeros_like(s) for name in ("h_0", "c_0") if (s := getattr(trial.call, name)) is not None}
    omitted = trial.other(trial.call.replace(h_0=None, c_0=None))
    omitted.same(trial.run(**zeros), other="with states of zeros")


@decides("STATE-LAST-OUTPUT", when=free_of_lengths)
def test_last_output_is_h_n(trial):
    O, D = trial.call.config.output_size, trial.call.config.directions

    def view(result):
        last = result.output[-1] if trial.call.every_step else result.output
        return Result(last[:, :O], result.h_n[-D], None)

    ends = view(trial.got)
    trial.same(Result(ends.h_n, ends.output, None), view, other="the last output or h_n")


@decides("STATE-BIDIRECTIONAL-END", when=free_of_lengths)
def test_first_output_is_reverse_h_n(trial):
    O = trial.call.config.output_size

    def view(result):
        first = result.output[0] if trial.call.every_step else result.output
        return Result(first[:, O:], result.h_n[-1], None)

    ends = view(trial.got)
    trial.same(Result(ends.h_n, ends.output, None), view, other="the first output or h_n")


@decides("STATE-REVERSE-FIRST", draw=both_directions, when=single_layer)
def test_reverse_starts_at_the_last_step(trial):
    call, O = trial.call, trial.call.config.output_size
    alone = trial.run(x=call.x[-1:])
    trial.same(
        Result(alone.output[0, :, O:], alone.h_n[1], None),
        lambda r: Result(r.output[-1, :, O:], r.output[-1, :, O:], None),
        other="the last step alone",
    )


@decides("STATE-STEPWISE", when=forward_only)
def test_step_by_step(trial):
    h, c, steps = trial.call.h_0, trial.call.c_0, []
    for t in range(trial.call.T):
        steps.append(trial.run(x=trial.call.x[t : t + 1], h_0=h, c_0=c))
        h, c = steps[-1].h_n, steps[-1].c_n
    trial.same(joined(steps), other="step by step")


@decides("STATE-CHUNKED", when=several_steps)
def test_cut_in_two(trial):
    call = trial.call
    cut = 1 + int(abs(float(call.x.flat[0])) * 7) % (call.T - 1)
    head = trial.run(x=call.x[:cut])
    tail = trial.run(x=call.x[cut:], h_0=head.h_n, c_0=head.c_n)
    trial.same(joined([head, tail]), other="in two pieces")


def layer_of(call, layer, x):
    """Return the call of one layer of a stack alone, on the input x."""
    config, D = call.config, call.config.directions
    rows = slice(layer * D, (layer + 1) * D)
    suffixes = {parameter_suffix(layer, d): parameter_suffix(0, d) for d in range(D)}
    parameters = {
        name.removesuffix(old) + new: value
        for name, value in call.parameters.items()
        for old, new in suffixes.items()
        if name.endswith(old)
    }
    alone = replace(config, num_layers=1, input_size=x.shape[-1], dropout=0.0)
    return call.replace(
        config=alone, parameters=parameters, x=x, h_0=optional(call.h_0, rows), c_0=optional(call.c_0, rows)
    )


def result_of(trial, call):
    """Return the backend's result of a call of a layer alone, or the right one if it does not take the sizes."""
    other, config = trial.other(call), call.config
    if trial.subject.features.takes(config.input_size, config.hidden_size):
        return other.got
    dtype, right = call.x.dtype, other.want
    if isinstance(right, dict):
        return {name: a.astype(dtype) for name, a in right.items()}
    return Result(*(None if a is None else a.astype(dtype) for a in right))  # type: ignore[arg-type]  # only c_n is None


@decides("STATE-STACK", when=batched)
@decides("LENGTHS-STACK", when=batched)
@decides("PROJ-STACKED", when=batched)
def test_a_stack_is_its_layers(trial):
    x, results = trial.call.x, []
    for layer in range(trial.call.config.num_layers):
        results.append(result_of(trial, layer_of(trial.call, layer, x)))
        x = results[-1].output
    c_n = None if results[0].c_n is None else np.concatenate([r.c_n for r in results])
    trial.same(Result(x, np.concatenate([r.h_n for r in results]), c_n), other="layer by layer")


def one_direction(call, direction, x):
    """Return the call of one direction of a single bidirectional layer, as a forward layer on the input x."""
    suffix = parameter_suffix(0, direction)
    parameters = {
        name.removesuffix("_reverse"): value for name, value in call.parameters.items() if name.endswith(suffix)
    }
    rows = slice(direction, direction + 1)
    config = replace(call.config, bidirectional=False)
    return call.replace(
        config=config, parameters=parameters, x=x, h_0=optional(call.h_0, rows), c_0=optional(call.c_0, rows)
    )


@decides("STATE-DIRECTIONS", draw=both_directions, when=single_layer)
@decides("PROJ-BIDIRECTIONAL", draw=both_directions, when=single_layer)
def test_bidirectional_is_forward_and_flipped(trial):
    call = trial.call
    forward = trial.other(one_direction(call, 0, call.x)).got
    reverse = trial.other(one_direction(call, 1, call.x[::-1].copy())).got
    c_n = None if forward.c_n is None else np.concatenate([forward.c_n, reverse.c_n])
    output = np.concatenate([forward.output, reverse.output[::-1]], axis=-1)
    trial.same(Result(output, np.concatenate([forward.h_n, reverse.h_n]), c_n), other="each direction by itself")


@decides("STATE-CAUSAL", when=several_steps)
def test_the_future_does_not_change_the_past(trial):
    call = trial.call
    now = call.T // 2
    x = call.x.copy()
    x[now:] = -x[now:] + 1
    got = trial.run(x=x)
    trial.same(
        Result(got.output[:now], got.output[:now], None),
        lambda r: Result(r.output[:now], r.output[:now], None),
        other="with another future",
    )


@decides("STATE-REVERSE-CAUSAL", draw=both_directions, when=lambda call: single_layer(call) and call.T > 1)
def test_the_past_does_not_change_the_reverse(trial):
    call, O = trial.call, trial.call.config.output_size
    now = (call.T + 1) // 2
    x = call.x.copy()
    x[:now] = -x[:now] + 1

    def view(result):
        return Result(result.output[now:, :, O:], result.output[now:, :, O:], None)

    trial.same(view(trial.run(x=x)), view, other="with another past")


def samples(call, order):
    """Return the call with the samples of ``order``, in that order."""
    axis = 0 if call.config.batch_first else 1
    return {
        "x": np.take(call.x, order, axis),
        "h_0": optional(call.h_0, (slice(None), order)),
        "c_0": optional(call.c_0, (slice(None), order)),
        "lengths": None if call.lengths is None else tuple(call.lengths[n] for n in order),
    }


def samples_of(call, order):
    """Return the view that keeps the samples of ``order`` of a result, in that order."""
    axis = call.samples_axis
    return lambda r: Result(np.take(r.output, order, axis), r.h_n[:, order], optional(r.c_n, (slice(None), order)))


@decides("STATE-SAMPLE-ALONE", when=several_samples)
def test_a_sample_alone(trial):
    for n in {0, trial.call.N // 2, trial.call.N - 1}:
        trial.same(trial.run(**samples(trial.call, [n])), samples_of(trial.call, [n]), other="the sample alone")


def rotated(call):
    """Return an order of the samples in which every sample has a new place."""
    return [*range(call.N // 2 or 1, call.N), *range(call.N // 2 or 1)]


@decides("STATE-BATCH-PERMUTED", when=several_samples)
@decides("LENGTHS-ANY-ORDER", when=several_samples)
def test_a_permuted_batch(trial):
    order = rotated(trial.call)
    trial.same(trial.run(**samples(trial.call, order)), samples_of(trial.call, order), other="the permuted batch")


def expect_repeated(trial, again, when="the second time"):
    """Raise Failed unless a repeated call gives the same bits, or with declared nondeterminism the same numbers."""
    repeated.expect_repeated(trial, again, "the same call", when, DECLARE)


@decides("STATE-REPEATED-CALL")
def test_a_repeated_call(trial):
    expect_repeated(trial, trial.run())


@decides("STATE-CALLS-INDEPENDENT", when=free_of_lengths)
def test_a_call_leaves_nothing_behind(trial):
    call = trial.call
    trial.got  # noqa: B018  the call before the other ones
    trial.run(x=1 - call.x)
    expect_repeated(trial, trial.run(), "after one with another input")
    another = call.x[::-1] * 2 + 1
    if not trial.subject.features.fixes("steps"):  # otherwise another number of steps is another graph
        another = np.concatenate([another, call.x[:1]], axis=0)
    trial.run(x=np.repeat(another, 2, axis=1), h_0=None, c_0=None)
    expect_repeated(trial, trial.run(), "after one of other sizes")
    if call.h_0 is not None:  # a call without states does not use the states of an earlier call
        without = {"h_0": None, "c_0": None}
        trial.other(call.replace(**without)).same(trial.run(**without), other="after other calls")


@decides("STATE-LAYERS-INDEPENDENT", when=free_of_lengths)
def test_two_layers_keep_their_parameters(trial):
    trial.got  # noqa: B018  the first layer is built and used before the second
    negated = {name: -value for name, value in trial.call.parameters.items()}
    second = trial.other(trial.call.replace(parameters=negated))
    second.got  # noqa: B018
    expect_repeated(trial, trial.run(), "after one of another layer")
    second.agrees()


@decides("STATE-ARGUMENTS-UNTOUCHED")
@decides("CELL-ARGUMENTS-UNTOUCHED", draw=cells)
def test_arguments_are_not_written(trial):
    written = trial.written()
    if written:
        raise Failed(f"the call wrote into {', '.join(written)}; arguments and parameters belong to the caller")
