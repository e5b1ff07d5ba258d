"""A cache of prepared models, which a runtime makes once for each graph and each set of constants."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime, Prepared, described

MOST_KEPT = 256


class PreparedModels:
    """The models that a runtime has prepared; the last ``MOST_KEPT`` that were used stay."""

    def __init__(self, runtime: OnnxRuntime) -> None:
        self.runtime = runtime
        self._kept: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, graph: Hashable, constants: Mapping[str, np.ndarray], model: Callable[[], bytes]) -> Prepared:
        """Return the prepared model of a graph with these constants; ``model()`` makes it at its first use.

        Raises TypeError if the runtime prepares no function, and what the runtime raises.
        """
        digest = blake2b()
        for name, array in constants.items():
            digest.update(f"{name}{array.shape}".encode() + array.tobytes())
        key = graph, digest.digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        run = self.runtime.prepare(model())
        if not callable(run):
            raise TypeError(f"prepare returned {described(run)}, not a function from inputs to outputs")
        self._kept[key] = run
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return run


def extents(claimed: OnnxFeatures, steps: int, samples: int, static: bool = False) -> dict[str, Any]:
    """Return the extents that a model fixes: those that the claims fix, or both if ``static``."""
    found = {"steps": steps, "samples": samples}
    return {name: extent for name, extent in found.items() if static or claimed.fixes(name)}
