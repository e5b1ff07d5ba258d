"""``conformance.jax.function_backend``: functions of JAX, right and wrong."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

from conformance import run  # noqa: E402
from conformance.jax import function_backend  # noqa: E402


def my_gru(params, x, h_0):
    """Return output and h_n of a GRU."""

    def step(h, x_t):
        x_r, x_z, x_n = jnp.split(x_t @ params["weight_ih_l0"].T + params["bias_ih_l0"], 3, -1)
        u_r, u_z, u_n = jnp.split(h @ params["weight_hh_l0"].T + params["bias_hh_l0"], 3, -1)
        r, z = jax.nn.sigmoid(x_r + u_r), jax.nn.sigmoid(x_z + u_z)
        n = jnp.tanh(x_n + r * u_n)
        h = n + z * (h - n)
        return h, h

    h, output = jax.lax.scan(step, h_0[0], x)
    return output, h[None]


def wrong_gru(params, x, h_0):
    """Return output and h_n of a GRU whose gradient misses the recurrent weights."""
    return my_gru(params | {"weight_hh_l0": jax.lax.stop_gradient(params["weight_hh_l0"])}, x, h_0)


def my_lstm(params, x, states):
    """Return output and states of an LSTM with one kernel and one bias for each gate."""

    def step(carry, x_t):
        h, c = carry
        i, f, g, o = (jnp.concatenate([x_t, h], -1) @ params[gate]["kernel"] + params[gate]["bias"] for gate in "ifgo")
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (h, c), output = jax.lax.scan(step, (states[0][0], states[1][0]), x)
    return output, (h[None], c[None])


def layout(named):
    """Bring torch.nn's parameters into the layout of ``my_lstm``."""
    kernels = jnp.split(jnp.concatenate([named["weight_ih_l0"], named["weight_hh_l0"]], 1), 4)
    biases = jnp.split(named["bias_ih_l0"] + named["bias_hh_l0"], 4)
    return {gate: {"kernel": k.T, "bias": b} for gate, k, b in zip("ifgo", kernels, biases, strict=True)}


GRU = function_backend(my_gru, kinds="gru")
LSTM = function_backend(my_lstm, params=layout)
WRONG = function_backend(wrong_gru, kinds="gru")


@pytest.mark.parametrize("backend", [GRU, LSTM], ids=["gru", "lstm"])
def test_right_functions_conform(backend):
    report = run(backend, profile="smoke", shard="1/4", isolation="none")
    assert report.conformant, report
    assert any(finding.requirement.startswith("GRADIENT") for finding in report.findings)


def test_a_wrong_function_fails():
    report = run(WRONG, profile="smoke", examples=1, isolation="none", diagnosis="off")
    assert "GRADIENT-WEIGHT-HH" in {finding.requirement for finding in report.failures}, report


def test_every_wrong_argument_gets_one_sentence():
    wrong = [
        (lambda: function_backend(3, kinds="gru"), "the function is of type int"),
        (lambda: function_backend(lambda x: x, kinds="gru"), "has 1 positional parameters"),
        (lambda: function_backend(lambda params, x, h_0: x), "does not say the kind"),
        (lambda: function_backend(my_gru, kinds="grru"), "kinds: expected some of"),
        (lambda: function_backend(my_gru, params=3), "params: expected a function"),
        (lambda: function_backend(my_gru, bidirektional=True), "bidirektional: there is no such argument"),
        (lambda: function_backend(my_gru, dtypes="float64"), "dtypes: float64 needs"),
    ]
    for make, said in wrong:
        with pytest.raises(ValueError) as refusal:  # noqa: PT011  the sentence is looked at
            make()
        assert said in str(refusal.value)
        assert "\n" not in str(refusal.value)
