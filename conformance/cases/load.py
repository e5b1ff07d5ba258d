"""The loader of case files. It checks their JSON, their schema and the rules that a schema cannot express."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from conformance.cases import form
from conformance.cases.program import Arrays, Module, names_in, oracle_calls, run
from conformance.engine.files import Damaged, json_data, read_text, require_schema
from conformance.engine.text import OneSentence
from reference.config import DTYPES, numpy_dtype

SCHEMA = "schema.json"
FOLDERS = (".", "generated")  # the places of case files in a directory of cases


# Raised where a file is no case.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


class CaseError(OneSentence, ValueError):
    """A broken case file. The message is one sentence with the file, the place in it and the correction."""


@dataclass(frozen=True)
class CaseHeader:
    """What a case file says of itself: all that is needed to choose the case, without an array."""

    path: Path
    id: str
    description: str
    source: str
    requirements: tuple[str, ...]
    kinds: frozenset[str]
    features: frozenset[str]
    dtypes: tuple[str, ...]
    """The dtypes in which every input is exact."""
    layers: bool
    """Whether it calls a layer."""
    steps: int
    """The largest number of steps of a layer's call."""
    sizes: tuple[tuple[int, int], ...]
    """The pairs (input_size, hidden_size) of its layers and cells."""
    refuses_only: bool
    """True if no number is compared."""
    program: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, path: Path) -> CaseHeader:
        """Read the header of a case file. Raises CaseError if the file is broken."""
        try:
            return cls._of(path, json.loads(path.read_text("utf-8")))
        except UNREADABLE:  # let the schema tell what is wrong
            load_case(path)
            raise

    @classmethod
    def _of(cls, path: Path, document: Mapping[str, Any]) -> CaseHeader:
        arrays, program, needs = document["arrays"], document["program"], document["needs"]
        modules = {name: spec for name, spec in document["modules"].items() if "linear" not in spec}
        arguments = {name: spec.get("layer") or spec["cell"] for name, spec in modules.items()}
        steps = [0]
        for step in program:
            if step["op"] in ("layer", "gradients") and step["module"] in modules:
                x = step["from"]["x"]
                shape = arrays[x]["shape"] if x in arrays else load_case(path, fits=True).shapes[x]
                steps.append(shape[1 if arguments[step["module"]]["batch_first"] and len(shape) == 3 else 0])
        return cls(
            path=path,
            **{name: document[name] for name in ("id", "description", "source", "program")},
            requirements=tuple(document["requirements"]),
            kinds=frozenset(needs["kinds"]),
            features=frozenset(needs["features"]),
            dtypes=tuple(dtype for dtype in DTYPES if dtype in needs.get("dtypes", DTYPES)),
            layers=any("layer" in spec for spec in modules.values()),
            steps=max(steps),
            sizes=tuple(dict.fromkeys((a["input_size"], a["hidden_size"]) for a in arguments.values())),
            refuses_only=not compared(document["expect"]["numbers"], document["expect"], program),
        )


@dataclass(frozen=True, eq=False)
class Case:
    """A case as in its file, with float64 arrays in place of the integers and rules."""

    id: str
    description: str
    source: str
    notes: str
    requirements: tuple[str, ...]
    kinds: frozenset[str]
    features: frozenset[str]
    dtypes: tuple[str, ...]
    """The dtypes in which every input is exact."""
    verdict: str
    arrays: Arrays
    modules: Mapping[str, Module]
    wrong: frozenset[str]
    """The names of the modules that a backend must refuse."""
    program: Sequence[Mapping[str, Any]]
    shapes: Mapping[str, tuple[int, ...]]
    """The shapes of all named arrays, inputs and results."""
    numbers: Mapping[str, np.ndarray]
    expect: Mapping[str, Any]
    """The rest of the file's ``expect``: equal, different, within, classes, parameters, differs."""
    allowed: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """The error allowed at each element by dtype and result, if the file has it."""

    @property
    def compared(self) -> tuple[str, ...]:
        """The names of all results that are compared with stored numbers or with each other."""
        return compared(self.numbers, self.expect, self.program)

    @cached_property
    def oracle(self) -> Mapping[str, np.ndarray]:
        """All named arrays, computed by the oracle in float64."""
        return run(self.program, self.arrays, oracle_calls(self.modules))

    def within(self, dtype: str) -> Case:
        """Return the case in a dtype: itself if its inputs are exact there, else one with rounded inputs.

        The expected numbers of the latter are the oracle's for the rounded inputs.
        """
        if dtype in self.dtypes:
            return self
        number = numpy_dtype(dtype)

        def rounded(arrays: Arrays) -> dict[str, np.ndarray]:
            with np.errstate(all="ignore"):
                return {name: a.astype(number).astype(np.float64) for name, a in arrays.items()}

        modules = {name: replace(m, parameters=rounded(m.parameters)) for name, m in self.modules.items()}
        other = replace(self, arrays=rounded(self.arrays), modules=modules, allowed={}, dtypes=(dtype,))
        return replace(other, numbers={name: other.oracle[name] for name in self.numbers})


def compared(numbers, expect, program) -> tuple[str, ...]:
    """Return the names of the results that are compared, in a fixed order."""
    pairs = [pair for kind in ("equal", "identical", "different") for pair in expect.get(kind, ())]
    instead = [name for step in program if step["op"] == "refuse" for name in step.get("or", {}).values()]
    made = {name for step in program if "to" in step for name in names_in(step["to"])}
    found = dict.fromkeys([*numbers, *(name for pair in pairs for name in pair), *expect.get("within", {}), *instead])
    return tuple(name for name in found if name in made)


# Reading

Loaded = TypeVar("Loaded", "Case", "CaseHeader")


def default_directory() -> Path:
    """Return ``_cases`` in an installed package, or ``cases`` beside the package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_cases"
    return installed if installed.is_dir() else package.parent / "cases"


def case_files(directory: Path) -> list[Path]:
    """Return the case files of a directory and of its folder ``generated``, sorted."""
    return sorted(path for folder in FOLDERS for path in (directory / folder).glob("*.json") if path.name != SCHEMA)


def load_cases(directory: Path | str | None = None) -> list[Case]:
    """Load the cases of a directory in the order of ``case_files``. Raises CaseError for the first broken file."""
    own, folder = directory is None, default_directory() if directory is None else Path(directory)
    return _each(folder, lambda path: load_case(path, fits=own))


def load_headers() -> list[CaseHeader]:
    """Read the headers of the suite's own cases. Raises CaseError for the first broken file.

    The rest of these files is taken to be sound: the project's tests check it, and it takes most of a start's time.
    """
    return _each(default_directory(), CaseHeader.of)


def _each(folder: Path, load: Callable[[Path], Loaded]) -> list[Loaded]:
    """Load every case file of a folder, and require that their names are the files' and differ."""
    files = case_files(folder)
    if not files:
        raise CaseError(f"{folder}: no case files here; name a folder of .json cases")
    found: list[Loaded] = []
    taken: dict[str, Path] = {}
    for path in files:
        found.append(load(path))
        check_names(path, found[-1], taken)
    return found


def check_names(path: Path, case: Case | CaseHeader, taken: dict[str, Path]) -> None:
    """Raise CaseError if the id is not the file's name, or another file in ``taken`` has the id or description."""
    for place, value in (("id", case.id), ("description", case.description)):
        other = taken.setdefault(f"{place} {value}", path)
        if other is not path:
            raise CaseError(f"{path.name}: {place}: {value!r} is that of {other.name}, too; choose another")
    if case.id != path.stem:
        raise CaseError(f"{path.name}: id: {case.id!r} is not the file's name; rename one of them")


def load_case(path: Path, *, fits: bool = False) -> Case:
    """Load one case. Raises CaseError if its file is broken.

    ``fits`` says that the file is known to fit the schema; if something is broken all the same, the schema tells it.
    """

    def broken(place: str, what: str) -> CaseError:
        return CaseError(f"{path.name}: {place}: {what}")

    if fits:
        with suppress(*UNREADABLE):
            return _case(json.loads(path.read_text("utf-8")), broken)
    try:
        document = json_data(read_text(path))
    except Damaged as error:
        raise broken(error.place or "the file", error.what) from error
    except OSError as error:
        raise broken("the file", f"it cannot be read ({error.strerror}); check its rights") from error
    return case_of(document, path.name)


def case_of(document: Mapping[str, Any], name: str) -> Case:
    """Return the case of a document, called ``name`` in messages. Raises CaseError if the document is broken."""

    def broken(place: str, what: str) -> CaseError:
        return CaseError(f"{name}: {place}: {what}")

    try:
        require_schema(default_directory() / SCHEMA, document)
    except Damaged as error:
        raise broken(error.place or "the file", error.what) from error
    return _case(document, broken)


def _case(document: Mapping[str, Any], broken: Callable[[str, str], CaseError]) -> Case:
    """Return the Case of a document that fits the schema."""

    def mending(place: str, function: Callable, *arguments):
        try:
            return function(*arguments)
        except ValueError as error:
            raise broken(place, str(error)) from error

    arrays = {name: mending(f"arrays.{name}", form.array, spec) for name, spec in document["arrays"].items()}
    modules = {name: mending(f"modules.{name}", form.module, spec) for name, spec in document["modules"].items()}
    sound, wrong = dict(modules), frozenset(document.get("wrong_modules", ()))
    for name in wrong & set(modules):
        raise broken(f"wrong_modules.{name}", "a module has this name, too; choose another")
    for name, spec in document.get("wrong_modules", {}).items():
        modules[name] = mending(f"wrong_modules.{name}", form.wrong_module, spec, sound)
    shapes = {name: value.shape for name, value in arrays.items()}
    program = document["program"]
    for number, step in enumerate(program):
        shapes |= mending(f"program[{number}]", form.dry_step, step, shapes, modules, wrong)
    expect = dict(document["expect"])
    numbers = {
        name: mending(f"expect.numbers.{name}", form.numbers, name, spec, shapes)
        for name, spec in expect.pop("numbers").items()
    }
    mending("expect", form.check_expectations, expect, numbers, shapes, modules, program)
    dtypes = form.exact_dtypes(arrays, sound)
    needed = form.needs(modules, program, shapes, wrong)
    mending("needs", form.check_needs, document["needs"], needed, dtypes)
    names = compared(numbers, expect, program)
    allowed = mending("expect.allowed", form.allowed, expect.pop("allowed", None), names, shapes, dtypes)
    plain = ("id", "description", "source", "notes", "verdict", "program")
    return Case(
        **{name: document[name] for name in plain},
        requirements=tuple(document["requirements"]),
        kinds=frozenset(document["needs"]["kinds"]),
        features=frozenset(document["needs"]["features"]),
        dtypes=tuple(dtypes),
        arrays=arrays,
        modules=modules,
        wrong=wrong,
        shapes=shapes,
        numbers=numbers,
        expect=expect,
        allowed=allowed,
    )
