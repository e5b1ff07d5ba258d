"""The proof that the oracle is right, and that the proof can fail.

Two second opinions share no code with the oracle: the documentation evaluated scalar by scalar in 50 digits
(``tests/scalar.py``) on small layers, and PyTorch's float64 layers on larger ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch

from reference.config import DTYPES, KINDS, CellConfig, LayerConfig, numpy_dtype
from reference.layers import evaluate, evaluate_cell, forward, step
from reference.parameters import parameter_shapes
from reference.precision import ARITHMETICS, REPLICAS, REPLICAS_ON_FAILURE, allowed, spreads
from tests import scalar

FLOAT64 = ARITHMETICS["float64"]
LAYERS, CELLS, EXTREME_LAYERS = range(150), range(50), range(25)  # seeds, of each kind
TORCH_LAYERS, TORCH_CELLS = range(60), range(25)
SMALL = {"T": 6, "N": 3, "size": 5, "L": 3}  # the largest values
LARGE = {"T": 40, "N": 5, "size": 33, "L": 3, "dtypes": ("float64",)}

# A bound without reference/precision.py, in ulps (2^-52) of max(1, |value|). Every step adds a few roundings and hardly
# enlarges the earlier ones: a row of W_hh, H weights of at most 1/sqrt(H), has a norm of at most 1. The layers and
# cells below need at most 1.14 ulps a step.
ULPS_PER_STEP = 4.0

FEWEST, FEWEST_TORCH = 10, 3  # layers with each feature: in each kind against 50 digits, in all kinds against PyTorch


@dataclass(frozen=True)
class Example:
    """A layer or cell and its arguments."""

    config: LayerConfig | CellConfig
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    h: np.ndarray | None = None
    c: np.ndarray | None = None
    lengths: Sequence[int] | None = None
    masks: list[np.ndarray] | None = None

    @property
    def inputs(self) -> tuple:
        common = (self.config, self.parameters, self.x, self.h, self.c)
        return common if isinstance(self.config, CellConfig) else (*common, self.lengths, self.masks)

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        if isinstance(self.config, CellConfig):
            return 1
        return self.x.shape[1 if self.x.ndim == 3 and self.config.batch_first else 0]

    def oracle(self) -> tuple:
        """Return (output, h_n, c_n) of a layer, (h', c') of a cell. Raises FloatingPointError except for underflow."""
        with np.errstate(all="raise", under="ignore"):
            if isinstance(self.config, CellConfig):
                return step(*self.inputs)
            result = forward(*self.inputs)
            return result.output, result.h_n, result.c_n

    def exactly(self) -> tuple:
        """Return the results of the documentation in 50 digits."""
        return (scalar.cell if isinstance(self.config, CellConfig) else scalar.layer)(*self.inputs)

    def allowed(self, results: Sequence[np.ndarray | None], replicas: int) -> list[np.ndarray | None]:
        """Return the tolerance in float64 at each element of the oracle's results."""
        parameters = {name: values.astype(np.float64) for name, values in self.parameters.items()}

        def function(x, h, c):
            if isinstance(self.config, CellConfig):
                return evaluate_cell(self.config, parameters, x, h, c)
            result = evaluate(self.config, parameters, x, h, c, self.lengths, self.masks)
            return result.output, result.h_n, result.c_n

        arrays = [None if a is None else a.astype(np.float64) for a in (self.x, self.h, self.c)]
        found = spreads(function, arrays, results, FLOAT64, replicas)
        return [None if s is None else allowed(s, FLOAT64) for s in found]


def random_layer(kind: str, seed: int, T: int, N: int, size: int, L: int, dtypes: Sequence[str] = DTYPES) -> Example:
    """Draw any documented layer with at most T steps, N samples, ``size`` features and L layers."""
    rng = np.random.default_rng([KINDS.index(kind), seed, T])
    T, N, H, L = (int(rng.integers(1, most + 1)) for most in (T, N, size, L))
    config = LayerConfig(
        kind,
        input_size=int(rng.integers(1, max(2, size))),
        hidden_size=H,
        num_layers=L,
        bias=bool(rng.random() < 0.75),
        batch_first=bool(rng.random() < 0.5),
        dropout=float(rng.choice([0, 0.25, 0.7])),
        bidirectional=bool(rng.random() < 0.5),
        proj_size=int(rng.integers(1, H)) if kind == "lstm" and H > 1 and rng.random() < 0.5 else 0,
        dtype=str(rng.choice(dtypes)),
    )
    unbatched = rng.random() < 0.2
    batch = () if unbatched else (N,)
    steps = (*batch, T) if config.batch_first else (T, *batch)
    rows, width = config.directions * L, config.directions * config.output_size
    has_states = rng.random() < 0.6
    return Example(
        config,
        random_parameters(config, rng),
        draw(rng, (*steps, config.input_size), config.dtype),
        draw(rng, (rows, *batch, config.output_size), config.dtype) if has_states else None,
        draw(rng, (rows, *batch, H), config.dtype) if has_states and kind == "lstm" else None,
        [int(n) for n in rng.integers(1, T + 1, N)] if not unbatched and rng.random() < 0.6 else None,
        [rng.random((T, 1 if unbatched else N, width)) >= config.dropout for _ in range(L - 1)]
        if config.dropout > 0
        else None,
    )


def random_cell(kind: str, seed: int, N: int, size: int, dtypes: Sequence[str] = DTYPES) -> Example:
    rng = np.random.default_rng([KINDS.index(kind), seed, N])
    features, H = (int(n) for n in rng.integers(1, size + 1, 2))
    config = CellConfig(kind, features, H, bias=bool(rng.random() < 0.75), dtype=str(rng.choice(dtypes)))
    batch = () if rng.random() < 0.3 else (int(rng.integers(1, N + 1)),)
    has_states = rng.random() < 0.6
    return Example(
        config,
        random_parameters(config, rng),
        draw(rng, (*batch, features), config.dtype),
        draw(rng, (*batch, H), config.dtype) if has_states else None,
        draw(rng, (*batch, H), config.dtype) if has_states and kind == "lstm" else None,
    )


def random_parameters(config: LayerConfig | CellConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw parameters from -1/sqrt(H) to 1/sqrt(H), as PyTorch initializes them."""
    k, dtype = config.hidden_size**-0.5, numpy_dtype(config.dtype)
    return {name: rng.uniform(-k, k, shape).astype(dtype) for name, shape in parameter_shapes(config).items()}


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return rng.standard_normal(shape).astype(numpy_dtype(dtype))


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Use one thread: more threads slow such small layers down, threefold on shared cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@np.vectorize(otypes=[float])
def distance(a, b) -> float:
    """Return |a - b| of float64 or 50-digit numbers, rounded only at the end."""
    return float(abs(scalar.mp.mpf(a) - scalar.mp.mpf(b)))


def errors(results: Sequence, others: Sequence) -> list[np.ndarray]:
    """Return the distance of each pair of results, element by element; None must be in the same places."""
    assert [r is None for r in results] == [o is None for o in others]
    pairs = [(r, o) for r, o in zip(results, others, strict=True) if r is not None]
    assert [r.shape for r, _ in pairs] == [o.shape for _, o in pairs]
    assert all(r.dtype == np.float64 and np.isfinite(r).all() for r, _ in pairs)
    return [distance(r, o) for r, o in pairs]


def excess(example: Example, others: Sequence) -> float:
    """Return the largest error as a fraction of the tolerance: at most 1 if the oracle and the others agree."""
    results = example.oracle()
    apart = errors(results, others)
    for replicas in (REPLICAS, REPLICAS_ON_FAILURE[0]):  # the tolerance of few replicas can be too small
        limits = [limit for limit in example.allowed(results, replicas) if limit is not None]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [np.where(e == 0, 0, e / limit) for e, limit in zip(apart, limits, strict=True)]
        largest = max(ratio.max() for ratio in ratios)
        if largest <= 1:
            break
    return largest


def ulps(example: Example, others: Sequence) -> float:
    """Return the largest error in ulps (2^-52) of max(1, |value|)."""
    results = example.oracle()
    scales = [np.maximum(1, abs(r)) for r in results if r is not None]
    return max((e / scale).max() for e, scale in zip(errors(results, others), scales, strict=True)) * 2**52


# The oracle and the documentation in 50 digits.


@pytest.mark.parametrize("seed", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_layer_is_the_documentation_in_50_digits(kind, seed):
    example = random_layer(kind, seed, **SMALL)
    exactly = example.exactly()
    assert excess(example, exactly) <= 1
    assert ulps(example, exactly) <= ULPS_PER_STEP * example.steps


@pytest.mark.parametrize("seed", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_cell_is_the_documentation_in_50_digits(kind, seed):
    example = random_cell(kind, seed, N=3, size=5)
    exactly = example.exactly()
    assert excess(example, exactly) <= 1
    assert ulps(example, exactly) <= ULPS_PER_STEP


@pytest.mark.parametrize("seed", EXTREME_LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_saturated_layer_is_the_documentation_in_50_digits(kind, seed):
    """Biases carry most preactivations to about +-100 and +-800, some weights are large; nothing overflows."""
    drawn = random_layer(kind, seed, **SMALL)
    config, rng = replace(drawn.config, bias=True), np.random.default_rng(seed)
    parameters = random_parameters(config, rng)
    for name, values in parameters.items():
        if name.startswith("weight"):
            values *= rng.choice([1, 4]).astype(values.dtype)
        if name.startswith("bias_ih"):
            values += rng.choice([0, 100, -100, 800, -800], values.shape).astype(values.dtype)
    example = replace(drawn, config=config, parameters=parameters)
    assert excess(example, example.exactly()) <= 1


@pytest.mark.parametrize("size", [100.0, 800.0])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_saturated_gates_keep_or_replace_the_state(kind, size):
    """A saturated gate is 0 or 1 to within the precision of float64, for either sign."""
    config = CellConfig(kind, 1, 1, dtype="float64")
    blocks = scalar.BLOCKS[kind]

    def stepped(**gates):
        bias = np.array([gates.get(gate, 0.0) for gate in blocks])
        weights = {"weight_ih": np.zeros((len(blocks), 1)), "weight_hh": np.zeros((len(blocks), 1))}
        with np.errstate(all="raise", under="ignore"):
            states = (np.full(1, 0.7),) * (2 if kind == "lstm" else 1)
            return step(config, weights | {"bias_ih": bias, "bias_hh": 0 * bias}, np.ones(1), *states)

    if kind == "lstm":
        h, c = stepped(i=-size, f=size, g=size, o=size)
        assert c == 0.7
        assert abs(h - np.tanh(0.7)) < 2**-52
        h, c = stepped(i=size, f=-size, g=-size, o=-size)
        assert c == -1
        assert abs(h) < np.exp(-99)
    else:
        assert stepped(z=size, n=size)[0] == 0.7
        assert stepped(z=-size, n=-size)[0] == -1


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_of_1_leaves_nothing(kind):
    """With everything dropped the last layer's input is zeros, without a division 1/(1 - 1)."""
    config = LayerConfig(kind, 2, 3, num_layers=2, dropout=1.0, dtype="float64")
    x, masks = np.ones((4, 2, 2)), [np.zeros((4, 2, 3), bool)]
    parameters = random_parameters(config, np.random.default_rng(1))
    last = LayerConfig(kind, 3, 3, dtype="float64")
    of_last = {name.replace("_l1", "_l0"): p for name, p in parameters.items() if name.endswith("_l1")}
    with np.errstate(all="raise", under="ignore"):
        output = forward(config, parameters, x, masks=masks).output
    assert np.array_equal(output, forward(last, of_last, np.zeros((4, 2, 3))).output)


def features(example: Example) -> dict[str, bool]:
    """Return the features that an implementation could get wrong separately, and whether the example has them."""
    config, lengths, steps = example.config, example.lengths, example.steps
    stacked, reverse, states = config.num_layers > 1, config.bidirectional, example.h is not None
    unbatched, dropout, short = example.x.ndim == 2, bool(example.masks), lengths is not None and min(lengths) < steps
    held = {
        "one step": steps == 1,
        "one unit": config.hidden_size == 1,
        "stacked": stacked,
        "three layers": config.num_layers == 3,
        "bidirectional": reverse,
        "bidirectional, stacked": reverse and stacked,
        "no bias": not config.bias,
        "batch first": config.batch_first and not unbatched,
        "unbatched": unbatched,
        "unbatched, batch_first given": config.batch_first and unbatched,
        "states": states,
        "no states": not states,
        "states, bidirectional, stacked": states and reverse and stacked,
        "states, batch first": states and config.batch_first and not unbatched,
        "lengths": short,
        "lengths not falling": short and lengths != sorted(lengths, reverse=True),
        "lengths all below T": short and max(lengths) < steps,
        "lengths, bidirectional": short and reverse,
        "lengths, batch first": short and config.batch_first,
        "dropout": dropout,
        "dropout, bidirectional": dropout and reverse,
        "dropout, lengths": dropout and short,
        "dropout, one layer": example.masks == [],
    }
    if config.kind == "lstm":
        projection = config.proj_size > 0
        held |= {
            "projection": projection,
            "projection, bidirectional, stacked": projection and reverse and stacked,
            "projection, states": projection and states,
            "projection, lengths": projection and short,
        }
    return held


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_is_put_to_the_documentation(kind):
    layers = [random_layer(kind, seed, **SMALL) for seed in LAYERS]
    counts = Counter(example.config.dtype for example in layers)
    for example in layers:
        counts.update(features(example))
    assert {name: n for name, n in counts.items() if n < FEWEST} == {}
    assert set(DTYPES) < set(counts)


# The oracle and PyTorch's float64.


def torch_module(config: LayerConfig | CellConfig, parameters: dict[str, np.ndarray]) -> torch.nn.Module:
    """Build PyTorch's layer or cell of a configuration with those parameters."""
    name = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}[config.kind]
    options = {"bias": config.bias, "dtype": torch.float64}
    if name == "RNN":
        options["nonlinearity"] = config.kind.removeprefix("rnn_")
    if isinstance(config, CellConfig):
        module = getattr(torch.nn, f"{name}Cell")(config.input_size, config.hidden_size, **options)
    else:
        options |= {a: getattr(config, a) for a in ("num_layers", "batch_first", "dropout", "bidirectional")}
        options |= {"proj_size": config.proj_size} if name == "LSTM" else {}
        module = getattr(torch.nn, name)(config.input_size, config.hidden_size, **options)
    module.load_state_dict({name: torch.from_numpy(values) for name, values in parameters.items()})
    return module


def torch_states(example: Example):
    """Return the states as PyTorch's module takes them, after the input."""
    h, c = (None if a is None else torch.from_numpy(a) for a in (example.h, example.c))
    return (h, c) if c is not None else h


@torch.no_grad()
def torch_layer(example: Example, seed: int) -> tuple[tuple, list[np.ndarray] | None]:
    """Return (output, h_n, c_n) of PyTorch, and its dropout masks.

    PyTorch does not return masks. Dropout of ones from the same seed shows them: only dropout draws random numbers, in
    the order of the layers.
    """
    config, T, lengths = example.config, example.steps, example.lengths
    module = torch_module(config, example.parameters).train(bool(example.masks))
    x = torch.from_numpy(example.x)
    packed = None
    if lengths is not None:
        x = packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, config.batch_first, enforce_sorted=False)
    torch.manual_seed(seed)
    output, states = module(x, torch_states(example))
    if packed:
        output = padded(output, config.batch_first, T)
    h_n, c_n = states if config.kind == "lstm" else (states, None)

    torch.manual_seed(seed)
    masks = None if example.masks is None else []
    for mask in example.masks or ():
        ones = torch.ones((len(packed.data), mask.shape[-1]) if packed else mask.shape, dtype=torch.float64)
        kept = torch.nn.functional.dropout(ones, config.dropout) > 0
        masks.append((padded(packed._replace(data=kept), False, T) if packed else kept).numpy())
    return (output.numpy(), h_n.numpy(), None if c_n is None else c_n.numpy()), masks


def padded(packed: torch.nn.utils.rnn.PackedSequence, batch_first: bool, T: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first, total_length=T)[0]


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")  # for single layers
@pytest.mark.parametrize("seed", TORCH_LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_layer_is_pytorchs(kind, seed):
    example = random_layer(kind, seed, **LARGE)
    theirs, masks = torch_layer(example, seed)
    assert excess(replace(example, masks=masks), theirs) <= 1


@pytest.mark.parametrize("seed", TORCH_CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_cell_is_pytorchs(kind, seed):
    example = random_cell(kind, seed, N=20, size=33, dtypes=("float64",))
    with torch.no_grad():
        theirs = torch_module(example.config, example.parameters)(torch.from_numpy(example.x), torch_states(example))
    h, c = theirs if kind == "lstm" else (theirs, None)
    assert excess(example, (h.numpy(), None if c is None else c.numpy())) <= 1


def test_every_feature_is_put_to_pytorch():
    counts = Counter()
    for kind in KINDS:
        for seed in TORCH_LAYERS:
            counts.update(features(random_layer(kind, seed, **LARGE)))
    assert {name: n for name, n in counts.items() if n < FEWEST_TORCH} == {}


# The proof can fail: a mistake of each sort, in the 50-digit evaluation or in its arguments, shows in every layer with
# the features for it.


def reset_before_the_product(example: Example, patch: pytest.MonkeyPatch) -> tuple:
    """Evaluate n = tanh(W_in x + b_in + W_hn (r * h) + b_hn), as in the original paper; the documentation differs."""

    def gru(Wi, Wh, h, c):
        r = [scalar.sigmoid(a + b) for a, b in zip(Wi("r"), Wh("r", h), strict=True)]
        reset = [r_j * h_j for r_j, h_j in zip(r, h, strict=True)]
        n = [scalar.mp.tanh(a + b) for a, b in zip(Wi("n"), Wh("n", reset), strict=True)]
        z = [scalar.sigmoid(a + b) for a, b in zip(Wi("z"), Wh("z", h), strict=True)]
        return [(1 - z[j]) * n[j] + z[j] * h[j] for j in range(len(h))], None

    patch.setitem(scalar.EQUATIONS, "gru", gru)
    return example.exactly()


def past_the_ends(example: Example) -> np.ndarray:
    """Return True for each element of the output past the end of its sample."""
    past = np.arange(example.steps) >= np.array(example.lengths)[:, None]
    return (past if example.config.batch_first else past.T)[..., None]


def reverse_from_the_last_step(example: Example, _) -> tuple:
    """Evaluate with a reverse direction that reads the padding first."""
    output, h_n, c_n = example.exactly()
    uncut = replace(example, lengths=None).exactly()[0]
    half = output.shape[-1] // 2
    uncut[..., :half] = output[..., :half]
    return np.where(past_the_ends(example), scalar.mp.zero, uncut), h_n, c_n


def final_state_of_the_last_step(example: Example, _) -> tuple:
    output, _, c_n = example.exactly()
    return output, replace(example, lengths=None).exactly()[1], c_n


def exchanged(example: Example, patch: pytest.MonkeyPatch, blocks: str) -> tuple:
    """Evaluate with the parameters' gate blocks in another order."""
    patch.setitem(scalar.BLOCKS, example.config.kind, blocks)
    return example.exactly()


def update_gate_inverted(example: Example, _) -> tuple:
    """Evaluate with z and 1 - z exchanged: sigmoid(-a) is 1 - sigmoid(a), so the parameters of z are negated."""
    H = example.config.hidden_size
    signs = np.repeat([1, -1, 1], H)
    negated = {name: (p.T * signs.astype(p.dtype)).T for name, p in example.parameters.items()}
    return replace(example, parameters=negated).exactly()


def without(example: Example, of_name: str) -> tuple:
    """Evaluate with zeros for the parameters whose name contains ``of_name``."""
    zeroed = {name: 0 * p if of_name in name else p for name, p in example.parameters.items()}
    return replace(example, parameters=zeroed).exactly()


def states_by_direction(example: Example, _) -> tuple:
    """Evaluate with all forward rows of h_0 and c_0 before all reverse ones."""
    order = np.arange(len(example.h)).reshape(2, -1).T.ravel()
    return replace(example, h=example.h[order], c=None if example.c is None else example.c[order]).exactly()


def reverse_left_reversed(example: Example, _) -> tuple:
    output, h_n, c_n = example.exactly()
    half, time = output.shape[-1] // 2, 1 if example.config.batch_first and example.x.ndim == 3 else 0
    return np.concatenate([output[..., :half], np.flip(output[..., half:], time)], axis=-1), h_n, c_n


def dropout_unscaled(example: Example, _) -> tuple:
    return replace(example, config=replace(example.config, dropout=0.0)).exactly()


# name: (kind, the features that a layer needs to show the mistake, the features that hide it, the mistake)
MISTAKES = {
    "i and f exchanged": ("lstm", {"states"}, set(), lambda e, p: exchanged(e, p, "figo")),
    "g and o exchanged": ("lstm", set(), set(), lambda e, p: exchanged(e, p, "ifog")),
    "r and z exchanged": ("gru", {"states"}, set(), lambda e, p: exchanged(e, p, "zrn")),
    "reset before the product": ("gru", {"states"}, {"one unit"}, reset_before_the_product),
    "1 - z for z": ("gru", {"states"}, set(), update_gate_inverted),
    "one bias of two": ("rnn_tanh", set(), {"no bias"}, lambda e, _: without(e, "bias_hh")),
    "no recurrence": ("rnn_tanh", {"states"}, set(), lambda e, _: without(e, "weight_hh")),
    "rows of h_0 by direction": ("gru", {"states, bidirectional, stacked"}, set(), states_by_direction),
    "reverse from T-1": ("lstm", {"lengths, bidirectional"}, set(), reverse_from_the_last_step),
    "h_n from T-1": ("rnn_tanh", {"lengths"}, set(), final_state_of_the_last_step),
    "reverse output left reversed": ("lstm", {"bidirectional"}, {"one step"}, reverse_left_reversed),
    "dropout unscaled": ("gru", {"dropout"}, {"one unit"}, dropout_unscaled),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake, monkeypatch):
    kind, shown_by, hidden_by, evaluate_wrongly = MISTAKES[mistake]
    seen = []
    for seed in range(50):
        example = random_layer(kind, seed, **SMALL)
        has = {name for name, held in features(example).items() if held}
        if shown_by <= has and not hidden_by & has:
            with monkeypatch.context() as patch:
                seen.append(excess(example, evaluate_wrongly(example, patch)))
    assert len(seen) >= 5
    assert min(seen) > 1e6  # not a near miss


# The oracle's refusals and their messages.

LSTM = LayerConfig("lstm", 3, 4, num_layers=2, dropout=0.5, bidirectional=True, proj_size=2)
ONE_OF_KINDS, ONE_OF_DTYPES = f"one of {', '.join(KINDS)}", f"one of {', '.join(DTYPES)}"
AT_LEAST_1, BELOW_HIDDEN = "an integer of at least 1", "an integer from 0 to below hidden_size (4)"

REFUSED_CONFIGS = [  # the change, and the expectation that the message names
    ({"kind": "elman"}, ONE_OF_KINDS),
    ({"kind": "LSTM"}, ONE_OF_KINDS),
    ({"kind": None}, ONE_OF_KINDS),
    ({"dtype": "int32"}, ONE_OF_DTYPES),
    ({"dtype": np.float32}, ONE_OF_DTYPES),
    *(
        ({size: value}, AT_LEAST_1)
        for size in ("input_size", "hidden_size", "num_layers")
        for value in (0, -1, 4.0, True, "4", None)
    ),
    *(({"dropout": value}, "a probability from 0 to 1") for value in (-0.1, 1.1, float("nan"), True, "0.5", None)),
    *(({"proj_size": value}, BELOW_HIDDEN) for value in (4, 5, -1, 2.0, True, None)),
]


def refusal(argument: str, expected: str, came: object) -> str:
    """Return the pattern of a message with the argument, the expectation and the value."""
    return f"^{re.escape(argument)}: expected .*{re.escape(expected)}.*, got {re.escape(repr(came))}$"


def zeros(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def zero_parameters(config: LayerConfig | CellConfig) -> dict[str, np.ndarray]:
    return {name: zeros(*shape) for name, shape in parameter_shapes(config).items()}


@pytest.mark.parametrize(("change", "expected"), REFUSED_CONFIGS, ids=repr)
def test_refuses_configuration(change, expected):
    ((argument, came),) = change.items()
    config = replace(LSTM, **change)
    for refusing in (config.validate, lambda: forward(config, zero_parameters(LSTM), zeros(5, 2, 3))):
        with pytest.raises(ValueError, match=refusal(argument, expected, came)):
            refusing()
    if argument in {field.name for field in fields(CellConfig)}:
        cell = replace(CellConfig("lstm", 3, 4), **change)
        for refusing in (cell.validate, lambda: step(cell, {}, zeros(2, 3))):
            with pytest.raises(ValueError, match=refusal(argument, expected, came)):
                refusing()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lstm"])
def test_refuses_projection_but_of_lstm(kind):
    with pytest.raises(ValueError, match=refusal("proj_size", f"only lstm has projections and this is {kind}", 2)):
        replace(LSTM, kind=kind).validate()


BATCH_FIRST, GRU = {"batch_first": True}, {"kind": "gru", "proj_size": 0}
H, C = zeros(4, 2, 2), zeros(4, 2, 4)  # right for LSTM and two samples
MASK = zeros(5, 2, 4, dtype=bool)

REFUSED_ARGUMENTS = {  # the configuration's changes, the arguments, the refused one, the expectation, the value
    "x of rank 1": ({}, {"x": zeros(3)}, "x", "(T, N, I) or (T, I)", (3,)),
    "x of rank 4": (BATCH_FIRST, {"x": zeros(1, 5, 2, 3)}, "x", "(N, T, I) or (T, I)", (1, 5, 2, 3)),
    "x of other features": ({}, {"x": zeros(5, 2, 4)}, "x", "3 features", (5, 2, 4)),
    "x of other features, unbatched": ({}, {"x": zeros(5, 4)}, "x", "3 features", (5, 4)),
    "x of no features": ({}, {"x": zeros(5, 2, 0)}, "x", "3 features", (5, 2, 0)),
    "x of no steps": ({}, {"x": zeros(0, 2, 3)}, "x", "at least one step", (0, 2, 3)),
    "x of no steps, unbatched": ({}, {"x": zeros(0, 3)}, "x", "at least one step", (0, 3)),
    "x of no steps, batch first": (BATCH_FIRST, {"x": zeros(2, 0, 3)}, "x", "at least one step", (2, 0, 3)),
    "x of no samples": ({}, {"x": zeros(5, 0, 3)}, "x", "at least one sample", (5, 0, 3)),
    "x of no samples, batch first": (BATCH_FIRST, {"x": zeros(0, 5, 3)}, "x", "at least one sample", (0, 5, 3)),
    "x of another dtype": ({}, {"x": zeros(5, 2, 3, dtype=np.float64)}, "x", "dtype float32", "float64"),
    "x a list": ({}, {"x": [[0.0] * 3]}, "x", "a NumPy array", "list"),
    "h_0 of another dtype": ({}, {"h_0": H.astype("f2"), "c_0": C}, "h_0", "dtype float32", "float16"),
    "c_0 of another dtype": ({}, {"h_0": H, "c_0": C.astype("f8")}, "c_0", "dtype float32", "float64"),
    "h_0 of other rows": ({}, {"h_0": H[:2], "c_0": C}, "h_0", "shape (4, 2, 2)", (2, 2, 2)),
    "c_0 of other rows": ({}, {"h_0": H, "c_0": C[:1]}, "c_0", "shape (4, 2, 4)", (1, 2, 4)),
    "h_0 of another batch": ({}, {"h_0": H[:, :1], "c_0": C}, "h_0", "shape (4, 2, 2)", (4, 1, 2)),
    "c_0 of another batch": ({}, {"h_0": H, "c_0": zeros(4, 3, 4)}, "c_0", "shape (4, 2, 4)", (4, 3, 4)),
    "h_0 of hidden_size with a projection": ({}, {"h_0": C, "c_0": C}, "h_0", "shape (4, 2, 2)", (4, 2, 4)),
    "c_0 of proj_size": ({}, {"h_0": H, "c_0": H}, "c_0", "shape (4, 2, 4)", (4, 2, 2)),
    "h_0 batch first": (
        BATCH_FIRST,
        {"x": zeros(2, 5, 3), "h_0": zeros(2, 4, 2), "c_0": zeros(2, 4, 4)},
        *("h_0", "shape (4, 2, 2)", (2, 4, 2)),
    ),
    "h_0 with a batch, x without": ({}, {"x": zeros(5, 3), "h_0": H, "c_0": C}, "h_0", "shape (4, 2)", (4, 2, 2)),
    "h_0 without a batch, x with": ({}, {"h_0": H[:, 0], "c_0": C}, "h_0", "shape (4, 2, 2)", (4, 2)),
    "lstm without c_0": ({}, {"h_0": H}, "c_0", "both h_0 and c_0 or neither", None),
    "lstm without h_0": ({}, {"c_0": C}, "h_0", "both h_0 and c_0 or neither", None),
    "gru with c_0": (GRU, {"h_0": C, "c_0": C}, "c_0", "None, as gru has no cell state", (4, 2, 4)),
    "lengths with 0": ({}, {"lengths": [0, 5]}, "lengths", "from 1 to 5", [0, 5]),
    "lengths beyond T": ({}, {"lengths": [6, 1]}, "lengths", "from 1 to 5", [6, 1]),
    "lengths beyond T, batch first": (
        BATCH_FIRST,
        {"x": zeros(7, 5, 3), "lengths": [6] * 7},
        *("lengths", "from 1 to 5", [6] * 7),
    ),
    "lengths below 0": ({}, {"lengths": [-1, 5]}, "lengths", "from 1 to 5", [-1, 5]),
    "lengths too few": ({}, {"lengths": [5]}, "lengths", "2 integers", [5]),
    "lengths too many": ({}, {"lengths": [5, 4, 3]}, "lengths", "2 integers", [5, 4, 3]),
    "lengths a number": ({}, {"lengths": 5}, "lengths", "2 integers", 5),
    "lengths float": ({}, {"lengths": [5.0, 4.0]}, "lengths", "integers", [5.0, 4.0]),
    "lengths float array": ({}, {"lengths": np.array([5.0, 4.0])}, "lengths", "integers", np.array([5.0, 4.0])),
    "lengths bool": ({}, {"lengths": [True, True]}, "lengths", "integers", [True, True]),
    "lengths, unbatched": ({}, {"x": zeros(5, 3), "lengths": [5]}, "lengths", "None for unbatched input", [5]),
    "masks too few": ({}, {"masks": []}, "masks", "1 masks", 0),
    "masks too many": ({}, {"masks": [MASK, MASK]}, "masks", "1 masks", 2),
    "mask for the only layer": ({"num_layers": 1}, {"masks": [MASK]}, "masks", "0 masks", 1),
    "mask of one direction": ({}, {"masks": [MASK[..., :2]]}, "masks", "shape (5, 2, 4)", (5, 2, 2)),
    "mask batch first": (
        BATCH_FIRST,
        {"x": zeros(2, 5, 3), "masks": [zeros(2, 5, 4, dtype=bool)]},
        *("masks", "shape (5, 2, 4)", (2, 5, 4)),
    ),
    "mask without a batch": ({}, {"x": zeros(5, 3), "masks": [MASK[:, 0]]}, "masks", "shape (5, 1, 4)", (5, 4)),
}


@pytest.mark.parametrize("case", REFUSED_ARGUMENTS)
def test_refuses_arguments(case):
    changes, given, argument, expected, came = REFUSED_ARGUMENTS[case]
    config = replace(LSTM, **changes)
    with pytest.raises(ValueError, match=refusal(argument, expected, came)):
        forward(config, zero_parameters(config), **{"x": zeros(5, 2, 3), **given})


CELL_H = zeros(2, 4)

REFUSED_CELL_ARGUMENTS = {  # the kind, the arguments, the refused one, the expectation, the value
    "x of rank 3": ("gru", {"x": zeros(5, 2, 3)}, "x", "(N, I) or (I)", (5, 2, 3)),
    "x of rank 0": ("gru", {"x": zeros()}, "x", "(N, I) or (I)", ()),
    "x of other features": ("gru", {"x": zeros(2, 4)}, "x", "3 features", (2, 4)),
    "x of no samples": ("gru", {"x": zeros(0, 3)}, "x", "at least one sample", (0, 3)),
    "x of another dtype": ("gru", {"x": zeros(2, 3, dtype=np.float16)}, "x", "dtype float32", "float16"),
    "h of another dtype": ("gru", {"h": CELL_H.astype("f8")}, "h", "dtype float32", "float64"),
    "h of another batch": ("rnn_tanh", {"h": CELL_H[:1]}, "h", "shape (2, 4)", (1, 4)),
    "h of another size": ("rnn_relu", {"h": zeros(2, 3)}, "h", "shape (2, 4)", (2, 3)),
    "h with a batch, x without": ("gru", {"x": zeros(3), "h": CELL_H}, "h", "shape (4,)", (2, 4)),
    "h without a batch, x with": ("gru", {"h": CELL_H[0]}, "h", "shape (2, 4)", (4,)),
    "c of another size": ("lstm", {"h": CELL_H, "c": zeros(2, 3)}, "c", "shape (2, 4)", (2, 3)),
    "lstm without c": ("lstm", {"h": CELL_H}, "c", "both h and c or neither", None),
    "lstm without h": ("lstm", {"c": CELL_H}, "h", "both h and c or neither", None),
    "gru with c": ("gru", {"h": CELL_H, "c": CELL_H}, "c", "None, as gru has no cell state", (2, 4)),
}


@pytest.mark.parametrize("case", REFUSED_CELL_ARGUMENTS)
def test_refuses_cell_arguments(case):
    kind, given, argument, expected, came = REFUSED_CELL_ARGUMENTS[case]
    config = CellConfig(kind, 3, 4)
    with pytest.raises(ValueError, match=refusal(argument, expected, came)):
        step(config, zero_parameters(config), **{"x": zeros(2, 3), **given})


BIASLESS = {"bias": False}

REFUSED_PARAMETERS = {  # the changes of configuration and parameters (None: left out), and the refusal
    "missing": ({}, {"bias_hh_l1": None}, "parameters", "bias_hh_l1", "none named bias_hh_l1"),
    "missing reverse": ({}, {"weight_hr_l0_reverse": None}, "parameters", "all of", "none named weight_hr_l0_reverse"),
    "superfluous": ({}, {"weight_ih_l2": zeros(16, 4)}, "parameters", "only", "also weight_ih_l2"),
    "superfluous bias": (BIASLESS, {"bias_ih_l0": zeros(16)}, "parameters", "only", "also bias_ih_l0"),
    "superfluous projection": (GRU, {"weight_hr_l0": zeros(2, 4)}, "parameters", "only", "also weight_hr_l0"),
    "transposed": ({}, {"weight_ih_l0": zeros(3, 16)}, "weight_ih_l0", "shape (16, 3)", (3, 16)),
    "fewer gates": ({}, {"weight_hh_l0": zeros(12, 2)}, "weight_hh_l0", "shape (16, 2)", (12, 2)),
    "of one direction": ({}, {"weight_ih_l1": zeros(16, 2)}, "weight_ih_l1", "shape (16, 4)", (16, 2)),
    "bias of rank 2": ({}, {"bias_ih_l0": zeros(16, 1)}, "bias_ih_l0", "shape (16,)", (16, 1)),
    "of another dtype": ({}, {"bias_ih_l0": zeros(16, dtype=np.float64)}, "bias_ih_l0", "dtype float32", "float64"),
}


@pytest.mark.parametrize("case", REFUSED_PARAMETERS)
def test_refuses_parameters(case):
    changes, parameters, argument, expected, came = REFUSED_PARAMETERS[case]
    config = replace(LSTM, **changes)
    changed = {name: p for name, p in (zero_parameters(config) | parameters).items() if p is not None}
    with pytest.raises(ValueError, match=refusal(argument, expected, came)):
        forward(config, changed, zeros(5, 2, 3))


def test_refuses_parameters_of_a_layer_for_a_cell():
    config = CellConfig("gru", 3, 4)
    of_layer = {f"{name}_l0": p for name, p in zero_parameters(config).items()}
    with pytest.raises(ValueError, match=r"^parameters: expected all of weight_ih, .*, got 'none named weight_ih, "):
        step(config, of_layer, zeros(2, 3))


@pytest.mark.parametrize("lengths", [(2, 5), np.array([2, 5]), np.array([2, 5], np.int8)], ids=repr)
def test_lengths_are_any_sequence_of_integers(lengths):
    x = draw(np.random.default_rng(0), (5, 2, 3), "float32")
    parameters = random_parameters(LSTM, np.random.default_rng(1))
    listed = forward(LSTM, parameters, x, lengths=[2, 5])
    assert np.array_equal(forward(LSTM, parameters, x, lengths=lengths).output, listed.output)
