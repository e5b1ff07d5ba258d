"""Say which part of a recorded call is right, where no known mistake gives its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from conformance.dumps.judging import Judged
from conformance.specifications.torch_nn.calls import LayerCall


def clues(judged: Sequence[Judged]) -> list[str]:
    """Return sentences on the right and wrong parts of the first wrong call."""
    wrong = next((j for j in judged if not j.numbers_right), None)
    if wrong is None:
        return []
    if wrong is judged[0] or not isinstance(wrong.recorded.call, LayerCall):
        return list(_clues(wrong))
    number = wrong.recorded.label.rstrip("/")
    kept = f"call {number} is the first wrong one: look at its sizes, and at what the layer keeps from call to call"
    return [kept, *_clues(wrong, after_a_right_call=True)]


def _clues(judged: Judged, after_a_right_call: bool = False) -> Iterator[str]:
    names = judged.recorded.names
    for name in judged.margins:
        got = judged.got(name)
        if bad := int(np.sum(~np.isfinite(got))):
            yield f"{bad} of {got.size} numbers of {names.get(name, name)} are NaN or infinite"
        elif got.size > 1 and np.all(got == got.flat[0]):
            yield f"all of {names.get(name, name)} is {got.flat[0] + 0.0:g}"
    right = [name for name, m in judged.margins.items() if not np.any(m > 1)]
    if right:
        are = "is" if len(right) == 1 else "are"
        said = f"all of {' and '.join(names.get(name, name) for name in right)} {are} right, the rest is not"
        collected = "h_n" in right and "output" in judged.margins and "output" not in right
        if collected and getattr(judged.recorded.call.config, "num_layers", 1) == 1:
            yield f"{said}: the steps are computed rightly, and output collects something else"
            return
        yield said
    call = judged.recorded.call
    if not isinstance(call, LayerCall) or "output" not in judged.margins:
        return
    off = judged.margins["output"] > 1  # (T, N, D, O)
    off = off[:, None] if call.unbatched else np.swapaxes(off, 0, 1) if call.config.batch_first else off
    off = off.reshape(*off.shape[:2], call.config.directions, -1)
    by_direction = np.asarray(off.any((0, 1, 3)))
    if by_direction.any() and not by_direction.all():
        good = "forward" if by_direction[1] else "reverse"
        yield f"the {good} direction of output is right, the other one is not"
    by_sample = np.asarray(off.any((0, 2, 3)))
    if by_sample.any() and not by_sample.all():
        yield f"the samples {_listed(~by_sample)} of output are right, the others are not"
    forward = np.asarray(off[:, :, 0].any((1, 2)))
    if call.config.num_layers > 1 or not forward.any():
        return
    first = int(np.argmax(forward))
    if first == 0 and after_a_right_call:  # which has used the weights and the gates
        return
    if first == 0:
        where = "h_0 and W_hh as well as in W_ih" if call.h_0 is not None else "W_ih, the biases and the gates"
        yield f"the first step is wrong already: the mistake may lie in {where}"
    elif first == 1:
        yield "the first step is right, the second is not: the mistake lies in what passes from step to step"
    else:
        yield f"the first {first} steps are right, step {first} is not"


def _listed(which: np.ndarray) -> str:
    found = [str(k) for k in np.flatnonzero(which)]
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")
