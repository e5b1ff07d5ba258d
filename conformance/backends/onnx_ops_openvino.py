"""``onnx-ops-openvino``: ONNX's operators on OpenVINO's CPU plugin."""

from __future__ import annotations

from dataclasses import replace

import openvino

from conformance.onnx.features import ATTRIBUTES, INPUTS, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime

PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 2}


class OnnxOpsOpenVINO(OnnxRuntime):
    """ONNX's operators in OpenVINO, in float32 and two threads.

    The adapter sets the precision, because OpenVINO may choose a lower one, and two threads, because with one thread
    arguments that do not fit raise no error (docs/findings.md). Not claimed are layout=1 and P, which the importer
    ignores: an input P is missing in the compiled model, so setting it is an error.
    Parameters are inputs of the graph: with constants and dynamic extents OpenVINO ignores sequence_lens
    (docs/findings.md), as OnnxOpsOpenVINOConstants shows.
    """

    name, version = "onnx-ops-openvino", f"openvino {openvino.__version__.partition('-')[0]}"
    features = OnnxFeatures(
        opsets={22},
        attributes=set(ATTRIBUTES) - {"layout"},
        activations={"Relu", "Tanh", "Sigmoid"},
        inputs=set(INPUTS) - {"P"},
        checks_inputs=True,
        parameters="inputs",
        configurations=12,
    )

    script = """
import openvino

core = openvino.Core()
compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
for name, array in inputs.items():
    request.set_tensor(name, openvino.Tensor(array))
request.infer()
outputs = {output.any_name: request.get_tensor(output).data.copy() for output in compiled.outputs}
"""

    def __init__(self):
        self._core = openvino.Core()

    def prepare(self, model):
        def make():
            return self._core.compile_model(self._core.read_model(model), "CPU", PROPERTIES)

        compiled = make()

        def run(inputs):
            nonlocal compiled
            request = compiled.create_infer_request()  # one for each call: threads cannot share it
            for name, array in inputs.items():
                request.set_tensor(name, openvino.Tensor(array))
            try:
                request.infer()
            except RuntimeError:
                # From now on this model gives wrong results for valid arguments
                # (docs/reproducers/openvino_extents.py): compile another one for the next call.
                compiled = make()
                raise
            return {output.any_name: request.get_tensor(output).data.copy() for output in compiled.outputs}

        return run


class OnnxOpsOpenVINOConstants(OnnxOpsOpenVINO):
    """ONNX's operators in OpenVINO with the parameters as constants of the graph, as in exported models."""

    name = "onnx-ops-openvino-constants"
    features = replace(OnnxOpsOpenVINO.features, parameters="initializers")
