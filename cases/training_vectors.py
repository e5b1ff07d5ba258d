"""The candidates of gradients and of training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cases.candidates import LAYOUTS, LayerDraft, Vector, lengths_of, words
from conformance.cases import fill
from reference import KINDS, parameter_shapes


def gradients(kind: str) -> Iterator[Vector]:
    """Yield vector-Jacobian products, with all their gradients stored."""
    lstm = kind == "lstm"
    every = ["d_output", "d_h_n", *(["d_c_n"] if lstm else [])]
    one = [["d_output"], ["d_h_n"], *([["d_c_n"]] if lstm else [])]
    for number, (L, D, layout, states, lengths) in enumerate(LAYOUTS):
        pick = (fill(8, 7000 + 1000 * KINDS.index(kind) + number, 255).astype(int) + 255).tolist()
        if L == 3 or pick[0] % 2:
            continue
        I, H, T = (1, 2, 3)[pick[1] % 3], (1, 2, 3, 4)[pick[2] % 4] if L * D < 4 else 2, (1, 2, 3, 4, 5)[pick[3] % 5]
        N = None if layout.startswith("alone") else (1, 2, 3)[pick[4] % 3]
        P = (0, 2)[pick[5] % 2] if lstm and H > 2 else 0
        bias, first = pick[6] % 4 > 0, layout.endswith("first")
        cotangents = every if pick[6] % 3 else one[pick[5] % len(one)]
        ends = lengths_of(lengths, T, N, pick[7])
        what = words(**{
            f"L={L}": L > 1, "D=2": D > 1, "no bias": not bias, "batch first": first,
            "unbatched": N is None, f"P={P}": P > 0, "states": states, f"{lengths} lengths": lengths,
        })  # fmt: skip
        draft = LayerDraft(
            f"gradients-{number:03}", f"VJP, {what} ({number})", kind, I, H, T, N, num_layers=L,
            bidirectional=D > 1, bias=bias, batch_first=first, proj_size=P,
        )  # fmt: skip
        draft.given("x", *(draft.states if states else ()), *cotangents)
        draft.store(*draft.differentiate(cotangents, draft.states if states else (), ends).values())
        shows = ["omitted"] if not states else []
        shows += [f"only {cotangents[0]}"] if len(cotangents) == 1 else []
        yield draft.vector("gradients", *shows, notes=f"Cotangents of {', '.join(n[2:] for n in cotangents)}.")

    for D, name in ((1, ""), (2, "-bidirectional")):
        draft = LayerDraft(
            f"gradients-padding{name}", f"gradients, NaN in the padding{', two ways' * (D - 1)}", kind, 2, 2, 3, 2,
            bidirectional=D == 2,
        )  # fmt: skip
        draft.given("x", put=[[2 * 4 + 0, "NaN"], [2 * 4 + 1, "Infinity"]])
        width = draft.shapes["d_output"][-1]
        draft.given("d_output", put=[[2 * 2 * width, "NaN"]])
        draft.given("d_h_n", *draft.states)
        draft.store(*draft.differentiate(["d_output", "d_h_n"], draft.states, [2, 3]).values())
        yield draft.vector(
            "gradients", "nan padding", notes="What lies past an end, of x and of d_output, has no part."
        )

    draft = LayerDraft("gradients-long", "gradients through 67 steps", kind, 1, 2, 67, 1)
    draft.given("x", *draft.states, "d_h_n")
    draft.differentiate(["d_h_n"], draft.states)
    draft.take("d_x", 0, [0, 31, 32, 65, 66], "d_x_parts")
    draft.store("d_x_parts", *(f"d_{s}" for s in draft.states), "d_weight_hh_l0")
    yield draft.vector("gradients", "large", "only d_h_n", notes="They go back to the first step.")

    draft = LayerDraft("gradients-again", "gradients twice, and forward after", kind, 2, 2, 2, 2)
    draft.given("x", "d_output")
    a = draft.forward(suffix="_before")
    one_ = draft.differentiate(["d_output"], suffix="_1")
    two = draft.differentiate(["d_output"], suffix="_2")
    b = draft.forward(suffix="_after")
    for x, y in zip(one_.values(), two.values(), strict=True):
        draft.relate("equal", x, y)
    for x, y in zip(a, b, strict=True):
        draft.relate("equal", x, y)
    draft.store(*one_.values(), a[0])
    yield draft.vector("gradients", "again", "forward after", "omitted", "only d_output", notes="Nothing adds up.")

    draft = LayerDraft("gradients-zeros", "gradients of omitted and of zero cotangents and states", kind, 2, 2, 2, 2)
    draft.given("x", "d_output")
    zeros = [*draft.states, *every[1:]]
    for s in zeros:
        draft.input(s, draft.shapes[s], 1, [0] * int(np.prod(draft.shapes[s])))
    names = ["x", *parameter_shapes(draft.config)]
    one_ = draft.differentiate(["d_output"], suffix="_omitted")
    two = draft.differentiate(every, suffix="_zeros")
    three = draft.differentiate(["d_output"], draft.states, suffix="_states", names=names)
    for name in names:
        draft.relate("equal", one_[name], two[name])
        draft.relate("equal", one_[name], three[name])
    draft.store(*one_.values())
    shows = ("zero cotangents", "omitted", "omitted is zeros", "only d_output")
    yield draft.vector("gradients", *shows, notes="Zeros and nothing are the same.")

    draft = LayerDraft("gradients-chunked", "gradients of five steps, in parts and whole", kind, 2, 2, 5, 2)
    draft.given("x", *draft.states, "d_h_n")
    draft.take("x", 0, [0, 1], "x_a")
    draft.take("x", 0, [2, 3, 4], "x_b")
    states_a = draft.forward(draft.states, suffix="_a", x="x_a")[1:]
    later = dict(zip(draft.states, states_a, strict=True))
    draft.gradients("layer", {"x": "x_b", **later, "d_h_n": "d_h_n"}, {"x": "d_x_b"} | {s: f"d_{s}_b" for s in later})
    back = {"d_h_n": "d_h_0_b"} | ({"d_c_n": "d_c_0_b"} if lstm else {})
    own = {s: s for s in draft.states}
    draft.gradients("layer", {"x": "x_a", **own, **back}, {"x": "d_x_a"} | {s: f"d_{s}_a" for s in own})
    whole = draft.differentiate(["d_h_n"], draft.states)
    draft.take("d_x", 0, [0, 1], "d_x_first")
    draft.relate("equal", "d_x_a", "d_x_first")
    for s in draft.states:
        draft.relate("equal", f"d_{s}_a", f"d_{s}")
    draft.store("d_x_b", *whole.values())
    yield draft.vector("gradients", "chunked", "only d_h_n", notes="What goes back through the cut is passed on.")

    if kind == "rnn_relu":
        draft = LayerDraft("gradients-at-zero", "gradients where the sum is exactly 0", kind, 1, 2, 2, 1, given={
            "weight_ih_l0": {"shape": [2, 1], "divisor": 1, "data": [1, -1]},
            "weight_hh_l0": {"shape": [2, 2], "divisor": 2, "data": [1, 0, 1, 1]},
            "bias_ih_l0": {"shape": [2], "divisor": 1, "data": [-2, 3]},
            "bias_hh_l0": {"shape": [2], "divisor": 1, "data": [0, -1]},
        })  # fmt: skip
        draft.input("x", (2, 1, 1), 1, [2, 3])
        draft.given("d_output")
        made = draft.differentiate(["d_output"])
        draft.take(made["x"], 0, 0, "d_x_at_zero")  # small integers: rounding cannot move the sum away from 0
        draft.store(*made.values(), "d_x_at_zero")
        draft.expect["within"] = {"d_x_at_zero": [0, 0]}
        shows = ("relu at zero", "omitted", "only d_output")
        yield draft.vector("gradients", *shows, notes="Nothing goes back through relu at 0.")


def trainings(kind: str) -> Iterator[Vector]:
    """Yield training calls whose results do not depend on the draw."""
    plain = LayerDraft("training-zero", "training with dropout=0", kind, 3, 4, 3, 2, num_layers=2)
    plain.given("x")
    plain.store(*plain.forward(seed=1))
    yield plain.vector("training", "dropout 0", notes="Training gives what inference gives.")

    draft = LayerDraft("training-one-layer", "training one layer with dropout=0.5", kind, 3, 4, 3, 2, dropout=0.5)
    draft.given("x")
    draft.store(*draft.forward(seed=1))
    yield draft.vector("training", "one layer", notes="There is nothing that dropout acts on.")

    for D in (1, 2):
        name, two = ("", "") if D == 1 else ("-bidirectional", ", two ways")
        draft = LayerDraft(
            f"training-one{name}", f"training with dropout=1{two}", kind, 3, 4, 3, 2, num_layers=2, dropout=1.0,
            bidirectional=D == 2,
        )  # fmt: skip
        draft.given("x")
        draft.store(*draft.forward(seed=1))
        yield draft.vector("training", "dropout 1", notes="The second layer is fed zeros.")

        sizes = parameter_shapes(draft.config)
        blind = {
            entry["name"]: {k: v for k, v in entry.items() if k != "name"}
            if "weight_ih_l1" not in entry["name"]
            else {"shape": entry["shape"], "divisor": 1, "data": [0] * int(np.prod(sizes[entry["name"]]))}
            for entry in draft.modules["layer"]["parameters"]
        }
        draft = LayerDraft(
            f"training-blind{name}", f"training where the second layer sees nothing{two}", kind, 3, 4, 3, 2,
            num_layers=2, dropout=0.5, bidirectional=D == 2, given=blind,
        )  # fmt: skip
        draft.given("x")
        draft.store(*draft.forward(seed=1))
        yield draft.vector("training", "blind", notes="Dropout between the layers changes no number.")

    draft = LayerDraft(
        "dropout-inference", "inference with dropout=1, after training", kind, 3, 4, 3, 2, num_layers=2, dropout=1.0
    )
    draft.given("x", *draft.states)
    before = draft.forward(draft.states, suffix="_before")
    draft.forward(draft.states, suffix="_trained", seed=2)
    after = draft.forward(draft.states, suffix="_after")
    for a, b in zip(before, after, strict=True):
        draft.relate("equal", a, b)
    draft.store(*before)
    yield draft.vector("training", "inference", notes="In inference nothing is dropped, whatever came before.")
