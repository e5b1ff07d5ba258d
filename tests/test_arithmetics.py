"""Right implementations in strangers' arithmetic pass the suite, and the bank's faults fail in each arithmetic."""

import numpy as np
import pytest

from conformance.specifications.torch_nn.faults import BANK
from reference import cells
from tests import arithmetics
from tests.arithmetics import ARITHMETICS, Single, arithmetic_of
from tests.harness import deciding, failures
from tests.test_faults import example

FOREIGN = [name for name, arithmetic in ARITHMETICS.items() if arithmetic]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_right_implementation_conforms_in_each_arithmetic(name):
    assert failures(arithmetic_of(None, name)) == {}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("id_", ["lstm-gates-f-i", "weights-in-float16", "gradients-of-biases-halved"])
def test_a_fault_fails_in_each_arithmetic(id_, name):
    fault = BANK[id_]
    checks = [check for check in deciding(fault) if check.requirement == fault.requirement]
    assert fault.requirement in failures(arithmetic_of(fault, name), checks=checks)


def numbers(backend, kind, dtype):
    """Return all results of a small stack: of forward, of the gradients and of a step."""
    config, parameters, (x, *states, lengths), cotangents = example(kind, dtype)
    layer = backend.layer(config, parameters)
    results = [*layer.forward(x, *states, lengths), *layer.gradients(x, *states, lengths, *cotangents).values()]
    return [a for a in results if a is not None]


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh"])
def test_each_arithmetic_rounds_in_its_own_way(kind):
    every = {name: numbers(arithmetic_of(None, name), kind, "float32") for name in ARITHMETICS}
    assert all(type(a) is np.ndarray and a.dtype == np.float32 for results in every.values() for a in results)
    for name in FOREIGN:
        for other in set(ARITHMETICS) - {name}:
            mine, its = (np.concatenate([a.ravel() for a in every[n]]) for n in (name, other))
            np.testing.assert_allclose(mine, its, rtol=1e-4, atol=1e-5)
            assert np.mean(mine != its) > 0.4


def test_other_dtypes_stay_as_they_are():
    for mine, its in zip(*(numbers(arithmetic_of(None, n), "gru", "float64") for n in ("coarse", "oracle")),
                         strict=True):  # fmt: skip
        np.testing.assert_array_equal(mine, its)


def test_the_oracle_has_its_own_arithmetic_again_after_a_call():
    code = cells.σ.__code__
    numbers(arithmetic_of(BANK["lstm-forget-bias-one"], "float32"), "lstm", "float32")
    assert cells.σ.__code__ is code
    assert cells.σ(np.array([-40.0])) == 0


def test_the_arithmetic_lasts_through_every_operation_of_the_oracle():
    (a,) = ARITHMETICS["float32"].of(np.ones((2, 4)))
    mixed = [a + np.ones((2, 4)), np.zeros((2, 4)) @ a.T, np.where([[True], [False]], a, 0.0), np.stack([a, a]),
             np.concatenate([a, a]), np.sum(a, axis=0), np.tanh(a), np.maximum(a, 0), np.swapaxes(a, 0, 1)]  # fmt: skip
    assert all(isinstance(b, Single) and b.dtype == np.float32 for b in mixed)


def test_a_fault_in_an_arithmetic_has_a_name_on_the_command_line():
    assert arithmetics.lstm_gates_f_i__in__float32().name == "lstm-gates-f-i in float32"
    assert arithmetics.right__in__float64_sums().name == "reference in float64-sums"
    with pytest.raises(AttributeError):
        _ = arithmetics.lstm_gates_f_i__in__float8
