"""The interface of an ONNX runtime: ``prepare`` a model, then call it with arrays by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from conformance.onnx.features import OnnxFeatures

Prepared = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""A prepared model: a function from the model's inputs by name to its outputs by name."""


class OnnxRuntime:
    """A runtime under test. A subclass names it, claims its features and prepares models."""

    name: str = ""
    """The runtime's name in reports."""
    version: str = "unknown"
    """The version of the runtime."""
    features: OnnxFeatures = OnnxFeatures()
    """The runtime's claims."""
    asked_as: str = ""
    """The NAME after --backend, which the registry sets."""
    script: str = ""
    """Lines of Python for reproducers: they run the serialized model ``model`` on the dict ``inputs`` with the
    runtime's public library alone, and set ``outputs``, a dict by name. Without them a reproducer calls ``prepare``."""
    forks: bool = True
    """True if the imported runtime works in a forked process, as in ``conformance.Backend``."""

    def prepare(self, model: bytes) -> Prepared:
        """Prepare a serialized ModelProto, of one operator or of a stack of them; return a function that runs it.

        The function takes a dict of arrays by the names of the graph's inputs, and returns one by the names of the
        graph's outputs, new arrays of the dtypes that the graph declares. It may be called often, each time with other
        numbers of steps and samples unless ``fixed_shapes`` says otherwise, and must not change its arguments.

        Raises any exception for a model that the runtime does not support; so does the function for inputs that it does
        not.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prepare(model)")


def described(value: Any) -> str:
    """Return a value's type for a message, with the shape and dtype of an array."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"of type {type(value).__name__}"


def output_of(came: Any, name: str, axes: int) -> np.ndarray:
    """Return an output of a prepared model. Raises TypeError or ValueError, one sentence, unless it is an array."""
    if not isinstance(came, Mapping):
        raise TypeError(f"the prepared model returned {described(came)}, not a dict of its outputs by name")
    if name not in came:
        raise ValueError(f"the prepared model returned {', '.join(map(str, came)) or 'nothing'}, without {name}")
    array = came[name]
    if not isinstance(array, np.ndarray):
        raise TypeError(f"the prepared model returned {name} {described(array)}, not as a NumPy array")
    if array.ndim != axes:
        raise ValueError(f"the prepared model returned {name} of shape {array.shape}: expected {axes} axes")
    return array
