"""The candidates that a backend must refuse: one for each requirement of refusals that data can carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cases.drafts import Draft
from reference import CellConfig, parameter_shapes

# Invalid arguments of a layer by requirement; True if the requirement has them for cells as well. "LAYER" becomes the
# kind in capitals.
CONFIGURATIONS = {
    "SIZES": ([{"input_size": -1}, {"hidden_size": -1}], True),
    "HIDDEN-SIZE-ZERO": ([{"hidden_size": 0}], False),
    "NUM-LAYERS": ([{"num_layers": 0}, {"num_layers": -1}], False),
    "DROPOUT": ([{"dropout": -0.25}, {"dropout": 1.5}], False),
    "KIND": ([{"kind": "rnn_sigmoid"}, {"kind": "LAYER"}], True),
}


def refusals_of(kind: str, make: Callable) -> Iterator[tuple[str, Draft]]:
    """Yield (requirement, draft) for every requirement that applies to the kind; ``make`` is LayerDraft."""
    lstm = kind == "lstm"

    def layer(requirement: str, what: str, **rest) -> Draft:
        I, H, T, N = 3, 4, 5, 2
        N = None if rest.pop("unbatched", False) else N
        draft = make(f"refuse-{requirement.lower()}", f"{what} is refused", kind, I, H, T, N, **rest)
        draft.head["notes"] = "Which error it is does not matter."
        draft.given("x")
        return draft

    def wrong_x(draft: Draft, name: str, shape: tuple[int, ...], why: str, **more) -> Draft:
        draft.input(name, shape, **({"data": []} if 0 in shape else {}))
        draft.refuse("layer", why, {"x": name}, **more)
        return draft

    draft = layer("INPUT-RANK", "x of one axis or of four")
    wrong_x(draft, "x_1", (3,), "x of one axis")
    yield "REFUSE-INPUT-RANK", wrong_x(draft, "x_4", (1, 5, 2, 3), "x of four axes")
    draft = layer("INPUT-FEATURES", "x of another number of features")
    wrong_x(draft, "x_more", (5, 2, 4), "x of 4 features for 3")
    yield "REFUSE-INPUT-FEATURES", wrong_x(draft, "x_one", (5, 2, 1), "x of 1 feature for 3")
    draft = layer("INPUT-FEATURES-LENGTHS", "x of other features, with lengths,")
    wrong_x(draft, "x_more", (5, 2, 4), "x of 4 features for 3", lengths=[5, 2])
    yield "REFUSE-INPUT-FEATURES-LENGTHS", wrong_x(draft, "x_one", (5, 2, 1), "x of 1 feature for 3", lengths=[5, 5])
    draft = layer("INPUT-DTYPE", "x of another dtype")
    draft.refuse("layer", "x of another dtype", {"x": "x"}, other_dtype=["x"])
    yield "REFUSE-INPUT-DTYPE", draft
    yield "REFUSE-STEPS-ZERO", wrong_x(layer("STEPS-ZERO", "x without a step"), "x_0", (0, 2, 3), "x without a step")
    draft = layer("SAMPLES-ZERO", "x without a sample, or gives none,")
    draft.input("no_output", (5, 0, 4), data=[])
    draft.input("no_state", (1, 0, 4), data=[])
    instead = {"output": "no_output", "h_n": "no_state"} | ({"c_n": "no_state"} if lstm else {})
    yield "REFUSE-SAMPLES-ZERO", wrong_x(draft, "x_0", (5, 0, 3), "x without a sample", **{"or": instead})

    def wrong_states(requirement: str, what: str, wrong: Callable, lengths=None, **rest) -> tuple[str, Draft]:
        """Return a requirement and a draft with one refused call for each state and each of its ``wrong`` shapes."""
        draft = layer(requirement, what, **rest)
        draft.given(*draft.states)
        for s in draft.states:
            for number, shape in enumerate(wrong(draft.shapes[s])):
                name = draft.input(f"{s}_{number}", shape)
                given = {state: name if state == s else state for state in draft.states}
                why = f"{s} of shape {list(shape)} for {list(draft.shapes[s])}"
                draft.refuse("layer", why, {"x": "x", **given}, **({} if lengths is None else {"lengths": lengths}))
        return f"REFUSE-{requirement}", draft

    def extent(axis: int) -> Callable:
        def wrong(shape):
            sizes = [shape[axis] + 1] + ([1] if shape[axis] > 1 else [])
            return [tuple(size if k == axis % len(shape) else n for k, n in enumerate(shape)) for size in sizes]

        return wrong

    for suffix, ends, words in (("", None, ""), ("-LENGTHS", [5, 2], ", with lengths,")):
        yield wrong_states(f"STATE-ROWS{suffix}", f"a state of other rows{words}", extent(0), ends, num_layers=2)
        yield wrong_states(f"STATE-BATCH{suffix}", f"a state of other samples{words}", extent(1), ends)
        yield wrong_states(f"STATE-SIZE{suffix}", f"a state of another size{words}", extent(-1), ends)
    yield wrong_states(
        "STATE-BATCH-FIRST", "a state of samples first", lambda s: [(s[1], s[0], s[2])], batch_first=True
    )
    for requirement, what, unbatched, turn in (
        ("STATE-RANK", "a state without samples", False, lambda s: [(s[0], s[2])]),
        ("STATE-RANK-UNBATCHED", "a state with samples, for x without,", True, lambda s: [(s[0], 1, s[1])]),
    ):
        yield wrong_states(requirement, what, turn, unbatched=unbatched)
    draft = layer("STATE-DTYPE", "a state of another dtype")
    draft.given(*draft.states)
    for s in draft.states:
        given = {"x": "x"} | {state: state for state in draft.states}
        draft.refuse("layer", f"{s} of another dtype", given, other_dtype=[s])
    yield "REFUSE-STATE-DTYPE", draft

    if lstm:
        draft = layer("PROJ-STATE-SIZE", "h_0 of H or c_0 of P features", proj_size=2)
        draft.given("h_0", "c_0")
        draft.input("h_wide", (1, 2, 4))
        draft.input("c_narrow", (1, 2, 2))
        draft.refuse("layer", "h_0 of hidden_size for proj_size", {"x": "x", "h_0": "h_wide", "c_0": "c_0"})
        draft.refuse("layer", "c_0 of proj_size for hidden_size", {"x": "x", "h_0": "h_0", "c_0": "c_narrow"})
        yield "REFUSE-PROJ-STATE-SIZE", draft
        draft = layer("ONE-STATE", "one state of the two")
        draft.given("h_0", "c_0")
        for s in ("h_0", "c_0"):
            draft.refuse("layer", f"{s} alone", {"x": "x", s: s})
        yield "REFUSE-ONE-STATE", draft
    else:
        draft = layer("CELL-STATE", "a cell state")
        draft.given("h_0")
        draft.refuse("layer", "a cell state", {"x": "x", "h_0": "h_0", "c_0": "h_0"})
        yield "REFUSE-CELL-STATE", draft

    for requirement, what, lengths in (
        ("ZERO", "a length of 0", [[5, 0], [0, 0]]),
        ("NEGATIVE", "a negative length", [[5, -1], [-5, 2]]),
        ("BEYOND-T", "a length of more than T", [[5, 6], [11, 2]]),
        ("COUNT", "another number of lengths than samples", [[5, 2, 5], [5]]),
        ("FLOAT", "lengths that are no integers", [[4.5, 1.5]]),
    ):
        draft = layer(f"LENGTHS-{requirement}", what)
        for ends in lengths:
            draft.refuse("layer", f"lengths {ends} for 2 samples of 5 steps", {"x": "x"}, lengths=ends)
        yield f"REFUSE-LENGTHS-{requirement}", draft
    draft = layer("LENGTHS-UNBATCHED", "lengths, for x without samples,", unbatched=True)
    draft.refuse("layer", "lengths for unbatched x", {"x": "x"}, lengths=[4])
    yield "REFUSE-LENGTHS-UNBATCHED", draft

    draft = layer("LEAVES-NOTHING", "a call between two others")
    before = draft.forward(suffix="_before")
    wrong_x(draft, "x_more", (5, 2, 4), "x of 4 features for 3")
    after = draft.forward(suffix="_after")
    for a, b in zip(before, after, strict=True):
        draft.relate("equal", a, b)
    draft.store(*before)
    yield "REFUSE-LEAVES-NOTHING", draft
    draft = layer("PARAMETERS-DTYPE", "a parameter of another dtype, or cast,")
    results = draft.forward()
    instead = dict(zip(draft.results, results, strict=True))
    draft.refuse("layer", "parameters of another dtype", {"x": "x"}, other_dtype=["parameters"], **{"or": instead})
    draft.store(*results)
    yield "REFUSE-PARAMETERS-DTYPE", draft

    def cell(requirement: str, what: str) -> Draft:
        draft = Draft(
            f"{kind.replace('_', '-')}-refuse-cell-{requirement.lower()}",
            f"A cell of {kind}: {what} is refused",
            "https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html",
            "Which error it is does not matter.",
            ["CELL-EQUATION"],
        )
        draft.cell("cell", kind, 3, 4)
        draft.input("x", (2, 3))
        return draft

    for noun, start, prefix in (("layer", layer, ""), ("cell", cell, "CELL-")):
        for requirement, (changes, of_cells) in CONFIGURATIONS.items():
            if noun == "layer" or of_cells:
                draft = start(requirement, "what there is not" if requirement == "KIND" else "a wrong argument")
                draft.head["description"] = draft.head["description"].replace(
                    "a wrong argument", " or ".join(f"{n}={v}" for change in changes for n, v in change.items())
                )
                for number, change in enumerate(changes):
                    change = {n: kind.upper() if v == "LAYER" else v for n, v in change.items()}
                    _wrong_config(draft, noun, f"wrong_{number}", change)
                yield f"REFUSE-{prefix}{requirement}", draft
        yield from _wrong_parameters(draft_of=start, noun=noun, prefix=prefix)
    sizes = [-1, 4, 5] if lstm else [1]
    name = "PROJ-SIZE" if lstm else "PROJ-KIND"
    draft = layer(name, "a projection that there is not")
    for number, size in enumerate(sizes):
        _wrong_config(draft, "layer", f"wrong_{number}", {"proj_size": size})
    yield f"REFUSE-{name}", draft

    states = ["h", "c"] if lstm else ["h"]

    def wrong_cell(requirement: str, what: str, calls: list[tuple[str, dict, dict]]) -> tuple[str, Draft]:
        """Return a requirement and a draft with refused calls.

        A call is the reason, shapes by argument, None to omit one, and other fields of the step.
        """
        draft = cell(requirement, what)
        for s in ("h", "c"):
            draft.input(s, (2, 4))
        for number, (why, shapes, more) in enumerate(calls):
            given = {"x": "x"} | ({} if "x" in shapes else {s: s for s in states})
            for argument, shape in shapes.items():
                if shape is None:
                    del given[argument]
                else:
                    given[argument] = draft.input(f"{argument}_{number}", shape)
            draft.refuse("cell", why, given, **more)
        return f"REFUSE-CELL-{requirement}", draft

    yield wrong_cell("RANK", "x of three axes or of none", [
        ("x of three axes", {"x": (1, 2, 3)}, {}), ("x without an axis", {"x": ()}, {}),
    ])  # fmt: skip
    yield wrong_cell("FEATURES", "x of another number of features", [
        ("x of 4 features for 3", {"x": (2, 4)}, {}), ("x of 1 feature for 3", {"x": (2, 1)}, {}),
    ])  # fmt: skip
    yield wrong_cell("DTYPE", "x of another dtype", [("x of another dtype", {"x": (2, 3)}, {"other_dtype": ["x"]})])
    each = [(s, n) for s in states for n in (3, 1)]
    yield wrong_cell("STATE-BATCH", "a state of other samples", [
        (f"{s} of {n} samples for 2", {s: (n, 4)}, {}) for s, n in each
    ])  # fmt: skip
    yield wrong_cell("STATE-SIZE", "a state of another size", [
        (f"{s} of {n} units for 4", {s: (2, n)}, {}) for s, n in [(s, n) for s in states for n in (5, 1)]
    ])  # fmt: skip
    yield wrong_cell("STATE-DTYPE", "a state of another dtype", [
        (f"{s} of another dtype", {}, {"other_dtype": [s]}) for s in states
    ])  # fmt: skip
    if lstm:
        yield wrong_cell("ONE-STATE", "one state of the two", [(f"no {s}", {s: None}, {}) for s in states])
    else:
        yield wrong_cell("CELL-STATE", "a cell state", [("a cell state", {"c": (2, 4)}, {})])


def _wrong_config(draft: Draft, noun: str, name: str, change: dict) -> None:
    """Add a wrong module and a refused call of it; it has the parameters of its configuration, if that has any."""
    right = draft.modules[noun][noun]
    arguments = right | change
    config = (type(draft.config) if noun == "layer" else CellConfig)(**arguments)
    spec: dict = {"like": noun, "arguments": change}
    sizes = (arguments["input_size"], arguments["hidden_size"], arguments.get("proj_size", 0))
    if min(sizes) >= 0 and config.kind == right["kind"] and "dropout" not in change:
        shapes = parameter_shapes(replace(config, num_layers=max(0, getattr(config, "num_layers", 1)))
                                  if noun == "layer" else config)  # fmt: skip
        own = {entry["name"]: entry for entry in draft.modules[noun]["parameters"]}
        gone = [n for n in own if n not in shapes]
        spec |= {"without": gone} if gone else {}
        new = [
            {"name": n, "shape": list(s), "divisor": 256, **({"data": []} if 0 in s else {"fill": draft._rule(n, 255)})}
            for n, s in shapes.items()
            if n not in own or own[n]["shape"] != list(s)
        ]
        spec |= {"with": new} if new else {}
    draft.wrong[name] = spec
    why = ", ".join(f"{n}={v!r}" for n, v in change.items())
    draft.refuse(name, f"{why} with hidden_size={arguments['hidden_size']}", {"x": "x"})


def _wrong_parameters(draft_of: Callable, noun: str, prefix: str) -> Iterator[tuple[str, Draft]]:
    suffix = "_l0" if noun == "layer" else ""

    def spec(draft: Draft, name: str, shape: list[int]) -> dict:
        return {"name": name, "shape": shape, "divisor": 256, "fill": draft._rule(name, 255)}

    draft = draft_of("PARAMETERS-MISSING", "a missing parameter")
    for name in (f"weight_hh{suffix}", f"bias_ih{suffix}"):
        draft.wrong[f"no_{name}"] = {"like": noun, "without": [name]}
        draft.refuse(f"no_{name}", f"no {name}", {"x": "x"})
    yield f"REFUSE-{prefix}PARAMETERS-MISSING", draft

    draft = draft_of("PARAMETERS-SUPERFLUOUS", "a superfluous parameter")
    rows = draft.modules[noun]["parameters"][0]["shape"][0]
    for name in (f"weight_hi{suffix}", "weight_ih_l7"):
        draft.wrong[f"with_{name}"] = {"like": noun, "with": [spec(draft, name, [rows])]}
        draft.refuse(f"with_{name}", f"{name} besides the parameters", {"x": "x"})
    biases = [f"bias_ih{suffix}", f"bias_hh{suffix}"]
    draft.wrong["with_biases"] = {"like": noun, "arguments": {"bias": False}}
    draft.refuse("with_biases", f"{' and '.join(biases)} where bias is false", {"x": "x"})
    yield f"REFUSE-{prefix}PARAMETERS-SUPERFLUOUS", draft

    draft = draft_of("PARAMETERS-SHAPE", "a parameter of another shape")
    for number, (name, shape) in enumerate((
        (f"weight_hh{suffix}", [rows + 1, 4]), (f"weight_hh{suffix}", [rows, 1]), (f"weight_ih{suffix}", [3, rows]),
        (f"weight_ih{suffix}", [1, rows, 3]), (f"bias_hh{suffix}", [1]),
    )):  # fmt: skip
        draft.wrong[f"misshapen_{number}"] = {"like": noun, "with": [spec(draft, name, shape)]}
        draft.refuse(f"misshapen_{number}", f"{name} of shape {shape}", {"x": "x"})
    yield f"REFUSE-{prefix}PARAMETERS-SHAPE", draft
