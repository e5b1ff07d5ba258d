"""Arrays to tensors and back."""

from __future__ import annotations

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
    if array is None:
        return None
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16).to(device)
    return torch.from_numpy(array.copy()).to(device)


def to_numpy(tensor: Any) -> Any:
    """Return an array with the tensor's values; None for None."""
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
