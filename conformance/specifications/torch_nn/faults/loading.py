"""Faults of exchanged parameters: what was packed, fused or cached when the layer was built stays in use."""

from __future__ import annotations

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault

FAULTS: list[Fault] = []
family = Family(FAULTS, "loading", numeric=False, parameters_set=True)


@family(
    "LOAD-EVERY",
    "a layer that keeps the parameters of its first call after others were loaded",
    "weights packed at the first call",
)
def loaded_after_a_call_ignored():
    def forward(layer, x, h_0, c_0, lengths):
        layer.memory["called"] = True
        return layer.plain(x, h_0, c_0, lengths)

    def renew(layer, parameters):
        used, inner = layer.given, layer.inner
        layer.plain_load(parameters)
        if layer.memory.get("called"):
            layer.given, layer.inner = used, inner

    return {"forward": forward, "renew": renew, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "LOAD-ONE",
    "a layer that renews what it packed only if an input weight was exchanged",
    "a cache whose key is the first tensor",
)
def renewed_only_with_the_first_weight():
    def renew(layer, parameters):
        name, *_ = parameters
        same, used, inner = np.array_equal(parameters[name], layer.given[name]), layer.given, layer.inner
        layer.plain_load(parameters)
        if same:
            layer.given, layer.inner = used, inner

    return {"renew": renew}


@family(
    "LOAD-BACK",
    "a layer that takes its first parameters for already loaded when they are loaded again",
    "a checksum of the parameters at construction that is compared, and never renewed",
)
def first_parameters_never_loaded_again():
    def renew(layer, parameters):
        first = layer.memory.setdefault("first", layer.given)
        if not all(np.array_equal(parameters[name], value) for name, value in first.items()):
            layer.plain_load(parameters)

    return {"renew": renew}


@family(
    "LOAD-OWN",
    "a layer that uses the very arrays that were loaded",
    "a pointer kept in place of a copy",
)
def loaded_arrays_kept():
    def forward(layer, x, h_0, c_0, lengths):
        if "theirs" in layer.memory:
            layer.plain_load(layer.memory["theirs"])
        return layer.plain(x, h_0, c_0, lengths)

    def renew(layer, parameters):
        layer.plain_load(parameters)
        layer.memory["theirs"] = parameters

    return {"forward": forward, "renew": renew, "gradients": lambda layer, arguments: layer.backward(arguments)}


@family(
    "LOAD-GRADIENTS",
    "gradients at the parameters of the first backward call after others were loaded",
    "a transposed copy of the weights made for the backward pass once",
)
def gradients_at_the_first_parameters():
    def gradients(layer, arguments):
        first = layer.memory.setdefault("first", layer.inner)
        given, layer.inner = layer.inner, first
        try:
            return layer.backward(arguments)
        finally:
            layer.inner = given

    return {"gradients": gradients}


@family(
    "REFUSE-LOAD",
    "a layer that keeps its own parameters for those that are missing when others are loaded",
    "load_state_dict with strict=False",
)
def missing_parameters_kept_when_loading():
    def renew(layer, parameters):
        layer.plain_load(layer._parameters | {name: a for name, a in parameters.items() if name in layer._parameters})

    return {"renew": renew}
