"""The pool that the generated cases are chosen from: small calls of every form, the same in every run.

``python -m tests.case_kills`` puts the bank of faults to the pool, chooses, and writes data/chosen.json;
``python cases/generate.py`` writes the files of what was chosen. ``shows`` says what beside its features a vector
has: the trait that a requirement of TRAITS needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from cases.drafts import WIDE, Draft, document_of
from cases.refusals import refusals_of
from conformance.cases import fill
from reference import KINDS, LayerConfig, parameter_shapes
from reference.catalogue import Requirement

CLASS = {"rnn_tanh": "RNN", "rnn_relu": "RNN relu", "lstm": "LSTM", "gru": "GRU"}
DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{}.html"
# Requirements that a case puts to use only if it has that trait; the others of an area it does by its features.
TRAITS = {
    "STATE-OMITTED": "omitted", "STATE-OMITTED-ZEROS": "omitted is zeros",
    "STATE-STEPWISE": "chunked", "STATE-CHUNKED": "chunked",
    "STATE-REPEATED-CALL": "again", "STATE-CALLS-INDEPENDENT": "again",
    "STATE-LAYERS-INDEPENDENT": "two layers", "ROBUST-INTERLEAVED": "two layers",
    "STATE-SAMPLE-ALONE": "samples", "STATE-BATCH-PERMUTED": "samples", "LENGTHS-ANY-ORDER": "samples",
    "LENGTHS-STATES-ORDER": "samples", "LENGTHS-SAMPLE-ALONE": "samples",
    "LENGTHS-FULL": "full lengths", "LENGTHS-SHORTER-THAN-T": "short lengths", "LENGTHS-PADDING-IGNORED": "nan padding",
    "PARAM-BIASES-ADD": "bias",
    "LONG-SEQUENCE-EQUATION": "large", "LARGE-BATCH-EQUATION": "many", "LARGE-HIDDEN-EQUATION": "large",
    "SATURATION-EQUATION": "saturating", "STATE-RANGE": "range",
    "ROBUST-NAN-SAMPLES": "nan", "ROBUST-NAN-PAST": "nan", "ROBUST-NAN-KEPT": "nan", "ROBUST-NAN-REVERSE": "nan",
    "ROBUST-NAN-PADDING": "nan padding", "ROBUST-INFINITE": "infinity", "ROBUST-INFINITE-RELU": "infinity",
    "ROBUST-HUGE": "huge", "ROBUST-SUBNORMAL": "subnormal", "ROBUST-LONG": "very long",
    "CELL-UNBATCHED": "unbatched cell", "CELL-OMITTED": "omitted", "CELL-SAMPLE-ALONE": "samples",
    "CELL-LOOP": "loop", "CELL-REPEATED-CALL": "again",
    "GRADIENT-D-OUTPUT": "only d_output", "GRADIENT-D-H-N": "only d_h_n", "GRADIENT-D-C-N": "only d_c_n",
    "GRADIENT-NONE-ZEROS": "zero cotangents", "GRADIENT-OMITTED-STATE": "omitted",
    "GRADIENT-OMITTED-ZEROS": "omitted is zeros", "GRADIENT-RELU-AT-ZERO": "relu at zero",
    "GRADIENT-CHUNKED": "chunked", "GRADIENT-BATCH-SUM": "samples", "GRADIENT-LONG": "large",
    "GRADIENT-PADDING-IGNORED": "nan padding", "GRADIENT-PADDING-COTANGENT": "nan padding",
    "GRADIENT-REPEATED-CALL": "again", "GRADIENT-FORWARD-AFTER": "forward after", "GRADIENT-BIASES-ALIKE": "bias",
    "DROPOUT-INFERENCE": "inference", "DROPOUT-ZERO": "dropout 0", "DROPOUT-ONE": "dropout 1",
    "DROPOUT-SINGLE-LAYER": "one layer", "DROPOUT-BETWEEN-LAYERS": "blind",
}  # fmt: skip
FORMS = {
    "forward": ("shapes", "state", "parameters", "numerics", "lengths", "projection", "robustness"),
    "cell": ("cells",),
    "gradients": ("gradients",),
    "training": ("dropout",),
    "refusal": (),
}


@dataclass
class Vector:
    """A candidate: its draft, its form, and what it shows."""

    draft: Draft
    kind: str
    form: str
    shows: frozenset[str]
    refuses: str = ""
    """The id of the requirement that says so."""

    @cached_property
    def document(self) -> dict:
        """The case as its file holds it, but for the errors that are allowed."""
        return document_of(self.draft)

    @property
    def id(self) -> str:
        return self.draft.head["id"]

    def puts_to_use(self, requirement: Requirement) -> bool:
        """Whether the requirement speaks of what the vector is."""
        if requirement.id == self.refuses:
            return True
        features = {*self.document["needs"]["features"], "parameters"}
        if self.form == "cell" and "h" in str(self.document["program"][0]["from"]):
            features |= {"initial_state"}
        trait = TRAITS.get(requirement.id)
        return (
            requirement.area in FORMS[self.form]
            and self.kind in requirement.kinds
            and requirement.needs <= features
            and (trait is None or trait in self.shows)
        )


def pool() -> Iterator[Vector]:
    """Every candidate, in an order that stays."""
    for kind in KINDS:
        yield from forwards(kind)
        yield from specials(kind)
        yield from sequences(kind)
        yield from gradients(kind)
        yield from cells(kind)
        yield from trainings(kind)
        yield from refusals(kind)


class LayerDraft(Draft):
    """A case of one layer, called ``layer``, and the shapes of its arguments. N is None when unbatched."""

    def __init__(self, name: str, what: str, kind: str, I: int, H: int, T: int, N: int | None, **rest) -> None:
        kind_id = kind.replace("_", "-")
        noun = CLASS[kind].split()[0]
        super().__init__(f"{kind_id}-{name}", f"{CLASS[kind]}: {what}", DOCS.format(noun), "", ["FORWARD-EQUATION"])
        self.kind, self.T, self.N = kind, T, N
        self.layer("layer", kind, I, H, **rest)
        self.config = LayerConfig(**self.modules["layer"]["layer"])
        batch = () if N is None else (N,)
        first = self.config.batch_first and N is not None
        self.steps = (N, T) if first else (T, *batch)
        rows = self.config.directions * self.config.num_layers
        self.shapes = {
            "x": (*self.steps, I),
            "h_0": (rows, *batch, self.config.output_size),
            "d_output": (*self.steps, self.config.directions * self.config.output_size),
            "d_h_n": (rows, *batch, self.config.output_size),
        }
        if kind == "lstm":
            self.shapes |= {"c_0": (rows, *batch, H), "d_c_n": (rows, *batch, H)}

    @property
    def states(self) -> list[str]:
        return ["h_0", "c_0"] if self.kind == "lstm" else ["h_0"]

    @property
    def results(self) -> tuple[str, ...]:
        return ("output", "h_n", "c_n") if self.kind == "lstm" else ("output", "h_n")

    def given(self, *names: str, **more) -> None:
        """Arrays of the arguments' own shapes."""
        for name in names:
            self.input(name, self.shapes[name], **more)

    def forward(self, states=(), lengths=None, suffix="", seed=None, module="layer", x="x") -> list[str]:
        """A call; the names of its results."""
        names = [f"{name}{suffix}" for name in self.results]
        self.call(module, x, *states, to=tuple(names), lengths=lengths)
        if seed is not None:
            self.program[-1]["seed"] = seed
        return names

    def differentiate(self, cotangents: list[str], states=(), lengths=None, suffix="", names=None) -> dict[str, str]:
        """A call for gradients, all of them kept; the names that they get."""
        inputs = {name: name for name in ("x", *states, *cotangents)}
        names = ["x", *states, *parameter_shapes(self.config)] if names is None else names
        of = {name: f"d_{name}{suffix}" for name in names}
        self.gradients("layer", inputs, of, lengths)
        return of

    def vector(self, form: str = "forward", *shows: str, notes: str = "") -> Vector:
        self.head["notes"] = notes
        traits = {*shows, "samples" if self.N and self.N > 1 else "", "bias" if self.config.bias else ""}
        return Vector(self, self.kind, form, frozenset(traits))


def words(**flags) -> str:
    """What is not the default, in a few words."""
    return ", ".join(name.replace("_", " ") for name, on in flags.items() if on) or "plain"


LAYOUTS = [
    (L, D, layout, states, lengths)
    for L, D, layout, states, lengths in product(
        (1, 2, 3), (1, 2), ("", "first", "alone", "alone first"), (True, False), ("", "mixed", "short", "full")
    )
    if not (lengths and layout.startswith("alone"))
]


def forwards(kind: str) -> Iterator[Vector]:
    """Calls that combine layers, directions, layouts, states, lengths, biases, projections and sizes."""
    for number, (L, D, layout, states, lengths) in enumerate(LAYOUTS):
        pick = (fill(8, 1000 * KINDS.index(kind) + number, 255).astype(int) + 255).tolist()
        if L == 3 and pick[0] % 3:  # deep stacks are large and have little of their own
            continue
        I, T = (1, 2, 3, 4, 5)[pick[1] % 5], (1, 2, 3, 4, 5)[pick[2] % 5]
        H = (1, 2, 3, 4, 5, 7, 9, 11)[pick[3] % 8] if L * D < 4 else (2, 3, 5)[pick[3] % 3]
        N = None if layout.startswith("alone") else (1, 2, 3, 4, 5, 9)[pick[4] % 6 if L * D < 3 else pick[4] % 4]
        P = (0, 1, (H + 1) // 2)[pick[5] % 3] if kind == "lstm" and H > 2 else 0
        bias, first = pick[6] % 4 > 0, layout.endswith("first")
        ends = _lengths(lengths, T, N, pick[7])
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


def _lengths(how: str, T: int, N: int | None, pick: int) -> list[int] | None:
    if not how:
        return None
    if how == "full":
        return [T] * N
    ends = [1 + (pick + 2 * n * n) % T for n in range(N)]
    if how == "short":
        return [min(end, max(1, T - 1)) for end in ends]
    return [T, *ends[1:]] if pick % 2 else [*ends[:-1], T]


def specials(kind: str) -> Iterator[Vector]:
    """Values and sizes at the edges."""
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
    """For relu, which has no bound: the samples without the huge number."""
    names = draft.forward(draft.states)
    return [draft.take(name, 1, [1], f"{name}_of_sample_1") for name in names[:1]] + [
        draft.take(name, 1, [2], f"{name}_of_sample_2") for name in names[1:]
    ]


def sequences(kind: str) -> Iterator[Vector]:
    """Several calls, of which one says something of the other."""
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


def gradients(kind: str) -> Iterator[Vector]:
    """Vector-Jacobian products, every one of their gradients stored."""
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
        ends = _lengths(lengths, T, N, pick[7])
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
        draft.take(made["x"], 0, 0, "d_x_at_zero")  # of small integers: no rounding moves the sum away from 0
        draft.store(*made.values(), "d_x_at_zero")
        draft.expect["within"] = {"d_x_at_zero": [0, 0]}
        shows = ("relu at zero", "omitted", "only d_output")
        yield draft.vector("gradients", *shows, notes="Nothing goes back through relu at 0.")


def cells(kind: str) -> Iterator[Vector]:
    """Steps of cells."""
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


def trainings(kind: str) -> Iterator[Vector]:
    """Training where its numbers do not depend on what is dropped."""
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


def refusals(kind: str) -> Iterator[Vector]:
    """What must be refused: a requirement a case."""
    for requirement, draft in refusals_of(kind, LayerDraft):
        yield Vector(draft, kind, "refusal", frozenset(), requirement)
