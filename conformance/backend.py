"""The interface of an adapter: a Backend that builds Layers and Cells from configurations and parameters.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers, D directions
(2 if bidirectional), O = P if P > 0 else H. Arrays are NumPy arrays of the configuration's dtype; bfloat16 is
``ml_dtypes.bfloat16``.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and the pages of RNN, GRU and their cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

import numpy as np

from reference.config import DTYPES, KINDS, CellConfig, LayerConfig, is_integer, require
from reference.layers import Result
from reference.precision import ARITHMETICS, Arithmetic

__all__ = ["Backend", "Cell", "CellConfig", "Features", "Layer", "LayerConfig", "Result", "Unsupported"]


EXTENTS = ("steps", "samples")
"""The values of ``Features.fixed_shapes`` other than True and False."""
FLOAT32_ARITHMETICS = ("float32", "tf32", "bfloat16-products", "approximate-activations")
"""The values of ``Features.float32_arithmetic``."""


class Unsupported(Exception):
    """The exception that an adapter raises for a feature, kind or dtype that it does not claim.

    The message names it.
    """


@dataclass(frozen=True)
class Features:
    """The claims of a backend: it must support everything it claims and raise Unsupported for the rest.

    ``kinds`` and ``dtypes`` may be given as any iterable of names, or as one name; they are stored as frozensets. Names
    may be members of an enumeration of strings, and numbers NumPy's; they are stored as plain ones.
    Raises ValueError for an unknown kind, dtype, extent or arithmetic, for no kinds or no dtypes, and for a limit
    below 1.
    """

    kinds: Iterable[str] = frozenset(KINDS)
    """Some of "rnn_tanh", "rnn_relu", "lstm" and "gru"."""
    dtypes: Iterable[str] = frozenset({"float32"})
    """Some of "float32", "float64", "float16" and "bfloat16"."""

    _: KW_ONLY

    multilayer: bool = True
    """num_layers > 1."""
    bidirectional: bool = True
    """bidirectional=True."""
    no_bias: bool = True
    """bias=False."""
    batch_first: bool = True
    """batch_first=True: x (N, T, I) and output (N, T, D*O)."""
    unbatched: bool = True
    """Input without samples: x (T, I) for a layer, (I) for a cell."""
    projection: bool = True
    """proj_size > 0, for lstm."""
    initial_state: bool = True
    """Given h_0 and c_0, or h and c."""
    lengths: bool = True
    """Samples of different lengths: the argument ``lengths``."""

    cells: bool = False
    """``Backend.cell``."""
    parameters: bool = False
    """``Layer.parameters``."""
    gradients: bool = False
    """``Layer.gradients``."""
    dropout: bool = False
    """``Layer.forward_training``."""
    initialization: bool = False
    """``Backend.initial_parameters``."""

    deterministic: bool = True
    """True if repeating a call repeats its bits. False: the suite compares repeated calls within the tolerance."""
    configurations: int | None = None
    """The most configurations that the suite builds of a kind, for a backend that exports or compiles each one. The
    rest of the examples varies as usual. None: no limit."""
    fixed_shapes: bool | Iterable[str] = False
    """True if a built layer serves one shape of its arguments only; some of ``EXTENTS`` if it serves one number of
    steps or samples. These extents, omitted states and unbatched input then count as part of a configuration, so
    ``configurations`` limits their combinations too."""
    most_steps: int | None = None
    """The most steps of a call, for a backend whose graphs grow with the steps. Cases of more steps count as not
    claimed. None: no limit."""
    float32_arithmetic: str | Mapping[str, str] = "float32"
    """The arithmetic that computes float32, for all kinds or by kind: one of ``FLOAT32_ARITHMETICS``. One that is
    coarser than float32 widens the tolerance to its own rounding; the report names it."""

    def __post_init__(self) -> None:
        for name, known in (("kinds", KINDS), ("dtypes", DTYPES)):
            claimed = getattr(self, name)
            claimed = frozenset({claimed} if isinstance(claimed, str) else claimed)
            allowed = f"some of {', '.join(known)}"
            require(bool(claimed) and claimed <= set(known), name, allowed, sorted(map(str, claimed)))
            object.__setattr__(self, name, frozenset(plain for plain in known if plain in claimed))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (bool, "bool") or isinstance(value, np.bool_):
                object.__setattr__(self, field.name, bool(value))
        for name in ("configurations", "most_steps"):
            limit = getattr(self, name)
            require(limit is None or (is_integer(limit) and limit > 0), name, "None or at least 1", limit)
            object.__setattr__(self, name, None if limit is None else int(limit))
        if not isinstance(self.fixed_shapes, bool):
            fixed = frozenset({self.fixed_shapes} if isinstance(self.fixed_shapes, str) else self.fixed_shapes)
            allowed = f"True, False or some of {', '.join(EXTENTS)}"
            require(bool(fixed) and fixed <= set(EXTENTS), "fixed_shapes", allowed, sorted(map(str, fixed)))
            object.__setattr__(self, "fixed_shapes", frozenset(plain for plain in EXTENTS if plain in fixed))
        for kind in self.kinds:
            declared = self._float32_arithmetic(kind)
            one_of = f"one of {', '.join(FLOAT32_ARITHMETICS)}"
            require(declared in FLOAT32_ARITHMETICS, "float32_arithmetic", one_of, declared)
        object.__setattr__(self, "float32_arithmetic", self._plain_arithmetic())

    def _plain_arithmetic(self) -> str | dict[str, str]:
        """Return ``float32_arithmetic`` in plain strings: an adapter's enumeration means nothing in another process."""
        declared = self.float32_arithmetic
        plain = {name: name for name in (*FLOAT32_ARITHMETICS, *KINDS)}
        if isinstance(declared, str):
            return plain[declared]
        return {plain.get(kind, str(kind)): plain.get(value, str(value)) for kind, value in declared.items()}

    def claims(self, feature: str) -> bool:
        """Return whether a boolean feature is claimed. Raises ValueError for a name that is not in BOOLEAN_FEATURES."""
        require(feature in BOOLEAN_FEATURES, "feature", f"one of {', '.join(BOOLEAN_FEATURES)}", feature)
        return bool(getattr(self, feature))

    def fixes(self, extent: str) -> bool:
        """Return whether a built layer serves one number of steps or samples only; ``extent`` is one of EXTENTS."""
        return self.fixed_shapes if isinstance(self.fixed_shapes, bool) else extent in self.fixed_shapes

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """Return the arithmetic in which the backend computes this kind and dtype; it decides the tolerance."""
        return ARITHMETICS[self._float32_arithmetic(kind) if dtype == "float32" else dtype]

    def _float32_arithmetic(self, kind: str) -> str:
        declared = self.float32_arithmetic
        return declared if isinstance(declared, str) else declared.get(kind, "float32")

    def as_json(self) -> dict[str, Any]:
        """Return the claims as JSON data, with kinds and dtypes in the documentation's order."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        if not isinstance(self.float32_arithmetic, str):
            data["float32_arithmetic"] = dict(self.float32_arithmetic)
        if not isinstance(self.fixed_shapes, bool):
            data["fixed_shapes"] = [extent for extent in EXTENTS if extent in self.fixed_shapes]
        data["kinds"] = [k for k in KINDS if k in self.kinds]
        data["dtypes"] = [d for d in DTYPES if d in self.dtypes]
        return data


NOT_CLAIMED = ("deterministic", "fixed_shapes")  # boolean fields that describe the backend and claim nothing
BOOLEAN_FEATURES = tuple(f.name for f in fields(Features) if f.type in (bool, "bool") and f.name not in NOT_CLAIMED)


class Layer:
    """A layer with its parameters loaded. It is in inference mode except in ``forward_training``."""

    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Result:
        """Compute the layer and return Result(output, h_n, c_n); c_n is None unless the kind is lstm.

        x is (T, N, I), or (N, T, I) if batch_first, or (T, I) unbatched. h_0 is (D*L, N, O) and, for lstm, c_0
        (D*L, N, H), both without N when unbatched; None means zeros. output is (T, N, D*O), or (N, T, D*O) if
        batch_first, or (T, D*O) unbatched; h_n and c_n have the shapes of h_0 and c_0.

        lengths are N integers in 1..T in any order, for batched input only. Sample n ends after lengths[n] steps:
        its output is zero from there on, its h_n and c_n are the states at its own end, and the reverse direction
        starts there.

        The results are new arrays, and the arguments stay unchanged. Raises Unsupported for features that the backend
        does not claim, and any other exception for invalid arguments: a wrong shape or dtype, one of lstm's two
        states without the other, c_0 for another kind, lengths that are not as above.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Inputs" and "Outputs".
        """
        raise NotImplementedError

    def parameters(self) -> Mapping[str, np.ndarray]:
        """Return the loaded parameters by their documented names, in the documented order and shapes.

        Behind the feature ``parameters``. Raises Unsupported if it is not claimed.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Variables".
        """
        raise Unsupported("parameters are not read back")

    def gradients(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        lengths: Sequence[int] | None,
        d_output: np.ndarray | None,
        d_h_n: np.ndarray | None,
        d_c_n: np.ndarray | None,
    ) -> Mapping[str, np.ndarray]:
        """Return the gradients of sum(d_output * output) + sum(d_h_n * h_n) + sum(d_c_n * c_n).

        x, h_0, c_0 and lengths are as in ``forward``, dropout is not applied. The cotangents d_output, d_h_n and
        d_c_n have the shapes of the results; None means zeros. The gradients are named "x", "h_0" and "c_0" if the
        states are given, and by every parameter's name; each has the shape and dtype of its argument or parameter.

        Behind the feature ``gradients``. Raises Unsupported if it is not claimed, and errors as ``forward`` does.
        """
        raise Unsupported("gradients are not computed")

    def forward_training(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
        *,
        seed: int,
    ) -> Result:
        """Compute ``forward`` in training mode, with dropout masks drawn from ``seed``; return its Result.

        The same seed gives the same masks. Arguments, results and errors are as in ``forward``.

        Behind the feature ``dropout``. Raises Unsupported if it is not claimed.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "dropout".
        """
        raise Unsupported("there is no training mode")


class Cell:
    """A cell with its parameters loaded."""

    def step(
        self, x: np.ndarray, h: np.ndarray | None = None, c: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute one step and return the new states (h, c); c is None unless the kind is lstm.

        x is (N, I), or (I) unbatched; h and, for lstm, c are (N, H), or (H) unbatched; None means zeros. The new
        states have the same shapes. The results are new arrays, and the arguments stay unchanged. Raises Unsupported
        for features that the backend does not claim, and any other exception for invalid arguments.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, "Inputs" and "Outputs".
        """
        raise NotImplementedError


class Backend:
    """An implementation under test. An adapter subclasses it, names it, claims its features and builds its layers."""

    name: str = ""
    """The backend's name in reports."""
    version: str = "unknown"
    """The version of the library under test."""
    features: Features = Features()
    """The backend's claims."""
    asked_as: str = ""
    """The NAME after --backend, which the registry sets. Scripts that reproduce failures use it."""
    forks: bool = True
    """True if the imported and built backend works in a forked process. False for a library that starts threads or
    takes a device at its import (JAX, CUDA): after a crash the suite imports such a backend again in a new process."""

    def layer(self, config: LayerConfig, parameters: dict[str, np.ndarray]) -> Layer:
        """Build a layer with these parameters.

        They have PyTorch's documented names, shapes, order and gate order: per layer, forward before reverse,
        weight_ih_l{k}{_reverse} (G*H, I or D*O), weight_hh_... (G*H, O), bias_ih_... and bias_hh_... (G*H), and with a
        projection weight_hr_... (P, H). G is the number of gates: lstm i|f|g|o, gru r|z|n, otherwise 1.

        Raises Unsupported for a configuration that the backend does not claim, and any other exception for an invalid
        configuration and for missing, superfluous or misshapen parameters.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Variables".
        """
        raise NotImplementedError

    def cell(self, config: CellConfig, parameters: dict[str, np.ndarray]) -> Cell:
        """Build a cell with the parameters weight_ih (G*H, I), weight_hh (G*H, H), bias_ih and bias_hh (G*H).

        Behind the feature ``cells``. Raises Unsupported if it is not claimed, and errors as ``layer`` does.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, "Variables".
        """
        raise Unsupported("there are no cells")

    def initial_parameters(self, config: LayerConfig, *, seed: int) -> Mapping[str, np.ndarray]:
        """Return the parameters of a new layer, drawn from ``seed``, by their documented names and in their order.

        The same seed gives the same parameters.

        Behind the feature ``initialization``. Raises Unsupported if it is not claimed, and any other exception for an
        invalid configuration.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, the note on U(-sqrt(k), sqrt(k)).
        """
        raise Unsupported("parameters are not initialized")

    def snippet(self, call: Any) -> str | None:
        """Return Python source of a function ``compute()`` that makes a failing call with the library alone.

        Optional: None means that the backend has no such source for the call. The source becomes part of the script
        that reproduces the failure. There ``config``, ``parameters`` and ``arguments`` are dicts whose arrays are
        nested lists; ``array(value)`` makes a NumPy array of one. ``compute()`` returns a dict of NumPy arrays by the
        names of the results. ``call`` has the configuration as ``config`` and its arguments as attributes.
        """
        return None
