"""The oracle's gradients of cells against PyTorch's autograd in float64 and against differences."""

import numpy as np
import pytest
import torch

import reference
from reference.config import KINDS, CellConfig
from reference.gradients import cell_gradients
from reference.parameters import parameter_shapes

MODULES = {
    "rnn_tanh": torch.nn.RNNCell,
    "rnn_relu": torch.nn.RNNCell,
    "lstm": torch.nn.LSTMCell,
    "gru": torch.nn.GRUCell,
}


def drawn(kind, seed, batch, bias=True):
    """Return a configuration, parameters, x, the states and the cotangents of a cell."""
    rng = np.random.default_rng(seed)
    config = CellConfig(kind, 3, 4, bias=bias, dtype="float64")
    parameters = {name: rng.standard_normal(shape) for name, shape in parameter_shapes(config).items()}
    shape = (*batch, 4)
    x, h, d_h = (rng.standard_normal(s) for s in ((*batch, 3), shape, shape))
    c, d_c = (rng.standard_normal(shape) if kind == "lstm" else None for _ in range(2))
    return config, parameters, x, h, c, d_h, d_c


@pytest.mark.parametrize("batch", [(5,), ()], ids=["batched", "unbatched"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_autograd(kind, bias, batch):
    config, parameters, x, h, c, d_h, d_c = drawn(kind, 1, batch, bias)
    more = {"nonlinearity": kind.removeprefix("rnn_")} if kind.startswith("rnn") else {}
    module = MODULES[kind](3, 4, bias=bias, dtype=torch.float64, **more)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in parameters.items()})
    given = {n: torch.from_numpy(a).requires_grad_() for n, a in (("x", x), ("h", h), ("c", c)) if a is not None}
    states = (given["h"], given["c"]) if kind == "lstm" else given["h"]
    found = module(given["x"], states)
    results = found if kind == "lstm" else (found,)
    cotangents = [torch.from_numpy(d) for d in (d_h, d_c) if d is not None]
    wanted = given | dict(module.named_parameters())
    theirs = dict(zip(wanted, torch.autograd.grad(results, list(wanted.values()), cotangents), strict=True))
    ours = cell_gradients(config, parameters, x, h, c, d_h, d_c)
    assert list(ours) == list(wanted)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name].numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_quotients_of_differences(kind):
    config, parameters, x, h, c, d_h, d_c = drawn(kind, 2, (2,))

    def scalar(moved):
        h_1, c_1 = reference.step(config, parameters, moved, h, c)
        return (d_h * h_1).sum() + (0 if d_c is None else (d_c * c_1).sum())

    found = cell_gradients(config, parameters, x, h, c, d_h, d_c)["x"]
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = 1e-6
        assert found[index] == pytest.approx((scalar(x + step) - scalar(x - step)) / 2e-6, rel=1e-6, abs=1e-8)


def test_omitted_states_have_none_and_omitted_cotangents_are_zeros():
    config, parameters, x, _, _, d_h, _ = drawn("lstm", 3, (2,))
    found = cell_gradients(config, parameters, x, d_h=d_h)
    assert list(found) == ["x", *parameters]
    zeros = np.zeros_like(d_h)
    for name, value in cell_gradients(config, parameters, x, zeros, zeros, d_h, zeros).items():
        if name in found:
            assert np.array_equal(found[name], value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"d_h": np.zeros((3, 4))}, r"d_h: expected shape \(2, 4\)"),
        ({"d_h": np.zeros((2, 4), np.float32)}, "d_h"),
        ({"d_c": np.zeros((2, 4))}, "d_c: expected None, as gru has no c'"),
    ],
    ids=["shape", "dtype", "no cell state"],
)
def test_cotangents_that_do_not_fit(changes, sentence):
    config, parameters, x, h, _, d_h, _ = drawn("gru", 4, (2,))
    with pytest.raises(ValueError, match=sentence):
        cell_gradients(config, parameters, x, h, **({"d_h": d_h} | changes))
