"""Parameters exchanged after a layer was built and called (``Layer.load``)."""

import numpy as np

from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import gradient_calls


def after_loading(trial, parameters):
    """Exchange the parameters of the trial's layer; return a trial of the same layer with the new ones."""
    own = {name: value.copy() for name, value in parameters.items()}
    with trial.subject.calling("load"):
        trial.layer.load(own)
    other = trial.other(trial.call.replace(parameters=parameters))
    other._built = trial.layer, own
    return other


def halved(value):
    return value * value.dtype.type(-0.5)


def others(trial):
    """Return other parameters for the trial's layer."""
    return {name: halved(value) for name, value in trial.call.parameters.items()}


def used(trial):
    """Return a trial of a fresh layer that was called."""
    fresh = trial.other(trial.call)
    fresh.got  # noqa: B018  the call after which the parameters are exchanged
    return fresh


@decides("LOAD-EVERY")
def test_all_parameters_exchanged(trial):
    fresh = used(trial)
    new = others(trial)
    loaded = after_loading(fresh, new)
    loaded.agrees()
    trial.margin = loaded.margin
    if trial.subject.features.parameters:
        with trial.subject.calling("parameters"):
            read = dict(fresh.layer.parameters())
        for name, value in new.items():
            if name not in read or not np.array_equal(read[name], value):
                raise Failed(f"{name} read back after loading is not what was loaded")


@decides("LOAD-ONE", share=0.5)
def test_one_parameter_exchanged(trial):
    """Each parameter in turn, after a call with the one before."""
    fresh, parameters = used(trial), trial.call.parameters
    for name in parameters:
        parameters = parameters | {name: halved(parameters[name])}
        loaded = after_loading(fresh, parameters)
        loaded.agrees()
        trial.margin = max(trial.margin or 0.0, loaded.margin)


@decides("LOAD-BACK")
def test_parameters_exchanged_and_back(trial):
    fresh = used(trial)
    after_loading(fresh, others(trial)).run()
    back = after_loading(fresh, trial.call.parameters)
    back.agrees()
    trial.margin = back.margin


@decides("LOAD-GRADIENTS", draw=gradient_calls, share=0.5)
def test_gradients_after_loading(trial):
    """The gradients of a layer that was called forward and backward before its parameters were exchanged."""
    fresh = trial.other(trial.call)
    fresh.got  # noqa: B018  the gradients before
    loaded = after_loading(fresh, others(trial))
    loaded.agrees()
    trial.margin = loaded.margin


@decides("LOAD-OWN")
def test_loaded_arrays_are_copied(trial):
    """The caller changes its arrays after loading them."""
    loaded = after_loading(used(trial), others(trial))
    _, given = loaded._built
    for value in given.values():
        value[...] = 7
    loaded.agrees()
    trial.margin = loaded.margin


@decides("REFUSE-LOAD")
def test_parameters_that_do_not_fit_are_refused(trial):
    """A wrong set is refused, and the layer keeps the numbers that it had."""
    fresh = used(trial)
    name, *_ = trial.call.parameters
    given = trial.call.parameters
    for what, wrong in (
        (f"without {name}", {n: v for n, v in given.items() if n != name}),
        (f"with {name} of one row more", given | {name: np.concatenate([given[name], given[name][:1]])}),
        ("with a name that no layer has", given | {"weight_xx_l0": given[name]}),
    ):
        try:
            with trial.subject.at_work("load"):
                fresh.layer.load({n: v.copy() for n, v in wrong.items()})
        except Failed:
            raise
        except Exception:
            fresh.agrees(fresh.run())
            continue
        failure = Failed(f"load {what}: accepted; expected an error")
        failure.accepted = True
        raise failure
