"""The caller of an adapter's methods, which writes its findings in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_tb
from typing import Any, NoReturn

import numpy as np

from conformance.backend import LayerConfig, Unsupported
from conformance.backends.exec_protocol import AdapterError, ExecBackend
from conformance.engine.compare import Failed, require_plain
from conformance.engine.guard import PACKAGE, is_outside
from conformance.engine.subject import Broken, changed, copied
from conformance.engine.text import one_line, text_of
from conformance.start.arrays import (
    parameters_of,
)
from conformance.start.guesses import Documented, guessed, last_results, layer_results
from reference.config import DTYPES, KINDS, numpy_dtype


class Stop(Exception):
    """The end of an attempt, after a finding that makes further calls useless."""


@dataclass(frozen=True)
class Amiss:
    """A finding about an adapter; attempts that find one problem have one ``key``."""

    key: str
    sentence: str
    fatal: bool = False
    """Whether nothing came back, so that further calls of the kind would say the same."""


@dataclass
class Tried:
    """The findings of an attempt, the number of its calls, and remarks."""

    calls: int = 0
    amiss: list[Amiss] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    accepted: bool = False
    """Whether the adapter took an argument that it must refuse, after which its process may be damaged."""


class Hand:
    """The caller of an adapter's methods, which collects the findings."""

    def __init__(self, backend: Any, watch: Callable[[str], AbstractContextManager[object]], what: str) -> None:
        self.backend, self.watch, self.what, self.tried = backend, watch, what, Tried()

    def claim(self, feature: str, claimed: bool = True) -> str:
        """Return a claim as an adapter writes it; the claims of an ONNX runtime have names of their own."""
        if hasattr(self.backend, "claim_of"):
            return f"{self.backend.claim_of(feature, claimed)} in OnnxFeatures"
        if feature in KINDS or feature in DTYPES:
            return feature
        return f"{feature}={claimed}" + ("" if claimed else " in Features")

    def amiss(self, key: str, sentence: str) -> None:
        """Add a finding."""
        self.tried.amiss.append(Amiss(key, sentence))

    def stop(self, key: str, sentence: str, fatal: bool = False) -> NoReturn:
        """Add a finding and end the attempt."""
        self.tried.amiss.append(Amiss(key, sentence, fatal))
        raise Stop

    @contextmanager
    def calling(self, method: str, remedy: str, what: str = "") -> Iterator[None]:
        """Surround a call of a claimed feature: a refusal or an exception is a finding and ends the attempt."""
        what = what or self.what
        try:
            with self.counted(method, what):
                yield
        except Unsupported as refusal:
            said = f"{method} raises Unsupported ({one_line(refusal)}) for {what}, though that is claimed: {remedy}."
            self.stop(f"{method} refuses {remedy}", said, fatal=True)
        except Stop:
            raise
        except (Exception, SystemExit, Broken) as error:
            said = f"{method} {described(error)}, in {what}{hint(error)}."
            self.stop(f"{method} {described(error)}", said, fatal=True)

    @contextmanager
    def counted(self, method: str, what: str = "") -> Iterator[None]:
        """Count and watch a call."""
        self.tried.calls += 1
        with self.watch(f"{method}, {what or self.what}"):
            yield

    # --- building ---------------------------------------------------------------------------------------

    def tells_its_name(self) -> None:
        """Look at the name and the version."""
        backend = self.backend
        asked = getattr(backend, "asked_as", "")
        if ":" in asked and not self.program and backend.name == asked:
            self.amiss("name", "the backend's name is empty: set `name`, by which reports and known failures call it.")
        version = text_of(backend.version).strip()
        if version in ("", "unknown", "None"):
            self.amiss(
                "version", "the backend's version is not given: set `version` to that of the library under test."
            )

    def built(self, method: str, config: Any, remedy: str, arrange: Any = np.copy) -> Any:
        """Build a layer or cell; check that its parameters are unchanged."""
        parameters = {name: arrange(a) for name, a in parameters_of(config).items()}
        with self.calling(method, remedy):
            made = getattr(self.backend, method)(config, parameters)
        if made is None:
            self.stop(f"{method} returns None", f"{method} returns None: return the object that it builds.")
        self.unchanged(method, parameters, parameters_of(config))
        return made

    def unchanged(self, method: str, arguments: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        """Find the arguments that a call changed."""
        for name in changed(arguments, before):
            self.amiss(
                f"{method} changes {name}", f"{method} writes to the caller's {name}: copy it first, np.array({name})."
            )

    # --- results ----------------------------------------------------------------------------------------

    def results(self, method: str, returned: Mapping[str, Any], documented: Documented, dtype: str, given: Any) -> None:
        """Check the arrays of a result: type, dtype, shape, memory. End the attempt if any is amiss."""
        for name, wanted in documented.items():
            value = returned.get(name)
            if wanted is None:
                if value is not None:
                    self.amiss(
                        f"{method} {name} surplus",
                        f"{method}: {name} is {kind_of(value)}, expected None: only an lstm has it.",
                    )
            elif value is None:
                why = "an lstm has two states" if name in ("c_n", "c") else "it is documented"
                self.amiss(
                    f"{method} {name} missing",
                    f"{method}: {name} is None, expected an array of shape {wanted[0]}, {wanted[1]}: {why}.",
                )
            elif self.plain_array(method, name, value, dtype):
                shape, letters, candidates = wanted
                if value.shape != shape:
                    guess = guessed(value.shape, candidates)
                    said = f"{method}: {name} has shape {value.shape}, expected {shape}, {letters}{guess}."
                    self.amiss(f"{method} {name} shape{guess or value.shape}", said)
                for argument, a in given.items():
                    if isinstance(a, np.ndarray) and np.shares_memory(a, value):
                        said = f"{method}: {name} shares memory with the argument {argument}: return np.array({name})."
                        self.amiss(f"{method} {name} shared", said)
        if self.tried.amiss:
            raise Stop

    def plain_array(self, method: str, name: str, value: Any, dtype: str) -> bool:
        """Return whether a result is a plain array of the right dtype; if not, add a finding."""
        if not isinstance(value, np.ndarray) or type(value) is not np.ndarray:
            try:
                require_plain(name, value)
            except Failed as failure:
                self.amiss(f"{method} {name} type", f"{method}: {failure}{as_array(name, value)}.")
            return False
        if value.dtype != numpy_dtype(dtype):
            said = f"{method}: {name} has dtype {value.dtype}, expected {dtype}: return {name}.astype({dtype!r})."
            self.amiss(f"{method} {name} dtype", said)
            return False
        if not value.dtype.isnative:
            said = f"{method}: {name} is in the other byte order: return {name}.astype({name}.dtype.newbyteorder('='))."
            self.amiss(f"{method} {name} order", said)
            return False
        return True

    def method(self, config: LayerConfig) -> str:
        """Return the name of the method that computes a layer: ``forward_last`` where the claims have no other."""
        return "forward" if self.backend.features.of(config.kind).claims("output.all") else "forward_last"

    def forward(
        self, layer: Any, config: LayerConfig, given: Mapping[str, Any], remedy: str, arrange: Any = None
    ) -> dict[str, Any]:
        """Call ``forward``, or ``forward_last``, check its result and return it by name."""
        return self.whole(layer, self.method(config), config, given, remedy, arrange)

    def whole(
        self,
        layer: Any,
        method: str,
        config: LayerConfig,
        given: Mapping[str, Any],
        remedy: str,
        arrange: Any = None,
        **more: Any,
    ) -> dict[str, Any]:
        arguments = copied(given)
        if arrange is not None:
            arguments = {name: arrange(name, a) if isinstance(a, np.ndarray) else a for name, a in arguments.items()}
        with self.calling(method, remedy):
            returned = getattr(layer, method)(*arguments.values(), **more)
        self.unchanged(method, {n: a for n, a in arguments.items() if n != "lengths"}, given)
        return self.received(method, returned, config, arguments)

    def received(self, method: str, returned: Any, config: LayerConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the results of a layer by name, after a check of them."""
        if not (hasattr(returned, "output") and hasattr(returned, "h_n")):
            whole = f"{method} returns {kind_of(returned)}: return conformance.Result(output, h_n, c_n)"
            self.stop(f"{method} returns", f"{whole}, c_n None unless lstm.")
        found = {name: getattr(returned, name, None) for name in ("output", "h_n", "c_n")}
        documented = layer_results(config, np.shape(arguments["x"]))
        if method == "forward_last":
            documented = last_results(config, documented)
        self.results(method, found, documented, config.dtype, arguments)
        return found

    @property
    def program(self) -> bool:
        """Whether the adapter is a program behind ``exec:``."""
        return isinstance(self.backend, ExecBackend)


# --- words ---


def described(error: BaseException) -> str:
    """Return what raised and where, as the end of a sentence that begins with the method."""
    if isinstance(error, AdapterError):
        return f"answers an error ({one_line(error).rstrip('.')})"
    if isinstance(error, Broken):
        return f"gives no usable answer ({one_line(error).rstrip('.')})"
    where = ""
    for frame, line in walk_tb(error.__traceback__):
        if is_outside(frame.f_code.co_filename, PACKAGE):
            where = f" in {Path(frame.f_code.co_filename).name}, line {line}"
    return f"raises {type(error).__name__}: {one_line(error).rstrip('.')}{where}"


def hint(error: BaseException) -> str:
    """Return what to do about an exception, to end a sentence."""
    if isinstance(error, NotImplementedError):
        return ": write that method, or raise conformance.Unsupported for what is not done"
    if isinstance(error, TypeError) and "positional argument" in str(error):
        return ": the arguments are as the class conformance.Layer, Cell or Backend has them"
    return ": the call is valid and claimed"


def kind_of(value: object) -> str:
    """Return a value's type in words."""
    if value is None:
        return "None (is a return missing?)"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    module = type(value).__module__.partition(".")[0]
    name = type(value).__name__
    return (
        "an array" if isinstance(value, np.ndarray) else f"a {name}" if module == "builtins" else f"a {module}.{name}"
    )


def as_array(name: str, value: object) -> str:
    """Return how to make a NumPy array of a value, to end a sentence."""
    module = type(value).__module__.partition(".")[0]
    if module == "torch":
        return f": return {name}.detach().cpu().numpy()"
    if isinstance(value, (list, tuple, int, float)):
        return f": return np.array({name}, x.dtype)"
    return "" if isinstance(value, np.ndarray) else f": return np.asarray({name})"
