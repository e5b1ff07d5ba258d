"""The attempts of ``check``: a few calls of every claimed feature, made in the adapter's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance import specifications
from conformance.backend import CellConfig, Features, LayerConfig
from conformance.isolation.messages import record
from conformance.isolation.task import Question
from conformance.specifications.torch_nn import TORCH_NN
from conformance.start.arrays import H, I, L, N, T
from conformance.start.hand import Stop, Tried
from conformance.start.refusals import Refusals
from conformance.start.uses import Uses
from reference.config import DTYPES, KINDS

PREFERRED = ("lstm", "gru", "rnn_tanh", "rnn_relu")
CUTTING = (
    "multilayer",
    "bidirectional",
    "no_bias",
    "batch_first",
    "unbatched",
    "projection",
    "initial_state",
    "lengths",
)
METHODS = ("cells", "parameters", "gradients", "dropout", "initialization")


class Hand(Uses, Refusals):
    """Everything that can be tried."""


@dataclass(frozen=True)
class Attempt(Question):
    """One thing to try, by the name of a method of ``Hand`` and its arguments; ``what`` says it in words."""

    what: str
    method: str
    arguments: tuple[Any, ...] = ()

    @property
    def form(self) -> tuple[type, str] | None:
        """The class of the configuration, of a layer or a cell, and the kind; None if the attempt builds nothing."""
        return (type(self.arguments[0]), self.arguments[0].kind) if self.arguments else None

    def answer(self, backend: Any, watch: Callable[[str], AbstractContextManager[object]]) -> Tried:
        """Make the calls in the adapter's process."""
        hand = Hand(specifications.adapted(backend, TORCH_NN), watch, self.what)
        with suppress(Stop):
            getattr(hand, self.method)(*self.arguments)
        return hand.tried

    def read(self, data: Any) -> Tried:
        """Make the findings from JSON data."""
        return record(Tried, data)


def attempts(features: Features) -> Iterator[Attempt]:
    """Yield the attempts for an adapter with these claims, the plainest first."""
    yield Attempt("its name and version", "tells_its_name")
    kinds = [kind for kind in PREFERRED if kind in features.kinds]
    layers = [kind for kind in kinds if claimed(features, kind, "layers")]
    if layers:
        yield from of_layers(features, layers)
    cells = [kind for kind in kinds if claimed(features, kind, "cells")]
    if cells:
        yield from of_cells(features, cells)
    yield from of_the_unclaimed(features, layers, cells, kinds[0])


def of_layers(features: Features, kinds: Sequence[str]) -> Iterator[Attempt]:
    """Yield attempts with layers of the kinds: the first in every claimed feature, the others in a plain call."""
    main = kinds[0]
    for kind in kinds:
        config = layer_config(features, kind)
        yield Attempt(f"a plain call of {kind}", "plain", (config,))
    config = layer_config(features, main)
    for dtype in DTYPES:
        if dtype in features.dtypes and dtype != config.dtype:
            yield Attempt(f"a plain call of {main} in {dtype}", "plain", (replace(config, dtype=dtype),))
    yield Attempt("twice the same layer", "twice", (config,))
    state = claimed(features, main, "initial_state")
    yield Attempt("arrays laid out otherwise in memory", "laid_out", (config, state))
    for feature in CUTTING:
        able = next((kind for kind in kinds if claimed(features, kind, feature) and possible(kind, feature)), None)
        if able is not None:
            of_kind = layer_config(features, able)
            yield Attempt(
                f"{feature} of {able}", "with_feature", (of_kind, feature, claimed(features, able, "initial_state"))
            )
    for feature, method in (("parameters", "read_back"), ("gradients", "gradients"), ("dropout", "trained")):
        able = next((kind for kind in kinds if claimed(features, kind, feature)), None)
        if able is not None:
            settings = (claimed(features, able, "initial_state"),) if feature == "gradients" else ()
            yield Attempt(f"{feature} of {able}", method, (layer_config(features, able, feature), *settings))
    both = next((kind for kind in kinds if all(claimed(features, kind, f"output.{o}") for o in ("all", "last"))), None)
    if both is not None:
        yield Attempt(f"the last output alone of {both}", "last", (layer_config(features, both),))
    if claimed(features, main, "initialization"):
        yield Attempt(f"initial parameters of {main}", "initialized", (config,))
    for words, arguments in invalid_calls(features, main):
        yield Attempt(words, "invalid", (config, words, arguments))


def of_cells(features: Features, kinds: Sequence[str]) -> Iterator[Attempt]:
    """Yield attempts with cells of the kinds."""
    for kind in kinds:
        config = cell_config(features, kind)
        states = [claimed(features, kind, "initial_state")]
        yield Attempt(f"one step of a cell, {kind}", "cell", (config, states[0], False))
        if kind == kinds[0]:
            yield Attempt("arrays of a cell laid out otherwise in memory", "cell_laid_out", (config,))
            if claimed(features, kind, "unbatched"):
                yield Attempt(f"one step of a cell without samples, {kind}", "cell", (config, states[0], True))
            words = f"x of {config.input_size + 1} features for input_size={config.input_size}"
            yield Attempt(f"{words}, of a cell", "invalid_cell", (config, words))
        if claimed(features, kind, "cell_gradients"):
            yield Attempt(f"gradients of a cell, {kind}", "cell_gradients", (config, states[0]))


def of_the_unclaimed(features: Features, layers: Sequence[str], cells: Sequence[str], main: str) -> Iterator[Attempt]:
    """Yield calls of features, kinds and dtypes that are not claimed; they must raise Unsupported."""
    if not layers:
        of_cell = cell_config(features, main)
        for kind in [kind for kind in KINDS if kind not in features.kinds][:1]:
            what = f"a cell of kind {kind}, which is not claimed"
            yield Attempt(what, "unclaimed_cell", (replace(of_cell, kind=kind), kind))
        return
    config = layer_config(features, layers[0])
    for kind in [kind for kind in KINDS if kind not in features.kinds][:1]:
        yield Attempt(f"the kind {kind}, which is not claimed", "unclaimed", (replace(config, kind=kind), kind, False))
    for dtype in [dtype for dtype in DTYPES if dtype not in features.dtypes][:1]:
        yield Attempt(f"{dtype}, which is not claimed", "unclaimed", (replace(config, dtype=dtype), dtype, False))
    for feature in CUTTING:
        for kind in layers:
            if possible(kind, feature) and not claimed(features, kind, feature):
                state = claimed(features, kind, "initial_state")
                of_kind = layer_config(features, kind)
                what = f"{feature} of {kind}, which is not claimed"
                yield Attempt(what, "unclaimed", (of_kind, feature, state))
                break
    for feature in METHODS:
        if not claimed(features, layers[0], feature):
            yield Attempt(f"{feature}, which are not claimed", "unclaimed_method", (config, feature))


def claimed(features: Features, kind: str, feature: str) -> bool:
    """Return whether a feature is claimed for a kind."""
    return features.of(kind).claims(feature)


def possible(kind: str, feature: str) -> bool:
    """Return whether the documentation has the feature for the kind."""
    return kind == "lstm" or feature != "projection"


def layer_config(features: Features, kind: str, feature: str = "") -> LayerConfig:
    """Return the configuration of a plain layer, in the first claimed dtype and a claimed size."""
    of_kind = features.of(kind)
    sizes = (of_kind.input_sizes, I), (of_kind.hidden_sizes, H)
    input_size, hidden_size = (usual if some is None else min(some) for some, usual in sizes)
    config = LayerConfig(kind, input_size, hidden_size, dtype=next(d for d in DTYPES if d in of_kind.dtypes))
    dropped = feature == "dropout" and of_kind.multilayer
    return replace(config, num_layers=L, dropout=0.5) if dropped else config


def cell_config(features: Features, kind: str) -> CellConfig:
    """Return the configuration of a plain cell."""
    config = layer_config(features, kind)
    return CellConfig(kind, config.input_size, config.hidden_size, dtype=config.dtype)


def invalid_calls(features: Features, kind: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield calls that the documentation does not allow: words, and which argument of ``Hand.invalid`` is wrong how."""
    size = layer_config(features, kind).input_size
    yield f"x of {size + 1} features for input_size={size}", ("x", "features")
    yield "x of another dtype than the layer's", ("x", "dtype")
    yield "a parameter of a wrong shape", ("parameters", "shape")
    if claimed(features, kind, "initial_state"):
        yield f"h_0 of {N + 1} samples for x of {N}", ("h_0", "samples")
        if kind == "lstm":
            yield "h_0 without c_0", ("c_0", "missing")
    if claimed(features, kind, "lengths"):
        yield f"a length of {T + 1} for {T} steps", ("lengths", "beyond")
        yield "lengths that are no integers", ("lengths", "float")
