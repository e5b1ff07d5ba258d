"""A case in the making, and how it is written down. Used by generate.py and vectors.py."""

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

LAST_BITS = 1e-13  # what two right float64 computations may differ by, relative to numbers above 1
# What two rounded numbers of ``allowed`` may differ by, relative: rounding up moves one by up to a tenth, and what is
# rounded differs by some hundredths between machines (97 on one, 110 for 100.1 on another).
LAST_DIGIT = 0.15
WIDE = 2**23 - 1
REPLICAS, REPLICAS_OF_LARGE = 256, 32  # from which the stored tolerances come
MANY_ON_A_LINE = 24
LARGE = 2**14  # numbers in all of a case's arrays


class Draft:
    """A case in the making: its parts in the form of the file, the oracle's numbers last."""

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
        """An array: given integers, or the fill rule's over -255..255, or a ``limit``; ``put`` as in the file."""
        limit = more.pop("limit", 255)
        numbers = {"fill": self._rule(name, limit)} if data is None else {"data": data}
        self.arrays[name] = {"shape": list(shape), "divisor": divisor, **numbers, **more}
        return name

    def _rule(self, name: str, limit: int) -> dict:
        return {"seed": zlib.crc32(f"{self.head['id']} {name}".encode()), "limit": limit}

    def layer(self, name: str, kind: str, input_size: int, hidden_size: int, given: dict | None = None, **rest) -> None:
        """A layer with the parameters ``given`` by name, or with numbers of the size that a new layer draws.

        ``gain`` makes them larger; ``wide`` gives them all the bits of float32.
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
        """The layer whose parameters are those of the cells, one cell a layer."""
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
        """Numbers between -1/sqrt(size) and 1/sqrt(size), finely enough divided for some 100 different ones."""
        bound = 1 / math.sqrt(size)
        divisor = 2 ** math.floor(math.log2((WIDE if wide else 255) / bound))
        limit = round(bound * divisor)
        return [
            {"name": name, "shape": list(shape), "divisor": divisor, "fill": self._rule(f"{owner} {name}", limit)}
            for name, shape in shapes.items()
        ]

    def call(self, module: str, x: str, *states: str, to: tuple[str, ...], lengths: list[int] | None = None) -> None:
        """A layer's or cell's step: its states, and the names of its first results; the others are dropped."""
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
        """Results whose numbers are expected."""
        self.numbers += names

    def relate(self, kind: str, a: str, b: str) -> None:
        """Two results are "equal" or "different"."""
        self.expect.setdefault(kind, []).append([a, b])

    def gradients(self, module: str, inputs: dict[str, str], of: dict[str, str], lengths=None) -> None:
        """The gradients ``of`` x, states and parameters, by the names that they get."""
        step = {"op": "gradients", "module": module, "from": inputs}
        self.program.append(step | ({} if lengths is None else {"lengths": lengths}) | {"to": of})

    def refuse(self, module: str, why: str, inputs: dict[str, str], **more) -> None:
        """A call that must end in an error."""
        self.program.append({"op": "refuse", "module": module, "why": why, "from": inputs, **more})

    def values(self) -> dict[str, np.ndarray]:
        """Every named array, by the oracle."""
        arrays = {name: form.array(spec) for name, spec in self.arrays.items()}
        modules = {name: form.module(spec) for name, spec in self.modules.items()}
        return run(self.program, arrays, oracle_calls(modules | self._wrong_modules(modules)))

    def _wrong_modules(self, modules: dict) -> dict:
        return {name: form.wrong_module(spec, modules) for name, spec in self.wrong.items()}

    def document(self) -> dict:
        """The case as its file holds it."""
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
    """The draft's case in version 2, but for the errors that are allowed."""
    return {"schema": 2} | draft.document()


def with_allowed(document: dict) -> dict:
    """A document of version 2, with the errors that are allowed."""
    case = case_of(document, document["id"])
    if not case.compared:
        return document
    found = {dtype: units(case, dtype) for dtype in case.dtypes}
    expect = document["expect"]
    rest = {name: value for name, value in expect.items() if name != "numbers"}
    return document | {"expect": {"numbers": expect["numbers"], "allowed": found, **rest}}


def units(case: Case, dtype: str) -> dict[str, list[float]]:
    """What rounding may do to each compared result, in units of the dtype's roundoff, rounded up to two digits."""
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
    """A result's shape and numbers, each such that it reads back as the same bits."""
    data = ["NaN" if math.isnan(v) else NAMES.get(v, v) for v in values.ravel().tolist()]
    return {"shape": list(values.shape), "data": data}


# Writing


def text(document: dict) -> str:
    """The file: what fits stands on one line, numbers by rows of their last axis."""
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
    """How many numbers stand on a line: the last axis, or the last ones if those are short."""
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
    """Whether two documents are the same but for the last bits of numbers, or digits of those that are ``rounded``."""
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
