"""Backends of torch modules in three lines.

``module_backend`` takes a class or function that is called as torch.nn's layers are, ``cell_backend`` one that is
called as its cells are, ``torch_nn_backend`` torch.nn itself in a context or on a device, ``function_backend`` a
function of tensors. ``triton_interpreter`` supplies what Triton's interpreter lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conformance.torch.backend import CLAIMS, TorchBackend
from conformance.torch.environment import Environment
from conformance.torch.functions import FunctionFactory
from conformance.torch.names import Names
from conformance.torch.proof import Proof
from conformance.torch.signature import LENGTHS, Factory
from conformance.torch.standard import Standard
from conformance.torch.triton import triton_interpreter
from reference.config import KINDS

__all__ = ["cell_backend", "function_backend", "module_backend", "torch_nn_backend", "triton_interpreter"]

Kinds = Iterable[str] | str | None
NamesArgument = Mapping[str, str] | tuple[Callable[..., Any], Callable[..., Any]] | None


def module_backend(
    factory: Callable[..., Any],
    kinds: Kinds = None,
    *,
    dtypes: Iterable[str] | str = "float32",
    name: str | None = None,
    version: str | None = None,
    names: NamesArgument = None,
    call: Callable[..., Any] | None = None,
    context: Callable[[], Any] | None = None,
    device: Any = "cpu",
    proves: str | Callable[[], int] | None = None,
    checks: bool | None = None,
    forks: bool | None = None,
    **claims: Any,
) -> TorchBackend:
    """Return the backend of a class or function that is called as torch.nn's layers are.

    ``factory(input_size, hidden_size, ...)`` builds a torch.nn.Module. ``kinds`` follow from its name if omitted. An
    argument of torch.nn's that it does not take is not claimed: num_layers, bias, batch_first, bidirectional,
    proj_size, dropout. ``claims`` are fields of ``conformance.Features`` and correct that.

    ``names`` are None (torch.nn's names, also below one wrapped module), a mapping from torch.nn's names to the
    names of the module, or a pair put(module, parameters), take(module). ``call(module, x, states, lengths)`` makes a
    call in another way. ``context()`` returns a context manager that surrounds building and calling, ``device`` is any
    device of torch. ``proves`` is an overload's name, or a function that returns how often the kernel was entered: a
    call that does not enter it fails. The module's own checks of arguments are tested; the helper checks the calls for
    which it packs x by lengths, all calls with ``checks=True``, and none with False.
    ``forks`` says whether the built backend works in a forked process (None: on the CPU alone).

    Raises ValueError, one sentence, for an argument that cannot be used.
    """
    made = Factory(factory)
    options = _options(made, kinds, dtypes, name, version, names, call, context, device, proves, claims)
    return _built(TorchBackend(made, checks=checks, forks=forks, **options))


def cell_backend(
    factory: Callable[..., Any],
    kinds: Kinds = None,
    *,
    dtypes: Iterable[str] | str = "float32",
    name: str | None = None,
    version: str | None = None,
    names: NamesArgument = None,
    call: Callable[..., Any] | None = None,
    context: Callable[[], Any] | None = None,
    device: Any = "cpu",
    proves: str | Callable[[], int] | None = None,
    checks: bool = False,
    forks: bool | None = None,
    **claims: Any,
) -> TorchBackend:
    """Return the backend of a class or function that is called as torch.nn's cells are: cells, and no layers.

    ``names`` are torch.nn's for cells, such as ``weight_ih``. ``call(module, x, states, None)`` makes a step in
    another way. The other arguments and the errors are as in ``module_backend``.
    """
    made = Factory(factory, cell=True)
    options = _options(made, kinds, dtypes, name, version, names, call, context, device, proves, claims)
    return _built(TorchBackend(None, made, checks=checks, forks=forks, **options))


def torch_nn_backend(
    kinds: Kinds = None,
    *,
    dtypes: Iterable[str] | str = "float32",
    name: str | None = None,
    version: str | None = None,
    names: NamesArgument = None,
    call: Callable[..., Any] | None = None,
    context: Callable[[], Any] | None = None,
    device: Any = "cpu",
    proves: str | Callable[[], int] | None = None,
    checks: bool = False,
    forks: bool | None = None,
    **claims: Any,
) -> TorchBackend:
    """Return the backend of torch.nn itself, in a context or on a device.

    It claims all that torch.nn documents. With ``proves`` an operator of one kind, such as ``aten::lstm.input``, it
    claims the layers of that kind alone. The other arguments and the errors are as in ``module_backend``.
    """
    proof = _proof(proves, Environment(device, context))
    chosen = kinds if kinds is not None else (proof.kinds if proof is not None and proof.kinds else KINDS)
    label = name or "torch-nn" + ("" if Environment(device).kind == "cpu" else f"-{Environment(device).kind}")
    options = _options(Standard(), chosen, dtypes, label, version, names, call, context, device, proves, claims)
    cells = None if proves is not None and "cells" not in claims else Standard()
    if names is None:
        options["names"] = Names(own_order=True)
    documented = {"unbatched": True, "lengths": True, "initialization": True}
    documented["deterministic"] = Environment(device).kind == "cpu"
    options["claims"] = documented | claims
    return _built(TorchBackend(Standard(), cells, checks=checks, forks=forks, **options))


def function_backend(
    function: Callable[..., Any],
    kinds: Kinds = None,
    *,
    dtypes: Iterable[str] | str = "float32",
    name: str | None = None,
    version: str | None = None,
    names: NamesArgument = None,
    call: Callable[..., Any] | None = None,
    context: Callable[[], Any] | None = None,
    device: Any = "cpu",
    proves: str | Callable[[], int] | None = None,
    checks: bool = True,
    forks: bool | None = None,
    **claims: Any,
) -> TorchBackend:
    """Return the backend of a function f(x, h_0, c_0, weights) -> output, h_n, c_n of tensors.

    x is (T, N, I), the states have the shapes that torch.nn documents, and ``weights`` is a dict by torch.nn's names.
    States that are left out arrive as zeros; c_0 is None unless lstm, and so may c_n be, or be left out. It claims
    initial states and gradients, and nothing else unless ``claims`` say so: one layer and direction, with biases, x
    with an axis of samples. A parameter ``lengths`` of f receives lengths, and claims them; a parameter ``config``
    receives the LayerConfig. ``checks``: the helper refuses invalid arguments. The other arguments and the errors are
    as in ``module_backend``.
    """
    made = FunctionFactory(function)
    takes_lengths = any(made.parameters.has(name) for name in LENGTHS)
    defaults = dict.fromkeys(
        ("multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "projection"), False
    )
    claims = {**defaults, "lengths": takes_lengths, **claims}
    options = _options(made, kinds, dtypes, name, version, names, call, context, device, proves, claims)
    return _built(TorchBackend(made, checks=checks, forks=forks, **options))


def backend_of_name(factory: Any, attribute: str, kind: str = "") -> TorchBackend:
    """Return the backend of ``torch:package.module:attribute``: of layers, or of cells if its name says cell.

    Raises ValueError, one sentence, if neither ``kind`` nor the name says the kind.
    """
    own = attribute.rpartition(".")[2]
    named = next((name for name in (own, getattr(factory, "__name__", "")) if kinds_of_name(name)), own)
    if not kind and not kinds_of_name(named):
        raise ValueError(f"the name {own} does not say its kind; add --kind {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    make = cell_backend if "cell" in named.lower() else module_backend
    return make(factory, kind or None if kinds_of_name(own) else kind or kinds_of_name(named), name=own)


def kinds_of_name(name: str) -> tuple[str, ...]:
    """Return the kinds that the name of a class or function says; empty if it says none, or several."""
    lower = name.lower()
    found = [kind for kind in ("lstm", "gru") if kind in lower]
    if len(found) == 1:
        return tuple(found)
    if "rnn" in lower and not found:
        return tuple(kind for kind in KINDS if kind.startswith("rnn_"))
    return ()


def _options(
    made: Any,
    kinds: Kinds,
    dtypes: Any,
    name: str | None,
    version: str | None,
    names: Any,
    call: Any,
    context: Any,
    device: Any,
    proves: Any,
    claims: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments of TorchBackend. Raises ValueError, one sentence, for one that cannot be used."""
    label = made.name
    if kinds is None:
        kinds = kinds_of_name(label)
        if not kinds:
            raise ValueError(f"kinds: {label!r} does not say the kind; give kinds, some of {', '.join(KINDS)}.")
        if len(kinds) > 1 and not made.takes("nonlinearity"):
            kinds = "rnn_tanh"
    if call is not None and not callable(call):
        raise ValueError(f"call: expected a function call(module, x, states, lengths), got {type(call).__name__}.")
    if unknown := [claim for claim in claims if claim not in CLAIMS]:
        raise ValueError(f"{unknown[0]}: there is no such argument, and no such claim of conformance.Features.")
    environment = Environment(device, context)
    return {
        "kinds": kinds,
        "dtypes": dtypes,
        "name": name or label,
        "version": version or "",
        "names": Names(names),
        "call": call,
        "environment": environment,
        "proof": _proof(proves, environment),
        "claims": claims,
    }


def _proof(proves: Any, environment: Environment) -> Proof | None:
    return None if proves is None else Proof(proves, environment.kind)


def _built(backend: TorchBackend) -> TorchBackend:
    """Return the backend once its module can be built; where the device is missing, it says so when it is used."""
    if not backend.environment.missing():
        backend.build_once()
    return backend
