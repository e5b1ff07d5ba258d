"""Claims by kind, of sizes, of boundaries and of cells alone: what is asked for, and what is found."""

import re
from dataclasses import replace

import numpy as np
import pytest

from conformance import Features, Unsupported, run
from conformance.backends.oracle import OracleBackend
from conformance.engine.drawing import Plans
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.gradient_strategies import gradient_calls
from conformance.specifications.torch_nn.strategies import cells, layers
from tests.harness import all_checks, subject_of, verdict_of

CLAIMS = replace(OracleBackend.features, kinds={"gru"}, dtypes={"float32"})


class Strict(OracleBackend):
    """The oracle, which raises an error for valid sizes that it does not claim and refuses other kinds' claims."""

    name = "strict"

    def __init__(self, **claims):
        self.features, self.asked = replace(CLAIMS, **claims), set()

    def layer(self, config, parameters):
        self.expect(config, self.features.layers)
        claims = self.features.of(config.kind)
        if (config.bidirectional and not claims.bidirectional) or config.dtype not in claims.dtypes:
            raise Unsupported("not claimed")
        return super().layer(config, parameters)

    def cell(self, config, parameters):
        self.expect(config, self.features.cells)
        return super().cell(config, parameters)

    def expect(self, config, claimed):
        sizes = config.input_size, config.hidden_size
        if min(sizes) > 0 and not (claimed and self.features.takes(*sizes)):
            raise AssertionError(f"asked for {config}")
        self.asked.add(config.hidden_size)


@pytest.mark.parametrize(
    "claims",
    [
        {"hidden_sizes": {64, 3}, "input_sizes": {7, 16}},
        {"hidden_sizes": 5, "configurations": 5, "fixed_shapes": True},
        {"layers": False},
        {"kinds": {"gru", "lstm"}, "by_kind": {"gru": {"bidirectional": False, "dtypes": {"float64"}}}},
    ],
    ids=lambda claims: "-".join(claims),
)
def test_nothing_else_is_asked_for(claims):
    report = run(Strict(**claims), profile="smoke", isolation="none")
    assert report.conformant, report
    rows = [finding for finding in report.findings if finding.status == "passed"]
    assert len(rows) > 25
    if "by_kind" in claims:
        where = {(row.kind, row.dtype) for row in rows if row.requirement == "FORWARD-EQUATION"}
        assert where == {("gru", "float64"), ("lstm", "float32")}
        assert "gru: bidirectional=False, dtypes=['float64']" in str(report)
    if "layers" in claims:
        assert {row.requirement for row in rows} >= {"CELL-EQUATION", "CELL-LOOP"}
    if claims.get("hidden_sizes") == {64, 3}:
        assert "hidden_size 3, 64 alone is asked for" in str(report)


def test_a_wrong_loop_of_cells_alone_fails():
    class Wrong(Strict):
        def cell(self, config, parameters):
            return super().cell(config, parameters | {"weight_hh": -parameters["weight_hh"]})

    report = run(Wrong(layers=False), profile="smoke", isolation="none", run_blocked=True)
    assert {"CELL-EQUATION", "CELL-LOOP"} <= {finding.requirement for finding in report.failures}


@pytest.mark.parametrize(("form", "draw"), [("layer", layers), ("gradients", gradient_calls), ("cell", cells)])
def test_calls_at_the_boundaries_are_drawn(form, draw):
    features, seen, calls = replace(CLAIMS, boundaries={40}), {}, 0
    for number in range(12):
        for plan in Plans(0).block(TORCH_NN, draw, features, number):
            call, calls = plan.build("gru", "float32"), calls + 1
            x = call.x if form == "cell" or not call.config.batch_first else call.x.swapaxes(0, 1)
            batched = x.ndim == (2 if form == "cell" else 3)
            extents = {"units": call.config.hidden_size, "samples": x.shape[-2] if batched else None}
            extents |= {} if form == "cell" else {"steps": len(x)}
            for extent, size in extents.items():
                if size in (39, 40, 41):
                    seen[extent, size] = seen.get((extent, size), 0) + 1
    assert {extent for extent, _ in seen} == set(extents)
    assert {size for _, size in seen} == {39, 40, 41}
    assert 0.1 < sum(seen.values()) / calls < 0.45


def test_a_kernel_that_changes_at_a_boundary_is_found_only_where_it_is_declared():
    class Blocked(Strict):
        """Leaves units from the 40th on at the initial state, as a kernel of one block of 40 units does."""

        def layer(self, config, parameters):
            layer = super().layer(config, parameters)
            if config.hidden_size == 41:
                forward = layer.forward
                layer.forward = lambda *arguments: forward(*arguments)._replace(
                    output=np.where(np.arange(forward(*arguments).output.shape[-1]) % 41 < 40, 1, 0)
                    * forward(*arguments).output
                )
            return layer

    (check,) = (check for check in all_checks() if check.requirement == "LARGE-UNITS")
    assert not verdict_of(check, Blocked(), "gru").failure
    assert "expected" in verdict_of(check, Blocked(boundaries={40}), "gru").failure


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"by_kind": {"gruu": {}}}, "by_kind: expected kinds that are claimed (rnn_tanh, rnn_relu, lstm, gru)"),
        ({"by_kind": {"gru": {"lenghts": False}}}, "by_kind['gru']: expected names of claims, such as lengths=False"),
        ({"by_kind": 3}, "by_kind: expected a mapping from kinds to the claims that differ there, got 3"),
        ({"by_kind": {"gru": {"dtypes": "f4"}}}, "dtypes: expected some of float32"),
        ({"hidden_sizes": 0}, "hidden_sizes: expected integers from 1 to 16,384, or None, got 0"),
        ({"input_sizes": []}, "input_sizes: expected integers from 1 to 16,384, or None, got []"),
        ({"boundaries": "x"}, "boundaries: expected integers from 1 to 16,384, got 'x'"),
    ],
)
def test_a_wrong_claim_is_one_sentence(claims, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Features(**claims)


def test_claims_are_stored_as_plain_data():
    features = Features(hidden_sizes=np.int64(8), boundaries=range(4, 6), by_kind={})
    assert (features.hidden_sizes, features.boundaries, features.by_kind) == ((8,), (4, 5), {})
    own = Features(by_kind={"lstm": {"dtypes": ["float64"]}})
    assert own.of("lstm").dtypes == {"float64"}
    assert own.of("gru") == replace(own, by_kind={})
    assert Features(**own.as_json()) == own
    assert subject_of(OracleBackend(), "lstm", "float32").features.lengths
