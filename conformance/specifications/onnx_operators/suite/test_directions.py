"""Directions: reverse and bidirectional nodes, and what may depend on what."""

import numpy as np

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import NEVER, always, broadly
from conformance.specifications.onnx_operators.suite.views import (
    forward_only,
    joined,
    of_direction,
    several_steps,
    steps_of,
    time_first,
)


@decides("ONNX-REVERSE", draw=always(directions=("reverse",)))
@decides("ONNX-BIDIRECTIONAL", draw=always(directions=("bidirectional",)))
def test_direction(trial):
    trial.agrees()


def reverse_only(call):
    return call.config.direction == "reverse"


def both_directions(call):
    return call.config.directions == 2


def flipped(call):
    """Return X with its steps in the other order."""
    return np.flip(call.X, 1 if call.config.layout else 0).copy()


@decides("ONNX-REVERSE-FLIPPED", draw=broadly(directions=("reverse",), sequence_lens=NEVER), when=reverse_only)
def test_reverse_is_forward_on_flipped_steps(trial):
    call = trial.call
    came = time_first(call, trial.other(call.configured(direction="forward").replace(X=flipped(call))).got)
    trial.same({**came, "Y": came["Y"][::-1]}, lambda r: time_first(call, r), other="forward on flipped steps")


@decides("ONNX-BIDIRECTIONAL-PARTS", draw=broadly(directions=("bidirectional",)), when=both_directions)
def test_bidirectional_is_both_directions(trial):
    parts = [trial.other(of_direction(trial.call, d)).got for d in (0, 1)]
    trial.same(joined(trial.call, parts), other="each direction by itself")


@decides(
    "ONNX-CAUSAL", draw=broadly(directions=("forward",)), when=lambda call: forward_only(call) and several_steps(call)
)
def test_later_steps_change_no_earlier_y(trial):
    call = trial.call
    now = (call.T + 1) // 2
    X = call.X.copy()
    later = (slice(None), slice(now, None)) if call.config.layout else (slice(now, None),)
    X[later] = -X[later] + 1

    def view(outputs):
        return {"Y": time_first(call, outputs)["Y"][:now]}

    trial.same(view(trial.run(X=X)), view, other="with other later steps")
    trial.same(
        {"Y": time_first(call, trial.run(X=steps_of(call, slice(now))))["Y"]}, view, other="without the later steps"
    )
