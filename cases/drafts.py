"""The drafts from which generate.py and vectors.py make cases, and the layout of the files."""

from __future__ import annotations

import json
import math
import zlib

import numpy as np

from conformance.cases import form, oracle_calls, run
from conformance.cases.load import Case, case_of
from conformance.cases.program import FIELDS
from conformance.cases.replay import computed
from reference import DTYPES, CellConfig, LayerConfig, parameter_shapes
from reference.precision import ARITHMETICS

LAST_BITS = 1e-13  # the difference allowed between two right float64 results, relative for numbers above 1
# The relative difference allowed between two rounded numbers of ``allowed``: rounding up adds up to a tenth, and the
# unrounded numbers differ by some hundredths between machines (97 on one, 110 for 100.1 on another).
LAST_DIGIT = 0.15
WIDE = 2**23 - 1
REPLICAS, REPLICAS_OF_LARGE = 256, 32  # for the stored tolerances
MANY_ON_A_LINE = 24
LARGE = 2**14  # numbers in all arrays of a case


class Draft:
    """A case in the making. Its parts have the form of the file; the oracle's numbers are computed last."""

    def __init__(self, id: str, description: str, source: str, notes: str, requirements: list[str]) -> None:
        self.head = {
            "id": id,
            "description": description,
            "source": source,
            "notes": notes,
            "requirements": requirements,
        }
        self.verdict = "match"
        self.arrays: dict[str, dict] = {}
        self.modules: dict[str, dict] = {}
        self.wrong: dict[str, dict] = {}
        self.program: list[dict] = []
        self.numbers: list[str] = []
        self.expect: dict[str, object] = {}

    def input(self, name: str, shape: tuple[int, ...], divisor: int = 128, data: list | None = None, **more) -> str:
        """Add an array and return its name.

        Its integers are ``data``, or follow the fill rule with ``limit``, 255 by default; ``put`` is as in the file.
        """
        limit = more.pop("limit", 255)
        numbers = {"fill": self._rule(name, limit)} if data is None else {"data": data}
        self.arrays[name] = {"shape": list(shape), "divisor": divisor, **numbers, **more}
        return name

    def _rule(self, name: str, limit: int) -> dict:
        return {"seed": zlib.crc32(f"{self.head['id']} {name}".encode()), "limit": limit}

    def layer(self, name: str, kind: str, input_size: int, hidden_size: int, given: dict | None = None, **rest) -> None:
        """Add a layer with the parameters ``given`` by name, or with numbers in the range of initial parameters.

        ``gain`` enlarges the range; ``wide`` gives the numbers all the bits of float32.
        """
        size = hidden_size / rest.pop("gain", 1) ** 2
        wide = rest.pop("wide", False)
        defaults = {
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "bidirectional": False,
            "proj_size": 0,
        }
        arguments = {"kind": kind, "input_size": input_size, "hidden_size": hidden_size, **(defaults | rest)}
        shapes = parameter_shapes(LayerConfig(**arguments))
        self.modules[name] = {
            "layer": arguments,
            "parameters": self._parameters(name, shapes, size, wide) if given is None else _listed(given, shapes),
        }

    def cell(self, name: str, kind: str, input_size: int, hidden_size: int, bias: bool = True, wide=False) -> None:
        arguments = {"kind": kind, "input_size": input_size, "hidden_size": hidden_size, "bias": bias}
        shapes = parameter_shapes(CellConfig(**arguments))
        self.modules[name] = {"cell": arguments, "parameters": self._parameters(name, shapes, hidden_size, wide)}

    def linear(self, name: str, in_features: int, out_features: int, given: dict | None = None) -> None:
        shapes = {"weight": (out_features, in_features), "bias": (out_features,)}
        self.modules[name] = {
            "linear": {"in_features": in_features, "out_features": out_features},
            "parameters": self._parameters(name, shapes, in_features) if given is None else _listed(given, shapes),
        }

    def layer_of_cells(self, name: str, cells: list[str]) -> None:
        """Add a stack with one layer for each cell, with the cell's parameters."""
        first = self.modules[cells[0]]["cell"]
        given = {
            f"{entry['name']}_l{k}": {key: value for key, value in entry.items() if key != "name"}
            for k, cell in enumerate(cells)
            for entry in self.modules[cell]["parameters"]
        }
        self.layer(name, first["kind"], first["input_size"], first["hidden_size"], given, num_layers=len(cells))

    def _parameters(
        self, owner: str, shapes: dict[str, tuple[int, ...]], size: float, wide: bool = False
    ) -> list[dict]:
        """Return parameters between -1/sqrt(size) and 1/sqrt(size), of at least about 100 different numbers."""
        bound = 1 / math.sqrt(size)
        divisor = 2 ** math.floor(math.log2((WIDE if wide else 255) / bound))
        limit = round(bound * divisor)
        return [
            {"name": name, "shape": list(shape), "divisor": divisor, "fill": self._rule(f"{owner} {name}", limit)}
            for name, shape in shapes.items()
        ]

    def call(self, module: str, x: str, *states: str, to: tuple[str, ...], lengths: list[int] | None = None) -> None:
        """Add a call of a layer or cell. ``to`` names its first results; the others are dropped."""
        op = "layer" if "layer" in self.modules[module] else "cell"
        inputs = ("x", "h_0", "c_0") if op == "layer" else ("x", "h", "c")
        step = {"op": op, "module": module, "from": dict(zip(inputs, (x, *states), strict=False))}
        if lengths is not None:
            step["lengths"] = lengths
        step["to"] = dict(zip(FIELDS[op], to, strict=False))
        self.program.append(step)

    def apply(self, module: str, x: str, to: str) -> str:
        self.program.append({"op": "linear", "module": module, "from": x, "to": to})
        return to

    def take(self, x: str, axis: int, indices, to: str) -> str:
        self.program.append({"op": "take", "from": x, "axis": axis, "indices": indices, "to": to})
        return to

    def stack(self, names: list[str], to: str) -> str:
        self.program.append({"op": "stack", "from": names, "to": to})
        return to

    def store(self, *names: str) -> None:
        """Add results to the expected numbers."""
        self.numbers += names

    def relate(self, kind: str, a: str, b: str) -> None:
        """Add the expectation that two results are "equal", "identical" or "different"."""
        self.expect.setdefault(kind, []).append([a, b])

    def gradients(self, module: str, inputs: dict[str, str], of: dict[str, str], lengths=None) -> None:
        """Add a call for gradients. ``of`` maps x, states and parameters to the names of their gradients."""
        step = {"op": "gradients", "module": module, "from": inputs}
        self.program.append(step | ({} if lengths is None else {"lengths": lengths}) | {"to": of})

    def refuse(self, module: str, why: str, inputs: dict[str, str], **more) -> None:
        """Add a call that must end in an error."""
        self.program.append({"op": "refuse", "module": module, "why": why, "from": inputs, **more})

    def values(self) -> dict[str, np.ndarray]:
        """Return all named arrays, computed by the oracle."""
        arrays = {name: form.array(spec) for name, spec in self.arrays.items()}
        modules = {name: form.module(spec) for name, spec in self.modules.items()}
        return run(self.program, arrays, oracle_calls(modules | self._wrong_modules(modules)))

    def _wrong_modules(self, modules: dict) -> dict:
        return {name: form.wrong_module(spec, modules) for name, spec in self.wrong.items()}

    def document(self) -> dict:
        """Return the case in the form of its file, without the allowed errors."""
        values = self.values()
        modules = {name: form.module(spec) for name, spec in self.modules.items()}
        every = modules | self._wrong_modules(modules)
        shapes = {name: value.shape for name, value in values.items()}
        needs = form.needs(every, self.program, shapes, frozenset(self.wrong))
        exact = form.exact_dtypes({name: values[name] for name in self.arrays}, modules)
        return {
            **self.head,
            "needs": needs if len(exact) == len(DTYPES) else needs | {"dtypes": exact},
            "verdict": self.verdict,
            "arrays": self.arrays,
            "modules": self.modules,
            **({"wrong_modules": self.wrong} if self.wrong else {}),
            "program": self.program,
            "expect": {"numbers": {name: numbers(values[name]) for name in self.numbers}, **self.expect},
        }


def document_of(draft: Draft) -> dict:
    """Return the draft's case in version 2 of the form, without the allowed errors."""
    return {"schema": 2} | draft.document()


def with_allowed(document: dict) -> dict:
    """Return a document of version 2 with the allowed errors added."""
    case = case_of(document, document["id"])
    if not case.compared:
        return document
    found = {dtype: units(case, dtype) for dtype in case.dtypes}
    expect = document["expect"]
    rest = {name: value for name, value in expect.items() if name != "numbers"}
    return document | {"expect": {"numbers": expect["numbers"], "allowed": found, **rest}}


def units(case: Case, dtype: str) -> dict[str, list[float]]:
    """Return the allowed error of each compared result, in units of the dtype's roundoff, rounded up to two digits."""
    arithmetic = ARITHMETICS[dtype]
    size = sum(int(np.prod(shape)) for shape in case.shapes.values())
    limits = computed(case, arithmetic, REPLICAS if size < LARGE else REPLICAS_OF_LARGE)
    return {name: [_rounded_up(limit / arithmetic.u) for limit in limits[name].ravel()] for name in case.compared}


def _rounded_up(value: float) -> float:
    if value == 0:
        return 0
    scale = 10.0 ** (math.floor(math.log10(value)) - 1)
    up = float(f"{math.ceil(value / scale) * scale:.2g}")
    return int(up) if up.is_integer() else up


def _listed(given: dict, shapes: dict) -> list[dict]:
    return [{"name": name, **given[name]} for name in shapes]


SPECIAL = ("NaN", "Infinity", "-Infinity")
NAMES = {math.inf: "Infinity", -math.inf: "-Infinity"}


def numbers(values: np.ndarray) -> dict:
    """Return a result's shape and numbers; each number reads back as the same bits."""
    data = ["NaN" if math.isnan(v) else NAMES.get(v, v) for v in values.ravel().tolist()]
    return {"shape": list(values.shape), "data": data}


# Writing


def text(document: dict) -> str:
    """Return the text of a file: short values on one line, long lists of numbers by rows of their last axis."""
    return _text(document, 0) + "\n"


def _text(value, depth: int, row: int = 0) -> str:
    if isinstance(value, list) and len(value) > row > 0 and _flat(value):
        parts = [",".join(map(json.dumps, value[k : k + row])) for k in range(0, len(value), row)]
        return _broken("[]", parts, depth)
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (depth > 0 and (len(line) <= 150 - 2 * depth or _flat(value))):
        return line
    if isinstance(value, list):
        return _broken("[]", [_text(v, depth + 1) for v in value], depth)
    row = _row(value["shape"]) if "shape" in value else MANY_ON_A_LINE
    return _broken("{}", [f"{json.dumps(k)}: {_text(v, depth + 1, row)}" for k, v in value.items()], depth)


def _row(shape: list[int]) -> int:
    """Return the number of numbers on a line: the size of the last axis, or of several last axes if it is short."""
    row = 1
    for extent in reversed(shape):
        row *= extent
        if row >= 16:
            return row
    return row


def _flat(value: dict | list) -> bool:
    return isinstance(value, list) and all(isinstance(v, int | float) or v in SPECIAL for v in value)


def _broken(brackets: str, parts: list[str], depth: int) -> str:
    indent = "\n" + "  " * depth
    return brackets[0] + ",".join(f"{indent}  {part}" for part in parts) + indent + brackets[1]


def same_but_last_bits(a, b, rounded: bool = False) -> bool:
    """Return whether two documents differ at most in the last bits of numbers; rounded numbers, in the last digit."""
    if rounded and isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= LAST_DIGIT * max(a, b)
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= LAST_BITS * max(1.0, abs(a))
    if isinstance(a, dict) and isinstance(b, dict):
        same = (same_but_last_bits(a[k], b[k], rounded or k == "allowed") for k in a if k in b)
        return list(a) == list(b) and all(same)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_but_last_bits(x, y, rounded) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b
