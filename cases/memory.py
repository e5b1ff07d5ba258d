"""The memory exercise: an LSTM of one unit with gates set by hand, right and with a common mistake."""

from __future__ import annotations

from cases.drafts import Draft, numbers
from cases.terms import TAUGHT

# The features: a number; 1 to remember or -1 to forget; 1 to output the memory; 1 in place of the missing bias.
MEMORY_INPUTS = [
    [1, 0, 0, 1],
    [3, 1, 0, 1],
    [2, 0, 0, 1],
    [4, 1, 0, 1],
    [2, 0, 0, 1],
    [1, 0, 1, 1],
    [3, -1, 0, 1],
    [6, 1, 0, 1],
    [1, 0, 1, 1],
]
MEMORY_GATES = {"i": [0, 100, 0, -10], "f": [0, 100, 0, 10], "g": [1, 0, 0, 0], "o": [0, 0, 100, -10]}


def memory(order: str) -> Draft:
    """Return the exercise with the gates' rows of weight_ih_l0 in ``order``; ifgo is the documented order."""
    draft = Draft(
        "memory-exercise" if order == "ifgo" else "memory-exercise-forget-rows-first",
        "An LSTM of one unit remembers, forgets and tells by hand-set gates"
        if order == "ifgo"
        else "The memory exercise with the forget rows first must not pass",
        TAUGHT,
        "",
        ["LSTM-EQUATION", "LSTM-GATE-ORDER"],
    )
    draft.input("x", (9, 1, 4), 1, [k for row in MEMORY_INPUTS for k in row])
    weight_ih = {"shape": [4, 4], "divisor": 1, "data": [k for gate in order for k in MEMORY_GATES[gate]]}
    weight_hh = {"shape": [4, 1], "divisor": 1, "data": [0] * 4}
    draft.layer("lstm", "lstm", 4, 1, {"weight_ih_l0": weight_ih, "weight_hh_l0": weight_hh}, bias=False)
    draft.call("lstm", "x", to=("output", "h_n", "c_n"))
    draft.store("output", "h_n", "c_n")
    return draft


def memory_exercise() -> Draft:
    draft = memory("ifgo")
    draft.head["notes"] = (
        "Inputs: a number; 1 remembers it, -1 forgets; 1 tells; a one for the missing bias. With step gates and "
        "linear activations the memory before each step is 0, 0, 3, 3, 7, 7, 7, 0, 6 and the output 0, 0, 0, 0, 0, 7, "
        "0, 0, 6; with the documented activations the two non-zero outputs are 0.9636 and 0.7616."
    )
    return draft


def memory_mistaken() -> Draft:
    draft = memory("figo")
    draft.head["notes"] = (
        "The parameters are those of memory-exercise with the forget gate's rows before the input gate's, as a "
        "well-known tutorial stacks them; expected are the right numbers. Both non-zero outputs become 0.642, which "
        "rounds to the same ones, so the mistake goes unseen. An implementation that matches here exchanges the first "
        "two gates."
    )
    draft.verdict = "mismatch"
    return draft


def memory_mismatch_document() -> dict:
    """Return the mistaken case, which expects the numbers of the right exercise and has its own beside them."""
    draft = memory_mistaken()
    given = draft.values()["output"]
    document = draft.document()
    document["expect"] = {
        "numbers": {"output": numbers(memory("ifgo").values()["output"])},
        "differs": [{"name": "output", "at": [t, 0, 0], "gives": float(given[t, 0, 0])} for t in (5, 8)],
    }
    return document
