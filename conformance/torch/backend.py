"""The backend of torch modules: its claims and refusals, and the building and first call of a module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch

from conformance.backend import Backend, CellConfig, Features, LayerConfig, Unsupported
from conformance.backwards import has_part, refused_cotangent
from conformance.torch.cells import TorchCell
from conformance.torch.environment import Environment
from conformance.torch.layers import TorchLayer
from conformance.torch.names import Bound, Config, Names
from conformance.torch.proof import Proof
from conformance.torch.returned import ALL, OUTPUT, OUTPUT_H, STATE, STATES, form_of
from conformance.torch.signature import Forward
from conformance.torch.tensors import DTYPES as DTYPES_OF_TORCH
from reference.config import DTYPES, KINDS

Call = Callable[..., Any]
CLAIMS = tuple(field.name for field in fields(Features) if field.init and field.name not in ("kinds", "dtypes"))
OF_LAYERS = ("multilayer", "bidirectional", "batch_first", "projection", "lengths", "parameters", "gradients")
MISSING = {ALL: (), OUTPUT: ("h_n", "c_n"), STATE: ("output", "c_n"), STATES: ("output",), OUTPUT_H: ("c_n",)}
"""The parts that a module of a form does not give. h_n of one layer is read from the output."""


@dataclass(frozen=True)
class Manner:
    """The way of calling the module of a backend, and the form of its results."""

    forward: Forward
    returns: str = ALL
    batches_first: bool | None = None
    """Whether it takes (N, T, I) alone; None if the argument ``batch_first`` says it."""


class TorchBackend(Backend):
    """Modules of torch as a backend. ``conformance.torch`` has the functions that make one.

    ``refuse`` raises Unsupported for unclaimed features, here and in the layers and cells.
    """

    layer_class: type[TorchLayer] = TorchLayer
    cell_class: type[TorchCell] = TorchCell
    late_imports = ("torch.fx.experimental.symbolic_shapes",)  # of autograd with cotangents: half a second

    def __init__(
        self,
        layers: Any = None,
        cells: Any = None,
        *,
        kinds: Iterable[str] | str = KINDS,
        dtypes: Iterable[str] | str = "float32",
        name: str = "",
        version: str = "",
        names: Names | None = None,
        call: Call | None = None,
        environment: Environment | None = None,
        proof: Proof | None = None,
        checks: bool | None = None,
        forks: bool | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        self.layers, self.cells = layers, cells
        self.names, self.call = names or Names(), call
        self.environment, self.proof, self.checks = environment or Environment(), proof, checks
        self.given = dict(claims or {})
        self.asked_for = Features(kinds=kinds, dtypes=dtypes, **self.given)
        self.forks = self.environment.kind == "cpu" if forks is None else forks
        self.name, self._version = name, version or f"torch {torch.__version__}"
        self.__module__ = _caller()  # where the object may stand under a name, for conformance.run
        self.manner = Manner(Forward())

    # --- claims ---------------------------------------------------------------------------------------

    @property
    def version(self) -> str:  # type: ignore[override]  # known once the module was tried
        """The version of the library, and the form of its results if parts are missing."""
        lacking = MISSING[self.manner.returns] if "features" in vars(self) else ()
        return self._version + (f", {self.manner.returns}" if lacking else "")

    @cached_property
    def features(self) -> Features:  # type: ignore[override]  # known once the module was tried
        """The claims: read from signatures and a first call, and corrected by the arguments.

        Raises Unsupported without the device, and ValueError if the module cannot be built or its parameters have
        other names.
        """
        self.environment.require_device()
        found: dict[str, Any] = {}
        if self.layers is not None:
            found |= self._claims_of_layers()
        else:
            found["layers"] = False
        if self.cells is not None:
            found |= self._claims_of_cells(alone=self.layers is None)
        return replace(self.asked_for, **(found | self.given))

    def _claims_of_layers(self) -> dict[str, Any]:
        """Return the claims that the signatures of the factory and of ``forward``, and a first call, show."""
        takes = self.layers.takes
        config = self._config(LayerConfig)
        module, bound = self.tried(config)
        forward = Forward() if self.call else Forward.of(module.forward)
        self.manner = Manner(forward)
        tried = Tried(self, config, module, bound)
        first = None if takes("batch_first") else tried.batches_first(self.given.get("batch_first"))
        self.manner = Manner(forward, tried.form(), first)
        tried = Tried(self, config, module, bound)
        several = takes("num_layers")
        dropout = several and takes("dropout") and self.manner.returns == ALL
        return {
            "multilayer": several,
            "bidirectional": takes("bidirectional"),
            "no_bias": takes("bias"),
            "batch_first": takes("batch_first") or bool(first),
            "projection": takes("proj_size") and "lstm" in self.asked_for.kinds,
            "initial_state": forward.states,
            "unbatched": "unbatched" in self.given or tried.takes_unbatched(),
            "lengths": "lengths" in self.given or tried.takes_lengths(),
            "dropout": dropout,
            "training_gradients": dropout and self.given.get("gradients", True),
            "parameters": not bound.shared,
            "gradients": True,
            "parameters_set": True,
            "torch_behaviors": not isinstance(module, torch.jit.ScriptModule) and not self._claims_a_part,
            "float32_arithmetic": self._arithmetic(module),
        }

    @property
    def _claims_a_part(self) -> bool:
        """Whether the gradients of some tensors or some cotangents alone are claimed."""
        return "cotangents" in self.given or not isinstance(self.given.get("gradients", True), bool)

    def _claims_of_cells(self, alone: bool) -> dict[str, Any]:
        config = self._config(CellConfig)
        module, bound = self.tried(config)
        found: dict[str, Any] = {"cells": True, "cell_gradients": True}
        if alone:
            forward = Forward() if self.call else Forward.of(module.forward)
            self.manner = Manner(forward)
            tried = Tried(self, config, module, bound)
            self.manner = Manner(forward, tried.form())
            found |= {
                "no_bias": self.cells.takes("bias"),
                "initial_state": forward.states,
                "unbatched": "unbatched" in self.given or tried.takes_unbatched(),
                **dict.fromkeys(OF_LAYERS, False),
            }
        return found

    @property
    def _kind(self) -> str:
        return next(kind for kind in ("lstm", "gru", *KINDS) if kind in self.asked_for.kinds)

    def _config(self, of: Any) -> Any:
        """Return the configuration of a first call: of sizes that are claimed, and differ from steps and samples."""
        features = self.asked_for.of(self._kind)
        inputs, units = features.input_sizes, features.hidden_sizes
        dtype = next(dtype for dtype in DTYPES if dtype in features.dtypes)
        size = 5 if inputs is None or 5 in inputs else max(inputs)
        return of(self._kind, size, 4 if units is None or 4 in units else max(units), dtype=dtype)

    def _arithmetic(self, module: Any) -> str:
        """Return tf32 where cuDNN's layers compute float32 in it, torch's default on CUDA."""
        if self.environment.kind != "cuda" or not any(isinstance(m, torch.nn.RNNBase) for m in module.modules()):
            return "float32"
        with self.environment.entered():
            cudnn = torch.backends.cudnn
            return "tf32" if cudnn.enabled and cudnn.allow_tf32 else "float32"

    @property
    def missing(self) -> tuple[str, ...]:
        """The results that the modules do not give, so that nothing is compared."""
        lacking = MISSING[self.manner.returns]
        if self.manner.returns == OUTPUT and not self.features.multilayer:
            return tuple(name for name in lacking if name != "h_n")
        return lacking

    # --- building -------------------------------------------------------------------------------------

    def layer(self, config: LayerConfig, parameters: dict[str, Any]) -> TorchLayer:
        """Build a layer. Raises Unsupported for unclaimed features, and the module's errors."""
        if self.layers is None:
            raise Unsupported(f"{self.name} has cells alone")
        self.refuse_unclaimed(config)
        return self.layer_class(self, config, parameters)

    def cell(self, config: CellConfig, parameters: dict[str, Any]) -> TorchCell:
        """Build a cell. Raises Unsupported for unclaimed features, and the module's errors."""
        if self.cells is None or not self.features.of(config.kind).cells:
            raise Unsupported(f"{self.name} has no cells")
        self.refuse_unclaimed(config)
        return self.cell_class(self, config, parameters)

    def initial_parameters(self, config: LayerConfig, *, seed: int) -> dict[str, Any]:
        """Return the parameters of a new layer. Raises Unsupported if they are not claimed."""
        if self.layers is None:
            raise Unsupported(f"{self.name} has cells alone")
        self.refuse("initialization", config.kind)
        self.refuse_unclaimed(config)
        with self.environment.seeded(seed):
            return self.layer_class.initial(self, config)

    def module(self, config: Config, *, training: bool = False) -> tuple[Any, Bound]:
        """Build the module of a configuration, in inference mode or as it was made, in training mode.

        Returns the module and its parameters by torch.nn's names.
        """
        factory = self.cells if isinstance(config, CellConfig) else self.layers
        with self.environment.entered():
            module = factory.build(config, self.environment.device, training=training)
            return module, self.names.bind(module, config)

    # --- refusing -------------------------------------------------------------------------------------

    def refuse(self, feature: str, kind: str, asked: bool = True) -> None:
        """Raise Unsupported for an unclaimed feature if the call uses it."""
        if asked and not self.features.of(kind).claims(feature):
            raise Unsupported(f"{feature} is not claimed")

    def refuse_cotangents(self, kind: str, given: Mapping[str, Any]) -> None:
        """Raise Unsupported for a given cotangent that is not claimed."""
        if said := refused_cotangent(self.features.of(kind), kind, given):
            raise Unsupported(said)

    def differentiates(self, claim: str, kind: str, name: str) -> bool:
        """Return whether the gradient of that name is claimed, by a claim of ``conformance.backwards.GRADIENTS``."""
        return has_part(self.features.of(kind), claim, name)

    def refuse_unclaimed(self, config: Config) -> None:
        """Raise Unsupported for a configuration that is not claimed, ValueError for one that nobody else refuses.

        The module checks the arguments that the factory takes.
        """
        features, kind = self.features.of(config.kind), config.kind
        if config.kind not in KINDS or config.dtype not in DTYPES:
            config.validate()
        if config.kind not in features.kinds:
            raise Unsupported(f"the kind {config.kind} is not claimed")
        if config.dtype not in features.dtypes:
            raise Unsupported(f"the dtype {config.dtype} is not claimed")
        if not features.takes(config.input_size, config.hidden_size) and min(config.input_size, config.hidden_size) > 0:
            raise Unsupported(f"input_size={config.input_size} with hidden_size={config.hidden_size} is not claimed")
        self.refuse("no_bias", kind, not config.bias)
        if isinstance(config, LayerConfig):
            self.refuse("multilayer", kind, config.num_layers != 1)
            self.refuse("bidirectional", kind, bool(config.bidirectional))
            self.refuse("batch_first", kind, bool(config.batch_first))
            self.refuse("projection", kind, config.proj_size != 0 and config.kind == "lstm")
        factory = self.cells if isinstance(config, CellConfig) else self.layers
        if self.checks or not all(factory.takes(name) for name in ("dropout", "proj_size", "num_layers")):
            config.validate()

    # --- a first call ---------------------------------------------------------------------------------

    def build_once(self) -> None:
        """Build a module, to see whether it can be built. Raises ValueError, one sentence."""
        if self.layers is not None:
            self.tried(self._config(LayerConfig))
        if self.cells is not None:
            self.tried(self._config(CellConfig))

    def tried(self, config: Config) -> tuple[Any, Bound]:
        """Build a module with small random parameters. Raises ValueError, one sentence, if that fails."""
        factory = self.cells if isinstance(config, CellConfig) else self.layers
        said = f"{factory.name}(input_size={config.input_size}, hidden_size={config.hidden_size})"
        try:
            module, bound = self.module(config)
        except Exception as first:
            if not isinstance(first, TypeError) or not factory.parameters.any or factory.without_dtype:
                raise _unbuilt(said, first) from None
            factory.without_dtype = True  # a factory of any keywords, whose module need not take these two
            try:
                module, bound = self.module(config)
            except Exception as second:
                raise _unbuilt(said, second) from None
        generator = torch.Generator().manual_seed(0)
        values = {name: torch.randn(shape, generator=generator) / 2 for name, shape in bound.shapes.items()}
        bound.put({name: value.to(self.environment.device) for name, value in values.items()})
        return module, bound


class Tried:
    """First calls of a module, which show the claims that no signature has."""

    STEPS, SAMPLES = 3, 2

    def __init__(self, backend: TorchBackend, config: Config, module: Any, bound: Bound) -> None:
        self.backend, self.config = backend, config
        kind: Any = backend.cell_class if isinstance(config, CellConfig) else backend.layer_class
        self.made = kind.around(backend, config, module, bound)
        generator = torch.Generator().manual_seed(1)
        shape = (self.SAMPLES,) if isinstance(config, CellConfig) else (self.STEPS, self.SAMPLES)
        x = torch.randn((*shape, config.input_size), generator=generator)
        self.x = x.to(DTYPES_OF_TORCH[config.dtype]).to(backend.environment.device)

    def returned(self, x: Any, lengths: Any = None) -> Any:
        """Return what the module returns, None if it raises."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # threads of OpenMP do not survive the fork of a worker
        try:
            with torch.no_grad(), self.backend.environment.entered():
                return self.made.raw(x, lengths)
        except Exception:
            return None
        finally:
            torch.set_num_threads(threads)

    def form(self) -> str:
        """Return the form of the module's results."""
        if isinstance(self.config, CellConfig):
            return OUTPUT_H if torch.is_tensor(self.returned(self.x)) and self.config.kind == "lstm" else ALL
        return form_of(self.returned(self.x), self.config.kind, self.STEPS, self.SAMPLES)

    def batches_first(self, given: bool | None) -> bool:
        """Return whether a module without the argument ``batch_first`` takes (N, T, I).

        Without that knowledge two calls decide: the second axis counts steps if a change of x[:, 0] changes the
        output at [:, 1], and a change of x[0] does not change it at [1].
        """
        if given is not None:
            return given
        inner = [m for m in self.made.module.modules() if isinstance(getattr(m, "batch_first", None), bool)]
        if len(inner) == 1:
            return inner[0].batch_first
        first, others = self._output(self.x), []
        for axis in (0, 1):
            x = self.x.clone()
            x.select(axis, 0).add_(1)
            others.append(self._output(x))
        if first is None or any(other is None or other.shape != first.shape for other in others):
            returned = self.returned(self.x)
            return torch.is_tensor(returned) and returned.shape[-2] == self.STEPS  # (N, H) or (1, N, H)
        changes = [not torch.equal(first.select(axis, 1), others[axis].select(axis, 1)) for axis in (0, 1)]
        return changes == [False, True]

    def _output(self, x: Any) -> Any:
        returned = self.returned(x)
        output = returned[0] if isinstance(returned, (tuple, list)) and returned else returned
        is_output = torch.is_tensor(output) and output.dim() == 3 and output.shape[:2] == x.shape[:2]
        return output if is_output else None

    def takes_unbatched(self) -> bool:
        """Return whether x without an axis of samples gives results of the documented shapes."""
        x = self.x[0] if isinstance(self.config, CellConfig) else self.x[:, 0]
        return self._fits(x, None)

    def takes_lengths(self) -> bool:
        """Return whether samples of different lengths give results of the documented shapes."""
        return self._fits(self.x, [2, 3])

    def _fits(self, x: Any, lengths: Any) -> bool:
        returned = self.returned(x, lengths)
        if returned is None:
            return False
        try:
            return self.made.fits(x, returned, lengths)
        except Exception:
            return False


def _unbuilt(said: str, error: Exception) -> Exception:
    """Return the error of a module that cannot be built, in one sentence."""
    line = " ".join(str(error).split())
    if isinstance(error, Unsupported) or line.startswith("names: "):
        return error
    return ValueError(f"{said} cannot be built ({type(error).__name__}: {line.rstrip('.')}).")


def _caller() -> str:
    """Return the name of the module that called ``conformance.torch``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith("conformance.torch"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "__main__"))
