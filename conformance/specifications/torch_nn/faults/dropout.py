"""Faults of dropout: at the wrong place, of the wrong amount, or with wrong masks."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.cells import EQUATIONS

FAULTS: list[Fault] = []
# These backends claim no other optional feature and mostly one kind: the rest would be the oracle's numbers.
family = Family(FAULTS, "dropout", cells=False, parameters=False, dropout=True, numeric=False,
                features={"dropout"})  # fmt: skip
calls = itertools.count(1)


# --- dropout: where ----------------------------------------------------------------------------------


def thinned(array, probability, seed):
    """Apply a separate dropout to an array."""
    kept = np.random.default_rng([seed, 1]).random(array.shape) >= probability
    factor = 1 / (1 - probability) if probability < 1 else 0
    return (array * kept * factor).astype(array.dtype)


@family(
    "DROPOUT-BETWEEN-LAYERS",
    "a layer in training that drops the last layer's output too",
    "a dropout put behind every layer, the last one too",
    kinds="gru",
)
def dropout_after_the_last_layer():

    def train(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        if layer.config.num_layers == 1:
            return got
        return Result(thinned(got.output, layer.config.dropout, seed), *got[1:])

    return {"train": train}


@family(
    "DROPOUT-SINGLE-LAYER",
    "a layer in training that drops its output where none is above it",
    "dropout=p handed on where PyTorch warns that it has no effect",
    kinds="gru",
)
def dropout_with_one_layer():

    def train(layer, x, h_0, c_0, lengths, seed):
        got = layer.plain_training(x, h_0, c_0, lengths, seed=seed)
        if layer.config.num_layers > 1:
            return got
        return Result(thinned(got.output, layer.config.dropout, seed), *got[1:])

    return {"train": train}


@family(
    "DROPOUT-BETWEEN-LAYERS",
    "a layer in training that drops the input of the first layer",
    "Keras's dropout, which acts on a layer's input",
    kinds="lstm",
)
def dropout_on_the_input():

    def train(layer, x, h_0, c_0, lengths, seed):
        return layer.plain_training(thinned(x, layer.config.dropout, seed), h_0, c_0, lengths, seed=seed)

    return {"train": train}


@family(
    "DROPOUT-BETWEEN-LAYERS",
    "a layer in training that drops what comes from the step before",
    "Keras's recurrent_dropout",
    kinds="rnn_tanh",
)
def dropout_on_the_recurrence():

    def train(layer, x, h_0, c_0, lengths, seed):
        steps = itertools.count()
        kept = EQUATIONS["rnn_tanh"]

        def rnn(x, u, h, c):
            return kept(x, thinned(u, layer.config.dropout, seed + next(steps)), h, c)

        with mock.patch.dict(EQUATIONS, {"rnn_tanh": rnn}):
            return layer.plain_training(x, h_0, c_0, lengths, seed=seed)

    return {"train": train}


@family(
    "DROPOUT-INFERENCE",
    "a layer that drops in inference as in training",
    "a flag for training that is on by default",
    kinds="rnn_relu",
)
def dropout_in_inference():
    return {"forward": lambda layer, x, h_0, c_0, lengths: layer.plain_training(x, h_0, c_0, lengths, seed=0)}


@family(
    "DROPOUT-INFERENCE",
    "a layer that drops in inference after a call in training",
    "train() without eval()",
    kinds="gru",
)
def dropout_left_on():

    def train(layer, x, h_0, c_0, lengths, seed):
        layer.memory["seed"] = seed
        return layer.plain_training(x, h_0, c_0, lengths, seed=seed)

    def forward(layer, x, h_0, c_0, lengths):
        if "seed" in layer.memory:
            return layer.plain_training(x, h_0, c_0, lengths, seed=layer.memory["seed"])
        return layer.plain(x, h_0, c_0, lengths)

    return {"train": train, "forward": forward}


# --- dropout: how much -------------------------------------------------------------------------------


@family(
    "DROPOUT-EQUATION",
    "a layer in training whose kept elements are not scaled",
    "dropout as first published, scaled in inference instead",
    kinds=("gru", "rnn_relu"),
)
def dropout_unscaled():
    return {"dropped": lambda config, x, mask: np.where(mask, x, 0.0)}


@family(
    "DROPOUT-EQUATION",
    "a layer in training whose kept elements are divided by p",
    "p taken for the probability of keeping",
    kinds="lstm",
)
def dropout_scaled_by_p():
    return {"dropped": lambda config, x, mask: np.where(mask, x / (config.dropout or 1), 0.0)}


@family(
    "DROPOUT-ONE",
    "a layer in training that multiplies zero by infinity at dropout=1",
    "a scale 1/(1-p) without the case p = 1",
    kinds="gru",
)
def dropout_divides_by_zero():

    def dropped(config, x, mask):
        with np.errstate(all="ignore"):
            return x * (mask / np.float64(1 - config.dropout))

    return {"dropped": dropped}


@family(
    "DROPOUT-EQUATION",
    "a layer in training whose reverse half is neither dropped nor scaled",
    "a mask of the size of one direction",
    kinds="gru",
)
def dropout_of_one_direction():

    def dropped(config, x, mask):
        scaled = np.where(mask, x / (1 - config.dropout) if config.dropout < 1 else x, 0.0)
        O = config.output_size
        return np.concatenate([scaled[..., :O], x[..., O:]], axis=-1)

    return {"dropped": dropped}


# --- dropout: the distribution of the masks ----------------------------------------------------------


def redrawn(masks, probability, seed):
    return list(np.random.default_rng(seed).random(np.shape(masks)) >= probability)


@family(
    "DROPOUT-ZERO",
    "a layer in training for which a dropout of 0 is one half",
    "0 taken for not given, and that for a default",
    kinds="gru",
)
def dropout_zero_is_half():
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout or 0.5, seed)}


@family(
    "DROPOUT-RATE",
    "a layer in training that keeps an element with probability p",
    "TensorFlow 1's keep_prob",
    kinds="gru",
)
def dropout_keeps_with_p():
    return {"masks": lambda layer, masks, seed: [~mask for mask in masks]}


@family(
    "DROPOUT-RATE",
    "a layer in training whose probability is rounded to eighths",
    "a probability in a few bits",
    kinds="rnn_tanh",
)
def dropout_rate_in_eighths():
    return {"masks": lambda layer, masks, seed: redrawn(masks, round(layer.config.dropout * 8) / 8, seed)}


@family(
    "DROPOUT-RATE", "a layer in training that keeps everything above the second layer", "masks for one gap", kinds="gru"
)
def dropout_in_the_first_gap_only():
    return {"masks": lambda layer, masks, seed: [masks[0], *(np.ones_like(mask) for mask in masks[1:])]}


@family(
    "DROPOUT-FRESH-STEPS",
    "a layer in training with one mask for all steps",
    "variational dropout (Gal and Ghahramani), as Keras's recurrent layers have it",
    kinds="gru",
)
def dropout_same_each_step():
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[:1], mask.shape) for mask in masks]}


@family(
    "DROPOUT-FRESH-SAMPLES",
    "a layer in training with one mask for all samples",
    "a mask broadcast over the batch",
    kinds="rnn_relu",
)
def dropout_same_for_all_samples():
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[:, :1], mask.shape) for mask in masks]}


@family(
    "DROPOUT-FRESH-UNITS",
    "a layer in training that drops a step of a sample as a whole",
    "Dropout1d, which drops channels",
    kinds="gru",
)
def dropout_of_whole_vectors():
    return {"masks": lambda layer, masks, seed: [np.broadcast_to(mask[..., :1], mask.shape) for mask in masks]}


@family(
    "DROPOUT-FRESH-LAYERS",
    "a layer in training with one mask for all layers",
    "one generator begun anew for each layer",
    kinds="lstm",
)
def dropout_same_in_each_layer():
    return {"masks": lambda layer, masks, seed: [masks[0]] * len(masks)}


@family(
    "DROPOUT-FRESH-DIRECTIONS",
    "a layer in training whose reverse half is dropped as the forward half is",
    "a mask of one direction used for both",
    kinds="gru",
)
def dropout_same_in_both_directions():

    def masks(layer, masks, seed):
        D, O = layer.config.directions, layer.config.output_size
        return [np.concatenate([mask[..., :O]] * D, axis=-1) for mask in masks]

    return {"masks": masks}


@family(
    "DROPOUT-OTHER-SEED",
    "a layer in training whose masks are the same for every seed",
    "a constant seed left in",
    kinds="gru",
)
def dropout_seed_ignored():
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout, 0)}


@family(
    "DROPOUT-SAME-SEED",
    "a layer in training whose masks go on from call to call, whatever the seed",
    "a global generator",
    kinds="gru",
)
def dropout_never_the_same():
    return {"masks": lambda layer, masks, seed: redrawn(masks, layer.config.dropout, next(calls))}
