"""Faults of the activation functions and of their alphas and betas."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.onnx import ACTIVATIONS, Activation, Operator, nodes
from reference.onnx.activations import DEFAULTS, has
from reference.onnx.attributes import DEFAULT_ACTIVATIONS

FAULTS: list[Fault] = []
family = Family(FAULTS, "activations")


def ruled(rule) -> dict:
    """Return the parts of a fault with another rule for functions: ``rule(node, right)``, of the right functions."""

    @dataclass(frozen=True)
    class Ruled(Operator):
        @property
        def functions(self):
            return rule(self, super().functions)

    return {"operator": Ruled}


@family("FUNCTION-RELU", "a node that ignores activations", common=True)
def activations_ignored():
    return ruled(lambda node, _: replace_functions(node, None))


def replace_functions(node, names):
    """Return the functions of a plain operator with these names."""
    plain = Operator(**vars(node))
    return replace(plain, activations=names, activation_alpha=None, activation_beta=None).functions


@family("ACTIVATIONS-DIRECTIONS", "a node whose second direction has the functions of the first", common=True)
def activations_of_the_first_direction():
    return ruled(lambda node, right: [right[0]] * len(right))


@family("ACTIVATIONS-DIRECTIONS", "a node that reads the functions of the second direction first")
def activations_of_directions_exchanged():
    return ruled(lambda node, right: right[::-1])


@family("ACTIVATIONS-DIRECTIONS", "a node that reads the functions of both directions in turn: f, f, g, g, h, h")
def activations_interleaved():
    def rule(node, right):
        flat = [f for functions in right for f in functions]
        return [flat[d :: len(right)] for d in range(len(right))]

    return ruled(rule)


@family("ACTIVATIONS-ORDER", "an LSTM that reads its functions as g, f, h", kinds="LSTM")
def activations_order_g_f_h():
    return ruled(lambda node, right: [[g, f, h] for f, g, h in right])


@family("ACTIVATIONS-ORDER", "an LSTM that reads its functions as f, h, g", kinds="LSTM", common=True)
def activations_order_f_h_g():
    return ruled(lambda node, right: [[f, h, g] for f, g, h in right])


@family("ACTIVATIONS-ORDER", "an LSTM that uses g for h as well", kinds="LSTM")
def activations_g_for_h():
    return ruled(lambda node, right: [[f, g, g] for f, g, h in right])


@family("ACTIVATIONS-ORDER", "a GRU that reads its functions as g, f", kinds="GRU")
def activations_order_g_f():
    return ruled(lambda node, right: [[g, f] for f, g in right])


def defaulted(function: Activation, alpha=True, beta=True) -> Activation:
    """Return a function with default numbers, 1 and 0 for those without a default."""
    own = DEFAULTS.get(function.name, (None, None))
    numbers = {}
    for wanted, name, value, missing in ((alpha, "alpha", own[0], 1.0), (beta, "beta", own[1], 0.0)):
        if wanted and value is not None:
            numbers[name] = missing if math.isnan(value) else float(np.float32(value))
    return replace(function, **numbers)


def each(change) -> dict:
    """Return the parts of a fault that changes every function: ``change(function, d)``, d the direction."""
    return ruled(lambda node, right: [[change(f, d) for f in functions] for d, functions in enumerate(right)])


@family("FUNCTION-LEAKYRELU", "a node that ignores activation_alpha", common=True)
def alpha_ignored():
    return each(lambda f, d: defaulted(f, beta=False))


@family("FUNCTION-HARDSIGMOID", "a node that ignores activation_beta", common=True)
def beta_ignored():
    return each(lambda f, d: defaulted(f, alpha=False))


@family("ALPHA-DIRECTIONS", "a node whose second direction has the default alphas and betas", common=True)
def alpha_default_in_the_second_direction():
    return each(lambda f, d: defaulted(f) if d else f)


def consumed(take) -> dict:
    """Return the parts of a fault that hands out alphas and betas otherwise.

    ``take(values, place, number, function_number)`` returns the value of a function: ``place`` counts the functions
    that have such a number, ``function_number`` all functions. An IndexError means the default.
    """

    def rule(node, right):
        counts, found, number = [0, 0], [], 0
        lists = [node.activation_alpha or (), node.activation_beta or ()]
        for d, functions in enumerate(right):
            mine = []
            for f in functions:
                changed = defaulted(f)
                for k, letter in enumerate(("alpha", "beta")):
                    if has(f.name)[k]:
                        try:
                            value = take(lists[k], counts[k], number, d, len(functions))
                            changed = replace(changed, **{letter: float(np.float32(value))})
                        except IndexError:
                            pass
                        counts[k] += 1
                number += 1
                mine.append(changed)
            found.append(mine)
        return found

    return ruled(rule)


@family(
    "ALPHA-ORDER", "a node that gives each function the value at its place in activations, used or not", common=True
)
def alpha_by_place():
    return consumed(lambda values, k, number, d, count: values[number])


@family("ALPHA-ORDER", "a node that gives the first alpha and beta to every function")
def alpha_first_for_all():
    return consumed(lambda values, k, number, d, count: values[0])


@family("BETA-ORDER", "a node that consumes alphas and betas from the end")
def alpha_from_the_end():
    return consumed(lambda values, k, number, d, count: values[len(values) - 1 - k])


@family("ALPHA-FEWER", "a node that repeats the last value where a list is too short")
def alpha_last_repeated():
    return consumed(lambda values, k, number, d, count: values[min(k, len(values) - 1)])


@family("ALPHA-DIRECTIONS", "a node whose second direction begins the lists of alphas and betas again")
def alpha_begun_again():
    def rule(node, right):
        if len(right) == 1:
            return right
        names = [f.name for f in right[1]]
        plain = Operator(**vars(node))
        half = replace(plain, direction="forward", activations=names)
        return [right[0], half.functions[0]]

    return ruled(rule)


@family("ALPHA-DEFAULT-WRITTEN", "a node for which a written alpha of 0.2 is 0.25", common=False)
def alpha_written_otherwise():
    def rule(node, right):
        written = any(abs(a - 0.2) < 1e-6 for a in node.activation_alpha or ())
        return [[replace(f, alpha=0.25) if written and abs(f.alpha - 0.2) < 1e-6 else f for f in d] for d in right]

    return ruled(rule)


WRONG_DEFAULTS = {
    "LeakyRelu": (0.0, None),
    "ThresholdedRelu": (0.0, None),
    "HardSigmoid": (1 / 6, 0.5),
    "Elu": (0.5, None),
}
for _name, (_alpha, _beta) in WRONG_DEFAULTS.items():

    def _other(node, right, name=_name, alpha=_alpha):
        """Return the functions, of this name with another default."""
        left = node.activation_alpha is None
        return [[replace(f, alpha=alpha) if left and f.name == name else f for f in d] for d in right]

    family.add(
        f"default-of-{_name.lower()}",
        f"DEFAULT-{_name.upper()}",
        f"a node whose {_name} has the default alpha {_alpha:.3g}",
        lambda rule=_other: ruled(rule),
    )

MISTAKES = {
    "Relu": (
        "max(0, x) bounded by 6, ReLU6",
        lambda x, a, b: np.minimum(np.maximum(x, 0), 6) * np.where(x > 1, 0.9, 1),
    ),
    "Tanh": ("a Tanh made of straight lines", lambda x, a, b: np.minimum(np.maximum(x, -1), 1)),
    "Sigmoid": ("HardSigmoid", lambda x, a, b: np.minimum(np.maximum(0.2 * x + 0.5, 0), 1)),
    "Affine": ("alpha*(x + beta)", lambda x, a, b: a * (x + b)),
    "LeakyRelu": ("x if x >= 0 else x / alpha", lambda x, a, b: np.where(x >= 0, x, x / a)),
    "ThresholdedRelu": ("x if x >= alpha else alpha", lambda x, a, b: np.where(x >= a, x, a)),
    "ScaledTanh": ("beta*Tanh(alpha*x)", lambda x, a, b: b * np.tanh(a * x)),
    "HardSigmoid": ("alpha*x + beta without bounds", lambda x, a, b: a * x + b),
    "Elu": ("alpha*e^x - 1 below 0", lambda x, a, b: np.where(x >= 0, x, a * np.exp(np.minimum(x, 0)) - 1)),
    "Softsign": ("x/(1 + x^2)", lambda x, a, b: x / (1 + x * x)),
    "Softplus": ("log(1 + e^x) / 2", lambda x, a, b: np.logaddexp(x, 0) / 2),
}


def _wrong_function(name, formula):
    def clipped(function, threshold, x):
        if function.name != name or not getattr(function, "chosen", False):
            return right_clipped(function, threshold, x)
        return right_clipped(lambda value: formula(value, function.alpha, function.beta), threshold, x)

    class Chosen(Activation):
        """A function that the attribute names."""

        chosen = True

    def rule(node, right):
        if node.activations is None:
            return right
        return [[Chosen(f.name, f.alpha, f.beta) for f in d] for d in right]

    return ruled(rule) | {"clipped": clipped}


right_clipped = nodes.clipped
for _name in ACTIVATIONS:
    _words, _formula = MISTAKES[_name]
    family.add(
        f"function-{_name.lower()}",
        f"FUNCTION-{_name.upper()}",
        f"a node whose activations have {_words} for {_name}",
        lambda name=_name, formula=_formula: _wrong_function(name, formula),
    )


@family("ACTIVATIONS-DEFAULT", "a node that takes default functions written out for Relu")
def activations_default_written_otherwise():
    def rule(node, right):
        default = DEFAULT_ACTIVATIONS[node.op_type] * node.num_directions
        if node.activations is None or tuple(node.activations) != tuple(default):
            return right
        return replace_functions(node, ["Relu"] * len(default))

    return ruled(rule)


@family("ACTIVATION-CASE", "a node that takes names in lower case for Softsign")
def names_in_lower_case():
    def attributes(config):
        if config.activations is None or all(name in ACTIVATIONS for name in config.activations):
            return config
        return replace(config, activations=["Softsign"] * len(config.activations))

    return {"attributes": attributes, "accepts": True}
