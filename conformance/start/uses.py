"""Calls of ``check`` of claimed features: layers, their gradients, cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.backwards import CELL_COTANGENTS, COTANGENTS, cotangents, gives
from conformance.engine.subject import Broken, copied
from conformance.start.arrays import (
    LAYOUTS,
    N,
    T,
    arguments_of,
    cell_arguments,
    close,
    drawn,
    featured,
    parameters_of,
)
from conformance.start.guesses import cell_results, gradient_results, layer_results
from conformance.start.hand import Hand, Stop, described, kind_of
from reference.parameters import parameter_shapes

OTHER_NUMBERS = "gives other numbers"


class Uses(Hand):
    """Calls of claimed features."""

    def plain(self, config: LayerConfig) -> None:
        """Build a plain layer and call it."""
        remedy = f"compute it, or leave {config.kind!r} or {config.dtype!r} out of the claims"
        layer = self.built("layer", config, remedy)
        self.forward(layer, config, arguments_of(config, states=False), remedy)

    def twice(self, config: LayerConfig) -> None:
        """Call a layer twice: the first results stay, and the caller may write to the parameters that it gave."""
        parameters, method = parameters_of(config), self.method(config)
        with self.calling("layer", "compute it"):
            layer = self.backend.layer(config, parameters)
        given = arguments_of(config, states=False)
        first = self.forward(layer, config, given, "compute it")
        kept = {name: np.copy(a) for name, a in first.items() if a is not None}
        other = given | {"x": -given["x"]}
        second = self.forward(layer, config, other, "compute it")
        for name, before in kept.items():
            if first[name].tobytes() != before.tobytes() or np.shares_memory(first[name], second[name]):
                said = f"{method}: the next call overwrites {name} of an earlier one: return a copy, np.array({name})."
                self.amiss("forward overwrites", said)
        for a in parameters.values():
            a[...] = 0
        again = self.forward(layer, config, given, "compute it")
        if not close(again, kept, config.dtype):
            said = (
                f"layer keeps the caller's parameters, and {method} changes when the caller writes to them: copy them."
            )
            self.amiss("layer keeps parameters", said)

    def laid_out(self, config: LayerConfig, states: bool) -> None:
        """Build and call with arrays in other layouts of memory; name the first array that makes a difference."""
        given = arguments_of(config, states)
        right = self.forward(self.built("layer", config, "compute it"), config, given, "compute it")
        for words, (arrange, remedy) in LAYOUTS.items():
            every = self.departs(config, given, right, arrange)
            if every is None:
                continue
            for name in (*(n for n, a in given.items() if a is not None), *parameter_shapes(config)):
                why = self.departs(config, given, right, arrange, only=name)
                if why is not None:
                    method = "layer" if name in parameter_shapes(config) else self.method(config)
                    self.amiss(
                        f"{method} layout {words}", f"{method} {why} for an array {words}, here {name}: {remedy}."
                    )
                    break
            else:
                said = f"forward {every} where every array is one {words}"
                self.amiss(f"layout {words}", f"{said}: {remedy}." if every == OTHER_NUMBERS else f"{said}.")

    def departs(
        self, config: LayerConfig, given: Mapping[str, Any], right: Mapping[str, Any], arrange: Any, only: str = ""
    ) -> str | None:
        """Return how a call departs whose arrays, or the one named, are arranged; None if it does not."""
        parameters = {n: arrange(a) if only in ("", n) else a for n, a in parameters_of(config).items()}
        arguments = copied(given)
        for name, a in given.items():
            if isinstance(a, np.ndarray) and only in ("", name):
                arguments[name] = arrange(a)
        try:
            with self.counted(method := self.method(config)):
                returned = getattr(self.backend.layer(config, parameters), method)(*arguments.values())
        except (Exception, SystemExit, Broken) as error:
            return described(error)
        came = {name: getattr(returned, name, None) for name in right}
        return None if close(came, right, config.dtype) else OTHER_NUMBERS

    def last(self, config: LayerConfig) -> None:
        """Call for the last output alone."""
        remedy = 'compute it, or claim output="all" in Features'
        layer = self.built("layer", config, remedy)
        self.whole(layer, "forward_last", config, arguments_of(config, states=False), remedy)

    def with_feature(self, config: LayerConfig, feature: str, states: bool) -> None:
        """Use a claimed feature."""
        config = featured(config, feature)
        remedy = f"do it, or claim {self.claim(feature, claimed=False)}"
        layer = self.built("layer", config, remedy)
        lengths = [N, T, 1][:N] if feature == "lengths" else None
        given = arguments_of(config, states, feature == "unbatched", lengths)
        result = self.forward(layer, config, given, remedy)
        if feature == "initial_state" and config.kind == "lstm":
            bare = self.forward(layer, config, given | {"h_0": None, "c_0": None}, remedy)
            if close(bare, result, config.dtype):
                said = "forward ignores h_0 and c_0: the result is the same without them."
                self.amiss("forward ignores states", said)
        if feature == "lengths":
            self.lengths(layer, config, given, result, remedy)

    def lengths(self, layer: Any, config: LayerConfig, given: Mapping[str, Any], result: Any, remedy: str) -> None:
        """Give the lengths as an array; look at the padding."""
        output = result["output"]
        past = [np.any(output[given["lengths"][n] :, n] != 0) for n in range(N) if output.ndim == 3]
        if any(past):
            n = next(n for n in range(N) if past[n])
            said = (
                f"forward: output of sample {n} is not zero past its length of {given['lengths'][n]}: put zeros there."
            )
            self.amiss("forward padding", said)
        if self.program:
            return  # the protocol has lists alone
        self.what = "lengths as a NumPy array"
        array = np.array(given["lengths"])
        came = self.forward(layer, config, dict(given) | {"lengths": array}, "take np.asarray(lengths, np.int64)")
        if not close(came, result, config.dtype):
            said = "forward gives other numbers for lengths as an array than as a list: take np.asarray(lengths)."
            self.amiss("forward lengths array", said)

    def read_back(self, config: LayerConfig) -> None:
        """Read the parameters back."""
        remedy = "read them back, or claim parameters=False in Features"
        layer = self.built("layer", config, remedy)
        with self.calling("parameters", remedy):
            returned = layer.parameters()
        self.named("parameters", returned, parameters_of(config), config.dtype)
        wrong = [n for n, a in parameters_of(config).items() if not np.array_equal(returned[n], a)]
        if wrong:
            said = (
                f"parameters: {wrong[0]} is read back with other numbers than were loaded: undo what layer does to it."
            )
            self.amiss("parameters values", said)

    def initialized(self, config: LayerConfig) -> None:
        """Draw initial parameters twice from one seed."""
        remedy = "draw them, or claim initialization=False in Features"
        found = []
        for _ in range(2):
            with self.calling("initial_parameters", remedy):
                returned = self.backend.initial_parameters(config, seed=0)
            self.named("initial_parameters", returned, parameters_of(config), config.dtype)
            found.append({name: np.copy(a) for name, a in returned.items()})
        if not close(found[0], found[1], config.dtype):
            self.amiss(
                "initial seed",
                "initial_parameters draws other numbers from the same seed: use `seed`, and nothing else.",
            )

    def named(self, method: str, returned: Any, expected: Mapping[str, np.ndarray], dtype: str) -> None:
        """Check a mapping of arrays by the parameters' names."""
        if not isinstance(returned, Mapping):
            self.stop(f"{method} mapping", f"{method} returns {kind_of(returned)}: return a dict of arrays by name.")
        self.named_all(method, returned, expected)
        if list(returned) != list(expected):
            self.amiss(
                f"{method} order", f"{method}: the order is {', '.join(returned)}, expected {', '.join(expected)}."
            )
        shapes = {name: a.shape for name, a in expected.items()}
        self.results(method, returned, gradient_results({}, shapes), dtype, {})

    def named_all(self, method: str, returned: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        """End the attempt if names are missing or superfluous."""
        missing, surplus = [n for n in expected if n not in returned], [n for n in returned if n not in expected]
        if missing:
            self.amiss(
                f"{method} missing", f"{method} lacks {', '.join(missing)}: the names are {', '.join(expected)}."
            )
        if surplus:
            names = ", ".join(map(str, surplus))
            self.amiss(f"{method} surplus", f"{method} has {names} too: the names are {', '.join(expected)}.")
        if missing or surplus:
            raise Stop

    def trained(self, config: LayerConfig) -> None:
        """Call in training mode twice with one seed."""
        remedy = "compute it, or claim dropout=False in Features"
        layer = self.built("layer", config, remedy)
        given = arguments_of(config, states=False)
        first, second = (self.whole(layer, "forward_training", config, given, remedy, seed=3) for _ in range(2))
        if not close(first, second, config.dtype):
            self.amiss(
                "training seed", "forward_training gives other numbers for the same seed: draw the masks from `seed`."
            )

    def gradients(self, config: LayerConfig, states: bool) -> None:
        """Ask for gradients with all cotangents, and with each of them None."""
        remedy = "compute them, or claim gradients=False in Features"
        layer = self.built("layer", config, remedy)
        given = arguments_of(config, states)
        shapes = {name: wanted[0] for name, wanted in layer_results(config, given["x"].shape).items() if wanted}
        d: dict[str, Any] = {f"d_{name}": drawn(shape, config.dtype, 31) for name, shape in shapes.items()}
        d = {name: d[name] if name in d and name in self.cotangents(config) else None for name in COTANGENTS}
        self.gradient(layer, config, dict(given) | d, remedy)
        for name in (n for n, a in d.items() if a is not None):
            self.what = f"{name}=None"
            asked = dict(given) | d | {name: None}
            came = self.gradient(layer, config, asked, "None stands for zeros")
            zeros = dict(given) | d | {name: np.zeros_like(d[name])}
            if not close(came, self.gradient(layer, config, zeros, remedy), config.dtype):
                self.amiss(
                    "gradients None", f"gradients: {name}=None gives other gradients than zeros: None stands for zeros."
                )
        if states:
            self.what = "gradients without states"
            self.gradient(layer, config, dict(given) | {"h_0": None, "c_0": None} | d, remedy)

    def gradient(self, layer: Any, config: LayerConfig, given: Mapping[str, Any], remedy: str) -> dict[str, Any]:
        """Call ``gradients``, check its result and return it by name."""
        arguments = copied(given)
        with self.calling("gradients", remedy):
            returned = layer.gradients(*arguments.values())
        return self.of_gradients(returned, arguments, given, config, ("x", "h_0", "c_0"))

    def of_gradients(
        self, returned: Any, arguments: Mapping[str, Any], given: Mapping[str, Any], config: Any, names: Sequence[str]
    ) -> dict[str, Any]:
        self.unchanged("gradients", {n: a for n, a in arguments.items() if n != "lengths"}, given)
        if not isinstance(returned, Mapping):
            self.stop("gradients mapping", f"gradients returns {kind_of(returned)}: return a dict of arrays by name.")
        claim = "gradients" if isinstance(config, LayerConfig) else "cell_gradients"
        claimed = partial(gives, self.backend.features.of(config.kind), claim)
        expected = {name: given[name].shape for name in names if given[name] is not None}
        documented = {
            name: r for name, r in gradient_results(expected, parameter_shapes(config)).items() if claimed(name)
        }
        returned = {name: a for name, a in returned.items() if claimed(str(name))}
        self.named_all("gradients", returned, documented)
        self.results("gradients", returned, documented, config.dtype, arguments)
        return dict(returned)

    def cotangents(self, config: LayerConfig | CellConfig) -> Sequence[str]:
        """Return the claimed cotangents of a layer's or a cell's results."""
        of = COTANGENTS if isinstance(config, LayerConfig) else CELL_COTANGENTS
        return cotangents(self.backend.features.of(config.kind), config.kind, of)

    # --- cells ------------------------------------------------------------------------------------------

    def cell(self, config: CellConfig, states: bool, unbatched: bool) -> None:
        """Make one step, without states and with them."""
        remedy = "compute it, or claim less in Features"
        cell = self.built("cell", config, remedy)
        for given in (True, False) if states else (False,):
            arguments = cell_arguments(config, given, unbatched)
            self.step(cell, config, arguments, remedy)

    def step(self, cell: Any, config: CellConfig, given: Mapping[str, Any], remedy: str) -> dict[str, Any]:
        """Call ``step``, check its result and return it by name."""
        arguments = copied(given)
        with self.calling("step", remedy):
            returned = cell.step(*arguments.values())
        self.unchanged("step", arguments, given)
        if not (isinstance(returned, tuple) and len(returned) == 2):
            self.stop("step returns", f"step returns {kind_of(returned)}: return a tuple (h, c), c None unless lstm.")
        found = dict(zip(("h", "c"), returned, strict=True))
        self.results("step", found, cell_results(config, given["x"].shape), config.dtype, arguments)
        return found

    def cell_laid_out(self, config: CellConfig) -> None:
        """Build and call a cell with arrays in other layouts of memory."""
        given = cell_arguments(config, False, False)
        right = self.step(self.built("cell", config, "compute it"), config, given, "compute it")
        for words, (arrange, remedy) in LAYOUTS.items():
            cell = self.built("cell", config, remedy, arrange)
            with self.calling("step", remedy, f"x {words}"):
                returned = cell.step(arrange(given["x"]), None, None)
            if not close(dict(zip(right, returned, strict=True)), right, config.dtype):
                self.amiss(f"step layout {words}", f"step gives other numbers for arrays {words}: {remedy}.")

    def cell_gradients(self, config: CellConfig, states: bool) -> None:
        """Ask for gradients of a cell with all cotangents, and with each of them None."""
        remedy = "compute them, or claim cell_gradients=False in Features"
        cell = self.built("cell", config, remedy)
        given = cell_arguments(config, states, False)
        shapes = {name: wanted[0] for name, wanted in cell_results(config, given["x"].shape).items() if wanted}
        d: dict[str, Any] = {f"d_{n}": drawn(s, config.dtype, 31) for n, s in shapes.items()}
        d = {name: d[name] if name in d and name in self.cotangents(config) else None for name in CELL_COTANGENTS}
        for none in ("", *(name for name, a in d.items() if a is not None)):
            asked = given | d | ({none: None} if none else {})
            self.what = f"{none}=None" if none else self.what
            arguments = copied(asked)
            with self.calling("gradients", "None stands for zeros" if none else remedy):
                returned = cell.gradients(*arguments.values())
            self.of_gradients(returned, arguments, asked, config, ("x", "h", "c"))
