"""What the suite uses of Hypothesis beyond its documented interface, with one clear error where it has moved."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TRIED = ">=6.124.9,<7"  # as pyproject.toml declares


class Moved(ImportError):
    """A part of Hypothesis that the suite needs is not where it was."""


def found(module: str, name: str) -> Any:
    """Return a part of an internal module. Raises Moved."""
    import hypothesis

    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise Moved(
            f"Hypothesis {hypothesis.__version__} has no {module}.{name}, which rnn-conformance needs: install a "
            f"version that it knows, pip install 'hypothesis{TRIED}', and report this."
        ) from None


def keyed(run: Any, key: bytes) -> Any:
    """Return a test whose examples are kept under a key."""
    run._hypothesis_internal_database_key = key
    return run


def digest(function: Any, name: str) -> bytes:
    """Return the key under which Hypothesis keeps the examples of a test of that name."""
    function._hypothesis_internal_add_digest = name.encode()
    return found("hypothesis.internal.reflection", "function_digest")(function)


@contextmanager
def drawn_from_the_seed_alone() -> Iterator[None]:
    """Keep Hypothesis from drawing numbers that it finds in the source of imported modules.

    Where it draws an integer, it sometimes takes such a number. The adapter's modules would then change the examples
    of a seed.
    """
    provider: Any = found("hypothesis.internal.conjecture.providers", "HypothesisProvider")
    theirs = getattr(provider, "_maybe_draw_constant", None)
    if theirs is None:  # a Hypothesis that does not do so
        yield
        return
    provider._maybe_draw_constant = lambda *_, **__: None
    try:
        yield
    finally:
        provider._maybe_draw_constant = theirs


def name_comments() -> None:
    """Give Hypothesis's results the former name of a field: HypoFuzz 25.11.1 uses one that has been renamed."""
    result = found("hypothesis.internal.conjecture.data", "ConjectureResult")
    if not hasattr(result, "slice_comments"):
        result.slice_comments = {}
