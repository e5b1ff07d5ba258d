"""Lengths: the effect of a PackedSequence on output, states and the reverse direction."""

import numpy as np

from conformance.backend import Result
from conformance.engine.compare import Failed
from conformance.engine.wrong_elements import is_right
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import ragged_layers
from conformance.specifications.torch_nn.suite.test_state import (
    agrees_or,
    samples,
    samples_of,
    several_samples,
    without_states,
    zero_states,
)


def ragged(call):
    return min(call.lengths) < call.T


def time_first(result_or_array, call):
    """Return a view of the array with time before batch."""
    return np.swapaxes(result_or_array, 0, 1) if call.config.batch_first else result_or_array


@decides("LENGTHS-EQUATION")
@decides("LENGTHS-INITIAL")
@decides("PROJ-LENGTHS")
def test_lengths(trial):
    trial.agrees()


@decides("LENGTHS-OMITTED", when=without_states)
def test_lengths_without_states(trial):
    agrees_or(trial, lambda: is_right(trial.other(trial.call.replace(**zero_states(trial.call)))))


def expect_zero_past_the_end(trial):
    call = trial.call
    output = time_first(trial.got.output, call)
    for n, length in enumerate(call.lengths):
        past = output[length:, n]
        if not np.all(past == 0):
            t, unit = (int(i) for i in np.argwhere(past != 0)[0])
            raise Failed(
                f"output, step {length + t}, sample {n}, feature {unit}: got {float(past[t, unit]):.9g}, expected 0: "
                f"the sample ends after {length} steps"
            )


@decides("LENGTHS-OUTPUT-ZERO", when=ragged)
@decides("LENGTHS-SHORTER-THAN-T", draw=ragged_layers, when=lambda call: max(call.lengths) < call.T)
def test_output_past_the_end_is_zero(trial):
    expect_zero_past_the_end(trial)


@decides("LENGTHS-FINAL-STATE", when=ragged)
def test_final_state_is_at_the_own_end(trial):
    call, O, D = trial.call, trial.call.config.output_size, trial.call.config.directions
    ends = np.asarray(call.lengths) - 1

    def view(result):
        output = time_first(result.output, call)
        return Result(output[ends, np.arange(call.N), :O], result.h_n[-D], None)

    at_end = view(trial.got)
    trial.same(Result(at_end.h_n, at_end.output, None), view, other="the output or state at the same end")


@decides("LENGTHS-REVERSE-START", when=lambda call: ragged(call) and call.config.num_layers == 1)
def test_reverse_starts_at_the_own_end(trial):
    """The reverse output at a sample's last step comes from that step alone."""
    call, O = trial.call, trial.call.config.output_size
    for n in {int(np.argmin(call.lengths)), call.N - 1}:
        alone = samples(call, [n])
        end = call.lengths[n] - 1
        alone["x"] = np.swapaxes(time_first(alone["x"], call)[end : end + 1], 0, 1 if call.config.batch_first else 0)
        got = trial.run(**(alone | {"lengths": None}))

        def view(result, n=n, end=end):
            reverse = time_first(result.output, call)[end, n, O:]
            return Result(reverse, result.output.reshape(-1)[:0], None)

        last = time_first(got.output, call)[0, 0, O:]
        trial.same(Result(last, got.output.reshape(-1)[:0], None), view, other="that step alone")
    trial.agrees(view=lambda r: Result(r.h_n[1], r.h_n[1], None))


@decides("LENGTHS-SAMPLE-ALONE", when=several_samples)
def test_a_sample_cut_at_its_length(trial):
    call = trial.call
    for n in {0, int(np.argmin(call.lengths)), call.N - 1}:
        steps = (slice(None), slice(call.lengths[n])) if call.config.batch_first else (slice(call.lengths[n]),)
        alone = samples(call, [n]) | {"lengths": None}
        alone["x"] = alone["x"][steps]

        def view(result, n=n, steps=steps):
            one = samples_of(call, [n])(result)
            return Result(one.output[steps] if call.every_step else one.output, one.h_n, one.c_n)

        trial.same(trial.run(**alone), view, other="the sample alone, cut at its length")


@decides("LENGTHS-PADDING-IGNORED", when=ragged)
def test_padding_does_not_matter(trial):
    call = trial.call
    for rubbish in (7.0, np.inf, np.nan):
        x = time_first(call.x.copy(), call)
        for n, length in enumerate(call.lengths):
            x[length:, n] = rubbish
        trial.same(trial.run(x=time_first(x, call)), other="with other padding")


@decides("LENGTHS-FULL")
def test_full_lengths_are_no_lengths(trial):
    call = trial.call
    whole = trial.other(call.replace(lengths=None))
    whole.same(trial.run(lengths=(call.T,) * call.N), other="with lengths of T")
