"""The sessions of onnxruntime and the refusals that the two adapters of torch.onnx.export share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnxruntime
import torch

from conformance.backend import CellConfig, LayerConfig, Unsupported
from conformance.torch.tensors import DTYPES

VERSION = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
# The GRU kernel approximates tanh and the reset gate by polynomials, with errors up to 11 u: docs/findings.md.
ARITHMETIC = {"gru": "approximate-activations"}

Arrays = dict[str, np.ndarray]


class Form(NamedTuple):
    """The arguments of a call. They are the graph's inputs, so each form needs its own export."""

    batched: bool
    states: bool
    lengths: bool = False


def session(model: bytes) -> onnxruntime.InferenceSession:
    """Return a session on the CPU with one thread. Raises onnxruntime's errors for an invalid model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: errors are raised as well
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def state_names(kind: str) -> list[str]:
    """Return h_0 and, for lstm, c_0."""
    return ["h_0", "c_0"] if kind == "lstm" else ["h_0"]


def refuse(config: LayerConfig | CellConfig, dtypes: frozenset[str]) -> None:
    """Raise Unsupported for a dtype that is not claimed, and for a projection."""
    if config.dtype in DTYPES and config.dtype not in dtypes:
        raise Unsupported(f"{config.dtype} is not claimed of torch.onnx.export under onnxruntime")
    if getattr(config, "proj_size", 0):
        raise Unsupported("torch.onnx.export does not export projections")
