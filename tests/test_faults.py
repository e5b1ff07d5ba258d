"""The bank of faults is complete, well-formed and composable, and claimed gradients match the faulty function."""

import re
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest

from conformance import Features, LayerConfig
from conformance.backends.oracle import OracleBackend
from conformance.claims import BOOLEAN_FEATURES
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK, compose, faults
from conformance.specifications.torch_nn.faults.gates import in_order
from reference.config import KINDS
from reference.parameters import GATES, parameter_shapes


def test_the_bank_is_complete_and_well_formed():
    assert len(BANK) >= 120
    for identifier, fault in BANK.items():
        assert fault.id == identifier
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier)
        assert fault.kinds <= set(KINDS)
        assert fault.features <= set(BOOLEAN_FEATURES)
        assert fault.requirement in CATALOGUE
        assert fault.explanation
        assert fault.who
        assert not (fault.explanation + fault.who).endswith(".")
    assert len({fault.explanation for fault in BANK.values()}) == len(BANK)
    assert [fault.id for fault in faults("gru")] == [i for i, fault in BANK.items() if "gru" in fault.kinds]


def test_a_fault_claims_what_its_requirement_and_its_features_need():
    for fault in BANK.values():
        claims = fault.build().features
        assert isinstance(claims, Features)
        assert all(claims.claims(name) for name in fault.features), fault.id
        assert fault.kinds <= claims.kinds
        assert all(claims.claims(need) for need in CATALOGUE[fault.requirement].needs), fault.id


@pytest.mark.parametrize(("kind", "count"), [("lstm", 23), ("gru", 5)])
def test_every_wrong_order_of_gates_is_in_the_bank(kind, count):
    config = LayerConfig(kind, 1, 1)
    documented = GATES[kind]
    rows = {"bias_ih_l0": np.arange(float(len(documented)))}

    def taken(load):
        return tuple(load(config, rows)["bias_ih_l0"])

    wrong = {taken(in_order(order)["load"]) for order in permutations(documented)} - {taken(lambda _, p: p)}
    orders = [f for f in faults(kind) if f.family == "gates" and f.id.startswith(f"{kind}-gates-")]
    found = [taken(fault.build().change.load) for fault in orders]
    assert len(wrong) == count
    assert wrong <= set(found)
    assert "lstm-gates-f-i" in BANK


def test_importing_the_suite_does_not_import_the_bank():
    script = "import sys, conformance, conformance.plugin; print([m for m in sys.modules if 'faults' in m])"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def example(kind, dtype="float64"):
    """Return arguments of forward for a small bidirectional stack, and cotangents."""
    rng = np.random.default_rng(3)

    def normal(*shape):
        return rng.normal(size=shape).astype(dtype)

    config = LayerConfig(kind, 3, 4, num_layers=2, batch_first=True, bidirectional=True, dtype=dtype)
    parameters = {name: normal(*shape) / 2 for name, shape in parameter_shapes(config).items()}
    states = [normal(4, 2, 4) if name == "h_0" or kind == "lstm" else None for name in ("h_0", "c_0")]
    cotangents = [normal(2, 3, 8), *(None if s is None else normal(*s.shape) for s in states)]
    return config, parameters, (normal(2, 3, 3), *states, [3, 2]), cotangents


DIFFERENTIATED = [
    fault.id
    for fault in BANK.values()
    if "gradients" not in fault.features and fault.numeric and fault.build().features.gradients
]


@pytest.mark.parametrize("identifier", DIFFERENTIATED)
def test_the_gradients_of_a_faulty_forward_are_its_own(identifier):
    fault = BANK[identifier]
    kind = sorted(fault.kinds)[0]
    config, parameters, (x, *rest), cotangents = example(kind)
    backend = fault.build()
    d = backend.layer(config, parameters).gradients(x, *rest, *cotangents)

    def value(parameters, x):
        result = backend.layer(config, parameters).forward(x, *rest)
        return sum(float((a * b).sum()) for a, b in zip(result, cotangents, strict=True) if a is not None)

    rng = np.random.default_rng(7)
    towards = {name: rng.normal(size=a.shape) for name, a in parameters.items()} | {"x": rng.normal(size=x.shape)}
    step = 1e-6
    ahead, back = (
        value({name: a + by * towards[name] for name, a in parameters.items()}, x + by * towards["x"])
        for by in (step, -step)
    )
    slope = sum(float((d[name] * way).sum()) for name, way in towards.items())
    assert slope == pytest.approx((ahead - back) / (2 * step), rel=1e-6, abs=1e-6)


def test_two_faults_go_together():
    both = compose(BANK["lstm-gates-i-o-f-g"], BANK["bias-hh-dropped"])
    config, parameters, arguments, cotangents = example("lstm")
    without = {name: np.zeros_like(a) if name.startswith("bias_hh") else a for name, a in parameters.items()}
    read = in_order("iofg")["load"](config, without)
    want = OracleBackend().layer(config, read).forward(*arguments)
    got = both.layer(config, parameters).forward(*arguments)
    np.testing.assert_array_equal(got.output, want.output)
    d = both.layer(config, parameters).gradients(*arguments, *cotangents)
    assert not d["bias_hh_l0"].any()
    assert d["bias_ih_l0"].any()


def test_every_pair_of_common_faults_is_built_or_refused():
    common = [fault for fault in BANK.values() if fault.common]
    assert len(common) >= 24
    config, parameters, arguments, _ = example("lstm")
    built_pairs = 0
    for number, a in enumerate(common):
        for b in common[number + 1 :]:
            try:
                both = compose(a, b)
            except ValueError:
                continue
            built_pairs += 1
            if "lstm" in both.features.kinds and a.family == "gates":
                assert np.isfinite(both.layer(config, parameters).forward(*arguments).output).all()
    assert built_pairs > 300


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("lstm-gates-f-i", "gru-gates-r-z"),
        ("gru-update-inverted", "gru-reset-unused"),
        ("bias-hh-dropped", "arguments-written"),
        ("bias-hh-dropped", "bias-hh-dropped"),
        ("products-in-tf32", "gru-reset-before-product"),
    ],
)
def test_what_does_not_go_together_is_refused(a, b):
    with pytest.raises(ValueError, match="do not go together"):
        compose(BANK[a], BANK[b])
