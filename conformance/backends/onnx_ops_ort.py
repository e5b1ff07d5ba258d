"""``onnx-ops-ort``: ONNX's operators on onnxruntime's CPU provider."""

from __future__ import annotations

import onnxruntime

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps


class OnnxOpsOrt(OnnxOps):
    """No layout=1 and no float64 nor bfloat16: onnxruntime has no such kernels, and says so."""

    name = "onnx-ops-ort"
    version = f"onnxruntime {onnxruntime.__version__}"
    features = Features(
        dtypes={"float32", "float16"},
        batch_first=False,
        unbatched=False,
        projection=False,
        # Polynomials stand for the GRU's tanh and reset gate, off by up to 11 u: docs/findings.md.
        float32_arithmetic={"gru": "approximate-activations"},
    )

    def compile(self, model):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # fatal: what is an error is raised as well
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        return lambda feeds: session.run(None, feeds)
