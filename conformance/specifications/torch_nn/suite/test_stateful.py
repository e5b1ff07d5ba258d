"""States that go on from call to call (``Layer.forward_stateful`` and ``Layer.reset``)."""

from dataclasses import replace

import numpy as np

from conformance.backend import Features, Unsupported
from conformance.engine.compare import Failed
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import layers
from conformance.specifications.torch_nn.suite.test_unclaimed import asked_for, judging
from conformance.specifications.torch_nn.trials import as_result


def stateful_layers(features: Features):
    """Draw calls without states."""
    return layers(replace(features, initial_state=False))


def go_on(trial, layer, call):
    """Return the result of ``forward_stateful``."""
    with trial.subject.calling("forward_stateful"):
        lengths = None if call.lengths is None else list(call.lengths)
        return trial.shaped(as_result(layer.forward_stateful(call.x.copy(), lengths)), call)


def reset(trial, layer):
    with trial.subject.calling("reset"):
        layer.reset()


def expect(trial, call, got):
    """Require the oracle's numbers of a call."""
    right = trial_of(trial.subject, call)
    right.agrees(got)
    trial.margin = max(trial.margin or 0.0, right.margin)
    return got


def after(call, result, factor):
    """Return the next call: other numbers, from the states of a result."""
    return call.replace(x=call.x * call.x.dtype.type(factor), h_0=result.h_n, c_0=result.c_n)


@decides("STATEFUL-FIRST", draw=stateful_layers)
def test_the_first_call_begins_at_zeros(trial):
    fresh = trial.other(trial.call)
    expect(trial, trial.call, go_on(trial, fresh.layer, trial.call))


@decides("STATEFUL-CONTINUES", draw=stateful_layers)
def test_a_call_continues_the_last_one(trial):
    """Three calls in turn, each from the states that the one before returned."""
    layer, call = trial.other(trial.call).layer, trial.call
    got = go_on(trial, layer, call)
    for factor in (-1, 0.5):
        call = after(trial.call, got, factor)
        got = expect(trial, call, go_on(trial, layer, call))


@decides("STATEFUL-RESET", draw=stateful_layers)
def test_reset_begins_at_zeros_again(trial):
    layer = trial.other(trial.call).layer
    go_on(trial, layer, trial.call)
    reset(trial, layer)
    expect(trial, trial.call, go_on(trial, layer, trial.call))


@decides("STATEFUL-APART", draw=stateful_layers)
def test_the_states_are_those_of_these_calls_of_this_layer_alone(trial):
    """Between two calls there is one of ``forward``, and one of another layer with the same parameters."""
    call, fresh = trial.call, trial.other(trial.call)
    first = go_on(trial, fresh.layer, call)
    expect(trial, call, fresh.got)
    expect(trial, call, go_on(trial, trial.other(call).layer, call))
    second = after(call, first, -1)
    expect(trial, second, go_on(trial, fresh.layer, second))


def batched(call):
    return not call.unbatched and call.lengths is None


@decides("REFUSE-STATEFUL-SAMPLES", draw=stateful_layers, when=batched)
def test_another_number_of_samples(trial):
    """It is an error until ``reset``."""
    if trial.subject.features.fixes("samples"):
        return
    layer, call = trial.other(trial.call).layer, trial.call
    go_on(trial, layer, call)
    axis = 0 if call.config.batch_first else 1
    x = np.concatenate([call.x, call.x], axis)
    try:
        with trial.subject.at_work("forward_stateful"):
            layer.forward_stateful(x.copy(), None)
    except Failed:
        raise
    except Exception:
        reset(trial, layer)
        more = call.replace(x=x)
        expect(trial, more, go_on(trial, layer, more))
        return
    failure = Failed(f"forward_stateful of {2 * call.N} samples after one of {call.N}: accepted; expected an error")
    failure.accepted = True
    raise failure


@decides("UNCLAIMED-STATEFUL", draw=stateful_layers)
def test_unclaimed_states(trial):
    def ask(layer):
        if not hasattr(layer, "forward_stateful"):
            raise Unsupported("there is no method forward_stateful")
        return layer.forward_stateful(trial.call.x.copy(), None)

    call = trial.call.replace(lengths=None)
    asked = asked_for(trial, "stateful", ask)
    if asked is not None:
        with judging(trial, "stateful"):
            expect(trial, call, trial.shaped(as_result(*asked), call))
