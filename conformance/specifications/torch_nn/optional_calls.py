"""Calls of optional features that PyTorch's layers do not have: the reverse direction alone, masks, last outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from conformance.specifications.torch_nn import cuts
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.plans import LayerPlan

KEPT = 0.6  # the part of the steps that a mask keeps
SEED_OF_MASKS = 2**17


@dataclass(frozen=True, eq=False, repr=False)
class ReverseCall(LayerCall):
    """A call of a layer that goes from the last step to the first."""

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call uses, with two directions, which a law compares it with."""
        return super().uses | {"bidirectional"}

    def __repr__(self) -> str:
        return f"reverse {super().__repr__()}"

    @classmethod
    def of(cls, call: LayerCall, seed: int) -> ReverseCall:
        """Return the call with a layer's configuration, parameters and arguments."""
        return cls(call.config, call.parameters, **call.arguments, values=call.values)


@dataclass(frozen=True, eq=False, repr=False)
class MaskCall(LayerCall):
    """A call of ``Layer.forward_masked``; the mask has rows of 0 and 1 in the order of the axes of x."""

    mask: Any = None

    @cached_property
    def uses(self) -> frozenset[str]:
        """The names of the features that this call uses; for a batch with lengths, which a law compares it with."""
        return super().uses | (set() if self.unbatched else {"lengths"})

    @property
    def kept(self) -> np.ndarray:
        """The mask as booleans."""
        return np.array(self.mask, bool)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Layer.forward_masked`` by name, in its order."""
        mask = None if self.mask is None else self.kept
        return {"x": self.x, "h_0": self.h_0, "c_0": self.c_0, "mask": mask}

    def __repr__(self) -> str:
        return f"{super().__repr__()}, {self.kept.sum()} of {self.kept.size} steps kept by a mask"

    @classmethod
    def of(cls, call: LayerCall, seed: int) -> MaskCall:
        """Return the call with a layer's configuration, parameters and arguments, and a mask drawn from the seed.

        In every third call of several samples one of them keeps no step.
        """
        rng = np.random.default_rng(seed + SEED_OF_MASKS)
        kept = rng.random((call.T, call.N)) < KEPT
        if call.N > 1 and rng.integers(3) == 0:
            kept[:, rng.integers(call.N)] = False
        kept = kept[:, 0] if call.unbatched else kept.T if call.config.batch_first else kept
        return cls(call.config, call.parameters, call.x, call.h_0, call.c_0, values=call.values, mask=rows(kept))


@dataclass(frozen=True, eq=False, repr=False)
class LastCall(LayerCall):
    """A call of ``Layer.forward_last``."""

    every_step: ClassVar[bool] = False

    @property
    def samples_axis(self) -> int:
        """The axis of the samples in the output of a batch."""
        return 0

    @property
    def result_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """The documented shapes of the last output, h_n and c_n, the last None unless lstm."""
        _, *states = super().result_shapes
        return ((*(() if self.unbatched else (self.N,)), self.config.directions * self.config.output_size), *states)

    def __repr__(self) -> str:
        return f"{super().__repr__()}, the last output alone"

    @classmethod
    def of(cls, call: LayerCall, seed: int = 0) -> LastCall:
        """Return the call with a layer's configuration, parameters and arguments."""
        return cls(call.config, call.parameters, **call.arguments, values=call.values, masks=call.masks)


def rows(mask: np.ndarray) -> Any:
    """Return a mask as tuples of 0 and 1."""
    return tuple(map(tuple, mask.astype(int).tolist())) if mask.ndim == 2 else tuple(mask.astype(int).tolist())


@dataclass(frozen=True)
class OptionalPlan:
    """The structure of a call of another class than LayerCall: the layer's plan, and that class."""

    layer: LayerPlan
    form: type[ReverseCall] | type[MaskCall] | type[LastCall]

    def build(self, kind: str, dtype: str) -> LayerCall:
        """Build the call and fill its arrays from the seed."""
        return self.form.of(self.layer.build(kind, dtype), self.layer.seed)

    def cuts(self, features: Any) -> list[cuts.Cut]:
        """Return functions that yield smaller plans."""

        def of_layer(cut: cuts.Cut) -> cuts.Cut:
            return lambda plan: (replace(plan, layer=smaller) for smaller in cut(plan.layer))

        return [of_layer(cut) for cut in self.layer.cuts(features)]

    def others(self) -> Iterator[OptionalPlan]:
        """Yield the plan with other numbers."""
        return (replace(self, layer=other) for other in self.layer.others())
