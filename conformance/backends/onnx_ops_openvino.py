"""``onnx-ops-openvino``: ONNX's operators on OpenVINO's CPU plugin."""

from __future__ import annotations

from collections import OrderedDict

import openvino

from conformance.backend import Features
from conformance.backends.onnx_ops import OnnxOps, model, with_constants

PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}
KEPT = 64  # compiled models of OnnxOpsOpenVINOConstants


class OnnxOpsOpenVINO(OnnxOps):
    """ONNX's operators in OpenVINO, in float32 and two threads.

    The adapter sets the precision, because OpenVINO may choose a lower one, and two threads, because with one thread
    arguments that do not fit raise no error (docs/findings.md). Not claimed is layout=1, which the importer ignores.
    Parameters are inputs of the graph: with constants and dynamic extents OpenVINO ignores sequence_lens
    (docs/findings.md), as OnnxOpsOpenVINOConstants shows.
    """

    name = "onnx-ops-openvino"
    version = f"openvino {openvino.__version__.partition('-')[0]}"
    features = Features(batch_first=False, unbatched=False, projection=False, configurations=12)

    def __init__(self) -> None:
        super().__init__()
        self._core = openvino.Core()

    def compile(self, model):
        serialized = model.SerializeToString()

        def make():
            return self._core.compile_model(self._core.read_model(serialized), "CPU", PROPERTIES)

        compiled = make()

        def run(feeds):
            nonlocal compiled
            mine = compiled
            request = mine.create_infer_request()  # one for each call: threads cannot share it
            for name, array in feeds.items():
                request.set_tensor(name, openvino.Tensor(array))
            try:
                request.infer()
            except RuntimeError:
                # From now on this model gives wrong results for valid arguments
                # (docs/reproducers/openvino_extents.py): compile another one for the next call.
                compiled = make()
                raise
            return [request.get_tensor(output).data.copy() for output in mine.outputs]

        return run


class OnnxOpsOpenVINOConstants(OnnxOpsOpenVINO):
    """ONNX's operators in OpenVINO with the parameters as constants of the graph, as in exported models."""

    name = "onnx-ops-openvino-constants"

    def __init__(self) -> None:
        super().__init__()
        self._kept = OrderedDict()

    def compiled(self, config, native, **form):
        key = config, *form.values(), *(array.tobytes() for array in native.values())
        if key not in self._kept:
            self._kept[key] = self.compile(with_constants(model(config, native, **form), native))
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        run = self._kept[key]
        return lambda feeds: run({name: array for name, array in feeds.items() if name not in native})
