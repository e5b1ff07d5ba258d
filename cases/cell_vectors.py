"""The candidates of cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from cases.candidates import CLASS, DOCS, Vector
from cases.drafts import WIDE, Draft


def cells(kind: str) -> Iterator[Vector]:
    """Yield single steps of cells, and a loop of two."""
    noun = CLASS[kind].split()
    states = ["h", "c"] if kind == "lstm" else ["h"]

    def draft_of(name: str, what: str) -> Draft:
        described = f"{noun[0]}Cell{' relu' if len(noun) > 1 else ''}: {what}"
        return Draft(
            f"{kind.replace('_', '-')}-cell-{name}", described, DOCS.format(f"{noun[0]}Cell"),
            "One step; a cell has no output beside its state.", ["CELL-EQUATION"],
        )  # fmt: skip

    sizes = [(3, 4, 2), (1, 1, 3), (5, 3, 1), (2, 5, None), (4, 9, None), (3, 3, 3)]
    for (I, H, N), bias, given, wide in product(sizes, (True, False), (True, False), (True, False)):
        if wide and not bias:
            continue
        name = f"{I}-{H}-{N or 'alone'}{'' if bias else '-no-bias'}{'' if given else '-omitted'}{'-wide' * wide}"
        alone, bits = ", unbatched" * (N is None), ", all bits" * wide
        what = f"({I}, {H}){alone}{'' if bias else ', no bias'}{', states' * given}{bits}, {N or 'no'} samples"
        draft = draft_of(name, what)
        draft.cell("cell", kind, I, H, bias, wide)
        batch = () if N is None else (N,)
        more = {"divisor": 2**22, "limit": WIDE} if wide else {}
        draft.input("x", (*batch, I), **more)
        for s in states if given else ():
            draft.input(s, (*batch, H), **more)
        draft.call("cell", "x", *(states if given else ()), to=tuple(f"{s}_1" for s in states))
        draft.store(*(f"{s}_1" for s in states))
        shows = {"omitted" if not given else "", "unbatched cell" if N is None else "", "samples" if N else ""}
        yield Vector(draft, kind, "cell", frozenset(shows))

    draft = draft_of("loop", "two steps, the layer, and the first step again")
    draft.cell("cell", kind, 3, 4)
    draft.layer_of_cells("layer", ["cell"])
    draft.input("x", (2, 2, 3))
    now = [draft.input(f"{s}_start", (2, 4)) for s in states]
    start = [draft.stack([s], f"{s}_row") for s in now]
    for t in range(2):
        draft.take("x", 0, t, f"x_{t}")
        draft.call("cell", f"x_{t}", *now, to=tuple(f"{s}_{t}" for s in states))
        now = [f"{s}_{t}" for s in states]
    draft.call("cell", "x_0", *(f"{s}_start" for s in states), to=tuple(f"{s}_again" for s in states))
    draft.call("layer", "x", *start, to=("output",))
    draft.stack(["h_0", "h_1"], "loop")
    draft.relate("equal", "loop", "output")
    for s in states:
        draft.relate("identical", f"{s}_0", f"{s}_again")
    draft.store(*now, "h_0")
    yield Vector(draft, kind, "cell", frozenset({"loop", "again", "samples"}))
