"""The base of adapters for other frameworks checks arguments, refuses unclaimed features, and passes on the rest."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

import reference
from conformance import CellConfig, Features, LayerConfig, Result, Unsupported
from conformance.backends import checked
from conformance.backends.checked import CheckedBackend, CheckedCell, CheckedLayer, bits, past_the_end
from conformance.backends.oracle import OracleCell, OracleLayer
from conformance.layouts import join, split
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.plans import Fill
from tests.harness import STANDARD, all_checks, failures

EVERYTHING = Features(cells=True, gradients=True)
PLAIN = Features(
    multilayer=False,
    bidirectional=False,
    no_bias=False,
    batch_first=False,
    unbatched=False,
    projection=False,
    initial_state=False,
    lengths=False,
    cells=True,
    gradients=True,
)
LSTM = LayerConfig("lstm", 3, 4)


class AskedLayer(CheckedLayer):
    """The oracle's layer; it records its calls."""

    def build(self, weights):
        self.inner, self.asked = OracleLayer(self.config, join(self.config, weights)), []

    def compute(self, x, h_0, c_0, lengths):
        self.asked.append((x, h_0, c_0, lengths))
        return self.inner.forward(x, h_0, c_0, None if lengths is None else lengths.tolist())

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        self.asked.append((x, h_0, c_0, lengths, cotangents))
        found = self.inner.gradients(x, h_0, c_0, None if lengths is None else lengths.tolist(), *cotangents)
        of_arguments = {name: found.pop(name) for name in ("x", "h_0", "c_0") if name in found}
        return of_arguments, split(self.config, found)


class AskedCell(CheckedCell):
    """The oracle's cell."""

    def build(self, weights):
        self.inner = OracleCell(self.config, join(self.config, [weights]))

    def compute(self, x, h, c):
        return self.inner.step(x, h, c)


class Asked(CheckedBackend):
    """An adapter for the oracle as if it were a framework."""

    name, layer_class, cell_class = "asked", AskedLayer, AskedCell

    def __init__(self, features=EVERYTHING):
        self.features = features


def parameters(config):
    return Fill(config, "ordinary", 1).parameters()


def layer_and_x(config=LSTM, features=EVERYTHING):
    return Asked(features).layer(config, parameters(config)), Fill(config, "ordinary", 2).array((5, 2, 3))


@pytest.mark.parametrize("features", [EVERYTHING, PLAIN], ids=["everything", "plain"])
def test_such_an_adapter_conforms_in_what_it_claims(features):
    assert failures(Asked(features)) == {}


def test_without_the_checks_arguments_that_do_not_fit_are_found(monkeypatch):
    monkeypatch.setattr(checked, "check_inputs", lambda *_: None)
    monkeypatch.setattr(AskedLayer, "compute", lambda self, x, *_: self.inner.forward(x[..., :3].astype(np.float32)))
    refusals = [c for c in all_checks() if c.requirement in ("REFUSE-INPUT-DTYPE", "REFUSE-STATE-BATCH")]
    assert set(failures(Asked(), STANDARD, refusals)) == {c.requirement for c in refusals}


def test_without_refusals_what_is_not_claimed_is_found(monkeypatch):
    monkeypatch.setattr(AskedLayer, "compute", lambda self, x, *_: self.inner.forward(x))
    unclaimed = [c for c in all_checks() if c.requirement in ("UNCLAIMED-LENGTHS", "UNCLAIMED-INITIAL-STATE")]
    assert failures(Asked(PLAIN), checks=unclaimed) == {}
    monkeypatch.setattr(checked, "refuse", lambda *_: None)
    assert set(failures(Asked(PLAIN), checks=unclaimed)) == {c.requirement for c in unclaimed}


@pytest.mark.parametrize("wrong", [
    {"x": np.zeros((5, 2, 4), np.float32)}, {"x": np.zeros((5, 2, 3))}, {"x": np.zeros((0, 2, 3), np.float32)},
    {"lengths": [1, 6]}, {"lengths": [1]}, {"lengths": [1.0, 2.0]}, {"h_0": np.zeros((1, 2, 4), np.float32)},
])  # fmt: skip
def test_arguments_that_do_not_fit_never_reach_the_framework(wrong):
    layer, x = layer_and_x()
    with pytest.raises(ValueError, match="expected"):
        layer.forward(**({"x": x} | wrong))
    given = {"x": x, "h_0": None, "c_0": None, "lengths": None} | wrong
    with pytest.raises(ValueError, match="expected"):
        layer.gradients(*given.values(), None, None, None)
    assert layer.asked == []


def test_lengths_reach_the_framework_as_integers():
    layer, x = layer_and_x()
    layer.forward(x, lengths=[5, 2])
    lengths = layer.asked[0][3]
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [5, 2]


@pytest.mark.parametrize("changes", [
    {"num_layers": 2}, {"bidirectional": True}, {"bias": False}, {"batch_first": True}, {"proj_size": 2},
    {"dtype": "float64"},
])  # fmt: skip
def test_a_configuration_that_is_not_claimed_is_refused(changes):
    config = replace(LSTM, **changes)
    with pytest.raises(Unsupported):
        Asked(PLAIN).layer(config, parameters(config))


def test_a_kind_that_is_not_claimed_is_refused():
    backend = Asked(replace(EVERYTHING, kinds={"lstm"}))
    for config, build in ((LayerConfig("gru", 3, 4), backend.layer), (CellConfig("gru", 3, 4), backend.cell)):
        with pytest.raises(Unsupported, match="gru in float32 is not claimed"):
            build(config, parameters(config))


@pytest.mark.parametrize(("feature", "arguments"), [
    ("unbatched", {"x": np.zeros((5, 3), np.float32)}),
    ("initial_state", dict.fromkeys(("h_0", "c_0"), np.zeros((1, 2, 4), np.float32))),
    ("lengths", {"lengths": [5, 2]}),
])  # fmt: skip
def test_an_argument_that_is_not_claimed_is_refused(feature, arguments):
    layer, x = layer_and_x(features=PLAIN)
    with pytest.raises(Unsupported, match=f"{feature} is not claimed"):
        layer.forward(**({"x": x} | arguments))
    assert layer.asked == []


def test_cells_are_refused_where_there_are_none_or_where_they_are_not_claimed():
    config = CellConfig("lstm", 3, 4)
    cell = Asked(PLAIN).cell(config, parameters(config))
    for arguments in ((np.zeros(3, np.float32),), (np.zeros((2, 3), np.float32), *[np.zeros((2, 4), np.float32)] * 2)):
        with pytest.raises(Unsupported):
            cell.step(*arguments)
    with pytest.raises(ValueError, match="expected"):
        cell.step(np.zeros((2, 4), np.float32))

    class WithoutCells(Asked):
        cell_class = None

    with pytest.raises(Unsupported, match="asked has no cells"):
        WithoutCells().cell(config, parameters(config))


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("config", [
    LayerConfig("gru", 3, 4, num_layers=2, bidirectional=True), LayerConfig("lstm", 3, 4, batch_first=True),
    LayerConfig("lstm", 3, 4, bidirectional=True, proj_size=2),
])  # fmt: skip
def test_cotangents_that_are_not_given_are_zeros_of_the_results_shapes(config, unbatched):
    layer, x = layer_and_x(config)
    x = x[0] if unbatched else x
    d_h_n = np.ones(LayerCall(config, {}, x).result_shapes[1], np.float32)
    found = layer.gradients(x, None, None, None, None, d_h_n, None)
    cotangents = layer.asked[0][4]
    assert isinstance(cotangents, Result)
    assert tuple(None if d is None else d.shape for d in cotangents) == LayerCall(config, {}, x).result_shapes
    assert not cotangents.output.any()
    assert cotangents.h_n is d_h_n
    want = reference.gradients.gradients(config, parameters(config), x, d_h_n=d_h_n)
    assert set(found) == set(want)
    assert all(np.allclose(found[name], want[name], atol=1e-6) for name in want)


def test_bfloat16_crosses_as_its_bits():
    array = np.array([[1.0, -2.5]], ml_dtypes.bfloat16)
    assert bits(array).dtype == np.uint16
    assert bits(array).view(ml_dtypes.bfloat16).tolist() == array.tolist()
    assert bits(np.ones(2, np.float32)).dtype == np.float32


def test_what_is_past_the_end():
    past = past_the_end(np.array([3, 1]), 3, batch_first=False)
    assert past.shape == (3, 2, 1)
    assert past[..., 0].tolist() == [[False, False], [False, True], [False, True]]
    assert (past_the_end(np.array([3, 1]), 3, batch_first=True) == past.swapaxes(0, 1)).all()
