"""States: initial ones, those handed over, and the independence of the samples."""

import numpy as np

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import NEVER, OFTEN, always, broadly
from conformance.specifications.onnx_operators.suite.views import (
    forward_only,
    samples_of,
    several_samples,
    several_steps,
    steps_of,
    time_first,
    viewed_samples,
)


def has_states(call):
    return bool(call.states)


@decides("ONNX-INITIAL-H", draw=always("initial_h"))
@decides("ONNX-INITIAL-C", draw=always("initial_c", initial_h=OFTEN))
@decides("ONNX-INITIAL-DIRECTIONS", draw=always("initial_h", "initial_c", directions=("bidirectional",)))
def test_initial_states(trial):
    trial.agrees()


@decides("ONNX-INITIAL-OMITTED", when=has_states)
def test_omitted_states_are_zeros(trial):
    """Each state is left out by itself, and replaced by zeros."""
    for name, state in trial.call.states.items():
        without = trial.other(trial.call.replace(**{name: None}))
        without.same(trial.run(**{name: np.zeros_like(state)}), other=f"with {name} of 0")


@decides(
    "ONNX-CHUNKS",
    draw=broadly("initial_h", "initial_c", directions=("forward",), sequence_lens=NEVER),
    when=lambda call: forward_only(call) and several_steps(call),
)
def test_steps_in_two_pieces(trial):
    call = trial.call
    cut = 1 + call.config.hidden_size % (call.T - 1)
    first = trial.run(X=steps_of(call, slice(cut)))
    handed = {"initial_h": first["Y_h"]}
    if "initial_c" in call.states:
        handed["initial_c"] = first["Y_c"]
    elif "Y_c" in first:  # without the claim of initial_c the cell cannot be handed over
        trial.agrees()
        return
    last = trial.run(X=steps_of(call, slice(cut, None)), **handed)
    both = [time_first(call, part) for part in (first, last)]
    whole = {**both[1], "Y": np.concatenate([part["Y"] for part in both])}
    trial.same(whole, lambda r: time_first(call, r), other="in two pieces")


@decides("ONNX-SAMPLE-ALONE", when=several_samples)
def test_a_sample_alone(trial):
    for n in {0, trial.call.N // 2, trial.call.N - 1}:
        came = trial.run(**samples_of(trial.call, [n]))
        trial.same(came, viewed_samples(trial.call, [n]), other="the sample alone")


@decides("ONNX-SAMPLES-PERMUTED", when=several_samples)
def test_permuted_samples(trial):
    N = trial.call.N
    order = [*range(N // 2 or 1, N), *range(N // 2 or 1)]
    came = trial.run(**samples_of(trial.call, order))
    trial.same(came, viewed_samples(trial.call, order), other="the permuted samples")
