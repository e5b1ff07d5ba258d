"""``onnx-ops-opencv``: ONNX's operators in OpenCV's module dnn."""

from __future__ import annotations

import cv2
import numpy as np

from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


class OnnxOpsOpenCV(OnnxRuntime):
    """ONNX's operators LSTM and GRU in OpenCV's module dnn, on the CPU, which refuses RNN.

    It refuses sequence_lens, P, layout and activations of LSTM by an error. LSTM takes an initial state only with the
    other one and B, and is claimed without them. GRU refuses a call whose extents differ from those before, so the
    adapter reads the model for each call (docs/findings.md).
    """

    name, version = "onnx-ops-opencv", f"opencv {cv2.__version__}"
    features = OnnxFeatures(
        operators={"LSTM", "GRU"},
        attributes={"clip", "input_forget", "linear_before_reset"},
        inputs={"B", "initial_h", "initial_c"},
        checks_inputs=True,
        parameters="inputs",
        by_operator={"LSTM": {"inputs": {"B"}}},
    )

    script = """
import cv2
import numpy as np

net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
for name, array in inputs.items():
    net.setInput(array, name)
names = net.getUnconnectedOutLayersNames()
outputs = dict(zip(names, net.forward(names)))
"""

    def prepare(self, model):
        def run(inputs):
            net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
            names = net.getUnconnectedOutLayersNames()
            for name, array in inputs.items():
                net.setInput(array, name)
            return {name: np.array(a) for name, a in zip(names, net.forward(names), strict=True)}

        cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))  # refuses what it does not support
        return run
