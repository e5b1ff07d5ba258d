"""The proof that the oracle's gradients are right, and that the proof can fail.

Two second opinions share no code with the oracle: PyTorch's float64 autograd, and the difference quotients of the
documentation evaluated in 50 digits (``tests/scalar.py``). Laws that hold without an expected value follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import reference.gradients as module
from reference.config import KINDS, LayerConfig, numpy_dtype
from reference.gradients import COTANGENTS, evaluate_gradients, gradients
from reference.layers import forward
from reference.parameters import parameter_shapes
from reference.precision import ARITHMETICS, REPLICAS, REPLICAS_ON_FAILURE, allowed, spreads
from tests import scalar

FLOAT64 = ARITHMETICS["float64"]
LAYERS, TINY_LAYERS, LAW_LAYERS = range(100), range(20), range(25)  # seeds, of each kind
ORDINARY = {"T": 9, "N": 4, "size": 9, "L": 3}  # the largest values
TINY = {"T": 3, "N": 2, "size": 2, "L": 2, "bits": 8}
FEWEST, FEWEST_TINY = 30, 3  # layers with each feature, of all kinds together
WRONG_LAYERS = 4  # the number of layers on which each wrong variant must fail


@dataclass(frozen=True)
class Example:
    """A layer, its arguments, and the cotangents of its results."""

    config: LayerConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h_0: np.ndarray | None
    c_0: np.ndarray | None
    lengths: list[int] | None
    d_output: np.ndarray | None
    d_h_n: np.ndarray | None
    d_c_n: np.ndarray | None
    masks: list[np.ndarray] | None

    @property
    def arguments(self) -> tuple:
        states, cotangents = (self.h_0, self.c_0), (self.d_output, self.d_h_n, self.d_c_n)
        return self.config, self.parameters, self.x, *states, self.lengths, *cotangents, self.masks

    @property
    def inputs(self) -> tuple:
        """The arguments of ``forward``."""
        return self.config, self.parameters, self.x, self.h_0, self.c_0, self.lengths, self.masks

    @property
    def unbatched(self) -> bool:
        return self.x.ndim == 2

    @property
    def time(self) -> int:
        """The axis of x and of the output along which time runs."""
        return 1 if self.config.batch_first and not self.unbatched else 0

    @property
    def padding(self) -> np.ndarray:
        """True where x, and the output, lie past a sample's end, (T, N) or (N, T)."""
        past = np.arange(self.x.shape[self.time])[:, None] >= np.asarray(self.lengths)
        return past.T if self.config.batch_first else past

    def oracle(self) -> dict[str, np.ndarray]:
        return gradients(*self.arguments)

    def margin(self, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
        """Return the largest difference as a fraction of the tolerance, with more replicas if above 1."""
        assert list(ours) == list(theirs)
        assert [a.shape for a in ours.values()] == [a.shape for a in theirs.values()]
        off = [np.abs((theirs[name] - ours[name]).astype(float)) for name in ours]
        right = self.oracle()
        for replicas in (REPLICAS, *REPLICAS_ON_FAILURE):
            worst = np.max([_worst(o, a) for o, a in zip(off, self.allowed(right, replicas), strict=True)])
            if worst <= 1:
                break
        return worst

    def allowed(self, right: dict[str, np.ndarray], replicas: int) -> list[np.ndarray]:
        """Return the tolerance in float64 at each element of the gradients."""

        def function(x, h_0, c_0, d_output, d_h_n, d_c_n):
            cotangents = d_output, d_h_n, d_c_n
            d = evaluate_gradients(self.config, self.parameters, x, h_0, c_0, self.lengths, *cotangents, self.masks)
            return [d[name] for name in right]

        arrays = self.x, self.h_0, self.c_0, self.d_output, self.d_h_n, self.d_c_n
        return [allowed(s, FLOAT64) for s in spreads(function, arrays, list(right.values()), FLOAT64, replicas)]

    @property
    def padded(self) -> bool:
        return self.lengths is not None and bool(self.padding.any())

    def features(self) -> dict[str, bool]:
        """Return the features that the proofs must cover, and whether this example has them."""
        config, D = self.config, self.config.directions
        stack, dropped = config.num_layers > 1, self.masks is not None and 0 < np.mean(self.masks) < 1
        return {
            "one layer": not stack,
            "stack": stack,
            "bidirectional": D == 2,
            "bidirectional stack": D == 2 and stack,
            "bias": config.bias,
            "no bias": not config.bias,
            "projection": config.proj_size > 0,
            "batch first": config.batch_first and not self.unbatched,
            "unbatched": self.unbatched,
            "states": self.h_0 is not None,
            "no states": self.h_0 is None,
            "lengths in ascending order": self.lengths is not None and any(np.diff(self.lengths) > 0),
            "lengths in descending order": self.lengths is not None and any(np.diff(self.lengths) < 0),
            "padding in a bidirectional stack": self.padded and D == 2 and stack,
            "dropout": bool(dropped),
            "dropout and padding": bool(dropped) and self.padded,
            "no d_output": self.d_output is None,
            "d_output alone": self.d_h_n is None and self.d_c_n is None,
            "d_h_n": self.d_h_n is not None,
            "d_c_n": self.d_c_n is not None,
        }


def _worst(off: np.ndarray, allowance: np.ndarray) -> float:
    """Return the largest error as a fraction of the allowance; infinite if an allowance of 0 is exceeded."""
    assert np.isfinite(allowance).all()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(off == 0, 0, off / allowance)))


def random_example(kind: str, seed: int, T: int, N: int, size: int, L: int, bits: int | None = None) -> Example:
    """Draw any documented layer with at most T steps, N samples, ``size`` features and L layers, of ``bits`` bits."""
    rng = np.random.default_rng([KINDS.index(kind), seed, T])
    T, N, I, H, L = (int(rng.integers(1, most + 1)) for most in (T, N, size, size, L))
    config = LayerConfig(
        kind,
        input_size=I,
        hidden_size=H,
        num_layers=L,
        bias=bool(rng.random() < 0.75),
        batch_first=bool(rng.random() < 0.4),
        dropout=float(rng.choice([0, 0.25, 0.5])) if L > 1 else 0.0,
        bidirectional=bool(rng.random() < 0.5),
        proj_size=int(rng.integers(1, H)) if kind == "lstm" and H > 1 and rng.random() < 0.5 else 0,
        dtype="float64",
    )
    D, O = config.directions, config.output_size
    unbatched = bool(rng.random() < 0.15)
    batch = () if unbatched else (N,)
    rows = D * L, *batch
    scale = rng.choice([1.0, 2.0]) if kind != "rnn_relu" else 1.0

    def normal(*shape):
        a = rng.standard_normal(shape)
        return a if bits is None else np.round(a * 2**bits) / 2**bits

    def steps(width):
        return (N, T, width) if config.batch_first and not unbatched else (T, *batch, width)

    states = bool(rng.random() < 0.6)
    some = rng.random(3) < 0.75  # which cotangents there are
    if kind != "lstm":
        some[2] = False
    if not some.any():
        some[0] = True
    return Example(
        config,
        {name: normal(*shape) * (scale / 2 ** np.ceil(np.log2(H) / 2)) for name, shape in _shapes(config)},
        normal(*steps(I)),
        normal(*rows, O) if states else None,
        normal(*rows, H) if states and kind == "lstm" else None,
        [int(n) for n in rng.integers(1, T + 1, N)] if not unbatched and rng.random() < 0.6 else None,
        normal(*steps(D * O)) if some[0] else None,
        normal(*rows, O) if some[1] else None,
        normal(*rows, H) if some[2] else None,
        [rng.random((T, N if batch else 1, D * O)) >= config.dropout for _ in range(L - 1)] if config.dropout else None,
    )


def _shapes(config: LayerConfig):
    return parameter_shapes(config).items()


def examples(kinds: Sequence[str] = KINDS, seeds: Sequence[int] = LAYERS, **most: int) -> list[Example]:
    return [random_example(kind, seed, **(most or ORDINARY)) for seed in seeds for kind in kinds]


def times_met(examples: Sequence[Example]) -> dict[str, int]:
    """Count the examples with each feature."""
    return {name: sum(example.features()[name] for example in examples) for name in examples[0].features()}


# PyTorch's autograd


def torch_gradients(example: Example) -> dict[str, np.ndarray]:
    """Differentiate by torch.autograd; with masks layer by layer, because torch.nn draws its own masks."""
    config = example.config
    given = {"x": example.x, "h_0": example.h_0, "c_0": example.c_0} | example.parameters
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in given.items() if a is not None}
    output, states = leaves["x"], [leaves[name] for name in ("h_0", "c_0") if name in leaves]
    if example.masks is None:
        output, ends = _torch_layer(config, leaves, output, states, example.lengths)
    else:
        D, ends = config.directions, []
        for layer in range(config.num_layers):
            one = replace(config, input_size=output.shape[-1], num_layers=1, dropout=0.0)
            names = {name: name.replace("_l0", f"_l{layer}") for name, _ in _shapes(one)}
            own = {name: leaves[name_of_stack] for name, name_of_stack in names.items()}
            own_states = [s[layer * D : (layer + 1) * D] for s in states]
            output, end = _torch_layer(one, own, output, own_states, example.lengths)
            ends.append(end)
            if layer < config.num_layers - 1:
                mask = example.masks[layer][:, 0] if example.unbatched else example.masks[layer]
                mask = torch.tensor(np.moveaxis(mask, 0, example.time))
                output = output * mask / (1 - config.dropout)
        ends = [torch.cat(rows) for rows in zip(*ends, strict=True)]
    cotangents = example.d_output, example.d_h_n, example.d_c_n
    pairs = [(y, torch.tensor(d)) for y, d in zip((output, *ends), cotangents, strict=False) if d is not None]
    found = torch.autograd.grad(
        [y for y, _ in pairs], list(leaves.values()), [d for _, d in pairs], materialize_grads=True, allow_unused=True
    )
    return {name: d.numpy() for name, d in zip(leaves, found, strict=True)}


def _torch_layer(config, parameters, x, states, lengths):
    """Run torch's module of a configuration; return output and [h_n] or [h_n, c_n]."""
    sizes = config.input_size, config.hidden_size, config.num_layers
    options = {name: getattr(config, name) for name in ("bias", "batch_first", "bidirectional")}
    options["dtype"] = torch.float64
    match config.kind:
        case "lstm":
            layer = torch.nn.LSTM(*sizes, proj_size=config.proj_size, **options)
        case "gru":
            layer = torch.nn.GRU(*sizes, **options)
        case _:
            layer = torch.nn.RNN(*sizes, nonlinearity=config.kind.removeprefix("rnn_"), **options)
    lstm = config.kind == "lstm"
    if lengths is not None:
        steps = x.shape[1 if config.batch_first else 0]
        x = pack_padded_sequence(x, torch.tensor(lengths), config.batch_first, enforce_sorted=False)
    own = {name: parameters[name] for name, _ in _shapes(config)}
    states = None if not states else tuple(states) if lstm else states[0]
    output, ends = torch.func.functional_call(layer, own, (x, states))
    if lengths is not None:
        output, _ = pad_packed_sequence(output, config.batch_first, total_length=steps)
    return output, list(ends) if lstm else [ends]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_torch(kind):
    for seed, example in zip(LAYERS, examples([kind]), strict=True):
        margin = example.margin(example.oracle(), torch_gradients(example))
        assert margin <= 1, f"{kind}, seed {seed}: {example.features()}"


def test_every_feature_met_torch():
    met = times_met(examples())
    assert min(met.values()) >= FEWEST, met


# Difference quotients in 50 digits


def difference_quotients(example: Example) -> dict[str, np.ndarray]:
    """Compute (s(a + e) - s(a - e)) / 2e for every element a of every argument, where s is the differentiated sum.

    The numbers have few bits, so that a + e and a - e are exact. The quotient errs by e**2, which is far below the
    rounding of float64.
    """
    e = 2.0**-40
    given = {"x": example.x, "h_0": example.h_0, "c_0": example.c_0} | example.parameters
    arrays = {name: a.copy() for name, a in given.items() if a is not None}
    parameters = {name: arrays[name] for name in example.parameters}
    states = arrays.get("h_0"), arrays.get("c_0")

    def s():
        results = scalar.layer(example.config, parameters, arrays["x"], *states, example.lengths, example.masks)
        cotangents = example.d_output, example.d_h_n, example.d_c_n
        return sum(np.sum(y * d) for y, d in zip(results, cotangents, strict=True) if d is not None)

    quotients = {name: np.empty(a.shape, dtype=object) for name, a in arrays.items()}
    for name, a in arrays.items():
        for index, value in np.ndenumerate(a):
            ends = []
            for end in (value + e, value - e):
                assert abs(end - value) == e
                a[index] = end
                ends.append(s())
            a[index] = value
            quotients[name][index] = (ends[0] - ends[1]) / (2 * e)
    return quotients


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_difference_quotients(kind):
    for seed, example in zip(TINY_LAYERS, examples([kind], TINY_LAYERS, **TINY), strict=True):
        margin = example.margin(example.oracle(), difference_quotients(example))
        assert margin <= 1, f"{kind}, seed {seed}: {example.features()}"


def test_every_feature_met_the_difference_quotients():
    met = times_met(examples(KINDS, TINY_LAYERS, **TINY))
    assert min(met.values()) >= FEWEST_TINY, met


# Wrong gradients: the tolerance that passes the right ones must fail each of them against PyTorch.


def chunked(example: Example, at: int, hand_back: bool = True) -> dict[str, np.ndarray]:
    """Differentiate the steps from ``at`` on, then the earlier steps from the gradients of the later states."""

    def steps(a, piece):
        return None if a is None else a[:, piece] if example.time == 1 else a[piece]

    def chunk(piece, **changes):
        x, d_output = (steps(a, piece) for a in (example.x, example.d_output))
        masks = None if example.masks is None else [mask[piece] for mask in example.masks]
        return replace(example, x=x, d_output=d_output, masks=masks, **changes)

    before, after = slice(at), slice(at, None)
    first = chunk(before, d_h_n=None, d_c_n=None)
    middle = forward(*first.inputs)
    later = chunk(after, h_0=middle.h_n, c_0=middle.c_n).oracle()
    d_states = {"d_h_n": later["h_0"], "d_c_n": later.get("c_0")} if hand_back else {}
    earlier = replace(first, **d_states).oracle()
    joined = {"x": np.concatenate([earlier["x"], later["x"]], axis=example.time)}
    states = {name: earlier[name] for name in ("h_0", "c_0") if name in earlier}
    return joined | states | {name: earlier[name] + later[name] for name in example.parameters}


def in_chunks(example: Example) -> bool:
    """Return whether the steps can be cut into chunks: one direction, no lengths, several steps."""
    return example.config.directions == 1 and example.lengths is None and example.x.shape[example.time] > 1


def cut(example):
    return chunked(example, example.x.shape[example.time] // 2, hand_back=False)


def halved_bias(example):
    return {name: a / 2 if name.startswith("bias") else a for name, a in example.oracle().items()}


def no_h_0(example):
    d = example.oracle()
    return d | {"h_0": np.zeros_like(d["h_0"])}


def into_padding(example):
    with mock.patch.object(module, "_while_running", lambda a, running: a):
        leaked = example.oracle()["x"]
    return example.oracle() | {"x": leaked}


def transposed_projection(example):
    d = example.oracle()
    return {name: a.reshape(a.shape[::-1]).T if name.startswith("weight_hr") else a for name, a in d.items()}


def no_d_c_n(example):
    return replace(example, d_c_n=None).oracle()


def no_d_h_n(example):
    return replace(example, d_h_n=None).oracle()


def reverse_at_the_wrong_end(example):
    """Differentiate as if the last layer's reverse h_n were its output at the last step instead of the first."""
    d_output = np.moveaxis(np.zeros_like(forward(*example.inputs).output), example.time, 0)
    if example.d_output is not None:
        d_output += np.moveaxis(example.d_output, example.time, 0)
    d_output[-1, ..., example.config.output_size :] += example.d_h_n[-1]
    d_h_n = np.concatenate([example.d_h_n[:-1], np.zeros_like(example.d_h_n[-1:])])
    return replace(example, d_output=np.moveaxis(d_output, 0, example.time), d_h_n=d_h_n).oracle()


def accumulated(example):
    d = example.oracle()
    return d | {name: d[name] + d[name] for name in example.parameters}


def reset_gate_forgotten(example):
    """Differentiate n_t as tanh(x_n + u_n) with respect to u_n, but not to r_t."""

    def gru(*arguments):
        d_x, _, d_h, d_c = COTANGENTS_OF_GRU(*arguments)
        return d_x, d_x, d_h, d_c

    with mock.patch.dict(COTANGENTS, gru=gru):
        return example.oracle()


COTANGENTS_OF_GRU = COTANGENTS["gru"]

# Each wrong variant with the layers on which it is wrong. rnn_relu is left out: if all its units are at zero, so are
# its gradients, and half of zero is right.
WRONG: dict[Callable, Callable[[Example], bool]] = {
    halved_bias: lambda example: example.config.bias,
    cut: in_chunks,
    no_h_0: lambda example: example.h_0 is not None,
    into_padding: lambda example: example.padded,
    transposed_projection: lambda example: example.config.proj_size > 1,
    no_d_c_n: lambda example: example.d_c_n is not None,
    no_d_h_n: lambda example: example.d_h_n is not None,
    reverse_at_the_wrong_end: lambda example: (
        example.config.bidirectional and example.d_h_n is not None and example.x.shape[example.time] > 1
    ),
    accumulated: lambda example: True,
    reset_gate_forgotten: lambda example: example.config.kind == "gru",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_wrong_gradients_are_told(wrong):
    met = [example for example in examples(("rnn_tanh", "lstm", "gru")) if WRONG[wrong](example)][:WRONG_LAYERS]
    assert len(met) == WRONG_LAYERS
    for example in met:
        assert example.margin(wrong(example), torch_gradients(example)) > 1, example.config


# Laws


def law_examples(holds: Callable[[Example], bool] = lambda example: True) -> list[Example]:
    """Return layers of every kind for which ``holds`` is true."""
    found = [example for example in examples(seeds=LAW_LAYERS) if holds(example)]
    assert {example.config.kind for example in found} == set(KINDS)
    return found


def cotangents(example: Example, seed: int) -> dict[str, np.ndarray]:
    """Draw cotangents of all results."""
    rng = np.random.default_rng(seed)
    results = dict(zip(("d_output", "d_h_n", "d_c_n"), forward(*example.inputs), strict=True))
    return {name: rng.standard_normal(y.shape) for name, y in results.items() if y is not None}


def test_without_cotangents_there_is_no_gradient():
    for example in law_examples():
        zeros = {name: np.zeros_like(d) for name, d in cotangents(example, 0).items()}
        for none in (zeros, {"d_output": None, "d_h_n": None, "d_c_n": None}):
            assert not any(a.any() for a in replace(example, **none).oracle().values())


def test_gradients_are_linear_in_the_cotangents():
    for example in law_examples():
        d_1, d_2 = cotangents(example, 1), cotangents(example, 2)
        three = [replace(example, **d) for d in (d_1, d_2, {name: d_1[name] + d_2[name] for name in d_1})]
        first, second, both = (each.oracle() for each in three)
        # where the two nearly cancel, each may err by more than their sum
        allowances = zip(*(each.allowed(each.oracle(), REPLICAS_ON_FAILURE[0]) for each in three), strict=True)
        for name, allowance in zip(both, allowances, strict=True):
            assert _worst(np.abs(both[name] - (first[name] + second[name])), sum(allowance)) <= 1
        doubled = replace(example, **{name: 2 * d for name, d in d_1.items()}).oracle()
        assert all(np.array_equal(doubled[name], 2 * first[name]) for name in doubled)


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, 1e300])
def test_padding_gives_and_takes_nothing(rubbish):
    for example in law_examples(lambda example: example.padded):
        example = replace(example, **cotangents(example, 3))
        past = example.padding[..., None]
        filled = replace(
            example, x=np.where(past, rubbish, example.x), d_output=np.where(past, rubbish, example.d_output)
        )
        clean, came = example.oracle(), filled.oracle()
        assert all(np.array_equal(came[name], clean[name]) for name in clean)
        assert not came["x"][example.padding].any()


@pytest.mark.parametrize("rubbish", [np.nan, np.inf])
def test_samples_do_not_reach_each_other(rubbish):
    for example in law_examples(lambda example: not example.unbatched and example.x.shape[1 - example.time] > 1):
        x = example.x.copy()
        np.moveaxis(x, 1 - example.time, 0)[0] = rubbish
        clean, came = example.oracle(), replace(example, x=x).oracle()
        axes = {"x": 1 - example.time, "h_0": 1, "c_0": 1}
        for name in axes.keys() & clean.keys():
            others = (np.delete(d[name], 0, axes[name]) for d in (came, clean))
            assert np.array_equal(*others)


def test_chunks_handed_back_are_the_whole():
    for example in law_examples(in_chunks):
        for at in {1, example.x.shape[example.time] - 1}:
            assert example.margin(example.oracle(), chunked(example, at)) <= 1


def test_gradients_of_a_batch_are_those_of_its_samples():
    for example in law_examples(lambda example: not example.unbatched):
        N = example.x.shape[1 - example.time]

        def sample(a, n, axis):
            return None if a is None else np.take(a, [n], axis)

        alone = [
            replace(
                example,
                x=sample(example.x, n, 1 - example.time),
                d_output=sample(example.d_output, n, 1 - example.time),
                lengths=None if example.lengths is None else example.lengths[n : n + 1],
                masks=None if example.masks is None else [sample(mask, n, 1) for mask in example.masks],
                **{name: sample(getattr(example, name), n, 1) for name in ("h_0", "c_0", "d_h_n", "d_c_n")},
            ).oracle()
            for n in range(N)
        ]
        axes = {"x": 1 - example.time, "h_0": 1, "c_0": 1}
        whole = {
            name: np.concatenate([d[name] for d in alone], axes[name]) if name in axes else sum(d[name] for d in alone)
            for name in alone[0]
        }
        assert example.margin(example.oracle(), whole) <= 1


def test_omitted_states_are_zeros_and_get_no_gradient():
    for example in law_examples(lambda example: example.h_0 is not None):
        zeros = replace(
            example,
            h_0=np.zeros_like(example.h_0),
            c_0=None if example.c_0 is None else np.zeros_like(example.c_0),
        )
        given, omitted = zeros.oracle(), replace(example, h_0=None, c_0=None).oracle()
        states = ["h_0", "c_0"] if example.config.kind == "lstm" else ["h_0"]
        assert list(given) == ["x", *states, *example.parameters]
        assert list(omitted) == ["x", *example.parameters]
        assert all(np.array_equal(omitted[name], given[name]) for name in omitted)


def test_relu_has_no_gradient_at_zero():
    config = LayerConfig("rnn_relu", 2, 3, dtype="float64")
    zeros = {name: np.zeros(shape) for name, shape in _shapes(config)}
    parameters = zeros | {"weight_ih_l0": np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]])}
    example = Example(config, parameters, np.array([[2.0, -1.0]]), None, None, None, np.ones((1, 3)), None, None, None)
    d = example.oracle()
    assert d["bias_ih_l0"].tolist() == [0, 1, 1]
    assert all(np.array_equal(a, d[name]) for name, a in torch_gradients(example).items())


# Arguments and results


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gradients_are_float64_and_arguments_stay_as_they_are(dtype):
    for example in law_examples():
        config = replace(example.config, dtype=dtype)
        narrow, wide = (
            [None if a is None else a.astype(numpy_dtype(dtype)).astype(last) for a in _arrays(example)]
            for last in (numpy_dtype(dtype), np.float64)
        )
        copies = [None if a is None else a.copy() for a in narrow]
        came, right = _of_arrays(example, config, narrow).oracle(), _of_arrays(example, example.config, wide).oracle()
        assert all(a.dtype == np.float64 and np.array_equal(a, right[name]) for name, a in came.items())
        assert all(a is None or np.array_equal(a, copy) for a, copy in zip(narrow, copies, strict=True))


ARRAYS = "x", "h_0", "c_0", "d_output", "d_h_n", "d_c_n"


def _arrays(example: Example) -> list[np.ndarray | None]:
    return [*(getattr(example, name) for name in ARRAYS), *example.parameters.values()]


def _of_arrays(example: Example, config: LayerConfig, arrays: list[np.ndarray | None]) -> Example:
    parameters = dict(zip(example.parameters, arrays[len(ARRAYS) :], strict=True))
    return replace(example, config=config, parameters=parameters, **dict(zip(ARRAYS, arrays, strict=False)))


BATCH = (4, 3)  # T, N
REFUSED = {
    "d_output of another width": ("lstm", "d_output", np.zeros((*BATCH, 5))),
    "d_output with the batch first": ("gru", "d_output", np.zeros((3, 4, 2))),
    "d_output of another dtype": ("gru", "d_output", np.zeros((*BATCH, 2), np.float32)),
    "d_output that is a list": ("gru", "d_output", [[0.0]]),
    "d_h_n without its rows": ("gru", "d_h_n", np.zeros((3, 2))),
    "d_c_n of the size of h_n": ("lstm", "d_c_n", np.zeros((1, 3, 2))),
    "d_c_n where there is no c_n": ("gru", "d_c_n", np.zeros((1, 3, 2))),
    "x of another size": ("gru", "x", np.zeros((*BATCH, 9))),
    "h_0 alone": ("lstm", "c_0", None),
    "lengths past the end": ("gru", "lengths", [1, 5, 2]),
}


@pytest.mark.parametrize(("kind", "argument", "value"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_name(kind, argument, value):
    config = LayerConfig(kind, 2, 3 if kind == "lstm" else 2, proj_size=2 if kind == "lstm" else 0, dtype="float64")
    arguments = {"x": np.zeros((*BATCH, 2)), "h_0": np.zeros((1, 3, 2))}
    if kind == "lstm":
        arguments["c_0"] = np.zeros((1, 3, 3))
    parameters = {name: np.zeros(shape) for name, shape in _shapes(config)}
    gradients(config, parameters, **arguments)
    with pytest.raises(ValueError, match=f"^{argument}: expected "):
        gradients(config, parameters, **arguments | {argument: value})


def test_parameters_that_do_not_fit_are_refused_by_name():
    config = LayerConfig("gru", 2, 2, dtype="float64")
    parameters = {name: np.zeros(shape) for name, shape in _shapes(config)}
    with pytest.raises(ValueError, match=r"^bias_hh_l0: expected shape"):
        gradients(config, parameters | {"bias_hh_l0": np.zeros(2)}, np.zeros((*BATCH, 2)))
