"""Arrays to tensors and back, and the gradients that autograd finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def to_torch(array: np.ndarray | None, device: str = "cpu") -> Any:
    """Return a copy as a tensor, None for None. bfloat16 crosses as the same 16 bits."""
    return None if array is None else argument(array.copy(), device)


def argument(array: np.ndarray | None, device: str = "cpu") -> Any:
    """Return an argument of a call as a tensor, None for None.

    On the CPU it shares a contiguous array's memory, so that the caller sees what a module writes into its arguments.
    """
    if array is None:
        return None
    if not (array.flags.c_contiguous and array.flags.writeable):
        array = array.copy()
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)


def to_numpy(tensor: Any) -> Any:
    """Return an array with the tensor's values; None for None."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def gradients_of(
    results: Sequence[Any], cotangents: Sequence[Any], given: Mapping[str, Any], bound: Any, environment: Any
) -> dict[str, np.ndarray]:
    """Return the gradients of the given tensors by their names and of the bound parameters by the documented names.

    A result or a cotangent that is None does not count. Tensors that the results do not depend on, and parameters that
    do not require gradients, have gradients of zeros. Raises ValueError for a result of another shape than its
    cotangent.

    The objective is the sum of results times cotangents. With ``grad_outputs`` instead autograd imports sympy, for half
    a second in every process.
    """
    pairs = [
        (y, to_torch(d, environment.device))
        for y, d in zip(results, cotangents, strict=True)
        if y is not None and d is not None
    ]
    for y, d in pairs:
        if y.shape != d.shape:
            raise ValueError(f"a result of shape {tuple(y.shape)} has a cotangent of shape {tuple(d.shape)}")
    wanted = [*given.values(), *bound.tensors]
    found = [torch.zeros_like(a) for a in wanted]
    places = [place for place, a in enumerate(wanted) if a.requires_grad]
    with environment.entered():
        if pairs and places:
            of = [wanted[place] for place in places]
            objective = sum((y * d).sum() for y, d in pairs)
            d_of = torch.autograd.grad(objective, of, allow_unused=True, materialize_grads=True)
            for place, a in zip(places, d_of, strict=True):
                found[place] = a
    named = dict(zip(given, found, strict=False)) | bound.gradients(found[len(given) :])
    return {name: to_numpy(a) for name, a in named.items()}
