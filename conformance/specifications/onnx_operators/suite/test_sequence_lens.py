"""sequence_lens: the effect of the samples' lengths on Y, on the last states and on the reverse direction."""

import numpy as np

from conformance.engine.compare import Failed
from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import STATES, always, broadly, zero_lengths
from conformance.specifications.onnx_operators.suite.views import (
    backward,
    ragged,
    samples_of,
    several_samples,
    steps_of,
    time_first,
    viewed_samples,
)

BOTH = ("bidirectional",)
lengths = always("sequence_lens", **STATES)
any_lengths = broadly("sequence_lens")


def with_zero(call):
    return call.sequence_lens is not None and min(call.sequence_lens) == 0


@decides("ONNX-LENGTHS", draw=lengths)
@decides("ONNX-LENGTHS-BIDIRECTIONAL", draw=always("sequence_lens", directions=BOTH, **STATES), when=ragged)
@decides("ONNX-LENGTHS-LAYOUT", draw=always("sequence_lens", "layout", **STATES))
@decides("ONNX-LENGTHS-ZERO", draw=zero_lengths, when=with_zero)
def test_lengths(trial):
    trial.agrees()


@decides("ONNX-LENGTHS-OMITTED", draw=any_lengths)
def test_full_lengths_are_no_lengths(trial):
    call = trial.call
    whole = trial.other(call.replace(sequence_lens=None))
    whole.same(trial.run(sequence_lens=(call.T,) * call.N), other="with lengths of T")


def expect_zero_past_the_end(trial):
    call = trial.call
    Y = time_first(call, trial.got)["Y"]
    for n, length in enumerate(call.lengths):
        past = Y[length:, :, n]
        if not np.all(past == 0):
            t, d, unit = (int(i) for i in np.argwhere(past != 0)[0])
            raise Failed(
                f"Y, direction {d}, step {length + t}, sample {n}, unit {unit}: got {float(past[t, d, unit]):.9g}, "
                f"expected 0: the sample ends after {length} steps"
            )


@decides("ONNX-LENGTHS-PADDING", draw=any_lengths, when=ragged)
@decides("ONNX-LENGTHS-SHORTER", draw=any_lengths, when=lambda call: max(call.lengths) < call.T)
def test_y_past_the_end_is_zero(trial):
    expect_zero_past_the_end(trial)


@decides("ONNX-LENGTHS-LAST", draw=lengths, when=ragged)
def test_last_states_are_at_the_own_end(trial):
    call, ends = trial.call, np.asarray(trial.call.lengths) - 1

    def view(outputs):
        turned = time_first(call, outputs)
        Y, N = turned["Y"], np.arange(call.N)
        return {"Y_h": np.stack([Y[0 if back else ends, d, N] for d, back in enumerate(backward(call))])}

    trial.same(view(trial.got), lambda r: {"Y_h": time_first(call, r)["Y_h"]}, other="Y at the own end")
    trial.agrees(view=lambda r: {name: a for name, a in r.items() if name != "Y"})


@decides("ONNX-LENGTHS-REVERSE", draw=broadly("sequence_lens", directions=("reverse",)), when=ragged)
def test_reverse_begins_at_the_own_end(trial):
    """The first computed Y of a sample comes from its last step alone."""
    call = trial.call
    for n in {int(np.argmin(call.lengths)), call.N - 1}:
        end = call.lengths[n] - 1
        alone = trial.other(call.replace(X=steps_of(call, [end]))).call
        alone = alone.replace(**(samples_of(alone.replace(sequence_lens=None), [n]) | {"sequence_lens": None}))
        came = time_first(call, trial.other(alone).got)

        def view(outputs, n=n, end=end):
            return {"Y": time_first(call, outputs)["Y"][end, :, n]}

        trial.same({"Y": came["Y"][0, :, 0]}, view, other="that step alone")


@decides("ONNX-LENGTHS-ALONE", draw=any_lengths)
def test_a_sample_cut_at_its_length(trial):
    call = trial.call
    for n in {0, int(np.argmin(call.lengths)), call.N - 1}:
        length = call.lengths[n]
        one = call.replace(**samples_of(call, [n]))
        one = one.replace(X=steps_of(one, slice(length)), sequence_lens=None)
        came = time_first(call, trial.other(one).got)

        def view(outputs, n=n, length=length):
            turned = time_first(call, viewed_samples(call, [n])(outputs))
            return {**turned, "Y": turned["Y"][:length]}

        trial.same(came, view, other="the sample alone, cut at its length")


@decides("ONNX-LENGTHS-PADDING-IGNORED", draw=any_lengths, when=ragged)
def test_padding_does_not_matter(trial):
    call = trial.call
    for rubbish in (7.0, np.inf, np.nan):
        X = call.X.copy()
        for n, length in enumerate(call.lengths):
            X[(n, slice(length, None)) if call.config.layout else (slice(length, None), n)] = rubbish
        trial.same(trial.run(X=X), other=f"with {rubbish} in the padding")


def unsorted(call):
    return list(call.lengths) != sorted(call.lengths, reverse=True)


@decides("ONNX-LENGTHS-ORDER", draw=any_lengths, when=lambda call: several_samples(call) and unsorted(call))
def test_lengths_in_any_order(trial):
    order = np.argsort(trial.call.lengths)[::-1].tolist()
    view = viewed_samples(trial.call, order)
    trial.same(trial.run(**samples_of(trial.call, order)), view, other="sorted by length")
