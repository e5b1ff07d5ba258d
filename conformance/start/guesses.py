"""Shapes of results: the documented ones, and the likely cause of another shape."""

from __future__ import annotations

from conformance.backend import CellConfig, LayerConfig

Shape = tuple[int, ...]
Candidates = list[tuple[Shape, str]]
Documented = dict[str, tuple[Shape, str, Candidates] | None]
"""The shape of each result, its letters, and other shapes with their likely causes; None for a result of None."""


def layer_results(config: LayerConfig, x: Shape) -> Documented:
    """Return the results of ``forward`` for x of that shape."""
    L, D, O, H = config.num_layers, config.directions, config.output_size, config.hidden_size
    rows = D * L
    letters_O = "O" if D == 1 else "D*O"
    if len(x) == 2:
        (T, _) = x
        output: Candidates = [
            ((T, 1, D * O), "an axis of samples was left in: take output[:, 0]"),
            ((1, T, D * O), "an axis of samples was left in: take output[0]"),
        ]
        states: Candidates = [((rows, 1, O), "an axis of samples was left in: take h_n[:, 0]")]
        if rows == 1:
            states.append(((O,), "the axis of layers and directions is missing: h_n[None]"))
        documented: Documented = {
            "output": ((T, D * O), f"(T, {letters_O})", output),
            "h_n": ((rows, O), "(D*L, O)", states),
        }
        documented["c_n"] = ((rows, H), "(D*L, H)", states) if config.kind == "lstm" else None
        return documented
    N, T = (x[0], x[1]) if config.batch_first else (x[1], x[0])
    first, second, order = (N, T, "N, T") if config.batch_first else (T, N, "T, N")
    swapped = "(T, N, {}): batch_first was not obeyed." if config.batch_first else "(N, T, {}): batch_first?"
    output = [
        ((second, first, D * O), swapped.format(letters_O) + " Exchange its first two axes"),
        ((first, second, D, O), f"({order}, D, O): join its last two axes"),
        ((D, first, second, O), f"(D, {order}, O): the forward half of the last axis comes first, then the reverse"),
        ((N, D * O), f"(N, {letters_O}): the last step alone? Return every step"),
        ((first * second, D * O), f"(T*N, {letters_O}): reshape it to three axes"),
        ((1, first, second, D * O), "an axis of 1 too many in front: take output[0]"),
        ((first, second, O), f"({order}, O): one direction alone"),
        ((first, second, D * H), f"({order}, D*H): the projection was left out"),
        ((first, second, config.input_size), f"({order}, I): is it x?"),
    ]
    documented = {"output": ((first, second, D * O), f"({order}, {letters_O})", output)}
    for name, size, letter in (("h_n", O, "O"), ("c_n", H, "H")):
        states = [
            ((N, size), f"(N, {letter}): the axis of layers and directions is missing: {name}[None]"),
            ((N, rows, size), f"(N, D*L, {letter}): states have no batch_first: exchange its first two axes"),
            ((L, D, N, size), f"(L, D, N, {letter}): join its first two axes"),
            ((L, N, D * size), f"(L, N, D*{letter}): the directions are rows, not columns, of a state"),
            ((N, D * size), f"(N, D*{letter}): the directions are rows, not columns, of a state"),
            ((D, N, size), f"(D, N, {letter}): the last layer alone"),
            ((L, N, size), f"(L, N, {letter}): one direction alone"),
            ((first, second, D * size), f"({order}, {letters_O}): every step? A state is that of the last one"),
            ((rows, N, H), "(D*L, N, H): the projection was left out"),
        ]
        documented[name] = ((rows, N, size), f"(D*L, N, {letter})", states)
    if config.kind != "lstm":
        documented["c_n"] = None
    return documented


def last_results(config: LayerConfig, documented: Documented) -> Documented:
    """Return the results of ``forward_last`` where ``layer_results`` documents those of ``forward``."""
    (every, order, _), (states, *_) = (documented[name] or ((), "", []) for name in ("output", "h_n"))
    batch, width = states[1:-1], every[-1]
    letters = order.rpartition(", ")[2].rstrip(")")
    likely: Candidates = [
        (every, f"{order}: every step? Return the last output alone"),
        ((1, *batch, width), "an axis of one step was left in: take output[0]"),
        ((*batch, 1, width), "an axis of one step was left in: take output[..., 0, :]"),
        ((*batch, config.output_size), "one direction alone: join the last outputs of both"),
        ((config.directions, *batch, config.output_size), "the directions are columns, not rows, of an output"),
        ((every[0], width), f"the step or sample of another axis than the steps of x {order}"),
    ]
    return documented | {"output": ((*batch, width), f"(N, {letters})" if batch else f"({letters})", likely)}


def cell_results(config: CellConfig, x: Shape) -> Documented:
    """Return the results of ``step`` for x of that shape."""
    H, batch = config.hidden_size, x[:-1]
    others: Candidates = [((1, *batch, H), "an axis of 1 too many in front"), ((1, H), "an axis of samples too many")]
    shape = ((*batch, H), "(N, H)" if batch else "(H)", others)
    return {"h": shape, "c": shape if config.kind == "lstm" else None}


def gradient_results(given: dict[str, Shape], parameters: dict[str, Shape]) -> Documented:
    """Return the gradients by name: each has the shape of its argument or parameter."""
    return {
        name: (shape, f"that of {name}", [(shape[::-1], "it is transposed")] if len(shape) == 2 else [])
        for name, shape in (given | parameters).items()
    }


def guessed(shape: Shape, candidates: Candidates) -> str:
    """Return what a wrong shape probably is, to end a sentence; nothing if no candidate has it."""
    return next(
        (f": that is {words}" if words[0] == "(" else f": {words}" for s, words in candidates if s == shape), ""
    )
