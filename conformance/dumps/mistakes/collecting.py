"""Mistakes of handing over arguments and collecting results: axes, and results of other shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault
from conformance.specifications.torch_nn.faults.changed import time_first

MISTAKES: list[Fault] = []
layout, results = (Family(MISTAKES, name) for name in ("layout", "results"))
Arrays = dict[str, np.ndarray]
Parts = dict[str, Any]

# --- axes ---------------------------------------------------------------------------------------------


def _exchanged(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
    if x.ndim == 2 or layer.config.batch_first:
        return layer.plain(x, h_0, c_0, lengths)
    N = x.shape[0]
    fitted = [None if s is None else np.resize(s, (s.shape[0], N, s.shape[2])) for s in (h_0, c_0)]
    ends = None if lengths is None else [min(n, x.shape[1]) for n in np.resize(lengths, N)]
    return layer.plain_of(replace(layer.config, batch_first=True), layer.given, x, *fitted, ends)


@layout(
    "FORWARD-EQUATION",
    "a layer that reads x as (N, T, I), samples before steps, where it is (T, N, I)",
    "batch_first=True in one of two places, or Keras's layout",
    common=True,
)
def axes_exchanged() -> Parts:
    return {"forward": _exchanged}


@layout(
    "FORWARD-EQUATION",
    "a layer for which x was reshaped from (N, T, I) to (T, N, I), not transposed",
    "reshape where transpose is meant",
)
def input_reshaped() -> Parts:
    def arguments(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        if x.ndim == 3 and not layer.config.batch_first:
            x = np.ascontiguousarray(np.swapaxes(x, 0, 1)).reshape(x.shape)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


@layout(
    "FORWARD-EQUATION",
    "a layer whose output was reshaped from (N, T, D*O) to (T, N, D*O), not transposed",
    "reshape where transpose is meant",
)
def output_reshaped() -> Parts:
    def result(layer: Any, got: Any, lengths: Any) -> Any:
        if got.output.ndim == 3 and not layer.config.batch_first:
            output = np.ascontiguousarray(np.swapaxes(got.output, 0, 1)).reshape(got.output.shape)
            return Result(output, *got[1:])
        return got

    return {"result": result}


@layout("FORWARD-EQUATION", "a layer that reads h_0 and c_0 as (N, D*L, feature)",
        "samples first in the states as well", features={"initial_state"})  # fmt: skip
def initial_states_samples_first() -> Parts:
    def arguments(layer: Any, x: Any, h_0: Any, c_0: Any, lengths: Any) -> Any:
        def read(s: Any) -> Any:
            return None if s is None else np.ascontiguousarray(s).reshape(s.shape[1], s.shape[0], -1).swapaxes(0, 1)

        if x.ndim == 3 and not layer.config.batch_first:
            h_0, c_0 = read(h_0), read(c_0)
        return x, h_0, c_0, lengths

    return {"arguments": arguments}


# --- results of other shapes ----------------------------------------------------------------------------


def _with_states(got: Any, change: Callable[[np.ndarray], np.ndarray]) -> Result:
    h_n, c_n = got[1:]
    return Result(got.output, change(h_n), None if c_n is None else change(c_n))


def _result(change: Callable[[Any, Any], Any]) -> Parts:
    return {"result": lambda layer, got, lengths: change(layer, got)}


@results("SHAPE-OUTPUT", "a layer whose output is that of the last step alone", "return_sequences=False of Keras",
         common=True)  # fmt: skip
def output_of_the_last_step_only() -> Parts:
    return _result(lambda layer, got: Result(time_first(layer, got.output)[-1], *got[1:]))


@results("SHAPE-OUTPUT", "a layer whose output is (N, T, feature), samples before steps, without batch_first",
         "Keras's layout, or a transposition too many", common=True)  # fmt: skip
def output_samples_first() -> Parts:
    def turned(layer: Any, got: Any) -> Any:
        if layer.config.batch_first or got.output.ndim == 2:
            return got
        return Result(np.swapaxes(got.output, 0, 1), *got[1:])

    return _result(turned)


@results("SHAPE-FINAL-STATES", "a layer whose h_n and c_n are (N, D*L, feature)", "samples first in the states as well")
def final_states_samples_first() -> Parts:
    def turned(layer: Any, got: Any) -> Any:
        if layer.config.batch_first or got.output.ndim == 2:
            return got
        return _with_states(got, lambda s: np.swapaxes(s, 0, 1))

    return _result(turned)


@results("SHAPE-FINAL-STATES", "a stack that returns h_n and c_n of the last layer alone", "one variable for all",
         features={"multilayer"})  # fmt: skip
def final_states_of_the_last_layer_only() -> Parts:
    return _result(lambda layer, got: _with_states(got, lambda s: s[-layer.config.directions :]))


def _merged(merge: Callable[[Any, Any], Any]) -> Parts:
    def change(layer: Any, got: Any) -> Any:
        if not layer.config.bidirectional:
            return got
        return Result(merge(*np.split(got.output, 2, axis=-1)), *got[1:])

    return _result(change)


DIRECTIONS = {"features": {"bidirectional"}}


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the sum of the two directions",
         "merge_mode='sum' of Keras", **DIRECTIONS)  # fmt: skip
def directions_summed() -> Parts:
    return _merged(lambda a, b: a + b)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the mean of the two directions",
         "merge_mode='ave' of Keras", **DIRECTIONS)  # fmt: skip
def directions_averaged() -> Parts:
    return _merged(lambda a, b: (a + b) / 2)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is the product of the two directions",
         "merge_mode='mul' of Keras", **DIRECTIONS)  # fmt: skip
def directions_multiplied() -> Parts:
    return _merged(lambda a, b: a * b)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose output is that of the forward direction alone",
         "the reverse direction not joined", **DIRECTIONS)  # fmt: skip
def forward_direction_only() -> Parts:
    return _merged(lambda a, b: a)


@results("BIDIRECTIONAL-OUTPUT", "a bidirectional layer whose reverse half of the output is zero",
         "a buffer of both directions filled by one", **DIRECTIONS)  # fmt: skip
def reverse_half_zero() -> Parts:
    return _merged(lambda a, b: np.concatenate([a, 0 * b], axis=-1))


@results("SHAPE-OUTPUT", "a bidirectional layer whose output is (T, D, N, O), as ONNX's Y", "Y taken for output",
         **DIRECTIONS)  # fmt: skip
def output_of_onnx() -> Parts:
    def change(layer: Any, got: Any) -> Any:
        output = time_first(layer, got.output)
        if output.ndim != 3:
            return got
        return Result(np.stack(np.split(output, layer.config.directions, axis=-1), axis=1), *got[1:])

    return _result(change)
