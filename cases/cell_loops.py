"""The cases of cells in a loop over the steps, alone or one above the other."""

from __future__ import annotations

from cases.drafts import Draft
from cases.terms import CLASS, DOCS, EQUATION, TAUGHT


def cell_example(kind: str, steps: int) -> Draft:
    name = f"{CLASS[kind]}Cell"
    draft = Draft(
        f"{name.lower()}-10-20-loop",
        f"{name}(10, 20) in a loop of {steps} steps from given states",
        DOCS.format(name),
        "The documentation's own example of a cell: the state that comes out goes in again.",
        ["CELL-EQUATION", "CELL-LOOP", EQUATION[kind]],
    )
    draft.input("x", (steps, 3, 10))
    draft.cell("cell", kind, 10, 20)
    states = ["h", "c"] if kind == "lstm" else ["h"]
    for s in states:
        draft.input(f"{s}_start", (3, 20))
    now = [f"{s}_start" for s in states]
    for t in range(steps):
        draft.take("x", 0, t, f"x_{t}")
        after = [f"{s}_{t}" for s in states]
        draft.call("cell", f"x_{t}", *now, to=tuple(after))
        now = after
    draft.stack([f"h_{t}" for t in range(steps)], "output")
    draft.store("output", *now[1:])
    return draft


def loop_of_cells(draft: Draft, cells: list[str], steps: int) -> Draft:
    """Feed x step by step through the stacked cells, from zero states; ``loop`` is the h of the top cell."""
    draft.input("x", (steps, 3, 100), 256)
    states = ["h", "c"] if draft.modules[cells[0]]["cell"]["kind"] == "lstm" else ["h"]
    now: dict[str, list[str]] = {cell: [] for cell in cells}
    for t in range(steps):
        below = draft.take("x", 0, t, f"x_{t}")
        for k, cell in enumerate(cells):
            after = [f"{s}{k}_{t}" for s in states]
            draft.call(cell, below, *now[cell], to=tuple(after))
            now[cell], below = after, after[0]
    draft.stack([f"h{len(cells) - 1}_{t}" for t in range(steps)], "loop")
    for s in range(len(states)):
        draft.stack([now[cell][s] for cell in cells], f"loop_{states[s]}_n")
    return draft


def cells_and_layer(kind: str, hidden_size: int, count: int) -> Draft:
    name = CLASS[kind]
    one = count == 1
    draft = Draft(
        f"{name.lower()}cell-100-{hidden_size}-{count}-and-layer",
        f"{name}Cell(100, {hidden_size}) in a loop equals {name}(100, {hidden_size})"
        if one
        else f"Three {name}Cells of width {hidden_size} in a loop equal a 3-layer {name}",
        TAUGHT,
        f"The cells' parameters are the layer's. Output (10, 3, {hidden_size}).",
        ["CELL-EQUATION", "CELL-LOOP", EQUATION[kind]] + ([] if one else ["MULTILAYER-EQUATION"]),
    )
    cells = [f"cell_{k}" for k in range(count)]
    for k, cell in enumerate(cells):
        draft.cell(cell, kind, 100 if k == 0 else hidden_size, hidden_size)
    draft.layer_of_cells("layer", cells)
    loop_of_cells(draft, cells, 10)
    states = ["h", "c"] if kind == "lstm" else ["h"]
    results = ("output", *(f"{s}_n" for s in states))
    draft.call("layer", "x", to=results)
    draft.store(*results)
    draft.relate("equal", "loop", "output")
    for s in states:
        draft.relate("equal", f"loop_{s}_n", f"{s}_n")
    return draft


def narrowing_cells(kind: str) -> Draft:
    name = CLASS[kind]
    draft = Draft(
        f"{name.lower()}cells-80-50-20-10",
        f"{name}Cells of widths 80, 50, 20 and 10, one above the other",
        TAUGHT,
        "Each cell's new h is the input of the next one at the same step. The widths all differ, so no two can be "
        "mixed up.",
        ["CELL-EQUATION", "CELL-LOOP", EQUATION[kind]],
    )
    widths = [100, 80, 50, 20, 10]
    cells = [f"cell_{k}" for k in range(4)]
    for cell, below, width in zip(cells, widths, widths[1:], strict=False):
        draft.cell(cell, kind, below, width)
    loop_of_cells(draft, cells, 10)
    # the final states have four widths and cannot be stacked
    draft.program = [step for step in draft.program if step["to"] not in ("loop_h_n", "loop_c_n")]
    draft.store("loop", "h0_9", *(["c0_9", "c3_9"] if kind == "lstm" else []))
    return draft
