"""Calls of ``check`` that an adapter must refuse: invalid arguments, and features that it does not claim."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig, Unsupported
from conformance.engine.subject import Broken, copied
from conformance.start.arrays import (
    N,
    T,
    arguments_of,
    cell_arguments,
    close,
    drawn,
    featured,
    parameters_of,
    wide,
)
from conformance.start.guesses import layer_results
from conformance.start.hand import Hand, described
from reference.config import numpy_dtype
from reference.dialects import speaking
from reference.gradients import evaluate_gradients
from reference.layers import evaluate, evaluate_cell, last_of


class Refusals(Hand):
    """Calls that must be refused."""

    def invalid(self, config: LayerConfig, words: str, wrong: tuple[str, str]) -> None:
        """Make a call that the documentation does not allow; any exception is right."""
        name, how = wrong
        given, parameters = arguments_of(config, states=name in ("h_0", "c_0")), parameters_of(config)
        other = numpy_dtype("float32" if config.dtype == "float64" else "float64")
        if (name, how) == ("x", "features"):
            given["x"] = np.concatenate([given["x"], given["x"][..., :1]], axis=-1)
        elif (name, how) == ("x", "dtype"):
            given["x"] = given["x"].astype(other)
        elif name == "parameters":
            parameters["weight_hh_l0"] = parameters["weight_hh_l0"][:-1].copy()
        elif name == "h_0":
            given |= {s: np.concatenate([given[s], given[s][:, :1]], 1) for s in ("h_0", "c_0") if given[s] is not None}
        elif name == "c_0":
            given["c_0"] = None
        else:
            given["lengths"] = [T + 1, *[T] * (N - 1)] if how == "beyond" else [T - 0.5, *[float(T)] * (N - 1)]
        remedy = (
            "reference.check_parameters(config, parameters)"
            if name == "parameters"
            else "reference.check_inputs(config, x, h_0, c_0, lengths)"
        )
        method = "layer" if name == "parameters" else self.method(config)

        def ask() -> Any:
            layer = self.backend.layer(config, parameters)
            return getattr(layer, self.method(config))(*copied(given).values())

        self.rejected(ask, method, words, remedy)

    def rejected(self, ask: Callable[[], Any], method: str, words: str, remedy: str) -> None:
        """Add a finding if an invalid call is accepted."""
        try:
            with self.counted(method, words):
                ask()
        except (Exception, SystemExit):
            return
        except Broken as error:
            self.stop(f"{method} {error}", f"{method}: {error}, in {words}: answer an error and go on.")
        self.tried.accepted = True
        cure = (
            "answer `error`"
            if self.program
            else f"raise an error, as {remedy} does, or leave it as the library's fault"
        )
        self.amiss(
            f"{method} accepts {words}", f"{method} accepts {words}, which the documentation does not allow: {cure}."
        )

    def invalid_cell(self, config: CellConfig, words: str) -> None:
        """Give a cell x of too many features."""
        x = drawn((N, config.input_size + 1), config.dtype)
        remedy = "reference.check_cell_inputs(config, x, h, c)"
        self.rejected(
            lambda: self.backend.cell(config, parameters_of(config)).step(x, None, None), "step", words, remedy
        )

    def unclaimed(self, config: LayerConfig, feature: str, states: bool) -> None:
        """Ask for a feature, kind or dtype that is not claimed."""
        config = featured(config, feature)
        lengths = [N, T, 1] if feature == "lengths" else None
        given = arguments_of(config, states or feature == "initial_state", feature == "unbatched", lengths)

        def ask() -> Any:
            layer = self.backend.layer(config, parameters_of(config))
            return getattr(layer, self.method(config))(*copied(given).values())

        def right(returned: Any) -> bool:
            want = evaluate(config, wide(parameters_of(config)), **wide(given))
            want = want if self.method(config) == "forward" else last_of(config, want)
            came = {name: getattr(returned, name, None) for name in want._fields}
            return close(came, want._asdict(), config.dtype)

        where = self.method(config) if feature in ("unbatched", "initial_state", "lengths") else "layer"
        self.refused(ask, where, feature, right)

    def unclaimed_cell(self, config: CellConfig, kind: str) -> None:
        """Ask for a cell of a kind that is not claimed."""
        given = cell_arguments(config, False, False)

        def ask() -> Any:
            return self.backend.cell(config, parameters_of(config)).step(*given.values())

        self.refused(ask, "cell", kind, lambda came: self.right_step(config, given, came))

    def right_step(self, config: CellConfig, given: Mapping[str, Any], came: Any) -> bool:
        """Return whether the states after a step are right."""
        want = evaluate_cell(config, wide(parameters_of(config)), **wide(given))
        return close(dict(enumerate(came)), dict(enumerate(want)), config.dtype)

    def unclaimed_method(self, config: LayerConfig, feature: str) -> None:
        """Call a method whose feature is not claimed."""
        given, parameters = arguments_of(config, False), parameters_of(config)
        small = CellConfig(config.kind, config.input_size, config.hidden_size, dtype=config.dtype)
        of_cell = cell_arguments(small, False, False)
        d = drawn(layer_results(config, given["x"].shape)["output"][0], config.dtype)  # type: ignore[index]  # is given
        ways: dict[str, tuple[str, Callable[[], Any], Callable[[Any], Any]]] = {
            "cells": (
                "cell",
                lambda: self.backend.cell(small, parameters_of(small)).step(*of_cell.values()),
                lambda came: self.right_step(small, of_cell, came),
            ),
            "parameters": (
                "parameters",
                lambda: self.backend.layer(config, parameters).parameters(),
                lambda came: close(came, parameters_of(config), config.dtype),
            ),
            "gradients": (
                "gradients",
                lambda: self.backend.layer(config, parameters).gradients(*given.values(), d, None, None),
                lambda came: close(
                    came, evaluate_gradients(config, wide(parameters), **wide(given | {"d_output": d})), config.dtype
                ),
            ),
            "dropout": (
                "forward_training",
                lambda: self.backend.layer(config, parameters).forward_training(*given.values(), seed=0),
                lambda came: close(
                    {"output": came.output},
                    {"output": evaluate(config, wide(parameters), **wide(given)).output},
                    config.dtype,
                ),
            ),
            "initialization": (
                "initial_parameters",
                lambda: self.backend.initial_parameters(config, seed=0),
                lambda came: list(came) == list(parameters),
            ),
        }
        method, ask, right = ways[feature]
        self.refused(ask, method, feature, right)

    def refused(self, ask: Callable[[], Any], method: str, feature: str, right: Callable[[Any], Any]) -> None:
        """Add a finding unless the call of an unclaimed feature raises Unsupported."""
        claim = self.claim(feature)
        what = f"{feature} is not claimed"
        answer = "answer `unsupported`" if self.program else "raise conformance.Unsupported"
        try:
            with self.counted(method):
                returned = ask()
        except Unsupported:
            return
        except AttributeError as error:
            base = {"cell": "Backend", "initial_parameters": "Backend"}.get(method, "Layer")
            said = f"{method} {described(error)} where {what}: {answer}, or subclass conformance.{base}, which does."
            self.stop(f"{method} unclaimed {feature}", said)
        except (Exception, SystemExit, Broken) as error:
            said = f"{method} {described(error)} where {what}: {answer}, as the call is valid."
            self.stop(f"{method} unclaimed {feature}", said)
        try:
            with speaking(self.backend.features.dialects):
                fine = right(returned)
        except Exception:
            fine = False
        if fine:
            self.tried.notes.append(f"{what}, but computed, and right: you could claim {claim}")
        else:
            said = f"{method} computes {self.what}, and what comes is wrong: {answer}, or compute it and claim {claim}."
            self.amiss(f"{method} unclaimed {feature}", said)
