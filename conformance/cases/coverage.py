"""The requirements that cases cannot carry, with reasons. Cases carry all others."""

from __future__ import annotations

RANDOM = "What is drawn is random: no number can be stored for it."
MEMORY = "It is about the memory, the layout or the threads of a call, not about its numbers."
BEYOND = (
    "It needs what a case does not have: thousands of numbers, exchanged parameters, further layers between calls, "
    "gradients of cells and of training calls, or an optional method that PyTorch's layers do not have."
)
NOT_YET = "No case of the pool has it yet."
SHOWN_BY_OTHERS = "The cases of a requirement that it builds on show it."
TORCH = "It is about a module of torch, and data are none."
CLAIMS = "It is about what an implementation does not claim, and data do not know what it claims."

NOT_CARRIED: dict[str, str] = {
    **dict.fromkeys(
        (
            "INIT-NAMES", "INIT-SHAPES", "INIT-DTYPE", "INIT-BOUNDS", "INIT-DISTRIBUTION", "INIT-INDEPENDENT",
            "INIT-SAME-SEED", "INIT-OTHER-SEED", "DROPOUT-EQUATION", "DROPOUT-SAME-SEED", "DROPOUT-OTHER-SEED",
            "DROPOUT-RATE", "DROPOUT-FRESH-STEPS", "DROPOUT-FRESH-SAMPLES", "DROPOUT-FRESH-UNITS",
            "DROPOUT-FRESH-LAYERS", "DROPOUT-FRESH-DIRECTIONS", "DROPOUT-BEFORE-INFERENCE",
        ),
        RANDOM,
    ),
    **dict.fromkeys(
        (
            "STATE-ARGUMENTS-UNTOUCHED", "CELL-ARGUMENTS-UNTOUCHED", "GRADIENT-ARGUMENTS-UNTOUCHED",
            "ROBUST-STRIDED", "ROBUST-CELL-STRIDED", "ROBUST-FORTRAN", "ROBUST-CELL-FORTRAN", "ROBUST-READ-ONLY",
            "ROBUST-CELL-READ-ONLY", "ROBUST-OFFSET", "ROBUST-CELL-OFFSET", "ROBUST-RESULTS-OWN",
            "ROBUST-RESULTS-KEPT", "ROBUST-CELL-RESULTS-OWN", "ROBUST-CELL-RESULTS-KEPT", "ROBUST-THREADS",
            "ROBUST-THREADS-OVERLAP",
        ),
        MEMORY,
    ),
    **dict.fromkeys(
        (
            "UNCLAIMED-MULTILAYER", "UNCLAIMED-BIDIRECTIONAL", "UNCLAIMED-NO-BIAS", "UNCLAIMED-BATCH-FIRST",
            "UNCLAIMED-UNBATCHED", "UNCLAIMED-PROJECTION", "UNCLAIMED-INITIAL-STATE", "UNCLAIMED-LENGTHS",
            "UNCLAIMED-CELLS", "UNCLAIMED-PARAMETERS", "UNCLAIMED-GRADIENTS", "UNCLAIMED-DROPOUT",
            "UNCLAIMED-INITIALIZATION", "UNCLAIMED-KIND", "UNCLAIMED-DTYPE", "UNCLAIMED-CELL-GRADIENTS",
            "UNCLAIMED-TRAINING-GRADIENTS", "UNCLAIMED-COTANGENTS", "UNCLAIMED-CELL-COTANGENTS",
            "UNCLAIMED-TRAINING-COTANGENTS", "UNCLAIMED-REVERSE-ALONE", "UNCLAIMED-MASKS", "UNCLAIMED-STATEFUL",
            "UNCLAIMED-LAST-OUTPUT", "UNCLAIMED-ALL-STEPS",
        ),
        CLAIMS,
    ),
    **dict.fromkeys(
        (
            "STATE-FLAGS-INDEPENDENT", "STATE-SHAPES-IN-TURN", "PARAM-KEPT", "LOAD-EVERY", "LOAD-ONE", "LOAD-BACK",
            "LOAD-OWN", "LOAD-GRADIENTS", "REFUSE-LOAD", "LARGE-STEPS", "LARGE-SAMPLES", "LARGE-UNITS", "LARGE-DEPTH",
            "LARGE-GRADIENTS", "CELL-LARGE", "CELL-GRADIENT-EQUATION", "CELL-GRADIENT-NAMES",
            "CELL-GRADIENT-NONE-ZEROS", "CELL-GRADIENT-REPEATED-CALL", "CELL-GRADIENT-ARGUMENTS-UNTOUCHED",
            "TRAINING-GRADIENT-EQUATION", "TRAINING-GRADIENT-RESULT", "REVERSE-ALONE-EQUATION", "REVERSE-ALONE-HALF",
            "REVERSE-ALONE-LENGTHS", "MASK-EQUATION", "MASK-EMPTY", "MASK-ALL", "MASK-LENGTHS", "MASK-IGNORED",
            "STATEFUL-FIRST", "STATEFUL-CONTINUES", "STATEFUL-RESET", "STATEFUL-APART", "REFUSE-MASK-SHAPE",
            "REFUSE-STATEFUL-SAMPLES", "LAST-SHAPE", "LAST-H-N", "LAST-FORWARD", "LAST-EQUATION", "LAST-LENGTHS",
            "REFUSE-LAST-ARGUMENTS",
        ),
        BEYOND,
    ),
    **dict.fromkeys(
        (
            "TORCH-GRAD-SUBSETS", "TORCH-GRAD-FROZEN", "TORCH-GRAD-LEFT", "TORCH-BACKWARD-TWICE", "TORCH-GRAD-IN-PLACE",
            "TORCH-COTANGENTS", "TORCH-DOUBLE-BACKWARD", "TORCH-FUNCTIONAL-CALL", "TORCH-PARAMETRIZED",
            "TORCH-STATE-DICT", "TORCH-DEEPCOPY", "TORCH-TRAINING-MODE", "TORCH-VIEWS-ARGUMENTS", "TORCH-VIEWS-WEIGHTS",
            "TORCH-AUTOCAST", "TORCH-AUTOCAST-GRADIENTS",
        ),
        TORCH,
    ),
    **dict.fromkeys(("LENGTHS-INITIAL", "LENGTHS-OMITTED"), SHOWN_BY_OTHERS),
    "REFUSE-CELL-STATE-RANK": NOT_YET,
}  # fmt: skip
