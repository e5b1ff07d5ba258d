"""The meaning of the parts of a case file: arrays, modules, steps, needs and expectations, and their rules.

A part that fits the schema can still make no sense. Every function here then raises ValueError with one sentence that
says what to correct.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from conformance.cases.program import DryModule, Module, blank, changed, names_in, perform
from conformance.engine.files import bounded_count
from reference.config import DTYPES, numpy_dtype, require
from reference.parameters import check_parameters, parameter_shapes
from reference.precision import ARITHMETICS

MAX_NUMBERS = 1 << 24  # of an array
SPECIAL = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}  # JSON has no such numbers


def number(value: float | str) -> float:
    """Return a number, or the NaN or infinity of that name."""
    return SPECIAL[value] if isinstance(value, str) else value


def array(spec: Mapping[str, Any]) -> np.ndarray:
    """Return the float64 array that a case file describes."""
    shape = tuple(spec["shape"])
    count = bounded_count(shape, MAX_NUMBERS)
    integers = fill(count, **spec["fill"]) if "fill" in spec else np.array(spec["data"], np.float64)
    _require_count(len(integers), shape)
    values = integers / spec["divisor"]
    for position, value in spec.get("put", ()):
        require(position < count, "put", f"positions below {count}", position)
        values[position] = number(value)
    return values.reshape(shape)


def fill(count: int, seed: int, limit: int) -> np.ndarray:
    """Return the integers of the fill rule, (count) in -limit..limit: a counter through a 32-bit mixing function."""
    a: np.ndarray = (seed + np.arange(count, dtype=np.uint64) * 2654435769).astype(np.uint32)
    a = (a ^ (a >> 16)) * np.uint32(2246822507)
    a = (a ^ (a >> 13)) * np.uint32(3266489909)
    a = a ^ (a >> 16)
    return (a % np.uint32(2 * limit + 1)).astype(np.float64) - limit


def _require_count(count: int, shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    if count != size:
        raise ValueError(f"data holds {count} numbers, the shape {list(shape)} needs {size}; mend either")


def parameters(specs: list[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the arrays of a list of parameters by name."""
    found: dict[str, np.ndarray] = {}
    for entry in specs:
        name = entry["name"]
        require(name not in found, "parameters", "every name once", name)
        try:
            found[name] = array(entry)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def module(spec: Mapping[str, Any]) -> Module:
    """Return the Module that a case file describes."""
    type_ = next(name for name in ("layer", "cell", "linear") if name in spec)
    made = Module(type_, spec[type_], parameters(spec["parameters"]))
    if type_ == "linear":
        sizes = made.arguments["out_features"], made.arguments["in_features"]
        came = {name: value.shape for name, value in made.parameters.items()}
        require(came == {"weight": sizes, "bias": sizes[:1]}, "parameters", f"weight {sizes}, bias {sizes[:1]}", came)
        return made
    config = made.config("float64")
    config.validate()
    check_parameters(config, made.parameters)
    order = list(parameter_shapes(config))
    require(list(made.parameters) == order, "parameters", f"the order {', '.join(order)}", list(made.parameters))
    return made


def wrong_module(spec: Mapping[str, Any], modules: Mapping[str, Module]) -> Module:
    """Return the Module of an entry of ``wrong_modules``, which a backend must refuse."""
    like = spec["like"]
    require(like in modules and modules[like].type != "linear", "like", "one of the layers and cells", like)
    unknown = sorted(set(spec.get("without", ())) - set(modules[like].parameters))
    require(not unknown, "without", f"parameters of {like!r}", unknown)
    return changed(modules[like], spec, parameters(spec.get("with", [])))


def exact_dtypes(arrays: Mapping[str, np.ndarray], modules: Mapping[str, Module]) -> list[str]:
    """Return the dtypes in which every input is exact."""
    every = [*arrays.values(), *(value for made in modules.values() for value in made.parameters.values())]

    def exact(dtype: str) -> bool:
        with np.errstate(all="ignore"):
            rounded = (a.astype(numpy_dtype(dtype)).astype(np.float64) for a in every)
            return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(every, rounded, strict=True))

    return [dtype for dtype in DTYPES if exact(dtype)]


def dry_step(step, shapes, modules: Mapping[str, Module], wrong=frozenset()) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a step's results."""
    came_from, to = step["from"], step.get("to", {})
    for name in names_in(came_from):
        if name not in shapes:
            raise ValueError(f"no array is called {name!r} so far; known are {', '.join(shapes)}")
    for name in names_in(to):
        if name in shapes:
            raise ValueError(f"{name!r} has its meaning already; choose another name")
    if "module" in step:
        _check_module(step, modules, wrong)
    if step["op"] == "take":
        shape, axis = shapes[came_from], step["axis"]
        require(axis < len(shape), "axis", f"below {len(shape)}, the number of axes of {came_from!r}", axis)
        try:
            largest = int(np.max(step["indices"]))
        except ValueError:
            raise ValueError("indices: the inner lists differ in length; make them alike") from None
        require(largest < shape[axis], "indices", f"below {shape[axis]}, the length of the axis", largest)
    calls = {name: DryModule(made) for name, made in modules.items()}
    if step["op"] == "gradients":
        known = {n for n in ("x", "h_0", "c_0") if n in came_from} | set(modules[step["module"]].parameters)
        unknown = sorted(set(to) - known)
        require(not unknown, "to", "names of what has a gradient here", ", ".join(unknown))
    for name in step.get("or", {}).values():
        require(name in shapes, "or", f"known names, {', '.join(shapes)}", name)
    results = perform(step, {name: blank(shape) for name, shape in shapes.items()}, calls)
    for name, value in results.items():
        if value is None:
            raise ValueError(f"{name!r} is a cell state, which {modules[step['module']].arguments['kind']} has not")
    return {name: value.shape for name, value in results.items()}


def _check_module(step, modules: Mapping[str, Module], wrong) -> None:
    name, op = step["module"], step["op"]
    type_ = {"gradients": ("layer",), "refuse": ("layer", "cell")}.get(op, (op,))
    known = [n for n in modules if op == "refuse" or n not in wrong]
    if name not in known or modules[name].type not in type_:
        raise ValueError(f"{name!r} is no {' or '.join(type_)} among the modules; known are {', '.join(known)}")
    if op == "refuse":
        of = ("x", "h", "c") if modules[name].type == "cell" else ("x", "h_0", "c_0")
        unknown = sorted({*step["from"], *step.get("other_dtype", ())} - {*of, "parameters"})
        require(not unknown, "from", f"arguments among {', '.join(of)}", ", ".join(unknown))


def numbers(name: str, spec: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    """Return the expected numbers of a result."""
    shape = tuple(spec["shape"])
    _require_known(name, shapes)
    _require_count(len(spec["data"]), shape)
    require(shape == shapes[name], "shape", f"{list(shapes[name])}, what the program gives", list(shape))
    return np.array([number(value) for value in spec["data"]], np.float64).reshape(shape)


def allowed(specs, names: tuple[str, ...], shapes, dtypes: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Return the error allowed at each element, by dtype and result.

    The file has it in units of the dtype's unit roundoff.
    """
    if not specs:
        return {}
    require(sorted(specs) == sorted(dtypes), "dtypes", ", ".join(dtypes), ", ".join(specs))
    found: dict[str, dict[str, np.ndarray]] = {}
    for dtype, by_name in specs.items():
        every = f"all that is compared, {', '.join(names)}"
        require(sorted(by_name) == sorted(names), dtype, every, ", ".join(by_name))
        found[dtype] = {}
        for name, units in by_name.items():
            _require_count(len(units), shapes[name])
            found[dtype][name] = np.array(units, np.float64).reshape(shapes[name]) * ARITHMETICS[dtype].u
    return found


def _require_known(name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise ValueError(f"nothing is called {name!r}; known are {', '.join(known)}")


def check_expectations(expect, numbers, shapes, modules, program) -> None:
    """Raise ValueError unless there are expectations, and each names existing results and can hold."""
    refuses = any(step["op"] == "refuse" for step in program)
    require(bool(numbers) or refuses, "numbers", "a result, or a step that must be refused", "none")
    for kind in ("equal", "identical", "different"):
        for a, b in expect.get(kind, ()):
            _require_known(a, shapes)
            _require_known(b, shapes)
            require(shapes[a] == shapes[b], kind, f"{a!r} and {b!r} of one shape", f"{shapes[a]} and {shapes[b]}")
    for name in expect.get("within", {}):
        _require_known(name, numbers)
    if "classes" in expect:
        of = expect["classes"]["of"]
        _require_known(of, numbers)
        require(len(shapes[of]) == 2, "classes", f"{of!r} of two axes", shapes[of])
        for kind in ("classes", "labels"):
            came = expect["classes"].get(kind)
            if came is not None:
                require(len(came) == shapes[of][0], kind, f"{shapes[of][0]} classes, one a row", len(came))
                require(max(came) < shapes[of][1], kind, f"classes below {shapes[of][1]}", max(came))
    for name in expect.get("parameters", ()):
        layers = [n for n, m in modules.items() if m.type == "layer"]
        require(name in layers, "parameters", f"one of the layers {', '.join(layers)}", name)
    for element in expect.get("differs", ()):
        _require_known(element["name"], numbers)
        shape, at = shapes[element["name"]], element["at"]
        inside = len(at) == len(shape) and all(i < extent for i, extent in zip(at, shape, strict=True))
        require(inside, "differs", f"an index into {element['name']!r} of shape {list(shape)}", at)


def needs(modules: Mapping[str, Module], program, shapes, wrong=frozenset()) -> dict[str, list[str]]:
    """Return the kinds and features that these modules and this program need, in the form of the field ``needs``."""
    kinds, features = set(), set()
    for name, made in modules.items():
        arguments = made.arguments
        if made.type == "linear" or name in wrong:
            continue
        kinds.add(arguments["kind"])
        features |= {"cells"} if made.type == "cell" else set()
        features |= set() if arguments["bias"] else {"no_bias"}
        if made.type == "layer":
            features |= {"multilayer"} if arguments["num_layers"] > 1 else set()
            features |= {"projection"} if arguments["proj_size"] > 0 else set()
            features |= {"dropout"} if arguments.get("dropout", 0) > 0 else set()
            features |= {name for name in ("bidirectional", "batch_first") if arguments[name]}
    for step in program:
        if "module" not in step or step["op"] == "linear":
            continue
        given = step["from"]
        features |= {"initial_state"} if {"h_0", "c_0"} & set(given) else set()
        features |= {"lengths"} if "lengths" in step else set()
        features |= {"dropout"} if "seed" in step else set()
        features |= {"gradients"} if step["op"] == "gradients" else set()
        axes_unbatched = 1 if modules[step["module"]].type == "cell" else 2
        features |= {"unbatched"} if len(shapes[given["x"]]) == axes_unbatched else set()
    return {"kinds": sorted(kinds), "features": sorted(features)}


def check_needs(stated, needed, dtypes: list[str]) -> None:
    """Raise ValueError unless the stated needs are the needs of the modules, the program and the numbers."""
    for name, items in needed.items():
        came = sorted(stated[name])
        require(came == sorted(items), name, f"{', '.join(items) or 'none'}, by the modules and the program", came)
    came = stated.get("dtypes", list(DTYPES))
    exact = ", ".join(dtypes) or "none"
    require(sorted(came) == sorted(dtypes), "dtypes", f"{exact}, in which the inputs are exact", ", ".join(came))
