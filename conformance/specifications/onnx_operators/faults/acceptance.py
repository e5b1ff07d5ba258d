"""Faults that accept what does not fit, and what is not claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from conformance.backends.onnx_oracle import FEATURES
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, DIRECTIONS, INPUTS
from conformance.onnx.nodes import NodeConfig
from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.config import numpy_dtype
from reference.onnx.attributes import DEFAULT_ACTIVATIONS

FAULTS: list[Fault] = []
family = Family(FAULTS, "acceptance")


def fit(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array's numbers, repeated or cut off, in another shape."""
    return np.resize(array, shape)


def extents(config: NodeConfig, X: np.ndarray) -> tuple[int, int]:
    """Return the steps and samples of an X of any number of axes."""
    X = X.reshape(X.shape[-3:]) if X.ndim >= 3 else X[None]
    return X.shape[:2][:: -1 if config.layout else 1]  # type: ignore[return-value]


def accepting(*names: str) -> dict:
    """Return the parts of a fault that makes inputs fit by repeating or cutting off numbers; others are checked."""

    def inputs(config, given):
        T, N = extents(config, given["X"])
        shapes = config.shapes(T, N)
        changed = {n: fit(a, shapes[n]) for n, a in given.items() if n in names and np.shape(a) != shapes[n]}
        for name, a in given.items():
            if name not in changed and np.shape(a) != shapes[name]:
                raise ValueError(f"{name}: shape {np.shape(a)}")
            if name not in ("sequence_lens", *changed) and a.dtype != numpy_dtype(config.dtype):
                raise ValueError(f"{name}: dtype {a.dtype}")
        lengths = given.get("sequence_lens")
        if lengths is not None and (min(lengths) < 0 or max(lengths) > T):
            raise ValueError("sequence_lens: out of bounds")
        return given | changed

    return {"inputs": inputs, "accepts": True}


def valid(parts: dict) -> dict:
    """Return the parts with the node's attributes checked."""
    inner = parts["inputs"]

    def inputs(config, given):
        config.operator.validate()
        return inner(config, given)

    return parts | {"inputs": inputs}


ACCEPTED = {
    "X-RANK": ("X of any number of axes", ("X",), None),
    "X-FEATURES": ("X of any number of features", ("X",), None),
    "W-ROWS": ("W of any number of rows", ("W",), None),
    "W-DIRECTIONS": ("parameters of another number of directions", ("W", "R", "B", "P"), None),
    "HIDDEN-SIZE": ("a hidden_size that disagrees with R", ("W", "R", "B", "P", "initial_h", "initial_c"), None),
    "R-COLUMNS": ("R of any number of columns", ("R",), None),
    "B-SIZE": ("B of any size", ("B",), None),
    "P-SIZE": ("P of any size", ("P",), "LSTM"),
    "LENGTHS-COUNT": ("any number of lengths", ("sequence_lens",), None),
    "INITIAL-H-SIZE": ("initial_h of any size", ("initial_h",), None),
    "INITIAL-H-SAMPLES": ("initial_h of any number of samples", ("initial_h",), None),
    "INITIAL-H-DIRECTIONS": ("initial_h of any number of directions", ("initial_h",), None),
    "INITIAL-C-SIZE": ("initial_c of any size", ("initial_c",), "LSTM"),
    "INITIAL-C-SAMPLES": ("initial_c of any number of samples", ("initial_c",), "LSTM"),
}  # fmt: skip
for _id, (_words, _names, _kind) in ACCEPTED.items():
    family.add(
        f"accepts-{_id.lower()}",
        f"REFUSE-{_id}",
        f"a node that accepts {_words}",
        lambda names=_names: valid(accepting(*names)),
        **({} if _kind is None else {"kinds": _kind}),
    )


def bounded(low: bool) -> dict:
    """Return the parts of a fault that takes lengths out of bounds for the nearest right ones."""

    def inputs(config, given):
        T, _ = extents(config, given["X"])
        lengths = given.get("sequence_lens")
        if lengths is None:
            return given
        near = [max(0, n) if low else min(T, n) for n in lengths]
        return accepting()["inputs"](config, given | {"sequence_lens": near})

    return valid({"inputs": inputs, "accepts": True})


@family("REFUSE-LENGTHS-NEGATIVE", "a node that takes negative lengths for 0")
def negative_length_is_zero():
    return bounded(low=True)


@family("REFUSE-LENGTHS-BEYOND", "a node that takes lengths beyond T for T")
def length_beyond_is_t():
    return bounded(low=False)


@family("REFUSE-X-DTYPE", "a node that converts X")
def x_converted():
    def inputs(config, given):
        return accepting()["inputs"](config, given | {"X": given["X"].astype(numpy_dtype(config.dtype))})

    return valid({"inputs": inputs, "accepts": True})


def naming(change: Callable[[NodeConfig], list[str]]) -> dict:
    """Return the parts of a fault that makes a wrong list of functions right."""

    def attributes(config):
        return config if config.activations is None else replace(config, activations=change(config))

    return {"attributes": attributes, "accepts": True}


@family("REFUSE-ACTIVATION-UNKNOWN", "a node that takes unknown functions for Tanh")
def unknown_function_is_tanh():
    return naming(lambda c: [name if name in ACTIVATIONS else "Tanh" for name in c.activations])


@family("REFUSE-ACTIVATIONS-COUNT", "a node that takes any number of functions")
def any_number_of_functions():
    def right_number(config):
        count = len(DEFAULT_ACTIVATIONS[config.kind]) * config.directions
        return (list(config.activations) * count)[:count]

    return naming(right_number)


# --- what is not claimed --------------------------------------------------------------------------------

ONLY = {"input_forget": "LSTM", "linear_before_reset": "GRU", "initial_c": "LSTM", "P": "LSTM"}


def ignoring(name: str) -> dict:
    """Return the parts of a fault that does not claim a name and ignores it silently."""
    sets = (("attributes", ATTRIBUTES), ("inputs", INPUTS), ("directions", DIRECTIONS), ("activations", ACTIVATIONS))
    where = next(claim for claim, names in sets if name in names)
    parts: dict = {"claims": {where: set(getattr(FEATURES, where)) - {name}}, "refuses": FEATURES}
    if name in INPUTS:
        return parts | {"inputs": lambda config, given: {n: a for n, a in given.items() if n != name}}
    if name == "layout":
        return parts | {
            "outputs": lambda config, came, given: came._replace(Y_h=came.Y_h * 0.5) if config.layout else came
        }
    if name in ("activation_alpha", "activation_beta"):
        return parts | {"attributes": lambda c: replace(c, **{name: None}), "accepts": True}
    if name in ATTRIBUTES:
        ignored = {"activations": None, "clip": None}.get(name, 0)
        also = {"activation_alpha": None, "activation_beta": None} if name == "activations" else {}
        return parts | {"attributes": lambda c: replace(c, **{name: ignored}, **also), "accepts": True}
    if name in DIRECTIONS:
        return parts | {"outputs": lambda config, came, given: _halved(came) if config.direction == name else came}
    return parts | {
        "outputs": lambda config, came, given: _halved(came) if name in (config.activations or ()) else came
    }


def _halved(came):
    return came._replace(Y=came.Y * 0.5)


for _name in (*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS):
    family.add(
        f"silent-{_name.lower().replace('_', '-')}",
        f"UNCLAIMED-{_name.upper().replace('_', '-')}",
        f"a node that does not claim {_name} and computes something else instead of refusing it",
        lambda name=_name: ignoring(name),
        **({"kinds": ONLY[_name]} if _name in ONLY else {}),
    )


@family("UNCLAIMED-OPERATOR", "a runtime that does not claim GRU and computes something else instead of refusing it")
def silent_operator():
    return {
        "claims": {"operators": {"RNN", "LSTM"}},
        "refuses": FEATURES,
        "outputs": lambda config, came, given: _halved(came) if config.kind == "GRU" else came,
    }


@family("UNCLAIMED-DTYPE", "a runtime that does not claim float64 and computes it in float32")
def silent_float64():
    def outputs(config, came, given):
        if config.dtype != "float64":
            return came
        return came._replace(Y=came.Y.astype(np.float32).astype(np.float64))

    return {"claims": {"dtypes": {"float32"}}, "refuses": FEATURES, "outputs": outputs}
