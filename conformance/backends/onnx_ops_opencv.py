"""``onnx-ops-opencv``: ONNX's operators in OpenCV's module dnn."""

from __future__ import annotations

from threading import Lock

import cv2
import numpy as np

from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


class OnnxOpsOpenCV(OnnxRuntime):
    """ONNX's operators LSTM and GRU in OpenCV's module dnn, on the CPU, which refuses RNN.

    It refuses sequence_lens, P, layout and activations of LSTM by an error. GRU refuses a call with other extents than
    the first one's, and LSTM takes an initial state only with the other one and B (docs/findings.md): the claims are
    fixed extents, and an LSTM without initial states.
    """

    name, version = "onnx-ops-opencv", f"opencv {cv2.__version__}"
    features = OnnxFeatures(
        operators={"LSTM", "GRU"},
        attributes={"clip", "input_forget", "linear_before_reset"},
        inputs={"B", "initial_h", "initial_c"},
        checks_inputs=True,
        parameters="inputs",
        fixed_shapes=True,
        configurations=40,
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
        net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        names = net.getUnconnectedOutLayersNames()

        lock = Lock()  # a net holds its inputs between setInput and forward: one call at a time

        def run(inputs):
            with lock:
                for name, array in inputs.items():
                    net.setInput(array, name)
                return {name: np.array(a) for name, a in zip(names, net.forward(names), strict=True)}

        return run
