"""The documented arguments of the layers and cells, and their rules.

Building a configuration never raises, so that the suite can ask a backend for a forbidden one. ``validate`` raises
ValueError for a configuration that the documentation does not allow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAX_SHOWN_CHARACTERS = 200  # of a value in a message
KINDS = ("rnn_tanh", "rnn_relu", "lstm", "gru")
DTYPES = ("float32", "float64", "float16", "bfloat16")


def numpy_dtype(name: str) -> np.dtype:
    """Return the NumPy dtype of that name; bfloat16 is ``ml_dtypes.bfloat16``.

    Raises ValueError if the name is not one of ``DTYPES``.
    """
    require(name in DTYPES, "dtype", f"one of {', '.join(DTYPES)}", name)
    if name == "bfloat16":
        import ml_dtypes  # here, so that the other dtypes need NumPy alone

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def require(holds: bool | np.bool_, argument: str, expected: str, came: object) -> None:
    """Raise ValueError unless ``holds``; the message has the argument, ``expected`` and ``came``."""
    if not holds:
        shown = repr(came)
        shown = shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[: MAX_SHOWN_CHARACTERS - 3]}..."
        raise ValueError(f"{argument}: expected {expected}, got {shown}")


def is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))


def _require_flags(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(isinstance(value, (bool, np.bool_)), name, "True or False", value)


@dataclass(frozen=True)
class CellConfig:
    """The arguments of RNNCell, LSTMCell and GRUCell.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, "Args".
    """

    kind: str
    input_size: int
    hidden_size: int
    bias: bool = True
    dtype: str = "float32"

    def validate(self) -> None:
        """Raise ValueError, naming the argument, if the documentation does not allow this cell."""
        require(self.kind in KINDS, "kind", f"one of {', '.join(KINDS)}", self.kind)
        require(self.dtype in DTYPES, "dtype", f"one of {', '.join(DTYPES)}", self.dtype)
        for name in ("input_size", "hidden_size"):
            size = getattr(self, name)
            require(is_integer(size) and size > 0, name, "an integer of at least 1", size)
        _require_flags(self, "bias")


@dataclass(frozen=True)
class LayerConfig:
    """The arguments of RNN, LSTM and GRU.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Args".
    """

    kind: str
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = 0
    dtype: str = "float32"

    @property
    def directions(self) -> int:
        """D: 2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """O, the size of h: proj_size with a projection, otherwise hidden_size."""
        return self.proj_size if self.proj_size > 0 else self.hidden_size

    def validate(self) -> None:
        """Raise ValueError, naming the argument, if the documentation does not allow this layer."""
        CellConfig(self.kind, self.input_size, self.hidden_size, self.bias, self.dtype).validate()
        require(
            is_integer(self.num_layers) and self.num_layers > 0,
            "num_layers",
            "an integer of at least 1",
            self.num_layers,
        )
        _require_flags(self, "batch_first", "bidirectional")
        is_number = isinstance(self.dropout, (int, float, np.integer, np.floating)) and self.dropout is not True
        require(is_number and 0 <= self.dropout <= 1, "dropout", "a probability from 0 to 1", self.dropout)
        require(
            is_integer(self.proj_size) and 0 <= self.proj_size < self.hidden_size,
            "proj_size",
            f"an integer from 0 to below hidden_size ({self.hidden_size})",
            self.proj_size,
        )
        require(
            self.proj_size == 0 or self.kind == "lstm",
            "proj_size",
            f"0, as only lstm has projections and this is {self.kind}",
            self.proj_size,
        )
