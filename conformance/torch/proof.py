"""The proof that a call entered the kernel in question: an overload's name, or a function that counts entries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

OWN_SOURCES = ("/aten/src/ATen/", "/ATen/Register", "/torch/csrc/")
"""Places in the dispatcher's table at which torch registers its own kernels."""


class NotEntered(RuntimeError):
    """A call that did not enter the kernel in question."""


class Proof:
    """The argument ``proves``: count the entries of a call.

    ``proves`` is an overload's name such as ``aten::lstm.input``, or a function that returns how often the kernel was
    entered so far. Raises ValueError, one sentence, for another value and for an overload that torch does not have.

    A dispatch mode sees each operator that reaches a backend's kernel, such as an override of ``aten::lstm.input`` for
    CUDA. torch's own ``aten::lstm`` decomposes before, and so does an override for autograd or for all backends: for
    these a function mode sees that torch.lstm was called, and the dispatcher's table shows whose kernel runs.
    """

    def __init__(self, proves: Any, device_kind: str = "cpu") -> None:
        self.name, self.count = "", proves
        self._lock = Lock()
        self.entered: set[str] = set()
        self.fell_back: set[str] = set()
        if isinstance(proves, str):
            self.name, self.count = proves, None
            self.namespace, self.operator, self.overload = split(proves)
            self.keys = [f"Autograd{_key(device_kind)}", _key(device_kind)]
        elif not callable(proves):
            raise ValueError(
                "proves: give an overload's name such as 'aten::lstm.input', or a function that returns how often the "
                f"kernel was entered; got {type(proves).__name__}."
            )

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds whose layers call the overload; empty if it says nothing about kinds."""
        known = {"lstm": "lstm", "gru": "gru", "rnn_tanh": "rnn_tanh", "rnn_relu": "rnn_relu"}
        aten = bool(self.name) and self.namespace == "aten" and self.operator in known
        return frozenset({known[self.operator]} if aten else ())

    @contextmanager
    def watched(self, call: str) -> Iterator[None]:
        """Surround a call, which ``call`` describes. Raises NotEntered if it returns without an entry."""
        if self.count is not None:
            before = self._counted()
            yield
            entered = self._counted() > before
        else:
            below, above = _Below(self), _Above(self)
            with below, above:
                yield
            # torch's own kernel may be seen as well: of an operator that does not decompose
            entered = (below.seen or above.seen) and (self.namespace != "aten" or self._foreign())
        with self._lock:
            (self.entered if entered else self.fell_back).add(call)
        if not entered:
            raise NotEntered(self._said(call))

    def _said(self, call: str) -> str:
        what = self.name or f"the kernel that {getattr(self.count, '__name__', 'proves')} counts"
        others = sorted(self.entered - self.fell_back)
        entered = f"; entered so far by calls: {' | '.join(others)}" if others else "; no call entered it so far"
        back = f"; fell back so far: {' | '.join(sorted(self.fell_back))}"
        return f"torch's own kernel ran: {what} was not entered by a call: {call}{entered}{back}"

    def _counted(self) -> int:
        count: Any = self.count() if self.count is not None else 0
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"proves: the function returned {type(count).__name__}, expected the number of entries")
        return count

    def _foreign(self) -> bool:
        """Return whether the kernel that the device's tensors reach is not torch's own kernel."""
        table = torch._C._dispatch_dump_table(f"{self.namespace}::{self.operator}.{self.overload}".rstrip("."))
        kernels = dict(line.partition(": ")[::2] for line in table.splitlines())
        found = [kernels.get(key, "") for key in self.keys]
        return any(kernel and not any(own in kernel for own in OWN_SOURCES) for kernel in found)


def split(name: str) -> tuple[str, str, str]:
    """Return namespace, operator and overload of a name. Raises ValueError if torch has no such overload."""
    namespace, _, rest = name.partition("::")
    operator, _, overload = rest.partition(".")
    packet = getattr(getattr(torch.ops, namespace, None), operator, None) if namespace and operator else None
    if packet is None or not hasattr(packet, "overloads"):
        raise ValueError(
            f"proves: torch has no operator {name!r}; give an overload's name such as 'aten::lstm.input', or a "
            "function that returns how often the kernel was entered."
        )
    overloads = packet.overloads()
    if (overload or "default") not in overloads:
        known = " and ".join(o if o == "default" else f"{namespace}::{operator}.{o}" for o in overloads)
        raise ValueError(f"proves: torch has no overload {name!r}; its overloads are {known}.")
    return namespace, operator, "" if overload == "default" else overload


def _key(device_kind: str) -> str:
    return torch._C._dispatch_key_for_device(device_kind)


class _Below(TorchDispatchMode):
    """Sees the operators that reach a backend's kernel."""

    def __init__(self, proof: Proof) -> None:
        super().__init__()
        self.wanted, self.seen = (proof.namespace, proof.operator, proof.overload), False

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        namespace, _, operator = function._schema.name.partition("::")
        self.seen |= (namespace, operator, function._schema.overload_name) == self.wanted
        return function(*args, **(kwargs or {}))


class _Above(TorchFunctionMode):
    """Sees the functions of torch that are called, before anything decomposes."""

    def __init__(self, proof: Proof) -> None:
        super().__init__()
        self.proof, self.seen = proof, False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") == self.proof.operator and self.proof.namespace == "aten":
            self.seen |= self.proof.overload in ("", _overload(args))
        return function(*args, **(kwargs or {}))


def _overload(args: Any) -> str:
    """Return the overload of torch.lstm, gru, rnn_tanh or rnn_relu that takes these arguments."""
    return "data" if len(args) > 3 and isinstance(args[3], (list, tuple)) else "input"
