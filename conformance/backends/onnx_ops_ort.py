"""``onnx-ops-ort``: ONNX's operators on onnxruntime's CPU provider."""

from __future__ import annotations

import onnxruntime

from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, VERSIONS, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


class OnnxOpsOrt(OnnxRuntime):
    """ONNX's operators in onnxruntime, which refuses layout=1, float64 and bfloat16: it has no kernels for them."""

    name, version = "onnx-ops-ort", f"onnxruntime {onnxruntime.__version__}"
    features = OnnxFeatures(
        opsets=VERSIONS,
        dtypes={"float32", "float16"},
        attributes=set(ATTRIBUTES) - {"layout"},
        activations=ACTIVATIONS,
        checks_inputs=True,
        parameters="inputs",
        # The GRU kernel approximates tanh and the reset gate by polynomials, with errors up to 11 u: docs/findings.md.
        float32_arithmetic={"GRU": "approximate-activations"},
    )

    script = """
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 4
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
names = [name for name in outputs if name]
outputs = dict(zip(names, session.run(names, inputs)))
"""

    def prepare(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: errors are raised as well
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        outputs = [output.name for output in session.get_outputs()]
        return lambda inputs: dict(zip(outputs, session.run(outputs, inputs), strict=True))
