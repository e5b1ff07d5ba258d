"""``onnx-ops-reference``: ONNX's operators under onnx.reference, the project's own evaluator in NumPy.

It ignores ``sequence_lens`` without a word, and so fails what a suite must catch: it claims lengths on purpose. That
it checks no argument either is its design, a NumPy function a node; the adapter checks them.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps
from reference.layers import check_inputs


class OnnxOpsReference(OnnxOps):
    """No rnn_relu: the evaluator says that it knows no Relu there."""

    name = "onnx-ops-reference"
    version = f"onnx {onnx.__version__}"
    features = Features(
        kinds={"rnn_tanh", "lstm", "gru"},
        dtypes={"float32", "float64"},
        unbatched=False,
        projection=False,
    )

    def check(self, config, x, h_0, c_0, lengths):
        check_inputs(config, x, h_0, c_0, lengths)

    def compile(self, model):
        evaluator = ReferenceEvaluator(model)

        def run(feeds):
            with np.errstate(over="ignore", invalid="ignore"):  # exp overflows to the right sigmoid
                return evaluator.run(None, feeds)

        return run
