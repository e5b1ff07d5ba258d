"""A backend under test, for one kind and dtype, and the trials that it is put to.

Whatever an adapter does, an exception, a refusal of what it claims, a wrong type, ends as Failed with
one sentence; nothing that it does to the arrays it is handed reaches another trial.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from conformance.backend import Backend, Result, Unsupported
from conformance.engine.compare import (
    Failed,
    cell_place,
    check_numbers,
    describe_shape_or_kind,
    gradient_place,
    layer_place,
    margin,
    require_plain,
)
from conformance.specifications.torch_nn.strategies import CellCall, GradientCall, LayerCall, describe
from reference.gradients import evaluate_gradients
from reference.layers import evaluate, evaluate_cell
from reference.precision import REPLICAS, REPLICAS_ON_FAILURE, SPREADS, allowed, spreads

Results = Result | dict[str, np.ndarray]  # a dict for gradients, which differ in number
View = Callable[[Results], Results]


def whole(result: Results) -> Results:
    """The view that shows everything."""
    return result


class Broken(BaseException):
    """The adapter itself broke, which is neither a result nor a refusal. The message says how, in words."""


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
    """A backend, one of its kinds and one of its dtypes. ``watch(what)`` is entered around all work of the adapter."""

    def __init__(
        self,
        backend: Backend,
        kind: str,
        dtype: str,
        clock: Clock | None = None,
        watch: Callable[[str], AbstractContextManager] = nullcontext,
    ) -> None:
        self.backend, self.kind, self.dtype = backend, kind, dtype
        self.arithmetic = backend.features.arithmetic(kind, dtype)
        self.clock, self.watch = clock or Clock(), watch
        self.known: dict[type, Any] = {}  # by form of call what diagnosis has found out
        self.compares = True  # False where a law is run for the calls that it makes, not for what it finds

    @contextmanager
    def at_work(self, what: str) -> Iterator[None]:
        """Around all work of the adapter: timed and watched. To end the process, or to break, is Failed."""
        with self.clock("backend"), self.watch(what):
            try:
                yield
            except SystemExit as error:
                raise Failed(f"{what} raised SystemExit: {one_line(error)}") from error
            except Broken as error:
                raise Failed(f"{what}: {error}") from error

    @contextmanager
    def calling(self, what: str) -> Iterator[None]:
        """Around every call that is to be answered: turns whatever it raises into Failed."""
        with self.at_work(what):
            try:
                yield
            except Failed:
                raise
            except Unsupported as refusal:
                raise Failed(f"{what} was refused though it is claimed: {refusal}") from refusal
            except Exception as error:
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


def copied(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments for the adapter alone: arrays of its own, lengths as a list."""
    fresh = {name: a.copy() if isinstance(a, np.ndarray) else a for name, a in arguments.items()}
    return {name: list(a) if isinstance(a, tuple) else a for name, a in fresh.items()}


def changed(arguments: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """The names of those that are no longer what they were."""
    return [
        name
        for name, a in arguments.items()
        if not (a == list(before[name]) if isinstance(a, list) else _same_bits(a, before[name]))
    ]


class Trial:
    """What trials have in common: a call, what the backend made of it, what the oracle says.

    ``got``, ``want`` and ``allowed(replicas)`` are computed once and shared by every check of the call.
    ``of`` goes before the name of a result in messages.
    """

    of = ""

    def __init__(self, subject: Subject, call) -> None:
        self.subject, self.call = subject, call
        self.margin: float | None = None
        self.steps: list[float] | None = None  # the largest margin at each step, where a whole output is compared
        self.note = ""  # what is worth telling of a trial that passes
        self._allowed: dict[int, Results] = {}
        self._returned: Results | str | None = None

    def other(self, call) -> Trial:
        """A trial of another call by the same backend; a layer or cell of its own."""
        return trial_of(self.subject, call)

    def named(self, result: Results) -> dict[str, np.ndarray | None]:
        """A result's arrays by name."""
        return dict(zip(self.names, result, strict=True))

    def formed(self, arrays: dict[str, np.ndarray | None]) -> Results:
        """The inverse of ``named``."""
        return Result(*arrays.values())

    @property
    def returned(self) -> Results:
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
    def got(self) -> Results:
        """What the backend returned for the call. Raises Failed if its shapes are not the documented ones."""
        return self._shaped(self.returned, self.call)

    def run(self, **changes) -> Results:
        """What the backend returns for the call's arguments but for ``changes``, of the documented shapes."""
        call = self.call.replace(**changes)
        return self._shaped(self._ask(call), call)

    def attempt(self, what: str = "the call", **changes) -> Result | Exception:
        """What the backend returns for the call but for ``changes``, of whatever shape, or what it raises.

        For calls that it may refuse, in building or in use. ``what`` they are, in words. To end the process is no
        refusal, and neither is to fail to build the layer of the call itself: Failed.
        """
        call = self.call.replace(**changes)
        anew = call.config is not self.call.config or call.parameters is not self.call.parameters
        trial = self.other(call) if anew else self
        try:
            with self.subject.at_work(what):
                return trial._use(trial._build() if anew else self._built[0], copied(call.arguments).values())
        except Failed:
            raise
        except Exception as refusal:
            return refusal

    def rejects(self, what: str, **changes) -> None:
        """The backend raises an error, whichever, for the call with ``changes``, which are ``what`` in words."""
        came = self.attempt(what, **changes)
        if not isinstance(came, Exception):
            raise Failed(f"{what}: accepted, and {describe_returned(came)} came back; expected an error")

    def arranged(self, arrange: Callable[[np.ndarray], np.ndarray]) -> Result:
        """What a new layer returns where every array, parameters too, is laid out in memory by ``arrange``."""
        arguments = [arrange(a) if isinstance(a, np.ndarray) else a for a in copied(self.call.arguments).values()]
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

    def _shaped(self, result: Results, call) -> Results:
        for name, got, expected in zip(self.names, result, call.result_shapes, strict=True):
            if (None if got is None else got.shape) != expected:
                raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected {_shape_or_none(expected)}")
        return result

    def allowed(self, replicas: int = REPLICAS) -> Results:
        """The error that rounding may cause at each element of the result."""
        if replicas not in self._allowed:
            with self.subject.clock("tolerance"):
                self._allowed[replicas] = self._compute_allowed(replicas)
        return self._allowed[replicas]

    def _spread(self, function, arrays, replicas):
        arithmetic = self.subject.arithmetic
        as64 = [None if a is None else a.astype(np.float64) for a in arrays]
        want = self.named(self.want)
        found = zip(want, spreads(function, as64, list(want.values()), arithmetic, replicas), strict=True)
        return self.formed({name: None if s is None else allowed(s, arithmetic) for name, s in found})

    @cached_property
    def parameters64(self) -> dict[str, np.ndarray]:
        return {name: value.astype(np.float64) for name, value in self.call.parameters.items()}

    def agrees(self, got: Results | None = None, view: View = whole) -> None:
        """The backend's numbers are the oracle's. ``view`` takes the part that ``got`` shows of the whole."""
        got = view(self.got) if got is None else got
        if self.subject.compares:
            self._compare(got, view(self.want), view)

    def same(self, got: Results, view: View = whole, *, other: str = "another call") -> None:
        """Two results of the backend are the same but for rounding: ``got``, and ``view`` of the call's own.

        ``other`` says in words how ``got`` came about. Neither is what is expected of the other: a failure
        tells both, and the right number beside them.

        Each may be off by what is allowed, so twice that is. That is computed for the right numbers: where the
        backend's own are others, what rounding does to the largest of them is no difference either, for something
        else is wrong.
        """
        shown = self.named(view(self.got))
        if self.subject.compares:
            own = self.formed({name: None if a is None else a.astype(np.float64) for name, a in shown.items()})
            self._compare(got, own, view, other)

    def _element(self, view: View, shown: str, index: tuple[int, ...]) -> str:
        """Which element of the whole result a view shows there: ``output[3, 0, 5], layer 0, ...``."""
        numbered, start = {}, 0
        for name, whole in self.named(self.want).items():
            size = 0 if whole is None else whole.size
            numbered[name] = None if whole is None else np.arange(start, start + size).reshape(whole.shape)
            start += size
        number = int(self.named(view(self.formed(numbered)))[shown][index])
        for name, numbers in numbered.items():
            if numbers is not None and numbers.flat[0] <= number <= numbers.flat[-1]:
                at = tuple(int(i) for i in np.unravel_index(number - numbers.flat[0], numbers.shape))
                return f"{self.of}{name}[{', '.join(map(str, at))}], {self.where(name, at)}"
        raise AssertionError("a view shows only elements of the whole")

    def _compare(self, got: Results, want: Results, view: View, other: str = "") -> None:
        got, arithmetic = self.named(got), self.subject.arithmetic

        def limit(replicas: int, name: str, own: np.ndarray) -> np.ndarray:
            allowed = self.named(view(self.allowed(replicas)))[name]
            if not other:
                return allowed
            right = self.named(view(self.want))[name]
            if margin(own, right, allowed, arithmetic.largest).max(initial=0.0) <= 1:
                return 2 * allowed
            most = np.abs(own).max(initial=0.0, where=np.isfinite(own))
            return 2 * np.maximum(allowed, SPREADS * arithmetic.u * most)

        def three_numbers(name: str, index: tuple[int, ...]) -> str:
            own, right = (float(self.named(results)[name][index]) for results in (want, view(self.want)))
            return f"the call gives {own:.9g}, {other} {float(got[name][index]):.9g}; right is {right:.9g}"

        for name, expected in self.named(want).items():
            worst = check_numbers(
                f"{self.of}{name}",
                got[name],
                expected,
                lambda k, name=name, own=expected: limit(k, name, own),
                arithmetic.largest,
                lambda index, name=name: self._element(view, name, index),
                (REPLICAS, *REPLICAS_ON_FAILURE),
                self._by_step if name == "output" and view is whole else None,
                (lambda index, name=name: three_numbers(name, index)) if other else None,
            )
            self.margin = max(worst, self.margin or 0.0)

    def _by_step(self, margins: np.ndarray) -> None:
        """Note the largest margin at each step of an output, of any layout."""
        steps = 1 if self.call.config.batch_first and not self.call.unbatched else 0
        others = tuple(axis for axis in range(margins.ndim) if axis != steps)
        self.steps = margins.max(others, initial=0.0).tolist()


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
    method = "forward"

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

    def cell_trial(self, call: CellCall) -> CellTrial:
        """A trial of a cell of the same backend."""
        return CellTrial(self.subject, call)

    def _ask(self, call: LayerCall) -> Result:
        layer = self.layer
        with self.subject.calling("forward"):
            return as_result(self._use(layer, copied(call.arguments).values()))

    @property
    def _builder(self):
        return self.subject.backend.layer

    @staticmethod
    def _use(layer, arguments):
        return layer.forward(*arguments)

    @staticmethod
    def _result(returned) -> Result:
        return as_result(returned)

    @staticmethod
    def _parts(returned):
        return returned.output, returned.h_n, getattr(returned, "c_n", None)

    def train(self, seed: int) -> Result:
        """What the backend returns for the call in training, of the documented shapes."""
        layer = self.layer
        with self.subject.calling("forward_training"):
            result = as_result(layer.forward_training(*copied(self.call.arguments).values(), seed=seed))
        return self._shaped(result, self.call)

    def initial_parameters(self, seed: int) -> dict[str, np.ndarray]:
        """The parameters that the backend gives a new layer of the call's configuration."""
        with self.subject.calling("initial_parameters"):
            returned = self.subject.backend.initial_parameters(self.call.config, seed=seed)
            if not isinstance(returned, Mapping):
                raise Failed(f"initial_parameters returned {type(returned).__name__}, expected a mapping")
            return {name: _own(str(name), value) for name, value in returned.items()}

    def written(self) -> list[str]:
        """The names of the arrays, arguments and parameters, that one more call changed."""
        layer, parameters = self._built
        arguments = copied(self.call.arguments)
        with self.subject.calling(self.method):
            getattr(layer, self.method)(*arguments.values())
        return changed(arguments, self.call.arguments) + changed(parameters, self.call.parameters)

    @cached_property
    def want(self) -> Result:
        """The oracle's result; with the call's masks, in training."""
        call = self.call
        x, h_0, c_0 = (None if a is None else a.astype(np.float64) for a in (call.x, call.h_0, call.c_0))
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            return evaluate(call.config, self.parameters64, x, h_0, c_0, call.lengths, call.masks)

    def _compute_allowed(self, replicas: int) -> Result:
        call = self.call
        return self._spread(
            lambda x, h_0, c_0: evaluate(call.config, self.parameters64, x, h_0, c_0, call.lengths, call.masks),
            (call.x, call.h_0, call.c_0),
            replicas,
        )


class GradientTrial(LayerTrial):
    """A call of a layer's gradients. Its results are dicts, by the names that ``result_shapes`` has."""

    method = "gradients"
    of = "the gradient of "

    @cached_property
    def where(self):
        return gradient_place(self.call.config, self.call.unbatched)

    @property
    def forward(self) -> LayerTrial:
        """A trial of the forward pass, by this very layer."""
        trial = LayerTrial(self.subject, self.call.forward)
        trial._built = self._built
        return trial

    def named(self, result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return result

    def formed(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return arrays

    def _ask(self, call: GradientCall) -> dict[str, np.ndarray]:
        layer = self.layer
        with self.subject.calling("gradients"):
            return as_gradients(layer.gradients(*copied(call.arguments).values()))

    def _shaped(self, result: dict[str, np.ndarray], call: GradientCall) -> dict[str, np.ndarray]:
        for name, expected in call.result_shapes.items():
            if name not in result:
                raise Failed(f"{self.of}{name}: is missing; the names are {', '.join(result) or 'none'}")
            if result[name].shape != expected:
                raise Failed(f"{self.of}{name}: got shape {result[name].shape}, expected shape {expected}")
        return {name: result[name] for name in call.result_shapes}

    @cached_property
    def want(self) -> dict[str, np.ndarray]:
        """The oracle's gradients."""
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            arguments = {
                name: a.astype(np.float64) if isinstance(a, np.ndarray) else a
                for name, a in self.call.arguments.items()
            }
            return evaluate_gradients(self.call.config, self.parameters64, **arguments)

    def _compute_allowed(self, replicas: int) -> dict[str, np.ndarray]:
        call = self.call
        arguments = call.arguments
        lengths = arguments.pop("lengths")

        def function(*disturbed):
            d = evaluate_gradients(
                call.config, self.parameters64, lengths=lengths, **dict(zip(arguments, disturbed, strict=True))
            )
            return list(d.values())

        return self._spread(function, arguments.values(), replicas)


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
            return as_cell_result(self._use(cell, copied(call.arguments).values()))

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

    def written(self) -> list[str]:
        """The names of the arrays, arguments and parameters, that one more call changed."""
        cell, parameters = self._built
        arguments = copied(self.call.arguments)
        with self.subject.calling("step"):
            cell.step(*arguments.values())
        return changed(arguments, self.call.arguments) + changed(parameters, self.call.parameters)

    @cached_property
    def want(self) -> Result:
        """The oracle's result; with the call's masks, in training."""
        call = self.call
        arrays = (None if a is None else a.astype(np.float64) for a in call.arguments.values())
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            h, c = evaluate_cell(call.config, self.parameters64, *arrays)
        return Result(None, h, c)

    def _compute_allowed(self, replicas: int) -> Result:
        def function(x, h, c):
            h, c = evaluate_cell(self.call.config, self.parameters64, x, h, c)
            return None, h, c

        return self._spread(function, self.call.arguments.values(), replicas)


TRIALS = {LayerCall: LayerTrial, GradientCall: GradientTrial, CellCall: CellTrial}


def trial_of(subject: Subject, call) -> Trial:
    """The trial that a call is made for."""
    return TRIALS[type(call)](subject, call)


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


def as_gradients(returned: object) -> dict[str, np.ndarray]:
    """The adapter's gradients by name, arrays of its own. Raises Failed if that is not what came."""
    if not isinstance(returned, Mapping):
        raise Failed(f"gradients returned {type(returned).__name__}, expected a dict of arrays by name")
    return {str(name): _own(f"the gradient of {name}", value) for name, value in returned.items()}


def _own(name: str, value: object, optional: bool = False) -> np.ndarray | None:
    """A copy, so that a backend that uses its buffers again does not change what was seen."""
    if value is None and optional:
        return None
    require_plain(name, value)
    if value.dtype.kind not in "fiu" and value.dtype.name != "bfloat16":
        raise Failed(f"{name}: got dtype {value.dtype}, expected numbers")
    return value.copy()
