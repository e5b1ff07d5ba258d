"""The candidates of forward passes: combinations, edges, and several calls."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cases.candidates import LAYOUTS, LayerDraft, Vector, lengths_of, words
from cases.drafts import WIDE
from conformance.cases import fill
from reference import KINDS


def forwards(kind: str) -> Iterator[Vector]:
    """Yield calls that combine layers, directions, layouts, states, lengths, biases, projections and sizes."""
    for number, (L, D, layout, states, lengths) in enumerate(LAYOUTS):
        pick = (fill(8, 1000 * KINDS.index(kind) + number, 255).astype(int) + 255).tolist()
        if L == 3 and pick[0] % 3:  # deep stacks are large and add little
            continue
        I, T = (1, 2, 3, 4, 5)[pick[1] % 5], (1, 2, 3, 4, 5)[pick[2] % 5]
        H = (1, 2, 3, 4, 5, 7, 9, 11)[pick[3] % 8] if L * D < 4 else (2, 3, 5)[pick[3] % 3]
        N = None if layout.startswith("alone") else (1, 2, 3, 4, 5, 9)[pick[4] % 6 if L * D < 3 else pick[4] % 4]
        P = (0, 1, (H + 1) // 2)[pick[5] % 3] if kind == "lstm" and H > 2 else 0
        bias, first = pick[6] % 4 > 0, layout.endswith("first")
        ends = lengths_of(lengths, T, N, pick[7])
        what = words(**{
            f"L={L}": L > 1, "D=2": D > 1, "no bias": not bias, "batch first": first,
            "unbatched": N is None, f"P={P}": P > 0, "states": states, f"{lengths} lengths": lengths,
        })  # fmt: skip
        draft = LayerDraft(
            f"forward-{number:03}", f"{what} ({number})", kind, I, H, T, N, num_layers=L, bidirectional=D > 1,
            bias=bias, batch_first=first, proj_size=P, gain=(1, 2)[pick[0] % 2],
        )  # fmt: skip
        draft.given("x", *(draft.states if states else ()))
        draft.store(*draft.forward(draft.states if states else (), ends))
        draft.expect["parameters"] = ["layer"]
        shows = ["omitted"] if not states else []
        shows += [f"{lengths} lengths"] if lengths in ("short", "full") else []
        yield draft.vector("forward", *shows, notes="Axes differ in size where they can; no block of a weight repeats.")


def specials(kind: str) -> Iterator[Vector]:
    """Yield calls with values and sizes at the edges."""
    for D in (1, 2):
        name, two = ("", False) if D == 1 else ("-bidirectional", True)
        put = {1: [[0, "NaN"]], 2: [[2 * 4 * 2 + 3, "NaN"]]}
        draft = LayerDraft(f"nan{name}", f"NaN in one sample{', two ways' * two}", kind, 2, 3, 4, 4, bidirectional=two)
        draft.given("x", put=put[D])
        draft.store(*draft.forward())
        yield draft.vector("forward", "nan", "omitted", notes="The other samples stay what they are.")

        draft = LayerDraft(
            f"infinity{name}", f"infinities in x{', two ways' * two}", kind, 2, 3, 3, 3, bidirectional=two
        )
        draft.given("x", put=[[8, "Infinity"], [10, "-Infinity"]])
        draft.given(*draft.states)
        draft.store(*draft.forward(draft.states))
        yield draft.vector("forward", "infinity", notes="The gates saturate; relu passes infinity on.")

        draft = LayerDraft(
            f"nan-padding{name}", f"NaN in the padding{', two ways' * two}", kind, 3, 4, 4, 3, bidirectional=two
        )
        ends = [2, 4, 3]
        past = [[(t * 3 + n) * 3 + k, ("NaN", "Infinity")[k % 2]] for n, end in enumerate(ends) for t in range(end, 4)
                for k in range(3)]  # fmt: skip
        draft.given("x", put=past)
        draft.given(*draft.states)
        draft.store(*draft.forward(draft.states, ends))
        yield draft.vector("forward", "nan padding", notes="What lies past a sample's end changes nothing.")

    draft = LayerDraft("huge", "the largest finite float32 in x", kind, 2, 3, 3, 3)
    draft.given("x", put=[[0, 3.4028234663852886e38], [9, -3.4028234663852886e38]])
    draft.given(*draft.states)
    draft.store(*draft.forward(draft.states)) if kind != "rnn_relu" else draft.store(*_below(draft))
    yield draft.vector("forward", "huge", notes="The gates saturate, without overflow to NaN.")

    draft = LayerDraft("subnormal", "subnormal numbers in x and states", kind, 3, 4, 3, 2)
    draft.given("x", put=[[0, 2.0**-130], [7, -(2.0**-128)], [17, 2.0**-130]])
    for s in draft.states:
        draft.given(s, put=[[1, 2.0**-129]])
    draft.store(*draft.forward(draft.states))
    yield draft.vector("forward", "subnormal", notes="They may be flushed to zero; they are not large.")

    for gain, I in ((1, 3), (4, 5)):
        draft = LayerDraft(f"saturating-{I}", f"x up to 255, {I} features", kind, I, 4, 4, 3, gain=gain)
        draft.given("x", divisor=1)
        draft.store(*draft.forward())
        shows = ("saturating", "omitted")
        if kind != "rnn_relu":
            draft.expect["within"] = {name: [-1, 1] for name in draft.results[:2]}
            shows += ("range",)
        yield draft.vector("forward", *shows, notes="No state leaves [-1, 1], and none is NaN.")

    for D in (1, 2):
        draft = LayerDraft(
            f"wide-{D}", f"numbers with all the bits of float32{', two ways' * (D - 1)}", kind, 4, 5, 3, 2,
            bidirectional=D == 2, wide=True,
        )  # fmt: skip
        draft.given("x", *draft.states, divisor=2**22, limit=WIDE)
        draft.store(*draft.forward(draft.states))
        draft.expect["parameters"] = ["layer"]
        yield draft.vector("forward", notes="Weights or inputs that are rounded to half precision show.")

    for wide in (True, False):
        bits, name = (", all bits", "-wide") if wide else ("", "")
        more = {"divisor": 2**22, "limit": WIDE} if wide else {}
        draft = LayerDraft(f"large{name}", f"67 steps, 131 units{bits}", kind, 1, 131, 67, 1, wide=wide)
        draft.given("x", *draft.states, **more)
        names = draft.forward(draft.states)
        draft.take("output", 0, [17, 66], "late_steps")
        draft.take("late_steps", 2, [0, 63, 64, 128, 130], "output_parts")
        kept = [draft.take(s, 2, [0, 63, 64, 127, 128, 129, 130], f"{s}_parts") for s in names[1:]]
        draft.store("output_parts", *kept)
        yield draft.vector("forward", "large", notes="Compared are some elements past every power of two.")

        draft = LayerDraft(f"many{name}", f"34 samples{bits}", kind, 2, 9, 3, 34, wide=wide)
        draft.given("x", *draft.states, **more)
        names = draft.forward(draft.states)
        kept = [draft.take(s, 1, [0, 8, 9, 17, 32, 33], f"{s}_parts") for s in names]
        draft.store(*kept)
        yield draft.vector("forward", "many", notes="Compared are some samples.")

    draft = LayerDraft("very-long", "2000 steps", kind, 2, 3, 2000, 1)
    draft.given("x")
    draft.forward()
    draft.take("output", 0, [899, 900, 1023, 1999], "some_steps")
    draft.store("some_steps", "h_n")
    yield draft.vector("forward", "very long", "omitted", notes="Errors do not add up over the steps.")


def _below(draft: LayerDraft) -> list[str]:
    """Add a call and return the names of its results in the samples without the huge number, for relu."""
    names = draft.forward(draft.states)
    return [draft.take(name, 1, [1], f"{name}_of_sample_1") for name in names[:1]] + [
        draft.take(name, 1, [2], f"{name}_of_sample_2") for name in names[1:]
    ]


def sequences(kind: str) -> Iterator[Vector]:
    """Yield cases of several calls whose results are related."""
    draft = LayerDraft("chunked", "one step, then the other four, and all five", kind, 3, 4, 5, 2)
    draft.given("x", *draft.states)
    draft.take("x", 0, [0], "x_a")
    draft.take("x", 0, [1, 2, 3, 4], "x_b")
    first = draft.forward(draft.states, suffix="_a", x="x_a")
    second = draft.forward(first[1:], suffix="_b", x="x_b")
    whole = draft.forward(draft.states)
    draft.take("output", 0, [1, 2, 3, 4], "output_from_1")
    draft.relate("equal", "output_b", "output_from_1")
    for a, b in zip(second[1:], whole[1:], strict=True):
        draft.relate("equal", a, b)
    draft.store(*first, *second[1:], "output")
    yield draft.vector("forward", "chunked", notes="The state is passed on; the first call has one step only.")

    draft = LayerDraft("zero-states", "omitted states, and states of zeros", kind, 3, 4, 3, 2)
    draft.given("x")
    for s in draft.states:
        draft.input(s, draft.shapes[s], 1, [0] * int(np.prod(draft.shapes[s])))
    without, zeros = draft.forward(suffix="_omitted"), draft.forward(draft.states)
    for a, b in zip(without, zeros, strict=True):
        draft.relate("equal", a, b)
    draft.store(*without)
    yield draft.vector("forward", "omitted", "omitted is zeros", notes="Both give the same.")

    draft = LayerDraft("again", "one call three times, another one in between", kind, 3, 4, 3, 2)
    draft.given("x", *draft.states)
    draft.input("y", draft.shapes["x"])
    one = draft.forward(suffix="_1")
    two = draft.forward(suffix="_2")
    draft.forward(draft.states, suffix="_between", x="y")
    three = draft.forward(suffix="_3")
    for a, b, c in zip(one, two, three, strict=True):
        draft.relate("identical", a, b)
        draft.relate("identical", a, c)
    draft.store(*one, "output_between")
    yield draft.vector("forward", "again", "omitted", notes="A call leaves nothing behind.")

    draft = LayerDraft("two-layers", "two layers of one configuration in turns", kind, 3, 4, 2, 2)
    draft.layer("other", kind, 3, 4)
    draft.given("x")
    a1, b1 = draft.forward(suffix="_a1"), draft.forward(suffix="_b1", module="other")
    a2, b2 = draft.forward(suffix="_a2"), draft.forward(suffix="_b2", module="other")
    draft.store(a1[0], b1[0], a2[1], b2[1])
    yield draft.vector("forward", "two layers", "omitted", notes="Each keeps its own parameters.")
