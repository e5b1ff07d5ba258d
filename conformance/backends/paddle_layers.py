"""``paddle``: paddle.nn.SimpleRNN, LSTM and GRU and their cells, on the CPU.

Paddle is close to torch: it has states, stacks, directions, lengths, dropout, projections and both biases. Layers
without projection run its fused kernel, the others its loop over cells. The adapter sets outputs past a sample's end to
zero, which Paddle does not document and its loop does not do, and checks arguments (``checked.py``). Paddle 3.3 cannot
build layers without biases (docs/findings.md), so they are not claimed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Paddle's import warns that ccache is missing
    import paddle
    from paddle import nn

from conformance.backend import Features, Result
from conformance.backends.checked import CheckedBackend, CheckedCell, CheckedLayer, past_the_end
from conformance.layouts import Weights, from_paddle, join, to_paddle

paddle.set_device("cpu")


def to_tensor(array: np.ndarray | None) -> paddle.Tensor | None:
    """Return a copy as a tensor; None for None."""
    return None if array is None else paddle.to_tensor(np.ascontiguousarray(array))


def to_numpy(tensor: paddle.Tensor | None) -> np.ndarray | None:
    """Return a copy as a NumPy array; None for None."""
    return None if tensor is None else np.array(tensor.numpy())


@contextmanager
def default_dtype(dtype: str) -> Iterator[None]:
    """Set Paddle's default dtype inside, the only source of the dtype of a layer's parameters."""
    before = paddle.get_default_dtype()
    paddle.set_default_dtype(dtype)
    try:
        yield
    finally:
        paddle.set_default_dtype(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set the seed of Paddle's random generators inside, and restore their state at the end."""
    before = paddle.get_rng_state()
    paddle.seed(seed)
    try:
        yield
    finally:
        paddle.set_rng_state(before)


LAYERS = {
    "rnn_tanh": (nn.SimpleRNN, nn.SimpleRNNCell, {"activation": "tanh"}),
    "rnn_relu": (nn.SimpleRNN, nn.SimpleRNNCell, {"activation": "relu"}),
    "lstm": (nn.LSTM, nn.LSTMCell, {}),
    "gru": (nn.GRU, nn.GRUCell, {}),
}


def layer_module(config) -> nn.Layer:
    """Return the paddle.nn layer of a configuration, in inference mode, with Paddle's initial parameters."""
    make, _, arguments = LAYERS[config.kind]
    if config.proj_size > 0:
        arguments = {"proj_size": config.proj_size}
    with default_dtype(config.dtype):
        module = make(
            config.input_size,
            config.hidden_size,
            config.num_layers,
            direction="bidirect" if config.bidirectional else "forward",
            time_major=not config.batch_first,
            dropout=config.dropout,
            **arguments,
        )
    module.eval()
    return module


def cells_of(module: nn.Layer) -> list[nn.Layer]:
    """Return a layer's cells, in the order of the rows of h_n."""
    return [cell for row in module for cell in ([row.cell] if hasattr(row, "cell") else [row.cell_fw, row.cell_bw])]


def load(cell: nn.Layer, native: dict[str, np.ndarray]) -> None:
    """Set a cell's parameters."""
    for name, parameter in cell.named_parameters():
        parameter.set_value(native[name])


def read(kind: str, module: nn.Layer) -> list[Weights]:
    """Read back the parameters of a layer's cells."""
    named = (cell.named_parameters() for cell in cells_of(module))
    return [from_paddle(kind, {name: to_numpy(value) for name, value in own}) for own in named]


class PaddleLayer(CheckedLayer):
    """A paddle.nn.SimpleRNN, LSTM or GRU."""

    def build(self, weights):
        self.module = layer_module(self.config)
        self.cells = cells_of(self.module)
        for cell, w in zip(self.cells, weights, strict=True):
            load(cell, to_paddle(self.config.kind, w))

    def compute(self, x, h_0, c_0, lengths):
        with paddle.no_grad():
            return Result(*map(to_numpy, self._call(*map(to_tensor, (x, h_0, c_0)), lengths)))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        self.module.train()
        try:
            with seeded(seed):
                return self.forward(x, h_0, c_0, lengths)
        finally:
            self.module.eval()

    def differentiate(self, x, h_0, c_0, lengths, cotangents):
        arguments = {"x": to_tensor(x), "h_0": to_tensor(h_0), "c_0": to_tensor(c_0)}
        given = {name: a for name, a in arguments.items() if a is not None}
        for a in given.values():
            a.stop_gradient = False
        named = [dict(cell.named_parameters()) for cell in self.cells]
        wanted = [*given.values(), *(p for parameters in named for p in parameters.values())]
        self.module.train()  # in inference mode Paddle's kernel keeps nothing for the backward pass
        rate, self.module.dropout = self.module.dropout, 0.0
        try:
            results = [a for a in self._call(*arguments.values(), lengths) if a is not None]
        finally:
            self.module.eval()
            self.module.dropout = rate
        d = [to_tensor(a) for a in cotangents if a is not None]
        found = paddle.grad(results, wanted, d, allow_unused=True)
        found = iter(
            [np.zeros(a.shape, x.dtype) if d is None else to_numpy(d) for a, d in zip(wanted, found, strict=True)]
        )
        of_arguments = {name: next(found) for name in given}
        weights = [from_paddle(self.config.kind, {name: next(found) for name in parameters}) for parameters in named]
        return of_arguments, weights

    def _call(self, x, h_0, c_0, lengths):
        """Return output, h_n and c_n as tensors; c_n is None unless the kind is lstm."""
        lstm = self.config.kind == "lstm"
        states = (h_0, c_0) if lstm and h_0 is not None else h_0
        steps = x.shape[1 if self.config.batch_first else 0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"(?s).*sequence_mask.* is deprecated")  # Paddle calls it
            output, states = self.module(x, states, to_tensor(lengths))
        if lengths is not None:
            past = to_tensor(past_the_end(lengths, steps, self.config.batch_first))
            output = paddle.where(past, paddle.zeros_like(output), output)
        return (output, *states) if lstm else (output, states, None)

    def parameters(self):
        return join(self.config, read(self.config.kind, self.module))


class PaddleCell(CheckedCell):
    """A paddle.nn.SimpleRNNCell, LSTMCell or GRUCell."""

    def build(self, weights):
        config = self.config
        _, make, arguments = LAYERS[config.kind]
        with default_dtype(config.dtype):
            self.cell = make(config.input_size, config.hidden_size, **arguments)
        load(self.cell, to_paddle(config.kind, weights))

    def compute(self, x, h, c):
        states = [to_tensor(s) for s in (h, c) if s is not None]
        with paddle.no_grad(), default_dtype(self.config.dtype):  # the dtype of omitted states
            _, states = self.cell(to_tensor(x), (states if c is not None else states[0]) if states else None)
        if self.config.kind == "lstm":
            return tuple(map(to_numpy, states))
        return to_numpy(states), None


class Paddle(CheckedBackend):
    """Paddle's recurrent layers on the CPU."""

    name = "paddle"
    version = paddle.__version__
    features = Features(
        dtypes={"float32", "float64"},
        no_bias=False,
        unbatched=False,
        cells=True,
        parameters=True,
        gradients=True,
        dropout=True,
        initialization=True,
    )
    layer_class = PaddleLayer
    cell_class = PaddleCell

    def initial_parameters(self, config, *, seed):
        config.validate()
        self.refuse_unclaimed(config)
        with seeded(seed):
            return join(config, read(config.kind, layer_module(config)))
