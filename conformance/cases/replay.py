"""The replay of a case on a backend, and the comparison of its results with the case's expectations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from conformance.cases.load import Case
from conformance.cases.program import FIELDS, INPUTS, Arrays, DryModule, Module, oracle_calls, run
from conformance.engine.compare import Failed, check_numbers, describe_shape_or_kind, require_plain
from conformance.engine.trial import describe_returned
from reference.config import numpy_dtype
from reference.precision import REPLICAS, Arithmetic, allowed, spreads

REPLICAS_OF_CASES = (REPLICAS, 32)  # more would take gigabytes for the widest cases
INFINITE = 1e30
INSTEAD = "{} instead"  # the name of a result that came where an error or the named result was expected


def replay(
    case: Case, dtype: str, layer: Callable, cell: Callable, gives: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """Run a case in ``dtype`` and return all named arrays.

    ``layer(config, parameters)`` and ``cell(config, parameters)`` build layers and cells, as a Backend does. Linear
    maps are computed in float64. ``gives(name)`` returns whether a gradient is claimed. Raises Failed if a result is no
    array of the documented shape and of ``dtype``, or if the backend accepts a call that it must refuse; the backend's
    exceptions pass through.
    """
    number = numpy_dtype(dtype)
    arrays = {name: values.astype(number) for name, values in case.arrays.items()}
    calls = {
        name: BackendModule(name, module, dtype, {"layer": layer, "cell": cell}, name not in case.wrong, gives)
        for name, module in case.modules.items()
    }
    return run(case.program, arrays, calls)


class BackendModule:
    """A module that a backend computes. It gets copies of arguments, so its writes cannot reach a later step."""

    def __init__(
        self,
        name: str,
        module: Module,
        dtype: str,
        builders: Mapping[str, Callable],
        sound: bool,
        gives: Callable[[str], bool],
    ) -> None:
        self.gives = gives
        self.name, self.module, self.dtype, self.number = name, module, dtype, numpy_dtype(dtype)
        self._builder: Any = builders.get(module.type)
        self._dry = DryModule(module)
        self._built: Any = self._build(module.loaded(dtype)) if sound and self._builder else None

    def _build(self, parameters: dict[str, np.ndarray]):
        return self._builder(self.module.config(self.dtype), parameters)

    def layer(self, x, h_0, c_0, lengths, seed):
        arguments = [*map(self._own, (x, h_0, c_0)), lengths and list(lengths)]
        built = self._built
        result = built.forward(*arguments) if seed is None else built.forward_training(*arguments, seed=seed)
        return self._checked("layer", result, self._dry.layer(x, h_0, c_0, lengths, seed))

    def cell(self, x, h, c):
        return self._checked("cell", self._built.step(*map(self._own, (x, h, c))), self._dry.cell(x, h, c))

    def linear(self, x):
        return self.module.linear(x.astype(np.float64))

    def gradients(self, lengths, **arrays):
        own = {name: self._own(a) for name, a in arrays.items()}
        states = {name: own.pop(name) for name in ("x", "h_0", "c_0")}
        came = self._built.gradients(*states.values(), lengths and list(lengths), *own.values())
        if not isinstance(came, Mapping):
            raise Failed(f"gradients of {self.name!r}: got {type(came).__name__}, expected a dict of arrays by name")
        right = {name: d for name, d in self._dry.gradients(lengths, **arrays).items() if self.gives(name)}
        came = {name: d for name, d in came.items() if self.gives(name)}
        if set(came) != set(right):
            raise Failed(f"gradients of {self.name!r}: got {', '.join(map(str, came))}, expected {', '.join(right)}")
        for name, like in right.items():
            check_array(f"the gradient of {name} of {self.name!r}", came[name], like.shape, self.number)
        return came

    def refuse(self, step, arrays):
        """Return no results if the backend refuses the call.

        If the backend accepts it, return the results where the case allows results instead, else raise Failed.
        """
        other = np.dtype("float32" if self.dtype == "float64" else "float64")
        wrong = step.get("other_dtype", ())
        arguments = {n: a.astype(other) if n in wrong else self._own(a) for n, a in arrays.items()}
        names = INPUTS[self.module.type] + (("lengths",) if self.module.type == "layer" else ())
        arguments["lengths"] = list(step["lengths"]) if "lengths" in step else None
        try:
            built = self._built
            if built is None or "parameters" in wrong:
                as_other = {name: value.astype(other) for name, value in self.module.parameters.items()}
                built = self._build(as_other if "parameters" in wrong else self.module.loaded(self.dtype))
            came = (built.forward if self.module.type == "layer" else built.step)(
                *(arguments.get(name) for name in names)
            )
        except Exception:
            return {}
        if "or" not in step:
            raise Failed(f"{step['why']}: accepted, and {describe_returned(came)} came back; expected an error")
        results = dict(zip(FIELDS[self.module.type], _results(self.module.type, came), strict=True))
        return {INSTEAD.format(name): results[field] for field, name in step["or"].items()}

    def _own(self, argument):
        return None if argument is None else argument.astype(self.number)

    def _checked(self, type_: str, returned: object, dry) -> tuple:
        results = _results(type_, returned)
        for field, came, like in zip(FIELDS[type_], results, dry, strict=True):
            check_array(f"{field} of {self.name!r}", came, None if like is None else like.shape, self.number)
        return results


def _results(type_: str, returned: object) -> tuple:
    """Return the results of a layer or cell in the order of FIELDS. Raises Failed if a cell returned no pair."""
    if type_ == "layer":
        return tuple(getattr(returned, field, None) for field in FIELDS["layer"])
    if not isinstance(returned, tuple) or len(returned) != len(FIELDS["cell"]):
        raise Failed(f"step returned {type(returned).__name__}, expected (h, c or None)")
    return returned


def check_array(what: str, came: object, shape: tuple[int, ...] | None, number: np.dtype) -> None:
    """Raise Failed unless ``came`` is a plain array of the shape and dtype; without a shape, unless it is None."""
    if shape is None:
        if came is not None:
            raise Failed(f"{what}: got {describe_shape_or_kind(came)}, expected None")
        return
    if not isinstance(came, np.ndarray) or came.shape != shape:
        raise Failed(f"{what}: got {describe_shape_or_kind(came)}, expected shape {shape}")
    require_plain(what, came)
    if came.dtype != number:
        raise Failed(f"{what}: got dtype {came.dtype}, expected {number}")


# Comparing


class Expected(NamedTuple):
    """A result's right numbers and the error allowed at each of them; float64 arrays of one shape."""

    numbers: np.ndarray
    allowed: np.ndarray


@functools.lru_cache(maxsize=1024)
def expected(case: Case, arithmetic: Arithmetic, replicas: int = REPLICAS) -> dict[str, Expected]:
    """Return the right numbers of each compared result, and the errors that rounding in ``arithmetic`` explains.

    The numbers are the stored ones, or the oracle's for a result that is only compared with another. The errors come
    from the file or, for an arithmetic that it lacks, are computed: the whole program is disturbed, so errors grow from
    call to call as in a real computation. Inputs are exact, so the numbers hold in every dtype.
    """
    names = case.compared
    found = case.allowed[arithmetic.name] if arithmetic.name in case.allowed else computed(case, arithmetic, replicas)
    right = {name: case.numbers[name] if name in case.numbers else case.oracle[name] for name in names}
    return {name: Expected(right[name], found[name]) for name in names}


def computed(case: Case, arithmetic: Arithmetic, replicas: int) -> dict[str, np.ndarray]:
    """Return the error that rounding explains in each compared result; 0 where the right number is not finite."""
    names = case.compared
    own = [case.oracle[name] for name in names]  # a mismatch stores other numbers than its program gives
    calls = oracle_calls(case.modules)

    def program(*arrays):
        values = run(case.program, dict(zip(case.arrays, arrays, strict=True)), calls)
        return [values[name] for name in names]

    # infinity has no relative error that could be disturbed: a large number gives the same results
    arrays = [np.where(np.isinf(a), np.sign(a) * INFINITE, a) for a in case.arrays.values()]
    found = spreads(program, arrays, own, arithmetic, replicas)
    limits = (allowed(spread, arithmetic) for spread in found if spread is not None)
    return {
        name: np.where(np.isfinite(right), limit, 0.0) for name, right, limit in zip(names, own, limits, strict=True)
    }


def check(case: Case, results: Arrays, arithmetic: Arithmetic, deterministic: bool = True) -> float | None:
    """Compare a replayed case with its expectations; return the margin, or None if no numbers are compared.

    Raises Failed with a sentence on the first difference. A case with the verdict mismatch passes if its listed
    elements have the numbers that its own parameters give, and not the expected ones, unless the arithmetic allows
    both.
    """
    want = functools.partial(expected, case, arithmetic)
    if case.verdict == "mismatch":
        return _check_mismatch(case, results, want(REPLICAS_OF_CASES[-1]))

    def compare(name: str, got: np.ndarray, right: np.ndarray, *bounded_by: str) -> float:
        return check_numbers(
            name,
            got,
            right,
            lambda replicas: functools.reduce(np.add, (want(replicas)[n].allowed for n in bounded_by)),
            arithmetic.largest,
            lambda index: f"{name}{list(index)}, in case {case.id}",
            REPLICAS_OF_CASES,
        )

    margins = [compare(name, results[name], right, name) for name, right in case.numbers.items()]
    identical = case.expect.get("identical", ())
    for a, b in (*case.expect.get("equal", ()), *(identical if not deterministic else ())):
        margins.append(compare(f"{a} (as against {b})", results[a], results[b].astype(np.float64), a, b))
    for a, b in identical if deterministic else ():
        if results[a].tobytes() != results[b].tobytes():
            raise Failed(f"{a} and {b}, in case {case.id}: got other bits, expected the same ones")
    for name, (least, most) in case.expect.get("within", {}).items():
        beyond = results[name][~((results[name] >= least) & (results[name] <= most))]
        if beyond.size:
            raise Failed(f"{name}, in case {case.id}: got {float(beyond[0]):.9g}, expected {least} to {most}")
    for a, b in case.expect.get("different", ()):
        off, error = np.abs(results[a].astype(np.float64) - results[b]), want()[a].allowed + want()[b].allowed
        apart = np.abs(want()[a].numbers - want()[b].numbers) > 2 * error  # rounding in bfloat16 may close the gap
        if np.any(apart) and not np.any(off > error):
            raise Failed(f"{a} and {b}, in case {case.id}: got the same numbers, expected different ones")
    if "classes" in case.expect:
        _check_classes(case, results, want())
    for step in case.program:
        for name in step.get("or", {}).values() if step["op"] == "refuse" else ():
            if (came := results.get(INSTEAD.format(name))) is not None:
                _check_instead(case, step["why"], name, came, results[name])
                margins += [compare(name, came, case.oracle[name], name)] if name in case.compared else []
    return max(margins, default=None)


def _check_instead(case: Case, why: str, name: str, came: object, like: np.ndarray) -> None:
    check_array(f"{why}, in case {case.id}: accepted, and for {name}", came, like.shape, like.dtype)


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
        if not abs(got - gives) <= error:  # where a coarse arithmetic allows both numbers, either is right
            if abs(got - right) <= error:
                raise Failed(f"{place}: got {got:.9g}, which these parameters must not give; expected {gives:.9g}")
            raise Failed(f"{place}: got {got:.9g}, expected {gives:.9g}; allowed {error:.3g}")
        margins.append(abs(got - gives) / error)
    return max(margins)


def check_read_back(case: Case, dtype: str, layer: Callable) -> None:
    """Raise Failed unless the layers in ``expect.parameters`` return the loaded parameters.

    Compare names in their order, shapes and numbers. For backends with the feature ``parameters``.
    """
    for name in case.expect.get("parameters", ()):
        module = case.modules[name]
        came = layer(module.config(dtype), module.loaded(dtype)).parameters()
        if list(came) != list(module.parameters):
            raise Failed(
                f"parameters of {name!r}, in case {case.id}: got {', '.join(came)}, "
                f"expected {', '.join(module.parameters)}"
            )
        for parameter, value in module.parameters.items():
            check_array(f"{parameter} of {name!r}", came[parameter], value.shape, numpy_dtype(dtype))
            if not np.array_equal(came[parameter].astype(np.float64), value):
                raise Failed(f"{parameter} of {name!r}, in case {case.id}: got other numbers than were loaded")
