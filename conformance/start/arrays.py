"""The arrays and configurations of the calls of ``check``.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers. They are all different numbers,
so that a wrong shape can be recognized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from reference.config import numpy_dtype
from reference.parameters import parameter_shapes

T, N, I, H, P, L = 5, 3, 7, 6, 4, 2
CLOSE = {"float32": 1e-3, "float64": 1e-6, "float16": 0.05, "bfloat16": 0.2}
"""The difference by dtype that two results of one call do not have, whatever the order of its sums."""


def featured(config: LayerConfig, feature: str) -> LayerConfig:
    """Return the configuration that asks for a feature; the same one if an argument of the call asks."""
    asking: dict[str, dict[str, Any]] = {
        "multilayer": {"num_layers": L},
        "bidirectional": {"bidirectional": True},
        "no_bias": {"bias": False},
        "batch_first": {"batch_first": True},
        "projection": {"proj_size": min(P, max(1, config.hidden_size - 1))},
    }
    return replace(config, **asking.get(feature, {}))


def drawn(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Return numbers of that shape, each another one."""
    generator = np.random.default_rng((seed, *shape))
    return generator.uniform(-0.8, 0.8, shape).astype(numpy_dtype(dtype))


def parameters_of(config: LayerConfig | CellConfig) -> dict[str, np.ndarray]:
    """Return parameters of a configuration."""
    shapes = parameter_shapes(config).items()
    return {name: drawn(shape, config.dtype, 1 + number) for number, (name, shape) in enumerate(shapes)}


def arguments_of(config: LayerConfig, states: bool, unbatched: bool = False, lengths: Any = None) -> dict[str, Any]:
    """Return the arguments of ``forward`` by name, in its order."""
    shape = (T, I) if unbatched else (N, T, I) if config.batch_first else (T, N, I)
    x = drawn((*shape[:-1], config.input_size), config.dtype)
    rows, batch = config.num_layers * config.directions, () if unbatched else (N,)
    h_0 = drawn((rows, *batch, config.output_size), config.dtype, 21) if states else None
    c_0 = drawn((rows, *batch, config.hidden_size), config.dtype, 22) if states and config.kind == "lstm" else None
    return {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths}


def strided(array: np.ndarray) -> np.ndarray:
    """Return a copy whose elements are every second element of a larger array."""
    wide = np.full([2 * n for n in array.shape], 7, array.dtype)[tuple(slice(None, None, 2) for _ in array.shape)]
    wide[...] = array
    return wide


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a copy that cannot be written."""
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: np.ndarray) -> np.ndarray:
    """Return a copy that starts one byte after an aligned address."""
    shifted = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


LAYOUTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "with gaps between its elements": (strided, "take np.ascontiguousarray of it"),
    "in Fortran order": (np.asfortranarray, "take np.ascontiguousarray of it"),
    "that is read-only": (read_only, "do not write to it, take np.array(a) where the library needs to"),
    "that is not aligned": (unaligned, "take np.require(a, requirements='CA') of it"),
}
"""The layouts of memory by words, each with the remedy for an adapter."""


def cell_arguments(config: CellConfig, states: bool, unbatched: bool) -> dict[str, Any]:
    """Return the arguments of ``step`` by name."""
    batch = () if unbatched else (N,)
    h = drawn((*batch, config.hidden_size), config.dtype, 21) if states else None
    c = drawn((*batch, config.hidden_size), config.dtype, 22) if states and config.kind == "lstm" else None
    return {"x": drawn((*batch, config.input_size), config.dtype), "h": h, "c": c}


def wide(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays in float64."""
    return {name: a.astype(np.float64) if isinstance(a, np.ndarray) else a for name, a in arrays.items()}


def close(came: Mapping[Any, Any], want: Mapping[Any, Any], dtype: str) -> bool:
    """Return whether arrays by name differ by rounding at most."""
    for name, expected in want.items():
        got = came.get(name)
        if (got is None) != (expected is None):
            return False
        if got is None:
            continue
        if not isinstance(got, np.ndarray) or got.shape != expected.shape:
            return False
        if not np.allclose(got.astype(np.float64), np.asarray(expected, np.float64), CLOSE[dtype], CLOSE[dtype], True):
            return False
    return True
