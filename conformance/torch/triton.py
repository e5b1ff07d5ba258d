"""What Triton's interpreter lacks."""

from __future__ import annotations

from contextlib import AbstractContextManager


def triton_interpreter() -> AbstractContextManager[None]:
    """Return a context in which Triton's interpreter runs kernels on the CPU."""
    raise NotImplementedError
