"""``onnx-ops-reference``: ONNX's operators in onnx.reference, ONNX's evaluator in NumPy.

The evaluator ignores ``sequence_lens`` silently, and the suite must catch that: the adapter claims lengths on purpose.
The evaluator is designed as one NumPy function for each node and checks no arguments; the adapter checks them.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps
from reference.layers import check_inputs


class OnnxOpsReference(OnnxOps):
    """ONNX's operators in onnx.reference, except rnn_relu: the evaluator refuses Relu in RNN."""

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
            with np.errstate(over="ignore", invalid="ignore"):  # the sigmoid is right where exp overflows
                return evaluator.run(None, feeds)

        return run
