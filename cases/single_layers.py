"""The cases of one layer: steps, states, directions, projections and lengths."""

from __future__ import annotations

from cases.drafts import Draft
from cases.terms import CLASS, DOCS, EQUATION, HIDDEN_AND_CELL, LENGTHS_DOCS, NAMES, TAUGHT


def steps_and_whole(kind: str, source: str) -> Draft:
    draft = Draft(
        f"{kind}-3-3-steps-and-whole",
        f"{CLASS[kind]}(3, 3) fed five steps one at a time, then the five at once",
        source,
        "Five outputs of shape (1, 1, 3), the state passed on, and one of shape (5, 1, 3): the same numbers. "
        "A state that is dropped or taken from the wrong place shows from the second step on.",
        [EQUATION[kind], "STATE-STEPWISE", "STATE-INITIAL", "SHAPE-OUTPUT"],
    )
    draft.input("x", (5, 1, 3))
    states = ["h", "c"] if kind == "lstm" else ["h"]
    draft.layer("layer", kind, 3, 3)
    for s in states:
        draft.input(f"{s}_start", (1, 1, 3))
    now = [f"{s}_start" for s in states]
    for t in range(5):
        draft.take("x", 0, [t], f"x_{t}")
        after = [f"{s}_{t}" for s in states]
        draft.call("layer", f"x_{t}", *now, to=(f"output_{t}", *after))
        draft.take(f"output_{t}", 0, 0, f"row_{t}")
        now = after
    draft.stack([f"row_{t}" for t in range(5)], "steps")
    draft.call("layer", "x", *(f"{s}_start" for s in states), to=("output", *(f"{s}_n" for s in states)))
    draft.store(*(f"output_{t}" for t in range(5)), "output", *(f"{s}_n" for s in states))
    draft.relate("equal", "steps", "output")
    for s in states:
        draft.relate("equal", f"{s}_4", f"{s}_n")
    return draft


def given_states(kind: str, **rest) -> Draft:
    name = CLASS[kind] + ("-relu" if kind == "rnn_relu" else "")
    projected = f"-proj-{rest['proj_size']}" if rest else ""
    words = f", proj_size={rest['proj_size']}" if rest else ", nonlinearity='relu'" if kind == "rnn_relu" else ""
    draft = Draft(
        f"{name.lower()}-10-20-2{projected}",
        f"{CLASS[kind]}(10, 20, 2{words}) on (5, 3, 10) with given states",
        DOCS.format(CLASS[kind]),
        "The documentation's own example: names, order and shapes of the parameters, shapes and numbers of the results."
        + (" The projected state is narrower than the cell state, and it is what the next step sees." if rest else ""),
        [EQUATION[kind], "MULTILAYER-EQUATION", "STATE-INITIAL", "SHAPE-OUTPUT"]
        + (HIDDEN_AND_CELL if kind == "lstm" else ["SHAPE-H-N"])
        + (["PROJ-EQUATION"] if rest else [])
        + NAMES,
    )
    draft.input("x", (5, 3, 10))
    draft.layer("layer", kind, 10, 20, num_layers=2, **rest)
    states = [draft.input("h_0", (2, 3, rest.get("proj_size", 20)))]
    results = ["output", "h_n"]
    if kind == "lstm":
        states.append(draft.input("c_0", (2, 3, 20)))
        results.append("c_n")
    draft.call("layer", "x", *states, to=tuple(results))
    draft.store(*results)
    draft.expect["parameters"] = ["layer"]
    return draft


def from_zeros(kind: str, num_layers: int) -> Draft:
    layers = "1 layer" if num_layers == 1 else f"{num_layers} layers"
    draft = Draft(
        f"{CLASS[kind].lower()}-100-20-{num_layers}",
        f"{CLASS[kind]}(100, 20) with {layers} on (10, 3, 100): output[-1] is h_n[-1]",
        TAUGHT,
        "The last step's output is the last layer's final state. Also names, order and shapes of the parameters.",
        [EQUATION[kind], "STATE-LAST-OUTPUT", "SHAPE-OUTPUT", "SHAPE-H-N"]
        + NAMES
        + (["MULTILAYER-EQUATION"] if num_layers > 1 else []),
    )
    draft.input("x", (10, 3, 100), 256)
    draft.layer("layer", kind, 100, 20, num_layers=num_layers)
    results = ("output", "h_n", "c_n") if kind == "lstm" else ("output", "h_n")
    draft.call("layer", "x", to=results)
    draft.take("output", 0, 9, "last_output")
    draft.take("h_n", 0, num_layers - 1, "last_h_n")
    draft.store(*results)
    draft.relate("equal", "last_output", "last_h_n")
    draft.expect["parameters"] = ["layer"]
    return draft


def bidirectional(kind: str, num_layers: int) -> Draft:
    layers = "1 layer" if num_layers == 1 else f"{num_layers} layers"
    draft = Draft(
        f"{CLASS[kind].lower()}-100-20-{num_layers}-bidirectional",
        f"Bidirectional {CLASS[kind]}(100, 20), {layers}: where each direction ends",
        TAUGHT,
        "The forward half of output[-1] is h_n[-2], the reverse half of output[0] is h_n[-1]. output[-1] as a whole, "
        "its halves put one after the other, is not the last two rows of h_n: at the last step the reverse direction "
        f"has only begun. {2 * num_layers} states; the names of the reverse parameters end in _reverse.",
        [EQUATION[kind], "BIDIRECTIONAL-EQUATION", "STATE-BIDIRECTIONAL-END", "SHAPE-OUTPUT", "SHAPE-H-N"]
        + NAMES
        + (["MULTILAYER-EQUATION"] if num_layers > 1 else []),
    )
    draft.input("x", (10, 3, 100), 256)
    draft.layer("layer", kind, 100, 20, num_layers=num_layers, bidirectional=True)
    results = ("output", "h_n", "c_n") if kind == "lstm" else ("output", "h_n")
    draft.call("layer", "x", to=results)
    forward, reverse = list(range(20)), list(range(20, 40))
    draft.take("output", 0, 9, "last_output")
    draft.take("output", 0, 0, "first_output")
    draft.take("last_output", 1, forward, "last_forward")
    draft.take("last_output", 1, reverse, "last_reverse")
    draft.take("first_output", 1, reverse, "first_reverse")
    draft.take("h_n", 0, 2 * num_layers - 2, "forward_h_n")
    draft.take("h_n", 0, 2 * num_layers - 1, "reverse_h_n")
    draft.take("h_n", 0, [2 * num_layers - 2, 2 * num_layers - 1], "both_h_n")
    draft.stack(["last_forward", "last_reverse"], "last_halves")
    draft.store(*results)
    draft.relate("equal", "last_forward", "forward_h_n")
    draft.relate("equal", "first_reverse", "reverse_h_n")
    draft.relate("different", "last_halves", "both_h_n")
    draft.expect["parameters"] = ["layer"]
    return draft


def projected_both_ways() -> Draft:
    draft = Draft(
        "lstm-7-12-2-proj-3-bidirectional",
        "Bidirectional LSTM(7, 12, 2, proj_size=3), batch first",
        DOCS.format("LSTM"),
        "The second layer reads 2 * proj_size features; weight_hh has proj_size columns; h_0 and h_n are narrower than "
        "c_0 and c_n, and have the samples second although the batch comes first in x.",
        [
            "LSTM-EQUATION",
            "PROJ-EQUATION",
            "BIDIRECTIONAL-EQUATION",
            "MULTILAYER-EQUATION",
            "SHAPE-BATCH-FIRST",
            *HIDDEN_AND_CELL,
            *NAMES,
        ],
    )
    draft.input("x", (2, 5, 7))
    draft.input("h_0", (4, 2, 3))
    draft.input("c_0", (4, 2, 12))
    draft.layer("layer", "lstm", 7, 12, num_layers=2, batch_first=True, bidirectional=True, proj_size=3)
    draft.call("layer", "x", "h_0", "c_0", to=("output", "h_n", "c_n"))
    draft.store("output", "h_n", "c_n")
    draft.expect["parameters"] = ["layer"]
    return draft


def packed(kind: str, two: bool, lengths: list[int], **rest) -> Draft:
    name = CLASS[kind]
    layers, first = rest.get("num_layers", 1), rest.get("batch_first", False)
    T, N = max(lengths), len(lengths)
    draft = Draft(
        f"{name.lower()}-packed" + ("-bidirectional" if two else ""),
        f"{'Bidirectional ' if two else ''}{name} on a packed batch of lengths {', '.join(map(str, lengths))}",
        LENGTHS_DOCS,
        "Not sorted by length. Past a sample's end the output is zero; h_n "
        + ("and c_n are" if kind == "lstm" else "is")
        + " that of its own last step"
        + (", and the reverse direction starts there" if two else "")
        + ". The shortest sample, run alone over its own steps, gives the same numbers.",
        [EQUATION[kind], "LENGTHS-EQUATION", "SHAPE-OUTPUT", "SHAPE-H-N"]
        + (["BIDIRECTIONAL-EQUATION"] if two else [])
        + (["SHAPE-BATCH-FIRST"] if first else []),
    )
    draft.input("x", (N, T, 5) if first else (T, N, 5))
    draft.layer("layer", kind, 5, 6, bidirectional=two, **rest)
    rows = layers * (2 if two else 1)
    states = [draft.input("h_0", (rows, N, 6))] + ([draft.input("c_0", (rows, N, 6))] if kind == "lstm" else [])
    results = ("output", "h_n", "c_n")[: len(states) + 1]
    draft.call("layer", "x", *states, to=results, lengths=lengths)
    n = lengths.index(min(lengths))
    steps, samples = (1, 0) if first else (0, 1)
    own = list(range(lengths[n]))
    draft.take(draft.take("x", samples, [n], "x_of_one"), steps, own, "x_alone")
    alone = [draft.take(state, 1, [n], f"{state}_alone") for state in states]
    draft.call("layer", "x_alone", *alone, to=tuple(f"{result}_alone" for result in results))
    draft.take(draft.take("output", samples, [n], "output_of_one"), steps, own, "output_in_batch")
    draft.store(*results)
    draft.relate("equal", "output_in_batch", "output_alone")
    for state in results[1:]:
        draft.take(state, 1, [n], f"{state}_in_batch")
        draft.relate("equal", f"{state}_in_batch", f"{state}_alone")
    return draft
