"""The surroundings of a call: a device, a context, the random generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import Any

import torch

from conformance.backend import Unsupported

Context = Callable[[], AbstractContextManager[Any]]


class Switched(AbstractContextManager[None]):
    """Flags of torch for a block of code. They hold for the process: the first thread sets them, the last resets."""

    def __init__(self, flags: Context) -> None:
        self._flags, self._lock, self._inside = flags, Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._set = self._flags()
                self._set.__enter__()
            self._inside += 1

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._set.__exit__(None, None, None)

    def __call__(self) -> Switched:
        """Return itself: the flags as the argument ``context``."""
        return self


class Environment:
    """A device of torch, and the context that surrounds building and calling.

    Raises ValueError, one sentence, for a device that torch does not know and a context that cannot be called.
    """

    def __init__(self, device: Any = "cpu", context: Context | None = None) -> None:
        try:
            self.device = str(torch.device(device))
        except (RuntimeError, TypeError) as error:
            said = str(error).partition("\n")[0].rstrip(".")
            raise ValueError(f"device: {device!r} is no device of torch ({said}).") from None
        if context is not None and not callable(context):
            raise ValueError(
                f"context: expected a function that returns a context manager, got {type(context).__name__}."
            )
        self.context: Context = context or nullcontext

    @property
    def kind(self) -> str:
        """The device without its number: ``cuda``."""
        return self.device.partition(":")[0]

    def missing(self) -> str:
        """Return why the device cannot be used here, in words that follow a name, or an empty string."""
        if self.kind in ("cpu", "meta"):
            return ""
        module = getattr(torch, self.kind, None) or getattr(torch.backends, self.kind, None)
        available = getattr(module, "is_available", None) or getattr(
            getattr(torch.backends, self.kind, None), "is_available", None
        )
        if available is not None and not available():
            spelled = {"cuda": "CUDA", "mps": "MPS", "xpu": "XPU"}.get(self.kind, self.kind)
            return f"needs a {spelled} device: torch {torch.__version__} finds none"
        return ""

    def require_device(self) -> None:
        """Raise Unsupported if the device is not there."""
        if self.kind != "cpu" and (why := self.missing()):
            raise Unsupported(why)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Surround building or calling. Raises TypeError for an object that is no context manager."""
        surrounding = self.context()
        if not hasattr(surrounding, "__enter__"):
            raise TypeError(f"context: it returned {type(surrounding).__name__}, which is no context manager")
        with surrounding:
            yield

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Set the seed of torch's random generators inside, and restore their state at the end."""
        if self.kind != "cpu":
            index = torch.device(self.device).index
            if index is None:
                index = getattr(torch, self.kind).current_device() if hasattr(torch, self.kind) else 0
            with torch.random.fork_rng([index], device_type=self.kind):
                torch.manual_seed(seed)
                yield
            return
        generator = torch.default_generator  # torch.manual_seed also stores a stack trace for every other device
        before = generator.get_state()
        generator.manual_seed(seed)
        try:
            yield
        finally:
            generator.set_state(before)
