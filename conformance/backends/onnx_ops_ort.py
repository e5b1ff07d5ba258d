"""``onnx-ops-ort``: ONNX's operators on onnxruntime's CPU provider."""

from __future__ import annotations

import onnxruntime

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps


class OnnxOpsOrt(OnnxOps):
    """ONNX's operators in onnxruntime, which refuses layout=1, float64 and bfloat16: it has no kernels for them."""

    name = "onnx-ops-ort"
    version = f"onnxruntime {onnxruntime.__version__}"
    features = Features(
        dtypes={"float32", "float16"},
        batch_first=False,
        unbatched=False,
        projection=False,
        # The GRU kernel approximates tanh and the reset gate by polynomials, with errors up to 11 u: docs/findings.md.
        float32_arithmetic={"gru": "approximate-activations"},
    )

    def compile(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: errors are raised as well
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return lambda feeds: session.run(None, feeds)
