"""Initialization: the distribution of the parameters of a new layer.

``conformance.engine.statistics`` decides frequencies and distributions, with a known probability of a false alarm.
Independence has two checks: no short sequence of numbers occurs twice, in any parameters under any seeds, and the signs
are unrelated.
"""

import math
from itertools import pairwise

import numpy as np

from conformance.engine.compare import Failed
from conformance.engine.statistics import expect_frequency, expect_uniform
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import new_layers
from conformance.specifications.torch_nn.suite.test_shapes import expect_shape
from reference.config import numpy_dtype
from reference.parameters import parameter_shapes
from reference.precision import ARITHMETICS

FEW = 0.1  # the share of a profile's examples for checks that build many layers
VALUES, MOST_SEEDS = 2048, 128  # the numbers of each parameter for its distribution, and the most seeds for them
# A drawn number has at least RANDOM_BITS random bits, or all bits of a shorter dtype. An example has at most a million
# sequences of ROW_BITS; two of them agree by chance with a probability below 2^-60.
RANDOM_BITS, ROW_BITS = 24, 100


def bound_of(config):
    return 1 / math.sqrt(config.hidden_size)


def roundoff(config):
    """Return the unit roundoff of the configuration's dtype."""
    return ARITHMETICS[config.dtype].u


@decides("INIT-NAMES")
def test_names(trial):
    came, expected = list(trial.initial_parameters(0)), list(parameter_shapes(trial.call.config))
    if came != expected:
        raise Failed(f"initial parameters: got {came}, expected {expected}")


@decides("INIT-SHAPES")
def test_shapes(trial):
    came = trial.initial_parameters(0)
    for name, shape in parameter_shapes(trial.call.config).items():
        expect_shape(name, came.get(name), shape)


@decides("INIT-DTYPE")
def test_dtypes(trial):
    expected = numpy_dtype(trial.call.config.dtype)
    for name, value in trial.initial_parameters(0).items():
        if value.dtype != expected:
            raise Failed(f"{name}: got dtype {value.dtype}, expected {expected}")


def documented(trial, seed):
    """Return the initial parameters of that seed. Raises Failed if a shape is not the documented one."""
    return documented_names(trial.initial_parameters(seed), trial.call.config)


def documented_names(came, config):
    """Return the arrays of the documented names. Raises Failed if a shape is not the documented one."""
    shapes = parameter_shapes(config)
    for name, shape in shapes.items():
        expect_shape(name, came.get(name), shape)
    return {name: came[name] for name in shapes}


@decides("INIT-BOUNDS")
def test_bounds(trial):
    for seed in range(3):
        expect_within_bounds(trial.call.config, documented(trial, seed))


def expect_within_bounds(config, parameters):
    """Raise Failed if a value is larger than 1/sqrt(H) in magnitude."""
    bound = bound_of(config)
    largest = bound * (1 + 3 * roundoff(config))  # rounding of the root, its reciprocal and the value
    for name, value in parameters.items():
        value = value.astype(np.float64)
        outside = ~(np.abs(value) <= largest)
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            raise Failed(
                f"{name}{list(index)}: got {value[index]:.9g}, expected at most {bound:.9g} in magnitude "
                f"(1/sqrt(hidden_size)); {outside.sum()} of {value.size} are outside"
            )


@decides("INIT-DISTRIBUTION", draw=new_layers, share=FEW)
def test_distribution(trial):
    config = trial.call.config
    least = min(math.prod(shape) for shape in parameter_shapes(config).values())
    layers = [documented(trial, seed) for seed in range(min(MOST_SEEDS, math.ceil(VALUES / least)))]
    for name in layers[0]:
        values = np.stack([parameters[name] for parameters in layers])
        expect_uniform(name, values, bound_of(config), roundoff(trial.call.config))


@decides("INIT-SAME-SEED")
def test_the_same_seed(trial):
    first = trial.initial_parameters(7)
    trial.initial_parameters(8)
    again = trial.initial_parameters(7)
    for name, value in first.items():
        if name not in again or value.tobytes() != again[name].tobytes():
            raise Failed(f"{name}: the same seed gave other values the second time")


def rows_of_numbers(value, length):
    """Return every sequence of ``length`` neighbouring numbers of an array, as bytes."""
    flat = np.ascontiguousarray(value).reshape(-1)
    if flat.size < length:
        return []
    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(flat.view(f"V{flat.itemsize}"), length))
    return windows.view(f"V{flat.itemsize * length}").reshape(-1).tolist()


def expect_no_copies(trial, parameters):
    """Raise Failed if a short sequence of numbers occurs twice, in one array or in two; the keys name the arrays."""
    length = math.ceil(ROW_BITS / min(-math.log2(roundoff(trial.call.config)), RANDOM_BITS))
    seen: dict[bytes, tuple[str, int]] = {}
    for what, value in parameters.items():
        for position, row in enumerate(rows_of_numbers(value, length)):
            if row in seen:
                other, there = seen[row]
                raise Failed(
                    f"the {length} numbers from number {position} of {what} are those from number {there} of {other}: "
                    "one was drawn as the other, or neither at random"
                )
            seen[row] = what, position


def positive(values):
    return np.asarray(values, np.float64).reshape(-1) > 0


@decides("INIT-INDEPENDENT", draw=new_layers, share=FEW)
def test_parameters_are_independent(trial):
    parameters = documented(trial, 3)
    expect_no_copies(trial, parameters)
    layers = [{name: positive(v) for name, v in documented(trial, seed).items()} for seed in range(20)]
    names = list(parameters)
    for name in names:
        signs = np.stack([layer[name] for layer in layers])
        n = signs.shape[1] // 2 * 2
        expect_frequency(f"{name}, neighbours of the same sign", signs[:, 0:n:2] == signs[:, 1:n:2], 0.5)
    for one, other in pairwise(names):
        both = [layer[one][: layer[other].size] == layer[other][: layer[one].size] for layer in layers]
        expect_frequency(f"{one} and {other}, numbers of the same sign", np.concatenate(both), 0.5)


@decides("INIT-OTHER-SEED", draw=new_layers, share=FEW)
def test_seeds_are_independent(trial):
    seeds = (3, 4, 5, 1003, 2**20 + 3)
    layers = [documented(trial, seed) for seed in seeds]
    labelled = {f"{name} of seed {s}": v for s, layer in zip(seeds, layers, strict=True) for name, v in layer.items()}
    expect_no_copies(trial, labelled)
    signs = [np.concatenate([positive(value) for value in layer.values()]) for layer in layers]
    for seed, other in zip(seeds[1:], signs[1:], strict=True):
        expect_frequency(f"seeds {seeds[0]} and {seed}, numbers of the same sign", signs[0] == other, 0.5)
