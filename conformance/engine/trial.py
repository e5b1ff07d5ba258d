"""Trials: a call, the backend's result, the oracle's result, and the comparisons that a law can make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from typing import Any

import numpy as np

from conformance.engine.compare import Failed, check_numbers, describe_shape_or_kind, margin, told
from conformance.engine.form import Arrays, Call, Element
from conformance.engine.noise import Noise
from conformance.engine.subject import Subject, changed, copied
from reference.dialects import speaking
from reference.precision import REPLICAS, SPREADS, allowed, replica_counts, spreads

Results = Any  # a tuple of arrays in the order of the form's results, or a mapping from names to arrays
View = Callable[[Results], Results]


def whole(result: Results) -> Results:
    """Return everything: the view of a whole result."""
    return result


class Trial:
    """A call put to a subject. All checks of the call share its results.

    ``got`` is the backend's result, ``want`` the oracle's result; ``allowed(replicas)`` is the error that rounding may
    cause.
    """

    def __init__(self, subject: Subject, call: Any) -> None:
        self.subject, self.call = subject, call
        self.form = subject.specification.form_of(call)
        self.margin: float | None = None
        self.steps: list[float] | None = None  # the largest margin at each step, where a whole output is compared
        self.note = ""  # a remark if the trial passes
        self.placed: Callable[[str, Element], Element] = lambda name, index: index
        """The place in another call's result of an element of this one, where this call is a part of that one."""
        self.judged: list[str] = []  # the requirements whose laws have called the built object so far
        self._allowed: dict[int, Results] = {}
        self._twin: Trial | None = None  # of another subject, with the same call and right numbers
        self._returned: Results | Failed | None = None

    def other(self, call: Any) -> Any:
        """Return a trial of another call by the same backend, which builds another object for it."""
        return trial_of(self.subject, call)

    def shares(self, trial: Trial) -> None:
        """Take the oracle's result and the tolerance of another subject's trial of the same call."""
        self._allowed, self._twin = trial._allowed, trial

    def answered(self, trial: Trial) -> None:
        """Take the backend's result of another trial of the same call."""
        self._returned = trial._returned

    # --- results by name ------------------------------------------------------------------------------

    def named(self, result: Results) -> Arrays:
        """Return a result's arrays by name."""
        return result if not self.form.results else dict(zip(self.form.results, result, strict=True))

    def formed(self, arrays: Arrays) -> Results:
        """Invert ``named``."""
        return arrays

    @cached_property
    def where(self) -> Callable[[str, Element], str]:
        """The words for an element of a result: ``where(name, index)``."""
        return self.form.locate(self.call)

    def shaped(self, result: Results, call: Call) -> Results:
        """Return the documented arrays of a result. Raises Failed where one is missing or has another shape."""
        named, of = self.named(result), self.form.of
        shapes = self.form.shapes(call)
        for name, expected in shapes.items():
            if name not in named:
                raise Failed(f"{of}{name}: is missing; the names are {', '.join(named) or 'none'}")
            got = named[name]
            if (None if got is None else got.shape) != expected:
                raise Failed(f"{of}{name}: got {describe_shape_or_kind(got)}, expected {_shape_or_none(expected)}")
        return self.formed({name: named[name] for name in shapes})

    # --- calls ----------------------------------------------------------------------------------------

    @cached_property
    def _built(self) -> tuple[Any, dict[str, np.ndarray]]:
        with told(self.call):
            return self.subject.build(self.form, self.call)

    @property
    def built(self) -> Any:
        """The object that the backend built for the call, such as a layer."""
        return self._built[0]

    def build(self, arrange: Callable[[np.ndarray], np.ndarray] = np.copy) -> Any:
        """Build once more, every parameter laid out in memory by ``arrange``; exceptions pass through."""
        parameters = {name: arrange(value) for name, value in self.call.parameters.items()}
        return getattr(self.subject.backend, self.form.build)(copy(self.call.config), parameters)

    def use(self, built: Any, arguments: Iterable[Any]) -> Any:
        """Call the form's method and return its value; exceptions pass through."""
        return getattr(built, self.form.ask)(*arguments)

    def ask(self, call: Call) -> Results:
        """Return the built object's result for a call, of any shape."""
        built = self.built
        if self.subject.heard is not None:
            self.subject.heard.append(call)
        with told(call), self.subject.calling(self.form.ask):
            return self.form.receive(self.use(built, copied(call.arguments).values()))

    @property
    def returned(self) -> Results:
        """The backend's result for the call, of any shape. Raises the same Failed each time if the call failed."""
        if self._returned is None:
            try:
                self._returned = self.ask(self.call)
            except Failed as failure:
                failure.__cause__ = failure.__context__ = failure.__traceback__ = None  # they keep arrays alive
                self._returned = failure
        if isinstance(self._returned, Failed):
            raise self._returned
        return self._returned

    @property
    def called(self) -> bool:
        """Whether the backend's result is known already."""
        return self._returned is not None

    @property
    def got(self) -> Results:
        """The backend's result for the call. Raises Failed if its shapes are not the documented ones."""
        return self.shaped(self.returned, self.call)

    def run(self, **changes: Any) -> Results:
        """Return the backend's result for the call with ``changes``, of the documented shapes."""
        call = self.call.replace(**changes)
        return self.shaped(self.ask(call), call)

    def attempt(self, what: str = "the call", **changes: Any) -> Any:
        """Make the trial's call with ``changes``, which the backend may refuse; return its result or its exception.

        ``what`` describes the changed call. The result may have any shape. Raises Failed if the process would end, and
        if the object of the trial's own call cannot be built.
        """
        call = self.call.replace(**changes)
        another = call.config is not self.call.config or call.parameters is not self.call.parameters
        trial = self.other(call) if another else self
        try:
            with told(call), self.subject.at_work(what):
                return trial.use(trial.build() if another else self.built, copied(call.arguments).values())
        except Failed:
            raise
        except Exception as refusal:
            return refusal

    def rejects(self, what: str, **changes: Any) -> None:
        """Require that the backend raises an error for the call with ``changes``; ``what`` describes that call."""
        result = self.attempt(what, **changes)
        if not isinstance(result, Exception):
            failure = Failed(f"{what}: accepted, and {describe_returned(result)} came back; expected an error")
            failure.accepted = True
            raise failure

    def arranged(self, arrange: Callable[[np.ndarray], np.ndarray]) -> Results:
        """Build and call once more with every array, parameters too, laid out in memory by ``arrange``."""
        arguments = [arrange(a) if isinstance(a, np.ndarray) else a for a in copied(self.call.arguments).values()]
        with self.subject.calling("the call"):
            used = self.use(self.build(arrange), arguments)
        return self.shaped(self.form.receive(used), self.call)

    def raw(self, *arguments: Any) -> tuple[np.ndarray, ...]:
        """Return the very arrays that the backend returns, not copies of them."""
        with self.subject.calling("the call"):
            returned = self.use(self.built, arguments)
            self.form.receive(returned)
        return tuple(a for a in self.form.parts(returned) if a is not None)

    def written(self) -> list[str]:
        """Return the names of the arrays, arguments and parameters, that one more call changed."""
        built, parameters = self._built
        arguments = copied(self.call.arguments)
        with self.subject.calling(self.form.ask):
            self.use(built, arguments.values())
        return changed(arguments, self.call.arguments) + changed(parameters, self.call.parameters)

    # --- the oracle -----------------------------------------------------------------------------------

    @cached_property
    def parameters64(self) -> dict[str, np.ndarray]:
        """The call's parameters in float64."""
        return {name: value.astype(np.float64, copy=False) for name, value in self.call.parameters.items()}

    @cached_property
    def want(self) -> Results:
        """The oracle's result, in float64."""
        if self._twin is not None:
            return self._twin.want
        arrays = [_as64(a) for a in self.form.array_arguments(self.call).values()]
        with self.subject.clock("oracle"), np.errstate(all="ignore"), speaking(self.subject.dialects):
            return self._evaluated(*arrays)

    def by_oracle(self, parameters: Mapping[str, np.ndarray], **arguments: Any) -> Results:
        """Return the oracle's result for the call with other parameters and arguments, in the backend's dialects."""
        with speaking(self.subject.dialects):
            return self.form.oracle(self.call, parameters, **arguments)

    def _evaluated(self, *arrays: Any) -> Results:
        arguments = {**self.call.arguments, **dict(zip(self.form.arrays, arrays, strict=True))}
        return self.form.oracle(self.call, self.parameters64, **arguments)

    def allowed(self, replicas: int = REPLICAS) -> Results:
        """Return the error that rounding may cause at each element of the result."""
        if replicas not in self._allowed:
            with self.subject.clock("tolerance"):
                self._allowed[replicas] = self._computed_allowed(replicas)
        return self._allowed[replicas]

    def _computed_allowed(self, replicas: int) -> Results:
        arithmetic, want = self.subject.arithmetic, self.named(self.want)
        arrays = [_as64(a) for a in self.form.array_arguments(self.call).values()]

        def function(*disturbed: Any) -> Sequence[Any]:
            with speaking(self.subject.dialects):
                return list(self.named(self._evaluated(*disturbed)).values())

        found = zip(want, spreads(function, arrays, list(want.values()), arithmetic, replicas), strict=True)
        return self.formed({name: None if s is None else allowed(s, arithmetic) for name, s in found})

    @cached_property
    def own_rounding(self) -> Results | None:
        """The spread of the backend's own results when its arguments and parameters are disturbed by rounding.

        It is measured from outside, by further calls, and scaled by the ratio of the oracle's inner spread to the
        oracle's spread under the same disturbance. None if the backend does not take the disturbed calls.
        """
        own, want = self.named(self.got), self.named(self.want)
        noise = [Noise(self.subject.arithmetic.u, replica) for replica in range(REPLICAS)]
        calls = [self.call.replace(**{n: each.spread(a) for n, a in self._disturbable.items()}) for each in noise]
        try:
            mine = [self.named(self.other(call).got) for call in calls]
        except Failed:
            return None
        with self.subject.clock("oracle"), np.errstate(all="ignore"):
            theirs = [self.named(self.other(call).want) for call in calls]
        outside, inside = (_total(spread) for spread in (_spread(theirs, want), self.named(self.allowed())))
        wider = max(1.0, inside / SPREADS / outside) if outside > 0 else 1.0
        spread = _spread(mine, own)
        return self.formed({name: None if s is None else wider * s for name, s in spread.items()})

    @property
    def _disturbable(self) -> dict[str, Any]:
        return {"parameters": self.call.parameters, **self.form.array_arguments(self.call)}

    # --- comparing ------------------------------------------------------------------------------------

    def agrees(self, got: Results | None = None, view: View = whole) -> None:
        """Require the oracle's numbers. ``view`` takes the part of a whole result that ``got`` shows."""
        got = view(self.got) if got is None else got
        if self.subject.compares:
            self._compare(got, view(self.want), view)

    def same(self, got: Results, view: View = whole, *, other: str = "another call", by: Trial | None = None) -> None:
        """Require that two results of the backend agree within rounding: ``got``, and ``view`` of ``self.got``.

        Each may be off by the allowed error, so the limit is twice that error. The allowed error belongs to the right
        numbers. If the backend's own numbers are wrong, the limit includes their own rounding, which ``own_rounding``
        measures: their error is another requirement's failure. ``other`` describes the computation of ``got``. ``by``
        is the trial of ``got`` where that call may be allowed a larger error. A failure shows both numbers and the
        right one, because neither is the expected value of the other.
        """
        shown = self.named(view(self.got))
        if self.subject.compares:
            own = self.formed({name: _as64(a) for name, a in shown.items()})
            self._compare(got, own, view, other, by)

    def _element(self, view: View, shown: str, index: Element) -> str:
        """Describe the element of the whole result that a view shows at an index: ``output[3, 0, 5], layer 0, ...``."""
        numbered: Arrays = {}
        start = 0
        for name, array in self.named(self.want).items():
            size = 0 if array is None else array.size
            numbered[name] = None if array is None else np.arange(start, start + size).reshape(array.shape)
            start += size
        shown_numbers = self.named(view(self.formed(numbered)))[shown]
        assert shown_numbers is not None
        number = int(shown_numbers[index])
        for name, numbers in numbered.items():
            if numbers is not None and numbers.size and numbers.flat[0] <= number <= numbers.flat[-1]:
                at = tuple(int(i) for i in np.unravel_index(number - int(numbers.flat[0]), numbers.shape))
                at = self.placed(name, at)
                return f"{self.form.of}{name}[{', '.join(map(str, at))}], {self.where(name, at)}"
        raise AssertionError("a view shows only elements of the whole")

    def _compare(self, result: Results, want: Results, view: View, other: str = "", by: Trial | None = None) -> None:
        got, arithmetic = self.named(result), self.subject.arithmetic

        def limit(name: str, own: np.ndarray | None, replicas: int) -> np.ndarray:
            bound = self.named(view(self.allowed(replicas)))[name]
            assert bound is not None
            if not other:
                return bound
            if by is not None and (others := by.named(by.allowed(replicas))[name]) is not None:
                bound = np.maximum(bound, others)
            right = self.named(view(self.want))[name]
            assert right is not None
            assert own is not None
            if margin(own, right, bound, arithmetic.largest).max(initial=0.0) <= 1:
                return 2 * bound
            most = np.abs(own).max(initial=0.0, where=np.isfinite(own))
            wrong = np.maximum(bound, SPREADS * arithmetic.u * most)
            if replicas > REPLICAS and (rounding := self.own_rounding) is not None:
                measured = self.named(view(rounding))[name]
                assert measured is not None
                wrong = np.maximum(wrong, np.minimum(SPREADS * measured, np.sqrt(arithmetic.u) * most))
            return 2 * wrong

        def three_numbers(name: str, index: Element) -> str:
            own, right = (_number(self.named(results)[name], index) for results in (want, view(self.want)))
            return f"the call gives {own:.9g}, {other} {_number(got[name], index):.9g}; right is {right:.9g}"

        for name, expected in self.named(want).items():
            worst = check_numbers(
                f"{self.form.of}{name}",
                got[name],
                expected,
                partial(limit, name, expected),
                arithmetic.largest,
                partial(self._element, view, name),
                replica_counts(arithmetic),
                self.by_step if name == "output" and view is whole else None,
                partial(three_numbers, name) if other else None,
            )
            self.margin = max(worst, self.margin or 0.0)

    def by_step(self, margins: np.ndarray) -> None:
        """Note the largest margin at each step of a whole output; nothing where results have no steps."""


def _spread(replicas: Sequence[Arrays], plain: Arrays) -> Arrays:
    """Return the root mean square distance of replicas from plain results, at each element."""
    found: Arrays = {}
    for name, value in plain.items():
        if value is None:
            found[name] = None
            continue
        with np.errstate(invalid="ignore"):
            off = [np.asarray(r[name], np.float64) - value for r in replicas]
        found[name] = np.sqrt(np.mean(np.square(np.nan_to_num(off, posinf=0.0, neginf=0.0)), axis=0))
    return found


def _total(spread: Arrays) -> float:
    """Return the root of the sum of squares of all finite elements."""
    parts = [s[np.isfinite(s)] for s in spread.values() if s is not None]
    return float(np.sqrt(sum(np.sum(np.square(part)) for part in parts)))


def _as64(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else array.astype(np.float64, copy=False)


def _number(array: Any, index: Element) -> float:
    return float(array[index])


def _shape_or_none(expected: tuple[int, ...] | None) -> str:
    return "None" if expected is None else f"shape {expected}"


def describe_returned(returned: object) -> str:
    """Describe an adapter's result for a call that it should have refused."""
    try:
        return _described(returned)
    except Exception as error:
        return f"{type(returned).__name__}, which raises {type(error).__name__} when it is read,"


def _described(returned: object) -> str:
    if hasattr(returned, "output"):
        return f"an output of {describe_shape_or_kind(returned.output)}"
    if isinstance(returned, tuple) and returned:
        return f"a state of {describe_shape_or_kind(returned[0])}"
    if isinstance(returned, Mapping) and returned:
        name, value = next(iter(returned.items()))
        return f"{name} of {describe_shape_or_kind(value)}"
    return type(returned).__name__


def trial_of(subject: Subject, call: Any) -> Any:
    """Return a trial of a call, made by its form."""
    return subject.specification.form_of(call).trial(subject, call)
