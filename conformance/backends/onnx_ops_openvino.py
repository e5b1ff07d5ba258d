"""``onnx-ops-openvino``: ONNX's operators on OpenVINO's CPU plugin."""

from __future__ import annotations

import openvino

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps

PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


class OnnxOpsOpenVINO(OnnxOps):
    """Computed in float32: OpenVINO may choose less by itself, so the precision is set.

    No layout=1, which the importer ignores. Parameters are inputs of the graph: where they are constants and extents
    dynamic, OpenVINO ignores sequence_lens (docs/findings.md).
    """

    name = "onnx-ops-openvino"
    version = f"openvino {openvino.__version__.partition('-')[0]}"
    features = Features(batch_first=False, unbatched=False, projection=False, configurations=12)

    def __init__(self) -> None:
        super().__init__()
        self._core = openvino.Core()

    def check(self, config, x, h_0, c_0, lengths):
        if x.ndim != 3:
            return
        T, N = x.shape[:2]
        samples = {state.shape[1] for state in (h_0, c_0) if state is not None and state.ndim == 3}
        misfit = lengths is not None and (len(lengths) != N or min(lengths) < 0 or max(lengths) > T)
        if T == 0 or N == 0 or samples - {N} or misfit:
            raise SystemExit("OpenVINO takes these extents and ends the process by a signal, now or later")

    def compile(self, model):
        compiled = self._core.compile_model(self._core.read_model(model.SerializeToString()), "CPU", PROPERTIES)

        def run(feeds):
            request = compiled.create_infer_request()  # its own for each call: one serves no two threads
            request.infer({name: openvino.Tensor(array) for name, array in feeds.items()})
            return [request.get_tensor(output).data.copy() for output in compiled.outputs]

        return run
