"""Implementations that are wrong, and one that is right, in what they draw at random: dropout and initialization.

They claim nothing else that is optional and mostly one kind, as the rest of them is the oracle.
"""

from __future__ import annotations

import itertools

import numpy as np

from conformance import Result
from reference import layers
from reference.cells import EQUATIONS
from reference.parameters import parameter_shapes
from tests.implementations import right, wrong

calls = itertools.count(1)


def drops(kinds=("gru",)):
    """Mark a wrong implementation of dropout."""
    return wrong(kinds=kinds, cells=False, parameters=False, dropout=True)


def initializes(kinds=("rnn_tanh",)):
    """Mark a wrong implementation of initialization."""
    return wrong(kinds=kinds, cells=False, parameters=False, initialization=True)


# --- a right one -------------------------------------------------------------------------------------


@right(cells=False, parameters=False, dropout=True, initialization=True)
def training_in_float32():
    """Masks are float32 factors, everything is float32, and the generator is another one."""

    def train(layer, x, h_0, c_0, lengths, seed):
        weights = {name: value.astype(np.float32) for name, value in layer.given.items()}
        return layer._rounded(layers.evaluate(layer.config, weights, x, h_0, c_0, lengths, layer.masks(x, seed)))

    def masks(layer, masks, seed):
        generator = np.random.Generator(np.random.MT19937(seed))
        return [generator.random(mask.shape, np.float32) >= np.float32(layer.config.dropout) for mask in masks]

    def dropped(config, x, mask):
        factor = np.float32(1 / (1 - config.dropout) if config.dropout < 1 else 0)
        return x * (mask * factor)

    def initial(config, given, seed):
        generator = np.random.Generator(np.random.MT19937(seed))
        bound = np.float32(config.hidden_size**-0.5)
        return {name: generator.random(v.shape, np.float32) * (2 * bound) - bound for name, v in given.items()}

    def training(layer, *arguments):
        from tests.implementations import dropping

        with dropping(dropped, layer.config):
            return train(layer, *arguments)

    return {"train": training, "masks": masks, "initial": initial}


# --- dropout: where ----------------------------------------------------------------------------------


def thinned(array, probability, seed):
    """The array after a dropout of its own."""
    kept = np.random.default_rng([seed, 1]).random(array.shape) >= probability
    factor = 1 / (1 - probability) if probability < 1 else 0
    return (array * kept * factor).astype(array.dtype)


@drops()
def dropout_after_the_last_layer():
    """The last layer's output is dropped too."""

    def train(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        if layer.config.num_layers == 1:
            return got
        return Result(thinned(got.output, layer.config.dropout, seed), *got[1:])

    return {"train": train}


@drops()
def dropout_with_one_layer():
    """A layer that has none above it drops its output."""

    def train(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        if layer.config.num_layers > 1:
            return got
        return Result(thinned(got.output, layer.config.dropout, seed), *got[1:])

    return {"train": train}


@drops(("lstm",))
def dropout_on_the_input():
    """The input of the first layer is dropped too."""

    def train(layer, x, h_0, c_0, lengths, seed):
        return layer.plain_training(thinned(x, layer.config.dropout, seed), h_0, c_0, lengths, seed=seed)

    return {"train": train}


@drops(("rnn_tanh",))
def dropout_on_the_recurrence():
    """What comes from the step before is dropped too."""

    def train(layer, x, h_0, c_0, lengths, seed):
        from tests.implementations import equations

        steps = itertools.count()
        kept = EQUATIONS["rnn_tanh"]

        def rnn(x, u, h, c):
            return kept(x, thinned(u, layer.config.dropout, seed + next(steps)), h, c)

        with equations({"rnn_tanh": rnn}):
            return layer.plain_training(x, h_0, c_0, lengths, seed=seed)

    return {"train": train}


@drops(("rnn_relu",))
def dropout_in_inference():
    """Inference drops as training does."""
    return {"forward": lambda layer, x, h_0, c_0, lengths: layer.plain_training(x, h_0, c_0, lengths, seed=0)}


@drops()
def dropout_left_on():
    """Inference drops after a call in training."""

    def train(layer, x, h_0, c_0, lengths, seed):
        layer.memory["seed"] = seed
        return layer.plain_training(x, h_0, c_0, lengths, seed=seed)

    def forward(layer, x, h_0, c_0, lengths):
        if "seed" in layer.memory:
            return layer.plain_training(x, h_0, c_0, lengths, seed=layer.memory["seed"])
        return layer.plain(x, h_0, c_0, lengths)

    return {"train": train, "forward": forward}


# --- dropout: what -----------------------------------------------------------------------------------


@drops(("gru", "rnn_relu"))
def dropout_unscaled():
    """What is kept is not scaled."""
    return {"dropped": lambda config, x, mask: np.where(mask, x, 0.0)}


@drops(("lstm",))
def dropout_scaled_by_p():
    """What is kept is divided by p."""
    return {"dropped": lambda config, x, mask: np.where(mask, x / (config.dropout or 1), 0.0)}


@drops()
def dropout_divides_by_zero():
    """With dropout=1 what is dropped is zero times infinity."""

    def dropped(config, x, mask):
        with np.errstate(all="ignore"):
            return x * (mask / np.float64(1 - config.dropout))

    return {"dropped": dropped}


@drops()
def dropout_of_one_direction():
    """The reverse half is neither dropped nor scaled."""

    def dropped(config, x, mask):
        scaled = np.where(mask, x / (1 - config.dropout) if config.dropout < 1 else x, 0.0)
        O = config.output_size
        return np.concatenate([scaled[..., :O], x[..., O:]], axis=-1)

    return {"dropped": dropped}


# --- dropout: what the masks are drawn from ----------------------------------------------------------


def redrawn(masks, probability, seed):
    return list(np.random.default_rng(seed).random(np.shape(masks)) >= probability)


@drops()
def dropout_zero_is_half():
    """A dropout of 0 is taken for none given, and that for one half."""
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout or 0.5, seed)}


@drops()
def dropout_keeps_with_p():
    """An element is kept with probability p."""
    return {"masks": lambda layer, masks, seed: [~mask for mask in masks]}


@drops(("rnn_tanh",))
def dropout_rate_in_eighths():
    """The probability is rounded to eighths."""
    return {"masks": lambda layer, masks, seed: redrawn(masks, round(layer.config.dropout * 8) / 8, seed)}


@drops()
def dropout_in_the_first_gap_only():
    """Above the second layer everything is kept."""
    return {"masks": lambda layer, masks, seed: [masks[0], *(np.ones_like(mask) for mask in masks[1:])]}


@drops()
def dropout_same_each_step():
    """One mask for all steps."""
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[:1], mask.shape) for mask in masks]}


@drops(("rnn_relu",))
def dropout_same_for_all_samples():
    """One mask for all samples."""
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[:, :1], mask.shape) for mask in masks]}


@drops()
def dropout_of_whole_vectors():
    """A step of a sample is dropped as a whole."""
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[..., :1], mask.shape) for mask in masks]}


@drops(("lstm",))
def dropout_same_in_each_layer():
    """One mask for all layers."""
    return {"masks": lambda layer, masks, seed: [masks[0]] * len(masks)}


@drops()
def dropout_same_in_both_directions():
    """The reverse half is dropped as the forward half is."""

    def masks(layer, masks, seed):
        D, O = layer.config.directions, layer.config.output_size
        return [np.concatenate([mask[..., :O]] * D, axis=-1) for mask in masks]

    return {"masks": masks}


@drops()
def dropout_seed_ignored():
    """Every seed gives the same masks."""
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout, 0)}


@drops()
def dropout_never_the_same():
    """The masks go on from call to call, whatever the seed."""
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout, next(calls))}


# --- initialization ----------------------------------------------------------------------------------


def redraws(draw, of=""):
    """Parameters whose name starts so drawn anew by ``draw(generator, config, shape)``."""

    def initial(config, given, seed):
        rng = np.random.default_rng([seed, 1])
        return {
            name: draw(rng, config, value.shape).astype(value.dtype) if name.startswith(of) else value
            for name, value in given.items()
        }

    return {"initial": initial}


@initializes()
def initial_names_sorted():
    """The parameters come in the order of the alphabet."""
    return {"initial": lambda config, given, seed: dict(sorted(given.items()))}


@initializes()
def initial_weights_transposed():
    """Weights have a column for each unit."""
    return {"initial": lambda config, given, seed: {name: value.T for name, value in given.items()}}


@initializes()
def initial_values_in_float64():
    """Values are float64."""
    return {"initial": lambda config, given, seed: {name: value.astype(np.float64) for name, value in given.items()}}


@initializes()
def initial_normal():
    """Values are normal, of the documented variance."""
    return redraws(lambda rng, config, shape: rng.normal(0, (3 * config.hidden_size) ** -0.5, shape))


@initializes()
def initial_normal_clipped():
    """Values are normal, of the documented variance, drawn again where they are beyond the bound."""

    def draw(rng, config, shape):
        values = rng.normal(0, 3**-0.5, shape)
        while (outside := np.abs(values) > 1).any():
            values = np.where(outside, rng.normal(0, 3**-0.5, shape), values)
        return values * config.hidden_size**-0.5

    return redraws(draw)


@initializes()
def initial_bound_one_over_h():
    """The bound is 1/H."""
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) / config.hidden_size)


@initializes()
def initial_bound_of_the_columns():
    """The bound of a weight is one over the root of its columns."""
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * shape[-1] ** -0.5, "weight")


@initializes(("gru",))
def initial_bound_of_glorot():
    """The bound of a weight is the root of six over its rows and columns."""
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * (6 / sum(shape)) ** 0.5, "weight")


@initializes(("lstm",))
def initial_bound_of_the_projection():
    """The bound comes from proj_size where there is one."""
    return redraws(lambda rng, config, shape: rng.uniform(-1, 1, shape) * config.output_size**-0.5)


@initializes()
def initial_values_positive():
    """Values are between 0 and the bound."""
    return {"initial": lambda config, given, seed: {name: np.abs(value) for name, value in given.items()}}


@initializes()
def initial_zero_biases():
    """Biases are zero."""
    return redraws(lambda rng, config, shape: np.zeros(shape), "bias")


def forget_bias(to):
    def initial(config, given, seed):
        H = config.hidden_size
        for name, value in given.items():
            if name.startswith("bias_ih"):
                value[H : 2 * H] = to
        return given

    return {"initial": initial}


@initializes(("lstm",))
def initial_forget_bias_one():
    """The forget gate's bias is one."""
    return forget_bias(1)


@initializes(("lstm",))
def initial_forget_bias_zero():
    """The forget gate's bias is zero."""
    return forget_bias(0)


def from_bias_ih(change):
    def initial(config, given, seed):
        others = {name: given[name.replace("_hh", "_ih")] for name in given if name.startswith("bias_hh")}
        return given | {name: change(value) for name, value in others.items()}

    return {"initial": initial}


@initializes()
def initial_biases_equal():
    """The two biases are the same numbers."""
    return from_bias_ih(np.copy)


@initializes()
def initial_biases_opposite():
    """The two biases add to zero."""
    return from_bias_ih(np.negative)


def uniform(rng, config, shape):
    bound = config.hidden_size**-0.5
    return rng.uniform(-bound, bound, shape).astype(config.dtype)


@initializes()
def initial_generator_begun_again():
    """Every parameter is drawn from a generator begun with the seed."""

    def initial(config, given, seed):
        return {name: uniform(np.random.default_rng(seed), config, value.shape) for name, value in given.items()}

    return {"initial": initial}


@initializes()
def initial_seed_plus_position():
    """A parameter's generator is begun with the sum of the seed and its place in the list."""

    def initial(config, given, seed):
        shapes = parameter_shapes(config).items()
        return {
            name: uniform(np.random.default_rng(seed + place), config, shape)
            for place, (name, shape) in enumerate(shapes)
        }

    return {"initial": initial}


@initializes()
def initial_seed_ignored():
    """Every seed gives the same parameters."""

    def initial(config, given, seed):
        rng = np.random.default_rng(0)
        return {name: uniform(rng, config, value.shape) for name, value in given.items()}

    return {"initial": initial}


@initializes()
def initial_values_never_the_same():
    """The generator goes on from layer to layer, whatever the seed."""

    def initial(config, given, seed):
        rng = np.random.default_rng([next(calls), 2])
        return {name: uniform(rng, config, value.shape) for name, value in given.items()}

    return {"initial": initial}
