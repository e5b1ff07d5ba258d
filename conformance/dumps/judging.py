"""Compare recorded results with the documented numbers: the tolerance, the wrong elements, the first one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from conformance.dumps import nodes
from conformance.dumps.printed import ROUNDED, Moved, Printed, printed
from conformance.dumps.recorded import Recorded, as_dtype
from conformance.dumps.settings import CELL_RESULTS, RESULTS
from conformance.engine.compare import certain_margin, decides, margin
from conformance.engine.specification import Specification
from conformance.engine.subject import Subject
from conformance.engine.trial import Trial, trial_of
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.calls import CellCall, LayerCall
from conformance.specifications.torch_nn.trials import CellTrial, LayerTrial
from reference.parameters import GATES
from reference.precision import ARITHMETICS, Arithmetic, allowed, replica_counts, spreads

MAX_REPLICATED = 1 << 24  # numbers of one array of replicas; more samples are computed in parts

DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16}  # formats with fewer digits than float64

Arrays = dict[str, np.ndarray]


class RecordedTrial(LayerTrial):
    """A recorded call of a layer, whose tolerance is computed for some samples at a time."""

    def _computed_allowed(self, replicas: int) -> Any:
        return self.formed(limits(self, replicas))


class RecordedCellTrial(CellTrial):
    """A recorded call of a cell."""


def specification_of(call: Any) -> Specification:
    """Return the specification that a recorded call belongs to."""
    return ONNX if isinstance(call, NodeCall) else TORCH_NN


def trial_of_recorded(recorded: Recorded, arithmetic: Arithmetic | None = None) -> Any:
    """Return a trial of the oracle that rounds as the recorded call does."""
    specification = specification_of(recorded.call)
    subject = Subject(specification, specification.oracle(), recorded.call.config.kind, "float64")
    subject.arithmetic = arithmetic or recorded.arithmetic
    if isinstance(recorded.call, NodeCall):
        return trial_of(subject, recorded.call)
    cell = isinstance(recorded.call, CellCall)
    return (RecordedCellTrial if cell else RecordedTrial)(subject, recorded.call)


def limits(trial: Trial, replicas: int) -> dict[str, np.ndarray | None]:
    """Return the error that rounding may cause at each element of a layer's results."""
    call = trial.call
    config = call.config
    row = call.T * config.directions * len(GATES[config.kind]) * config.hidden_size * replicas
    most = max(1, MAX_REPLICATED // row)
    want = trial.named(trial.want)
    if call.unbatched or most >= call.N:
        parts = [_limits(trial, call, want, replicas)]
    else:
        parts = [
            _limits(trial, part, {n: None if a is None else take(a, n) for n, a in want.items()}, replicas)
            for part, take in _parts(call, most)
        ]
    axes = {"output": 0 if config.batch_first else 1, "h_n": 1, "c_n": 1}
    found: dict[str, np.ndarray | None] = {}
    for name in want:
        arrays = [a for part in parts if (a := part[name]) is not None]
        found[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axes[name]) if arrays else None
    return found


def _parts(call: LayerCall, most: int) -> Iterator[tuple[LayerCall, Callable[[np.ndarray, str], np.ndarray]]]:
    """Yield the call cut to some samples at a time, and a function that cuts a result likewise."""
    first = call.config.batch_first
    for start in range(0, call.N, most):
        rows = slice(start, start + most)

        def take(a: np.ndarray, name: str, rows: slice = rows) -> np.ndarray:
            return a[rows] if name in ("x", "output") and first else a[:, rows]

        states = {name: None if (s := getattr(call, name)) is None else take(s, name) for name in ("h_0", "c_0")}
        ends = None if call.lengths is None else call.lengths[rows]
        yield call.replace(x=take(call.x, "x"), lengths=ends, **states), take


def _limits(trial: Trial, call: Any, want: dict[str, Any], replicas: int) -> dict[str, np.ndarray | None]:
    arithmetic = trial.subject.arithmetic
    given = {name: call.arguments[name] for name in trial.form.arrays}

    def function(*disturbed: Any) -> Sequence[Any]:
        arguments = {**call.arguments, **dict(zip(given, disturbed, strict=True))}
        return list(trial.named(trial.form.oracle(call, trial.parameters64, **arguments)).values())

    found = spreads(function, list(given.values()), list(want.values()), arithmetic, replicas)
    return {name: None if s is None else allowed(s, arithmetic) for name, s in zip(want, found, strict=True)}


@dataclass(frozen=True)
class Judged:
    """One recorded call with its verdict."""

    recorded: Recorded
    want: Arrays
    """The documented numbers of the recorded results."""
    limits: Arrays
    margins: Arrays
    """The errors as fractions of the allowed ones; nothing for a result of another shape."""
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    """The shapes that came and the documented ones, where they differ."""
    printed: Printed | None = None
    """The digits to which the results were rounded when they were printed."""
    printing: Arrays = field(default_factory=dict)
    """The part of the limits that the printing of results and arguments takes."""
    moved: bool = False
    """Whether the limits allow for the printing of the arguments."""

    @property
    def margin(self) -> float:
        """The largest margin."""
        return max((float(np.max(m, initial=0.0)) for m in self.margins.values()), default=0.0)

    @property
    def numbers_right(self) -> bool:
        """Whether every number that can be compared is right."""
        return self.margin <= 1

    @property
    def right(self) -> bool:
        """Whether the numbers and the shapes are the documented ones."""
        return self.numbers_right and not self.misshapen

    @property
    def wrong(self) -> int:
        """The number of wrong elements."""
        return sum(int(np.sum(m > 1)) for m in self.margins.values())

    @property
    def elements(self) -> int:
        """The number of elements compared."""
        return sum(m.size for m in self.margins.values())

    @property
    def off(self) -> float:
        """The largest error."""
        return max((float(np.max(_error(self.got(n), self.want[n]), initial=0.0)) for n in self.margins), default=0.0)

    def got(self, name: str) -> np.ndarray:
        """Return a recorded result in the documented shape."""
        return fitted(self.recorded.results[name], self.want[name].shape)

    def in_documented_shapes(self) -> Judged:
        """Return the call with its results in the documented shapes, where only axes of length one differ."""
        results = {name: self.got(name) for name in self.recorded.results}
        return replace(self, recorded=replace(self.recorded, results=results), misshapen={})

    def first_wrong(self) -> dict[str, Any] | None:
        """Return the first wrong element in the order of computation; None if no element is wrong.

        Lower layers come first, by their final states, then the steps of the output; the reverse
        direction is computed from the last step on.
        """
        found = next(iter(sorted(self._wrong(), key=lambda item: item[0])), None)
        if found is None:
            return None
        _, name, index = found
        got, want, limit = (float(a[index]) for a in (self.got(name), self.want[name], self.limits[name]))
        trial = trial_of_recorded(self.recorded)
        shown = self.recorded.names.get(name, name)
        return {
            "name": shown,
            "index": list(index),
            "place": trial.where(name, index),
            "got": got,
            "expected": want,
            "off": abs(got - want),
            "allowed": limit,
        }

    def _wrong(self) -> Iterator[tuple[tuple[Any, ...], str, tuple[int, ...]]]:
        call = self.recorded.call
        for name, margins in self.margins.items():
            for found in np.argwhere(margins > 1):
                index = tuple(int(i) for i in found)
                if isinstance(call, NodeCall):
                    yield nodes.order(call, name, index), name, index
                    continue
                if isinstance(call, CellCall):
                    yield (0, 0, 0, name, index), name, index
                    continue
                config = call.config
                if name == "output":
                    axis = 1 if config.batch_first and not call.unbatched else 0
                    reverse = int(index[-1] >= config.output_size)
                    step = call.T - 1 - index[axis] if reverse else index[axis]
                    yield (config.num_layers - 1, 0, step, reverse, index), name, index
                else:
                    layer, reverse = divmod(index[0], config.directions)
                    yield (layer, int(layer == config.num_layers - 1), 0, reverse, index), name, index


def _error(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs(got - want), nan=np.inf)


def fitted(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array in a shape that differs by axes of length one alone; otherwise as it is."""
    long = [n for n in array.shape if n > 1]
    return array.reshape(shape) if array.size and long == [n for n in shape if n > 1] else array


def documented(recorded: Recorded) -> Arrays:
    """Return the documented numbers of the recorded results."""
    trial = trial_of_recorded(recorded)
    want = trial.named(trial.want)
    return {name: want[name] for name in recorded.results}


def judge(recorded: Recorded, arithmetic: Arithmetic | None = None, of_arguments: Printed | None = None) -> Judged:
    """Compare a call with the oracle, within what rounding in an arithmetic explains.

    ``of_arguments`` are the digits to which the arguments were rounded; by default they follow from the results'.
    """
    trial = trial_of_recorded(recorded, arithmetic)
    want = {name: array for name, array in trial.named(trial.want).items() if name in recorded.results}
    misshapen, got = {}, {}
    for name, came in recorded.results.items():
        if came.shape != want[name].shape:
            misshapen[name] = (came.shape, want[name].shape)
        if (shaped := fitted(came, want[name].shape)).shape == want[name].shape:
            got[name] = shaped
    more = _rounded_arguments(recorded, want)
    digits = printed(list(got.values()), DTYPES.get(recorded.dtype, np.float64))
    moved = _moved_by(recorded, digits, of_arguments)
    units = {name: np.zeros(a.shape) if digits is None else ROUNDED * digits.unit(a) for name, a in got.items()}
    margins: Arrays = {}
    bounds: Arrays = {}
    printing: Arrays = {}
    for replicas in replica_counts(trial.subject.arithmetic) if got else ():
        found = trial.named(trial.allowed(replicas))
        bounds = {name: found[name] + more[name] for name in got}
        if digits is not None or moved is not None:
            moves = {} if moved is None else moved.by(replicas, want)
            printing = {name: unit + moves.get(name, 0.0) for name, unit in units.items()}
            bounds = {name: bounds[name] + printing[name] for name in got}
        margins = {
            name: margin(a, want[name], bounds[name], trial.subject.arithmetic.largest) for name, a in got.items()
        }
        worst = max(float(np.max(m, initial=0.0)) for m in margins.values())
        certain = max(certain_margin(m, bounds[name], got[name]) for name, m in margins.items())
        if decides(replicas, worst, certain):
            break
    return Judged(recorded, want, bounds, margins, misshapen, digits, printing, moved is not None)


def _rounded_arguments(recorded: Recorded, want: Arrays) -> Arrays:
    """Return how far the results move when the arguments are rounded to the dtype, where they hold more digits."""
    call = recorded.call
    narrow: dict[str, Any] = {
        name: as_dtype(a, recorded.dtype) for name, a in call.arguments.items() if isinstance(a, np.ndarray)
    }
    parameters = {name: as_dtype(a, recorded.dtype) for name, a in call.parameters.items()}
    same = all(np.array_equal(a, getattr(call, name), equal_nan=True) for name, a in narrow.items())
    if same and all(np.array_equal(a, call.parameters[name]) for name, a in parameters.items()):
        return {name: np.zeros(a.shape) for name, a in want.items()}
    moved = documented(replace(recorded, call=call.replace(parameters=parameters, **narrow)))
    return {name: 2 * np.abs(moved[name] - a) for name, a in want.items()}


def printed_arguments(recorded: Recorded) -> Printed | None:
    """Return the digits of the arguments and parameters, if they have few."""
    return printed(list(_floating(recorded).values()), DTYPES.get(recorded.dtype, np.float64))


def _floating(recorded: Recorded) -> Arrays:
    call = recorded.call
    arguments = {name: a for name, a in call.arguments.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    return {**arguments, **call.parameters}


def _moved_by(recorded: Recorded, digits: Printed | None, of_arguments: Printed | None) -> Moved | None:
    """Return how far the results move within the last digit of the arguments, if these were printed as the results."""
    if of_arguments is None:
        if digits is None or not digits.agrees(printed_arguments(recorded)):
            return None
        of_arguments = digits
    call = recorded.call

    def results_of(changed: Arrays) -> Arrays:
        parameters = {name: changed[name] for name in call.parameters}
        changes = {name: a for name, a in changed.items() if name not in parameters}
        return documented(replace(recorded, call=call.replace(parameters=parameters, **changes)))

    return Moved(results_of, _floating(recorded), of_arguments)


def explains(recorded: Recorded, name: str) -> bool:
    """Return whether the numbers are right within the rounding of an arithmetic of that name."""
    return judge(recorded, ARITHMETICS[name]).numbers_right


__all__ = ["CELL_RESULTS", "RESULTS", "Judged", "documented", "explains", "fitted", "judge"]
