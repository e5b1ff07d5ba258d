"""Faults of caches and workspaces whose key says too little, between layers and between calls."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import samples_of, steps_of
from conformance.specifications.torch_nn.faults.extents import cut_samples

FAULTS: list[Fault] = []
family = Family(FAULTS, "caches", numeric=False)


@family(
    "STATE-FLAGS-INDEPENDENT",
    "a layer without biases that uses the biases of the last layer of its sizes that had some",
    "packed weights cached by the sizes alone",
)
def biases_of_another_layer_of_these_sizes():
    packed: dict = {}

    def forward(layer, x, h_0, c_0, lengths):
        config = layer.config
        key = (config.kind, config.input_size, config.hidden_size, config.proj_size, config.num_layers, config.dtype,
               config.bidirectional)  # fmt: skip
        if config.bias:
            packed[key] = {name: a for name, a in layer.given.items() if name.startswith("bias")}
        elif key in packed:
            return layer.plain_of(replace(config, bias=True), in_order(layer.given, packed[key]), x, h_0, c_0, lengths)
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward, "gradients": lambda layer, arguments: layer.backward(arguments)}


def in_order(weights, biases):
    """Return all parameters in the documented order."""
    every = weights | biases
    stems = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    suffixes = [name.removeprefix("weight_ih") for name in weights if name.startswith("weight_ih")]
    return {stem + suffix: every[stem + suffix] for suffix in suffixes for stem in stems if stem + suffix in every}


@family(
    "STATE-SHAPES-IN-TURN",
    "a layer that computes as many samples as its first call had, the others zero",
    "a workspace of the first call's size",
)
def samples_of_the_first_call():
    def forward(layer, x, h_0, c_0, lengths):
        most = layer.memory.setdefault("most", samples_of(layer, x))
        return cut_samples(layer, layer.plain(x, h_0, c_0, lengths), most)

    return {"forward": forward, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "PARAM-KEPT",
    "a layer whose biases are read back added up after a call",
    "biases that are fused in place at the first call",
)
def biases_fused_in_place():
    def forward(layer, x, h_0, c_0, lengths):
        layer.memory["called"] = True
        return layer.plain(x, h_0, c_0, lengths)

    def kept(layer, read):
        if not layer.memory.get("called"):
            return read
        fused = {name: value + read[name.replace("bias_ih", "bias_hh")] for name, value in read.items()
                 if name.startswith("bias_ih")}  # fmt: skip
        zeros = {name: np.zeros_like(value) for name, value in read.items() if name.startswith("bias_hh")}
        return read | fused | zeros

    return {"forward": forward, "kept": kept, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "DROPOUT-BEFORE-INFERENCE",
    "a layer whose first call in inference drops units if a call in training came before",
    "a kernel that is chosen at the first call",
    features=("multilayer",),
    dropout=True,
)
def first_inference_as_in_training():
    def forward(layer, x, h_0, c_0, lengths):
        trained, inferred = (layer.memory.get(name) for name in ("trained", "inferred"))
        layer.memory["inferred"] = True
        if trained is not None and not inferred:
            return layer.plain_training(x, h_0, c_0, lengths, seed=trained)
        return layer.plain(x, h_0, c_0, lengths)

    def train(layer, x, h_0, c_0, lengths, seed):
        layer.memory["trained"] = seed
        return layer.plain_training(x, h_0, c_0, lengths, seed=seed)

    return {"forward": forward, "train": train, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "ROBUST-THREADS-OVERLAP",
    "a layer of 32 units and more whose calls of more than 32 steps share a workspace",
    "a scratch buffer for large calls that is a member",
)
def one_workspace_for_large_calls():
    def forward(layer, x, h_0, c_0, lengths):
        if steps_of(layer, x) > 32 and layer.config.hidden_size >= 32:
            layer.memory["x"] = x
            time.sleep(0.002)
            x = layer.memory["x"] if layer.memory["x"].shape == x.shape else x
        return layer.plain(x, h_0, c_0, lengths)

    return {"forward": forward, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "LENGTHS-INITIAL",
    "a layer that takes states of zeros where lengths are given",
    "a packed input whose states are not sorted, and left out",
    features=("lengths", "initial_state"),
    numeric=True,
)
def given_states_ignored_with_lengths():
    def arguments(layer, x, h_0, c_0, lengths):
        if lengths is not None and h_0 is not None:
            h_0, c_0 = np.zeros_like(h_0), None if c_0 is None else np.zeros_like(c_0)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@family(
    "LENGTHS-OMITTED",
    "a layer whose omitted states are ones where lengths are given",
    "a workspace that is not cleared on the path of packed input",
    features=("lengths",),
    numeric=True,
)
def omitted_states_are_ones_with_lengths():
    def arguments(layer, x, h_0, c_0, lengths):
        if lengths is not None and h_0 is None:
            config = layer.config
            rows = config.num_layers * config.directions
            h_0 = np.ones((rows, samples_of(layer, x), config.output_size), x.dtype)
            c_0 = np.ones((rows, samples_of(layer, x), config.hidden_size), x.dtype) if config.kind == "lstm" else None
        return x, h_0, c_0, lengths

    return {"arguments": arguments}
