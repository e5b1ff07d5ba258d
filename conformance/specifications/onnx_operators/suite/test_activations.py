"""Activations: each function, their order, their directions, and the lists of alpha and beta."""

from dataclasses import replace

from conformance.onnx.features import ACTIVATIONS
from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.plans import WRITTEN
from conformance.specifications.onnx_operators.strategies import with_function, with_functions
from reference.onnx.activations import DEFAULTS, WITHOUT_DEFAULT, has

BOTH = ("bidirectional",)
SMOOTH = ("Tanh", "Sigmoid")
WITH_ALPHA = ("LeakyRelu", "HardSigmoid", "Sigmoid")
WITH_BETA = ("ScaledTanh", "HardSigmoid", "Tanh")
SOME = ("LeakyRelu", "HardSigmoid", "HardSigmoid")


def function_decides(name):
    def test(trial):
        trial.agrees()

    return decides(f"ONNX-FUNCTION-{name.upper()}", draw=with_function(name, "all"))(test)


def default_decides(name):
    def test(trial):
        trial.agrees()

    return decides(f"ONNX-DEFAULT-{name.upper()}", draw=with_function(name, ""))(test)


for _name in ACTIVATIONS:
    globals()[f"test_function_{_name.lower()}"] = function_decides(_name)
for _name in DEFAULTS:
    if _name not in WITHOUT_DEFAULT:
        globals()[f"test_default_of_{_name.lower()}"] = default_decides(_name)


def with_list(call):
    return call.config.activations is not None


def different_functions(call):
    """Return whether the first direction has different functions, f, g and h."""
    names = call.config.activations or ()
    count = len(names) // call.config.directions
    return len(set(names[:count])) > 1


def different_directions(call):
    """Return whether the two directions have different functions."""
    names = call.config.activations or ()
    half = len(names) // 2
    return call.config.directions == 2 and names[:half] != names[half:]


def several_alphas(call):
    return len(set(call.config.activation_alpha or ())) > 1


def several_betas(call):
    return len(set(call.config.activation_beta or ())) > 1


def alphas_in_both_directions(call):
    """Return whether both directions consume alphas, different ones."""
    if call.config.directions == 1 or call.config.activation_alpha is None:
        return False
    first, second = ([f.alpha for f in functions if has(f.name)[0]] for functions in call.config.operator.functions)
    return bool(first) and bool(second) and first != second


def fewer_alphas(call):
    """Return whether there are more functions with an alpha than values."""
    having = sum(has(name)[0] for name in call.config.activations or ())
    return 0 < len(call.config.activation_alpha or ()) < having


@decides("ONNX-ACTIVATIONS-ORDER", draw=with_functions(SMOOTH), when=different_functions)
@decides("ONNX-ACTIVATIONS-DIRECTIONS", draw=with_functions(SMOOTH, "all", BOTH), when=different_directions)
@decides("ONNX-ALPHA-ORDER", draw=with_functions(WITH_ALPHA), when=several_alphas)
@decides("ONNX-BETA-ORDER", draw=with_functions(WITH_BETA), when=several_betas)
@decides(
    "ONNX-ALPHA-DIRECTIONS",
    draw=with_functions(("LeakyRelu", "Tanh"), "all", BOTH),
    when=alphas_in_both_directions,
)
@decides("ONNX-ALPHA-FEWER", draw=with_functions(SOME, "some"), when=fewer_alphas)
def test_lists_of_functions_and_numbers(trial):
    trial.agrees()


@decides("ONNX-ACTIVATIONS-DEFAULT", draw=with_function(WRITTEN, ""))
def test_default_functions_written_out(trial):
    without = trial.other(trial.call.configured(activations=None))
    without.same(trial.got, other="with the default written out")


@decides("ONNX-ALPHA-DEFAULT-WRITTEN", draw=with_function("HardSigmoid", WRITTEN))
def test_default_numbers_written_out(trial):
    without = trial.other(trial.call.configured(activation_alpha=None, activation_beta=None))
    without.same(trial.got, other="with the defaults written out")


@decides("ONNX-ACTIVATION-CASE", draw=with_functions(SMOOTH), when=with_list)
def test_names_in_lower_case(trial):
    config = trial.call.config
    lower = replace(config, activations=[name.lower() for name in config.activations])
    came = trial.attempt("names in lower case", config=lower)
    if not isinstance(came, Exception):
        trial.same(trial.shaped(trial.form.receive(came), trial.call), other="with names in lower case")
