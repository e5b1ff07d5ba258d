"""The calls that a case makes, as calls of torch.nn's layers, gradients and cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from conformance.cases import Case
from conformance.cases.program import Module, OracleModule, run
from conformance.specifications.torch_nn.calls import CellCall, GradientCall, LayerCall
from reference.config import numpy_dtype


class _Recording(OracleModule):
    """A module that the oracle computes, and that records its calls in a dtype."""

    def __init__(self, module: Module, dtype: str, calls: list[Any]) -> None:
        super().__init__(module)
        self._dtype, self._calls = dtype, calls

    def _note(self, call: type[Any], lengths: Any, **arrays: Any) -> None:
        number = numpy_dtype(self._dtype)
        own: dict[str, Any] = {name: None if a is None else np.asarray(a).astype(number) for name, a in arrays.items()}
        if lengths:
            own["lengths"] = tuple(lengths)
        self._calls.append(call(self.module.config(self._dtype), self.module.loaded(self._dtype), **own))

    def layer(self, x: Any, h_0: Any, c_0: Any, lengths: Any, seed: Any) -> Any:
        if seed is None:
            self._note(LayerCall, lengths, x=x, h_0=h_0, c_0=c_0)
        return super().layer(x, h_0, c_0, lengths, seed)

    def cell(self, x: Any, h: Any, c: Any) -> Any:
        self._note(CellCall, None, x=x, h=h, c=c)
        return super().cell(x, h, c)

    def gradients(self, lengths: Any, **arrays: Any) -> Any:
        self._note(GradientCall, lengths, **arrays)
        return super().gradients(lengths, **arrays)


def calls_of(case: Case, dtype: str) -> list[Any]:
    """Return the calls of a case in inference, in order, in a dtype; none of a case with invalid modules."""
    found: list[Any] = []
    if not case.wrong:
        arrays = {name: values.astype(np.float64) for name, values in case.arrays.items()}
        run(case.program, arrays, {name: _Recording(module, dtype, found) for name, module in case.modules.items()})
    return found
