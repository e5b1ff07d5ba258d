"""Find the backend of a name.

It is built in, an entry point, ``package.module:attribute``, ``torch:package.module:attribute``,
``onnx:package.module`` or ``exec:COMMAND``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from conformance.backend import Backend, Features, Unsupported
from conformance.engine.files import working_folder
from conformance.engine.text import name_text, one_line
from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime
from reference.config import KINDS

GROUP = "rnn_conformance.backends"
BUILT_IN: dict[str, tuple[str, tuple[str, ...], str]] = {
    "reference": ("conformance.backends.oracle:OracleBackend", (), ""),
    "torch-cpu": ("conformance.backends.torch_eager:TorchCPU", ("torch",), "torch"),
    "torch-cpu-native": ("conformance.backends.torch_eager:TorchCPUNative", ("torch",), "torch"),
    "torch-script": ("conformance.backends.torch_script:TorchScript", ("torch",), "torch"),
    "torch-export": ("conformance.backends.torch_export:TorchExport", ("torch",), "torch"),
    "torch-compile": ("conformance.backends.torch_compile:TorchCompile", ("torch",), "torch"),
    "torch-quantized": ("conformance.backends.torch_quantized:TorchQuantized", ("torch",), "torch"),
    "torchrl": ("conformance.backends.torchrl_layers:TorchRL", ("torchrl", "torch"), "torchrl"),
    "torch-cuda": ("conformance.backends.torch_cuda:TorchCUDA", ("torch",), "torch"),
    "torch-cuda-tf32": ("conformance.backends.torch_cuda:TorchCUDATF32", ("torch",), "torch"),
    "torch-cuda-native": ("conformance.backends.torch_cuda:TorchCUDANative", ("torch",), "torch"),
    "onnxruntime": (
        "conformance.backends.torch_onnx_dynamo:DynamoOnnxRuntime",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "onnxruntime",
    ),
    "onnxruntime-torchscript": (
        "conformance.backends.torch_onnx_script:TorchScriptOnnxRuntime",
        ("torch", "onnx", "onnxruntime"),
        "onnxruntime",
    ),
    "onnx-ops-ort": ("conformance.backends.onnx_ops_ort:OnnxOpsOrt", ("onnx", "onnxruntime"), "onnx-ops"),
    "onnx-ops-openvino": ("conformance.backends.onnx_ops_openvino:OnnxOpsOpenVINO", ("onnx", "openvino"), "openvino"),
    "onnx-ops-opencv": ("conformance.backends.onnx_ops_opencv:OnnxOpsOpenCV", ("onnx", "cv2"), "opencv"),
    "onnx-ops-tract": ("conformance.backends.onnx_ops_tract:OnnxOpsTract", ("onnx", "tract"), "tract"),
    "onnx-ops-mnn": ("conformance.backends.onnx_ops_mnn:OnnxOpsMNN", ("onnx", "MNN"), "mnn"),
    "onnx-ops-ortweb": ("conformance.backends.onnx_ops_ortweb:OnnxOpsOrtWeb", ("onnx",), "onnx"),
    "onnx-ops-reference": ("conformance.backends.onnx_ops_reference:OnnxOpsReference", ("onnx",), "onnx-ops"),
    "keras": ("conformance.backends.keras_layers:Keras", ("keras", "torch"), "keras"),
    "flax": ("conformance.backends.flax_linen:Linen", ("flax", "jax"), "flax"),
    "flax-nnx": ("conformance.backends.flax_nnx:NNX", ("flax", "jax"), "flax"),
    "jax-rnn": ("conformance.backends.jax_rnn:JaxRNN", ("jax",), "jax"),
    "equinox": ("conformance.backends.equinox_cells:Equinox", ("equinox", "jax"), "equinox"),
    "haiku": ("conformance.backends.haiku_cores:Haiku", ("haiku", "jax"), "haiku"),
    "brainstate": ("conformance.backends.brainstate_cells:BrainState", ("brainstate", "jax"), "brainstate"),
    "keras-jax": ("conformance.backends.keras_jax:KerasJAX", ("keras", "jax"), "keras-jax"),
    "keras-jax-reset-before": ("conformance.backends.keras_jax:KerasJAXResetBefore", ("keras", "jax"), "keras-jax"),
    "thinc": ("conformance.backends.thinc_lstm:Thinc", ("thinc",), "thinc"),
    "tfjs": ("conformance.backends.tfjs_layers:TFJS", (), ""),
    "mlx": ("conformance.backends.mlx_layers:MLX", ("mlx",), "mlx"),
    "paddle": ("conformance.backends.paddle_layers:Paddle", ("paddle",), "paddle"),
    "onnx-oracle": ("conformance.backends.onnx_oracle:OnnxOracle", (), ""),
}
"""The adapter's module:attribute, the packages that it imports and the extra that installs them, by name."""
DEFAULT = ("torch-cpu", "onnxruntime")


TORCH = "torch:"
"""The beginning of the name of a class or function that builds a torch module."""


class UnknownBackend(Exception):
    """A name without a backend. The message is one sentence that says what to correct."""


def names() -> list[str]:
    """Return every registered name: the built-in ones, then the entry points of installed packages, sorted."""
    return [*BUILT_IN, *sorted(set(entry_points(group=GROUP).names) - set(BUILT_IN))]


def installed_defaults() -> list[str]:
    """Return the default backends whose packages are installed, without importing them."""
    return [name for name in DEFAULT if all(find_spec(package) for package in BUILT_IN[name][1])]


def known_failures(name: str) -> Path | None:
    """Return the file of known failures that ships with a built-in adapter, or None."""
    path = Path(__file__).parent / "backends" / f"{name}.toml"
    return path if name in BUILT_IN and path.is_file() else None


Adapters = Mapping[type[Any], type[Any]]
"""The classes of backends that are taken, each with the class of its claims."""
TORCH_ADAPTERS: Adapters = {Backend: Features}


def backend(name: str, adapters: Adapters = TORCH_ADAPTERS) -> Any:
    """Import and build the backend of a name, an instance of one of the adapters. Raises UnknownBackend."""
    if name.startswith("exec:"):
        return built(name, _program(name), adapters)
    if name.startswith(TORCH):
        return built(name, _torch_module(name), adapters)
    if name.startswith("onnx:"):
        return built(name, _onnx_interface(name), adapters)
    if name in BUILT_IN:
        path, packages, extra = BUILT_IN[name]
        missing = [package for package in packages if find_spec(package) is None]
        if missing:
            raise UnknownBackend(
                f"backend {name!r} needs {' and '.join(missing)}, not installed here: "
                f"pip install 'rnn-conformance[{extra}]'."
            )
        return built(name, _attribute(name, path), adapters)
    found = [e for e in entry_points(group=GROUP) if e.name == name]
    if found:
        return built(name, _attribute(name, found[0].value), adapters)
    if ":" in name:
        return built(name, _attribute(name, name), adapters)
    known = ", ".join(names())
    raise UnknownBackend(
        f"backend {name!r} is unknown: give one of {known}, package.module:attribute, "
        "torch:package.module:attribute, onnx:package.module, or exec:COMMAND."
    )


def _onnx_interface(name: str) -> Any:
    """Return a function that makes a runtime of a module or class with ONNX's own backend interface."""
    _require_onnx(name)
    from conformance.onnx.interface import interface_runtime

    place = name.removeprefix("onnx:")
    found = _attribute(name, place) if ":" in place else _module(name, place)
    if not callable(getattr(found, "prepare", None)):
        raise UnknownBackend(
            f"backend {name!r}: {place} has no prepare(model, device), which ONNX's backend interface asks for."
        )
    return interface_runtime(found, place)


def _require_onnx(name: str, opsets: Iterable[int] = ()) -> None:
    """Raise UnknownBackend without onnx, with which the suite builds the models, or with one that is too old."""
    if find_spec("onnx") is None:
        raise UnknownBackend(f"backend {name!r} needs onnx, not installed here: pip install 'rnn-conformance[onnx]'.")
    newest = importlib.import_module("onnx").defs.onnx_opset_version()
    for opset in sorted(opsets):
        if opset > newest:
            raise UnknownBackend(
                f"backend {name!r} claims opset {opset}, and the installed onnx knows {newest} at most: "
                "claim older ones or install a newer onnx."
            )


def _program(name: str) -> Backend:
    from conformance.backends.exec_protocol import CannotStart, ExecBackend

    try:
        return ExecBackend(name.removeprefix("exec:"))
    except CannotStart as error:
        raise UnknownBackend(f"backend {name!r}: {str(error).rstrip('.')}.") from None


def with_kind(name: str, kind: str) -> str:
    """Return the name of a torch module with its kind, which other processes then know. Others stay as they are."""
    return f"{name}:{kind}" if name.startswith(TORCH) and name.count(":") == 2 else name


def _torch_module(name: str) -> Backend:
    """Build the backend of ``torch:package.module:attribute``, perhaps with ``:KIND``. Raises UnknownBackend."""
    module, _, rest = name.removeprefix(TORCH).partition(":")
    attribute, _, kind = rest.partition(":")
    if not module or not attribute:
        raise UnknownBackend(f"backend {name!r} names no attribute: write torch:package.module:attribute.")
    if kind and kind not in KINDS:
        raise UnknownBackend(f"backend {name!r}: there is no kind {kind!r}; give one of {', '.join(KINDS)}.")
    if find_spec("torch") is None:
        raise UnknownBackend(f"backend {name!r} needs torch, not installed here: pip install 'rnn-conformance[torch]'.")
    found = _attribute(name, f"{module}:{attribute}")
    if isinstance(found, Backend):
        raise UnknownBackend(f"backend {name!r} is a backend already: write {module}:{attribute}.")
    from conformance.torch import backend_of_name

    try:
        return backend_of_name(found, attribute, kind)
    except Unsupported as refusal:
        raise UnknownBackend(f"backend {name!r} {_said(refusal)}.") from None
    except ValueError as error:
        raise UnknownBackend(f"backend {name!r}: {_said(error)}.") from None


def _attribute(name: str, path: str) -> object:
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise UnknownBackend(f"backend {name!r} names no attribute: write package.module:attribute.")
    found = _module(name, module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UnknownBackend(f"backend {name!r}: module {module_name!r} has no attribute {attribute!r}.")
        found = getattr(found, part)
    return found


def _module(name: str, module_name: str) -> Any:
    if (folder := str(working_folder())) not in sys.path:
        sys.path.insert(0, folder)  # as python -m does: adapters in the working folder can be imported
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UnknownBackend(
            f"backend {name!r}: module {module_name!r} cannot be imported ({type(error).__name__}: {_said(error)})."
        ) from None


def built(name: str, found: Any, adapters: Adapters = TORCH_ADAPTERS) -> Any:
    """Return the backend that an object is or builds, asked for under that name. Raises UnknownBackend."""
    classes = tuple(adapters)
    if not isinstance(found, classes) and callable(found):
        try:
            found = found()
        except Unsupported as refusal:  # here: a device that this machine lacks, say
            raise UnknownBackend(f"backend {name!r} {_said(refusal)}.") from None
        except (Exception, SystemExit) as error:
            raise UnknownBackend(
                f"backend {name!r} cannot be built ({type(error).__name__}: {_said(error)})."
            ) from None
    if not isinstance(found, classes):
        raise UnknownBackend(
            f"backend {name!r} is {_a(found)}, not a conformance.Backend: name a subclass of Backend, "
            "an instance of one, or a function without arguments that returns one."
        )
    try:
        features, found.asked_as = found.features, name
        if (title := name_text(found.name or name) or name_text(name)) != found.name or type(found.name) is not str:
            found.name = title
        if (version := name_text(found.version)) != found.version:
            found.version = version
    except Unsupported as refusal:
        raise UnknownBackend(f"backend {name!r} {_said(refusal)}.") from None
    except Exception as error:
        raise UnknownBackend(
            f"backend {name!r} cannot tell its name and features ({type(error).__name__}: {_said(error)})."
        ) from None
    claims = next(claims for adapter, claims in adapters.items() if isinstance(found, adapter))
    if not isinstance(features, claims):
        raise UnknownBackend(f"backend {name!r}: its features are {_a(features)}, not {_public(claims)}(...).")
    if isinstance(found, OnnxRuntime):
        _require_onnx(name, features.opsets)
    return found


def _public(claims: type[Any]) -> str:
    """Return the name under which users import a class of claims."""
    names = {Features: "conformance.Features", OnnxFeatures: "conformance.onnx.OnnxFeatures"}
    return names.get(claims, f"{claims.__module__}.{claims.__name__}")


def _a(value: object) -> str:
    return f"of type {type(value).__name__}"


def _said(error: BaseException) -> str:
    """Return an exception's message, to end a sentence."""
    return one_line(error).rstrip(".")
