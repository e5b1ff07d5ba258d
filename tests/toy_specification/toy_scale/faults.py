"""Two known faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toy_scale.backends import Right


class NoShift(Right):
    name = "no-shift"

    class Operator(Right.Operator):
        def apply(self, x):
            return {"y": self.parameters["w"] * x}


class FirstRowOnly(Right):
    name = "first-row-only"

    class Operator(Right.Operator):
        def apply(self, x):
            return {"y": super().apply(x)["y"][:1]}


@dataclass(frozen=True)
class ScaleFault:
    id: str
    explanation: str
    build: Any
    family: str = "scale"
    common: bool = False


FAULTS = (
    ScaleFault("scale-no-shift", "an operator that leaves b out", NoShift),
    ScaleFault("scale-first-row", "an operator that computes the first row alone", FirstRowOnly),
)


def faults(kind):
    """Return the faults that touch a kind."""
    return FAULTS
