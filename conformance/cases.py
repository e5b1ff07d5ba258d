"""Cases from real use: language-neutral files, replayed on a backend and compared with what they expect.

A case (cases/README.md) holds arrays, modules with their parameters, a program of a few operations and
the oracle's numbers. One interpreter, ``run``, serves four times: on bare shapes when a file is loaded,
on the oracle, on the oracle's disturbed arrays for the tolerance, and on a backend.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conformance.compare import Failed, check_numbers, describe_shape_or_kind
from reference.config import CellConfig, LayerConfig, numpy_dtype, require
from reference.layers import Result, check_cell_inputs, check_inputs, evaluate, evaluate_cell
from reference.parameters import check_parameters, parameter_shapes
from reference.precision import REPLICAS, Arithmetic, allowed, spreads

SCHEMA = "schema.json"
REPLICAS_OF_CASES = (REPLICAS, 32)  # more would take gigabytes for the widest cases
FIELDS = {"layer": Result._fields, "cell": ("h", "c")}

Arrays = Mapping[str, Any]
Calls = Mapping[str, Callable]


class CaseError(ValueError):
    """A case file is broken. One sentence: the file, the place in it, what to mend."""


@dataclass(frozen=True)
class Module:
    """A layer, a cell or a linear map: its arguments, and its parameters as float64 arrays in their order."""

    type: str
    arguments: Mapping[str, Any]
    parameters: Mapping[str, np.ndarray]

    def config(self, dtype: str) -> LayerConfig | CellConfig:
        """The configuration of a layer or cell."""
        return (LayerConfig if self.type == "layer" else CellConfig)(**self.arguments, dtype=dtype)

    def linear(self, x):
        """x (..., in_features) to (..., out_features), in float64."""
        return x @ self.parameters["weight"].T + self.parameters["bias"]


@dataclass(frozen=True, eq=False)
class Case:
    """A case as its file holds it, the integers and rules already turned into float64 arrays."""

    id: str
    description: str
    source: str
    notes: str
    requirements: tuple[str, ...]
    kinds: frozenset[str]
    features: frozenset[str]
    verdict: str
    arrays: Mapping[str, np.ndarray]
    modules: Mapping[str, Module]
    program: Sequence[Mapping[str, Any]]
    shapes: Mapping[str, tuple[int, ...]]
    """The shape of every named array, inputs and results."""
    numbers: Mapping[str, np.ndarray]
    expect: Mapping[str, Any]
    """The rest of ``expect`` as the file has it: equal, different, classes, parameters, differs."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of all results that are compared, with stored numbers or with each other."""
        pairs = [*self.expect.get("equal", ()), *self.expect.get("different", ())]
        return tuple(dict.fromkeys([*self.numbers, *(name for pair in pairs for name in pair)]))

    @cached_property
    def oracle(self) -> Mapping[str, np.ndarray]:
        """Every named array, computed by the oracle in float64."""
        return run(self.program, self.arrays, oracle_calls(self.modules))


# Replaying


def replay(case: Case, dtype: str, layer: Callable, cell: Callable) -> dict[str, np.ndarray]:
    """Run a case in ``dtype`` and return every named array.

    ``layer(config, parameters)`` and ``cell(config, parameters)`` build what has ``forward`` and ``step``,
    as a Backend does. Linear maps are computed in float64. Raises Failed where a result is no array of the
    documented shape and of ``dtype``; whatever the backend raises passes through.
    """
    number = numpy_dtype(dtype)

    def call(name: str, module: Module) -> Callable:
        if module.type == "linear":
            return lambda x: module.linear(x.astype(np.float64))
        built = _build(module, dtype, layer, cell)
        function = built.forward if module.type == "layer" else built.step

        def checked(*arguments):
            results = _results(module.type, function(*(_loaded(a, number) for a in arguments)))
            for field, came, blank in zip(FIELDS[module.type], results, dry(*arguments), strict=True):
                _check_array(f"{field} of {name!r}", came, None if blank is None else blank.shape, number)
            return results

        dry = _dry_call(module)
        return checked

    arrays = {name: values.astype(number) for name, values in case.arrays.items()}
    return run(case.program, arrays, {name: call(name, module) for name, module in case.modules.items()})


def _loaded(argument: object, number: np.dtype) -> object:
    """A copy of an array in the dtype, so that nothing a backend writes reaches a later step."""
    return argument.astype(number) if isinstance(argument, np.ndarray) else argument


def _results(type_: str, returned: object) -> tuple:
    """The results of a layer or cell in the order of FIELDS. Raises Failed where there are none."""
    if type_ == "layer":
        return tuple(getattr(returned, field, None) for field in FIELDS["layer"])
    if not isinstance(returned, tuple) or len(returned) != len(FIELDS["cell"]):
        raise Failed(f"step returned {type(returned).__name__}, expected (h, c or None)")
    return returned


def _build(module: Module, dtype: str, layer: Callable, cell: Callable):
    number = numpy_dtype(dtype)
    parameters = {name: value.astype(number) for name, value in module.parameters.items()}
    return (layer if module.type == "layer" else cell)(module.config(dtype), parameters)


def _check_array(what: str, came: object, shape: tuple[int, ...] | None, number: np.dtype) -> None:
    if shape is None:
        if came is not None:
            raise Failed(f"{what}: got {describe_shape_or_kind(came)}, expected None")
    elif not isinstance(came, np.ndarray) or came.shape != shape:
        raise Failed(f"{what}: got {describe_shape_or_kind(came)}, expected shape {shape}")
    elif came.dtype != number:
        raise Failed(f"{what}: got dtype {came.dtype}, expected {number}")


def run(program: Sequence[Mapping[str, Any]], arrays: Arrays, calls: Calls) -> dict[str, Any]:
    """Run a program on anything that behaves as arrays; ``calls`` has what each module computes."""
    values = dict(arrays)
    for step in program:
        values.update(perform(step, values, calls))
    return values


def perform(step: Mapping[str, Any], values: Arrays, calls: Calls) -> dict[str, Any]:
    """One operation: its results by name. Each operation is defined in cases/schema.json."""
    came_from, to = step["from"], step["to"]
    match step["op"]:
        case "layer":
            inputs = [_optional(values, came_from.get(name)) for name in ("x", "h_0", "c_0")]
            results = calls[step["module"]](*inputs, step.get("lengths"))
            return {name: results[FIELDS["layer"].index(field)] for field, name in to.items()}
        case "cell":
            inputs = [_optional(values, came_from.get(name)) for name in ("x", "h", "c")]
            results = calls[step["module"]](*inputs)
            return {name: results[FIELDS["cell"].index(field)] for field, name in to.items()}
        case "linear":
            return {to: calls[step["module"]](values[came_from])}
        case "take":
            indices = step["indices"]
            indices = indices if isinstance(indices, int) else np.array(indices)
            return {to: values[came_from][(slice(None),) * step["axis"] + (indices,)]}
        case "stack":
            return {to: np.stack([values[name] for name in came_from])}
    raise ValueError(f"op: expected layer, cell, linear, take or stack, got {step['op']!r}")


def _optional(values: Arrays, name: str | None):
    return None if name is None else values[name]


def oracle_calls(modules: Mapping[str, Module]) -> dict[str, Callable]:
    """What each module computes according to the oracle, on float64 and on disturbed arrays."""
    evaluators = {"layer": evaluate, "cell": evaluate_cell}
    return {
        name: module.linear
        if module.type == "linear"
        else functools.partial(evaluators[module.type], module.config("float64"), module.parameters)
        for name, module in modules.items()
    }


# Comparing


class Expected(NamedTuple):
    """A result's right numbers and the error allowed at each of them; float64 arrays of one shape."""

    numbers: np.ndarray
    allowed: np.ndarray


@functools.lru_cache(maxsize=1024)
def expected(case: Case, arithmetic: Arithmetic, replicas: int = REPLICAS) -> dict[str, Expected]:
    """What each compared result must be, and how far rounding in ``arithmetic`` may carry it from there.

    The numbers are the stored ones, the oracle's where a result is only compared with another. The whole
    program is disturbed, so errors grow from call to call as they do on a machine. Inputs are exact in
    every dtype, so the numbers serve them all.
    """
    names = case.compared
    own = [case.oracle[name] for name in names]  # not the stored ones, which a mismatch does not give
    calls = oracle_calls(case.modules)

    def program(*arrays):
        values = run(case.program, dict(zip(case.arrays, arrays, strict=True)), calls)
        return [values[name] for name in names]

    found = spreads(program, list(case.arrays.values()), own, arithmetic, replicas)
    return {
        name: Expected(case.numbers.get(name, number), allowed(spread, arithmetic))
        for name, number, spread in zip(names, own, found, strict=True)
    }


def check(case: Case, results: Arrays, arithmetic: Arithmetic) -> float:
    """Compare a replayed case with what it expects; return the largest error as a fraction of what is allowed.

    Raises Failed with the first difference in words. A case with the verdict mismatch passes where its
    listed elements are not the expected ones but those that its own parameters give.
    """
    want = functools.partial(expected, case, arithmetic)
    if case.verdict == "mismatch":
        return _check_mismatch(case, results, want(REPLICAS_OF_CASES[-1]))

    def compare(name: str, got: np.ndarray, right: np.ndarray, *bounded_by: str) -> float:
        return check_numbers(
            name,
            got,
            right,
            lambda replicas: sum(want(replicas)[n].allowed for n in bounded_by),
            arithmetic.largest,
            lambda index: f"{name}{list(index)}, in case {case.id}",
            REPLICAS_OF_CASES,
        )

    margins = [compare(name, results[name], right, name) for name, right in case.numbers.items()]
    for a, b in case.expect.get("equal", ()):
        margins.append(compare(f"{a} (as against {b})", results[a], results[b].astype(np.float64), a, b))
    for a, b in case.expect.get("different", ()):
        off = np.abs(results[a].astype(np.float64) - results[b])
        if not np.any(off > want()[a].allowed + want()[b].allowed):
            raise Failed(f"{a} and {b}, in case {case.id}: got the same numbers, expected different ones")
    if "classes" in case.expect:
        _check_classes(case, results, want())
    return max(margins)


def _check_classes(case: Case, results: Arrays, want: Mapping[str, Expected]) -> None:
    name, classes = case.expect["classes"]["of"], case.expect["classes"]["classes"]
    numbers, error = want[name]
    possible = numbers + error >= np.max(numbers - error, axis=-1, keepdims=True)
    for n, got in enumerate(np.argmax(results[name], axis=-1)):
        if not possible[n, got]:
            raise Failed(f"{name}[{n}], in case {case.id}: got class {got}, expected {classes[n]}")


def _check_mismatch(case: Case, results: Arrays, want: Mapping[str, Expected]) -> float:
    margins = []
    for element in case.expect["differs"]:
        name, at, gives = element["name"], tuple(element["at"]), element["gives"]
        got, right, error = float(results[name][at]), want[name].numbers[at], want[name].allowed[at]
        place = f"{name}{list(at)}, in case {case.id}"
        if abs(got - right) <= error:
            raise Failed(f"{place}: got {got:.9g}, which these parameters must not give; expected {gives:.9g}")
        if not abs(got - gives) <= error:
            raise Failed(f"{place}: got {got:.9g}, expected {gives:.9g}; allowed {error:.3g}")
        margins.append(abs(got - gives) / error)
    return max(margins)


def check_read_back(case: Case, dtype: str, layer: Callable) -> None:
    """The layers named in ``expect.parameters`` read back what was loaded: names in order, shapes, numbers.

    For backends with the feature ``parameters``. Raises Failed with the first difference in words.
    """
    for name in case.expect.get("parameters", ()):
        module = case.modules[name]
        came = _build(module, dtype, layer, cell=None).parameters()
        if list(came) != list(module.parameters):
            raise Failed(
                f"parameters of {name!r}, in case {case.id}: got {', '.join(came)}, "
                f"expected {', '.join(module.parameters)}"
            )
        for parameter, value in module.parameters.items():
            _check_array(f"{parameter} of {name!r}", came[parameter], value.shape, numpy_dtype(dtype))
            if not np.array_equal(came[parameter].astype(np.float64), value):
                raise Failed(f"{parameter} of {name!r}, in case {case.id}: got other numbers than were loaded")


# Loading


def default_directory() -> Path:
    """``_cases`` inside the installed package, or ``cases`` beside the package in a checkout."""
    installed = Path(__file__).parent / "_cases"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "cases"


def load_cases(directory: Path | str | None = None) -> list[Case]:
    """Every case of a directory, by file name. Raises CaseError for the first broken file."""
    directory = default_directory() if directory is None else Path(directory)
    files = sorted(path for path in directory.glob("*.json") if path.name != SCHEMA)
    if not files:
        raise CaseError(f"{directory}: no case files here; name a folder of .json cases")
    validator = _validator()
    cases: list[Case] = []
    taken: dict[str, Path] = {}
    for path in files:
        case = load_case(path, validator)
        for place, value in (("id", case.id), ("description", case.description)):
            other = taken.setdefault(f"{place} {value}", path)
            if other is not path:
                raise CaseError(f"{path.name}: {place}: {value!r} is that of {other.name}, too; choose another")
        if case.id != path.stem:
            raise CaseError(f"{path.name}: id: {case.id!r} is not the file's name; rename one of them")
        cases.append(case)
    return cases


def load_case(path: Path, validator=None) -> Case:
    """One case. Raises CaseError if its file is broken."""

    def broken(place: str, what: str) -> CaseError:
        return CaseError(f"{path.name}: {place}: {what}")

    try:
        document = json.loads(path.read_text("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise broken(f"line {error.lineno}, column {error.colno}", f"this is no JSON: {error.msg}; mend it") from error
    except UnicodeDecodeError as error:
        raise broken(f"byte {error.start}", "this is no UTF-8; save the file as UTF-8") from error
    except ValueError as error:
        raise broken("the file", str(error)) from error
    for place, what in _schema_faults(validator or _validator(), document):
        raise broken(place, what)
    return _case(document, broken)


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} stands twice in one object; remove one of them")
    return found


def _no_constant(text):
    raise ValueError(f"{text} is no JSON number; write a finite one")


def _validator():
    from jsonschema import Draft202012Validator, validators  # here: importing conformance needs NumPy alone

    def is_integer(_, value):  # JSON Schema takes 3.0 for one, which is no size in NumPy
        return isinstance(value, int) and not isinstance(value, bool)

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    schema = json.loads((default_directory() / SCHEMA).read_text("utf-8"))
    return validators.extend(Draft202012Validator, type_checker=types)(schema)


def _schema_faults(validator, document):
    """The most telling place where a document departs from the schema, if any, and what to mend there."""
    if validator.is_valid(document):
        return
    from jsonschema.exceptions import best_match

    error = best_match(validator.iter_errors(document))
    value, schema = error.instance, error.schema
    title = schema.get("title", "") if isinstance(schema, dict) else ""
    match error.validator:
        case "maxLength":
            what = f"has {len(value)} characters; shorten it to at most {error.validator_value}"
        case "required":
            what = f"lacks {', '.join(repr(n) for n in error.validator_value if n not in value)}; add it"
        case "additionalProperties":
            unknown = [n for n in value if n not in schema.get("properties", {})]
            what = f"holds {', '.join(map(repr, unknown))}, which has no meaning here; remove or rename it"
        case "enum":
            what = f"{_short(value)} should be one of {', '.join(map(str, error.validator_value))}"
        case "oneOf":
            choices = [repr(choice["required"][0]) for choice in error.validator_value]
            what = f"should hold exactly one of {', '.join(choices)}"
        case "not":
            what = f"should be {error.validator_value['title']}"
        case "type" | "pattern" | "minimum" | "maximum" if title:
            meaning = title[0].lower() + title[1:]
            what = f"{_short(value)} should be {meaning} ({error.validator}: {error.validator_value})"
        case _:
            what = f"{_short(value)} should satisfy {error.validator}: {_short(error.validator_value)}"
    yield _place(error.absolute_path), what


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(path) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return place or "the file"


def _case(document: Mapping[str, Any], broken: Callable[[str, str], CaseError]) -> Case:
    """The Case of a document that has the schema's form."""

    def mending(place: str, function: Callable, *arguments):
        try:
            return function(*arguments)
        except ValueError as error:
            raise broken(place, str(error)) from error

    arrays = {name: mending(f"arrays.{name}", array, spec) for name, spec in document["arrays"].items()}
    modules = {name: mending(f"modules.{name}", module, spec) for name, spec in document["modules"].items()}
    shapes = {name: value.shape for name, value in arrays.items()}
    calls = {name: _dry_call(m) for name, m in modules.items()}
    for number, step in enumerate(document["program"]):
        shapes |= mending(f"program[{number}]", _dry_step, step, shapes, modules, calls)
    expect = dict(document["expect"])
    numbers = {
        name: mending(f"expect.numbers.{name}", _numbers, name, spec, shapes)
        for name, spec in expect.pop("numbers").items()
    }
    mending("expect", _check_expectations, expect, numbers, shapes, modules)
    mending("needs", _check_needs, document["needs"], needs(modules, document["program"], shapes))
    plain = ("id", "description", "source", "notes", "verdict", "program")
    return Case(
        **{name: document[name] for name in plain},
        requirements=tuple(document["requirements"]),
        kinds=frozenset(document["needs"]["kinds"]),
        features=frozenset(document["needs"]["features"]),
        arrays=arrays,
        modules=modules,
        shapes=shapes,
        numbers=numbers,
        expect=expect,
    )


def array(spec: Mapping[str, Any]) -> np.ndarray:
    """The float64 array of a specification. Raises ValueError for a wrong count of numbers."""
    shape = tuple(spec["shape"])
    count = int(np.prod(shape))
    integers = fill(count, **spec["fill"]) if "fill" in spec else np.array(spec["data"], np.float64)
    _require_count(len(integers), shape)
    return integers.reshape(shape) / spec["divisor"]


def fill(count: int, seed: int, limit: int) -> np.ndarray:
    """The integers of the fill rule, (count) in -limit..limit: a counter through a 32-bit mixing function."""
    a = (seed + np.arange(count, dtype=np.uint64) * 2654435769).astype(np.uint32)
    a = (a ^ (a >> 16)) * np.uint32(2246822507)
    a = (a ^ (a >> 13)) * np.uint32(3266489909)
    a = a ^ (a >> 16)
    return (a % np.uint32(2 * limit + 1)).astype(np.float64) - limit


def _require_count(count: int, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    if count != size:
        raise ValueError(f"data holds {count} numbers, the shape {list(shape)} needs {size}; mend either")


def module(spec: Mapping[str, Any]) -> Module:
    """The Module of a specification. Raises ValueError for arguments and parameters that do not fit."""
    type_ = next(name for name in ("layer", "cell", "linear") if name in spec)
    parameters: dict[str, np.ndarray] = {}
    for entry in spec["parameters"]:
        name = entry["name"]
        require(name not in parameters, "parameters", "every name once", name)
        try:
            parameters[name] = array(entry)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    made = Module(type_, spec[type_], parameters)
    if type_ == "linear":
        sizes = made.arguments["out_features"], made.arguments["in_features"]
        came = {name: value.shape for name, value in parameters.items()}
        require(came == {"weight": sizes, "bias": sizes[:1]}, "parameters", f"weight {sizes}, bias {sizes[:1]}", came)
        return made
    config = made.config("float64")
    config.validate()
    check_parameters(config, parameters)
    order = list(parameter_shapes(config))
    require(list(parameters) == order, "parameters", f"the order {', '.join(order)}", list(parameters))
    return made


def _dry_call(module: Module) -> Callable:
    """What a module makes of arrays that have shapes only. The call raises ValueError where they do not fit."""

    def layer(x, h_0=None, c_0=None, lengths=None):
        x, h_0, c_0 = (None if a is None else _blank(a.shape) for a in (x, h_0, c_0))
        config = module.config("float64")
        check_inputs(config, x, h_0, c_0, lengths)
        lead = x.shape[1:-1] if not config.batch_first or x.ndim == 2 else x.shape[:1]
        rows = config.directions * config.num_layers
        return Result(
            _blank((*x.shape[:-1], config.directions * config.output_size)),
            _blank((rows, *lead, config.output_size)),
            _blank((rows, *lead, config.hidden_size)) if config.kind == "lstm" else None,
        )

    def cell(x, h=None, c=None):
        x, h, c = (None if a is None else _blank(a.shape) for a in (x, h, c))
        config = module.config("float64")
        check_cell_inputs(config, x, h, c)
        state = _blank((*x.shape[:-1], config.hidden_size))
        return state, state if config.kind == "lstm" else None

    def linear(x):
        features = module.arguments["in_features"]
        require(x.ndim > 0 and x.shape[-1] == features, "from", f"{features} features (in_features)", x.shape)
        return _blank((*x.shape[:-1], module.arguments["out_features"]))

    return {"layer": layer, "cell": cell, "linear": linear}[module.type]


def _blank(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.float64(0), shape)


def _dry_step(step, shapes, modules, calls) -> dict[str, tuple[int, ...]]:
    """The shapes of a step's results. Raises ValueError for a step that cannot be performed."""
    came_from, to = step["from"], step["to"]
    for name in _names(came_from):
        if name not in shapes:
            raise ValueError(f"no array is called {name!r} so far; known are {', '.join(shapes)}")
    for name in _names(to):
        if name in shapes:
            raise ValueError(f"{name!r} has its meaning already; choose another name")
    if "module" in step:
        name = step["module"]
        if name not in modules or modules[name].type != step["op"]:
            raise ValueError(f"{name!r} is no {step['op']} among the modules; known are {', '.join(modules)}")
    if step["op"] == "take":
        shape, axis = shapes[came_from], step["axis"]
        require(axis < len(shape), "axis", f"below {len(shape)}, the number of axes of {came_from!r}", axis)
        try:
            largest = int(np.max(step["indices"]))
        except ValueError:
            raise ValueError("indices: the inner lists differ in length; make them alike") from None
        require(largest < shape[axis], "indices", f"below {shape[axis]}, the length of the axis", largest)
    results = perform(step, {name: _blank(shape) for name, shape in shapes.items()}, calls)
    for name, value in results.items():
        if value is None:
            raise ValueError(f"{name!r} is a cell state, which {modules[step['module']].arguments['kind']} has not")
    return {name: value.shape for name, value in results.items()}


def _names(named: str | list[str] | Mapping[str, str]) -> list[str]:
    """The names in a step's ``from`` or ``to``."""
    return [named] if isinstance(named, str) else list(named.values() if isinstance(named, Mapping) else named)


def _numbers(name: str, spec: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> np.ndarray:
    shape = tuple(spec["shape"])
    _require_known(name, shapes)
    _require_count(len(spec["data"]), shape)
    require(shape == shapes[name], "shape", f"{list(shapes[name])}, what the program gives", list(shape))
    return np.array(spec["data"], np.float64).reshape(shape)


def _require_known(name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise ValueError(f"nothing is called {name!r}; known are {', '.join(known)}")


def _check_expectations(expect, numbers, shapes, modules) -> None:
    """Raise ValueError where an expectation names what is not there or cannot hold."""
    for kind in ("equal", "different"):
        for a, b in expect.get(kind, ()):
            _require_known(a, shapes)
            _require_known(b, shapes)
            require(shapes[a] == shapes[b], kind, f"{a!r} and {b!r} of one shape", f"{shapes[a]} and {shapes[b]}")
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


def needs(modules, program, shapes) -> dict[str, list[str]]:
    """What an implementation must have for these modules and this program, as the field ``needs`` says it."""
    kinds, features = set(), set()
    for made in modules.values():
        arguments = made.arguments
        if made.type == "linear":
            continue
        kinds.add(arguments["kind"])
        features |= {"cells"} if made.type == "cell" else set()
        features |= set() if arguments["bias"] else {"no_bias"}
        if made.type == "layer":
            features |= {"multilayer"} if arguments["num_layers"] > 1 else set()
            features |= {"projection"} if arguments["proj_size"] > 0 else set()
            features |= {name for name in ("bidirectional", "batch_first") if arguments[name]}
    for step in program:
        if step["op"] == "layer":
            features |= {"initial_state"} if "h_0" in step["from"] else set()
            features |= {"lengths"} if "lengths" in step else set()
            features |= {"unbatched"} if len(shapes[step["from"]["x"]]) == 2 else set()
    return {"kinds": sorted(kinds), "features": sorted(features)}


def _check_needs(stated, needed) -> None:
    for name, items in needed.items():
        came = sorted(stated[name])
        require(came == items, name, f"{', '.join(items) or 'none'}, by the modules and the program", came)
