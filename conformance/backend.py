"""What an adapter author writes: a Backend that builds Layers and Cells from configurations and parameters.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers, D directions
(2 if bidirectional), O = P if P > 0 else H.
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
FLOAT32_ARITHMETICS = ("float32", "tf32", "bfloat16-products", "approximate-activations")


class Unsupported(Exception):
    """Raised by an adapter for what it does not do. What it does not claim it must refuse."""


@dataclass(frozen=True)
class Features:
    """What a backend claims. What it claims it must not refuse; what it does not claim it must.

    Raises ValueError for an unknown kind, dtype or arithmetic, and where nothing is claimed.
    """

    kinds: Iterable[str] = frozenset(KINDS)
    dtypes: Iterable[str] = frozenset({"float32"})

    _: KW_ONLY

    multilayer: bool = True
    bidirectional: bool = True
    no_bias: bool = True
    batch_first: bool = True
    unbatched: bool = True
    projection: bool = True
    initial_state: bool = True
    lengths: bool = True

    cells: bool = False
    parameters: bool = False
    gradients: bool = False
    dropout: bool = False
    initialization: bool = False

    deterministic: bool = True
    """Whether the same call gives the same bits. False makes the repeated call one of rounding."""
    configurations: int | None = None
    """How many configurations of a kind to ask for where building one is dear, an export or a compilation say;
    every other part of the examples varies all the same. None: no limit."""
    fixed_shapes: bool | Iterable[str] = False
    """Whether what is built holds for one shape of the arguments alone, or for which of EXTENTS it does: then these,
    omitted states and unbatched input are part of a configuration, and their number is limited with it."""
    most_steps: int | None = None
    """The most steps to ask for where what is built grows with them, an unrolled graph say; cases of more are not
    claimed then. None: no limit."""
    float32_arithmetic: str | Mapping[str, str] = "float32"
    """What float32 is computed in, for all kinds or by kind: float32, or a coarser one of FLOAT32_ARITHMETICS,
    which widens the tolerance to its own rounding and is told in the report."""

    def __post_init__(self) -> None:
        for name, known in (("kinds", KINDS), ("dtypes", DTYPES)):
            claimed = getattr(self, name)
            claimed = frozenset({claimed} if isinstance(claimed, str) else claimed)
            allowed = f"some of {', '.join(known)}"
            require(bool(claimed) and claimed <= set(known), name, allowed, sorted(map(str, claimed)))
            object.__setattr__(self, name, claimed)
        for name in ("configurations", "most_steps"):
            limit = getattr(self, name)
            require(limit is None or (is_integer(limit) and limit > 0), name, "None or at least 1", limit)
        if not isinstance(self.fixed_shapes, bool):
            fixed = frozenset({self.fixed_shapes} if isinstance(self.fixed_shapes, str) else self.fixed_shapes)
            allowed = f"True, False or some of {', '.join(EXTENTS)}"
            require(bool(fixed) and fixed <= set(EXTENTS), "fixed_shapes", allowed, sorted(map(str, fixed)))
            object.__setattr__(self, "fixed_shapes", fixed)
        for kind in self.kinds:
            declared = self._float32_arithmetic(kind)
            known = ", ".join(FLOAT32_ARITHMETICS)
            require(declared in FLOAT32_ARITHMETICS, "float32_arithmetic", f"one of {known}", declared)

    def claims(self, feature: str) -> bool:
        """Whether a boolean feature is claimed. Raises ValueError for a name that is none."""
        require(feature in BOOLEAN_FEATURES, "feature", f"one of {', '.join(BOOLEAN_FEATURES)}", feature)
        return bool(getattr(self, feature))

    def fixes(self, extent: str) -> bool:
        """Whether what is built holds for one number of ``steps`` or of ``samples`` alone."""
        return self.fixed_shapes if isinstance(self.fixed_shapes, bool) else extent in self.fixed_shapes

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """How this backend rounds in ``dtype`` when it computes ``kind``."""
        return ARITHMETICS[self._float32_arithmetic(kind) if dtype == "float32" else dtype]

    def _float32_arithmetic(self, kind: str) -> str:
        declared = self.float32_arithmetic
        return declared if isinstance(declared, str) else declared.get(kind, "float32")

    def as_json(self) -> dict[str, Any]:
        """The claims as JSON data, kinds and dtypes in the documentation's order."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        if not isinstance(self.float32_arithmetic, str):
            data["float32_arithmetic"] = dict(self.float32_arithmetic)
        if not isinstance(self.fixed_shapes, bool):
            data["fixed_shapes"] = [extent for extent in EXTENTS if extent in self.fixed_shapes]
        data["kinds"] = [k for k in KINDS if k in self.kinds]
        data["dtypes"] = [d for d in DTYPES if d in self.dtypes]
        return data


NOT_CLAIMED = ("deterministic", "fixed_shapes")  # they describe the backend
BOOLEAN_FEATURES = tuple(f.name for f in fields(Features) if f.type in (bool, "bool") and f.name not in NOT_CLAIMED)


class Layer:
    """A layer with its parameters loaded, in inference unless said otherwise."""

    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Result:
        """x (T, N, I), or (N, T, I) if batch_first, or (T, I) unbatched.

        h_0 (D*L, N, O), c_0 (D*L, N, H) for lstm; without N when unbatched; None means zeros.
        lengths: N integers in 1..T in any order: sample n ends after lengths[n] steps. Output is zero
        past the end, h_n and c_n are taken at each sample's own end, the reverse direction starts there.
        Batched input only. lstm takes both states or neither, the other kinds no c_0; anything else is
        an error. Returns Result(output, h_n, c_n); c_n is None unless lstm; NumPy arrays of the config's
        dtype. Raises Unsupported for what the backend does not claim.
        """
        raise NotImplementedError

    def parameters(self) -> Mapping[str, np.ndarray]:
        """Feature ``parameters``: what was loaded, read back under the documented names, in their order."""
        raise Unsupported("parameters are not read back")

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n) -> Mapping[str, np.ndarray]:
        """Feature ``gradients``: vector-Jacobian products under "x", "h_0", "c_0" and every parameter's name."""
        raise Unsupported("gradients are not computed")

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed: int) -> Result:
        """Feature ``dropout``: ``forward`` in training mode, the masks drawn from ``seed``."""
        raise Unsupported("there is no training mode")


class Cell:
    """A cell with its parameters loaded."""

    def step(
        self, x: np.ndarray, h: np.ndarray | None = None, c: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """x (N, I) or (I), h and c (N, H) or (H), None means zeros. Returns (h, c or None)."""
        raise NotImplementedError


class Backend:
    """An implementation under test. Subclass it, name it, claim its features, build its layers."""

    name: str = ""
    version: str = "unknown"
    features: Features = Features()
    asked_as: str = ""
    """The NAME under which it was asked for, which the registry sets; for the scripts that reproduce failures."""
    forks: bool = True
    """Whether what was imported and built here works in a forked process. False for what starts threads or takes a
    device when it is imported (JAX, CUDA): after a crash such a backend is imported anew."""

    def layer(self, config: LayerConfig, parameters: dict[str, np.ndarray]) -> Layer:
        """A layer with these parameters, under PyTorch's documented names, shapes, order and gate order."""
        raise NotImplementedError

    def cell(self, config: CellConfig, parameters: dict[str, np.ndarray]) -> Cell:
        """Feature ``cells``: a cell with the parameters weight_ih, weight_hh, bias_ih, bias_hh."""
        raise Unsupported("there are no cells")

    def initial_parameters(self, config: LayerConfig, *, seed: int) -> Mapping[str, np.ndarray]:
        """Feature ``initialization``: the parameters of a new layer, drawn from ``seed``."""
        raise Unsupported("parameters are not initialized")

    def snippet(self, call) -> str | None:
        """Optional: Python source of ``compute()``, which makes the call with the backend's own library alone.

        The script that it becomes part of has ``config``, ``parameters`` and ``arguments`` as dicts, arrays as nested
        lists or NumPy arrays after ``array(value)``; it returns a dict of arrays by the names of the results.
        None where there is no such snippet.
        """
        return None
