"""The reverse direction alone, masks, last outputs and kept states: the oracle, adapters with and without them."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import reference
from conformance import Backend, Features, LayerConfig, Unsupported
from conformance.backends.checked import CheckedBackend, CheckedLayer
from conformance.backends.oracle import OracleBackend, OracleLayer, OracleReverseLayer
from conformance.engine.profiles import PROFILES
from conformance.engine.serialization import call_of, example_of
from conformance.layouts import join
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.optional_forms import last_outputs, masked_layers, reverse_layers
from reference.config import KINDS
from reference.parameters import parameter_shapes
from tests.harness import PLANS, QUICK, all_checks, failures, subject_of, verdict_of

SMOKE = replace(QUICK, examples=PROFILES["smoke"].examples)
CLAIMS = ("reverse_alone", "masks", "stateful", "output.last")
CHECKS = [check for check in all_checks() if check.entry.needs & {*CLAIMS} or check.entry.unless in CLAIMS]


def drawn(kind, **arguments):
    """Return a configuration in float64, parameters, x (T, N, I) and the states."""
    rng = np.random.default_rng(5)
    config = LayerConfig(kind, 3, 4, dtype="float64", **arguments)
    parameters = {name: rng.standard_normal(shape) for name, shape in parameter_shapes(config).items()}
    rows = config.num_layers * config.directions
    h_0 = rng.standard_normal((rows, 2, 4))
    c_0 = rng.standard_normal((rows, 2, 4)) if kind == "lstm" else None
    return config, parameters, rng.standard_normal((6, 2, 3)), h_0, c_0


def module_of(config, parameters):
    """Return torch's layer with these parameters."""
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(config.kind, torch.nn.RNN)
    more = {"nonlinearity": config.kind.removeprefix("rnn_")} if make is torch.nn.RNN else {}
    module = make(3, 4, config.num_layers, bidirectional=config.bidirectional, dtype=torch.float64, **more)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    return module


def called(module, x, h_0, c_0):
    """Return torch's output, h_n and c_n as arrays."""
    states = torch.from_numpy(h_0) if c_0 is None else (torch.from_numpy(h_0), torch.from_numpy(c_0))
    with torch.no_grad():
        output, ends = module(torch.from_numpy(x.copy()), states)
    ends = ends if isinstance(ends, tuple) else (ends, None)
    return [None if a is None else a.numpy() for a in (output, *ends)]


def expect_close(got, want):
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


# --- the oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_direction_is_torchs_layer_on_the_flipped_sequence(kind):
    config, parameters, x, h_0, c_0 = drawn(kind, num_layers=2)
    output, *ends = called(module_of(config, parameters), x[::-1], h_0, c_0)
    expect_close(reference.forward(config, parameters, x, h_0, c_0, reverse=True), [output[::-1], *ends])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_last_output_is_torchs_last_step_forward_and_its_first_step_in_reverse(kind, bidirectional):
    config, parameters, x, h_0, c_0 = drawn(kind, num_layers=2, bidirectional=bidirectional)
    output, *ends = called(module_of(config, parameters), x, h_0, c_0)
    got = OracleBackend().layer(config, parameters).forward_last(x, h_0, c_0)
    expect_close(got, [np.concatenate([output[-1, :, :4], output[0, :, 4:]], axis=-1), *ends])


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_call_is_torchs_layer_on_the_steps_that_are_kept(kind):
    """Each sample alone; the second layer and both directions see the kept steps alone, so stacks agree too."""
    config, parameters, x, h_0, c_0 = drawn(kind, num_layers=2, bidirectional=True)
    mask = np.array([[1, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 0]], bool).T
    got = reference.forward(config, parameters, x, h_0, c_0, mask=mask)
    module = module_of(config, parameters)
    for n in range(2):
        kept, one = mask[:, n], slice(n, n + 1)
        output, *ends = called(module, x[kept][:, one], h_0[:, one], None if c_0 is None else c_0[:, one])
        mine = got.output[kept][:, one], got.h_n[:, one], None if got.c_n is None else got.c_n[:, one]
        expect_close(mine, [output, *ends])
        assert not got.output[~kept, n].any()


def test_layouts_of_masks():
    config, parameters, x, h_0, c_0 = drawn("lstm")
    mask = np.arange(12).reshape(6, 2) % 3 > 0
    right = reference.forward(config, parameters, x, h_0, c_0, mask=mask)
    first = reference.forward(replace(config, batch_first=True), parameters, x.swapaxes(0, 1), h_0, c_0, mask=mask.T)
    np.testing.assert_array_equal(first.output.swapaxes(0, 1), right.output)
    alone = reference.forward(config, parameters, x[:, 1], h_0[:, 1], c_0[:, 1], mask=mask[:, 1])
    np.testing.assert_allclose(alone.output, right.output[:, 1], rtol=1e-13)
    np.testing.assert_allclose(alone.c_n, right.c_n[:, 1], rtol=1e-13)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mask": np.ones((6, 3), bool)}, r"mask: expected shape \(6, 2\)"),
        ({"mask": np.ones((6, 2))}, "mask: expected an array of dtype bool, got 'float64'"),
        ({"mask": [[True]]}, "mask: expected an array of dtype bool, got 'list'"),
        ({"mask": np.ones((6, 2), bool), "lengths": [1, 2]}, "lengths: expected None beside a mask"),
    ],
)
def test_masks_that_do_not_fit(changes, sentence):
    config, parameters, x, *_ = drawn("gru")
    with pytest.raises(ValueError, match=sentence):
        reference.forward(config, parameters, x, **changes)


def test_two_directions_have_no_reverse_direction_alone():
    config, parameters, x, *_ = drawn("gru", bidirectional=True)
    with pytest.raises(ValueError, match="reverse: expected one direction"):
        reference.forward(config, parameters, x, reverse=True)
    with pytest.raises(ValueError, match="bidirectional: expected False"):
        OracleBackend().reverse_layer(config, parameters)


# --- adapters -----------------------------------------------------------------------------------------


class OneLayer(CheckedLayer):
    """The oracle behind the base class."""

    inner_class = OracleLayer

    def build(self, weights):
        self.inner = self.inner_class(self.config, join(self.config, weights))

    def compute(self, x, h_0, c_0, lengths):
        return self.inner.forward(x, h_0, c_0, None if lengths is None else lengths.tolist())

    def compute_last(self, x, h_0, c_0, lengths):
        return self.inner.forward_last(x, h_0, c_0, lengths)

    def compute_masked(self, x, h_0, c_0, mask):
        return self.inner.forward_masked(x, h_0, c_0, mask)


class OneReverseLayer(OneLayer):
    inner_class = OracleReverseLayer


class Checked(CheckedBackend):
    name, layer_class, reverse_class = "checked", OneLayer, OneReverseLayer

    def __init__(self, **claims):
        self.features = Features(kinds={"lstm", "gru"}, **claims)


class OldLayer:
    """A layer that was written without the base class, and has ``forward`` alone."""

    def __init__(self, inner):
        self.forward = inner.forward


class Old(Backend):
    """A backend that was written before these features."""

    name, features = "old", Features(kinds="lstm")

    def layer(self, config, parameters):
        return OldLayer(OracleLayer(config, parameters))


def applying(backend):
    return {check.requirement for check in CHECKS if TORCH_NN.combinations(backend.features, check.entry)}


UNCLAIMED = {"UNCLAIMED-REVERSE-ALONE", "UNCLAIMED-MASKS", "UNCLAIMED-STATEFUL", "UNCLAIMED-LAST-OUTPUT"}


@pytest.mark.parametrize(
    "backend",
    [
        Old(),
        Checked(),
        Checked(reverse_alone=True, masks=True),
        Checked(masks=True, lengths=False, bidirectional=False),
        Checked(output=("all", "last")),
    ],
    ids=["old", "none", "two", "narrow", "last"],
)
def test_such_an_adapter_conforms(backend):
    claimed = [name for name in CLAIMS if backend.features.claims(name)]
    asked = applying(backend)
    assert len(asked & UNCLAIMED) == 4 - len(claimed)
    assert ("LAST-FORWARD" in asked) == ("output.last" in claimed)
    assert ("MASK-EQUATION" in asked) == ("masks" in claimed)
    assert ("MASK-LENGTHS" in asked) == ("masks" in claimed and backend.features.lengths)
    assert not failures(backend, SMOKE, CHECKS)


def test_what_is_claimed_and_refused_fails():
    class Refusing(Checked):
        reverse_class = None

    class Bare(OneLayer):
        def compute_masked(self, x, h_0, c_0, mask):
            raise Unsupported("no masks")

    Refusing.layer_class = Bare
    found = failures(Refusing(reverse_alone=True, masks=True), SMOKE, CHECKS)
    assert {"REVERSE-ALONE-EQUATION", "MASK-EQUATION", "MASK-ALL"} <= set(found)
    assert "refused though it is claimed" in found["MASK-EQUATION"]


def test_the_oracle_conforms_and_every_requirement_applies_to_it():
    assert applying(OracleBackend()) == {check.requirement for check in CHECKS} - UNCLAIMED
    assert len(CHECKS) == 24
    assert all("Keras" in (entry := CATALOGUE[check.requirement]).source or "ONNX" in entry.source
               for check in CHECKS if "UNCLAIMED" not in check.requirement)  # fmt: skip
    assert not failures(OracleBackend(), SMOKE, CHECKS)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("masked-output-repeated", "gru"),
        ("reverse-alone-forward", "rnn_tanh"),
        ("last-output-of-the-first-step", "lstm"),
    ],
)
def test_a_failure_is_made_small_and_has_a_script(fault, kind, tmp_path):
    backend = BANK[fault].build()
    backend.asked_as = f"conformance.faults:{fault}"
    (check,) = (check for check in CHECKS if check.requirement == BANK[fault].requirement)
    verdict = verdict_of(check, backend, kind)
    assert verdict.call["config"]["hidden_size"] == 1
    path = tmp_path / "script.py"
    path.write_text(verdict.reproducer)
    ran = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert (ran.returncode, "elements are wrong" in ran.stdout) == (1, True), ran.stderr
    right = subprocess.run([sys.executable, path, "reference"], capture_output=True, text=True, check=False)
    assert right.returncode == 0, right.stdout + right.stderr


@pytest.mark.parametrize("draw", [reverse_layers, masked_layers, last_outputs])
def test_calls_are_stored_and_read_again(draw):
    subject = subject_of(OracleBackend(), "lstm")
    for plan in PLANS.block(TORCH_NN, draw, subject.features, 0)[:8]:
        call = plan.build("lstm", "float32")
        form = TORCH_NN.form_of(call)
        read = call_of(TORCH_NN, example_of(form, call), "lstm", "float32")
        assert type(read) is type(call)
        for name, value in call.arguments.items():
            other = read.arguments[name]
            assert (other is None) == (value is None)
            assert value is None or np.array_equal(np.asarray(other), np.asarray(value))
        assert [smaller.build("gru", "float64") for cut in plan.cuts(subject.features)[:3] for smaller in cut(plan)]
        assert any(word in repr(call) for word in ("mask", "reverse", "last output"))
