"""Gradients of cells."""

import numpy as np

from conformance.backwards import CELL_COTANGENTS
from conformance.engine.compare import Failed
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import (
    cell_calls_of_unclaimed_cotangents,
    cell_gradient_calls,
)
from conformance.specifications.torch_nn.suite.test_unclaimed import refused_or_right, said_cotangents


def gradient(requirement, **options):
    """Mark a test of calls for a cell's gradients with the requirement that it decides."""
    return decides(requirement, **({"draw": cell_gradient_calls} | options))


@gradient("CELL-GRADIENT-EQUATION")
def test_gradients_of_a_cell(trial):
    trial.agrees()


@gradient("CELL-GRADIENT-NAMES")
def test_names_and_dtypes(trial):
    expected = list(trial.call.result_shapes)
    returned = trial.returned
    if sorted(returned) != sorted(expected):
        raise Failed(f"the gradients are named {', '.join(returned)}; expected {', '.join(expected)}")
    for name, array in returned.items():
        if array is not None and array.dtype != trial.call.x.dtype:
            raise Failed(f"the gradient of {name}: got dtype {array.dtype}, expected {trial.call.x.dtype}")


@gradient("CELL-GRADIENT-NONE-ZEROS", when=lambda call: len(call.cotangents) == 1 and call.config.kind == "lstm")
def test_an_omitted_cotangent_is_zeros(trial):
    shape = (*trial.call.x.shape[:-1], trial.call.config.hidden_size)
    zeros = {n: np.zeros(shape, trial.call.x.dtype) for n in CELL_COTANGENTS if n not in trial.call.cotangents}
    trial.same(trial.run(**zeros), other="with zeros for the omitted cotangent")


@gradient("UNCLAIMED-CELL-GRADIENTS")
def test_unclaimed_gradients_of_a_cell(trial):
    refused_or_right(trial, "cell_gradients")


@gradient("UNCLAIMED-CELL-COTANGENTS", draw=cell_calls_of_unclaimed_cotangents)
def test_unclaimed_cotangents_of_a_cell(trial):
    refused_or_right(trial, said_cotangents(trial))
