"""Recorded calls that begin with the state in which the call before them ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from conformance.dumps.judging import Judged, judge, trial_of_recorded
from conformance.dumps.recorded import Recorded
from conformance.specifications.torch_nn.calls import LayerCall

States = dict[str, np.ndarray]


def state_carried(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """Return the entry of a layer whose calls begin with the state of the call before, if that explains all calls."""
    before: Recorded | None = None
    found = []
    for j in judged:
        recorded = j.recorded
        if not isinstance(recorded.call, LayerCall) or j.misshapen:
            return []
        if not j.numbers_right:
            follows = before is not None and recorded.call.h_0 is None and _same_layer(before, recorded)
            if not follows or before is None:
                return []
            recorded = replace(recorded, call=recorded.call.replace(**_end(before)))
            if not judge(recorded).numbers_right:
                return []
            found.append(recorded.label.rstrip("/"))
        before = recorded
    if not found:
        return []
    states = "h_0 and c_0" if judged[0].recorded.call.config.kind == "lstm" else "h_0"
    return [{
        "fault": "state-carried-between-calls",
        "explanation": f"a layer that begins a call with the state in which the call before it ended (here call "
        f"{', '.join(found)}): {states} are zeros where they are not given",
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
