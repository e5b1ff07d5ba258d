"""Robustness: NaN and infinity stay where the equations have them."""

import numpy as np

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import bare_nodes, broadly
from conformance.specifications.onnx_operators.suite.views import (
    forward_only,
    middle,
    several_samples,
    several_steps,
    spoiled,
    time_first,
    viewed_samples,
)

SATURATED = 1e30  # what the oracle computes with in place of infinity


@decides("ONNX-NAN-SAMPLES", when=several_samples)
def test_nan_stays_in_its_sample(trial):
    t, n = middle(trial.call)
    view = viewed_samples(trial.call, [k for k in range(trial.call.N) if k != n])
    for value in (np.nan, np.inf):
        came = trial.run(**spoiled(trial.call, t, n, value, states=True))
        trial.same(view(came), view, other=f"with {value} in another sample")


@decides(
    "ONNX-NAN-PAST", draw=broadly(directions=("forward",)), when=lambda call: forward_only(call) and several_steps(call)
)
def test_nan_does_not_reach_the_past(trial):
    call = trial.call
    n = call.N // 2

    def view(outputs):
        return {"Y": time_first(call, outputs)["Y"][:-1]}

    for value in (np.nan, np.inf):
        came = trial.run(**spoiled(call, call.T - 1, n, value))
        trial.same(view(came), view, other=f"with {value} at the last step")


@decides("ONNX-NAN-KEPT", draw=bare_nodes)
def test_nan_is_kept(trial):
    t, n = middle(trial.call)
    trial.other(trial.call.replace(**spoiled(trial.call, t, n, np.nan))).agrees()


@decides("ONNX-INFINITE", draw=bare_nodes)
def test_infinity_saturates(trial):
    """The oracle computes with 1e30 instead: Tanh and Sigmoid are at their limits there too."""
    call = trial.call
    t, n = middle(call)
    for value in (np.inf, -np.inf):
        came = trial.run(**spoiled(call, t, n, value))
        wide = call.replace(X=call.X.astype(np.float64))
        trial.other(call.replace(**spoiled(wide, t, n, np.clip(value, -SATURATED, SATURATED)))).agrees(came)
