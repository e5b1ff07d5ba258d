"""Choose a further call on which the remaining candidates differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from conformance.diagnosis.candidates import Candidate
from conformance.dumps import nodes
from conformance.dumps.judging import specification_of
from conformance.dumps.recorded import Recorded
from conformance.dumps.search import results_of
from conformance.specifications.onnx_operators.calls import NodeCall
from conformance.specifications.torch_nn.calls import CellCall, LayerCall
from reference.parameters import parameter_shapes

APART = 1e-3  # of the larger number: a difference that a reader sees in print
SMALL_INPUT, SMALL_HIDDEN = 2, 3  # sizes of weights that are drawn


@dataclass(frozen=True)
class Further:
    """A call to make next, with the result of each candidate."""

    give: tuple[str, ...]
    """The properties that the recorded calls lack, in words."""
    call: Any
    own_parameters: bool
    """Whether all parameters are new; otherwise only the biases may be."""
    element: tuple[str, tuple[int, ...]]
    """The name and the index of a number in which the candidates differ."""
    documented: float
    given: tuple[float | None, ...]
    """The number of each candidate; None where its results have other shapes or it raises."""
    groups: tuple[tuple[int, ...], ...]
    """The positions of the candidates in groups that give the same numbers for this call, too."""


def further(recorded: Sequence[Recorded], candidates: Sequence[Candidate], over: Callable[[], bool]) -> Further | None:
    """Return the simplest call on which the candidates differ most; None if they agree on all calls tried."""
    best: tuple[int, Further] | None = None
    for give, call, own in _calls(recorded):
        if over():
            break
        found = _told_apart(give, call, own, candidates)
        if found is not None and (best is None or len(found.groups) > best[0]):
            best = len(found.groups), found
            if best[0] == len(candidates):
                break
    return None if best is None else best[1]


def _told_apart(give: tuple[str, ...], call: Any, own: bool, candidates: Sequence[Candidate]) -> Further | None:
    results = [results_of(candidate.build(), call) for candidate in candidates]
    right = results_of(specification_of(call).oracle(), call)
    if isinstance(right, str):
        return None
    groups: list[list[int]] = []
    for k, result in enumerate(results):
        same = next((group for group in groups if _alike(results[group[0]], result)), None)
        groups.append([k]) if same is None else same.append(k)
    if len(groups) < 2:
        return None
    element = _telling(right, results, [group[0] for group in groups])
    if element is None:
        return None
    name, index = element
    given = tuple(
        float(r[name][index]) if not isinstance(r, str) and r[name].shape == right[name].shape else None
        for r in results
    )
    return Further(give, call, own, element, float(right[name][index]), given, tuple(map(tuple, groups)))


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b) if isinstance(a, str) and isinstance(b, str) else False
    return a.keys() == b.keys() and all(
        a[n].shape == b[n].shape and np.allclose(a[n], b[n], rtol=APART, atol=APART, equal_nan=True) for n in a
    )


def _telling(right: dict[str, np.ndarray], results: Sequence[Any], firsts: Sequence[int]) -> Any:
    """Return the element at which most of the groups differ by much."""
    found, most = None, (0, 0.0)
    for name, array in right.items():
        rows = [results[k][name] for k in firsts if not isinstance(results[k], str)]
        rows = [a for a in rows if a.shape == array.shape]
        if len(rows) < 2:
            continue
        stacked = np.sort(np.stack(rows), axis=0)
        gaps = np.diff(stacked, axis=0)
        apart = np.sum(gaps > APART, axis=0)
        smallest = np.min(np.where(gaps > APART, gaps, np.inf), axis=0)
        for flat in np.lexsort((smallest.ravel(), apart.ravel()))[-1:]:
            index = np.unravel_index(flat, apart.shape)
            score = (int(apart[index]), float(smallest[index]))
            if score > most:
                found, most = (name, tuple(int(i) for i in index)), score
    if found is None:  # the groups differ in their shapes alone
        name = next(iter(right))
        found = name, (0,) * right[name].ndim
    return found


# --- calls --------------------------------------------------------------------------------------------


def _calls(recorded: Sequence[Recorded]) -> Iterator[tuple[tuple[str, ...], Any, bool]]:
    """Yield what a call adds to the recorded ones, in words, the call, and whether it has own parameters."""
    base = recorded[0].call
    if isinstance(base, NodeCall):
        yield from nodes.further_calls(base)
        return
    sorts = _cell_sorts(base) if isinstance(base, CellCall) else _layer_sorts(base)
    had = _had(recorded)
    bias_zero = base.config.bias and all(
        not np.any(a) for r in recorded for n, a in r.call.parameters.items() if n.startswith("bias")
    )
    square = base.config.input_size == base.config.hidden_size
    plans: list[tuple[tuple[str, ...], Any, bool]] = [((), base.config, False)]
    if bias_zero or not base.config.bias:
        plans.append((("biases other than zero",), replace(base.config, bias=True), False))
    if square or bias_zero or not base.config.bias:
        words: tuple[str, ...] = ("weights of other sizes, input_size other than hidden_size",) if square else ()
        words += ("biases other than zero",) if bias_zero or not base.config.bias else ()
        plans.append((words, _small(base.config), True))
    plans.append((("other weights",), _small(base.config), True))
    if not isinstance(base, CellCall):
        deep = replace(_small(base.config), num_layers=2, bidirectional=True)
        plans.append((("two layers and two directions",), deep, True))
    for extra, config, own in plans:
        for sort in sorts:
            for seed in range(nodes.SEEDS):
                call = _made(base, config, own, config is not base.config, sort, seed)
                give = (*extra, *(word for word in _words(sort, call, base) if word not in had))
                yield give or ("other numbers in x",), call, own


def _small(config: Any) -> Any:
    small = replace(config, bias=True, input_size=SMALL_INPUT, hidden_size=SMALL_HIDDEN)
    return replace(small, proj_size=min(config.proj_size, 2)) if hasattr(config, "proj_size") else small


def _layer_sorts(base: LayerCall) -> list[dict[str, Any]]:
    """Return the sorts of calls, simple ones first: steps, samples, states, lengths."""
    sorts = []
    if base.unbatched:
        sorts = [{"T": T, "N": 0, "states": s, "lengths": False} for T in (1, 2, 3) for s in (False, True)]
    else:
        for N in (1, 2, 3):
            for T in (1, 2, 3):
                sorts += [{"T": T, "N": N, "states": s, "lengths": False} for s in (False, True)]
        sorts = [sort for sort in sorts if sort["N"] != sort["T"] or sort["N"] == 1]
        sorts += [{"T": 3, "N": 2, "states": s, "lengths": True} for s in (False, True)]
    return sorts


def _cell_sorts(base: CellCall) -> list[dict[str, Any]]:
    return [{"T": 0, "N": N, "states": s, "lengths": False} for N in ((0,) if base.unbatched else (1, 2)) for s in
            (False, True)]  # fmt: skip


def _words(sort: dict[str, Any], call: Any, base: Any) -> list[str]:
    states = ("h" if isinstance(base, CellCall) else "h_0") + (
        "" if base.config.kind != "lstm" else " and c" if isinstance(base, CellCall) else " and c_0"
    )
    words = [states] if sort["states"] else [f"no {states}"]
    words += ["T >= 2"] if sort["T"] >= 2 else []
    words += ["N >= 2"] if sort["N"] >= 2 else []
    words += ["lengths"] if sort["lengths"] else []
    return words


def _had(recorded: Sequence[Recorded]) -> set[str]:
    found: set[str] = set()
    for one in recorded:
        call = one.call
        cell = isinstance(call, CellCall)
        sort = {
            "T": 0 if cell else call.T,
            "N": (0 if call.unbatched else len(call.x)) if cell else call.N,
            "states": (call.h if isinstance(call, CellCall) else call.h_0) is not None,
            "lengths": getattr(call, "lengths", None) is not None,
        }
        found.update(_words(sort, call, call))
    return found


def _made(base: Any, config: Any, own: bool, biases: bool, sort: dict[str, Any], seed: int) -> Any:
    rng = np.random.Generator(np.random.SFC64([seed, sort["T"], sort["N"], int(own)]))

    def eighths(*shape: int) -> np.ndarray:
        return nodes.eighths(rng, shape)

    parameters = dict(base.parameters)
    if own or biases:
        shapes = parameter_shapes(config).items()
        parameters |= {n: eighths(*shape) for n, shape in shapes if own or n.startswith("bias")}
        parameters = {n: parameters[n] for n, _ in shapes}
    T, N, I, H = sort["T"], sort["N"], config.input_size, config.hidden_size
    batch = (N,) if N else ()
    if isinstance(base, CellCall):
        states: dict[str, Any] = {"h": eighths(*batch, H)} if sort["states"] else {}
        if states and config.kind == "lstm":
            states["c"] = eighths(*batch, H)
        return CellCall(config, parameters, eighths(*batch, I), **states)
    rows = config.directions * config.num_layers
    states = {"h_0": eighths(rows, *batch, config.output_size)} if sort["states"] else {}
    if states and config.kind == "lstm":
        states["c_0"] = eighths(rows, *batch, H)
    lengths = tuple(range(T, T - N, -1))[::-1] if sort["lengths"] else None
    steps = (N, T) if config.batch_first and N else (T, *batch)
    return LayerCall(config, parameters, eighths(*steps, I), lengths=lengths, **states)
