"""What the two adapters of torch.onnx.export have in common: the sessions of onnxruntime that run what it makes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnxruntime
import torch

from conformance import CellConfig, LayerConfig, Unsupported
from conformance.backends.torch_eager import DTYPES

VERSION = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
# Polynomials stand for the GRU's tanh and reset gate, off by up to 11 u: docs/findings.md.
ARITHMETIC = {"gru": "approximate-activations"}

Arrays = dict[str, np.ndarray]


class Form(NamedTuple):
    """Which arguments a call has. They are the graph's inputs, so that each form is exported for itself."""

    batched: bool
    states: bool
    lengths: bool = False


def session(model: bytes) -> onnxruntime.InferenceSession:
    """A session on the CPU, of one thread. Raises what onnxruntime raises for a model that is invalid."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: what is an error is raised as well
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def state_names(kind: str) -> list[str]:
    """h_0, and c_0 of an lstm."""
    return ["h_0", "c_0"] if kind == "lstm" else ["h_0"]


def refuse(config: LayerConfig | CellConfig, dtypes: frozenset[str]) -> None:
    """Raise Unsupported for a dtype that is not among those claimed, and for a projection."""
    if config.dtype in DTYPES and config.dtype not in dtypes:
        raise Unsupported(f"{config.dtype} is not claimed of torch.onnx.export under onnxruntime")
    if getattr(config, "proj_size", 0):
        raise Unsupported("torch.onnx.export does not export projections")
