"""The requirements that cases cannot carry, with reasons. Cases carry all others."""

from __future__ import annotations

RANDOM = "What is drawn is random: no number can be stored for it."
MEMORY = "It is about the memory, the layout or the threads of a call, not about its numbers."
CLAIMS = "It is about what an implementation does not claim, and data do not know what it claims."

NOT_CARRIED: dict[str, str] = {
    **dict.fromkeys(
        (
            "INIT-NAMES", "INIT-SHAPES", "INIT-DTYPE", "INIT-BOUNDS", "INIT-DISTRIBUTION", "INIT-INDEPENDENT",
            "INIT-SAME-SEED", "INIT-OTHER-SEED", "DROPOUT-EQUATION", "DROPOUT-SAME-SEED", "DROPOUT-OTHER-SEED",
            "DROPOUT-RATE", "DROPOUT-FRESH-STEPS", "DROPOUT-FRESH-SAMPLES", "DROPOUT-FRESH-UNITS",
            "DROPOUT-FRESH-LAYERS", "DROPOUT-FRESH-DIRECTIONS",
        ),
        RANDOM,
    ),
    **dict.fromkeys(
        (
            "STATE-ARGUMENTS-UNTOUCHED", "CELL-ARGUMENTS-UNTOUCHED", "GRADIENT-ARGUMENTS-UNTOUCHED",
            "ROBUST-STRIDED", "ROBUST-CELL-STRIDED", "ROBUST-FORTRAN", "ROBUST-CELL-FORTRAN", "ROBUST-READ-ONLY",
            "ROBUST-CELL-READ-ONLY", "ROBUST-OFFSET", "ROBUST-CELL-OFFSET", "ROBUST-RESULTS-OWN",
            "ROBUST-RESULTS-KEPT", "ROBUST-CELL-RESULTS-OWN", "ROBUST-CELL-RESULTS-KEPT", "ROBUST-THREADS",
        ),
        MEMORY,
    ),
    **dict.fromkeys(
        (
            "UNCLAIMED-MULTILAYER", "UNCLAIMED-BIDIRECTIONAL", "UNCLAIMED-NO-BIAS", "UNCLAIMED-BATCH-FIRST",
            "UNCLAIMED-UNBATCHED", "UNCLAIMED-PROJECTION", "UNCLAIMED-INITIAL-STATE", "UNCLAIMED-LENGTHS",
            "UNCLAIMED-CELLS", "UNCLAIMED-PARAMETERS", "UNCLAIMED-GRADIENTS", "UNCLAIMED-DROPOUT",
            "UNCLAIMED-INITIALIZATION", "UNCLAIMED-KIND", "UNCLAIMED-DTYPE",
        ),
        CLAIMS,
    ),
}  # fmt: skip
