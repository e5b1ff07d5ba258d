"""The tolerance of dynamic quantization: implementations by other hands pass, and coarser or wrong ones fail."""

import numpy as np
import pytest

from conformance import specifications
from conformance.engine.drawing import Plans
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.strategies import layers
from reference.layers import evaluate
from reference.precision import ARITHMETICS, allowed, replica_counts, spreads
from tests import quantized_implementation as quantized
from tests.test_isolation import failures, report_of

# What needs neither refusals of arguments nor NaN, which no grid has.
LAWS = (
    "FORWARD-EQUATION",
    "SATURATION-EQUATION",
    "STATE-SAMPLE-ALONE",
    "STATE-CHUNKS",
    "PARAM-BIASES-ADD",
)


def margins(backend, examples=150):
    """Yield the largest error of each drawn call as a fraction of what is allowed."""
    count, plans = 0, Plans(5)
    while count < examples:
        for plan in plans.block(TORCH_NN, layers, backend.features, count):
            for kind in ("lstm", "gru"):
                call = plan.build(kind, "float32")
                if call.x.size == 0 or call.config.hidden_size > 33:
                    continue
                parameters = {n: a.astype(float) for n, a in call.parameters.items()}
                states = [call.h_0, call.c_0]
                arrays = [None if a is None else a.astype(float) for a in (call.x, *states)]
                arithmetic = backend.features.arithmetic(kind, "float32")

                def outputs(*given, call=call, parameters=parameters):
                    return [evaluate(call.config, parameters, *given).output]

                want = outputs(*arrays)
                got = backend.layer(call.config, call.parameters).forward(call.x, *states).output
                for replicas in replica_counts(arithmetic)[1:]:  # as the suite does
                    spread = spreads(outputs, arrays, want, arithmetic, replicas)[0]
                    off = np.abs(got - want[0]) / np.maximum(allowed(spread, arithmetic), 1e-12)
                    if off.max() <= 1:
                        break
                count += 1
                yield float(off.max())


@pytest.mark.parametrize("build", [quantized.ByMatrix, quantized.ByRow])
def test_an_implementation_by_another_hand_is_within_the_tolerance_and_not_far_below(build):
    found = list(margins(build()))
    assert max(found) < 1
    assert np.median(found) > 0.05


def test_torchs_own_quantized_layers_are():
    pytest.importorskip("torch")
    found = list(margins(specifications.backend("torch-quantized")))
    assert max(found) < 1
    assert np.median(found) > 0.05


@pytest.mark.parametrize("build", [quantized.MatrixAsRow, quantized.Coarse, quantized.Undeclared])
def test_a_coarser_quantization_than_claimed_is_not(build):
    assert any(margin > 1.5 for margin in margins(build()))


def told(name, folder, *options):
    """Return the failed requirements of one backend, by their items."""
    backend = f"tests.quantized_implementation:{name}"
    return failures(report_of(folder, "--backend", backend, "-k", " or ".join(LAWS), *options)[2])


@pytest.mark.parametrize("name", ["ByMatrix", "ByRow"])
def test_right_ones_conform(name, tmp_path):
    assert told(name, tmp_path) == {}


# Which law of these breaks first depends on the numbers; what builds on it is blocked.
@pytest.mark.parametrize("name", ["Coarse", "Undeclared"])
def test_coarser_ones_fail(name, tmp_path):
    assert told(name, tmp_path, "--diagnosis", "off")


def test_wrong_gates_fail(tmp_path):
    assert "FORWARD-EQUATION" in told("WrongGates", tmp_path)


def test_zeros_are_exact():
    def products(x):
        return [x @ np.ones((3, 2))]

    x = np.zeros((4, 3))
    assert not spreads(products, [x], products(x), ARITHMETICS["int8-dynamic"])[0].any()


def test_errors_that_cancel_on_one_grid_do_not_on_all():
    """Both numbers and both weights are equally far from their grid's multiples with 127 and 254 steps."""
    w = np.array([[1.0], [-1.0]])

    def products(x):
        return [x @ w]

    x = np.array([[2.0, -2.0]])
    (spread,) = spreads(products, [x], products(x), ARITHMETICS["int8-dynamic"], 256)
    assert spread[0, 0] > 0.3 * 4 / 127


def test_rows_of_their_own_steps_are_finer():
    w = np.array([[1.0, 0.01], [0.7, 0.003]])  # columns here are the rows of a weight

    def products(x):
        return [x @ w]

    x = np.array([[1.0, 0.3]])
    by_matrix, by_row = (
        spreads(products, [x], products(x), ARITHMETICS[name], 256)[0][0]
        for name in ("int8-dynamic", "int8-dynamic-rows")
    )
    assert by_row[1] < by_matrix[1] / 5
    assert by_row[0] == pytest.approx(by_matrix[0], rel=0.3)
