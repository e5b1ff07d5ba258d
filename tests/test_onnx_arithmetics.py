"""The operators in strangers' arithmetic: right nodes conform, wrong ones fail and are named; the page of vectors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from conformance.backends.onnx_oracle import OnnxOracle
from conformance.engine.profiles import PROFILES
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.faults import BANK
from conformance.specifications.onnx_operators.vectors import vectors
from tests import onnx_diagnosing, operator_vectors
from tests.arithmetics import ARITHMETICS
from tests.harness import verdicts
from tests.onnx_diagnosing import NodesIn, Row, explained, same_numbers

FOREIGN = [name for name, arithmetic in ARITHMETICS.items() if arithmetic]
SMOKE = replace(PROFILES["smoke"], shrink_attempts=0)


@pytest.mark.parametrize(("name", "kind"), list(zip(FOREIGN, ("LSTM", "GRU", "RNN"), strict=True)))
def test_right_nodes_conform_in_each_arithmetic(name, kind):
    backend = getattr(onnx_diagnosing, f"right__in__{name.replace('-', '_')}")()
    backend.features = replace(backend.features, operators={kind}, dtypes={"float32"})
    found = {r: v.failure for r, _, _, v, _ in verdicts(backend, SMOKE, None, ONNX) if not v.passed}
    assert {r: failure for r, failure in found.items() if "no example could be drawn" not in failure} == {}


def test_each_arithmetic_rounds_in_its_own_way():
    call = next(vector.call for vector in vectors() if vector.kind == "GRU" and vector.call.config.activations is None)
    given = call.arguments
    every = {name: NodesIn(OnnxOracle(), name).node(call.config, call.parameters).run(**given)["Y"]
             for name in ARITHMETICS}  # fmt: skip
    for name in FOREIGN:
        assert every[name].dtype == np.float32
        np.testing.assert_allclose(every[name], every["oracle"], rtol=1e-4, atol=1e-5)
        assert not np.array_equal(every[name], every["oracle"])


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("id_", ["onnx-lstm-order-ifco", "onnx-input-forget-ignored", "onnx-lengths-ignored"])
def test_a_fault_is_named_in_each_arithmetic(id_, name):
    verdict, subject = explained(BANK[id_], name)
    assert [entry["fault"] for entry in verdict.diagnosis][:1] == [id_]
    assert same_numbers(subject, id_, id_)
    assert not same_numbers(subject, id_, "onnx-lstm-order-oifc" if "LSTM" in BANK[id_].kinds else "onnx-rb-twice")


@pytest.mark.parametrize("id_", ["onnx-lstm-order-icfo", "onnx-x-written"])
def test_saturated_calls_that_are_right_disprove_no_fault(id_):
    """The last output of one is 0 in float32, 1e-13 with the fault and 1e-19 as documented."""
    verdict, _ = explained(BANK[id_], "float32")
    assert [entry["fault"] for entry in verdict.diagnosis] == [id_]


@pytest.mark.parametrize(
    ("id_", "other"),
    [
        ("onnx-reset-after-without-b", "onnx-linear-before-reset-ignored"),  # the law's right calls have B
        ("onnx-gru-clip-not-before-g", "onnx-clip-ignored"),  # the law's calls clip nothing else
        ("onnx-lengths-ignored-under-layout", "onnx-lengths-ignored"),
        ("onnx-x-written", "onnx-x-written"),
    ],
)
def test_a_fault_is_told_from_one_that_gives_the_same_numbers_on_the_failed_calls(id_, other):
    verdict, subject = explained(BANK[id_], "oracle")
    assert [entry["fault"] for entry in verdict.diagnosis] == [id_]
    assert id_ == other or not same_numbers(subject, id_, other)


def test_the_counts_of_the_script():
    row = Row("float32")
    assert row.add(BANK["onnx-gru-update-inverted"]) == ""
    assert (row.faults, row.first, row.wrong, row.none) == (1, 1, 0, 0)


def test_the_page_of_vectors_is_that_of_the_data():
    table = json.loads(operator_vectors.TABLE.read_text("utf-8"))
    assert operator_vectors.PAGE.read_text("utf-8") == "\n".join(operator_vectors.page(table)) + "\n"
    assert {name for row in table.values() for name in row["vectors"]} == {vector.name for vector in vectors()}
