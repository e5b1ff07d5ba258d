"""PyTorch's layers torch.nn.RNN, LSTM and GRU and their cells, as one value."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from conformance.backend import Backend, Features
from conformance.backends.oracle import OracleBackend
from conformance.engine.specification import Bridge, Specification
from conformance.onnx.features import OnnxFeatures
from conformance.onnx.layers import layers_of
from conformance.onnx.runtime import OnnxRuntime
from conformance.specifications.torch_nn.calls import CALL_FEATURES
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.forms import FORMS
from conformance.specifications.torch_nn.large import LISTS
from conformance.specifications.torch_nn.optional_forms import OPTIONAL_FORMS
from conformance.specifications.torch_nn.partial import speaks
from conformance.specifications.torch_nn.plans import planned
from conformance.specifications.torch_nn.strategies import FLAGS
from reference.catalogue import Requirement
from reference.config import DTYPES


def _faults(kind: str) -> Sequence[Any]:
    from conformance.specifications.torch_nn.faults import faults  # many modules, needed only after a failure

    return faults(kind)


def _dialects(kind: str, claimed: Sequence[str]) -> Sequence[Any]:
    from conformance.specifications.torch_nn.faults.bank import dialect_faults

    return [*dialect_faults(kind, claimed)]


def _claim_of(fault: str, kind: str) -> str:
    from conformance.specifications.torch_nn.faults.bank import dialects_of

    names = dialects_of(fault)
    if not names:
        return ""
    value = ", ".join(f'"{name}"' for name in names)
    claim = f'dialects={{"{kind}": {value if len(names) == 1 else f"({value})"}}}'
    return f"claim {claim} if the backend's own documentation has this equation"


def _compose(a: Any, b: Any) -> Backend:
    from conformance.specifications.torch_nn.faults import compose

    return compose(a, b)


def _drawn_from(features: Features) -> Hashable:
    claims = tuple(features.claims(name) for name in sorted(CALL_FEATURES))
    limits = features.configurations, features.fixed_shapes, features.most_steps
    sizes = features.hidden_sizes, features.input_sizes, features.boundaries
    return claims, limits, sizes, features.cotangents


def _applies(claims: Features, requirement: Requirement, kind: str) -> bool:
    of_cells = "cells" in requirement.needs or requirement.unless == "cells"
    calls = LISTS.get(requirement.id)
    if requirement.id == "STATE-FLAGS-INDEPENDENT" and not any(map(claims.claims, FLAGS)):
        return False
    # The numbers of a case are PyTorch's; a case that refuses alone, which needs one dtype, has none.
    if requirement.area == "cases" and requirement.every_dtype and set(requirement.kinds) & set(claims.dialects):
        return False
    return (of_cells or claims.layers) and (calls is None or bool(calls(claims))) and speaks(claims, requirement, kind)


SPECIFICATION = TORCH_NN = Specification(
    name="torch.nn",
    documentation="https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers",
    catalogue=CATALOGUE,
    dtypes=DTYPES,
    features=Features,
    call_features=CALL_FEATURES,
    forms=FORMS + OPTIONAL_FORMS,
    suite=f"{__name__}.suite",
    adapter=Backend,
    bridges=(Bridge(OnnxRuntime, OnnxFeatures, layers_of),),
    oracle=OracleBackend,
    speaks_to=_applies,
    faults=_faults,
    dialects=_dialects,
    claim_of=_claim_of,
    compose=_compose,
    drawn_from=_drawn_from,
    planned=planned,
    random_areas=frozenset({"dropout", "initialization"}),
    undiagnosed_areas=frozenset({"torch"}),
    # means over the reports of seven backends
    cost_of_area={
        "shapes": 0.6,
        "state": 0.9,
        "parameters": 1.4,
        "numerics": 1.5,
        "lengths": 1.3,
        "projection": 3.7,
        "cells": 0.5,
        "gradients": 1.5,
        "dropout": 2.3,
        "initialization": 0.8,
        "refusals": 0.3,
        "robustness": 1.4,
        "torch": 1.5,
        "cases": 0.6,
    },
    cost_of_kind={"rnn_tanh": 0.8, "rnn_relu": 0.6, "lstm": 1.4, "gru": 1.0},
)
