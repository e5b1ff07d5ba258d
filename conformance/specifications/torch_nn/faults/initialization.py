"""Faults of the initial parameters."""

from __future__ import annotations

import itertools

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.parameters import parameter_shapes

FAULTS: list[Fault] = []
family = Family(FAULTS, "initialization", cells=False, parameters=False, initialization=True,
                numeric=False, features={"initialization"})  # fmt: skip
calls = itertools.count(1)


def redraws(draw, of=""):
    """Return the parts of a fault that redraws parameters named ``of``... by ``draw(generator, config, shape)``."""

    def initial(config, given, seed):
        rng = np.random.default_rng([seed, 1])
        return {
            name: draw(rng, config, value.shape).astype(value.dtype) if name.startswith(of) else value
            for name, value in given.items()
        }

    return {"initial": initial}


@family("INIT-NAMES", "initial parameters in the order of the alphabet", "a sorted dict", kinds="rnn_tanh")
def initial_names_sorted():
    return {"initial": lambda config, given, seed: dict(sorted(given.items()))}


@family(
    "INIT-SHAPES", "initial weights with a column for each unit", "a library that stores (in, out)", kinds="rnn_tanh"
)
def initial_weights_transposed():
    return {"initial": lambda config, given, seed: {name: value.T for name, value in given.items()}}


@family("INIT-DTYPE", "initial values in float64", "NumPy's default dtype left in", kinds="rnn_tanh")
def initial_values_in_float64():
    return {"initial": lambda config, given, seed: {name: value.astype(np.float64) for name, value in given.items()}}


@family(
    "INIT-BOUNDS",
    "initial values that are normal, of the documented variance",
    "a normal initializer of the same spread",
    kinds="rnn_tanh",
)
def initial_normal():
    return redraws(lambda rng, config, shape: rng.normal(0, (3 * config.hidden_size) ** -0.5, shape))


@family(
    "INIT-DISTRIBUTION",
    "initial values that are normal, drawn again beyond the bound",
    "a truncated normal initializer",
    kinds="rnn_tanh",
)
def initial_normal_clipped():

    def draw(rng, config, shape):
        values = rng.normal(0, 3**-0.5, shape)
        while (outside := np.abs(values) > 1).any():
            values = np.where(outside, rng.normal(0, 3**-0.5, shape), values)
        return values * config.hidden_size**-0.5

    return redraws(draw)


@family("INIT-DISTRIBUTION", "initial values up to 1/H", "the root forgotten", kinds="rnn_tanh")
def initial_bound_one_over_h():
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) / config.hidden_size)


@family(
    "INIT-DISTRIBUTION",
    "initial weights up to one over the root of their columns",
    "nn.Linear's bound, that of the fan-in",
    kinds="rnn_tanh",
)
def initial_bound_of_the_columns():
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * shape[-1] ** -0.5, "weight")


@family(
    "INIT-DISTRIBUTION",
    "initial weights up to the root of six over their rows and columns",
    "Keras's glorot_uniform",
    kinds="gru",
)
def initial_bound_of_glorot():
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * (6 / sum(shape)) ** 0.5, "weight")


@family(
    "INIT-BOUNDS",
    "initial values up to one over the root of proj_size",
    "the bound taken from the size of h",
    kinds="lstm",
)
def initial_bound_of_the_projection():
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * config.output_size**-0.5)


@family("INIT-DISTRIBUTION", "initial values between 0 and the bound", "rand() without the shift", kinds="rnn_tanh")
def initial_values_positive():
    return {"initial": lambda config, given, seed: {name: np.abs(value) for name, value in given.items()}}


@family("INIT-DISTRIBUTION", "initial biases of zero", "Keras's and Flax's bias initializer", kinds="rnn_tanh")
def initial_zero_biases():
    return redraws(lambda rng, config, shape: np.zeros(shape), "bias")


def forget_bias(to):
    def initial(config, given, seed):
        H = config.hidden_size
        for name, value in given.items():
            if name.startswith("bias_ih"):
                value[H : 2 * H] = to
        return given

    return {"initial": initial}


@family("INIT-BOUNDS", "an initial bias of one for the forget gate", "Keras's unit_forget_bias=True", kinds="lstm")
def initial_forget_bias_one():
    return forget_bias(1)


@family(
    "INIT-DISTRIBUTION",
    "an initial bias of zero for the forget gate",
    "a special case for the forget gate",
    kinds="lstm",
)
def initial_forget_bias_zero():
    return forget_bias(0)


def from_bias_ih(change):
    def initial(config, given, seed):
        others = {name: given[name.replace("_hh", "_ih")] for name in given if name.startswith("bias_hh")}
        return given | {name: change(value) for name, value in others.items()}

    return {"initial": initial}


@family("INIT-INDEPENDENT", "two initial biases of the same numbers", "one array for both", kinds="rnn_tanh")
def initial_biases_equal():
    return from_bias_ih(np.copy)


@family(
    "INIT-INDEPENDENT",
    "two initial biases that add to zero",
    "a split that is meant to begin at no bias",
    kinds="rnn_tanh",
)
def initial_biases_opposite():
    return from_bias_ih(np.negative)


def uniform(rng, config, shape):
    bound = config.hidden_size**-0.5
    return rng.uniform(-bound, bound, shape).astype(config.dtype)


@family(
    "INIT-INDEPENDENT",
    "initial parameters each drawn from a generator begun with the seed",
    "a generator built for each parameter",
    kinds="rnn_tanh",
)
def initial_generator_begun_again():

    def initial(config, given, seed):
        return {name: uniform(np.random.default_rng(seed), config, value.shape) for name, value in given.items()}

    return {"initial": initial}


@family(
    "INIT-OTHER-SEED",
    "initial parameters drawn from generators begun with the seed plus their place",
    "seeds counted up, so that seed s + 1 repeats seed s shifted",
    kinds="rnn_tanh",
)
def initial_seed_plus_position():

    def initial(config, given, seed):
        shapes = parameter_shapes(config).items()
        return {
            name: uniform(np.random.default_rng(seed + place), config, shape)
            for place, (name, shape) in enumerate(shapes)
        }

    return {"initial": initial}


@family(
    "INIT-OTHER-SEED",
    "initial parameters that are the same for every seed",
    "a constant seed left in",
    kinds="rnn_tanh",
)
def initial_seed_ignored():

    def initial(config, given, seed):
        rng = np.random.default_rng(0)
        return {name: uniform(rng, config, value.shape) for name, value in given.items()}

    return {"initial": initial}


@family(
    "INIT-SAME-SEED",
    "initial parameters that differ from layer to layer whatever the seed",
    "a global generator",
    kinds="rnn_tanh",
)
def initial_values_never_the_same():

    def initial(config, given, seed):
        rng = np.random.default_rng([next(calls), 2])
        return {name: uniform(rng, config, value.shape) for name, value in given.items()}

    return {"initial": initial}
