"""A backend under test, for one kind and dtype, and the trials that it is put to.

Whatever an adapter does, an exception, a refusal of what it claims, a wrong type, ends as Failed with
one sentence; nothing that it does to the arrays it is handed reaches another trial.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np

from conformance.backend import Backend, Result, Unsupported
from conformance.compare import Failed, cell_place, check_numbers, describe_shape_or_kind, layer_place
from conformance.strategies import CellCall, LayerCall, describe
from reference.layers import evaluate, evaluate_cell
from reference.precision import REPLICAS, REPLICAS_ON_FAILURE, allowed, spreads

View = Callable[[Result], Result]


class Clock:
    """Where the time goes: seconds by name."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what happens inside under ``name``, and not under the name around it."""
        self._stop()
        self._running.append(name)
        try:
            yield
        finally:
            self._stop()
            self._running.pop()

    def _stop(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


class Subject:
    """A backend, one of its kinds and one of its dtypes."""

    def __init__(self, backend: Backend, kind: str, dtype: str, clock: Clock | None = None) -> None:
        self.backend, self.kind, self.dtype = backend, kind, dtype
        self.arithmetic = backend.features.arithmetic(kind, dtype)
        self.clock = clock or Clock()

    @contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Around every call of the adapter: times it, and turns whatever it raises into Failed."""
        with self.clock("backend"):
            try:
                yield
            except Failed:
                raise
            except Unsupported as refusal:
                raise Failed(f"{what} was refused though it is claimed: {refusal}") from refusal
            except (Exception, SystemExit) as error:
                raise Failed(f"{what} raised {type(error).__name__}: {one_line(error)}") from error

    def layer(self, call: LayerCall):
        """The backend's layer for a call, loaded with copies of its parameters."""
        parameters = {name: value.copy() for name, value in call.parameters.items()}
        with self.calling(f"building {describe(call.config)}"):
            layer = self.backend.layer(call.config, parameters)
        return layer, parameters

    def cell(self, call: CellCall):
        """The backend's cell for a call, loaded with copies of its parameters."""
        parameters = {name: value.copy() for name, value in call.parameters.items()}
        with self.calling(f"building {describe(call.config)}"):
            cell = self.backend.cell(call.config, parameters)
        return cell, parameters


def one_line(error: BaseException) -> str:
    """An exception's message on one line of bearable length."""
    text = " ".join(str(error).split()) or "no message"
    return text if len(text) <= 300 else text[:297] + "..."


def copied(arguments: tuple) -> tuple:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)


class Trial:
    """What layers and cells have in common: a call, what the backend made of it, what the oracle says.

    ``got``, ``want`` and ``allowed(replicas)`` are computed once and shared by every check of the call.
    """

    def __init__(self, subject: Subject, call) -> None:
        self.subject, self.call = subject, call
        self.margin: float | None = None
        self.note = ""  # what is worth telling of a trial that passes
        self._allowed: dict[int, Result] = {}
        self._returned: Result | str | None = None

    @property
    def returned(self) -> Result:
        """What the backend returned for the call, of whatever shape; the same failure again if it raised."""
        if self._returned is None:
            try:
                self._returned = self._ask(self.call)
            except Failed as failure:
                self._returned = str(failure)
        if isinstance(self._returned, str):
            raise Failed(self._returned)
        return self._returned

    @property
    def got(self) -> Result:
        """What the backend returned for the call. Raises Failed if its shapes are not the documented ones."""
        return self._shaped(self.returned, self.call)

    def run(self, **changes) -> Result:
        """What the backend returns for the call's arguments but for ``changes``, of the documented shapes."""
        call = self.call.replace(**changes)
        return self._shaped(self._ask(call), call)

    def attempt(self, **changes) -> Result | Exception:
        """What the backend returns for the call but for ``changes``, of whatever shape, or what it raises.

        For calls that it may refuse, in building or in use. To end the process is no refusal: Failed.
        """
        call = self.call.replace(**changes)
        anew = call.config is not self.call.config or call.parameters is not self.call.parameters
        trial = self.other(call) if anew else self
        try:
            with self.subject.clock("backend"):
                return trial._use(trial._build() if anew else self._built[0], copied(call.arguments))
        except Exception as refusal:
            return refusal
        except SystemExit as error:
            raise Failed(f"forward raised SystemExit: {one_line(error)}") from error

    def rejects(self, what: str, **changes) -> None:
        """The backend raises an error, whichever, for the call with ``changes``, which are ``what`` in words."""
        came = self.attempt(**changes)
        if not isinstance(came, Exception):
            raise Failed(f"{what}: accepted, and {describe_returned(came)} came back; expected an error")

    def arranged(self, arrange: Callable[[np.ndarray], np.ndarray]) -> Result:
        """What a new layer returns where every array, parameters too, is laid out in memory by ``arrange``."""
        arguments = [arrange(a) if isinstance(a, np.ndarray) else a for a in self.call.arguments]
        with self.subject.calling("the call"):
            used = self._use(self._build(arrange), arguments)
        return self._shaped(self._result(used), self.call)

    def raw(self, *arguments) -> tuple[np.ndarray, ...]:
        """The very arrays that the backend hands out, not copies of them."""
        with self.subject.calling("the call"):
            returned = self._use(self._built[0], arguments)
            self._result(returned)
        return tuple(a for a in self._parts(returned) if a is not None)

    def _build(self, arrange: Callable[[np.ndarray], np.ndarray] = np.copy):
        parameters = {name: arrange(value) for name, value in self.call.parameters.items()}
        return self._builder(self.call.config, parameters)

    def _shaped(self, result: Result, call) -> Result:
        for name, got, expected in zip(self.names, result, call.result_shapes, strict=True):
            if (None if got is None else got.shape) != expected:
                raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected {_shape_or_none(expected)}")
        return result

    def allowed(self, replicas: int = REPLICAS) -> Result:
        """The error that rounding may cause at each element of the result."""
        if replicas not in self._allowed:
            with self.subject.clock("tolerance"):
                self._allowed[replicas] = self._compute_allowed(replicas)
        return self._allowed[replicas]

    def _spread(self, function, arrays, replicas):
        arithmetic = self.subject.arithmetic
        as64 = [None if a is None else a.astype(np.float64) for a in arrays]
        found = spreads(function, as64, self.want, arithmetic, replicas)
        return Result(*(None if s is None else allowed(s, arithmetic) for s in found))

    @cached_property
    def parameters64(self) -> dict[str, np.ndarray]:
        return {name: value.astype(np.float64) for name, value in self.call.parameters.items()}

    def agrees(self, got: Result | None = None, view: View = lambda result: result) -> None:
        """The backend's numbers are the oracle's. ``view`` takes the part that ``got`` shows of the whole."""
        got = view(self.got) if got is None else got
        self._compare(got, view(self.want), view, 1.0)

    def same(self, got: Result, view: View = lambda result: result) -> None:
        """Two results of the backend are the same but for rounding: ``got``, and ``view`` of the call's own.

        Each may be off by what is allowed, so twice that is; the oracle's numbers play no part.
        """
        own = Result(*(None if a is None else a.astype(np.float64) for a in view(self.got)))
        self._compare(got, own, view, 2.0)

    def _element(self, view: View, position: int, index: tuple[int, ...]) -> str:
        """Which element of the whole result a view shows there: ``output[3, 0, 5], layer 0, ...``."""
        numbered, start = [], 0
        for whole in self.want:
            size = 0 if whole is None else whole.size
            numbered.append(None if whole is None else np.arange(start, start + size).reshape(whole.shape))
            start += size
        number = int(view(Result(*numbered))[position][index])
        for name, numbers in zip(self.names, numbered, strict=True):
            if numbers is not None and numbers.flat[0] <= number <= numbers.flat[-1]:
                at = tuple(int(i) for i in np.unravel_index(number - numbers.flat[0], numbers.shape))
                return f"{name}[{', '.join(map(str, at))}], {self.where(name, at)}"
        raise AssertionError("a view shows only elements of the whole")

    def _compare(self, got: Result, want: Result, view: View, factor: float) -> None:
        for position, name in enumerate(self.names):
            worst = check_numbers(
                name,
                got[position],
                want[position],
                lambda k, at=position: view(self.allowed(k))[at],
                self.subject.arithmetic.largest,
                lambda index, at=position: self._element(view, at, index),
                (REPLICAS, *REPLICAS_ON_FAILURE),
                factor,
            )
            self.margin = max(worst, self.margin or 0.0)


def describe_returned(returned: object) -> str:
    """What an adapter returned for a call that it should have refused."""
    if hasattr(returned, "output"):
        return f"an output of {describe_shape_or_kind(returned.output)}"
    if isinstance(returned, tuple) and returned:
        return f"a state of {describe_shape_or_kind(returned[0])}"
    return type(returned).__name__


def _shape_or_none(expected: tuple[int, ...] | None) -> str:
    return "None" if expected is None else f"shape {expected}"


class LayerTrial(Trial):
    """A call of a layer."""

    names = Result._fields

    @cached_property
    def where(self):
        return layer_place(self.call.config, self.call.unbatched)

    @cached_property
    def _built(self):
        return self.subject.layer(self.call)

    @property
    def layer(self):
        """The backend's layer of the call's configuration and parameters."""
        return self._built[0]

    def other(self, call: LayerCall) -> LayerTrial:
        """A trial of another call by the same backend; its own layer."""
        return LayerTrial(self.subject, call)

    def cell_trial(self, call: CellCall) -> CellTrial:
        """A trial of a cell of the same backend."""
        return CellTrial(self.subject, call)

    def _ask(self, call: LayerCall) -> Result:
        layer = self.layer
        with self.subject.calling("forward"):
            return as_result(self._use(layer, copied(call.arguments)))

    @property
    def _builder(self):
        return self.subject.backend.layer

    @staticmethod
    def _use(layer, arguments):
        x, h_0, c_0, lengths = arguments
        return layer.forward(x, h_0, c_0, None if lengths is None else list(lengths))

    @staticmethod
    def _result(returned) -> Result:
        return as_result(returned)

    @staticmethod
    def _parts(returned):
        return returned.output, returned.h_n, getattr(returned, "c_n", None)

    def written(self) -> list[str]:
        """The names of the arrays, arguments and parameters, that one more call changed."""
        before = self.call
        layer, parameters = self._built
        arguments = dict(zip(("x", "h_0", "c_0"), copied(before.arguments), strict=False))
        lengths = None if before.lengths is None else list(before.lengths)
        with self.subject.calling("forward"):
            layer.forward(*arguments.values(), lengths)
        changed = [n for n, a in arguments.items() if not _same_bits(a, getattr(before, n))]
        changed += [n for n, a in parameters.items() if not _same_bits(a, before.parameters[n])]
        return changed + (["lengths"] if lengths is not None and lengths != list(before.lengths) else [])

    @cached_property
    def want(self) -> Result:
        """The oracle's result."""
        call = self.call
        x, h_0, c_0 = (None if a is None else a.astype(np.float64) for a in (call.x, call.h_0, call.c_0))
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            return evaluate(call.config, self.parameters64, x, h_0, c_0, call.lengths)

    def _compute_allowed(self, replicas: int) -> Result:
        call = self.call
        return self._spread(
            lambda x, h_0, c_0: evaluate(call.config, self.parameters64, x, h_0, c_0, call.lengths),
            (call.x, call.h_0, call.c_0),
            replicas,
        )


class CellTrial(Trial):
    """A call of a cell. Its results are (None, h', c'): a cell has no output beside its state."""

    names = ("output", "h", "c")
    where = staticmethod(cell_place)

    @cached_property
    def _built(self):
        return self.subject.cell(self.call)

    @property
    def cell(self):
        """The backend's cell of the call's configuration and parameters."""
        return self._built[0]

    def _ask(self, call: CellCall) -> Result:
        cell = self.cell
        with self.subject.calling("step"):
            return as_cell_result(self._use(cell, copied(call.arguments)))

    @property
    def _builder(self):
        return self.subject.backend.cell

    @staticmethod
    def _use(cell, arguments):
        return cell.step(*arguments)

    @staticmethod
    def _result(returned) -> Result:
        return as_cell_result(returned)

    @staticmethod
    def _parts(returned):
        return returned

    def other(self, call: CellCall) -> CellTrial:
        """A trial of another call by the same backend; its own cell."""
        return CellTrial(self.subject, call)

    def written(self) -> list[str]:
        """The names of the arrays, arguments and parameters, that one more call changed."""
        cell, parameters = self._built
        arguments = dict(zip(("x", "h", "c"), copied(self.call.arguments), strict=True))
        with self.subject.calling("step"):
            cell.step(*arguments.values())
        changed = [n for n, a in arguments.items() if not _same_bits(a, getattr(self.call, n))]
        return changed + [n for n, a in parameters.items() if not _same_bits(a, self.call.parameters[n])]

    @cached_property
    def want(self) -> Result:
        """The oracle's result."""
        call = self.call
        arrays = (None if a is None else a.astype(np.float64) for a in call.arguments)
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            h, c = evaluate_cell(call.config, self.parameters64, *arrays)
        return Result(None, h, c)

    def _compute_allowed(self, replicas: int) -> Result:
        def function(x, h, c):
            h, c = evaluate_cell(self.call.config, self.parameters64, x, h, c)
            return None, h, c

        return self._spread(function, self.call.arguments, replicas)


def _same_bits(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and a.shape == b.shape and a.tobytes() == b.tobytes())


def as_result(returned: object) -> Result:
    """The adapter's Result with arrays of its own. Raises Failed if it is none."""
    if not (hasattr(returned, "output") and hasattr(returned, "h_n")):
        raise Failed(f"forward returned {type(returned).__name__}, expected a Result(output, h_n, c_n)")
    return Result(
        _own("output", returned.output),
        _own("h_n", returned.h_n),
        _own("c_n", getattr(returned, "c_n", None), optional=True),
    )


def as_cell_result(returned: object) -> Result:
    """The adapter's (h, c) as Result(None, h, c) with arrays of its own. Raises Failed if it is none."""
    if not (isinstance(returned, tuple) and len(returned) == 2):
        raise Failed(f"step returned {type(returned).__name__}, expected a tuple (h, c), c None unless lstm")
    return Result(None, _own("h", returned[0]), _own("c", returned[1], optional=True))


def _own(name: str, value: object, optional: bool = False) -> np.ndarray | None:
    """A copy, so that a backend that uses its buffers again does not change what was seen."""
    if value is None and optional:
        return None
    if not isinstance(value, np.ndarray):
        raise Failed(f"{name}: got {type(value).__name__}, expected a NumPy array")
    if value.dtype.kind not in "fiu" and value.dtype.name != "bfloat16":
        raise Failed(f"{name}: got dtype {value.dtype}, expected numbers")
    return value.copy()
