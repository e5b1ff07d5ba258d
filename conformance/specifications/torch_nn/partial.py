"""Which requirements speak to a backend that claims a part of the gradients, of the cotangents or of the outputs."""

from __future__ import annotations

from collections.abc import Callable

from conformance.backend import Features
from conformance.backwards import (
    CELL_COTANGENTS,
    COTANGENTS,
    GRADIENTS,
    cotangents,
    differentiated,
    unclaimed_cotangents,
)
from reference.catalogue import Requirement

OF_STEPS = frozenset(
    {
        "SHAPE-BATCH-FIRST", "SHAPE-UNBATCHED", "PROJ-SHAPES", "BATCH-FIRST-EQUATION", "UNBATCHED-EQUATION",
        "STATE-REVERSE-FIRST", "STATE-STEPWISE", "STATE-CHUNKED", "STATE-STACK", "STATE-DIRECTIONS", "STATE-CAUSAL",
        "STATE-REVERSE-CAUSAL", "PROJ-STACKED", "PROJ-BIDIRECTIONAL", "PARAM-REVERSE", "CELL-LOOP",
        "LENGTHS-BATCH-FIRST", "LENGTHS-STACK", "LENGTHS-OUTPUT-ZERO", "LENGTHS-SHORTER-THAN-T",
        "LENGTHS-FINAL-STATE", "LENGTHS-REVERSE-START", "ROBUST-NAN-PAST", "ROBUST-NAN-REVERSE", "ROBUST-NAN-PADDING",
        "LARGE-STEPS", "LARGE-SAMPLES", "UNCLAIMED-DROPOUT", "UNCLAIMED-TRAINING-GRADIENTS", "UNCLAIMED-STATEFUL",
    }
)  # fmt: skip
"""The requirements that look at an output of all steps. All others speak to a backend of the last output alone too."""
STATES = {"h_0", "c_0"}
OF = {"gradients": COTANGENTS, "training_gradients": COTANGENTS, "cell_gradients": CELL_COTANGENTS}
"""The cotangents of the gradients of each claim."""


def _chains(claims: Features, kind: str) -> bool:
    """Return whether the gradients of all states can be given as cotangents of the last ones."""
    states = ("h", "c") if kind == "lstm" else ("h",)
    return {f"{s}_0" for s in states} <= {*differentiated(claims, "gradients", kind)} and {
        f"d_{s}_n" for s in states
    } <= {*cotangents(claims, kind)}


SPEAKS: dict[str, Callable[[Features, str], bool]] = {
    "GRADIENT-CHUNKED": _chains,
    "GRADIENT-NONE-ZEROS": lambda claims, kind: len(cotangents(claims, kind)) > 1,
    "GRADIENT-OMITTED-ZEROS": lambda claims, kind: not {*differentiated(claims, "gradients", kind)} <= STATES,
    "UNCLAIMED-COTANGENTS": lambda claims, kind: bool(unclaimed_cotangents(claims, kind)),
    "UNCLAIMED-TRAINING-COTANGENTS": lambda claims, kind: bool(unclaimed_cotangents(claims, kind)),
    "UNCLAIMED-CELL-COTANGENTS": lambda claims, kind: bool(unclaimed_cotangents(claims, kind, CELL_COTANGENTS)),
}


def speaks(claims: Features, requirement: Requirement, kind: str) -> bool:
    """Return whether the claimed gradients, cotangents and outputs are enough for a requirement to say something."""
    if requirement.id in OF_STEPS and claims.layers and not claims.claims("output.all"):
        return False
    for claim in GRADIENTS:
        if claim in requirement.needs:
            given = cotangents(claims, kind, OF[claim])
            if not given or not differentiated(claims, claim, kind):
                return False
    return requirement.id not in SPEAKS or SPEAKS[requirement.id](claims, kind)
