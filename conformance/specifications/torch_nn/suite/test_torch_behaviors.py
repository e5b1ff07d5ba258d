"""What torch promises of its modules beyond numbers. The backend makes the experiments (``Layer.torch_behavior``)."""

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn.calls import COTANGENTS
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import gradient_calls, stateful_gradient_calls
from conformance.specifications.torch_nn.suite.test_load import others
from conformance.specifications.torch_nn.trials import SecondTrial
from reference.precision import ARITHMETICS

SHARE = 1 / 3  # an experiment makes up to thirty passes


def behavior(requirement, **options):
    """Mark a test of calls of ``forward`` with the requirement that it decides."""
    return decides(f"TORCH-{requirement}", **({"share": SHARE} | options))


def of_gradients(requirement, **options):
    """Mark a test of calls of ``gradients`` with the requirement that it decides."""
    return behavior(requirement, **({"draw": gradient_calls} | options))


def only(names):
    """Return the view that keeps the gradients of these names."""
    return lambda d: {name: d[name] for name in names}


# --- autograd ----------------------------------------------------------------------------------------


@of_gradients("GRAD-SUBSETS", draw=stateful_gradient_calls)
def test_gradients_of_every_subset(trial):
    for names, came in trial.behavior("subsets").items():
        trial.same(came, only(came), other=f"with gradients of {names} alone")


@of_gradients("GRAD-FROZEN")
def test_one_parameter_without_gradient(trial):
    for name, came in trial.behavior("frozen").items():
        trial.same(came, only(came), other=f"with {name} frozen")


@of_gradients("GRAD-LEFT")
def test_grad_attributes_stay(trial):
    came = trial.behavior("grad")
    if came["appeared"]:
        raise Failed(f"torch.autograd.grad set {', '.join(came['appeared'])}.grad, which was None")
    for name, before in came["before"].items():
        if not np.array_equal(came["after"].get(name), before):
            raise Failed(f"torch.autograd.grad changed {name}.grad")


@of_gradients("BACKWARD-TWICE")
def test_backward_twice(trial):
    came = trial.behavior("accumulated")
    trial.same(came["once"], other="by backward()")
    if not trial.subject.features.deterministic:
        trial.same({name: a / 2 for name, a in came["twice"].items()}, other="by half of two backward()")
        return
    for name, once in came["once"].items():
        if not np.array_equal(came["twice"][name], once + once, equal_nan=True):
            raise Failed(f"the gradient of {name}: two calls of backward() accumulate another number than twice one")


@of_gradients("GRAD-IN-PLACE")
def test_changes_in_place(trial):
    for name, came in trial.behavior("in place").items():
        if came is not None:
            trial.same(came, other=f"after {name} was changed in place")


@of_gradients("COTANGENTS", when=lambda call: len(call.cotangents) > 1)
def test_each_cotangent_of_one_graph(trial):
    came = trial.behavior("cotangents")
    trial.agrees(came.pop("all"))
    for name, found in came.items():
        alone = trial.other(trial.call.replace(**{n: None for n in COTANGENTS if n != name}))
        alone.agrees(found)
        trial.margin = max(trial.margin, alone.margin)


@of_gradients("DOUBLE-BACKWARD")
def test_gradients_of_gradients(trial):
    rng = np.random.default_rng(len(trial.call.parameters))
    shapes = trial.call.result_shapes.items()
    directions = {name: rng.standard_normal(shape).astype(trial.call.x.dtype) for name, shape in shapes}
    found = trial.behavior("second", directions).get("second")
    if found is None:
        trial.note = "gradients of gradients were refused by an error, or belong to results that the module lacks"
    else:
        second = SecondTrial(trial.subject, trial.call, directions)
        second.agrees(found)
        trial.margin = second.margin


# --- parameters --------------------------------------------------------------------------------------


def agree_with(trial, parameters, *results):
    """Require that results are the documented ones for other parameters."""
    other = trial.other(trial.call.replace(parameters=parameters))
    for result in results:
        other.agrees(other.formed(result))
        trial.margin = max(trial.margin or 0.0, other.margin)


@behavior("FUNCTIONAL-CALL")
def test_functional_call(trial):
    new = others(trial)
    came = trial.behavior("functional", new)
    agree_with(trial, new, came["others"])
    trial.same(trial.formed(came["own"]), other="after functional_call with other parameters")


@behavior("PARAMETRIZED")
def test_parametrized(trial):
    new = others(trial)
    came = trial.behavior("parametrized", new)
    agree_with(trial, new, *came.values())
    if not came:
        trial.note = "nothing was compared: a ParameterDict or ParameterList takes no parametrization"


@behavior("STATE-DICT")
def test_state_dict(trial):
    came = trial.behavior("state_dict", others(trial))
    trial.same(trial.formed(came["loaded"]), other="another module with this one's state_dict")


@behavior("DEEPCOPY")
def test_deepcopy(trial):
    new = others(trial)
    came = trial.behavior("deepcopy", new)
    agree_with(trial, new, came.pop("copy with others"), came.pop("original with others"))
    for name, result in came.items():
        trial.same(trial.formed(result), other=f"around copy.deepcopy: {name}")


@behavior("TRAINING-MODE", when=lambda call: call.config.dropout == 0)
def test_modes(trial):
    for name, result in trial.behavior("modes").items():
        trial.same(trial.formed(result), other=f"a new module in the mode: {name}")


# --- memory and precision ----------------------------------------------------------------------------


def repeated(array, axis):
    """Return the array with its first slice along an axis in the place of all others."""
    return np.repeat(array.take([0], axis), array.shape[axis], axis)


@behavior("VIEWS-ARGUMENTS")
def test_views_of_arguments(trial):
    """The layouts of these arguments, and of such that repeat along one axis, which then has stride 0."""
    call = trial.call
    for axis in range(call.x.ndim):
        given = {name: a for name in ("x", "h_0", "c_0") if (a := getattr(call, name)) is not None}
        same = trial.other(call.replace(**{name: repeated(a, axis) for name, a in given.items()}))
        for each in (trial, same) if axis == 0 else (same,):
            for how, result in each.behavior("views of arguments").items():
                each.same(each.formed(result), other=f"with arguments in another memory layout, {how}")
            trial.margin = max(trial.margin or 0.0, each.margin)


@behavior("VIEWS-WEIGHTS")
def test_views_of_weights(trial):
    """The layouts of these parameters, and of such that repeat along one axis, which then has stride 0."""
    call = trial.call
    rows, columns = ({name: repeated(a, axis) for name, a in call.parameters.items()} for axis in (0, -1))
    for each in (trial, *(trial.other(call.replace(parameters=same)) for same in (rows, columns))):
        for how, result in each.behavior("views of weights").items():
            each.same(each.formed(result), other=f"with parameters in another memory layout, {how}")
        trial.margin = max(trial.margin or 0.0, each.margin)


def in_bfloat16(trial, came):
    """Require the documented numbers within the tolerance of bfloat16."""
    coarse = trial.subject.beside(trial.subject.backend)
    coarse.arithmetic, coarse.compares = ARITHMETICS["bfloat16"], trial.subject.compares
    half = trial_of(coarse, trial.call)
    half.agrees(half.formed(came["autocast"]))
    trial.margin = half.margin


@behavior("AUTOCAST")
def test_autocast(trial):
    in_bfloat16(trial, trial.behavior("autocast"))


@of_gradients("AUTOCAST-GRADIENTS")
def test_gradients_under_autocast(trial):
    in_bfloat16(trial, trial.behavior("autocast gradients"))
