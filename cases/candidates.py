"""A candidate of the pool: its draft, its form and its traits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

from cases.drafts import Draft, document_of
from reference import LayerConfig, parameter_shapes
from reference.catalogue import Requirement

CLASS = {"rnn_tanh": "RNN", "rnn_relu": "RNN relu", "lstm": "LSTM", "gru": "GRU"}
DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{}.html"
# The trait that a case needs in order to use a requirement. The other requirements of an area need features only.
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
# The areas of the requirements that a case of each form can use.
FORMS = {
    "forward": ("shapes", "state", "parameters", "numerics", "lengths", "projection", "robustness"),
    "cell": ("cells",),
    "gradients": ("gradients",),
    "training": ("dropout",),
    "refusal": (),
}


@dataclass
class Vector:
    """A candidate: its draft, its form and its traits."""

    draft: Draft
    kind: str
    form: str
    shows: frozenset[str]
    """Its traits, beside the features that it needs."""
    refuses: str = ""
    """The id of the requirement by which a backend must refuse it; empty if it must not."""

    @cached_property
    def document(self) -> dict:
        """The case as in its file, without the allowed errors."""
        return document_of(self.draft)

    @property
    def id(self) -> str:
        return self.draft.head["id"]

    def puts_to_use(self, requirement: Requirement) -> bool:
        """Return whether the requirement applies to this case."""
        if requirement.id == self.refuses:
            return True
        features = {*self.document["needs"]["features"], "parameters"}
        if self.form == "cell" and "h" in str(self.document["program"][0]["from"]):
            features |= {"initial_state"}
        trait = TRAITS.get(requirement.id)
        return (
            requirement.area in FORMS[self.form]
            and self.kind in requirement.kinds
            and {need for need in requirement.needs if "." not in need} <= features  # the others are parts of these
            and (trait is None or trait in self.shows)
        )


class LayerDraft(Draft):
    """A draft with one layer, called ``layer``, and the shapes of its arguments. N is None when unbatched."""

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
        """Add inputs of the arguments' shapes, with the arguments' names."""
        for name in names:
            self.input(name, self.shapes[name], **more)

    def forward(self, states=(), lengths=None, suffix="", seed=None, module="layer", x="x") -> list[str]:
        """Add a call; return the names of its results."""
        names = [f"{name}{suffix}" for name in self.results]
        self.call(module, x, *states, to=tuple(names), lengths=lengths)
        if seed is not None:
            self.program[-1]["seed"] = seed
        return names

    def differentiate(self, cotangents: list[str], states=(), lengths=None, suffix="", names=None) -> dict[str, str]:
        """Add a call for gradients, by default for all of them; return their names by argument and parameter."""
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
    """Return the names of the flags that are set, in a few words."""
    return ", ".join(name.replace("_", " ") for name, on in flags.items() if on) or "plain"


LAYOUTS = [
    (L, D, layout, states, lengths)
    for L, D, layout, states, lengths in product(
        (1, 2, 3), (1, 2), ("", "first", "alone", "alone first"), (True, False), ("", "mixed", "short", "full")
    )
    if not (lengths and layout.startswith("alone"))
]


def lengths_of(how: str, T: int, N: int | None, pick: int) -> list[int] | None:
    if not how:
        return None
    if how == "full":
        return [T] * N
    ends = [1 + (pick + 2 * n * n) % T for n in range(N)]
    if how == "short":
        return [min(end, max(1, T - 1)) for end in ends]
    return [T, *ends[1:]] if pick % 2 else [*ends[:-1], T]
