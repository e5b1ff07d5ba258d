"""Recorded calls that begin with the state in which the call before them ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from conformance.dumps.judging import Judged, judge, trial_of_recorded
from conformance.dumps.recorded import Recorded
from conformance.specifications.torch_nn.calls import LayerCall

MOST_PRINTED = 4.0  # of the allowed error where numbers were printed: the state carried over was rounded as well

States = dict[str, np.ndarray]


def state_carried(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """Return the entry of a layer whose calls begin with the state of the call before, if that explains all calls."""
    if len(judged) == 1 or not isinstance(judged[0].recorded.call, LayerCall):
        return []
    of_kind = ("h_0", "c_0") if judged[0].recorded.call.config.kind == "lstm" else ("h_0",)
    choices = [of_kind] if len(of_kind) == 1 else [of_kind, *((name,) for name in of_kind)]
    return next(filter(None, (_carried(judged, names, of_kind) for names in choices)), [])


def _carried(judged: Sequence[Judged], names: tuple[str, ...], of_kind: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the entry of a layer that keeps these states from call to call."""
    before: Recorded | None = None
    found = []
    for j in judged:
        recorded = j.recorded
        if not isinstance(recorded.call, LayerCall) or j.misshapen:
            return []
        if not j.numbers_right:
            if before is None or recorded.call.h_0 is not None or not _same_layer(before, recorded):
                return []
            end = _end(before)
            recorded = replace(recorded, call=recorded.call.replace(**{name: end[name] for name in names}))
            if judge(recorded).margin > (1 if j.printed is None else MOST_PRINTED):
                return []
            found.append(recorded.label.rstrip("/"))
        before = recorded
    if not found:
        return []
    only = "" if len(names) == len(of_kind) else f", {names[0]} alone"
    zeros = f"{' and '.join(of_kind)} {'are' if len(of_kind) > 1 else 'is'} zero where not given"
    return [{
        "fault": "state-carried-between-calls",
        "explanation": f"a layer that begins a call with the state in which the call before it ended{only} (here call "
        f"{', '.join(found)}): {zeros}",
    }]  # fmt: skip


def _same_layer(one: Recorded, other: Recorded) -> bool:
    """Return whether two calls are of one layer and of as many samples."""
    mine, its = one.call.parameters, other.call.parameters
    alike = mine.keys() == its.keys() and all(np.array_equal(a, its[name]) for name, a in mine.items())
    return alike and one.call.config == other.call.config and _samples(one) == _samples(other)


def _samples(recorded: Recorded) -> int | None:
    return None if recorded.call.unbatched else recorded.call.N


def _end(recorded: Recorded) -> States:
    """Return the state after a call, as the initial state of the next one."""
    trial = trial_of_recorded(recorded)
    want = trial.named(trial.want)
    return {f"{letter}_0": end for letter in "hc" if (end := want.get(f"{letter}_n")) is not None}
