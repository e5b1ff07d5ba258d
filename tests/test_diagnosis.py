"""Diagnosis names the right fault; for an unknown one it says so and describes the failing calls."""

import numpy as np
import pytest

from conformance.backends.oracle import OracleBackend
from conformance.backends.torch_eager import TorchCPU
from conformance.diagnosis.words import sentences
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from reference.parameters import GATES
from tests import diagnosing
from tests.diagnosing import diagnosed, numeric_faults, taken_for_unknown
from tests.harness import verdict_of

EVERY = 14


def named(found):
    return [fault["fault"] for fault in found.faults]


@pytest.mark.parametrize("fault", numeric_faults(EVERY), ids=lambda fault: fault.id)
def test_a_fault_of_the_bank_is_named_first(fault):
    found = taken_for_unknown(fault)
    assert named(found)[:1] == [fault.id], sentences(found.faults, found.common)
    assert found.faults[0]["explanation"] == fault.explanation


# The words for an unknown fault: the common condition of failing calls and the wrong results.
UNKNOWN = {
    "lstm-gates-f-i": ("all drawn calls are wrong",),
    "reverse-shares-forward": ("those and no others with two directions",),
    "lengths-averaged": ("those and no others with a sample shorter than T",),
    "rows-direction-major": ("with two directions and num_layers", "of these only h_n"),
    "batches-over-8-slightly-off": ("with N > 8",),
    "final-states-masked": ("those and no others with a sample shorter than T", "of these only h_n"),
}


@pytest.mark.parametrize("id_", UNKNOWN)
def test_an_unknown_fault_is_called_unknown(id_):
    fault = BANK[id_]
    found = taken_for_unknown(fault, exclude=True)
    assert found.faults == []
    claims = fault.build().features
    others = [other for other in BANK.values() if sorted(fault.kinds)[0] in other.kinds and other is not fault]
    unclaimed = [CATALOGUE[other.requirement].unless for other in others]
    known = sum(unless in ("", "kinds", "dtypes") or not claims.claims(unless) for unless in unclaimed)
    assert known < len(others), "a mistake in what is not claimed is none of what is claimed"
    known += len(TORCH_NN.dialects(sorted(fault.kinds)[0], ()))
    assert found.common.startswith(f"none of the {known} known departures gives these numbers; ")
    for part in UNKNOWN[id_]:
        assert part in found.common


def test_two_common_faults_at_once_are_named_as_two():
    backend = diagnosing.lstm_gates_f_i__and__bias_hh_dropped
    found = diagnosed(backend, "lstm", ["FORWARD-EQUATION"])
    assert set(named(found)[0].split("+")) == {"lstm-gates-f-i", "bias-hh-dropped"}
    assert " and at the same time of " in found.faults[0]["explanation"]


class Reordered(TorchCPU):
    """torch with its own arithmetic and the blocks of all parameters in another order."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def reordered(self, config, parameters):
        gates = GATES[config.kind]
        return {
            name: value
            if name.startswith("weight_hr")
            else np.concatenate([np.split(value, len(gates))[self.order.index(gate)] for gate in gates])
            for name, value in parameters.items()
        }

    def layer(self, config, parameters):
        return super().layer(config, self.reordered(config, parameters))

    def cell(self, config, parameters):
        return super().cell(config, self.reordered(config, parameters))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_backend_that_rounds_in_its_own_way_is_recognized(dtype):
    """Torch rounds otherwise than the bank's fault; the tolerance of the diagnosis must allow the difference."""
    found = diagnosed(Reordered("zrn"), "gru", ["FORWARD-EQUATION"], dtype=dtype)
    assert named(found) == ["gru-gates-r-z"]
    assert sentences(found.faults, "")[0].startswith("these are the numbers of a GRU whose blocks are ordered z|r|")


class GradientsReversed(OracleBackend):
    """Half the biases' gradients, with the names in another order than the documented one."""

    def layer(self, config, parameters):
        layer = BANK["gradients-of-biases-halved"].build().layer(config, parameters)
        gradients = layer.gradients
        layer.gradients = lambda *arguments: dict(reversed(gradients(*arguments).items()))
        return layer


def test_gradients_come_in_any_order():
    assert named(diagnosed(GradientsReversed(), "gru", ["GRADIENT-EQUATION"])) == ["gradients-of-biases-halved"]


class SlightlyOff(TorchCPU):
    """torch with weights that no fault of the bank has, in the reverse direction of the layers above the first."""

    def layer(self, config, parameters):
        changed = {
            name: value * value.dtype.type(1.01) if name.startswith("weight_ih_l1_reverse") else value
            for name, value in parameters.items()
        }
        return super().layer(config, changed)


def test_the_first_wrong_element_is_where_the_fault_is():
    (check,) = TORCH_NN.checks_of("FORWARD-EQUATION")
    found = verdict_of(check, SlightlyOff(), "gru")
    assert found.diagnosis == []
    assert "those and no others with two directions and num_layers > 1" in found.common
    assert "the first wrong element of the smallest failing call: layer 1, reverse direction" in found.common


class Failing(TorchCPU):
    """torch that raises from 5 samples on."""

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        forward = layer.forward

        def refusing(x, *others):
            if x.ndim == 3 and x.shape[0 if config.batch_first else 1] > 4:
                raise RuntimeError("the kernel is missing")
            return forward(x, *others)

        layer.forward = refusing
        return layer


def test_calls_that_raise_have_something_in_common_too():
    found = diagnosed(Failing(), "gru", ["FORWARD-EQUATION"])
    assert named(found) == []
    assert "those and no others with N > 4" in found.common
