"""Dialects: the oracle by 50 digits and by differences, the verdict on right and wrong layers, the claim's errors."""

import json
import re
from contextlib import ExitStack
from itertools import chain, combinations

import numpy as np
import pytest

import reference
from conformance import Features, run
from conformance.engine.profiles import Profile
from conformance.reporting.reading import read
from conformance.reporting.site.page import site
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.faults.bank import dialect_faults, dialects_of
from conformance.specifications.torch_nn.faults.changed import Speaking
from reference import DIALECTS, LayerConfig, parameter_shapes
from reference.dialects import FORGET_PLUS_ONE, RESET_BEFORE, UPDATE_INVERTED, speaking
from reference.gradients import gradients
from tests import scalar
from tests.arithmetics import InArithmetic
from tests.harness import all_checks, failures, verdict_of, verdicts
from tests.test_oracle import random_layer

SMOKE = Profile("smoke without shrinking", 3, 0)
NAMES = {kind: [d.name for d in DIALECTS.values() if d.kind == kind] for kind in ("lstm", "gru")}
SPOKEN = [
    {kind: some}
    for kind, names in NAMES.items()
    for some in chain.from_iterable(combinations(names, size) for size in range(1, len(names) + 1))
]


def words(spoken):
    ((kind, names),) = spoken.items()
    return f"{kind}-{'-and-'.join(names)}"


def gru_in_digits(names):
    """Return the equation of a GRU in these dialects for ``scalar``."""

    def gru(Wi, Wh, h, c):
        r = [scalar.sigmoid(a + b) for a, b in zip(Wi("r"), Wh("r", h), strict=True)]
        z = [scalar.sigmoid(a + b) for a, b in zip(Wi("z"), Wh("z", h), strict=True)]
        if RESET_BEFORE in names:
            product = Wh("n", [r_j * h_j for r_j, h_j in zip(r, h, strict=True)])
        else:
            product = [r_j * b for r_j, b in zip(r, Wh("n", h), strict=True)]
        n = [scalar.mp.tanh(a + b) for a, b in zip(Wi("n"), product, strict=True)]
        old, new = (h, n) if UPDATE_INVERTED in names else (n, h)
        return [(1 - z[j]) * old[j] + z[j] * new[j] for j in range(len(h))], None

    return gru


def lstm_in_digits(names):
    """Return the equation of an LSTM whose forget gate has 1 added to its sum."""

    def lstm(Wi, Wh, h, c):
        return PLAIN_LSTM(lambda g: [a + 1 for a in Wi(g)] if g == "f" else Wi(g), Wh, h, c)

    return lstm


PLAIN_LSTM = scalar.EQUATIONS["lstm"]


@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_the_oracle_has_the_numbers_of_50_digits(spoken, monkeypatch):
    ((kind, names),) = spoken.items()
    monkeypatch.setitem(scalar.EQUATIONS, kind, {"gru": gru_in_digits, "lstm": lstm_in_digits}[kind](names))
    other = 0.0
    for seed in range(6):
        example = random_layer(kind, seed, T=4, N=3, size=4, L=2, dtypes=("float64",))
        with speaking(spoken):
            results = example.oracle()
            allowed = example.allowed(results, 16)
        plain = example.oracle()
        right = [None if a is None else a.astype(np.float64) for a in example.exactly()]
        for got, want, limit, pytorchs in zip(results, right, allowed, plain, strict=True):
            if got is not None:
                assert np.all(np.abs(got - want) <= limit)
                other = max(other, np.max(np.abs(pytorchs - want)))
    assert other > 0.1, "PyTorch's own equation would pass"


@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no-biases"])
@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_gradients_are_the_differences_of_the_forward_pass(spoken, bias):
    (kind,) = spoken
    config = LayerConfig(kind, 2, 3, num_layers=2, bias=bias, bidirectional=True, dtype="float64")
    rng = np.random.default_rng(7)
    given = {name: rng.normal(size=shape) * 0.7 for name, shape in parameter_shapes(config).items()}
    given |= {"x": rng.normal(size=(4, 2, 2)), "h_0": rng.normal(size=(4, 2, 3))}
    if kind == "lstm":
        given["c_0"] = rng.normal(size=(4, 2, 3))
    lengths, d = [4, 2], rng.normal(size=(4, 2, 6))

    def value(arrays):
        parameters = {name: arrays[name] for name in parameter_shapes(config)}
        states = {name: arrays[name] for name in ("h_0", "c_0") if name in arrays}
        return float(np.sum(d * reference.forward(config, parameters, arrays["x"], **states, lengths=lengths).output))

    with speaking(spoken):
        parameters = {name: given[name] for name in parameter_shapes(config)}
        states = {name: given[name] for name in ("h_0", "c_0") if name in given}
        found = gradients(config, parameters, given["x"], **states, lengths=lengths, d_output=d)
        for name, a in given.items():
            for _ in range(4):
                at = tuple(int(rng.integers(n)) for n in a.shape)
                step = np.zeros_like(a)
                step[at] = 1e-5
                quotient = (value(given | {name: a + step}) - value(given | {name: a - step})) / 2e-5
                assert found[name][at] == pytest.approx(quotient, rel=1e-6, abs=1e-8), name


def claiming(claimed, spoken, **more):
    """Return the oracle that computes in some dialects and claims some."""
    ((kind, _),) = (claimed or spoken).items()
    return Speaking(spoken, kinds=kind, dtypes=("float32",), dialects=claimed, **more)


HEAVY = ("LARGE", "LONG", "WIDE")  # in the requirements whose calls take most of the time


def checks_in(*areas):
    """Return the checks of areas, without those of large calls."""
    mine = [check for check in all_checks() if check.entry.area in areas]
    return [check for check in mine if not any(word in check.requirement for word in HEAVY)]


@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_right_layers_in_another_arithmetic_conform(spoken):
    backend = InArithmetic(claiming(spoken, spoken), "float32")
    assert failures(backend, SMOKE, checks_in("numerics", "lengths", "cells", "gradients")) == {}


@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_every_law_that_opens_gates_knows_the_dialect(spoken):
    """The laws of dropout and of single gates hold gates open or closed, which an inverted gate turns round."""
    backend = claiming(spoken, spoken, dropout=True)
    assert failures(backend, SMOKE, checks_in("dropout", "parameters", "numerics")) == {}


def explained(backend, kind, requirement=""):
    """Return the verdict of a requirement, the kind's equation by default, with its diagnosis."""
    (check,) = TORCH_NN.checks_of(requirement or f"{kind.upper()}-EQUATION")
    return verdict_of(check, backend, kind)


@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_pytorchs_own_equation_fails_under_the_claim_and_is_named(spoken):
    ((kind, names),) = spoken.items()
    verdict = explained(claiming(spoken, {}), kind)
    assert not verdict.passed
    assert verdict.diagnosis[0]["fault"] == f"{kind}-of-pytorch"
    said = f"PyTorch's own {kind.upper()}, where {' and '.join(names)} is claimed"
    assert verdict.diagnosis[0]["explanation"] == said


@pytest.mark.parametrize("spoken", SPOKEN, ids=words)
def test_a_dialect_without_the_claim_fails_and_the_diagnosis_proposes_it(spoken):
    ((kind, names),) = spoken.items()
    verdict = explained(claiming({}, spoken), kind)
    value = f'"{names[0]}"' if len(names) == 1 else "(" + ", ".join(f'"{name}"' for name in names) + ")"
    proposed = f'(claim dialects={{"{kind}": {value}}} if the backend\'s own documentation has this equation)'
    assert not verdict.passed
    assert verdict.diagnosis[0]["explanation"].endswith(proposed)


@pytest.mark.parametrize("id_", ["gru-gates-r-z", "initial-state-ignored", "gru-new-gate-hard"])
def test_a_fault_on_top_of_a_dialect_is_named(id_):
    spoken = {"gru": (RESET_BEFORE, UPDATE_INVERTED)}
    wrong = BANK[id_].build()
    wrong.inner, wrong.features = Speaking(spoken, kinds="gru"), Features(kinds="gru", dialects=spoken)
    exchanged = wrong.exchanged

    def in_dialect(backwards=False):
        stack = ExitStack()
        stack.enter_context(exchanged(backwards))
        stack.enter_context(speaking(spoken))
        return stack

    wrong.exchanged = in_dialect
    requirement = BANK[id_].requirement
    assert explained(wrong, "gru", requirement).diagnosis[0]["fault"] == id_


def test_a_failure_says_by_which_equation_it_is_judged():
    spoken = {"gru": (RESET_BEFORE,)}
    report = run(claiming(spoken, {}, gradients=False, cells=False), profile="smoke", isolation="none", diagnosis="off")
    said = f"in place of PyTorch's formula: GRU judged by {RESET_BEFORE}: {DIALECTS[RESET_BEFORE].equation} (source: "
    assert any(said in finding.message for finding in report.failures)


def test_layers_of_torch_conform_with_their_gradients():
    pytest.importorskip("torch")
    from tests.dialect_layers import RIGHT

    for name, backend in RIGHT.items():
        tried = [requirement for requirement, *_ in verdicts(backend, SMOKE, checks_in("gradients"))]
        assert "GRADIENT-EQUATION" in tried, name
        assert failures(backend, SMOKE, checks_in("numerics", "gradients")) == {}, name


def test_cases_of_a_dialect_are_not_asked_and_the_run_says_so(tmp_path):
    spoken = {"gru": (RESET_BEFORE,)}
    backend = Speaking(spoken, kinds=("gru", "lstm"), dialects={"gru": RESET_BEFORE}, dialect_sources={"gru": "page 7"})
    report = run(backend, profile="smoke", isolation="none")
    assert report.conformant, report
    cases = {
        (f.kind, f.status)
        for f in report.findings
        if f.requirement.startswith("CASE-") and "REFUSE" not in f.requirement
    }
    assert ("lstm", "passed") in cases
    assert ("gru", "passed") not in cases
    said = f"GRU judged by {RESET_BEFORE}: {DIALECTS[RESET_BEFORE].equation} (source: page 7)"
    assert said in str(report)
    assert "the cases of gru are PyTorch's and are not asked" in str(report)
    report.save(tmp_path / "report.json")
    features = json.loads((tmp_path / "report.json").read_text("utf-8"))["backend"]["features"]
    assert features["dialects"] == {"gru": [RESET_BEFORE]}
    assert Features(**features).dialects == {"gru": (RESET_BEFORE,)}
    page = site(read(tmp_path / "report.json"))
    assert said in page["index.html"]
    assert sum(said in text for text in page.values()) == 2  # the first screen, and the backend's own page


SOME_OF_GRU = "dialects['gru']: expected some of reset-before-product, update-gate-inverted, got "


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"dialects": {"gru": "reset-first"}}, f"{SOME_OF_GRU}'reset-first'"),
        ({"dialects": {"gru": ()}}, f"{SOME_OF_GRU}()"),
        ({"dialects": {"gru": 3}}, f"{SOME_OF_GRU}3"),
        ({"dialects": {"lstm": RESET_BEFORE}}, "dialects['lstm']: expected some of forget-gate-plus-one, got 'reset-"),
        ({"dialects": {"GRU": RESET_BEFORE}}, "dialects: expected kinds that have dialects (gru, lstm), got 'GRU'"),
        ({"dialects": {"gru": RESET_BEFORE}, "kinds": "lstm"}, "dialects: expected kinds that are claimed (lstm), got"),
        ({"dialects": "gru"}, "dialects: expected a mapping from kinds to names of dialects, got 'gru'"),
        ({"dialect_sources": {"gru": "a page"}}, "dialect_sources: expected kinds that have a dialect, got ['gru']"),
        ({"dialects": {"gru": RESET_BEFORE}, "dialect_sources": {"gru": 3}}, "dialect_sources: expected texts, got"),
        ({"by_kind": {"gru": {"dialects": {"gru": RESET_BEFORE}}}}, "by_kind['gru']: expected names of claims"),
    ],
)
def test_a_wrong_claim_is_one_clear_sentence(claims, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}.*$") as raised:
        Features(**claims)
    assert "\n" not in str(raised.value)


def test_every_dialect_has_its_fault():
    for dialect in DIALECTS.values():
        assert BANK[dialect.fault].kinds == {dialect.kind}
        assert dialects_of(dialect.fault) == (dialect.name,)
    for kind, names in NAMES.items():
        for fault in dialect_faults(kind, ()):
            assert dialects_of(fault.id) == tuple(names)
    assert dialects_of("gru-of-pytorch") == ()
    assert FORGET_PLUS_ONE in NAMES["lstm"]
