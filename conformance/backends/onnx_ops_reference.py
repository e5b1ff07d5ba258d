"""``onnx-ops-reference``: ONNX's operators in onnx.reference, ONNX's evaluator in NumPy.

The evaluator ignores ``sequence_lens`` silently, and the suite must catch that: the adapter claims it on purpose.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from conformance.onnx.features import ATTRIBUTES, VERSIONS, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


class OnnxOpsReference(OnnxRuntime):
    """ONNX's operators in onnx.reference, except activations: the evaluator refuses Relu in RNN."""

    name, version = "onnx-ops-reference", f"onnx {onnx.__version__}"
    features = OnnxFeatures(
        opsets=VERSIONS,
        dtypes={"float32", "float64"},
        attributes=set(ATTRIBUTES) - {"activations", "activation_alpha", "activation_beta"},
        parameters="inputs",
    )

    script = """
from onnx.reference import ReferenceEvaluator

evaluator = ReferenceEvaluator(onnx.load_model_from_string(model))
outputs = dict(zip(evaluator.output_names, evaluator.run(None, inputs)))
"""

    def prepare(self, model):
        evaluator = ReferenceEvaluator(onnx.load_model_from_string(model))

        def run(inputs):
            with np.errstate(over="ignore", invalid="ignore"):  # the sigmoid is right where exp overflows
                return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))

        return run
